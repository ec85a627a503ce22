#pragma once

#include <optional>

#include "decide/cel/node_builder.h"

namespace prunella::cel {

/// A call as it was written, before anyone knows whether it is a macro.
struct MacroCall {
  std::uint32_t offset = 0;  ///< of the function's name
  std::string_view function;
  NodeId target = kNoNode;  ///< kNoNode: not called on anything
  std::vector<NodeId> arguments;
};

/// What the call stands for, when it is a macro with this number of arguments; nullopt when it is an ordinary call. A macro whose
/// arguments are of the wrong form is a problem of `builder`.
/// Source: langdef.md, "Macros"; cel-go's ext/README.md for bindings, two-variable comprehensions, math, lists and optionals.
std::optional<NodeId> expand_macro(NodeBuilder& builder, const MacroCall& call, bool block_macros);

}  // namespace prunella::cel
