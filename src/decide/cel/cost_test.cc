#include "decide/cel/cost.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "decide/cel/cel_fixture.h"

namespace prunella::cel {
namespace {

std::uint64_t bound(const std::string& source, const Environment& environment) {
  Slots slots;
  const Compiled compiled = compile(source, environment, slots);
  EXPECT_TRUE(compiled.problems.empty()) << render(compiled.problems, source);
  return compiled.cost_bound;
}

TEST(CelCost, GrowsWithWhatALoopGoesOver) {
  Environment environment;
  environment.variable("list", *parse_type("list(int)"));
  const std::uint64_t one = bound("list.all(x, x > 0)", environment);
  const std::uint64_t two = bound("list.all(x, list.all(y, x > y))", environment);
  EXPECT_GT(one, 1'000u);
  EXPECT_LT(one, 20'000u);
  EXPECT_GT(two, 1'000'000u);
  EXPECT_LT(bound("[1, 2, 3].all(x, x > 0)", environment), 50u);
}

TEST(CelCost, RefusesWhatCanCostTooMuch) {
  Environment environment;
  environment.variable("list", *parse_type("list(int)"));
  Slots slots;
  CompileOptions options;
  options.cost_max = 100'000;
  EXPECT_TRUE(compile("list.exists(x, x == 1)", environment, slots, options).problems.empty());
  EXPECT_FALSE(compile("list.all(x, list.all(y, x > y))", environment, slots, options).problems.empty());
}

// The bound is one: no run within the sizes costs more.
TEST(CelCost, NoRunCostsMoreThanItsBound) {
  const std::string json =
      R"({"s": "the quick brown fox", "t": "o", "n": 7, "l": [3, 1, 2, 3], "w": ["b", "a", "c", "a"], "m": {"a": 1, "b": 2, "c": 3},
                              "d": {"deep": [{"x": "y"}, {"x": "zzzzzzzzzzzzzzzz"}]}})";
  Environment environment;
  environment.variable("s", *parse_type("string")).variable("t", *parse_type("string")).variable("n", *parse_type("int"));
  environment.variable("l", *parse_type("list(int)"))
      .variable("w", *parse_type("list(string)"))
      .variable("m", *parse_type("map(string, int)"))
      .variable("d");
  CompileOptions options;
  options.sizes = {4, 19, 40};  // just what the values have, so that the bound has no slack from them
  NoTimeZones zones;
  Evaluator evaluator(zones);
  const auto values = parse_json(json);
  for (const char* source : {"s + t + s == t",
                             "s.contains(t) && s.startsWith('the') || s.endsWith(t)",
                             "s.matches('q.*k')",
                             "s.matches(t)",
                             "s.replace(t, s)",
                             "s.split('')",
                             "s.split(t).join(s)",
                             "w.join(s)",
                             "'%s and %d and %.100f and %s and %s'.format([s, n, 1.5, m, d])",
                             "l.sort()",
                             "w.sort()",
                             "w.sortBy(x, x.size())",
                             "w.distinct()",
                             "[l, l].flatten()",
                             "lists.range(n)",
                             "l.map(x, l.map(y, x * y))",
                             "l.filter(x, x > 1).map(x, string(x) + s)",
                             "w.exists(x, x.matches(t))",
                             "m.transformMap(k, v, k + s)",
                             "m.transformMapEntry(k, v, {k + k: v})",
                             "m.all(k, k in w)",
                             "d == d",
                             "d.deep.map(x, x.x + s)",
                             "d.deep.exists(x, x.x == s)",
                             "cel.bind(x, [s, s, s], [x, x, x]) == [[s]]",
                             "l in [l, [1], [3, 1, 2, 3]]",
                             "strings.quote(s).reverse().upperAscii()",
                             "base64.decode(base64.encode(bytes(s)))",
                             "n > 3 ? s.split('') : w",
                             "optional.of(s).optMap(x, x + x).orValue(t)",
                             "l[?9].orValue(n) + l.first().value()",
                             "{s: l, t: l}[t].reverse()",
                             "s < t || s >= t",
                             "math.greatest(l) + math.least(1, n)",
                             "s.substring(1, 3).indexOf(t) + s.lastIndexOf('o')",
                             "[?optional.of(s), ?optional.none()].size()",
                             "timestamp('2020-01-01T00:00:00Z').getFullYear() + duration('1h').getHours()",
                             "d.deep.map(x, x).distinct()",
                             "w.map(x, s)",
                             "l.existsOne(i, v, i == v)"}) {
    Slots slots;
    const Compiled compiled = compile(source, environment, slots, options);
    ASSERT_TRUE(compiled.program) << render(compiled.problems, source);
    Activation activation(slots);
    for (const auto& [name, value] : *values->as_object()) activation.set(name, from_json(value));

    const Outcome outcome = evaluator.run(*compiled.program, activation);

    EXPECT_FALSE(outcome.value.is_error()) << source << ": " << to_text(outcome.value);
    EXPECT_LE(outcome.cost, compiled.cost_bound) << source;
  }
}

}  // namespace
}  // namespace prunella::cel
