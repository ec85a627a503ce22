#pragma once

#include <vector>

#include "decide/cel/ast.h"
#include "decide/cel/environment.h"
#include "decide/cel/limits.h"
#include "decide/cel/resolver.h"
#include "decide/cel/source.h"
#include "decide/cel/type.h"

namespace prunella::cel {

struct Checked {
  Type type;                ///< of the whole expression
  std::vector<Type> types;  ///< by NodeId
  std::vector<Problem> problems;
};

/// Finds the types of all parts and what can be seen to be wrong: unknown names, functions and fields (with "did you mean"),
/// arguments that no overload takes. Gradual: where something is dyn, the run decides. Lists and maps may mix types (their
/// elements are dyn then). Source: cel-spec's langdef.md, "Gradual Type Checking".
Checked check_types(const Ast& ast, const Resolved& resolved, const Environment& environment, const ParseLimits& limits = {});

}  // namespace prunella::cel
