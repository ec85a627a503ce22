#include "model_host.h"

#include <algorithm>

namespace prunella::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

ModelHost::ModelHost(Scheduler& scheduler, Running& user, HostEvents& events, Dice& dice, Setting setting)
    : scheduler_(scheduler), user_(user), events_(events), dice_(dice), setting_(std::move(setting)) {
  const Catalogue& catalogue = Catalogue::get();
  for (const auto& [name, version] : catalogue.installed()) {
    const Deb& deb = catalogue.deb(name, version);
    ModelPackage package;
    package.version = package.disk_version = version;
    for (const PackagedPath& path : deb.paths) {
      package.owned.push_back(path.path);
      files[path.path] = path.directory ? directory(path.path) : regular(path.path, *path.sha256);
    }
    table.emplace(name, std::move(package));
  }
  units["app.service"].maps = {"libssl3"};
  units["backup.service"].maps = {"openssl"};
  units["backup.service"].on_demand = true;
  units["cron.service"].maps = {};
  units["nginx.service"].maps = {"libssl3", "nginx"};
  units["ssh.service"].maps = {"libssl3"};
}

FileState ModelHost::regular(const std::string& path, const Digest& content) const { return {path, FileKind::kRegular, content, 0644, 0, 0, {}, {}}; }
FileState ModelHost::directory(const std::string& path) const { return {path, FileKind::kDirectory, {}, 0755, 0, 0, {}, {}}; }

void ModelHost::step(std::string_view what, Duration at_most) {
  user_.point(what);
  if (at_most > Duration(0)) user_.pause(dice_.wait(milliseconds(1), at_most));
}

// ---- packages ----------------------------------------------------------------------------------------------------------------

Result<PackageFacts> ModelHost::packages() {
  PackageFacts facts;
  for (const auto& [name, package] : table) {
    Package one;
    one.package = amd64(name);
    one.version = package.version;
    one.source = Catalogue::get().source_of(name);
    one.source_version = package.version;
    one.state = package.state;
    one.reinst_required = package.state == PackageState::kHalfInstalled;
    one.selection = package.selection;
    facts.packages.push_back(std::move(one));
  }
  facts.updates_pending = updates_pending;
  return facts;
}

Result<std::optional<LockHolder>> ModelHost::lock() {
  user_.point("lock");
  if (foreign_) return foreign_;
  locked_ = true;
  return std::optional<LockHolder>();
}

Result<std::vector<std::string>> ModelHost::paths(const PackageName& package) {
  auto found = table.find(package.name);
  if (found == table.end()) return not_found(package.text() + " isn't installed");
  return found->second.owned;
}

Status ModelHost::unpack(const Deb& deb) {
  auto made = table.find(deb.package.name);
  bool is_new = made == table.end();
  ModelPackage& package = is_new ? table[deb.package.name] : made->second;
  if (is_new) package.version = deb.file.version;
  package.state = PackageState::kHalfInstalled;
  events_.changed(Section::kPackages);
  step("dpkg half-installed", milliseconds(200));
  // Source: deb-postinst(5) and dpkg's main/archives.c: each file is written beside its place, then all are renamed.
  for (const PackagedPath& path : deb.paths) {
    if (disk.full) return unavailable("dpkg: cannot copy extracted data for '" + path.path + "': No space left on device");
    if (path.directory)
      files.emplace(path.path, directory(path.path));
    else
      files[path.path + ".dpkg-new"] = regular(path.path + ".dpkg-new", *path.sha256);
    step("dpkg extract", Duration(0));
  }
  step("dpkg extracted", milliseconds(400));
  for (const PackagedPath& path : deb.paths) {
    if (path.directory || path.path == deb.conffile) continue;  // a conffile waits for the configuration
    files[path.path] = regular(path.path, *path.sha256);
    files.erase(path.path + ".dpkg-new");
    if (path.path.ends_with("/main")) {
      package.disk_version = deb.file.version;
      ++package.replaced;
    }
    step("dpkg rename", Duration(0));
  }
  // What the old version had and this one has not goes, children before their directories.
  std::set<std::string> now_owned;
  for (const PackagedPath& path : deb.paths) now_owned.insert(path.path);
  for (auto old = package.owned.rbegin(); old != package.owned.rend(); ++old) {
    if (now_owned.contains(*old)) continue;
    files.erase(*old);
    step("dpkg remove old", Duration(0));
  }
  package.owned.assign(now_owned.begin(), now_owned.end());
  package.version = deb.file.version;
  package.state = PackageState::kUnpacked;
  events_.changed(Section::kPackages);
  step("dpkg unpacked", milliseconds(100));
  return {};
}

