#pragma once

#include <string>
#include <vector>

#include "base/codec.h"
#include "base/text.h"

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

/// sun_path of sockaddr_un has 108 bytes with its NUL (unix(7)).
inline constexpr std::size_t kSocketPathMax = 107;

/// What a configuration must be besides its types. @error kInvalidInput with the field that is wrong.
inline Status check_executor_config(const ExecutorConfig& config) {
  if (config.health_command) {
    if (config.health_command->empty()) return invalid_input("health_command is an empty list: leave it out when the host has none");
    if (!config.health_command->front().starts_with('/'))
      return invalid_input("health_command starts with " + prunella::quoted(config.health_command->front()) + ", it must be an absolute path");
    for (const std::string& word : *config.health_command)
      if (word.find('\0') != std::string::npos) return invalid_input("health_command holds a NUL byte in " + prunella::quoted(word));
  }
  for (const auto& [what, name] : {std::pair("health_user", &config.health_user), std::pair("agent_user", &config.agent_user)})
    if (*name)
      if (auto named = check_name(what, **name); !named) return named;
  // Below a second no command comes to its end, and every run would be taken back; above an hour a run's own deadline is over.
  if (config.health_timeout && (*config.health_timeout < std::chrono::seconds(1) || *config.health_timeout > std::chrono::hours(1)))
    return invalid_input("health_timeout_ms is " + std::to_string(config.health_timeout->count()) + ", it must be from 1000 to 3600000");
  for (const auto& [what, path] : {std::pair("socket", &config.socket), std::pair("state", &config.state), std::pair("agent_stage", &config.agent_stage)})
    if (*path && (!(*path)->starts_with('/') || (*path)->find('\0') != std::string::npos))
      return invalid_input(std::string(what) + " is " + prunella::quoted(**path) + ", it must be an absolute path");
  if (config.socket && config.socket->size() > kSocketPathMax)
    return invalid_input("socket has " + std::to_string(config.socket->size()) + " bytes, at most " + std::to_string(kSocketPathMax) + " fit into a socket's address");
  return {};
}

}  // namespace prunella
