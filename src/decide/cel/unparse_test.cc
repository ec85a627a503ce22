#include "decide/cel/unparse.h"

#include <gtest/gtest.h>

#include "decide/cel/parser.h"

namespace prunella::cel {
namespace {

std::string again(std::string_view source) {
  const Parsed parsed = parse(source);
  return parsed.ast ? unparse(*parsed.ast, parsed.ast->root) : "not parsed";
}

TEST(CelUnparse, WritesWhatWasRead) {
  for (const char* source : {"a && b || !c", "a && b && c && d && e", "a || b || c && d", "a && (b || c)", "x in [1, 2u, 'y']", "a - b - (c - d)", "a ? b : c ? d : e", "has(a.b.c)", "a.?b[?0]", "-x * (y + 1)",
                             "l.exists(x, x == 1 && y)", "l.map(x, x > 1, x * 2)", "l.filter(x, x.y in z)", "m.transformMap(k, v, v + 1)", "{'a': 1, ?'b': o}", "f(a, b).g(c)[d].e",
                             "cel.bind(x, a + b, x * x)"}) {
    EXPECT_EQ(again(source), source);
  }
}

TEST(CelUnparse, AddsOnlyTheBracketsThatAreNeeded) { EXPECT_EQ(again("((a)) + ((b * c))"), "a + b * c"); }

}  // namespace
}  // namespace prunella::cel
