#pragma once

#include <string>
#include <vector>

#include "act/ports.h"
#include "adapters/executor_host/run_tool.h"

namespace prunella {

struct HealthCommand {
  std::vector<std::string> argv;   ///< empty: none is configured
  std::string user = "nobody";
  Duration timeout = std::chrono::seconds(60);
};
class HostHealth : public HealthTool {
 public:
  HostHealth(const HostRoot& root, HealthCommand command) : root_(root), command_(std::move(command)) {}
  Result<bool> healthy(const ToolWatch& watch) override;

 private:
  const HostRoot& root_;
  HealthCommand command_;
};

}  // namespace prunella
