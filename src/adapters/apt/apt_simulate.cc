#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "adapters/apt/apt_files.h"
#include "adapters/apt/apt_view.h"
#include "base/text.h"
#include "observe/dpkg_status.h"
#include "observe/relations.h"

namespace prunella {

namespace {

// 5,000 names of a command line: 250 kB, an eighth of what Linux allows.
inline constexpr std::size_t kNamesPerCallMax = 5000;
// 64: security updates that need others than security updates are few; beyond that what each needs stays unasked.
inline constexpr std::size_t kNeedsAskedMax = 64;

std::string apt_name(const PackageName& package, const std::string& native) {
  return package.arch == native || package.arch == "all" ? package.name : package.text();
}

// The policies by the name that was asked for.
class Policies {
 public:
  Policies(std::vector<PackagePolicy> policies, const std::string& native) {
    for (PackagePolicy& policy : policies) {
      std::string name = policy.arch && *policy.arch != native ? policy.name + ":" + *policy.arch : policy.name;
      by_name_[name] = std::move(policy);
    }
  }
  const PackagePolicy* find(const std::string& name) const {
    auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &found->second;
  }
  void add(Policies other) { by_name_.merge(other.by_name_); }

 private:
  std::map<std::string, PackagePolicy> by_name_;
};

// What the indices' descriptions stand for.
class Archives {
 public:
  Archives(const std::vector<IndexTarget>& targets, std::string os_codename) : os_codename_(std::move(os_codename)) {
    for (const IndexTarget& target : targets) by_index_.emplace(target.description, &target);
  }

  bool is_security(const Offer& offer) const {
    const IndexTarget* target = find(offer);
    return target && is_security_archive(*target);
  }
  // An archive that the host's own release is made of, so that a pin on it is worth telling.
  bool is_own_release(const Offer& offer) const {
    const IndexTarget* target = find(offer);
    if (!target || !target->codename) return false;
    const std::string& name = *target->codename;
    return name == os_codename_ || name == os_codename_ + "-updates" || (is_security_archive(*target) && name.starts_with(os_codename_));
  }
  // As apt names it in a simulation: "Debian-Security:12/oldstable-security".
  std::string name_of(const OfferedVersion& version) const {
    const IndexTarget* best = nullptr;
    for (const Offer& offer : version.offers)
      if (const IndexTarget* target = find(offer); target && (!best || (is_security_archive(*target) && !is_security_archive(*best)))) best = target;
    if (!best) return "unknown";
    return best->label.value_or(best->repo_uri) + ":" + best->suite.value_or(best->release);
  }

