// An expression of policies: read, checked, bounded and run with a limit on what it may cost. What checks must run to an end, and a
// run must not cost more than its limit by more than one step can.
#include "decide/cel/evaluator.h"
#include "decide/cel/expression.h"
#include "decide/cel/index.h"
#include "decide/cel/value_text.h"

#include "base/check.h"
#include "base/json.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  using namespace prunella::cel;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  static const auto event = parse_json(R"({"unit": "app-1.service", "n": 3, "list": [1, 2.5, "x", null], "map": {"a": {"b": true}}})");

  Environment environment;
  environment.object("Event", {{"unit", Type(TypeKind::kString)}, {"n", Type(TypeKind::kInt)}, {"list", Type::list(Type())}, {"map", Type()}});
  environment.variable("event", Type::object("Event")).variable("x").container("net.example");
  Slots slots;
  const Compiled compiled = compile(source, environment, slots);
  check((compiled.program == nullptr) == !compiled.problems.empty(), "an expression is compiled or has problems");
  (void)render(compiled.problems, source).size();
  if (!compiled.program) return 0;

  Activation activation(slots);
  activation.set("event", from_json(*event));
  if (size % 2 == 0 && slots.find("x") != kNoSlot) activation.set_unknown(slots.find("x"));
  NoTimeZones zones;
  Evaluator evaluator(zones);
  constexpr std::uint64_t kLimit = 20'000;
  const Outcome outcome = evaluator.run(*compiled.program, activation, kLimit);
  const Outcome again = evaluator.run(*compiled.program, activation, kLimit);
  const std::string text = to_text(outcome.value);
  check(text == to_text(again.value) && outcome.cost == again.cost, "the same expression gives the same value at the same cost");
  (void)to_json(outcome.value).has_value();

  RuleIndex index;
  index.add(7, {"t"}, compiled.program);
  index.build();
  std::vector<RuleId> found;
  index.candidates("t", activation, found);
  const bool stopped = outcome.value.is_error() && outcome.value.as_error().code == ErrorCode::kCostLimit;
  check(!found.empty() || outcome.value.is_false() || stopped, "a rule that the index leaves out is false");
  return 0;
}
