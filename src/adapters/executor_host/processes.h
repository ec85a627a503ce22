#pragma once

#include "act/ports.h"
#include "adapters/executor_host/host_root.h"

namespace prunella {

/// Processes by /proc. It runs nothing of what it looks at (needrestart's CVE-2024-48990 and its siblings came from that).
class ProcTool : public ProcessTool {
 public:
  explicit ProcTool(const HostRoot& root) : root_(root) {}
  Result<ProcessFacts> observe() override;

 private:
  const HostRoot& root_;
};

/// 32,768: Linux's default pid_max.
inline constexpr std::size_t kProcessesMax = 32'768;

}  // namespace prunella