 private:
  const IndexTarget* find(const Offer& offer) const {
    auto found = by_index_.find(offer.index);
    return found == by_index_.end() ? nullptr : found->second;
  }
  std::map<std::string, const IndexTarget*> by_index_;
  std::string os_codename_;
};

std::size_t place_of(const PackagePolicy& policy, const std::string& version) {
  auto found = std::ranges::find(policy.versions, version, &OfferedVersion::version);
  return static_cast<std::size_t>(found - policy.versions.begin());
}

// The versions from `to` down to just above what is installed: what an update to `to` brings along.
bool brings_security_fix(const PackagePolicy& policy, const std::string& to, const std::optional<std::string>& installed, const Archives& archives) {
  std::size_t first = place_of(policy, to);
  std::size_t end = installed ? place_of(policy, *installed) : std::min(first + 1, policy.versions.size());
  for (std::size_t i = first; i < end && i < policy.versions.size(); ++i)
    for (const Offer& offer : policy.versions[i].offers)
      if (archives.is_security(offer)) return true;
  return false;
}

// The version of a package that would be told of, and what stands against it.
struct Choice {
  PackageName package;                  // as it is, or would be, installed
  std::optional<std::string> from;
  std::string to;
  std::optional<Block> block;
  bool security = false;
  std::string archive;
};

std::string removal_names(const AptSimulation& full) {
  std::vector<std::string> names;
  for (const SimulatedRemoval& removal : full.removals) {
    if (names.size() == 10) {
      names.push_back("...");
      break;
    }
    names.push_back(removal.name);
  }
  return join(names, ", ");
}

// Everything that a choice is made from.
struct Outlook {
  const AptSimulation& plain;                 // without removals
  const AptSimulation& full;                  // dist-upgrade
  const std::optional<std::string>& trouble;  // apt can't plan at all: its words
  const Policies& policies;
  const Archives& archives;
  const std::string& native;
};

bool installs(const AptSimulation& simulation, const std::string& name, const std::string& version, const std::string& native) {
  return std::ranges::any_of(simulation.installs, [&](const SimulatedInstall& i) {
    return i.to_version == version && apt_name(i.package, native) == name;
  });
}

Block block_of(const Package& package, const OfferedVersion& offered, const std::string& name, const Outlook& outlook) {
  if (package.selection == PackageSelection::kHold) return {BlockKind::kHeld, "held (dpkg's selection, set by apt-mark hold)"};
  if (outlook.trouble) return {BlockKind::kKeptBack, "apt can't plan an upgrade: " + *outlook.trouble};
  bool named_phased = std::ranges::find(outlook.full.phased, name) != outlook.full.phased.end();
  if (installs(outlook.full, name, offered.version, outlook.native))
    return {BlockKind::kNeedsRemoval, "installing it would remove: " + removal_names(outlook.full)};
  if (named_phased || (offered.phased_percent && *offered.phased_percent < 100))
    return {BlockKind::kPhased, offered.phased_percent ? "phased at " + std::to_string(*offered.phased_percent) + " %" : "phased"};
  return {BlockKind::kKeptBack, "apt keeps it back: what it depends on can't be installed beside what is there"};
}

// The newest version of the host's own release that is above what apt would choose.
const OfferedVersion* pinned_version(const PackagePolicy& policy, const std::string& installed, const Archives& archives) {
  std::size_t end = place_of(policy, installed);
  if (policy.candidate) end = std::min(end, place_of(policy, *policy.candidate));
  for (std::size_t i = 0; i < end && i < policy.versions.size(); ++i)
    if (std::ranges::any_of(policy.versions[i].offers, [&](const Offer& o) { return archives.is_own_release(o); })) return &policy.versions[i];
  return nullptr;
}

std::optional<Choice> choose(const Package& package, const Outlook& outlook) {
  std::string name = apt_name(package.package, outlook.native);
  const PackagePolicy* policy = outlook.policies.find(name);
  if (!policy) return std::nullopt;
  std::size_t here = place_of(*policy, package.version);
  std::optional<Choice> choice;
  if (policy->candidate && place_of(*policy, *policy->candidate) < here) {
    const OfferedVersion& offered = policy->versions[place_of(*policy, *policy->candidate)];
    choice = Choice{package.package, package.version, offered.version, std::nullopt, false, outlook.archives.name_of(offered)};
    choice->security = brings_security_fix(*policy, offered.version, package.version, outlook.archives);
    if (!installs(outlook.plain, name, offered.version, outlook.native)) choice->block = block_of(package, offered, name, outlook);
  }
  const OfferedVersion* pinned = pinned_version(*policy, package.version, outlook.archives);
  if (!pinned) return choice;
  bool security = brings_security_fix(*policy, pinned->version, package.version, outlook.archives);
  if (choice && (choice->security || !security)) return choice;
  std::string detail = policy->pin ? "pinned to " + *policy->pin : "its priority " + std::to_string(pinned->priority) + " is below that of the version apt prefers";
  return Choice{package.package, package.version, pinned->version, Block{BlockKind::kPinned, detail}, security, outlook.archives.name_of(*pinned)};
}

const PackageRecord* find_record(const std::vector<PackageRecord>& records, const PackageName& package, const std::string& version,
                                 const std::string& native) {
  auto same = [&](const PackageRecord& r) {
    return r.package.name == package.name && r.version == version && apt_name(r.package, native) == apt_name(package, native);
  };
  auto with_digest = std::ranges::find_if(records, [&](const PackageRecord& r) { return same(r) && r.sha256 && r.size_bytes; });
  if (with_digest != records.end()) return &*with_digest;
  auto any = std::ranges::find_if(records, same);
  return any == records.end() ? nullptr : &*any;
}

std::optional<DebFile> file_of(const PackageRecord* record) {
  if (!record || !record->sha256 || !record->size_bytes) return std::nullopt;
  return DebFile{record->version, *record->sha256, *record->size_bytes};
}

void add_block(Update& update, BlockKind kind, std::string detail) {
  if (!update.block) update.block = Block{kind, std::move(detail)};
}

std::string removal_text(const SimulatedRemoval& removal, const PackageFacts& packages, const std::string& native) {
  if (removal.arch) return removal.name + ":" + *removal.arch;
  for (const Package& package : packages.packages)
    if (package.package.name == removal.name && (package.package.arch == native || package.package.arch == "all")) return package.package.text();
  return removal.name + ":" + native;
}

std::vector<std::string> names_of(const std::set<std::size_t>& indices, const std::vector<Update>& updates) {
  std::vector<std::string> names;
  for (std::size_t i : indices) names.push_back(updates[i].package.text());
  std::ranges::sort(names);
  return names;
}

// The other updates that apt would install along. Nothing when it refuses the one alone or would remove something for it: its plan
// is made of all updates then.
std::optional<std::vector<std::string>> asked_needs(const std::vector<Update>& updates, const Update& update, const Result<AptSimulation>& alone) {
  if (!alone || !alone->removals.empty()) return std::nullopt;
  std::vector<std::string> needs;
  for (const SimulatedInstall& install : alone->installs) {
    auto listed = std::ranges::find_if(updates, [&](const Update& u) { return u.package == install.package && u.to.version == install.to_version; });
    if (listed != updates.end() && listed->package != update.package) needs.push_back(listed->package.text());
  }
  std::ranges::sort(needs);
  return needs;
}

}  // namespace

Result<std::vector<PackagePolicy>> AptView::policies(const std::vector<std::string>& names) const {
  std::vector<PackagePolicy> all;
  for (std::size_t at = 0; at < names.size(); at += kNamesPerCallMax) {
    std::vector<std::string> arguments = {"policy"};
    arguments.insert(arguments.end(), names.begin() + at, names.begin() + std::min(names.size(), at + kNamesPerCallMax));
    auto output = output_of(call("apt-cache", std::move(arguments)));
    if (!output) return std::move(output).error();
    auto parsed = parse_apt_policy(*output);
    if (!parsed) return std::move(parsed).error();
    std::ranges::move(*parsed, std::back_inserter(all));
  }
  return all;
}

Result<std::vector<PackageRecord>> AptView::records(const std::vector<std::string>& versions) const {
  std::vector<PackageRecord> all;
  for (std::size_t at = 0; at < versions.size(); at += kNamesPerCallMax) {
    std::vector<std::string> arguments = {"show"};
    arguments.insert(arguments.end(), versions.begin() + at, versions.begin() + std::min(versions.size(), at + kNamesPerCallMax));
    auto output = output_of(call("apt-cache", std::move(arguments)));
    if (!output) return std::move(output).error();
    auto parsed = parse_package_records(*output);
    if (!parsed) return std::move(parsed).error();
    std::ranges::move(*parsed, std::back_inserter(all));
  }
  return all;
}

Result<AptSimulation> AptView::simulation(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), "--simulate");
  auto output = output_of(call("apt-get", std::move(arguments)));
  if (!output) return std::move(output).error();
  return parse_apt_simulation(*output);
}

