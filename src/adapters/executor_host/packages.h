#pragma once

#include <map>
#include <string>
#include <vector>

#include "act/ports.h"
#include "adapters/executor_host/run_tool.h"

namespace prunella {

/// Where an executor keeps its things, as paths inside the root.
struct ExecutorPaths {
  std::string state = "/var/lib/prunella-executor";  ///< only root may enter
  std::string agent_stage = "/var/lib/prunella-agent/stage";
  std::string stage() const { return state + "/stage"; }
  std::string keep() const { return state + "/keep"; }
  std::string apt() const { return state + "/apt"; }
  std::string staged(const DebFile& file) const { return stage() + "/" + file.sha256.hex() + ".deb"; }
};

/// Source: dpkg(1), apt-get(8), apt.conf(5); dpkg's doc/frontend.txt and lib/dpkg/dbmodify.c for the locks.
class DpkgTool : public PackageTool {
 public:
  DpkgTool(const HostRoot& root, ExecutorPaths paths) : root_(root), paths_(std::move(paths)) {}
  /// Writes apt's configuration: ours alone, with no archive in it. @error kUnavailable, kExhausted
  Status prepare();

  Result<PackageFacts> packages() override;
  Result<std::optional<LockHolder>> lock() override;
  void unlock() override { frontend_ = Fd(); }
  Status upgrade(const std::vector<DebFile>& files, const ToolWatch& watch) override;
  Status restore(const std::vector<DebFile>& files, const std::vector<Removal>& added, const ToolWatch& watch) override;
  Result<std::vector<std::string>> paths(const PackageName& package) override;

  /// What dpkg-deb says is in a staged file. @error kCorrupt, kUnavailable
  Result<std::vector<PackagedPath>> contents(const PackageName& package, const DebFile& file);

 private:
  Result<std::string> read(const std::string& path, std::size_t bytes_max);
  Result<std::map<std::string, std::string>> diversions(const PackageName& package);
  Status dpkg(std::vector<std::string> arguments, const ToolWatch& watch);

  const HostRoot& root_;
  ExecutorPaths paths_;
  Fd frontend_;
};

}  // namespace prunella
