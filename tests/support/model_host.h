#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "act/journal.h"
#include "act/ports.h"
#include "killed.h"
#include "unit_states.h"

/// A host in memory behind the executor's ports: packages with files, units, a journal file. Before every change it counts down, and
/// at zero the program is killed (a thrown Killed): what was changed stays, as on a real disk.
namespace prunella::testing {

struct ModelPackage {
  PackageName name;
  std::string version;
  std::map<std::string, std::string> files;  ///< path -> content
};

/// Content of a model package's file, named by the digest that plans give it.
inline DebFile model_deb(const ModelPackage& package) {
  std::string text = package.name.text() + package.version;
  return {package.version, sha256(text), text.size()};
}

class ModelHost : public Clock,
                  public Timer,
                  public PackageTool,
                  public StageTool,
                  public FileTool,
                  public UnitTool,
                  public ProcessTool,
                  public HealthTool,
                  public RunFiles,
                  public JournalFile {
 public:
  // ---- what a test sets up and looks at ----
  std::map<Digest, ModelPackage> archive;           ///< what the agent has staged
  PackageFacts database;
  std::map<std::string, FileState> disk;            ///< only what exists
  std::vector<UnitState> unit_list;
  std::set<std::string> stale_units;                ///< that map replaced files
  std::string journal;
  std::map<std::string, std::string> run_files;
  std::optional<LockHolder> holder;
  std::optional<bool> health = true;
  Instant wall = *parse_rfc3339("2026-11-24T04:00:00Z");
  Monotonic uptime{};
  long kill_in = -1;                                ///< changes until the program is killed; -1: never
  long changes = 0;
  long syncs = 0;                                   ///< of the journal
  std::vector<long> syncs_at_restart;
  bool apt_fails = false;
  bool dpkg_fails = false;
  bool journal_fails = false;
  std::uint64_t free = 1u << 30;
  std::function<void(ModelHost&)> after_upgrade;    ///< what the new version does to the host
  std::function<void(ModelHost&)> on_wait;
  std::vector<std::string> restarts;
  int restores = 0;

  HostTools tools() { return {*this, *this, *this, *this, *this, *this, *this, *this, *this}; }

  void change() {
    ++changes;
    if (kill_in > 0 && --kill_in == 0) throw Killed{};
  }

  void install(const ModelPackage& package, PackageState state = PackageState::kInstalled) {
    Package row;
    row.package = package.name;
    row.version = package.version;
    row.source = package.name.name;
    row.source_version = package.version;
    row.state = state;
    row.selection = PackageSelection::kInstall;
    std::erase_if(database.packages, [&](const Package& one) { return one.package == package.name; });
    database.packages.push_back(row);
    std::ranges::sort(database.packages, {}, &Package::package);
  }
  void put(const std::string& path, const std::string& content) {
    disk[path] = FileState{path, FileKind::kRegular, sha256(content), 0644, 0, 0, {}, {}};
  }
  void add_unit(const std::string& name) {
    UnitState state;
    state.unit = {name, "loaded", "active", "running", "success", 0, "invocation-1"};
    unit_list.push_back(state);
  }
  UnitState& unit(const std::string& name) {
    return *std::ranges::find_if(unit_list, [&](const UnitState& state) { return state.unit.name == name; });
  }

  // ---- Clock, Timer ----
  Instant now() override { return wall; }
  Monotonic steady() override { return uptime; }
  void wait(Duration at_most) override {
    wall += at_most;
    uptime += at_most;
    if (on_wait) on_wait(*this);
  }

  // ---- PackageTool ----
  Result<PackageFacts> packages() override { return database; }
  Result<std::optional<LockHolder>> lock() override { return holder; }
  void unlock() override {}
  Status upgrade(const std::vector<DebFile>& files, const ToolWatch& watch) override {
    if (apt_fails) return unavailable("apt-get ended with 100");
    for (const DebFile& file : files) unpack(staged_.at(file.sha256), watch);
    if (after_upgrade) after_upgrade(*this);
    configure();
    return {};
  }
  Status restore(const std::vector<DebFile>& files, const std::vector<Removal>& added, const ToolWatch& watch) override {
    ++restores;
    if (dpkg_fails) return unavailable("dpkg --unpack ended with 1");
    for (const DebFile& file : files) unpack(staged_.at(file.sha256), watch);
    for (const Removal& removal : added) {
      change();
      for (const auto& [digest, package] : staged_)
        if (package.name == removal.package)
          for (const auto& [path, content] : package.files) disk.erase(path);
      std::erase_if(database.packages, [&](const Package& one) { return one.package == removal.package; });
    }
    configure();
    return {};
  }
  Result<std::vector<std::string>> paths(const PackageName& package) override {
    auto it = owned_.find(package);
    if (it == owned_.end()) return not_found(package.text());
    return std::vector<std::string>(it->second.begin(), it->second.end());
  }
  void own(const ModelPackage& package) {
    for (const auto& [path, content] : package.files) owned_[package.name].insert(path);
  }

  // ---- StageTool ----
  Status stage(const DebFile& file) override {
    auto it = archive.find(file.sha256);
    if (it == archive.end()) return not_found("the staged file");
    change();
    staged_[file.sha256] = it->second;
    return {};
  }
  Result<std::vector<PackagedPath>> contents(const PackageName&, const DebFile& file) override {
    std::vector<PackagedPath> list;
    for (const auto& [path, content] : staged_.at(file.sha256).files) list.push_back({path, false, sha256(content)});
    return list;
  }
  void clear() override { staged_.clear(); }

  // ---- FileTool ----
  Result<FileState> look(const std::string& path) override {
    auto it = disk.find(path);
    return it == disk.end() ? FileState{path, FileKind::kAbsent, {}, 0, 0, 0, {}, {}} : it->second;
  }
  Status keep(const FileState& state) override {
    change();
    kept_.insert(*state.sha256);
    return {};
  }
  Status put_back(const FileState& state) override {
    auto it = disk.find(state.path);
    bool there = it != disk.end() && it->second.sha256 == state.sha256;
    if (!there && !kept_.contains(state.sha256.value_or(Digest{}))) return not_found("the kept content of " + state.path);
    change();
    disk[state.path] = state;
    return {};
  }
  Status remove(const std::string& path) override {
    change();
    disk.erase(path);
    return {};
  }
  Result<std::uint64_t> free_bytes(const std::string&) override { return free; }

  // ---- UnitTool, ProcessTool, HealthTool ----
  Result<std::vector<UnitState>> list() override { return unit_list; }
  Result<std::vector<UnitState>> states(const std::vector<std::string>& named) override { return unit_states(unit_list, named); }
  Status restart(const std::string& name, const ToolWatch&) override {
    change();
    restarts.push_back(name);
    syncs_at_restart.push_back(syncs);
    stale_units.erase(name);
    UnitState& state = unit(name);
    state.unit.invocation = "invocation-" + std::to_string(restarts.size() + 1);
    if (state.unit.active == "failed") state.unit.active = "active", state.unit.sub = "running";
    return {};
  }
  Result<ProcessFacts> observe() override {
    ProcessFacts facts;
    for (const std::string& name : stale_units) facts.stale.push_back({100, 1, "daemon", name, false, {"/usr/lib/libold.so"}});
    return facts;
  }
  Result<bool> healthy(const ToolWatch&) override {
    if (!health) return unavailable("no health command is configured on this host");
    return *health;
  }

  // ---- RunFiles, JournalFile ----
  Status write(const RunId& run, std::string_view text) override {
    change();
    run_files[run.text()] = text;
    return {};
  }
  Result<std::string> read(const RunId& run) override {
    auto it = run_files.find(run.text());
    if (it == run_files.end()) return not_found("the state before");
    return it->second;
  }
  void clear(const RunId& run) override {
    run_files.erase(run.text());
    kept_.clear();
  }
  Result<std::string> read_all() override { return journal; }
  Status append(std::string_view bytes) override {
    if (journal_fails) return unavailable("EIO");
    // A kill can leave any part of a write.
    if (kill_in == 1) journal += bytes.substr(0, bytes.size() / 2);
    change();
    journal += bytes;
    return {};
  }
  Status sync() override {
    change();
    ++syncs;
    return {};
  }
  Status replace(std::string_view bytes) override {
    change();
    journal = bytes;
    return {};
  }

 private:
  void unpack(const ModelPackage& package, const ToolWatch& watch) {
    if (watch.progress) watch.progress("Unpacking " + package.name.name, 10);
    change();
    install(package, PackageState::kHalfInstalled);
    std::set<std::string> old = owned_[package.name];
    for (const auto& [path, content] : package.files) {
      change();
      put(path + ".dpkg-new", content);
    }
    for (const auto& [path, content] : package.files) {
      change();
      disk.erase(path + ".dpkg-new");
      put(path, content);
    }
    for (const std::string& path : old)
      if (!package.files.contains(path)) {
        change();
        disk.erase(path);
      }
    change();
    owned_[package.name].clear();
    own(package);
    install(package, PackageState::kUnpacked);
  }
  void configure() {
    for (Package& one : database.packages) {
      if (one.state != PackageState::kUnpacked) continue;
      change();
      one.state = PackageState::kInstalled;
    }
  }

  std::map<Digest, ModelPackage> staged_;
  std::map<PackageName, std::set<std::string>> owned_;
  std::set<Digest> kept_;
};

class ModelPolicyStore : public PolicyStore {
 public:
  std::optional<std::string> text;
  Result<std::string> read() override {
    if (!text) return not_found("no policy");
    return *text;
  }
  Status replace(std::string_view fresh) override {
    text = fresh;
    return {};
  }
};

}  // namespace prunella::testing
