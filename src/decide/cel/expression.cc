#include "decide/cel/expression.h"

#include "decide/cel/checker.h"
#include "decide/cel/emitter.h"
#include "decide/cel/resolver.h"

namespace prunella::cel {

Compiled compile(std::string_view source, const Environment& environment, Slots& slots, const CompileOptions& options) {
  Compiled compiled;
  Parsed parsed = parse(source, options.parse);
  if (!parsed.ast) {
    compiled.problems = std::move(parsed.problems);
    return compiled;
  }
  if (options.rewrite) options.rewrite(*parsed.ast, compiled.problems);
  if (!compiled.problems.empty()) return compiled;
  return compile(*std::move(parsed.ast), environment, slots, options);
}

Compiled compile(Ast tree, const Environment& environment, Slots& slots, const CompileOptions& options) {
  Compiled compiled;
  const auto ast = std::make_shared<const Ast>(std::move(tree));
  const Resolved resolved = resolve(*ast, environment);
  Checked checked = check_types(*ast, resolved, environment, options.parse.limits);
  compiled.type = checked.type;
  compiled.problems = std::move(checked.problems);
  if (compiled.problems.empty() && options.wanted && !Substitution().assign(compiled.type, *options.wanted)) {
    const std::size_t offset = ast->node(ast->root).offset;
    compiled.problems.push_back({offset, place_of(ast->source, offset), "the expression gives " + to_text(compiled.type),
                                 "it must give " + to_text(*options.wanted)});
  }
  if (!compiled.problems.empty()) return compiled;
  compiled.cost_bound = cost_bound(*ast, resolved, checked, options.sizes);
  if (options.cost_max && compiled.cost_bound > *options.cost_max) {
    compiled.problems.push_back({0,
                                 {},
                                 "the expression can cost " + std::to_string(compiled.cost_bound) + ", and at most " +
                                     std::to_string(*options.cost_max) + " is allowed",
                                 "go over shorter lists, or declare the types of variables more closely"});
    return compiled;
  }
  Emitted emitted = emit(*ast, resolved, environment, slots);
  compiled.problems = std::move(emitted.problems);
  if (!compiled.problems.empty()) return compiled;
  compiled.program = std::move(emitted.program);
  compiled.ast = ast;
  return compiled;
}

}  // namespace prunella::cel