Harm ModelHost::harm_of(const std::string& package) const {
  auto found = setting_.harm.find(package);
  auto there = table.find(package);
  if (found == setting_.harm.end() || there == table.end()) return Harm::kNone;
  auto offered = Catalogue::get().offered().find(package);
  return there->second.disk_version == offered->second ? found->second : Harm::kNone;
}

Status ModelHost::configure(const std::string& name, bool may_fail) {
  ModelPackage& package = table.at(name);
  const Deb& deb = Catalogue::get().deb(name, package.version);
  package.state = PackageState::kHalfConfigured;
  step("dpkg half-configured", milliseconds(300));
  if (!deb.conffile.empty()) {
    auto fresh = files.find(deb.conffile + ".dpkg-new");
    if (fresh != files.end()) {
      auto there = files.find(deb.conffile);
      // Somebody changed it: his stays, the package's goes beside it (--force-confold).
      bool local = there != files.end() && edited.contains(deb.conffile);
      std::string place = local ? deb.conffile + ".dpkg-dist" : deb.conffile;
      files[place] = regular(place, *fresh->second.sha256);
      files.erase(deb.conffile + ".dpkg-new");
      step("dpkg conffile", Duration(0));
    }
  }
  if (may_fail && harm_of(name) == Harm::kScript) return unavailable("dpkg: error processing package " + name + " (--configure)");
  if (!deb.service.empty() && setting_.script_restarts) start_unit(deb.service);
  package.state = PackageState::kInstalled;
  events_.changed(Section::kPackages);
  step("dpkg configured", milliseconds(100));
  return {};
}

Status ModelHost::configure_all(bool may_fail) {
  Status first;
  updates_pending = false;
  for (auto& [name, package] : table) {
    if (package.state != PackageState::kUnpacked && package.state != PackageState::kHalfConfigured) continue;
    if (auto done = configure(name, may_fail); !done && first) first = std::move(done);
  }
  return first;
}

Status ModelHost::upgrade(const std::vector<DebFile>& debs, const ToolWatch& watch) {
  std::vector<std::string> subjects;
  std::vector<const Deb*> list;
  for (const DebFile& file : debs) {
    const Deb* deb = Catalogue::get().find(file.sha256);
    if (!deb || !staged_.contains(file.sha256)) return unavailable("apt-get: no staged file " + file.sha256.brief());
    list.push_back(deb);
    subjects.push_back(deb->package.name);
  }
  events_.touching(Touch::kUpgrade, subjects);
  int done = 0;
  for (const Deb* deb : list) {
    if (watch.progress) watch.progress("Unpacking " + deb->package.name, static_cast<std::uint32_t>(100 * done++ / (2 * list.size())));
    if (auto unpacked = unpack(*deb); !unpacked) return unpacked;
  }
  for (const Deb* deb : list) {
    if (watch.progress) watch.progress("Setting up " + deb->package.name, static_cast<std::uint32_t>(100 * done++ / (2 * list.size())));
    if (auto configured = configure(deb->package.name, true); !configured) return configured;
  }
  return {};
}

void ModelHost::purge(const Removal& removal) {
  auto found = table.find(removal.package.name);
  if (found == table.end()) return;
  for (auto path = found->second.owned.rbegin(); path != found->second.owned.rend(); ++path) {
    files.erase(*path);
    step("dpkg purge", Duration(0));
  }
  table.erase(removal.package.name);
  events_.changed(Section::kPackages);
}

Status ModelHost::restore(const std::vector<DebFile>& debs, const std::vector<Removal>& added, const ToolWatch&) {
  std::vector<std::string> subjects;
  std::vector<const Deb*> list;
  for (const DebFile& file : debs) {
    const Deb* deb = Catalogue::get().find(file.sha256);
    if (!deb || !staged_.contains(file.sha256)) return unavailable("dpkg: no staged file " + file.sha256.brief());
    list.push_back(deb);
    subjects.push_back(deb->package.name);
  }
  for (const Removal& removal : added) subjects.push_back(removal.package.name);
  events_.touching(Touch::kRestore, subjects);
  Status first;
  for (const Deb* deb : list)
    if (auto unpacked = unpack(*deb); !unpacked && first) first = std::move(unpacked);
  for (const Removal& removal : added) purge(removal);
  // A failing script may also stand in the way back: the first configuration fails, a second one passes.
  auto configured = configure_all(true);
  return first ? configured : first;
}

