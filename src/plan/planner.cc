#include "plan/planner.h"

#include <algorithm>
#include <map>

#include "model/finding.h"
#include "model/never_restart.h"
#include "model/order.h"

namespace prunella {

namespace {

template <class T>
Result<const T*> fresh(const std::optional<Sensed<T>>& section, Section which, Instant now) {
  std::string word(to_text(which));
  if (!section) return unavailable("the section " + word + " of this host never came: nothing can be planned without it");
  if (!section->value)
    return unavailable("the section " + word + " is unknown (" + section->unknown.value_or("the host gave no reason") +
                       "): nothing can be planned without it");
  if (now - section->at > kFactsAgeMax)
    return unavailable("the section " + word + " is from " + to_rfc3339(section->at) + ", older than " + to_text(kFactsAgeMax) +
                       ": the host must look again");
  if (section->at - now > kClockSkewMax)
    return unavailable("the section " + word + " is from " + to_rfc3339(section->at) +
                       ", which is in the future: the host's clock is wrong");
  return &*section->value;
}

/// The facts that a plan is made from.
struct Basis {
  const PackageFacts* packages = nullptr;
  const ProcessFacts* processes = nullptr;
  const DiskFacts* disk = nullptr;
  const UnitFacts* units = nullptr;     // may be unknown
  const KernelFacts* kernel = nullptr;  // may be unknown
  const SystemFacts* system = nullptr;  // may be unknown
};

template <class T>
const T* value(const std::optional<Sensed<T>>& section) {
  return section && section->value ? &*section->value : nullptr;
}

Result<Basis> basis_of(const HostFacts& facts, Instant now) {
  Basis basis;
  auto packages = fresh(facts.packages, Section::kPackages, now);
  if (!packages) return std::move(packages).error();
  auto processes = fresh(facts.processes, Section::kProcesses, now);
  if (!processes) return std::move(processes).error().during("predicting the restarts");
  auto disk = fresh(facts.disk, Section::kDisk, now);
  if (!disk) return std::move(disk).error().during("looking for space");
  basis.packages = *packages;
  basis.processes = *processes;
  basis.disk = *disk;
  basis.units = value(facts.units);
  basis.kernel = value(facts.kernel);
  basis.system = value(facts.system);
  return basis;
}

const Package* installed(const PackageFacts& packages, const PackageName& name) {
  auto at = std::ranges::find(packages.packages, name, &Package::package);
  return at != packages.packages.end() && is_present(at->state) ? &*at : nullptr;
}

std::string block_text(const Update& update) {
  return update.package.text() + " (" + std::string(to_text(update.block->kind)) + ": " + update.block->detail + ")";
}

std::string list_text(const std::vector<std::string>& items) {
  constexpr std::size_t kShownMax = 12;  // an error is read by people
  std::vector<std::string> shown(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(std::min(items.size(), kShownMax)));
  return join(shown, ", ") + (items.size() > kShownMax ? " and " + std::to_string(items.size() - kShownMax) + " more" : "");
}

/// What of the updates goes into one transaction.
struct Selection {
  std::set<const Update*> chosen;
  std::vector<std::string> blocked;     // sentences, of security updates that were asked for
  std::set<std::string> whole_sources;  // all their missing security updates are chosen
  std::size_t missing = 0;              // security updates that were asked for
};

class UpdateSelector {
 public:
  UpdateSelector(const UpdateFacts& updates, const PackageFacts& packages, const PlannerOptions& options)
      : updates_(updates), packages_(packages), options_(options) {
    for (const Update& update : updates.updates) by_name_[update.package.text()] = &update;
  }

