#pragma once

#include <cstdint>
#include <vector>

#include "base/time_zone.h"
#include "decide/cel/limits.h"
#include "decide/cel/program.h"
#include "decide/cel/slots.h"

namespace prunella::cel {

struct Outcome {
  Value value;             ///< a proper value, an error or an unknown
  std::uint64_t cost = 0;  ///< spent
};

/// Runs programs; keeps its stack between runs, so that a run allocates nothing for it. One thread at a time.
class Evaluator {
 public:
  /// `zones` is asked for the time zones that an expression names; it must outlive this object.
  explicit Evaluator(TimeZones& zones) : zones_(zones) {}

  /// Always ends: at `cost_max` with an error of the code kCostLimit. Source of the semantics: cel-spec's langdef.md, "Runtime
  /// Errors" and "Evaluation"; errors carry the offset of what failed.
  Outcome run(const Program& program, Activation& activation, std::uint64_t cost_max = kRunCostMax);

 private:
  struct Loop {
    Value range;
    std::size_t index = 0;
    std::size_t found = 0;  ///< elements for which the condition of exists_one held
    Value pending;          ///< all and exists: the unknown or error that stands if nothing decides
    bool has_pending = false;
    std::vector<Value> values;
    std::vector<MapObject::Entry> entries;
  };

  class Run;
  TimeZones& zones_;
  std::vector<Value> stack_;
  std::vector<Value> locals_;
  std::vector<Loop> loops_;
};

}  // namespace prunella::cel
