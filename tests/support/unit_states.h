#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "model/host_state.h"

namespace prunella::testing {

/// What UnitTool::states() leaves of what list() gives.
inline std::vector<UnitState> unit_states(const std::vector<UnitState>& units, const std::vector<std::string>& named) {
  std::vector<UnitState> states;
  for (const UnitState& state : units) {
    UnitState& brief = states.emplace_back();
    brief.unit.name = state.unit.name;
    brief.unit.load = state.unit.load;
    brief.unit.active = state.unit.active;
    brief.unit.sub = state.unit.sub;
    if (std::ranges::find(named, state.unit.name) != named.end()) brief.unit.invocation = state.unit.invocation;
  }
  return states;
}

}  // namespace prunella::testing
