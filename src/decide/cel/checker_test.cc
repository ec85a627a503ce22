#include "decide/cel/checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decide/cel/cel_fixture.h"

namespace prunella::cel {
namespace {

using testing::HasSubstr;

Environment fleet() {
  Environment environment;
  environment.object("Event",
                     {{"unit", Type(TypeKind::kString)}, {"attempts", Type(TypeKind::kInt)}, {"at", Type(TypeKind::kTimestamp)}});
  environment.object(
      "Host", {{"labels", *parse_type("map(string, string)")}, {"packages", *parse_type("list(Package)")}, {"extra", Type()}});
  environment.object("Package", {{"name", Type(TypeKind::kString)}, {"cvss", *parse_type("nullable(double)")}});
  environment.variable("event", Type::object("Event")).variable("host", Type::object("Host"));
  return environment;
}

std::string problems(const std::string& source) {
  Calculator run;
  run.environment = fleet();
  return run(source);
}
std::string type_of(const std::string& source) {
  const Environment environment = fleet();
  Slots slots;
  const Compiled compiled = compile(source, environment, slots);
  return compiled.problems.empty() ? to_text(compiled.type) : render(compiled.problems, source);
}

TEST(CelChecker, FindsTypesThroughObjectsAndMacros) {
  EXPECT_EQ(type_of("event.unit"), "string");
  EXPECT_EQ(type_of("host.packages.filter(p, p.cvss >= 9.0).map(p, p.name)"), "list(string)");
  EXPECT_EQ(type_of("host.labels.transformMap(k, v, v.size())"), "map(string, int)");
  EXPECT_EQ(type_of("host.labels[?'tier'].orValue('std')"), "string");
  EXPECT_EQ(type_of("event.at - event.at"), "google.protobuf.Duration");
  EXPECT_EQ(type_of("[1, 'a']"), "list(dyn)");
  EXPECT_EQ(type_of("[[], [1]]"), "list(list(int))");
  EXPECT_EQ(type_of("[optional.none(), optional.of(1)]"), "list(optional_type(int))");
  EXPECT_EQ(type_of("[optional.of(1), optional.of(dyn(1))]"), "list(optional_type(dyn))");
  EXPECT_EQ(type_of("host.extra.anything.at_all + 1"), "int");
  EXPECT_EQ(type_of("type(1)"), "type(int)");
}

TEST(CelChecker, AsksWhatWasMeant) {
  EXPECT_EQ(problems("event.unti == 'a'"), "1:7 an object 'Event' has no field 'unti'; did you mean 'unit'?");
  EXPECT_EQ(problems("evnet.unit == 'a'"), "1:1 there is no variable 'evnet'; did you mean 'event'?");
  EXPECT_EQ(problems("event.unit.startWith('a')"), "1:12 there is no function 'startWith'; did you mean 'startsWith'?");
  EXPECT_EQ(problems("math.celi(1.5)"), "1:6 there is no function 'math.celi'; did you mean 'math.ceil'?");
}

TEST(CelChecker, RefusesWhatNoOverloadTakes) {
  EXPECT_EQ(problems("event.unit + 1"), "1:12 '+' does not take string and int");
  EXPECT_EQ(problems("event.attempts == 1.5"),
            "1:16 '==' does not take int and double; convert one with int(...) or double(...)");
  EXPECT_THAT(problems("event.unit.contains(1)"),
              HasSubstr("'contains' can't be called as string.(int); it takes string.(string)"));
  EXPECT_THAT(problems("event.unit ? 1 : 2"), HasSubstr("it must be bool"));
  EXPECT_THAT(problems("event.attempts.all(x, true)"), HasSubstr("goes over a list or a map"));
  EXPECT_THAT(problems("host.packages['a']"), HasSubstr("a list is indexed by int"));
  EXPECT_THAT(problems("{1.5: 2}"), HasSubstr("a map's key is of type double"));
  EXPECT_THAT(problems("[?1]"), HasSubstr("it must be an optional"));
  EXPECT_THAT(problems("'a'.matches('(')"), HasSubstr("no regular expression"));
}

TEST(CelChecker, TellsAllMistakesAndEachOnce) {
  EXPECT_EQ(problems("event.x > 1 && event.y > 2"),
            "1:7 an object 'Event' has no field 'x'\n1:22 an object 'Event' has no field 'y'");
  EXPECT_EQ(problems("event.x + 1 + 2 + 3 > 1"), "1:7 an object 'Event' has no field 'x'");
}

TEST(CelChecker, DemandsTheTypeThatIsWanted) {
  const Environment environment = fleet();
  Slots slots;
  CompileOptions options;
  options.wanted = Type(TypeKind::kBool);
  EXPECT_EQ(compile("event.attempts", environment, slots, options).problems.at(0).text, "the expression gives int");
  EXPECT_TRUE(compile("host.extra", environment, slots, options).problems.empty());
}

// A chain of what stands for what, one link a list, once overran the stack.
TEST(CelChecker, TakesManyListsOfWhichNothingIsKnown) {
  std::string lists = "[";
  for (int i = 0; i < 30'000; ++i) lists += "[],";
  EXPECT_EQ(type_of(lists + "[1]]"), "list(list(int))");
}

TEST(CelChecker, TakesTheDeepestTreeThatParses) {
  std::string chain = "event";
  std::string sum = "1";
  for (int i = 0; i < 297; ++i) {
    chain += "[0]";
    sum += "+1";
  }
  EXPECT_THAT(type_of("host.extra" + chain.substr(5)), HasSubstr("dyn"));
  EXPECT_EQ(type_of(sum), "int");
}

TEST(CelType, TextsReadBack) {
  for (const char* text : {"int", "list(string)", "map(string, list(dyn))", "optional_type(int)", "net.IP", "Host",
                           "nullable(bool)", "tuple(T, U)", "type(int)"}) {
    const auto type = parse_type(text);
    ASSERT_TRUE(type) << text;
    EXPECT_EQ(to_text(*type), text);
  }
  for (const char* text : {"", "list(", "list(int,int)", "int)", "map(string)", "(int)"}) EXPECT_FALSE(parse_type(text)) << text;
  EXPECT_FALSE(parse_type(std::string(10'000, 'a') + std::string(10'000, '(')));
}

}  // namespace
}  // namespace prunella::cel
