#include "decide/cel/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace prunella::cel {
namespace {

std::string problem_of(std::string_view source) {
  const Parsed parsed = parse(source);
  return parsed.problems.empty() ? "" : render(parsed.problems, source);
}

TEST(CelParser, SaysWhereAndWhatWasExpected) {
  EXPECT_EQ(problem_of("1 + "),
            "line 1, column 5: the expression ends here; expected a value, a name or '('\n  | 1 + \n  |     ^");
  EXPECT_EQ(problem_of("a &&\n  = b"),
            "line 2, column 3: '=' is no part of an expression; did you mean '=='?\n  |   = b\n  |   ^");
  EXPECT_THAT(problem_of("[1, 2"), testing::HasSubstr("expected ']'"));
  EXPECT_THAT(problem_of("for + 1"), testing::HasSubstr("'for' is reserved and can't be a name"));
}

TEST(CelParser, CountsColumnsInCharacters) { EXPECT_THAT(problem_of("'\u00e4\u00f6' + +"), testing::HasSubstr("column 8")); }

TEST(CelParser, RefusesWhatNoTypeHolds) {
  EXPECT_THAT(problem_of("9223372036854775808"), testing::HasSubstr("too large for an int"));
  EXPECT_EQ(problem_of("-9223372036854775808"), "");
  EXPECT_THAT(problem_of("18446744073709551616u"), testing::HasSubstr("too large for a uint"));
  EXPECT_THAT(problem_of("'\\ud800'"), testing::HasSubstr("is no character"));
  EXPECT_THAT(problem_of("b'\\u00ff'"), testing::HasSubstr("bytes have none"));
  EXPECT_THAT(problem_of("'\\q'"), testing::HasSubstr("there is no escape"));
  EXPECT_THAT(problem_of("'abc"), testing::HasSubstr("has no end"));
  EXPECT_THAT(problem_of("'a\nb'"), testing::HasSubstr("over a line's end"));
}

TEST(CelParser, RefusesMacrosOfTheWrongForm) {
  EXPECT_THAT(problem_of("has(a)"), testing::HasSubstr("has() takes a field"));
  EXPECT_THAT(problem_of("[1].all(1, true)"), testing::HasSubstr("must be a plain name"));
  EXPECT_THAT(problem_of("[1].exists(x, x, true)"), testing::HasSubstr("need different names"));
  EXPECT_THAT(problem_of("math.greatest('a')"), testing::HasSubstr("takes numbers"));
}

TEST(CelParser, BoundsNestingDepthAndSize) {
  EXPECT_THAT(problem_of(std::string(300, '(') + "1" + std::string(300, ')')), testing::HasSubstr("nested more than 250"));
  EXPECT_THAT(problem_of(std::string(100'001, ' ') + "1"), testing::HasSubstr("at most 100000 are allowed"));
  std::string chain = "1";
  for (int i = 0; i < 2'000; ++i) chain += "+1";
  EXPECT_THAT(problem_of(chain), testing::HasSubstr("more than 300 steps deep"));
  EXPECT_THAT(problem_of(std::string(50'000, '!') + "true"), testing::HasSubstr("steps deep"));
  EXPECT_THAT(problem_of("a" + std::string(5'000, 'b') + std::string(2'000, '.') + "c"), testing::HasSubstr("unexpected"));
}

TEST(CelParser, TakesLongChainsOfAndAndOr) {
  std::string chain = "true";
  for (int i = 0; i < 10'000; ++i) chain += " && a";
  const Parsed parsed = parse(chain);

  ASSERT_TRUE(parsed.ast);
  EXPECT_LT(parsed.ast->node(parsed.ast->root).depth, 20u);
}

TEST(CelParser, TakesReservedWordsAsFields) {
  EXPECT_EQ(problem_of("a.for.namespace"), "");
  EXPECT_EQ(problem_of("a.`content-type`"), "");
  EXPECT_EQ(problem_of("a.?b[?0]"), "");
}

}  // namespace
}  // namespace prunella::cel
