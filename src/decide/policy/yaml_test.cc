#include "decide/policy/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace prunella::policy {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string first_problem(std::string_view text, const YamlLimits& limits = {}) {
  const YamlDocuments read = parse_yaml(text, limits);
  if (read.problems.empty()) return "none";
  const Diagnostic& problem = read.problems[0];
  return std::to_string(problem.line) + ":" + std::to_string(problem.column) + " " + problem.text;
}

std::string json_text(std::string_view text) {
  const YamlDocuments read = parse_yaml(text);
  if (!read.problems.empty() || read.documents.size() != 1) return "problem";
  auto json = json_of(read.documents[0]);
  return json ? to_canonical(*json) : json.error().text();
}

TEST(Yaml, KeepsPlacesOfKeysAndValues) {
  const YamlDocuments read = parse_yaml("a: 1\nb: {c: [x, 'y']}\n");
  ASSERT_THAT(read.problems, IsEmpty());
  ASSERT_THAT(read.documents, SizeIs(1));
  const YamlNode& list = *read.documents[0].find("b")->find("c");
  EXPECT_EQ(list.items[1].mark, (Mark{2, 12}));
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_FALSE(list.items[0].quoted);
}

TEST(Yaml, ReadsScalarsAfterTheCoreSchema) {
  EXPECT_EQ(json_text("[1, -2, 1.5, true, false, null, ~, 'true', \"1\", on, 1e3, 0x1f, 1.2.3]"),
            R"([1,-2,1.5,true,false,null,null,"true","1","on",1000.0,"0x1f","1.2.3"])");
}

TEST(Yaml, AnAliasIsWhatItStandsFor) { EXPECT_EQ(json_text("a: &x {b: 1}\nc: *x\n"), R"({"a":{"b":1},"c":{"b":1}})"); }

TEST(Yaml, RefusesAliasesThatGrowWithoutEnd) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string n = std::to_string(i), m = std::to_string(i - 1);
    text += "a" + n + ": &a" + n + " [*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + ",*a" + m + "]\n";
  }
  EXPECT_THAT(first_problem(text), HasSubstr("more than 50000 values"));
}

TEST(Yaml, RefusesAnAliasWithinItself) { EXPECT_THAT(first_problem("a: &x [*x]\n"), HasSubstr("alias")); }

TEST(Yaml, RefusesDepth) {
  EXPECT_THAT(first_problem(std::string(2000, '[')), HasSubstr("deeper than 32"));
  EXPECT_THAT(first_problem(std::string(40, '[') + "x" + std::string(40, ']')), HasSubstr("deeper than 32"));
  std::string text;
  for (int i = 0; i < 40; ++i) text += std::string(static_cast<std::size_t>(i), ' ') + "k:\n";
  EXPECT_THAT(first_problem(text + std::string(41, ' ') + "x"), HasSubstr("deeper than 32"));
}

TEST(Yaml, RefusesWhatHasTwoMeanings) {
  EXPECT_EQ(first_problem("a: 1\nb: 2\na: 3\n"), "3:1 the key 'a' stands here twice");
  EXPECT_THAT(first_problem("? [a, b]\n: 1\n"), HasSubstr("a key must be a name"));
  EXPECT_THAT(first_problem("a: !!int 3\n"), HasSubstr("is not allowed"));
  EXPECT_THAT(first_problem("a: !include /etc/passwd\n"), HasSubstr("is not allowed"));
}

TEST(Yaml, SaysWhereItIsNoYaml) {
  EXPECT_THAT(first_problem("a: [1, 2\nb: 3\n"), HasSubstr("not YAML"));
  EXPECT_THAT(first_problem("a: b: c\n"), HasSubstr("1:"));
  EXPECT_THAT(first_problem(std::string("a: \0b", 5)), HasSubstr("NUL"));
  EXPECT_THAT(first_problem("a: \xff\n"), HasSubstr("UTF-8"));
}

TEST(Yaml, EndsWhereTheLibraryWouldReadNothingForEver) {
  EXPECT_EQ(first_problem(","), "1:1 not YAML: no document begins here");
  EXPECT_THAT(first_problem("a: 1\n---\n,pe:sl"), HasSubstr("no document begins here"));
  EXPECT_THAT(first_problem("]"), HasSubstr("not YAML"));
}

TEST(Yaml, LeavesEmptyDocumentsOut) {
  const YamlDocuments read = parse_yaml("---\n---\na: 1\n---\n---\n");
  EXPECT_THAT(read.problems, IsEmpty());
  EXPECT_THAT(read.documents, SizeIs(1));
}

TEST(Yaml, RefusesANumberThatIsNotExact) { EXPECT_THAT(json_text("9007199254740993"), HasSubstr("2^53")); }

}  // namespace
}  // namespace prunella::policy