// The installed version's file from the host's cache of downloads. It is hashed once as long as it doesn't change.
std::optional<DebFile> AptView::cached_file(const PackageName& package, const std::string& version) {
  std::string path = places_.archives + "/" + deb_file_name(package, version);
  auto mark = apt_files::mark_of(path);
  if (!mark) return std::nullopt;
  Hashed& known = hashed_[path];
  if (known.size != mark->size || known.modified_ns != mark->modified_ns) {
    auto digest = apt_files::hash_file(path);
    if (!digest) return std::nullopt;
    known = {mark->size, mark->modified_ns, *digest};
  }
  return DebFile{version, known.digest, known.size};
}

// Which other updates each security update brings along. Where they are all security updates, relationships tell; where one is not,
// apt is asked, so that nothing comes along that need not.
void AptView::fill_needs(std::vector<Update>& updates, const std::vector<PackageRecord>& records, const std::string& native,
                         const VersionOrder& order) const {
  // Blocked updates are not made, so that they bring nothing along and nothing brings them.
  std::vector<std::size_t> free;
  std::vector<Step> steps;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const Update& update = updates[i];
    if (update.block) continue;
    Step step;
    if (const PackageRecord* after = find_record(records, update.package, update.to.version, native)) step.after = *after;
    if (update.from_version)
      if (const PackageRecord* before = find_record(records, update.package, *update.from_version, native)) step.before = *before;
    free.push_back(i);
    steps.push_back(std::move(step));
  }
  std::vector<std::set<std::size_t>> edges = need_edges(steps, order);
  std::size_t asked = 0;
  for (std::size_t k = 0; k < free.size(); ++k) {
    Update& update = updates[free[k]];
    if (!update.security) continue;
    std::set<std::size_t> along;
    for (std::size_t other : reachable(edges, k)) along.insert(free[other]);
    if (std::ranges::all_of(along, [&](std::size_t i) { return updates[i].security; }))
      update.needs = names_of(along, updates);
    else if (++asked <= kNeedsAskedMax)
      update.needs = asked_needs(updates, update, simulation({"install", apt_name(update.package, native) + "=" + update.to.version}));
  }
}

