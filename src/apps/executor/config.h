#pragma once

#include <string>
#include <vector>

#include "base/codec.h"

namespace prunella {

/// /etc/prunella/executor.json: laid down by the package, changed by root. Absent fields have the values here.
struct ExecutorConfig {
  std::optional<std::vector<std::string>> health_command;  ///< argv; the first is an absolute path. Absent: the host has none
  std::optional<std::string> health_user;                  ///< "nobody"
  std::optional<Duration> health_timeout;                  ///< 60 s
  std::optional<std::string> agent_user;                   ///< "prunella-agent": who may connect besides root
  std::optional<std::string> socket;                       ///< "/run/prunella/executor.sock"
  std::optional<std::string> state;                        ///< "/var/lib/prunella-executor"
  std::optional<std::string> agent_stage;                  ///< "/var/lib/prunella-agent/stage"
  bool operator==(const ExecutorConfig&) const = default;
};
template <class F>
void fields(F& f, ExecutorConfig& c) {
  f("health_command", c.health_command);
  f("health_user", c.health_user);
  f("health_timeout_ms", c.health_timeout);
  f("agent_user", c.agent_user);
  f("socket", c.socket);
  f("state", c.state);
  f("agent_stage", c.agent_stage);
}

}  // namespace prunella
