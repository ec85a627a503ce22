#pragma once

#include <cstddef>
#include <cstdint>

namespace prunella::cel {

/// Bounds that keep a hostile or careless policy from hanging the program or overrunning its stack.
struct ParseLimits {
  std::size_t source_bytes_max = 100'000;  ///< as cel-go's default; the longest policy seen in use has 3,000
  std::size_t nesting_max = 250;           ///< brackets within brackets; each level costs the parser under 1 KB of stack
  std::size_t tree_depth_max = 300;  ///< of the syntax tree, chains of operators included; checker and compiler recurse over it
  std::size_t nodes_max = 100'000;   ///< after macros, so that macros within macros can't blow up
  std::size_t problems_max = 20;     ///< a person reads no more; the rest is counted
};

/// What one evaluation may cost (cost.h has the unit). About 10 ms of one core and 8 MB of new values.
inline constexpr std::uint64_t kRunCostMax = 1'000'000;

/// Elements that lists.range may make; the cost limit stops most callers sooner.
inline constexpr std::int64_t kRangeMax = 1'000'000;

}  // namespace prunella::cel
