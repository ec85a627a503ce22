#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "../support/unit_states.h"
#include "act/ports.h"
#include "catalogue.h"
#include "disk.h"
#include "kernel.h"
#include "model/host.h"
#include "model/host_state.h"

namespace prunella::sim {

/// How a new version harms the units that run it.
enum class Harm { kNone, kAtOnce, kSoon, kLate, kHealthCommand, kScript };

/// An effect that an executor has on its host, as the oracle is told of it before it happens.
enum class Touch { kUpgrade, kRestore, kRestart, kPutBack, kRemove };

/// What a host tells of itself as it changes.
class HostEvents {
 public:
  virtual ~HostEvents() = default;
  virtual void touching(Touch touch, const std::vector<std::string>& subjects) = 0;  ///< may throw Violation
  virtual void changed(Section section) = 0;
  virtual void foreign_change(const std::string& path_package_or_unit) = 0;
  virtual void note(const std::string& text) = 0;
  virtual void power_lost() = 0;  ///< in the middle of what the executor did; its journal knows already
};

struct ModelPackage {
  std::string version;
  PackageState state = PackageState::kInstalled;
  PackageSelection selection = PackageSelection::kInstall;
  std::vector<std::string> owned;   ///< what dpkg's list says
  std::string disk_version;         ///< whose files are there
  std::uint64_t replaced = 0;       ///< how often its files were replaced: what a process maps is one of these
};

struct ModelUnit {
  std::vector<std::string> maps;  ///< packages
  bool on_demand = false;
  std::string active = "active";
  std::uint64_t invocation = 1;
  std::uint32_t restarts = 0;
  Monotonic started{};
  std::map<std::string, std::uint64_t> mapped;  ///< package -> `replaced` when it started
};

/// A host's system: its packages, files, units and processes, and the ports through which an executor reaches them. A tool
/// proceeds in small steps and its user may die at each; what is half done then stays.
class ModelHost : public Clock, public Timer, public PackageTool, public StageTool, public FileTool, public UnitTool, public ProcessTool, public HealthTool {
 public:
  struct Setting {
    std::map<std::string, Harm> harm;  ///< package -> what its offered version does here
    bool adds_package = false;         ///< the new openssl needs a package that isn't there yet
    bool script_restarts = false;      ///< nginx's script restarts its unit
  };
  ModelHost(Scheduler& scheduler, Running& user, HostEvents& events, Dice& dice, Setting setting);

  // --- the ports
  Instant now() override { return kEpoch + scheduler_.now().time_since_epoch() + skew; }
  Monotonic steady() override { return scheduler_.now(); }
  void wait(Duration at_most) override { user_.pause(at_most); }
  Result<PackageFacts> packages() override;
  Result<std::optional<LockHolder>> lock() override;
  void unlock() override { locked_ = false; }
  Status upgrade(const std::vector<DebFile>& files, const ToolWatch& watch) override;
  Status restore(const std::vector<DebFile>& files, const std::vector<Removal>& added, const ToolWatch& watch) override;
  Result<std::vector<std::string>> paths(const PackageName& package) override;
  Status stage(const DebFile& file) override;
  Result<std::vector<PackagedPath>> contents(const PackageName& package, const DebFile& file) override;
  void clear() override;
  Result<FileState> look(const std::string& path) override;
  Status keep(const FileState& state) override;
  Status put_back(const FileState& state) override;
  Status remove(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Result<std::vector<UnitState>> list() override;
  Result<std::vector<UnitState>> states(const std::vector<std::string>& named) override { return testing::unit_states(*list(), named); }
  Status restart(const std::string& unit, const ToolWatch& watch) override;
  Result<ProcessFacts> observe() override;
  Result<bool> healthy(const ToolWatch& watch) override;

  // --- what the agent sees
  UpdateFacts updates(bool archive_reachable);
  UnitFacts unit_facts();
  DiskFacts disk_facts();
  KernelFacts kernel_facts();
  SystemFacts system_facts(const std::string& name);

  // --- what happens to it
  void executor_died();  ///< its dpkg dies with it, in the same control group
  void reboot();         ///< every unit starts anew
  /// Somebody else's apt: takes the lock for `time`, then upgrades tzdata, or what `package` names.
  void foreign_apt(Duration time, const std::string& package);
  void edit(const std::string& path);
  void fail_unit(const std::string& unit);
  void admin_restart(const std::string& unit);
  void unit_trouble(const std::string& unit);
  bool executor_has_lock() const { return locked_; }
  bool executor_has_staged(const Digest& file) const { return staged_.contains(file); }

  std::map<std::string, ModelPackage> table;      ///< by name
  std::map<std::string, FileState> files;         ///< by path; absent ones left out
  std::map<std::string, ModelUnit> units;
  std::map<RunId, std::set<Digest>> agent_stage;  ///< what the agent fetched
  std::set<Digest> spoilt;                        ///< of those, with other content than their digest
  std::set<std::string> edited;                   ///< paths that people changed
  Duration skew{};
  DiskState disk;
  bool updates_pending = false;
  std::uint64_t people_changes = 0;               ///< of packages and holds
  std::map<std::string, Monotonic> failed_at;

  static constexpr Instant kEpoch{std::chrono::milliseconds(1'795'489'200'000)};  // 2026-11-24T03:00:00Z

 private:
  FileState regular(const std::string& path, const Digest& content) const;
  FileState directory(const std::string& path) const;
  Status unpack(const Deb& deb);
  Status configure(const std::string& name, bool may_fail);
  Status configure_all(bool may_fail);
  void purge(const Removal& removal);
  void start_unit(const std::string& name);
  void step(std::string_view what, Duration at_most);
  Harm harm_of(const std::string& package) const;

  Scheduler& scheduler_;
  Running& user_;
  HostEvents& events_;
  Dice& dice_;
  Setting setting_;
  std::set<Digest> staged_;                      // the executor's own copies
  std::map<std::string, FileState> kept_;        // contents that were saved
  bool locked_ = false;
  std::optional<LockHolder> foreign_;
};

}  // namespace prunella::sim
