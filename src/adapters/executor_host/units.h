#pragma once

#include <string>
#include <vector>

#include "act/ports.h"
#include "adapters/executor_host/run_tool.h"

namespace prunella {

/// 30 s for a look at all units: it takes milliseconds, unless systemd is executed anew or waits for a slow generator.
inline constexpr Duration kSystemdAnswerMax = std::chrono::seconds(30);

/// systemd over its own socket, which root alone may use and which works while dbus.service is down. Without systemctl(1), since its
/// start costs some 25 ms of processor time, ten times what systemd needs to answer; without libsystemd, since that brings five
/// libraries into the root program (TRUST.md EXE-1). Source: org.freedesktop.systemd1(5).
///
/// Each call makes a connection of its own: one that stayed open would be sent every change of every unit, and nobody would read it
/// while the executor waits for orders.
class SystemdTool : public UnitTool {
 public:
  /// Another path than systemd's, and less patience with its answers, are for tests.
  explicit SystemdTool(std::string socket = "/run/systemd/private", Duration answer_max = kSystemdAnswerMax)
      : socket_(std::move(socket)), answer_max_(answer_max) {}
  Result<std::vector<UnitState>> list() override;
  Result<std::vector<UnitState>> states(const std::vector<std::string>& named) override;
  /// Queues a restart job, as `systemctl restart` does, and waits for it. @error kUnavailable  also when the connection was lost or the
  /// deadline came: the job may go on then.
  Status restart(const std::string& unit, const ToolWatch& watch) override;

 private:
  std::string socket_;
  Duration answer_max_;
};

/// For a tree that isn't booted: it has no units and no processes, and that is a fact.
class NoUnits : public UnitTool {
 public:
  Result<std::vector<UnitState>> list() override { return std::vector<UnitState>{}; }
  Result<std::vector<UnitState>> states(const std::vector<std::string>&) override { return std::vector<UnitState>{}; }
  Status restart(const std::string& unit, const ToolWatch&) override { return unavailable(unit + ": a tree that isn't booted has no units"); }
};
class NoProcesses : public ProcessTool {
 public:
  Result<ProcessFacts> observe() override { return ProcessFacts{}; }
};

}  // namespace prunella