// ---- staging -----------------------------------------------------------------------------------------------------------------

Status ModelHost::stage(const DebFile& file) {
  step("stage", milliseconds(60));
  if (staged_.contains(file.sha256)) return {};
  bool there = std::ranges::any_of(agent_stage, [&](const auto& run) { return run.second.contains(file.sha256); });
  if (!there) return not_found("the agent has staged no " + file.sha256.brief());
  if (spoilt.contains(file.sha256)) return corrupt("the content isn't " + file.sha256.brief());
  if (disk.full) return exhausted("No space left on device");
  staged_.insert(file.sha256);
  return {};
}

Result<std::vector<PackagedPath>> ModelHost::contents(const PackageName&, const DebFile& file) {
  const Deb* deb = Catalogue::get().find(file.sha256);
  if (!deb || !staged_.contains(file.sha256)) return corrupt("dpkg-deb can't read " + file.sha256.brief());
  return deb->paths;
}

void ModelHost::clear() {
  user_.point("stage clear");
  staged_.clear();
  kept_.clear();
}

// ---- files -------------------------------------------------------------------------------------------------------------------

Result<FileState> ModelHost::look(const std::string& path) {
  auto found = files.find(path);
  if (found == files.end()) return FileState{path, FileKind::kAbsent, {}, 0, 0, 0, {}, {}};
  return found->second;
}

Status ModelHost::keep(const FileState& state) {
  user_.point("keep");
  auto there = files.find(state.path);
  if (there == files.end() || there->second != state) return conflict(state.path + " changed");
  if (disk.full) return exhausted("No space left on device");
  kept_[state.path] = state;
  return {};
}

Status ModelHost::put_back(const FileState& state) {
  events_.touching(Touch::kPutBack, {state.path});
  user_.point("put back");
  auto there = files.find(state.path);
  bool right_content = there != files.end() && there->second.sha256 == state.sha256;
  auto kept = kept_.find(state.path);
  bool have = kept != kept_.end() && kept->second.sha256 == state.sha256;
  if (state.kind == FileKind::kRegular && !right_content && !have) return not_found("no saved content of " + state.path);
  files[state.path] = state;
  user_.point("put back done");
  return {};
}

Status ModelHost::remove(const std::string& path) {
  events_.touching(Touch::kRemove, {path});
  user_.point("remove");
  auto child = files.upper_bound(path + "/");
  if (child != files.end() && child->first.starts_with(path + "/")) return conflict(path + " isn't empty");
  files.erase(path);
  user_.point("removed");
  return {};
}