  Result<Selection> select() {
    if (auto fits = facts_fit(); !fits) return std::move(fits).error();
    Selection selection;
    std::map<std::string, bool> whole;
    for (const Update& update : updates_.updates) {
      if (!is_wanted(update)) continue;
      ++selection.missing;
      std::set<const Update*> closure;
      std::string obstacle;
      bool possible = close_over(update, closure, obstacle);
      auto [at, is_new] = whole.emplace(update.source, true);
      at->second = at->second && possible;
      if (possible)
        selection.chosen.insert(closure.begin(), closure.end());
      else
        selection.blocked.push_back(obstacle);
    }
    drop_parted_architectures(selection, whole);
    for (const auto& [source, is_whole] : whole)
      if (is_whole) selection.whole_sources.insert(source);
    return selection;
  }

 private:
  bool is_done(const Update& update) const {
    const Package* package = installed(packages_, update.package);
    return update.from_version ? !package || package->version == update.to.version : package != nullptr;
  }
  bool is_wanted(const Update& update) const {
    return update.security && update.from_version && !is_done(update) &&
           (!options_.only_sources || options_.only_sources->contains(update.source));
  }

  // What apt said and what dpkg says must be of the same moment, or the plan would be refused on the host.
  Status facts_fit() const {
    for (const Update& update : updates_.updates) {
      if (is_done(update) || !update.from_version) continue;
      const Package* package = installed(packages_, update.package);
      if (package->version != *update.from_version)
        return unavailable("apt saw " + update.package.text() + " at " + quoted(*update.from_version) + ", dpkg has it at " +
                           quoted(package->version) + " now: the host must look for updates again");
    }
    return {};
  }

  // Adds `update` and all that it needs. False, with why, when something of it is blocked.
  bool close_over(const Update& first, std::set<const Update*>& closure, std::string& obstacle) const {
    std::vector<const Update*> todo = {&first};
    while (!todo.empty()) {
      const Update* update = todo.back();
      todo.pop_back();
      if (!closure.insert(update).second) continue;
      if (update->block) {
        obstacle = update == &first ? block_text(*update) : first.package.text() + " needs " + block_text(*update);
        return false;
      }
      if (update->needs) {
        for (const std::string& name : *update->needs) {
          auto needed = by_name_.find(name);
          if (needed == by_name_.end()) {
            obstacle = first.package.text() + " needs " + quoted(name) + ", which no archive offers";
            return false;
          }
          if (!is_done(*needed->second)) todo.push_back(needed->second);
        }
      } else {
        for (const Update& sibling : updates_.updates)
          if (sibling.source == update->source && sibling.source_version == update->source_version && !sibling.block &&
              !is_done(sibling))
            todo.push_back(&sibling);
      }
    }
    return true;
  }

  // A package that is installed for several architectures moves in all or in none.
  void drop_parted_architectures(Selection& selection, std::map<std::string, bool>& whole) const {
    for (bool again = true; again;) {
      again = false;
      for (auto at = selection.chosen.begin(); at != selection.chosen.end() && !again; ++at) {
        const Update* update = *at;
        for (const Package& other : packages_.packages) {
          if (other.package.name != update->package.name || other.package.arch == update->package.arch ||
              !is_present(other.state))
            continue;
          auto twin = by_name_.find(other.package.text());
          bool moves_along =
              twin != by_name_.end() && selection.chosen.contains(twin->second) && twin->second->to.version == update->to.version;
          if (moves_along || other.version == update->to.version) continue;
          selection.blocked.push_back(update->package.text() + " would part from " + other.package.text() + ", which stays at " +
                                      other.version);
          // Whatever came along with it goes too: a transaction of half a source is worse than none.
          for (auto sibling = selection.chosen.begin(); sibling != selection.chosen.end();)
            sibling = (*sibling)->source == update->source ? selection.chosen.erase(sibling) : std::next(sibling);
          if (auto entry = whole.find(update->source); entry != whole.end()) entry->second = false;
          again = true;
          break;
        }
      }
    }
  }

