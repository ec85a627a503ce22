#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "model/host_state.h"
#include "model/plan.h"

/// What the executor needs of a host, as ports: the adapters touch it, the simulator plays it. One thread uses them.
namespace prunella {

/// Waiting that a simulator can shorten. Whoever waits looks again afterwards: the wait may end early.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void wait(Duration at_most) = 0;
};

/// What a running tool tells, and when it must have ended.
struct ToolWatch {
  Monotonic deadline{};                                                          ///< then it's ended (SIGTERM, then SIGKILL)
  std::function<void(std::string detail, std::optional<std::uint32_t> percent)> progress;
  std::function<void(std::string line)> output;                                  ///< what it wrote, made safe to show
};

/// Who holds dpkg's lock.
struct LockHolder {
  std::int64_t pid = 0;  ///< 0: the kernel doesn't tell (an open-file-description lock)
  std::string command;
};

/// A package that a revert takes away again.
struct Removal {
  PackageName package;
  bool keep_conffiles = false;  ///< they were there before ("config-files"), so they stay
};

/// apt and dpkg. What they return is no observation: read `packages` afterwards.
class PackageTool {
 public:
  virtual ~PackageTool() = default;
  /// The database as it is now. @error kInvalidInput, kUnavailable
  virtual Result<PackageFacts> packages() = 0;
  /// Takes dpkg's frontend lock and keeps it until unlock(); also looks that no dpkg of an executor that died still runs.
  /// @return nothing when it's ours now, else the holder. @error kUnavailable
  virtual Result<std::optional<LockHolder>> lock() = 0;
  virtual void unlock() = 0;
  /// Upgrades to these staged files, and nothing else, in apt's order; conffiles are kept. Only under the lock.
  /// @error kUnavailable  the tool said no or was ended: anything may have happened.
  virtual Status upgrade(const std::vector<DebFile>& files, const ToolWatch& watch) = 0;
  /// From any half state: unpacks the staged `files` whatever is there now, configures all that is unpacked, takes `added` away.
  /// Only under the lock. @error kUnavailable as above.
  virtual Status restore(const std::vector<DebFile>& files, const std::vector<Removal>& added, const ToolWatch& watch) = 0;
  /// The paths that the installed package owns, as they are on the disk (diversions followed), sorted.
  /// @error kNotFound  it isn't installed.
  virtual Result<std::vector<std::string>> paths(const PackageName& package) = 0;
};

/// A path inside a package, with what the package would put there.
struct PackagedPath {
  std::string path;              ///< absolute, as on the disk (diversions followed)
  bool directory = false;
  std::optional<Digest> sha256;  ///< of a regular file
  bool operator==(const PackagedPath&) const = default;
};

/// The executor's own copies of the packages' files, named by digest. Nobody else can write there.
class StageTool {
 public:
  virtual ~StageTool() = default;
  /// Copies the file from where the agent put it, hashing what is copied. Done before: nothing to do.
  /// @error kNotFound, kCorrupt (other content than its digest), kExhausted (no space), kUnavailable
  virtual Status stage(const DebFile& file) = 0;
  /// What a staged file holds, sorted by path. @error kCorrupt, kUnavailable
  virtual Result<std::vector<PackagedPath>> contents(const PackageName& package, const DebFile& file) = 0;
  /// Removes every copy.
  virtual void clear() = 0;
};

/// The host's files. Paths are absolute; symbolic links in their last part are never followed.
class FileTool {
 public:
  virtual ~FileTool() = default;
  /// A path that isn't there is kAbsent, which is no error. @error kUnavailable
  virtual Result<FileState> look(const std::string& path) = 0;
  /// Saves the content of a regular file by its digest, durably. @error kConflict (it changed), kExhausted, kUnavailable
  virtual Status keep(const FileState& state) = 0;
  /// Makes the path what `state` says; a regular file's content must be there already or have been kept.
  /// @error kNotFound (no such content), kUnavailable
  virtual Status put_back(const FileState& state) = 0;
  /// Removes a file, a link or an empty directory. @error kConflict (not empty), kUnavailable
  virtual Status remove(const std::string& path) = 0;
  /// What root may still write on the filesystem that holds `path`. @error kUnavailable
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
};

class UnitTool {
 public:
  virtual ~UnitTool() = default;
  /// Every loaded service, socket, timer and path unit, sorted by name. @error kUnavailable
  virtual Result<std::vector<UnitState>> list() = 0;
  /// The same in a tenth of the time, for whoever is about to restart `named`: of every unit just name, load, active and sub, and of
  /// these the invocation too. @error kUnavailable
  virtual Result<std::vector<UnitState>> states(const std::vector<std::string>& named) = 0;
  /// Restarts the unit and waits for it. @error kUnavailable  it failed, or didn't end by the watch's deadline.
  virtual Status restart(const std::string& unit, const ToolWatch& watch) = 0;
};

class ProcessTool {
 public:
  virtual ~ProcessTool() = default;
  /// @error kUnavailable  /proc can't be read.
  virtual Result<ProcessFacts> observe() = 0;
};

/// The host's own health command.
class HealthTool {
 public:
  virtual ~HealthTool() = default;
  /// @return whether it said that the host is well (exit code 0).
  /// @error kNotFound  none is configured. kUnavailable  it can't be run, or didn't end.
  virtual Result<bool> healthy(const ToolWatch& watch) = 0;
};

/// Small files of one run that recovery needs, written durably before they are named in the journal.
class RunFiles {
 public:
  virtual ~RunFiles() = default;
  /// @error kExhausted (no space), kUnavailable
  virtual Status write(const RunId& run, std::string_view text) = 0;
  /// @error kNotFound, kUnavailable
  virtual Result<std::string> read(const RunId& run) = 0;
  /// Removes what was kept for runs, and this run's file.
  virtual void clear(const RunId& run) = 0;
};

/// Where the signed policy is kept, as it came.
class PolicyStore {
 public:
  virtual ~PolicyStore() = default;
  /// @error kNotFound  none was ever installed. @error kUnavailable
  virtual Result<std::string> read() = 0;
  /// All or nothing, durable. @error kExhausted, kUnavailable
  virtual Status replace(std::string_view text) = 0;
};
/// 1 MiB: a policy with a thousand patterns has 50 kB.
inline constexpr std::size_t kPolicyBytesMax = 1u << 20;

/// All of a host.
struct HostTools {
  Clock& clock;
  Timer& timer;
  PackageTool& packages;
  StageTool& stage;
  FileTool& files;
  UnitTool& units;
  ProcessTool& processes;
  HealthTool& health;
  RunFiles& runs;
};

}  // namespace prunella
