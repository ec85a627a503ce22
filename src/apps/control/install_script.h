#pragma once

#include <string>

#include "base/digest.h"

namespace prunella::control {

/// The shell script of GET /install: fetches the agent's package from this server, checks it against `package`, installs it and
/// enrols the host. It comes over the connection whose key the installer line pins, so its digest can be believed.
std::string install_script(const Digest& package);

}  // namespace prunella::control
