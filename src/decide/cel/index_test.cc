#include "decide/cel/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/json.h"
#include "decide/cel/cel_fixture.h"

namespace prunella::cel {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Rules {
 public:
  Rules() { environment_.variable("event"); }
  void add(const std::string& trigger, const std::string& condition) {
    const Compiled compiled = compile(condition, environment_, slots_);
    ASSERT_TRUE(compiled.program) << render(compiled.problems, condition);
    index.add(static_cast<RuleId>(programs.size()), {trigger}, compiled.program);
    programs.push_back(compiled.program);
  }
  std::vector<RuleId> candidates(const std::string& trigger, const std::string& event) {
    Activation activation(slots_);
    activation.set("event", from_json(*parse_json(event)));
    std::vector<RuleId> found;
    index.candidates(trigger, activation, found);
    return found;
  }
  /// The rules whose conditions are not false, by running all of them.
  std::vector<RuleId> not_false(const std::string& event) {
    Activation activation(slots_);
    activation.set("event", from_json(*parse_json(event)));
    NoTimeZones zones;
    Evaluator evaluator(zones);
    std::vector<RuleId> found;
    for (RuleId rule = 0; rule < programs.size(); ++rule) {
      if (!evaluator.run(*programs[rule], activation).value.is_false()) found.push_back(rule);
    }
    return found;
  }
  RuleIndex index;
  std::vector<std::shared_ptr<const Program>> programs;

 private:
  Environment environment_;
  Slots slots_;
};

TEST(CelIndex, FindsRulesByTriggerAndConstant) {
  Rules rules;
  rules.add("unit.failed", "event.unit == 'nginx' && event.n > 3");
  rules.add("unit.failed", "event.unit in ['nginx', 'redis']");
  rules.add("unit.failed", "event.n > 5");
  rules.add("file.changed", "event.unit == 'nginx'");
  rules.add("unit.failed", "'redis' == event.unit || event.n == 1");
  rules.index.build();

  EXPECT_THAT(rules.candidates("unit.failed", R"({"unit": "nginx", "n": 1})"), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(rules.candidates("unit.failed", R"({"unit": "redis", "n": 1})"), ElementsAre(1, 2, 4));
  EXPECT_THAT(rules.candidates("file.changed", R"({"unit": "x"})"), IsEmpty());
  EXPECT_THAT(rules.candidates("no.such", R"({"unit": "nginx"})"), IsEmpty());
}

TEST(CelIndex, LeavesOutNoRuleWhoseValueIsAnError) {
  Rules rules;
  rules.add("t", "event.unit == 'nginx'");
  rules.index.build();
  EXPECT_THAT(rules.candidates("t", R"({"other": 1})"), ElementsAre(0));
}

TEST(CelIndex, ChoosesTheConstantThatFewestRulesDemand) {
  Rules rules;
  for (int i = 0; i < 100; ++i) rules.add("t", "event.kind == 'vm' && event.name == 'h" + std::to_string(i) + "'");
  rules.index.build();
  EXPECT_THAT(rules.candidates("t", R"({"kind": "vm", "name": "h7"})"), ElementsAre(7));
}

// Against running everything, over random conditions and events.
TEST(CelIndex, ALeftOutRuleIsFalse) {
  std::mt19937 random(20260301);
  const auto pick = [&](std::initializer_list<const char*> words) { return std::string(words.begin()[random() % words.size()]); };
  Rules rules;
  for (int i = 0; i < 300; ++i) {
    std::string condition;
    for (std::size_t terms = 1 + random() % 3; terms > 0; --terms) {
      const std::string path = "event." + pick({"a", "b", "c.d"});
      const std::string term = pick({"1", "1u", "2", "'x'", "'y'", "true"});
      condition += (condition.empty() ? "" : pick({" && ", " && ", " && ", " || "})) +
                   (random() % 3 == 0   ? path + " in [" + term + ", " + pick({"'x'", "2"}) + "]"
                    : random() % 4 == 0 ? "dyn(" + path + ") != " + term
                                        : path + " == " + term);
    }
    rules.add("t", condition);
  }
  rules.index.build();
  for (int i = 0; i < 200; ++i) {
    const std::string event = "{\"a\": " + pick({"1", "2", "1.0", "\"x\"", "true", "[1]"}) +
                              ", \"b\": " + pick({"1", "\"y\"", "\"x\"", "false"}) +
                              (random() % 2 ? ", \"c\": {\"d\": " + pick({"1", "2", "\"x\"", "2.5"}) + "}" : "") + "}";
    const auto found = rules.candidates("t", event);
    for (const RuleId rule : rules.not_false(event)) {
      EXPECT_THAT(found, testing::Contains(rule)) << event << " " << rules.programs[rule]->source;
    }
    EXPECT_LT(found.size(), 300u);
  }
}

}  // namespace
}  // namespace prunella::cel
