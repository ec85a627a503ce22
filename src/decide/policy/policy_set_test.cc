#include "decide/policy/policy_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decide/policy/cases.h"
#include "decide/policy/explain.h"
#include "decide/policy/loader.h"

namespace prunella::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

BuiltSet built(std::string_view text) {
  LoadedDocuments read = load_documents(text);
  for (const Diagnostic& one : read.diagnostics) EXPECT_EQ(one.weight, Weight::kWarning) << one.text;
  return build_set(std::move(read.documents));
}
std::string policy_text(std::string_view name, std::string_view trigger, std::string_view when, std::string_view more = "") {
  return "---\npolicy: " + std::string(name) + "\ntrigger: [" + std::string(trigger) + "]\nwhen: \"" + std::string(when) + "\"\n" + std::string(more) +
         (more.find("do:") == std::string_view::npos ? "do: [{unit.restart: {}}]\n" : "");
}
CaseFacts facts(std::string_view event, std::string_view host, std::string_view more = "") {
  std::vector<Diagnostic> diagnostics;
  const YamlDocuments yaml = parse_yaml("event: " + std::string(event) + "\nhost: " + std::string(host) + "\n" + std::string(more));
  EXPECT_THAT(yaml.problems, IsEmpty());
  CaseFacts read = read_facts(yaml.documents.at(0), diagnostics);
  EXPECT_THAT(diagnostics, IsEmpty()) << diagnostics[0].text;
  return read;
}
/// What a policy with this condition says to the facts.
std::string said(std::string_view when, const CaseFacts& given, std::string_view more = "") {
  const BuiltSet set = built(policy_text("p", "unit.failed", when, more));
  if (set.set->rules().empty()) return "not loaded: " + set.diagnostics.at(0).text;
  NoTimeZones zones;
  Judge judge(*set.set, zones);
  judge.load(*set.set->rules()[0].trigger, given);
  const Match match = judge.judge(0);
  const auto text = [](const Judged& judged) { return std::string(to_text(judged.truth)) + (judged.text.empty() ? "" : " " + judged.text); };
  return text(match.when) + (match.guard ? ", guard " + text(*match.guard) : "") + (match.never ? ", never " + text(*match.never) : "");
}

TEST(PolicySet, FieldsAreCheckedForEachTrigger) {
  const BuiltSet set = built(policy_text("p", "unit.failed, clock.off", "event.unit == 'a.service'"));
  EXPECT_THAT(set.set->policies(), IsEmpty());
  ASSERT_THAT(set.diagnostics, SizeIs(1));
  EXPECT_THAT(set.diagnostics[0].text, HasSubstr("event.clock.off"));
  EXPECT_EQ(set.diagnostics[0].line, 4u);
}

TEST(PolicySet, AMistakeHasItsPlaceInTheFile) {
  const BuiltSet set = built(policy_text("p", "unit.failed", "host.lables.exists(l, l == 'x')"));
  ASSERT_THAT(set.diagnostics, SizeIs(1));
  EXPECT_THAT(set.diagnostics[0].hint, HasSubstr("labels"));
  EXPECT_EQ(set.diagnostics[0].line, 4u);
  EXPECT_EQ(set.diagnostics[0].column, 13u);
}

TEST(PolicySet, AConditionMustGiveATruth) { EXPECT_THAT(said("event.unit", {}), HasSubstr("gives string")); }

TEST(PolicySet, WhatIsNotSensedIsUnknownAndNoMatch) {
  const CaseFacts given = facts("{type: unit.failed, unit: a.service}", "{failed: [a.service]}");
  EXPECT_EQ(said("'dccp' in host.modules", given), "unknown not known: host.modules");
  EXPECT_EQ(said("has(host.modules)", given), "unknown not known: host.modules");
  EXPECT_EQ(said("event.unit in host.failed || 'dccp' in host.modules", given), "match");
  EXPECT_EQ(said("event.unit == 'b' && 'dccp' in host.modules", given), "no-match");
}

