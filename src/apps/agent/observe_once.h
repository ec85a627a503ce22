#pragma once

#include "apps/agent/config.h"

namespace prunella::agent {

enum class Output { kText, kJson };
enum class Lists { kFetch, kAsTheyAre };

/// Looks at this machine once, without a control plane, an executor or D-Bus, and prints what is so and what can't be told. Changes
/// nothing of the host; package lists of its own are kept in `places.state_dir`.
/// @return 0, or 1 when a part of the look failed that every Debian machine has.
int observe_once(const Places& places, Output output, Lists lists);

}  // namespace prunella::agent
