// What policy documents cost with the real vocabulary: loading 1,000 of them from YAML, an event against them, and making the values of
// a host with 500 packages, which an event of a host that changed brings along. One line of JSON a figure.
#include <benchmark/benchmark.h>

#include <string>

#include "decide/policy/loader.h"
#include "decide/policy/policy_set.h"
#include "json_lines.h"

namespace {

using namespace prunella;
using namespace prunella::policy;

constexpr std::size_t kPolicies = 1'000;

std::string yaml_text() {
  std::string text;
  for (std::size_t i = 0; i < kPolicies; ++i) {
    const std::string n = std::to_string(i), unit = "app-" + n + ".service";
    text += "---\npolicy: p-" + n + "\ntrigger: [unit.failed, unit.watchdog]\nlet: {again: \"count('unit.failed', '10m')\"}\n";
    switch (i % 3) {
      case 0: text += "when: \"event.unit == '" + unit + "' && event.result in ['exit-code', 'signal'] && again <= 3\"\n"; break;
      case 1: text += "when: \"event.unit == '" + unit + "' && host.labels[?'tier'].orValue('std') != 'control-plane'\"\n"; break;
      default: text += "when: \"event.unit == '" + unit + "' && host.failed.all(u, u != 'db.service')\"\n"; break;
    }
    text += "never: \"host.env == 'frozen'\"\nverify: \"unit.active && unit.stable_s >= 60\"\nautonomy: {start: L1, max: L3}\ndo: [{unit.restart: {unit: event.unit}}]\n";
  }
  return text;
}

std::shared_ptr<const PolicySet> loaded(const std::string& text) {
  LoadedDocuments read = load_documents(text);
  check(read.documents.size() == kPolicies, "the benchmark's policies load");
  BuiltSet built = build_set(std::move(read.documents));
  check(built.set->policies().size() == kPolicies, "the benchmark's policies compile");
  return built.set;
}

CaseFacts facts() {
  CaseFacts out;
  out.event = Json(Json::Object{{"type", Json("unit.failed")}, {"unit", Json("app-17.service")}, {"result", Json("signal")}, {"subject", Json("app-17.service")}});
  Json::Array packages;
  for (int i = 0; i < 500; ++i)
    packages.emplace_back(Json::Object{{"name", Json("package-" + std::to_string(i))}, {"source", Json("source")}, {"evr", Json("1.2.3-4+deb12u1")}, {"fix", Json("")}});
  out.host = Json(Json::Object{{"id", Json("web-3")},
                               {"env", Json("prod")},
                               {"labels", Json(Json::Object{{"tier", Json("web")}})},
                               {"failed", Json(Json::Array{Json("app-17.service")})},
                               {"packages", Json(std::move(packages))}});
  out.windows["count('unit.failed', '10m')"] = Json(1);
  return out;
}

void load_1000_documents(benchmark::State& state) {
  const std::string text = yaml_text();
  for (auto _ : state) benchmark::DoNotOptimize(loaded(text));
}

void event_against_1000_documents(benchmark::State& state) {
  const auto set = loaded(yaml_text());
  const EventType& trigger = *find_event_type("unit.failed");
  const CaseFacts given = facts();
  const cel::Environment environment = environment_for(trigger, Place::kCondition);
  const cel::Value event = typed_value(given.event, *environment.variable_type("event"), environment, "event");
  const cel::Value host = typed_value(given.host, *environment.variable_type("host"), environment, "host");
  NoTimeZones zones;
  Judge judge(*set, zones);
  std::size_t matched = 0;
  for (auto _ : state) {
    judge.load(trigger, event, host, Instant{});
    judge.set("count('unit.failed', '10m')", cel::Value::integer(1));
    matched += judge.matches().size();
  }
  check(matched == static_cast<std::size_t>(state.iterations()), "one policy is about the event's unit");
}

void values_of_a_host_with_500_packages(benchmark::State& state) {
  const cel::Environment environment = environment_for(*find_event_type("unit.failed"), Place::kCondition);
  const CaseFacts given = facts();
  for (auto _ : state) benchmark::DoNotOptimize(typed_value(given.host, *environment.variable_type("host"), environment, "host"));
}

BENCHMARK(load_1000_documents)->Unit(benchmark::kMillisecond);
BENCHMARK(event_against_1000_documents);
BENCHMARK(values_of_a_host_with_500_packages);

}  // namespace

int main(int count, char** values) {
  benchmark::Initialize(&count, values);
  prunella::bench::JsonLines lines("policy");
  benchmark::RunSpecifiedBenchmarks(&lines);
}