TEST(PolicySet, AFieldThatIsUnknownInOneElementIsUnknownThere) {
  const CaseFacts given = facts("{type: unit.failed, unit: a}", "{packages: [{name: a, fix: '2', kev: true}, {name: b, fix: '3', kev: false}]}");
  EXPECT_EQ(said("host.packages.exists(p, p.kev || p.cvss >= 9.0)", given), "match");
  EXPECT_EQ(said("host.packages.all(p, p.kev || p.cvss >= 9.0)", given), "unknown not known: host.packages[].cvss");
}

TEST(PolicySet, AnErrorIsNoMatchAndSaysWhere) {
  EXPECT_THAT(said("host.labels['tier'] == 'db'", facts("{type: unit.failed, unit: a}", "{labels: {}}")), HasSubstr("error"));
}

TEST(PolicySet, GuardAndNeverAreJudgedWhenItSpeaks) {
  const CaseFacts given = facts("{type: unit.failed, unit: a}", "{busy: false}");
  EXPECT_EQ(said("true", given, "guard: \"!host.busy\"\nnever: host.frozen\n"), "match, guard match, never unknown not known: host.frozen");
  EXPECT_EQ(said("false", given, "guard: \"!host.busy\"\n"), "no-match");
}

TEST(PolicySet, ANullIsUnknownAndNotFalse) {
  EXPECT_EQ(said("host.frozen", facts("{type: unit.failed, unit: a}", "{frozen: null}")), "unknown not known: host.frozen");
}

TEST(PolicySet, TextsBecomeTimesAndWholeNumbersDoublesWhereTheTypeSaysSo) {
  const CaseFacts given = facts("{type: unit.failed, at: '2026-11-24T03:00:00Z'}", "{last_seen: soon, packages: [{epss: 1}]}", "now: '2026-11-24T03:00:30Z'\n");
  EXPECT_EQ(said("now - event.at == duration('30s') && host.packages[0].epss * 0.5 == 0.5", given), "match");
  EXPECT_THAT(said("host.last_seen < now", given), HasSubstr("error host.last_seen: 'soon'"));
}

TEST(PolicySet, AMistakeInABlockTextHasItsOwnLine) {
  const BuiltSet set = built("policy: p\ntrigger: unit.failed\nwhen: |\n  event.unit == 'a' &&\n  host.lables.size() > 0\ndo: [{notify: {}}]\n");
  ASSERT_THAT(set.diagnostics, SizeIs(1));
  EXPECT_EQ(set.diagnostics[0].line, 5u);
}

TEST(PolicySet, EndsWhatCostsTooMuchInAnErrorOfTheRun) {
  std::string list = "[0";
  for (int i = 1; i < 200; ++i) list += ", " + std::to_string(i);
  list += "]";
  const std::string loops = list + ".all(a, " + list + ".all(b, " + list + ".all(c, a + b + c >= 0)))";
  EXPECT_THAT(said(loops, facts("{type: unit.failed}", "{}")), HasSubstr("error"));
}

TEST(PolicySet, LetsAreWorkedOutInOrder) {
  const CaseFacts given = facts("{type: unit.failed, unit: app-1}", "{failed: [app-1, app-2, x]}");
  EXPECT_EQ(said("n == 2 && mine[0] == 'app-1'", given, "let: {mine: \"host.failed.filter(u, u.startsWith('app-'))\", n: size(mine)}\n"), "match");
}

TEST(PolicySet, LetsOfTwoPoliciesAreTwoThings) {
  const BuiltSet set = built(policy_text("a", "unit.failed", "x == 1", "let: {x: \"1\"}\n") + policy_text("b", "unit.failed", "x == 'one'", "let: {x: \"'one'\"}\n"));
  NoTimeZones zones;
  Judge judge(*set.set, zones);
  judge.load(*find_event_type("unit.failed"), facts("{type: unit.failed}", "{}"));
  EXPECT_THAT(judge.matches(), SizeIs(2));
}

