#pragma once

#include <string>

#include "adapters/linux/descriptor.h"
#include "apps/agent/config.h"

namespace prunella::agent {

/// Runs until SIGTERM or SIGINT. @error  the host isn't enrolled, or its state can't be used.
Status run_agent(const AgentConfig& config, const Places& places);

/// What the running agent says of itself, as JSON. @error kUnavailable  none runs, or it doesn't answer.
Result<std::string> ask_status(const std::string& socket);

/// Exactly `path` as a UNIX socket that this user and its group may open. A file that a dead agent left is replaced.
Result<Descriptor> listen_on(const std::string& path);

}  // namespace prunella::agent
