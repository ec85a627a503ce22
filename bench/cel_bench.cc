// What expressions cost: one condition run again and again, an event against 1,000 policies, and loading those. One line of JSON
// a figure.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "decide/cel/evaluator.h"
#include "decide/cel/expression.h"
#include "decide/cel/index.h"
#include "decide/cel/value_text.h"
#include "json_lines.h"

namespace {

using namespace prunella;
using namespace prunella::cel;

constexpr std::size_t kPolicies = 1'000;

Environment schema() {
  Environment environment;
  environment.object("Event", {{"unit", Type(TypeKind::kString)},
                               {"result", Type(TypeKind::kString)},
                               {"attempts", Type(TypeKind::kInt)},
                               {"host", Type(TypeKind::kString)}});
  environment.object(
      "Host",
      {{"labels", *parse_type("map(string, string)")}, {"kind", Type(TypeKind::kString)}, {"load", Type(TypeKind::kDouble)}});
  environment.variable("event", Type::object("Event")).variable("host", Type::object("Host"));
  return environment;
}

Value event_value() {
  return from_json(*parse_json(R"({"unit": "app-17.service", "result": "exit-code", "attempts": 2, "host": "web-3"})"));
}
Value host_value() {
  return from_json(*parse_json(R"({"labels": {"tier": "web", "ring": "canary"}, "kind": "vm", "load": 0.7})"));
}

/// Conditions as policies have them, each about a unit of its own.
std::string condition(std::size_t number) {
  const std::string unit = "app-" + std::to_string(number) + ".service";
  switch (number % 4) {
    case 0: return "event.unit == '" + unit + "' && event.result in ['exit-code', 'signal', 'watchdog'] && event.attempts <= 3";
    case 1:
      return "event.unit == '" + unit +
             "' && event.result != 'success' && host.labels[?'tier'].orValue('std') != 'control-plane'";
    case 2:
      return "host.kind == 'vm' && event.unit in ['" + unit + "', 'other-" + std::to_string(number) + "'] && host.load < 0.9";
    default: return "event.unit == '" + unit + "' && event.unit.startsWith('app-') && event.attempts * 2 < 10";
  }
}

void run_one(benchmark::State& state, const char* source) {
  const Environment environment = schema();
  Slots slots;
  const Compiled compiled = compile(source, environment, slots);
  if (!compiled.program) return state.SkipWithError(render(compiled.problems, source).c_str());
  const Value event = event_value();
  const Value host = host_value();
  NoTimeZones zones;
  Evaluator evaluator(zones);
  Activation activation(slots);
  const SlotId event_slot = slots.root("event");
  const SlotId host_slot = slots.root("host");
  for (auto _ : state) {
    // A new event each time: nothing that was looked up before is left.
    activation.reset();
    activation.set(event_slot, event);
    activation.set(host_slot, host);
    benchmark::DoNotOptimize(evaluator.run(*compiled.program, activation));
  }
  state.SetItemsProcessed(state.iterations());
}

void evaluations(benchmark::State& state) {
  run_one(state,
          "event.unit.startsWith('app-') && event.result in ['exit-code', 'signal', 'watchdog'] && event.attempts <= 3 && "
          "host.load < 0.9");
}
void evaluations_with_a_loop(benchmark::State& state) {
  run_one(state, "host.labels.exists(k, v, k == 'tier' && v == 'web') && event.unit.matches('^app-[0-9]+[.]service$')");
}

struct PolicySet {
  Environment environment = schema();
  Slots slots;
  std::vector<std::shared_ptr<const Program>> programs;
  RuleIndex index;

  PolicySet() {
    // The roots are known to whoever sets them, whatever the policies read.
    slots.root("event");
    slots.root("host");
    for (std::size_t i = 0; i < kPolicies; ++i) {
      const std::string source = condition(i);
      const Compiled compiled = compile(source, environment, slots);
      check(compiled.program != nullptr, "the benchmark's policies compile");
      programs.push_back(compiled.program);
      index.add(static_cast<RuleId>(i), {"unit.failed"}, compiled.program);
    }
    index.build();
  }
};

void event_against_1000_policies(benchmark::State& state) {
  PolicySet policies;
  const Value event = event_value();
  const Value host = host_value();
  NoTimeZones zones;
  Evaluator evaluator(zones);
  Activation activation(policies.slots);
  std::vector<RuleId> found;
  std::size_t matched = 0;
  for (auto _ : state) {
    activation.reset();
    activation.set("event", event);
    activation.set("host", host);
    policies.index.candidates("unit.failed", activation, found);
    for (const RuleId rule : found) matched += evaluator.run(*policies.programs[rule], activation).value.is_true();
  }
  check(matched > 0, "one policy is about the event's unit");
  state.SetItemsProcessed(state.iterations());
}

void event_against_1000_policies_without_index(benchmark::State& state) {
  PolicySet policies;
  const Value event = event_value();
  const Value host = host_value();
  NoTimeZones zones;
  Evaluator evaluator(zones);
  Activation activation(policies.slots);
  for (auto _ : state) {
    activation.reset();
    activation.set("event", event);
    activation.set("host", host);
    for (const auto& program : policies.programs) benchmark::DoNotOptimize(evaluator.run(*program, activation));
  }
  state.SetItemsProcessed(state.iterations());
}

void load_1000_policies(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(PolicySet());
}

BENCHMARK(evaluations);
BENCHMARK(evaluations_with_a_loop);
BENCHMARK(event_against_1000_policies);
BENCHMARK(event_against_1000_policies_without_index);
BENCHMARK(load_1000_policies)->Unit(benchmark::kMillisecond);

}  // namespace

int main(int count, char** values) {
  benchmark::Initialize(&count, values);
  prunella::bench::JsonLines lines("cel");
  benchmark::RunSpecifiedBenchmarks(&lines);
}