TEST(PolicySet, ComparesVersionsAndNetworks) {
  const CaseFacts given = facts("{type: unit.failed}", "{fmt: deb}");
  EXPECT_EQ(said("vercmp(host.fmt, '1.0~rc1-1', '1.0-1') < 0", given), "match");
  EXPECT_THAT(said("vercmp('rpm', '1', '2') < 0", given), HasSubstr("'rpm'"));
  EXPECT_EQ(said("cidrHas('10.0.0.0/8', '10.1.2.3') && !cidrHas('10.0.0.0/8', 'fd00::1')", given), "match");
  EXPECT_THAT(said("cidrHas('10.0.0.0', '10.1.2.3')", given), HasSubstr("no network"));
}

TEST(PolicySet, WindowsAreLaidOutWhenItIsLoaded) {
  const BuiltSet set = built(policy_text("p", "unit.failed", "count('unit.failed', '10m') <= 3 && rate('unit.failed', '600s') < 1.0 && slo('http_5xx', '10m') < 0.1"));
  ASSERT_THAT(set.set->windows(), SizeIs(3));
  EXPECT_EQ(set.set->windows()[0].name, "count('unit.failed', '10m')");
  const CaseFacts known = facts("{type: unit.failed}", "{}", "windows: {\"count('unit.failed','10m')\": 2}\n");
  EXPECT_EQ(said("count('unit.failed', '10m') <= 3", known), "match");
  EXPECT_EQ(said("slo('http_5xx', '10m') < 0.1", known), "unknown not known: slo('http_5xx', '10m')");
}

TEST(PolicySet, RefusesWindowsThatHangOnTheEvent) {
  const CaseFacts given = facts("{type: unit.failed}", "{}");
  EXPECT_THAT(said("count(event.type, '10m') < 3", given), HasSubstr("written out"));
  EXPECT_THAT(said("count('unit.faild', '10m') < 3", given), HasSubstr("'unit.faild' is no kind of event"));
  EXPECT_THAT(said("count('unit.failed', '3d') < 3", given), HasSubstr("'3d' is no length"));
  EXPECT_THAT(said("count('unit.failed') < 3", given), HasSubstr("two texts"));
}

TEST(PolicySet, FlapIsAShareOfTheSubject) {
  const CaseFacts given = facts("{type: unit.failed, unit: a}", "{}", "flaps: {a: 0.5}\n");
  EXPECT_EQ(said("flap(event.unit) >= 0.3 && flap('b') == 0.0", given), "match");
}

TEST(PolicySet, RefusesNamesTwiceAndCircles) {
  EXPECT_THAT(built(policy_text("a", "clock.off", "true") + policy_text("a", "clock.off", "true")).diagnostics.at(0).text, HasSubstr("second policy"));
  EXPECT_THAT(built(policy_text("a", "clock.off", "true", "do: [{use: b}]\n")).diagnostics.at(0).text, HasSubstr("no such policy"));
  const BuiltSet circle = built(policy_text("a", "clock.off", "true", "do: [{use: b}]\n") + policy_text("b", "clock.off", "true", "do: [{use: a}]\n"));
  EXPECT_THAT(circle.diagnostics.at(0).text, HasSubstr("leads back"));
}

TEST(PolicySet, OnlyWhatCanMatchIsRun) {
  const BuiltSet set = built(policy_text("a", "unit.failed", "event.unit == 'a'") + policy_text("b", "unit.failed", "event.unit == 'b'") + policy_text("c", "clock.off", "true"));
  NoTimeZones zones;
  Judge judge(*set.set, zones);
  judge.load(*find_event_type("unit.failed"), facts("{type: unit.failed, unit: b}", "{}"));
  const auto found = judge.matches();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(set.set->policies()[set.set->rules()[found[0].rule].policy].name, "b");
}

