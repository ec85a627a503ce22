#pragma once

#include <optional>
#include <string>

#include "apps/agent/config.h"

namespace prunella::agent {

struct EnrolOptions {
  std::string server;
  std::string ca_sha256;
  std::string operators_sha256;
  std::string token;
  std::optional<std::string> name;  ///< instead of this machine's host name
};

struct Enrolled {
  AgentConfig config;
  bool already = false;  ///< it was before; nothing was sent and the token is still good
};

/// Makes a key, has it certified for the token, checks whose keys this host shall believe, and lays everything down: the identity
/// (mode 0600, for the agent's user alone), agent.json, and trust.json for the executor. May be repeated: an enrolled host is left
/// as it is, unless its certificate has expired.
/// @error kDenied, kExpired  the control plane refuses the token (used, late, revoked, foreign): its words.
/// @error kDenied       its certificate is not the pinned one, or its operators are not those of the installer line.
/// @error kConflict     this host belongs to another control plane.
/// @error kUnavailable  no answer: the token may be used up.
Result<Enrolled> enrol(const EnrolOptions& options, const Places& places);

/// Removes what enrol laid down and what the agent remembers. The host is then unknown to itself; the control plane still lists it.
/// @return how many files were removed.
Result<std::size_t> unenrol(const Places& places);

}  // namespace prunella::agent
