#pragma once

#include <map>
#include <string>

#include "decide/cel/evaluator.h"
#include "decide/cel/expression.h"
#include "decide/cel/value_text.h"

namespace prunella::cel {

/// For tests: what expressions give, as text.
class Calculator {
 public:
  Environment environment;
  std::map<std::string, Value> values;
  std::uint64_t cost = 0;  ///< of the last one

  Calculator& with(const std::string& name, Value value, Type type = {}) {
    environment.variable(name, std::move(type));
    values.insert_or_assign(name, std::move(value));
    return *this;
  }

  /// The value, "error: ...", or the problems, each in one line.
  std::string operator()(const std::string& source, std::uint64_t cost_max = kRunCostMax) {
    Slots slots;
    const Compiled compiled = compile(source, environment, slots);
    if (!compiled.program) return first_lines(compiled.problems);
    Activation activation(slots);
    for (const auto& [name, value] : values) activation.set(name, value);
    NoTimeZones zones;
    const Outcome outcome = Evaluator(zones).run(*compiled.program, activation, cost_max);
    cost = outcome.cost;
    return to_text(outcome.value);
  }

 private:
  static std::string first_lines(const std::vector<Problem>& problems) {
    std::string text;
    for (const Problem& problem : problems) {
      text += std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column) + " " + problem.text +
              (problem.hint.empty() ? "" : "; " + problem.hint) + "\n";
    }
    if (!text.empty()) text.pop_back();
    return text;
  }
};

}  // namespace prunella::cel
