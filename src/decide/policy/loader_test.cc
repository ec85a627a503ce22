#include "decide/policy/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace prunella::policy {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kBase = "policy: p\ntrigger: unit.failed\nwhen: \"true\"\ndo: [{unit.restart: {}}]\n";

/// The first error (or warning) of the policy above with `more` behind it.
std::string said(std::string_view more) {
  const LoadedDocuments loaded = load_documents(std::string(kBase) + std::string(more));
  if (loaded.diagnostics.empty()) return "good";
  const Diagnostic& first = loaded.diagnostics[0];
  return std::to_string(first.line) + ":" + std::to_string(first.column) + " " + std::string(to_text(first.weight)) + ": " + first.text + "; " + first.hint;
}
PolicyDocument loaded(std::string_view more) {
  LoadedDocuments read = load_documents(std::string(kBase) + std::string(more));
  EXPECT_THAT(read.documents, SizeIs(1)) << (read.diagnostics.empty() ? "" : read.diagnostics[0].text);
  return read.documents.empty() ? PolicyDocument{} : read.documents[0];
}

TEST(PolicyLoader, ReadsEveryKeyOfTheEnvelope) {
  const LoadedDocuments read = load_documents(R"yaml(
policy: heal-unit
description: restarts our services
trigger: [unit.failed, unit.watchdog]
select: env:prod
let: {mine: "event.unit.startsWith('app-')"}
when: "mine"
guard: "!host.busy"
never: "host.labels[?'tier'].orValue('') == 'control-plane'"
for: 30s
settle: 3m
cooldown: {per: [host.id, event.unit], 5m: x2, max: 6h}
budget: {host: 1, pool: 10%, fleet: 50/h, storm: {same_symptom: 10% in 10m, then: stop_and_page}}
flap: {same_subject: 2 in 1h, then: open_incident}
autonomy: {start: L2, max: L4, offline: true, veto: 10m}
rollout: {waves: [1, 1%, "label:ring=canary", 100%], domain: rack, soak: 30m, deadline: 2h, failures: 0%, cooling: 3d, emergency: "event.severity == 'critical'", stop_on: "!unit.active"}
verify: "unit.active && unit.stable_s >= 60"
rollback: none
window: [{days: [sat, sun], start: "02:30", length: 3h, zone: Europe/Berlin, reserve: 15m}]
lifetime: {ttl: 14d, renew_while: when, remove_when: fix.installed, extend_needs: {approvals: 2, of: [secops, owner]}}
do: {ladder: [{unit.restart: {unit: event.unit, backoff: 1s..60s}}, {use: another}]}
)yaml");
  for (const Diagnostic& one : read.diagnostics) EXPECT_EQ(one.weight, Weight::kWarning) << one.line << " " << one.text;
  ASSERT_THAT(read.documents, SizeIs(1));
  const PolicyDocument& p = read.documents[0];
  EXPECT_EQ(p.select, "env:prod");
  EXPECT_EQ(p.hold_for, seconds(30));
  EXPECT_EQ(p.settle, minutes(3));
  EXPECT_EQ(p.cooldown.first, minutes(5));
  EXPECT_EQ(p.cooldown.factor_tenths, 20u);
  EXPECT_EQ(p.cooldown.max, hours(6));
  EXPECT_EQ(p.budget.fleet, (Limit{{50, false}, hours(1)}));
  EXPECT_EQ(p.budget.storm, (Burst{{10, true}, minutes(10)}));
  EXPECT_EQ(p.flap.burst, (Burst{{2, false}, hours(1)}));
  EXPECT_EQ(p.autonomy.max, AutonomyLevel::kSilent);
  EXPECT_TRUE(p.autonomy.offline);
  EXPECT_EQ(p.rollout.waves, (std::vector<std::string>{"1", "1%", "label:ring=canary", "100%"}));
  EXPECT_EQ(p.rollout.failures_percent_max, 0u);
  ASSERT_THAT(p.windows, SizeIs(1));
  EXPECT_EQ(p.windows[0].start_minutes, 150u);
  EXPECT_EQ(p.lifetime->extend_roles, (std::vector<std::string>{"secops", "owner"}));
  EXPECT_EQ(p.lifetime->renew_while->source, "mine");
  EXPECT_TRUE(p.ladder);
  EXPECT_EQ(p.steps[1].use, "another");
}

