#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "decide/cel/ast.h"
#include "decide/cel/checker.h"
#include "decide/cel/resolver.h"

namespace prunella::cel {

// The unit of cost is one instruction of a program, some 10 ns. Functions spend one more for each 8 bytes of text and each
// element that they look at or make. Budget (value.h) counts it in the run; here is what it can come to.

/// What the values of variables are taken to be at most. The bound holds for events within these sizes; the run's own limit
/// (kRunCostMax) holds for all.
struct SizeAssumptions {
  std::uint64_t elements_max = 1'000;    ///< of one list or map
  std::uint64_t text_bytes_max = 4'096;  ///< of one string or bytes
  std::uint64_t parts_max = 20'000;      ///< of a whole variable: each value within it counts 1, and each 8 bytes of text 1 more
};

/// The most that a run of the expression can cost, over all values of its variables within `sizes`; UINT64_MAX when that is more
/// than 64 bits hold. A function that the standard library doesn't have is taken to spend one for each part of its arguments.
std::uint64_t cost_bound(const Ast& ast, const Resolved& resolved, const Checked& checked, const SizeAssumptions& sizes = {});

}  // namespace prunella::cel
