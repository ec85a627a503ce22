#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "decide/cel/ast.h"
#include "decide/cel/limits.h"
#include "decide/cel/source.h"

namespace prunella::cel {

struct ParseOptions {
  ParseLimits limits;
  bool macros = true;  ///< expand has(), all(), map(), cel.bind() and so on
  /// Expand cel.block, cel.index and cel.iterVar, which optimizers write and people don't: the conformance suite has them.
  bool block_macros = false;
};

struct Parsed {
  std::optional<Ast> ast;  ///< absent when there are problems
  std::vector<Problem> problems;
};

/// Reads an expression. Stops at the first problem, which says what was expected.
/// Bounded by options.limits in bytes, nesting and nodes, macros included. Source: langdef.md, "Syntax".
Parsed parse(std::string_view source, const ParseOptions& options = {});

}  // namespace prunella::cel