TEST(PolicyLoader, TheVersionHangsOnWhatIsSaidAndNotOnLayout) {
  const PolicyDocument a = loaded("settle: 5m  # a comment\n");
  const PolicyDocument b = loaded("\nsettle:   5m\n");
  const PolicyDocument c = loaded("settle: 6m\n");
  EXPECT_EQ(a.version, b.version);
  EXPECT_NE(a.version, c.version);
}

TEST(PolicyLoader, BrakesAreOnUnlessTheyAreNamed) {
  const PolicyDocument p = loaded("");
  EXPECT_EQ(p.settle, kSettleDefault);
  EXPECT_EQ(p.cooldown.first, kCooldownFirstDefault);
  EXPECT_EQ(p.autonomy.start, AutonomyLevel::kSuggest);
  EXPECT_EQ(p.autonomy.max, AutonomyLevel::kSuggest);
}

TEST(PolicyLoader, NamesUnknownKeysWithTheirPlaceAndWhatWasMeant) {
  EXPECT_EQ(said("autonomi: {}\n"), "5:1 error: unknown key 'autonomi'; did you mean 'autonomy'?");
  EXPECT_EQ(said("autonomy: {strat: L1}\n"), "5:12 error: unknown key 'strat' in 'autonomy'; did you mean 'start'?");
  EXPECT_THAT(said("on: [unit.failed]\n"), HasSubstr("write 'trigger'"));
  EXPECT_THAT(said("budget: {storm: {same_sympton: 1 in 1h}}\n"), HasSubstr("same_symptom"));
}

TEST(PolicyLoader, RefusesEmptySelections) {
  EXPECT_THAT(said("select: ''\n"), HasSubstr("'select'"));
  EXPECT_THAT(load_documents("policy: p\ntrigger: []\nwhen: \"true\"\ndo: [{notify: {}}]\n").diagnostics[0].text, HasSubstr("'trigger' is empty"));
  EXPECT_THAT(load_documents("policy: p\ntrigger: unit.failed\nwhen: \"\"\ndo: [{notify: {}}]\n").diagnostics[0].hint, HasSubstr("never 'always'"));
  EXPECT_THAT(load_documents("policy: p\ntrigger: unit.failed\nwhen: \"true\"\ndo: []\n").diagnostics[0].text, HasSubstr("'do' is empty"));
  EXPECT_THAT(said("budget: {}\n"), HasSubstr("'budget' is empty"));
  EXPECT_THAT(said("window: []\n"), HasSubstr("'window' is empty"));
}

TEST(PolicyLoader, AboveL2NeedsAProof) {
  EXPECT_THAT(said("autonomy: {start: L2, max: L3}\n"), AllOf(HasSubstr("5:28 error"), HasSubstr("has no 'verify'"), HasSubstr("add 'verify'")));
  EXPECT_THAT(said("autonomy: {start: L3}\n"), HasSubstr("has no 'verify'"));
  EXPECT_EQ(said("autonomy: {start: L2, max: L3}\nverify: unit.active\n"), "good");
  EXPECT_EQ(said("autonomy: {start: L2}\n"), "good");
}

TEST(PolicyLoader, AnIrreversiblePolicyNeverRisesAboveL2) {
  EXPECT_THAT(said("autonomy: {max: L3, irreversible: true}\nverify: \"true\"\n"), HasSubstr("irreversible policy may not rise to L3"));
}

TEST(PolicyLoader, AnActionWithoutAWayBackCapsThePolicyAtL2) {
  const LoadedDocuments read = load_documents(
      "policy: p\ntrigger: unit.failed\nwhen: \"true\"\nverify: \"true\"\nautonomy: {start: L3, max: L3}\ndo: [{cred.revoke: {scope: host}}]\n");
  ASSERT_THAT(read.documents, SizeIs(1));
  EXPECT_EQ(read.documents[0].autonomy.start, AutonomyLevel::kAfterApproval);
  EXPECT_EQ(read.documents[0].autonomy.max, AutonomyLevel::kAfterApproval);
  EXPECT_THAT(read.diagnostics.at(0).text, HasSubstr("never rises above L2"));
}

TEST(PolicyLoader, TheLastLevelIsEarnedAndNeverGiven) {
  EXPECT_THAT(said("autonomy: {start: L4}\nverify: \"true\"\n"), HasSubstr("'autonomy.start' is L4"));
  EXPECT_EQ(said("autonomy: {start: L3, max: L4}\nverify: \"true\"\n"), "good");
}

TEST(PolicyLoader, TheHighestLevelIsNotBelowTheFirst) { EXPECT_THAT(said("autonomy: {start: L2, max: L1}\n"), HasSubstr("below 'start'")); }