TEST(PolicySet, ArgumentsOfActionsHaveValues) {
  const BuiltSet set = built(policy_text("p", "host.inventory", "true", "let: {old: \"host.packages.filter(p, p.fix != '')\"}\ndo: [{pkg.upgrade: {only: \"old.map(p, p.name)\"}}]\n"));
  NoTimeZones zones;
  Judge judge(*set.set, zones);
  judge.load(*find_event_type("host.inventory"), facts("{type: host.inventory}", "{packages: [{name: a, fix: '2'}, {name: b, fix: ''}]}"));
  judge.judge(0);
  const cel::Value value = judge.value(set.set->rules()[0].arguments[0].at("only"));
  ASSERT_TRUE(value.is(cel::Kind::kList));
  EXPECT_EQ(value.as_list().at(0).as_text(), "a");
}

TEST(PolicyExplain, GivesEverySubExpressionItsValue) {
  const BuiltSet set = built(policy_text("p", "unit.failed", "event.unit.startsWith('app-') && host.failed.exists(u, u == 'db') || 'x' in host.modules"));
  NoTimeZones zones;
  const ExplainedRule rule = explain(*set.set, 0, facts("{type: unit.failed, unit: app-1}", "{failed: [web, db]}"), zones);
  ASSERT_THAT(rule.expressions, SizeIs(1));
  std::vector<std::string> lines;
  for (const ExplainedPart& part : rule.expressions[0].parts) lines.push_back(std::string(part.depth, ' ') + part.source + " = " + part.value);
  EXPECT_THAT(lines, ElementsAre("event.unit.startsWith('app-') && host.failed.exists(u, u == 'db') || 'x' in host.modules = true",
                                 " event.unit.startsWith('app-') && host.failed.exists(u, u == 'db') = true",
                                 "  event.unit.startsWith('app-') = true", "   event.unit = 'app-1'",
                                 "  host.failed.exists(u, u == 'db') = true", "   host.failed = ['web', 'db']",
                                 "   u == 'db'  for u = 'web' = false", "   u == 'db'  for u = 'db' = true",
                                 " 'x' in host.modules = unknown(host.modules)", "  host.modules = unknown(host.modules)"));
}

TEST(PolicyExplain, AChainIsOneListOfTermsAndConstantsSayThemselves) {
  const BuiltSet set = built(policy_text("p", "unit.failed", "event.unit in ['a', 'b'] && event.restarts < 3 && host.busy && !host.frozen"));
  NoTimeZones zones;
  const ExplainedRule rule = explain(*set.set, 0, facts("{type: unit.failed, unit: a, restarts: 1}", "{busy: true, frozen: false}"), zones);
  std::vector<std::string> lines;
  for (const ExplainedPart& part : rule.expressions.at(0).parts) lines.push_back(std::to_string(part.depth) + " " + part.source);
  EXPECT_THAT(lines, ElementsAre("0 event.unit in ['a', 'b'] && event.restarts < 3 && host.busy && !host.frozen", "1 event.unit in ['a', 'b']", "2 event.unit",
                                 "1 event.restarts < 3", "2 event.restarts", "1 host.busy", "1 !host.frozen", "2 host.frozen"));
}

TEST(PolicyCases, ATestSaysWhatCameInstead) {
  const BuiltSet set = built(policy_text("p", "unit.failed", "event.unit == 'a'"));
  const LoadedTests loaded = load_tests(
      "tests:\n- {name: one, policy: p, event: {type: unit.failed, unit: a}, expect: match}\n"
      "- {name: two, policy: p, event: {type: unit.failed, unit: b}, expect: match}\n"
      "- {name: three, policy: p, event: {type: clock.off}, expect: no-match}\n"
      "- {name: four, policy: q, event: {type: clock.off}, expect: no-match}\n");
  ASSERT_THAT(loaded.diagnostics, IsEmpty());
  ASSERT_THAT(loaded.tests, SizeIs(4));
  NoTimeZones zones;
  EXPECT_TRUE(run_test(*set.set, loaded.tests[0], zones).passed);
  EXPECT_THAT(run_test(*set.set, loaded.tests[1], zones).got, HasSubstr("no-match instead of match"));
  EXPECT_TRUE(run_test(*set.set, loaded.tests[2], zones).passed);
  EXPECT_THAT(run_test(*set.set, loaded.tests[3], zones).got, HasSubstr("no policy 'q'"));
}