  const UpdateFacts& updates_;
  const PackageFacts& packages_;
  const PlannerOptions& options_;
  std::map<std::string, const Update*> by_name_;
};

/// The repair of what dpkg left half done, or nothing when dpkg is whole.
Result<std::optional<DpkgRepair>> repair_of(const PackageFacts& packages, const UpdateFacts& updates) {
  DpkgRepair repair;
  bool needed = packages.updates_pending;
  std::vector<std::string> hopeless;
  for (const Package& package : packages.packages) {
    if (!needs_repair(package)) continue;
    needed = true;
    PackageChange change;
    change.package = package.package;
    change.from_version = package.version;
    change.to.version = package.version;
    auto update = std::ranges::find(updates.updates, package.package, &Update::package);
    bool unpack = package.reinst_required || package.state == PackageState::kHalfInstalled;
    if (update != updates.updates.end() && update->from && update->from->version == package.version)
      change.to = *update->from;
    else if (unpack)
      hopeless.push_back(package.package.text() + " " + package.version);
    repair.packages.push_back(std::move(change));
  }
  if (!hopeless.empty())
    return unavailable("dpkg was interrupted and must unpack again, but no archive and no cache has the file of " +
                       list_text(hopeless) + ": install a version by hand that the archives have, then plan again");
  if (!needed) return std::optional<DpkgRepair>();
  std::ranges::sort(repair.packages, {}, &PackageChange::package);
  return std::optional(std::move(repair));
}

struct Restarts {
  std::vector<std::string> yes, no;
};

bool is_active(const UnitFacts* units, const std::string& name) {
  if (!units) return true;  // the executor looks again, and restarts nothing that isn't active
  auto unit = std::ranges::find(units->units, name, &Unit::name);
  return unit != units->units.end() && (unit->active == "active" || unit->active == "reloading");
}

/// Only services are restarted: sockets and mounts run no code.
bool may_restart(const std::string& unit, const UnitFacts* units) {
  return unit.ends_with(".service") && check_unit_name(unit) && !never_restarted(unit) && is_active(units, unit);
}

Restarts restarts_of(const std::set<std::string>& changed, const Basis& basis) {
  Restarts restarts;
  for (const auto& [unit, packages] : basis.processes->unit_packages) {
    if (!check_unit_name(unit)) continue;  // scopes and slices: their processes show as findings
    if (std::ranges::none_of(packages, [&](const std::string& package) { return changed.contains(package); })) continue;
    (may_restart(unit, basis.units) ? restarts.yes : restarts.no).push_back(unit);
  }
  return restarts;
}

bool is_kernel_image(const std::string& name) {
  // Metapackages such as linux-image-amd64 carry no kernel: an image's name goes on with its version. So do unsigned images.
  constexpr std::string_view kPrefix = "linux-image-";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() && name[kPrefix.size()] >= '0' && name[kPrefix.size()] <= '9';
}

RebootNeed reboot_after(const std::vector<PackageChange>& changes, const Basis& basis) {
  bool for_kernel = false, for_userland = false;
  for (const PackageChange& change : changes) {
    const std::string& name = change.package.name;
    for_kernel = for_kernel || is_kernel_image(name) || name.starts_with("firmware-") || name == "intel-microcode" ||
                 name == "amd64-microcode";
    // Code of these runs in processes that nothing but a reboot replaces. PATCHING.md section 5.2, kernel and reboot.
    for_userland = for_userland || name == "libc6" || name == "systemd" || name == "dbus" || name == "dbus-broker";
  }
  if (for_userland) return RebootNeed::kYes;
  if (for_kernel) {
    if (!basis.system) return RebootNeed::kUnknown;
    if (!basis.system->container) return RebootNeed::kYes;
  }
  return basis.kernel ? basis.kernel->reboot : RebootNeed::kUnknown;
}

const Filesystem* filesystem_of(const DiskFacts& disk, std::string_view directory) {
  const Filesystem* best = nullptr;
  for (const Filesystem& filesystem : disk.filesystems) {
    const std::string& mount = filesystem.mount;
    bool holds = mount == "/" || directory == mount ||
                 (directory.starts_with(mount) && directory.size() > mount.size() && directory[mount.size()] == '/');
    if (holds && (!best || mount.size() > best->mount.size())) best = &filesystem;
  }
  return best;
}

/// Space by filesystem: /var holds each staged file twice (the agent's and the executor's copy). Below /usr dpkg unpacks one
/// package beside its old files, so the largest counts whole; new packages count whole; the others may grow, for which a tenth of
/// their size is taken. A version's installed size comes from its control file; where it isn't known, four times the file is
/// taken (deb files are compressed to about a third).
Result<std::vector<SpaceNeed>> space_of(const std::vector<PackageChange>& changes,
                                        const std::map<PackageName, std::uint64_t>& installed_bytes, std::uint64_t staged_bytes,
                                        const DiskFacts& disk) {
  std::uint64_t added = 0, largest = 0, others = 0, boot = 0;
  for (const PackageChange& change : changes) {
    auto known = installed_bytes.find(change.package);
    std::uint64_t bytes = known != installed_bytes.end() && known->second > 0 ? known->second : change.to.size_bytes * 4;
    if (change.from_version) {
      largest = std::max(largest, bytes);
      others += bytes / 10;
    } else {
      added += bytes;
    }
    if (is_kernel_image(change.package.name)) boot += kBootPerKernelBytes;
  }
  std::map<std::string, SpaceNeed> needs;
  for (const auto& [directory, bytes] : {std::pair<std::string_view, std::uint64_t>{"/var", 2 * staged_bytes},
                                         {"/usr", added + largest + others},
                                         {"/boot", boot}}) {
    if (bytes == 0) continue;
    const Filesystem* filesystem = filesystem_of(disk, directory);
    if (!filesystem)
      return unavailable("which filesystem holds " + std::string(directory) + " is not known: the section disk lacks it");
    auto [need, is_new] =
        needs.try_emplace(filesystem->mount, SpaceNeed{filesystem->mount, kSpaceReserveBytes, filesystem->free_bytes});
    need->second.needed_bytes += bytes;
  }
  std::vector<SpaceNeed> list;
  for (auto& [mount, need] : needs) list.push_back(std::move(need));
  return list;
}

std::uint64_t staged_bytes_of(const std::vector<PackageChange>& changes) {
  std::uint64_t bytes = 0;
  for (const PackageChange& change : changes) bytes += change.to.size_bytes + (change.from ? change.from->size_bytes : 0);
  return bytes;
}

/// 1 s a megabyte (8 Mbit/s, a slow line) and 6 s a package (3 s to install on a slow disk, and as long to take it back).
Duration deadline_for(std::uint64_t staged_bytes, std::size_t packages, const PlannerOptions& options) {
  constexpr Duration kMax = std::chrono::hours(24);  // check_plan's limit
  Duration size = std::chrono::seconds(staged_bytes / 1'000'000) + std::chrono::seconds(6 * packages);
  // Whole minutes: plans of a fleet then differ in less, and people read them.
  return std::min<Duration>(kMax, std::chrono::ceil<std::chrono::minutes>(kDeadlineBase + size + 2 * options.stable_for));
}

std::optional<std::string> irreversible_of(const std::vector<PackageChange>& changes) {
  std::vector<std::string> lost;
  for (const PackageChange& change : changes)
    if (change.from_version && !change.from) lost.push_back(change.package.text() + " " + *change.from_version);
  if (lost.empty()) return std::nullopt;
  return "no archive and no cache has the old file of " + list_text(lost);
}

/// Fills what follows from the changes, and checks the whole.
Result<Plan> finish(Plan plan, PackageTransaction transaction, const std::map<PackageName, std::uint64_t>& installed_bytes,
                    const Basis& basis, const PlannerOptions& options) {
  std::set<std::string> changed;
  for (const PackageChange& change : transaction.changes) changed.insert(change.package.text());
  std::vector<PackageChange> touched = transaction.changes;
  for (const Action& action : plan.actions)
    if (action.repair)
      for (const PackageChange& change : action.repair->packages)
        if (change.to.sha256 != Digest{} && !changed.contains(change.package.text())) touched.push_back(change);

  Restarts restarts = restarts_of(changed, basis);
  transaction.restarts = std::move(restarts.yes);
  transaction.not_restarted = std::move(restarts.no);
  plan.reboot_after = reboot_after(transaction.changes, basis);
  plan.download_bytes = staged_bytes_of(touched);
  auto space = space_of(touched, installed_bytes, plan.download_bytes, *basis.disk);
  if (!space) return std::move(space).error();
  plan.space = *std::move(space);
  plan.irreversible = irreversible_of(transaction.changes);
  plan.deadline = deadline_for(plan.download_bytes, touched.size(), options);
  plan.expectation = {options.stable_for, options.health_command};
  if (!transaction.changes.empty()) {
    Action action;
    action.kind = ActionKind::kPackageTransaction;
    action.transaction = std::move(transaction);
    plan.actions.push_back(std::move(action));
  }
  if (auto checked = check_plan(plan); !checked) return std::move(checked).error().during("checking the plan that was made");
  return plan;
}

void add_repair(Plan& plan, const HostId& host, const DpkgRepair& repair, const PackageFacts& packages) {
  Action action;
  action.kind = ActionKind::kDpkgRepair;
  action.repair = repair;
  plan.actions.push_back(std::move(action));
  bool interrupted = packages.updates_pending;
  for (const Package& package : packages.packages) {
    if (!needs_repair(package)) continue;
    plan.findings.push_back(finding_id(host, FindingKind::kBrokenPackage, package.package.text()));
    interrupted = interrupted || package.reinst_required ||
                  (package.state != PackageState::kTriggersAwaited && package.state != PackageState::kTriggersPending);
  }
  if (interrupted) plan.findings.push_back(finding_id(host, FindingKind::kInterruptedDpkg, "dpkg"));
}

}  // namespace

Result<Plan> plan_security_updates(const HostId& host, const HostFacts& facts, const PlannerOptions& options, Instant now) {
  auto basis = basis_of(facts, now);
  if (!basis) return std::move(basis).error();
  auto updates = fresh(facts.updates, Section::kUpdates, now);
  if (!updates) return std::move(updates).error();
  if (!(*updates)->lists_at) return unavailable("the package lists were never fetched: what is missing is not known");
  if (now - *(*updates)->lists_at > kFactsAgeMax)
    return unavailable("the package lists are from " + to_rfc3339(*(*updates)->lists_at) + ", older than " +
                       to_text(kFactsAgeMax) + ": the host must fetch them first");

  auto repair = repair_of(*basis->packages, **updates);
  if (!repair) return std::move(repair).error();
  auto selection = UpdateSelector(**updates, *basis->packages, options).select();
  if (!selection) return std::move(selection).error();
  if (selection->chosen.empty() && !*repair) {
    if (!selection->blocked.empty()) return denied("every missing security update is blocked: " + list_text(selection->blocked));
    return not_found(std::string("no security update is missing") + (options.only_sources ? " of the packages asked for" : "") +
                     ", as of lists fetched at " + to_rfc3339(*(*updates)->lists_at));
  }

  Plan plan;
  plan.host = host;
  plan.created = now;
  plan.purpose = selection->chosen.empty() ? "repair of dpkg"
                 : *repair                 ? "repair of dpkg, then security updates"
                                           : "security updates";
  if (*repair) add_repair(plan, host, **repair, *basis->packages);

  PackageTransaction transaction;
  std::map<PackageName, std::uint64_t> installed_bytes;
  for (const Update* update : selection->chosen) {
    transaction.changes.push_back({update->package, update->from_version, update->from, update->to});
    installed_bytes[update->package] = update->installed_size_kib * 1024;
    if (update->conffiles)
      transaction.conffiles.insert(transaction.conffiles.end(), update->conffiles->begin(), update->conffiles->end());
  }
  std::ranges::sort(transaction.changes, {}, &PackageChange::package);
  std::ranges::sort(transaction.conffiles, {}, &ConffileChange::path);
  for (const std::string& source : selection->whole_sources)
    plan.findings.push_back(finding_id(host, FindingKind::kMissingSecurityUpdate, source));
  std::ranges::sort(plan.findings);
  return finish(std::move(plan), std::move(transaction), installed_bytes, *basis, options);
}

Result<Plan> plan_restarts(const HostId& host, const HostFacts& facts, const PlannerOptions& options, Instant now) {
  auto processes = fresh(facts.processes, Section::kProcesses, now);
  if (!processes) return std::move(processes).error();
  auto units = fresh(facts.units, Section::kUnits, now);
  if (!units) return std::move(units).error();
  std::map<std::string, std::string> reasons;  // unit -> one file that it runs from
  std::set<std::string> left;
  for (const StaleProcess& process : (*processes)->stale) {
    if (process.user_session || !process.unit) {
      left.insert(process.user_session ? "people's sessions" : "processes without a unit");
      continue;
    }
    if (options.only_units && !options.only_units->contains(*process.unit)) continue;
    if (!may_restart(*process.unit, *units)) {
      left.insert(*process.unit);
      continue;
    }
    std::string file = process.files.empty() ? "a replaced file" : process.files.front() + ", which was replaced";
    auto [at, is_new] = reasons.emplace(*process.unit, file);
    if (!is_new) at->second = std::min(at->second, file);
  }
  if (reasons.empty()) {
    if (!left.empty())
      return denied("only what Prunella never restarts runs old code: " + list_text({left.begin(), left.end()}) +
                    "; a person or a reboot renews it");
    return not_found("no unit runs old code, as of " + to_rfc3339(facts.processes->at));
  }

  Plan plan;
  plan.host = host;
  plan.created = now;
  plan.purpose = "restarts of units that run old code";
  for (const auto& [unit, file] : reasons) {
    if (plan.actions.size() == kPlanActionsMax) break;
    Action action;
    action.kind = ActionKind::kServiceRestart;
    action.restart = ServiceRestart{unit, "it runs code from " + file};
    plan.actions.push_back(std::move(action));
    plan.findings.push_back(finding_id(host, FindingKind::kRestartNeeded, unit));
  }
  std::ranges::sort(plan.findings);
  const KernelFacts* kernel = value(facts.kernel);
  plan.reboot_after = kernel ? kernel->reboot : RebootNeed::kUnknown;
  plan.expectation = {options.stable_for, options.health_command};
  plan.deadline = kDeadlineBase + 2 * options.stable_for;
  if (auto checked = check_plan(plan); !checked) return std::move(checked).error().during("checking the plan that was made");
  return plan;
}

Result<Plan> plan_undo(const Plan& done, const HostFacts& facts, const PlannerOptions& options, Instant now) {
  auto basis = basis_of(facts, now);
  if (!basis) return std::move(basis).error();
  Plan plan;
  plan.host = done.host;
  plan.created = now;
  plan.purpose = "taking back: " + done.purpose;
  PackageTransaction transaction;
  for (const Action& action : done.actions) {
    if (!action.transaction) continue;
    for (const PackageChange& change : action.transaction->changes) {
      if (!change.from_version) continue;
      if (!change.from)
        return denied("there is no way back: the old file of " + change.package.text() + " " + *change.from_version +
                      " is not known");
      const Package* package = installed(*basis->packages, change.package);
      if (!package || package->version != change.to.version)
        return conflict(change.package.text() + " was left at " + quoted(change.to.version) + " and is " +
                        (package ? "at " + quoted(package->version) : std::string("not installed")) +
                        " now: it can't be taken back");
      transaction.changes.push_back({change.package, change.to.version, change.to, *change.from});
    }
  }
  if (transaction.changes.empty())
    return not_found("the plan changed no package that had an older version: there is nothing to take back");
  std::ranges::sort(transaction.changes, {}, &PackageChange::package);
  return finish(std::move(plan), std::move(transaction), {}, *basis, options);
}

}  // namespace prunella
