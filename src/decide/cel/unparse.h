#pragma once

#include <string>

#include "decide/cel/ast.h"

namespace prunella::cel {

/// The node as source text again, with the brackets that it needs and one blank around operators. Macros come back as they were
/// written, literals as to_text (value_text.h) has them.
std::string unparse(const Ast& ast, NodeId id);

}  // namespace prunella::cel