Result<UpdateFacts> AptView::simulate(const PackageFacts& packages, const std::string& os_codename, const VersionOrder& order) {
  auto native = native_architecture(packages);
  if (!native) return not_found("the native architecture: no package dpkg is installed");
  auto wanted = targets(Presence::kWanted);
  if (!wanted) return std::move(wanted).error();
  auto present = targets(Presence::kFetched);
  if (!present) return std::move(present).error();

  std::vector<std::string> names;
  for (const Package& package : packages.packages)
    if (is_present(package.state) && !package.version.empty()) names.push_back(apt_name(package.package, *native));
  auto policy_list = policies(names);
  if (!policy_list) return std::move(policy_list).error();
  Policies known(*std::move(policy_list), *native);
  Archives archives(*present, os_codename);

  // A full upgrade that removes nothing is what an upgrade without removals would do: one simulation is enough then.
  std::optional<std::string> trouble;
  AptSimulation full, plain;
  if (auto simulated = simulation({"dist-upgrade"})) full = *std::move(simulated);
  else if (simulated.error().kind() == ErrorKind::kUnavailable) trouble = simulated.error().text();
  else return std::move(simulated).error();
  plain = full;
  if (!full.removals.empty()) {
    auto simulated = simulation({"upgrade", "--with-new-pkgs"});
    if (!simulated) return std::move(simulated).error();
    plain = *std::move(simulated);
  }

  Outlook outlook{plain, full, trouble, known, archives, *native};
  std::vector<Choice> choices;
  for (const Package& package : packages.packages)
    if (is_present(package.state) && !package.version.empty())
      if (auto choice = choose(package, outlook)) choices.push_back(*std::move(choice));
  std::vector<std::string> added;
  for (const SimulatedInstall& install : plain.installs)
    if (!install.from_version) added.push_back(apt_name(install.package, *native));
  if (!added.empty()) {
    auto more = policies(added);
    if (!more) return std::move(more).error();
    known.add(Policies(*std::move(more), *native));
  }
  for (const SimulatedInstall& install : plain.installs) {
    if (install.from_version) continue;
    const PackagePolicy* policy = known.find(apt_name(install.package, *native));
    if (!policy) continue;
    std::size_t place = place_of(*policy, install.to_version);
    if (place == policy->versions.size()) continue;
    choices.push_back({install.package, std::nullopt, install.to_version, std::nullopt,
                       brings_security_fix(*policy, install.to_version, std::nullopt, archives), archives.name_of(policy->versions[place])});
  }

  std::vector<std::string> asked;
  for (const Choice& choice : choices) {
    asked.push_back(apt_name(choice.package, *native) + "=" + choice.to);
    if (choice.from) asked.push_back(apt_name(choice.package, *native) + "=" + *choice.from);
  }
  std::vector<PackageRecord> record_list;
  if (!asked.empty()) {
    auto shown = records(asked);
    if (!shown) return std::move(shown).error();
    record_list = *std::move(shown);
  }

  UpdateFacts facts;
  for (const Choice& choice : choices) {
    const PackageRecord* after = find_record(record_list, choice.package, choice.to, *native);
    if (!after) return unavailable("apt offers " + choice.package.text() + " " + choice.to + " and has no record of it");
    Update update;
    update.package = after->package;
    update.from_version = choice.from;
    update.block = choice.block;
    update.security = choice.security;
    update.archive = choice.archive;
    update.source = after->source;
    update.source_version = after->source_version;
    update.installed_size_kib = after->installed_size_kib.value_or(0);
    auto to = file_of(after);
    if (to) update.to = *to;
    else update.to.version = choice.to;
    if (!to) add_block(update, BlockKind::kKeptBack, "its archive's index has no SHA-256 digest of it");
    if (update.package.arch != choice.package.arch)
      add_block(update, BlockKind::kKeptBack, "its architecture changes from " + choice.package.arch + " to " + update.package.arch);
    if (choice.from) {
      update.from = file_of(find_record(record_list, choice.package, *choice.from, *native));
      if (!update.from) update.from = cached_file(choice.package, *choice.from);
      auto installed = std::ranges::find_if(packages.packages, [&](const Package& p) { return p.package == choice.package; });
      if (installed != packages.packages.end()) {
        auto remembered = changelogs_.find(update.source + " " + installed->source_version + " " + update.source_version);
        if (remembered != changelogs_.end()) {
          update.cves = remembered->second.cves;
          update.changelog_read = remembered->second.complete;
        }
      }
    }
    facts.updates.push_back(std::move(update));
  }
  std::ranges::sort(facts.updates, {}, &Update::package);
  fill_needs(facts.updates, record_list, *native, order);
  for (const SimulatedRemoval& removal : full.removals) facts.removals.push_back(removal_text(removal, packages, *native));
  std::ranges::sort(facts.removals);
  facts.repositories = repositories_of(*wanted, *present, {});
  for (Repository& repository : facts.repositories)
    for (const Repository& last : repositories_)
      if (last.uri == repository.uri && last.suite == repository.suite && last.state != RepositoryState::kOk) {
        repository.state = last.state;
        repository.detail = last.detail;
      }
  facts.lists_at = lists_at_;
  return facts;
}

}  // namespace prunella