TEST(PolicyCases, WhatAGuardOrTheNeverListHoldsBackIsNoMatch) {
  const auto outcome = [](std::string_view more, std::string_view host) {
    const BuiltSet set = built(policy_text("p", "unit.failed", "true", more));
    const LoadedTests loaded = load_tests("tests: [{name: a, policy: p, event: {type: unit.failed}, host: " + std::string(host) + ", expect: match}]");
    NoTimeZones zones;
    return run_test(*set.set, loaded.tests.at(0), zones).passed;
  };
  EXPECT_TRUE(outcome("guard: \"!host.busy\"\n", "{busy: false}"));
  EXPECT_FALSE(outcome("guard: \"!host.busy\"\n", "{busy: true}"));
  EXPECT_FALSE(outcome("guard: \"!host.busy\"\n", "{}"));  // unknown
  EXPECT_TRUE(outcome("never: host.frozen\n", "{frozen: false}"));
  EXPECT_FALSE(outcome("never: host.frozen\n", "{frozen: true}"));
  EXPECT_FALSE(outcome("never: host.frozen\n", "{}"));
  EXPECT_FALSE(outcome("never: \"host.labels['x'] == 'y'\"\n", "{labels: {}}"));  // an error
}

TEST(PolicyCases, ArgumentsMustComeOutAsTheTestSays) {
  const BuiltSet set = built(policy_text("p", "unit.failed", "true", "do: [{unit.restart: {unit: event.unit}}]\n"));
  const auto got = [&](std::string_view actions) {
    const LoadedTests loaded = load_tests("tests: [{name: a, policy: p, event: {type: unit.failed, unit: x}, expect: match, actions: " + std::string(actions) + "}]");
    NoTimeZones zones;
    return run_test(*set.set, loaded.tests.at(0), zones).got;
  };
  EXPECT_EQ(got("{unit.restart.unit: x}"), "");
  EXPECT_EQ(got("{unit.restart.unit: y}"), "unit.restart.unit is \"x\" instead of \"y\"");
  EXPECT_EQ(got("{unit.restart.nothing: y}"), "the policy has no argument 'unit.restart.nothing'");
}

TEST(PolicyCases, ATestThatNamesAFieldThatIsNotThereIsRefused) {
  const auto first = [](std::string_view text) { return load_tests(text).diagnostics.at(0).text; };
  EXPECT_THAT(first("tests: [{name: a, policy: p, event: {type: unit.failed, unti: x}, expect: match}]"), HasSubstr("no field 'unti'"));
  EXPECT_THAT(first("tests: [{name: a, policy: p, event: {type: unit.failed}, host: {lables: {}}, expect: match}]"), HasSubstr("no field 'lables'"));
  EXPECT_THAT(first("tests: [{name: a, policy: p, event: {type: unit.faild}, expect: match}]"), HasSubstr("'unit.faild' is no kind"));
  EXPECT_THAT(first("tests: [{name: a, policy: p, event: {type: unit.failed}, expect: maybe}]"), HasSubstr("'maybe'"));
  EXPECT_THAT(first("tests: [{name: a, policy: p, event: {type: unit.failed}, expcet: match}]"), HasSubstr("unknown key 'expcet'"));
  EXPECT_THAT(first("test: []"), HasSubstr("one key 'tests'"));
}

}  // namespace
}  // namespace prunella::policy
