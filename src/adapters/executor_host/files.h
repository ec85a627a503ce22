#pragma once

#include "act/journal.h"
#include "act/ports.h"
#include "adapters/executor_host/packages.h"

namespace prunella {

/// Makes the executor's own directories and takes the lock that keeps a second executor out for as long as the Fd lives.
/// @error kConflict  another executor has it; kUnavailable, kExhausted
Result<Fd> prepare_state(const HostRoot& root, const ExecutorPaths& paths);

class HostFiles : public FileTool {
 public:
  HostFiles(const HostRoot& root, ExecutorPaths paths) : root_(root), paths_(std::move(paths)) {}
  Result<FileState> look(const std::string& path) override;
  Status keep(const FileState& state) override;
  Status put_back(const FileState& state) override;
  Status remove(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

 private:
  const HostRoot& root_;
  ExecutorPaths paths_;
};

class HostStage : public StageTool {
 public:
  HostStage(const HostRoot& root, ExecutorPaths paths, DpkgTool& dpkg) : root_(root), paths_(std::move(paths)), dpkg_(dpkg) {}
  Status stage(const DebFile& file) override;
  Result<std::vector<PackagedPath>> contents(const PackageName& package, const DebFile& file) override { return dpkg_.contents(package, file); }
  void clear() override;

 private:
  const HostRoot& root_;
  ExecutorPaths paths_;
  DpkgTool& dpkg_;
};

class HostRunFiles : public RunFiles {
 public:
  HostRunFiles(const HostRoot& root, ExecutorPaths paths) : root_(root), paths_(std::move(paths)) {}
  Status write(const RunId& run, std::string_view text) override;
  Result<std::string> read(const RunId& run) override;
  void clear(const RunId& run) override;

 private:
  std::string path_of(const RunId& run) const { return paths_.state + "/before-" + run.text(); }
  const HostRoot& root_;
  ExecutorPaths paths_;
};

/// Behind what was appended lie zeros, written ahead: a record then changes blocks that the file has already, so that a sync need not
/// wait for the filesystem's own journal (half the time on ext4), and a full disk has room for the records of the run that is open.
/// No record ends with a zero byte, as each ends with its JSON's brace.
class HostJournalFile : public JournalFile {
 public:
  HostJournalFile(const HostRoot& root, const ExecutorPaths& paths) : root_(root), path_(paths.state + "/journal") {}
  Result<std::string> read_all() override;
  Status append(std::string_view bytes) override;
  Status sync() override;
  Status replace(std::string_view bytes) override;

 private:
  const HostRoot& root_;
  std::string path_;
  std::size_t end_ = 0;  ///< of what was appended
  Fd fd_;
};
/// 256 KiB: a run of restarts has 12 KB, one of 20 packages 30 KB; beyond it the file grows as files do.
inline constexpr std::size_t kJournalAheadBytes = 256u << 10;

class HostPolicyStore : public PolicyStore {
 public:
  HostPolicyStore(const HostRoot& root, const ExecutorPaths& paths) : root_(root), path_(paths.state + "/policy") {}
  Result<std::string> read() override;
  Status replace(std::string_view text) override;

 private:
  const HostRoot& root_;
  std::string path_;
};

/// Writes a whole file durably: beside it, synced, renamed over it, the directory synced.
/// @error kExhausted, kUnavailable: the old content is still there, unless it was the last sync that failed.
Status replace_file(const HostRoot& root, const std::string& path, std::string_view text);
/// @error kNotFound, kUnavailable, kExhausted
Result<std::string> read_file(const HostRoot& root, const std::string& path, std::size_t bytes_max);

}  // namespace prunella
