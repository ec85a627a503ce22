#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "decide/cel/cost.h"
#include "decide/cel/environment.h"
#include "decide/cel/parser.h"
#include "decide/cel/program.h"
#include "decide/cel/slots.h"
#include "decide/cel/type.h"

namespace prunella::cel {

struct CompileOptions {
  ParseOptions parse;
  /// What the expression must give, such as bool for a condition; dyn passes, and the run decides. nullopt: anything.
  std::optional<Type> wanted;
  /// Refuse what can cost more than this for variables within `sizes`. nullopt: the run's own limit is enough.
  std::optional<std::uint64_t> cost_max;
  SizeAssumptions sizes;
  /// Called with the parsed tree before names are looked up: whoever embeds the language turns calls of his own into what is
  /// computed beforehand (decide/policy/windows.h), and says what is wrong with them.
  std::function<void(Ast&, std::vector<Problem>&)> rewrite;
};

/// An expression that is ready to run, or what is wrong with it.
struct Compiled {
  std::shared_ptr<const Program> program;  ///< nullptr when there are problems
  std::shared_ptr<const Ast> ast;          ///< for what looks into expressions, such as the index
  Type type;
  std::uint64_t cost_bound = 0;  ///< the most that a run can cost for variables within the options' sizes (cost.h)
  std::vector<Problem> problems;
};

/// Parses, checks and compiles. Anything that can be seen to be wrong is a problem, so that a policy with a mistake is refused
/// when it is loaded and not when it is needed.
Compiled compile(std::string_view source, const Environment& environment, Slots& slots, const CompileOptions& options = {});
/// The same for a tree that was parsed before, or a part of one: `tree.root` says which. options.rewrite isn't called.
Compiled compile(Ast tree, const Environment& environment, Slots& slots, const CompileOptions& options = {});

}  // namespace prunella::cel
