#pragma once

#include <string>
#include <vector>

#include "act/ports.h"
#include "adapters/executor_host/run_tool.h"

namespace prunella {

/// systemd by way of systemctl(1).
class SystemctlTool : public UnitTool {
 public:
  explicit SystemctlTool(const HostRoot& root) : root_(root) {}
  Result<std::vector<UnitState>> list() override;
  Status restart(const std::string& unit, const ToolWatch& watch) override;

 private:
  const HostRoot& root_;
};

/// What `systemctl show` writes: blocks of Name=value with empty lines between. A block without an Id is skipped.
/// @error kInvalidInput  a line without '=', or more than kUnitStatesMax blocks.
Result<std::vector<UnitState>> parse_unit_states(std::string_view text);
inline constexpr std::size_t kUnitStatesMax = 20'000;  // a container host with a scope and a mount each for 5,000 containers

/// For a tree that isn't booted: it has no units and no processes, and that is a fact.
class NoUnits : public UnitTool {
 public:
  Result<std::vector<UnitState>> list() override { return std::vector<UnitState>{}; }
  Status restart(const std::string& unit, const ToolWatch&) override { return unavailable(unit + ": a tree that isn't booted has no units"); }
};
class NoProcesses : public ProcessTool {
 public:
  Result<ProcessFacts> observe() override { return ProcessFacts{}; }
};

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
