#include "decide/cel/evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "decide/cel/cel_fixture.h"

namespace prunella::cel {
namespace {

using testing::HasSubstr;

TEST(CelEvaluator, LetsFalseAndTrueDecideFromEitherSide) {
  Calculator run;
  run.with("x", Value::integer(0));
  EXPECT_EQ(run("1 / x > 0 && false"), "false");
  EXPECT_EQ(run("1 / x > 0 || true"), "true");
  EXPECT_THAT(run("1 / x > 0 && true"), HasSubstr("division by zero"));
  EXPECT_EQ(run("[1, 0, 2].exists(e, 2 / (e + x) == 2)"), "true");
  EXPECT_EQ(run("[1, 0].all(e, 2 / (e + x) == 3)"), "false");
}

TEST(CelEvaluator, ErrorsQuoteWhatWasWrongAndTheirPlace) {
  Calculator run;
  run.with("host", from_json(*parse_json(R"({"labels": {"tier": "web"}})")));
  EXPECT_EQ(run("host.lables"), "error: there is no key 'lables'; did you mean 'labels'?");
  EXPECT_EQ(run("int('x1')"), "error: 'x1' can't be read as int");
  EXPECT_EQ(run("9223372036854775807 + size(host.labels)"), "error: the result of '+' is outside the range of int");
  EXPECT_EQ(run("timestamp('9999-12-31T23:59:59Z') + duration(string(size(host)) + 's')"),
            "error: the result of '+' is outside the range of timestamp (years 1 to 9999)");
}

TEST(CelEvaluator, AnErrorKeepsTheOffsetWhereItArose) {
  Environment environment;
  environment.variable("a");
  Slots slots;
  const Compiled compiled = compile("1 + 2 + a.b", environment, slots);
  Activation activation(slots);
  activation.set("a", Value::integer(1));
  NoTimeZones zones;

  const Outcome outcome = Evaluator(zones).run(*compiled.program, activation);

  ASSERT_TRUE(outcome.value.is_error());
  EXPECT_EQ(outcome.value.as_error().offset, 10u);
}

TEST(CelEvaluator, NamesAllThatIsUnknown) {
  Environment environment;
  environment.variable("a").variable("b").variable("c");
  Slots slots;
  NoTimeZones zones;
  Evaluator evaluator(zones);
  const auto run = [&](const char* source) {
    const Compiled compiled = compile(source, environment, slots);
    Activation activation(slots);
    for (SlotId slot = 0; slot < slots.size(); ++slot) {
      if (slots.at(slot).path == "a.x" || slots.at(slot).path == "b") activation.set_unknown(slot);
    }
    activation.set("a", from_json(*parse_json(R"({"y": 1})")));
    activation.set("c", Value::boolean(false));
    return to_text(evaluator.run(*compiled.program, activation).value);
  };

  EXPECT_EQ(run("a.x + b > 3"), "unknown(a.x, b)");
  EXPECT_EQ(run("a.x > 3 && c"), "false");
  EXPECT_EQ(run("a.x > 3 || 1 / 0 > 1"), "unknown(a.x)");
  EXPECT_EQ(run("a.y == 1 ? a.y : b"), "1");
  EXPECT_EQ(run("b ? 1 : 2"), "unknown(b)");
  EXPECT_EQ(run("[b, 1].size()"), "unknown(b)");
}

TEST(CelEvaluator, EndsAtTheCostLimitWhateverStandsAround) {
  Calculator run;
  run.with("n", Value::integer(1000));
  const std::string loops = "lists.range(n).all(a, lists.range(n).all(b, lists.range(n).all(c, a + b + c >= 0)))";
  EXPECT_THAT(run(loops), HasSubstr("cost limit"));
  EXPECT_THAT(run("true || " + loops, 3), HasSubstr("true"));
  EXPECT_THAT(run(loops + " || true"), HasSubstr("cost limit"));
  EXPECT_LE(run.cost, kRunCostMax + 2'000'000);
}

TEST(CelEvaluator, BoundsMemoryThroughTheCost) {
  Calculator run;
  run.with("s", Value::string(std::string(1000, 'x')));
  std::string source = "size(x40)";
  for (int i = 40; i > 0; --i) {
    const std::string before = i == 1 ? "s" : "x" + std::to_string(i - 1);
    source = "cel.bind(x" + std::to_string(i) + ", " + before + " + " + before + ", " + source + ")";
  }
  EXPECT_THAT(run(source), HasSubstr("cost limit"));
  std::string lists = "x40 == x40";
  for (int i = 40; i > 0; --i) {
    const std::string before = i == 1 ? "s" : "x" + std::to_string(i - 1);
    lists = "cel.bind(x" + std::to_string(i) + ", [" + before + ", " + before + "], " + lists + ")";
  }
  EXPECT_THAT(run(lists), HasSubstr("cost limit"));
  EXPECT_THAT(run("'%s'.format([[[s, s], s]]).size()"), HasSubstr("3008"));
}

// Constants are folded and patterns compiled early, but never across a jump that ends behind them.
TEST(CelEvaluator, KeepsBothBranchesOfAChosenConstant) {
  Calculator run;
  run.with("x", Value::boolean(true));
  EXPECT_EQ(run("'abc'.matches(x ? 'b' : 'z')"), "true");
  EXPECT_EQ(run("'abc'.matches(!x ? 'b' : 'z')"), "false");
  EXPECT_EQ(run("(x ? 1 : 2) + 3"), "4");
  EXPECT_EQ(run("x == (x && true)"), "true");
  EXPECT_EQ(run("[x ? 1 : 2, 3]"), "[1, 3]");
}

TEST(CelEvaluator, AnEvaluatorIsAsNewAfterARunThatWasCutOff) {
  Environment environment;
  environment.variable("n");
  Slots slots;
  const Compiled long_one = compile("lists.range(n).map(a, [a, n]).map(b, b[0] + 1)", environment, slots);
  const Compiled short_one = compile("[n].map(x, x * 2)", environment, slots);
  Activation activation(slots);
  activation.set("n", Value::integer(500));
  NoTimeZones zones;
  Evaluator evaluator(zones);

  for (std::uint64_t limit = 0; limit < 600; limit += 7) {
    EXPECT_TRUE(evaluator.run(*long_one.program, activation, limit).value.is_error());
    EXPECT_EQ(to_text(evaluator.run(*short_one.program, activation).value), "[1000]");
  }
}

TEST(CelEvaluator, AVariableWithoutAValueIsAnErrorThatNamesIt) {
  Calculator run;
  run.environment.variable("event");
  EXPECT_EQ(run("event.unit == 'a'"), "error: the variable 'event' has no value");
}

}  // namespace
}  // namespace prunella::cel
