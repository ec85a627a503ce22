#pragma once

#include "apps/cli/session.h"

namespace prunella::cli {

/// A host by its id, or by its name where only one has it.
/// @error kNotFound  none, with ids that begin alike; kConflict several have the name.
Result<HostDetail> find_host(Session& session, const std::string& name);
Result<HostId> find_host_id(Session& session, const std::string& name);

}  // namespace prunella::cli