TEST(PolicyLoader, QuotesValuesThatAreNone) {
  EXPECT_THAT(said("for: soon\n"), HasSubstr("'soon'"));
  EXPECT_THAT(said("settle: [1]\n"), HasSubstr("has a list"));
  EXPECT_THAT(said("cooldown: {5m: 2}\n"), HasSubstr("'2' is no factor"));
  EXPECT_THAT(said("cooldown: {max: 1h}\n"), HasSubstr("lacks a first time"));
  EXPECT_THAT(said("cooldown: {per: [host.nmae], 5m: x2}\n"), HasSubstr("host.nmae"));
  EXPECT_THAT(said("budget: {fleet: 0}\n"), HasSubstr("'0' is no limit"));
  EXPECT_THAT(said("flap: {same_path: 10% in 1h}\n"), HasSubstr("share"));
  EXPECT_THAT(said("autonomy: {start: L5}\n"), HasSubstr("'L5'"));
  EXPECT_THAT(said("rollout: {waves: [0]}\n"), HasSubstr("'0'"));
  EXPECT_THAT(said("rollout: {waves: ['label:ring']}\n"), HasSubstr("label:KEY=VALUE"));
  EXPECT_THAT(said("window: {start: 2:30, length: 1h}\n"), HasSubstr("2:30"));
  EXPECT_THAT(said("window: {start: '02:30', length: 25h}\n"), HasSubstr("longer than a day"));
  EXPECT_THAT(said("window: {start: '02:30', length: 1h, reserve: 1h}\n"), HasSubstr("leaves no time"));
  EXPECT_THAT(said("window: {start: '02:30', length: 1h, days: [sunday]}\n"), HasSubstr("'sunday' is no day"));
  EXPECT_THAT(said("rollback: undo\n"), HasSubstr("'undo'"));
  EXPECT_THAT(said("lifetime: {renew_while: when}\n"), HasSubstr("lacks the key 'ttl'"));
  EXPECT_THAT(said("let: {host: \"1\"}\n"), HasSubstr("has a meaning already"));
  EXPECT_THAT(load_documents("policy: P 1\ntrigger: unit.failed\nwhen: \"true\"\ndo: [{notify: {}}]\n").diagnostics[0].text, HasSubstr("'P 1'"));
}

TEST(PolicyLoader, ChecksActionsAgainstTheCatalogue) {
  const auto first = [](std::string_view steps) {
    const LoadedDocuments read = load_documents("policy: p\ntrigger: unit.failed\nwhen: \"true\"\ndo: " + std::string(steps) + "\n");
    return read.diagnostics.empty() ? std::string("good") : read.diagnostics[0].text + "; " + read.diagnostics[0].hint;
  };
  EXPECT_THAT(first("[{unit.restrat: {}}]"), HasSubstr("did you mean 'unit.restart'?"));
  EXPECT_THAT(first("[{unit.restart: {unti: event.unit}}]"), HasSubstr("did you mean 'unit'?"));
  EXPECT_THAT(first("[{file.restore: {}}]"), HasSubstr("lacks the argument 'path'"));
  EXPECT_THAT(first("[{unit.restart: {}, notify: {}}]"), HasSubstr("a map with one action"));
  EXPECT_THAT(first("[unit.restart]"), HasSubstr("a map with one action"));
  EXPECT_THAT(first("[{evidence.keep: {who: yes}}]"), HasSubstr("write true or false"));
  EXPECT_THAT(first("[{kmod.block: {module: \"'dccp'\"}}]"), HasSubstr("no executor of this version"));
}

TEST(PolicyLoader, SaysWhatIsMissing) {
  const LoadedDocuments read = load_documents("policy: p\n");
  EXPECT_THAT(read.documents, IsEmpty());
  ASSERT_THAT(read.diagnostics, SizeIs(3));
  EXPECT_THAT(read.diagnostics[0].text, HasSubstr("'trigger' is missing"));
  EXPECT_THAT(load_documents("").diagnostics[0].text, HasSubstr("no policy"));
  EXPECT_THAT(load_documents("- a\n").diagnostics[0].text, HasSubstr("a list"));
}

TEST(PolicyLoader, OneBadDocumentLeavesTheOthers) {
  const LoadedDocuments read = load_documents(std::string(kBase) + "---\npolicy: q\n---\n" + "policy: r\ntrigger: clock.off\nwhen: \"true\"\ndo: [{notify: {}}]\n");
  EXPECT_THAT(read.documents, SizeIs(2));
}

}  // namespace
}  // namespace prunella::policy