Result<std::uint64_t> ModelHost::free_bytes(const std::string&) { return disk.full ? 0 : 10'000'000'000; }

// ---- units -------------------------------------------------------------------------------------------------------------------

Result<std::vector<UnitState>> ModelHost::list() {
  std::vector<UnitState> states;
  for (const auto& [name, unit] : units) {
    UnitState state;
    state.unit.name = name;
    state.unit.load = "loaded";
    state.unit.active = unit.active;
    state.unit.sub = unit.active == "active" ? "running" : unit.active == "failed" ? "failed" : "dead";
    state.unit.result = unit.active == "failed" ? "exit-code" : "success";
    state.unit.restarts = unit.restarts;
    state.unit.invocation = name + "-" + std::to_string(unit.invocation);
    state.on_demand = unit.on_demand;
    states.push_back(std::move(state));
  }
  return states;
}

void ModelHost::fail_unit(const std::string& name) {
  ModelUnit& unit = units.at(name);
  if (unit.active != "active") return;
  unit.active = "failed";
  failed_at[name] = scheduler_.now();
  events_.note(name + " failed");
  events_.changed(Section::kUnits);
}

void ModelHost::start_unit(const std::string& name) {
  ModelUnit& unit = units.at(name);
  unit.active = "active";
  ++unit.invocation;
  unit.started = scheduler_.now();
  Harm harm = Harm::kNone;
  for (const std::string& package : unit.maps) {
    unit.mapped[package] = table.contains(package) ? table.at(package).replaced : 0;
    if (Harm one = harm_of(package); one != Harm::kNone) harm = one;
  }
  events_.changed(Section::kUnits);
  events_.changed(Section::kProcesses);
  auto fails_in = [&](Duration time) {
    scheduler_.after(time, [this, name, invocation = unit.invocation] {
      if (units.at(name).invocation == invocation) fail_unit(name);
    });
  };
  switch (harm) {
    case Harm::kNone:
    case Harm::kHealthCommand:
    case Harm::kScript: break;
    case Harm::kAtOnce: fail_unit(name); break;
    case Harm::kSoon: fails_in(dice_.wait(seconds(2), seconds(8))); break;
    case Harm::kLate: fails_in(dice_.wait(seconds(25), seconds(80))); break;
  }
}

Status ModelHost::restart(const std::string& unit, const ToolWatch&) {
  if (!units.contains(unit)) return unavailable(unit + " isn't loaded");
  events_.touching(Touch::kRestart, {unit});
  user_.point("restart");
  start_unit(unit);  // systemd goes on with it whatever becomes of us
  user_.pause(dice_.wait(milliseconds(100), milliseconds(2000)));
  user_.point("restarted");
  if (units.at(unit).active != "active") return unavailable("Job for " + unit + " failed");
  return {};
}

Result<ProcessFacts> ModelHost::observe() {
  ProcessFacts facts;
  std::int64_t pid = 1000;
  for (const auto& [name, unit] : units) {
    ++pid;
    if (unit.active != "active") continue;
    StaleProcess process;
    process.pid = pid;
    process.start_ticks = static_cast<std::uint64_t>(unit.started.time_since_epoch().count() / 10);
    process.command = name.substr(0, name.find('.'));
    process.unit = name;
    for (const std::string& package : unit.maps) {
      auto there = table.find(package);
      if (there == table.end()) continue;
      facts.unit_packages[name].push_back(package + ":amd64");
      auto mapped = unit.mapped.find(package);
      if (there->second.replaced != (mapped == unit.mapped.end() ? 0 : mapped->second)) process.files.push_back("/usr/lib/" + package + "/main");
    }
    if (!process.files.empty()) facts.stale.push_back(std::move(process));
  }
  return facts;
}

Result<bool> ModelHost::healthy(const ToolWatch&) {
  user_.pause(milliseconds(500));
  for (const auto& [name, unit] : units)
    for (const std::string& package : unit.maps)
      if (unit.active == "active" && harm_of(package) == Harm::kHealthCommand) return false;
  return true;
}

// ---- what the agent sees -----------------------------------------------------------------------------------------------------

UpdateFacts ModelHost::updates(bool archive_reachable) {
  UpdateFacts facts;
  const Catalogue& catalogue = Catalogue::get();
  for (const auto& [name, version] : catalogue.offered()) {
    auto there = table.find(name);
    bool added = name == "libssl3-legacy";
    if (added ? !setting_.adds_package || there != table.end() : there == table.end() || there->second.version == version) continue;
    if (name == "prunella-agent") continue;
    Update update;
    update.package = amd64(name);
    update.to = catalogue.deb(name, version).file;
    if (!added) {
      update.from_version = there->second.version;
      update.from = catalogue.deb(name, there->second.version).file;
      if (there->second.selection == PackageSelection::kHold) update.block = Block{BlockKind::kHeld, "held by apt-mark"};
    }
    update.source = catalogue.source_of(name);
    update.source_version = version;
    update.archive = name == "tzdata" ? "Debian:12/stable" : "Debian-Security:12/stable-security";
    update.security = name != "tzdata";
    update.cves = {"CVE-2026-0001"};
    update.changelog_read = true;
    update.installed_size_kib = 300;
    if (name == "openssl") update.needs = setting_.adds_package ? std::vector<std::string>{"libssl3-legacy:amd64", "libssl3:amd64"} : std::vector<std::string>{"libssl3:amd64"};
    if (name == "libssl3") update.needs = std::vector<std::string>{"openssl:amd64"};
    if (name == "nginx") update.needs = std::vector<std::string>{};
    facts.updates.push_back(std::move(update));
  }
  if (setting_.adds_package)
    for (Update& update : facts.updates)
      if (update.package.name == "libssl3") update.needs = std::vector<std::string>{"libssl3-legacy:amd64", "openssl:amd64"};
  RepositoryState state = archive_reachable ? RepositoryState::kOk : RepositoryState::kUnreachable;
  facts.repositories = {{"http://archive.example/security", "bookworm-security", state, archive_reachable ? "" : "connection timed out", true}};
  facts.lists_at = now();
  return facts;
}

UnitFacts ModelHost::unit_facts() {
  UnitFacts facts;
  auto states = list();
  bool failed = false;
  for (UnitState& state : *states) {
    failed = failed || state.unit.active == "failed";
    facts.units.push_back(std::move(state.unit));
  }
  facts.system = failed ? "degraded" : "running";
  return facts;
}

DiskFacts ModelHost::disk_facts() { return {{{"/", 20'000'000'000, disk.full ? 0u : 10'000'000'000u, 1'000'000, false}}}; }

KernelFacts ModelHost::kernel_facts() {
  KernelFacts facts;
  facts.running = "6.1.0-40-amd64";
  facts.reboot = RebootNeed::kNo;
  return facts;
}

SystemFacts ModelHost::system_facts(const std::string& name) {
  SystemFacts facts;
  facts.hostname = name;
  facts.os_id = "debian";
  facts.os_version = "12";
  facts.os_codename = "bookworm";
  facts.os_pretty = "Debian GNU/Linux 12 (bookworm)";
  facts.arch = "amd64";
  facts.boot_id = "boot";
  facts.memory_bytes = 2'000'000'000;
  facts.cpus = 2;
  return facts;
}

// ---- what happens to it ------------------------------------------------------------------------------------------------------

void ModelHost::executor_died() {
  // In the middle of a database write, dpkg leaves its journal of updates behind (dpkg's lib/dpkg/dbmodify.c).
  if (locked_ && dice_.chance(0.3))
    for (const auto& [name, package] : table)
      if (package.state != PackageState::kInstalled) updates_pending = true;
  locked_ = false;
}

void ModelHost::admin_restart(const std::string& unit) {
  events_.foreign_change(unit);
  start_unit(unit);
}

void ModelHost::unit_trouble(const std::string& unit) {
  events_.foreign_change(unit);
  fail_unit(unit);
}

void ModelHost::reboot() {
  foreign_.reset();
  for (const auto& [name, unit] : units) start_unit(name);
}

void ModelHost::foreign_apt(Duration time, const std::string& package) {
  if (locked_ || foreign_) return;
  bool whole = std::ranges::all_of(table, [](const auto& entry) { return entry.second.state == PackageState::kInstalled; });
  if (!whole) return;  // apt wants `dpkg --configure -a` first
  foreign_ = LockHolder{4711, "apt-get"};
  events_.note("apt-get of somebody else holds the lock for " + to_text(time));
  scheduler_.after(time, [this, package] {
    if (!foreign_) return;
    foreign_.reset();
    auto offered = Catalogue::get().offered().find(package);
    ModelPackage& there = table.at(package);
    if (offered == Catalogue::get().offered().end() || there.version == offered->second) return;
    const Deb& deb = Catalogue::get().deb(package, offered->second);
    for (auto old = there.owned.rbegin(); old != there.owned.rend(); ++old)
      if (!edited.contains(*old)) files.erase(*old);
    there.owned.clear();
    for (const PackagedPath& path : deb.paths) {
      there.owned.push_back(path.path);
      if (!edited.contains(path.path)) files[path.path] = path.directory ? directory(path.path) : regular(path.path, *path.sha256);
    }
    there.version = there.disk_version = offered->second;
    ++there.replaced;
    ++people_changes;
    events_.note("somebody upgraded " + package);
    events_.foreign_change(package);
    events_.changed(Section::kPackages);
  });
}

void ModelHost::edit(const std::string& path) {
  if (!files.contains(path)) return;
  files[path] = regular(path, sha256("edited at " + std::to_string(scheduler_.now().time_since_epoch().count())));
  edited.insert(path);
  events_.note("somebody edited " + path);
  events_.foreign_change(path);
}

}  // namespace prunella::sim
