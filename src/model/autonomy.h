#pragma once

#include <array>

#include "base/codec.h"

namespace prunella {

/// How much may be done without a person (DESIGN.md section 1).
enum class AutonomyLevel {
  kObserve,         ///< L0: only recorded
  kSuggest,         ///< L1: a person is told what would be done
  kAfterApproval,   ///< L2: planned, and done once people approved it
  kAnnounced,       ///< L3: announced, and done when nobody vetoed it in time
  kSilent,          ///< L4: done
};
constexpr std::array<EnumWord<AutonomyLevel>, 5> enum_words(AutonomyLevel) {
  return {{{AutonomyLevel::kObserve, "L0"},
           {AutonomyLevel::kSuggest, "L1"},
           {AutonomyLevel::kAfterApproval, "L2"},
           {AutonomyLevel::kAnnounced, "L3"},
           {AutonomyLevel::kSilent, "L4"}}};
}

}  // namespace prunella
