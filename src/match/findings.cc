#include "match/findings.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.h"
#include "model/deb_version.h"
#include "model/never_restart.h"

namespace prunella {

namespace {

constexpr std::string_view kUserSessions = "user-sessions";
constexpr std::string_view kUnmanaged = "unmanaged-processes";

std::string count_text(std::size_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string list_text(const std::vector<std::string>& items, std::size_t max) {
  std::vector<std::string> shown(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(std::min(items.size(), max)));
  std::string text = join(shown, ", ");
  if (items.size() > max) text += " and " + std::to_string(items.size() - max) + " more";
  return text;
}

// Rounded down to the largest unit that says it in two digits or more: "3650d", "90m", "31s".
std::string rough_text(Duration duration) {
  for (Duration unit : {Duration(std::chrono::hours(24)), Duration(std::chrono::hours(1)), Duration(std::chrono::minutes(1))})
    if (duration >= 2 * unit) return to_text(duration / unit * unit);
  return to_text(std::chrono::floor<std::chrono::seconds>(duration));
}

std::uint64_t free_bytes_min(const Filesystem& filesystem) { return std::min(kFreeBytesMin, filesystem.size_bytes / 20); }

void limit_evidence(std::vector<std::string>& evidence) {
  if (evidence.size() <= kEvidenceMax) return;
  std::size_t left_out = evidence.size() - (kEvidenceMax - 1);
  evidence.resize(kEvidenceMax - 1);
  evidence.push_back("And " + std::to_string(left_out) + " more of the kind.");
}

/// Collects the findings of one host.
class Finder {
 public:
  Finder(const HostId& host, const HostFacts& facts, Instant now, const Knowledge& knowledge)
      : host_(host), facts_(facts), now_(now), knowledge_(knowledge) {}

  std::vector<Finding> run() {
    sections();
    if (const PackageFacts* packages = value(facts_.packages)) dpkg(*packages);
    if (const UpdateFacts* updates = value(facts_.updates)) {
      repositories(*updates);
      security_updates(*updates);
    }
    if (const ProcessFacts* processes = value(facts_.processes)) stale_processes(*processes);
    if (const KernelFacts* kernel = value(facts_.kernel)) reboot(*kernel);
    if (const UnitFacts* units = value(facts_.units)) failed_units(*units);
    if (const DiskFacts* disk = value(facts_.disk)) full_filesystems(*disk);
    if (knowledge_.clock_skew) clock(*knowledge_.clock_skew);
    for (Finding& finding : found_) limit_evidence(finding.evidence);
    std::ranges::sort(found_, [](const Finding& a, const Finding& b) {
      return std::tuple(-static_cast<int>(a.severity), a.kind, std::string_view(a.subject)) <
             std::tuple(-static_cast<int>(b.severity), b.kind, std::string_view(b.subject));
    });
    return std::move(found_);
  }

 private:
  template <class T>
  static const T* value(const std::optional<Sensed<T>>& section) {
    return section && section->value ? &*section->value : nullptr;
  }

  // `at` of a section, for the end of an evidence sentence.
  template <class T>
  static std::string as_of(const std::optional<Sensed<T>>& section) {
    return "as of " + to_rfc3339(section->at);
  }

  Finding& add(FindingKind kind, std::string subject, Severity severity, std::string summary, std::string clears_when) {
    Finding finding;
    finding.id = finding_id(host_, kind, subject);
    finding.host = host_;
    finding.kind = kind;
    finding.subject = std::move(subject);
    finding.severity = severity;
    finding.summary = std::move(summary);
    finding.clears_when = std::move(clears_when);
    found_.push_back(std::move(finding));
    return found_.back();
  }

  template <class T>
  void section(const std::optional<Sensed<T>>& sensed, Section which, std::string_view hides) {
    if (sensed && sensed->value) return;
    std::string word(to_text(which));
    bool one = which == Section::kSystem || which == Section::kKernel || which == Section::kDisk || which == Section::kExecutor;
    Finding& finding = add(FindingKind::kUnknown, word, Severity::kMedium,
                           "The " + word + " of this host " + (one ? "is" : "are") + " not known, so " + std::string(hides) + " would not be seen.",
                           "The host reports the section " + word + ".");
    finding.evidence.push_back(sensed ? "Sensing failed at " + to_rfc3339(sensed->at) + ": " +
                                            sensed->unknown.value_or("the host gave no reason") + "."
                                      : "The section never came.");
  }

  void sections() {
    section(facts_.system, Section::kSystem, "a change of its release or a restart");
    section(facts_.packages, Section::kPackages, "missing updates and broken packages");
    section(facts_.updates, Section::kUpdates, "missing security updates");
    section(facts_.kernel, Section::kKernel, "a reboot that is due");
    section(facts_.processes, Section::kProcesses, "processes that still run old code");
    section(facts_.units, Section::kUnits, "failed units");
    section(facts_.disk, Section::kDisk, "a full disk");
    section(facts_.executor, Section::kExecutor, "an executor that acts on nothing");
  }

  void dpkg(const PackageFacts& packages) {
    std::vector<std::string> names, evidence;
    std::string where = " (dpkg's status, " + as_of(facts_.packages) + ").";
    for (const Package& package : packages.packages) {
      if (!needs_repair(package)) continue;
      bool only_triggers = !package.reinst_required &&
                           (package.state == PackageState::kTriggersAwaited || package.state == PackageState::kTriggersPending);
      std::string name = package.package.text();
      std::string what = name + " " + package.version + " is " + std::string(to_text(package.state)) +
                         (package.reinst_required ? " and must be unpacked again" : "");
      Finding& finding = add(FindingKind::kBrokenPackage, name, only_triggers ? Severity::kMedium : Severity::kHigh, what + ".",
                             "dpkg says that " + name + " is installed and nothing must be done again.");
      finding.packages = {name};
      finding.evidence = {what + where};
      if (only_triggers) continue;
      names.push_back(name);
      evidence.push_back(what + where);
    }
    if (names.empty() && !packages.updates_pending) return;
    if (packages.updates_pending)
      evidence.insert(evidence.begin(),
                      "dpkg's updates directory isn't empty: it was stopped while it wrote its database" + where);
    if (const ExecutorFacts* executor = value(facts_.executor); executor && executor->busy_with)
      evidence.push_back("The run " + *executor->busy_with + " is in progress, which may be the reason.");
    Finding& finding =
        add(FindingKind::kInterruptedDpkg, "dpkg", Severity::kHigh,
            names.empty() ? "dpkg was interrupted while it wrote its database."
                          : "dpkg was interrupted: " + count_text(names.size(), "package is", "packages are") + " half done.",
            "dpkg's updates directory is empty and no package is half done.");
    finding.packages = std::move(names);
    finding.evidence = std::move(evidence);
  }

  void repositories(const UpdateFacts& updates) {
    bool security = false;
    for (const Repository& repository : updates.repositories) {
      security = security || repository.security;
      if (repository.state == RepositoryState::kOk) continue;
      bool untrusted = repository.state == RepositoryState::kBadSignature || repository.state == RepositoryState::kExpired;
      std::string subject = repository.uri + " " + repository.suite;
      std::string what = repository.state == RepositoryState::kBadSignature ? "has no good signature"
                         : repository.state == RepositoryState::kExpired    ? "has an index that expired"
                         : repository.state == RepositoryState::kMissing    ? "does not exist where the host looks for it"
                                                                            : "could not be reached";
      Finding& finding =
          add(untrusted ? FindingKind::kRepositoryUntrusted : FindingKind::kRepositoryUnreachable, subject,
              untrusted || repository.security ? Severity::kHigh : Severity::kMedium,
              "The archive " + subject + " " + what + (repository.security ? ", so newer security updates are not seen." : "."),
              "The index of " + subject + " is fetched again with a good signature that has not expired.");
      finding.evidence = {"apt says: " + (repository.detail.empty() ? std::string("(nothing)") : repository.detail) + " (" +
                          as_of(facts_.updates) + ")."};
    }
    if (!security) {
      Finding& finding = add(FindingKind::kUnknown, "security-archive", Severity::kHigh,
                             "No security archive is among the host's repositories, so security updates are not seen.",
                             "A security archive of the distribution is configured and its index was fetched.");
      finding.evidence = {"apt knows " + count_text(updates.repositories.size(), "repository", "repositories") +
                          ", none of them a security archive (" + as_of(facts_.updates) + ")."};
    }
    if (!updates.lists_at || now_ - *updates.lists_at > kListsAgeMax) {
      Finding& finding = add(FindingKind::kUnknown, "lists", Severity::kMedium,
                             updates.lists_at ? "The package lists are old, so updates that came since are not seen."
                                              : "The package lists were never fetched, so missing updates are not seen.",
                             "All package lists were fetched within " + to_text(kListsAgeMax) + ".");
      finding.evidence = {updates.lists_at ? "The lists were last fetched completely at " + to_rfc3339(*updates.lists_at) +
                                                 "; it is " + to_rfc3339(now_) + " now."
                                           : "No complete fetch was ever reported."};
    }
  }

  // What dpkg says of an update now; facts of packages are newer than apt's answer.
  enum class Standing { kBehind, kDone, kUnordered };
  Standing standing(const Update& update) const {
    const PackageFacts* packages = value(facts_.packages);
    if (!packages) return Standing::kBehind;
    auto at = std::ranges::find(packages->packages, update.package, &Package::package);
    if (at == packages->packages.end() || !is_present(at->state)) return Standing::kDone;
    auto order = compare_deb_versions(at->version, update.to.version);
    if (!order) return Standing::kUnordered;
    return *order < 0 ? Standing::kBehind : Standing::kDone;
  }

  void security_updates(const UpdateFacts& updates) {
    std::map<std::string, std::vector<const Update*>> sources;
    for (const Update& update : updates.updates) {
      if (!update.security || !update.from_version) continue;
      switch (standing(update)) {
        case Standing::kDone: break;
        case Standing::kBehind: sources[update.source].push_back(&update); break;
        case Standing::kUnordered: {
          Finding& finding =
              add(FindingKind::kUnknown, update.package.text(), Severity::kMedium,
                  "Whether " + update.package.text() + " lacks a security update is not known: its versions have no order.",
                  "dpkg reports a version of " + update.package.text() + " that follows Debian Policy.");
          finding.packages = {update.package.text()};
          finding.evidence = {"The archive offers " + update.to.version + " (" + as_of(facts_.updates) + ")."};
          break;
        }
      }
    }
    for (const auto& [source, behind] : sources) missing_update(source, behind, updates);
  }

  // The worst obstacle decides: a source is only fixed when all its installed binaries are.
  static Exposure exposure_of(const std::vector<const Update*>& behind) {
    static constexpr std::array kWorstFirst = {Exposure::kBlockedByHold, Exposure::kBlockedByPin, Exposure::kBlockedByConflict,
                                               Exposure::kDeferredByPhasing};
    std::set<Exposure> met;
    for (const Update* update : behind) {
      if (!update->block) continue;
      switch (update->block->kind) {
        case BlockKind::kHeld: met.insert(Exposure::kBlockedByHold); break;
        case BlockKind::kPinned: met.insert(Exposure::kBlockedByPin); break;
        case BlockKind::kPhased: met.insert(Exposure::kDeferredByPhasing); break;
        case BlockKind::kNeedsRemoval:
        case BlockKind::kKeptBack: met.insert(Exposure::kBlockedByConflict); break;
      }
    }
    for (Exposure exposure : kWorstFirst)
      if (met.contains(exposure)) return exposure;
    return Exposure::kFixAvailable;
  }

  static std::string exposure_words(Exposure exposure) {
    switch (exposure) {
      case Exposure::kFixAvailable: return "the fix is available";
      case Exposure::kBlockedByHold: return "the fix is blocked by a hold";
      case Exposure::kDeferredByPhasing: return "the fix is deferred by phasing";
      case Exposure::kBlockedByPin: return "the fix is blocked by a pin";
      case Exposure::kBlockedByConflict: return "the fix is kept back, since it needs other changes";
      case Exposure::kInstalledNotActive: return "the fix is installed, but old code still runs";
      case Exposure::kNotApplicable: return "it is not about a fix";
    }
    return {};
  }

  void missing_update(const std::string& source, const std::vector<const Update*>& behind, const UpdateFacts& updates) {
    std::set<std::string> cves;
    bool all_read = true;
    std::vector<std::string> names, evidence;
    for (const Update* update : behind) {
      cves.insert(update->cves.begin(), update->cves.end());
      all_read = all_read && update->changelog_read;
      names.push_back(update->package.text());
    }
    std::ranges::sort(names);
    std::vector<std::string> exploited;
    std::ranges::set_intersection(cves, knowledge_.exploited_cves, std::back_inserter(exploited));
    Severity severity = !exploited.empty() ? Severity::kCritical : cves.empty() && all_read ? Severity::kMedium : Severity::kHigh;
    Exposure exposure = exposure_of(behind);

    std::string summary = source + " lacks a security update";
    if (!cves.empty())
      summary += " for " + list_text({cves.begin(), cves.end()}, 3);
    else if (!all_read)
      summary += " (its CVEs are not read yet)";
    summary += "; " + exposure_words(exposure) + ".";
    for (const Update* update : behind) {
      std::string line = update->package.text() + " is installed at " + *update->from_version + ", " + update->archive +
                         " offers " + update->to.version;
      if (update->block) line += ", which is " + std::string(to_text(update->block->kind)) + ": " + update->block->detail;
      evidence.push_back(line + " (" + as_of(facts_.updates) + ").");
    }
    if (!exploited.empty()) evidence.push_back("Known to be exploited: " + list_text(exploited, 8) + ".");
    if (!all_read)
      evidence.push_back("The changelog was not read yet: the list of CVEs may not be complete.");
    else if (cves.empty())
      evidence.push_back("The changelog between the two versions names no CVE.");
    if (const ProcessFacts* processes = value(facts_.processes)) {
      std::vector<std::string> units;
      for (const auto& [unit, packages] : processes->unit_packages)
        if (std::ranges::any_of(packages, [&](const std::string& package) { return std::ranges::binary_search(names, package); }))
          units.push_back(unit);
      evidence.push_back(units.empty()
                             ? "No running unit maps its files (" + as_of(facts_.processes) + ")."
                             : "Running units map its files: " + list_text(units, 8) + " (" + as_of(facts_.processes) + ").");
    }
    if (updates.lists_at) evidence.push_back("The package lists were fetched at " + to_rfc3339(*updates.lists_at) + ".");

    Finding& finding =
        add(FindingKind::kMissingSecurityUpdate, source, severity, std::move(summary),
            "Every installed binary of " + source + " has the version that the security archive offers, or a newer one.");
    finding.exposure = exposure;
    finding.evidence = std::move(evidence);
    finding.cves = {cves.begin(), cves.end()};
    finding.packages = std::move(names);
  }

  void stale_processes(const ProcessFacts& processes) {
    std::map<std::string, std::vector<const StaleProcess*>> groups;
    for (const StaleProcess& process : processes.stale) {
      std::string subject = process.user_session ? std::string(kUserSessions)
                            : process.unit       ? *process.unit
                                                 : std::string(kUnmanaged);
      groups[subject].push_back(&process);
    }
    for (const auto& [subject, stale] : groups) {
      std::string summary;
      std::string clears = "No process of " + subject + " maps a file that was replaced.";
      std::string many = count_text(stale.size(), "process", "processes");
      Severity severity = Severity::kMedium;
      if (subject == kUserSessions) {
        summary = many + (stale.size() == 1 ? " of people's sessions runs" : " of people's sessions run") +
                  " old code: sessions are never ended by Prunella; the people must log in anew.";
        clears = "No process of a person's session maps a file that was replaced.";
        severity = Severity::kLow;
      } else if (subject == kUnmanaged) {
        summary = many + " that no unit manages " + (stale.size() == 1 ? "runs" : "run") + " old code: a person must restart " +
                  (stale.size() == 1 ? "it." : "them.");
        clears = "No process outside of all units maps a file that was replaced.";
      } else if (auto why = never_restarted(subject)) {
        summary = subject + " runs old code and is never restarted by Prunella (" + std::string(*why) +
                  "): a reboot, or a person, renews it.";
      } else {
        summary = subject + " runs old code and must be restarted.";
      }
      Finding& finding = add(FindingKind::kRestartNeeded, subject, severity, std::move(summary), std::move(clears));
      finding.exposure = Exposure::kInstalledNotActive;
      for (const StaleProcess* process : stale)
        finding.evidence.push_back("Process " + std::to_string(process->pid) + " (" + process->command + ") maps " +
                                   list_text(process->files, 4) + ", which " + (process->files.size() == 1 ? "was" : "were") +
                                   " replaced (" + as_of(facts_.processes) + ").");
    }
  }

  void reboot(const KernelFacts& kernel) {
    std::string running =
        "The kernel " + kernel.running + " runs" +
        (kernel.newest_same_flavour ? ", the newest installed one of its flavour is " + *kernel.newest_same_flavour
                                    : std::string()) +
        " (" + as_of(facts_.kernel) + ").";
    std::vector<std::string> evidence;
    for (const RebootReason& reason : kernel.reasons) evidence.push_back(reason.source + ": " + reason.detail + ".");
    evidence.push_back(running);
    switch (kernel.reboot) {
      case RebootNeed::kNo: return;
      case RebootNeed::kYes: {
        Finding& finding = add(FindingKind::kRebootNeeded, "kernel", Severity::kMedium,
                               "A reboot is needed: what was installed is not active before.",
                               "The host has a new boot id and no reason to reboot is left.");
        finding.exposure = Exposure::kInstalledNotActive;
        finding.evidence = std::move(evidence);
        return;
      }
      case RebootNeed::kUnknown: {
        Finding& finding = add(FindingKind::kUnknown, "reboot", Severity::kLow, "Whether a reboot is needed could not be told.",
                               "The host tells whether a reboot is needed.");
        finding.evidence = std::move(evidence);
        return;
      }
    }
  }

  void failed_units(const UnitFacts& units) {
    for (const Unit& unit : units.units) {
      if (unit.active != "failed") continue;
      std::string what =
          unit.name + " has failed" + (unit.result && *unit.result != "success" ? " (" + *unit.result + ")" : std::string());
      Finding& finding = add(FindingKind::kUnitFailed, unit.name, Severity::kHigh, what + ".",
                             "systemd says that " + unit.name + " is not failed any more.");
      finding.evidence = {
          "systemd says: " + unit.active + " (" + unit.sub + ")" + (unit.result ? ", result " + *unit.result : std::string()) +
          (unit.restarts ? ", restarted " + std::to_string(*unit.restarts) + " times by systemd" : std::string()) + " (" +
          as_of(facts_.units) + ")."};
    }
  }

  void full_filesystems(const DiskFacts& disk) {
    for (const Filesystem& filesystem : disk.filesystems) {
      if (!is_full(filesystem)) continue;
      std::uint64_t bytes_min = free_bytes_min(filesystem);
      bool bytes = filesystem.free_bytes < bytes_min;
      Finding& finding = add(FindingKind::kFilesystemFull, filesystem.mount, Severity::kHigh,
                             "The filesystem " + filesystem.mount + " is full: " +
                                 (bytes ? bytes_text(filesystem.free_bytes) + " left" : count_text(filesystem.free_inodes, "inode", "inodes") + " left") +
                                 ", so nothing can be installed or logged there.",
                             filesystem.mount + " has " + bytes_text(bytes_min) + " and " + std::to_string(kFreeInodesMin) + " inodes free.");
      finding.evidence = {"statvfs says of " + filesystem.mount + ": " + std::to_string(filesystem.free_bytes) + " of " +
                          std::to_string(filesystem.size_bytes) + " bytes and " + std::to_string(filesystem.free_inodes) + " inodes are free (" +
                          as_of(facts_.disk) + ")."};
    }
  }

  void clock(Duration skew) {
    Duration off = skew < Duration(0) ? -skew : skew;
    if (off <= kClockSkewFound) return;
    Finding& finding = add(FindingKind::kClockOff, "clock", Severity::kHigh,
                           "The host's clock is " + rough_text(off) + (skew < Duration(0) ? " behind" : " ahead of") +
                               " the control plane's; orders and certificates are bound to times.",
                           "The two clocks differ by no more than " + to_text(kClockSkewFound) + ".");
    finding.evidence = {"The host's last report was sent " + rough_text(off) + (skew < Duration(0) ? " before" : " after") +
                        " it came, by the two clocks."};
  }

  const HostId& host_;
  const HostFacts& facts_;
  Instant now_;
  const Knowledge& knowledge_;
  std::vector<Finding> found_;
};

PostureState posture_for(FindingKind kind) {
  switch (kind) {
    case FindingKind::kInterruptedDpkg:
    case FindingKind::kBrokenPackage:
    case FindingKind::kRepositoryUntrusted:
    case FindingKind::kFilesystemFull:
    case FindingKind::kClockOff:
    case FindingKind::kUnitFailed: return PostureState::kBroken;
    case FindingKind::kMissingSecurityUpdate: return PostureState::kNeedsUpdate;
    case FindingKind::kRepositoryUnreachable:
    case FindingKind::kUnknown: return PostureState::kUnknown;
    case FindingKind::kRestartNeeded:
    case FindingKind::kRebootNeeded: return PostureState::kPending;
  }
  return PostureState::kUnknown;
}

}  // namespace

bool is_full(const Filesystem& filesystem) {
  if (filesystem.read_only) return false;  // nothing is written there, so that it may well be full
  return filesystem.free_bytes < free_bytes_min(filesystem) || filesystem.free_inodes < kFreeInodesMin;
}

std::vector<Finding> findings_of(const HostId& host, const HostFacts& facts, Instant now, const Knowledge& knowledge) {
  return Finder(host, facts, now, knowledge).run();
}

Posture posture_of(const std::vector<Finding>& findings, const std::optional<Instant>& last_seen, Instant now,
                   Duration stale_after) {
  if (!last_seen) return {PostureState::kUnknown, "The host has never reported."};
  // A last_seen in the future means that our clock went back: how late the host is can't be told then.
  if (now - *last_seen > stale_after)
    return {PostureState::kStale, "The host was last seen at " + to_rfc3339(*last_seen) + ", longer than " +
                                      to_text(stale_after) + " ago: what is known of it is old."};
  if (*last_seen - now > stale_after)
    return {PostureState::kStale,
            "The host was last seen at " + to_rfc3339(*last_seen) + ", which is in the future: the clock went back."};

  static constexpr std::array kWorstFirst = {PostureState::kBroken, PostureState::kNeedsUpdate, PostureState::kUnknown,
                                             PostureState::kPending};
  std::map<PostureState, std::vector<const Finding*>> by_posture;
  for (const Finding& finding : findings) by_posture[posture_for(finding.kind)].push_back(&finding);
  for (PostureState posture : kWorstFirst) {
    auto group = by_posture.find(posture);
    if (group == by_posture.end()) continue;
    const Finding* worst = *std::ranges::max_element(group->second, {}, &Finding::severity);
    std::string sentence = worst->summary;
    if (findings.size() > 1)
      sentence += " " + count_text(findings.size() - 1, "other finding is", "other findings are") + " open.";
    return {posture, std::move(sentence)};
  }
  return {PostureState::kHealthy, "Nothing is missing: packages, archives, processes, kernel and units were looked at."};
}

FindingsDiff diff_findings(const std::vector<Finding>& before, const std::vector<Finding>& after) {
  std::map<FindingId, const Finding*> old_by_id;
  for (const Finding& finding : before) old_by_id[finding.id] = &finding;
  FindingsDiff diff;
  for (const Finding& finding : after) {
    auto known = old_by_id.find(finding.id);
    if (known == old_by_id.end()) {
      diff.opened.push_back(finding);
      continue;
    }
    if (*known->second != finding) diff.changed.emplace_back(*known->second, finding);
    old_by_id.erase(known);
  }
  for (const Finding& finding : before)
    if (old_by_id.contains(finding.id)) diff.cleared.push_back(finding);
  return diff;
}

}  // namespace prunella
