#include "decide/brakes/autonomy.h"

#include <gtest/gtest.h>

#include <random>

namespace prunella {
namespace {

constexpr Instant kNow{std::chrono::hours(24 * 20'000)};
constexpr auto kDay = std::chrono::hours(24);
constexpr auto kL0 = AutonomyLevel::kObserve, kL1 = AutonomyLevel::kSuggest, kL2 = AutonomyLevel::kAfterApproval,
               kL3 = AutonomyLevel::kAnnounced, kL4 = AutonomyLevel::kSilent;

AutonomyRules rules_of(BlastClass blast, AutonomyLevel start = kL1, AutonomyLevel max = kL4) {
  AutonomyRules rules;
  rules.start = start;
  rules.max = max;
  rules.blast = blast;
  return rules;
}
const AutonomyRules kLocalRules = rules_of(BlastClass::kLocal);

Trust trust_after(const AutonomyRules& rules, int verified, Trust trust) {
  for (int i = 0; i < verified; ++i) trust = record(std::move(trust), rules, TrustOutcome::kVerified, kNow);
  return trust;
}
Trust begun(const AutonomyRules& rules) { return new_trust(rules, PolicyVersion::kFirst, {}, kNow); }
AutonomyLevel level(const AutonomyRules& rules, const Trust& trust, Instant now = kNow) {
  return effective_level(rules, trust, now).level;
}

TEST(NewTrust, GivesNobodyTheLastLevel) {
  for (BlastClass blast : {BlastClass::kObserve, BlastClass::kLocal, BlastClass::kService})
    EXPECT_EQ(level(rules_of(blast, kL4), begun(rules_of(blast, kL4))), kL3);
}

struct Needed {
  double bound;
  std::uint64_t runs[3];  // with 0, 1 and 2 failures
};
class RunsNeeded : public testing::TestWithParam<Needed> {};
TEST_P(RunsNeeded, IsTheTableOfTheDesignAndOneLessIsNotEnough) {
  for (std::uint64_t failures = 0; failures < 3; ++failures) {
    const std::uint64_t runs = GetParam().runs[failures];
    EXPECT_EQ(*runs_needed(GetParam().bound, failures), runs);
    EXPECT_GE(lower_bound(runs - failures, failures), GetParam().bound);
    EXPECT_LT(lower_bound(runs - 1 - failures, failures), GetParam().bound);
  }
}
INSTANTIATE_TEST_SUITE_P(Each, RunsNeeded,
                         testing::Values(Needed{0.90, {29, 46, 61}}, Needed{0.95, {59, 93, 124}}, Needed{0.99, {299, 473, 628}},
                                         Needed{0.999, {2'995, 4'742, 6'294}}));

TEST(LowerBound, OfCleanRunsIsTheRootOfOneInTwenty) {
  for (std::uint64_t runs : {1, 5, 29, 1'000}) EXPECT_NEAR(lower_bound(runs, 0), std::pow(0.05, 1.0 / double(runs)), 1e-12);
}

TEST(LowerBound, WithoutASuccessIsNothing) {
  EXPECT_EQ(lower_bound(0, 0), 0);
  EXPECT_EQ(lower_bound(0, 7), 0);
}

TEST(RunsNeeded, RefusesWhatNobodyCanReach) {
  EXPECT_FALSE(runs_needed(1.0, 0));
  EXPECT_FALSE(runs_needed(-0.1, 0));
  EXPECT_FALSE(runs_needed(std::nan(""), 0));
  EXPECT_FALSE(runs_needed(0.9, kRunsFailuresMax + 1));
  EXPECT_TRUE(runs_needed(kRunsBoundMax, 0));
}

TEST(Autonomy, RisesAtTheRunThatEarnsIt) {
  Trust trust = begun(kLocalRules);
  EXPECT_EQ(level(kLocalRules, trust), kL1);
  trust = trust_after(kLocalRules, 28, trust);
  EXPECT_EQ(level(kLocalRules, trust), kL1);
  trust = trust_after(kLocalRules, 1, trust);
  EXPECT_EQ(level(kLocalRules, trust), kL2);
  trust = trust_after(kLocalRules, 29, trust);
  EXPECT_EQ(level(kLocalRules, trust), kL2);
  trust = trust_after(kLocalRules, 1, trust);
  EXPECT_EQ(level(kLocalRules, trust), kL3);
  trust = trust_after(kLocalRules, 239, trust);
  EXPECT_EQ(level(kLocalRules, trust), kL3);
  trust = trust_after(kLocalRules, 1, trust);
  EXPECT_EQ(level(kLocalRules, trust), kL4);
}

TEST(Autonomy, AnActThatServicesFeelNeedsMore) {
  const AutonomyRules rules = rules_of(BlastClass::kService);
  EXPECT_EQ(level(rules, trust_after(rules, 298, begun(rules))), kL2);
  EXPECT_EQ(level(rules, trust_after(rules, 299, begun(rules))), kL3);
  EXPECT_EQ(level(rules, trust_after(rules, 2'994, begun(rules))), kL3);
  EXPECT_EQ(level(rules, trust_after(rules, 2'995, begun(rules))), kL4);
}

TEST(Autonomy, NeverRisesAboveThePolicysMaximum) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL1, kL2);
  EXPECT_EQ(level(rules, trust_after(rules, 5'000, begun(rules))), kL2);
}

TEST(Autonomy, WhatHasNoWayBackNeverRisesAboveL2) {
  AutonomyRules by_class = rules_of(BlastClass::kIrreversible, kL4, kL4);
  AutonomyRules by_policy = rules_of(BlastClass::kLocal, kL4, kL4);
  by_policy.irreversible = true;
  for (const AutonomyRules& rules : {by_class, by_policy}) {
    EXPECT_EQ(level(rules, begun(rules)), kL2);
    EXPECT_EQ(level(rules, trust_after(rules, 5'000, begun(rules))), kL2);
  }
}

TEST(Autonomy, TheFirstVersionBeginsWhereItsSignersSay) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL3);
  EXPECT_EQ(level(rules, begun(rules)), kL3);
}

TEST(Autonomy, AChangedVersionBeginsAtL1AndReplayBringsItToL2AtMost) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL3);
  auto changed = [&](ShadowCredit shadow) { return level(rules, new_trust(rules, PolicyVersion::kChanged, shadow, kNow)); };
  EXPECT_EQ(changed({}), kL1);
  EXPECT_EQ(changed({28, 0}), kL1);
  EXPECT_EQ(changed({29, 0}), kL2);
  EXPECT_EQ(changed({45, 1}), kL2);
  EXPECT_EQ(changed({45, 2}), kL1);
  EXPECT_EQ(changed({1'000'000, 0}), kL2);
}

TEST(Autonomy, AChangedVersionThatOnlyObservesGoesOnObserving) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL0, kL1);
  EXPECT_EQ(level(rules, new_trust(rules, PolicyVersion::kChanged, {1'000, 0}, kNow)), kL1) << "the policy's max";
  EXPECT_EQ(level(rules, new_trust(rules, PolicyVersion::kChanged, {}, kNow)), kL0);
}

TEST(Autonomy, HarmTakesEverythingAtOnceAndOnlyLaterEvidenceCounts) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL3);
  Trust trust = trust_after(rules, 1'000, begun(rules));
  ASSERT_EQ(level(rules, trust), kL4);

  trust = record(trust, rules, TrustOutcome::kEscalated, kNow);

  EXPECT_EQ(level(rules, trust), kL1) << "also below the policy's start";
  EXPECT_EQ(level(rules, trust_after(rules, 28, trust)), kL1);
  EXPECT_EQ(level(rules, trust_after(rules, 29, trust)), kL2);
}

TEST(Autonomy, ARevertedRunIsAFailure) {
  Trust trust = trust_after(kLocalRules, 28, begun(kLocalRules));
  trust = record(trust, kLocalRules, TrustOutcome::kReverted, kNow);

  EXPECT_EQ(level(kLocalRules, trust_after(kLocalRules, 16, trust)), kL1) << "45 runs";
  EXPECT_EQ(level(kLocalRules, trust_after(kLocalRules, 17, trust)), kL2) << "46 runs";
}

TEST(Autonomy, ThreeFailuresInARowAreDriftAndCostALevel) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL3);
  Trust trust = begun(rules);
  for (int i = 0; i < 2; ++i) trust = record(trust, rules, TrustOutcome::kReverted, kNow);
  EXPECT_EQ(level(rules, trust), kL3);
  trust = record(trust, rules, TrustOutcome::kReverted, kNow);
  EXPECT_EQ(level(rules, trust), kL2);
  EXPECT_EQ(trust.verified + trust.failed, 0u);
}

TEST(Autonomy, FailuresAsRareAsTheLevelAllowsAreNoDrift) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL3);
  Trust trust = begun(rules);
  for (int i = 0; i < 40; ++i) {
    trust = record(trust, rules, TrustOutcome::kReverted, kNow);
    trust = trust_after(rules, 19, trust);
  }
  EXPECT_EQ(level(rules, trust), kL3);
}

TEST(Autonomy, FailuresThreeTimesAsOftenAsTheLevelAllowsAreDrift) {
  const AutonomyRules rules = rules_of(BlastClass::kLocal, kL3);
  Trust trust = begun(rules);
  for (int i = 0; i < 20 && level(rules, trust) == kL3; ++i) {
    trust = record(trust, rules, TrustOutcome::kReverted, kNow);
    trust = trust_after(rules, 5, trust);
  }
  EXPECT_EQ(level(rules, trust), kL2);
}

TEST(Autonomy, EachNinetyDaysWithoutEvidenceCostALevelDownToL1) {
  const Trust trust = trust_after(kLocalRules, 299, begun(kLocalRules));
  EXPECT_EQ(level(kLocalRules, trust, kNow + 90 * kDay - Duration(1)), kL4);
  EXPECT_EQ(level(kLocalRules, trust, kNow + 90 * kDay), kL3);
  EXPECT_EQ(level(kLocalRules, trust, kNow + 180 * kDay), kL2);
  EXPECT_EQ(level(kLocalRules, trust, kNow + 270 * kDay), kL1);
  EXPECT_EQ(level(kLocalRules, trust, kNow + 3'600 * kDay), kL1);
}

TEST(Autonomy, WhatSilenceTookIsEarnedAnew) {
  Trust trust = trust_after(kLocalRules, 299, begun(kLocalRules));
  const Instant later = kNow + 100 * kDay;
  trust = record(trust, kLocalRules, TrustOutcome::kVerified, later);

  EXPECT_EQ(level(kLocalRules, trust, later), kL3);
  EXPECT_EQ(trust.verified, 1u);
  for (int i = 0; i < 297; ++i) trust = record(trust, kLocalRules, TrustOutcome::kVerified, later);
  EXPECT_EQ(level(kLocalRules, trust, later), kL3);
  trust = record(trust, kLocalRules, TrustOutcome::kVerified, later);
  EXPECT_EQ(level(kLocalRules, trust, later), kL4);
}

TEST(Autonomy, EvidenceFromTheFutureIsJustNow) {
  const Trust trust = trust_after(kLocalRules, 299, begun(kLocalRules));
  EXPECT_EQ(level(kLocalRules, trust, kNow - 3'000 * kDay), kL4);
}

TEST(Autonomy, UnknownTrustIsNone) {
  EXPECT_EQ(effective_level(rules_of(BlastClass::kLocal, kL4), std::nullopt, kNow).level, kL1);
  EXPECT_EQ(effective_level(rules_of(BlastClass::kLocal, kL0), std::nullopt, kNow).level, kL0);
}

TEST(Autonomy, RisesByOneLevelARunAtMost) {
  std::mt19937_64 random(20261124);
  for (BlastClass blast : {BlastClass::kLocal, BlastClass::kService}) {
    const AutonomyRules rules = rules_of(blast);
    Trust trust = begun(rules);
    for (int i = 0; i < 1'000; ++i) {
      const AutonomyLevel before = level(rules, trust);
      const bool fails = random() % 400 == 0;
      trust = record(trust, rules, fails ? TrustOutcome::kReverted : TrustOutcome::kVerified, kNow);
      ASSERT_LE(static_cast<int>(level(rules, trust)), static_cast<int>(before) + 1) << i;
    }
  }
}

TEST(Autonomy, SaysWhyAndWhatComesNext) {
  const Trust trust = trust_after(kLocalRules, 31, begun(kLocalRules));
  EXPECT_EQ(effective_level(kLocalRules, trust, kNow).why,
            "L2: 31 of 31 runs verified since 2024-10-04T00:00:00.000Z, bound 90.7 %; 28 more clean runs for L3");
  const Trust harmed = record(trust, kLocalRules, TrustOutcome::kEscalated, kNow);
  EXPECT_EQ(effective_level(kLocalRules, harmed, kNow).why,
            "L1: 0 of 0 runs verified since the harm at 2024-10-04T00:00:00.000Z, bound 0.0 %; 29 more clean runs for L2");
  EXPECT_EQ(effective_level(kLocalRules, trust, kNow + 91 * kDay).why,
            "L1, and L2 until no evidence came for 90d since 2024-10-04T00:00:00.000Z: 31 of 31 runs verified since "
            "2024-10-04T00:00:00.000Z, bound 90.7 %; the next verified run ends the silence");
}

TEST(Autonomy, TrustReadsBackAsItWasWritten) {
  const Trust trust = record(trust_after(kLocalRules, 31, begun(kLocalRules)), kLocalRules, TrustOutcome::kReverted, kNow);
  EXPECT_EQ(*from_json<Trust>(to_json(trust)), trust);
}

TEST(AutonomyVerdict, EachLevelAsksForItsConsent) {
  struct Row {
    AutonomyLevel level;
    AutonomyConsent consent;
    const char* code;  // nullptr: allowed
    VerdictKind kind;
  };
  const auto minute = std::chrono::minutes(1);
  for (const Row& row : {
           Row{kL0, {true, false, {}, {}}, "autonomy-observe", VerdictKind::kDeny},
           Row{kL1, {true, false, {}, {}}, "autonomy-suggest", VerdictKind::kDeny},
           Row{kL2, {false, false, kNow - minute, {}}, "autonomy-approval", VerdictKind::kWait},
           Row{kL2, {true, false, {}, {}}, nullptr, VerdictKind::kAllow},
           Row{kL3, {false, false, {}, minute}, "autonomy-announcement", VerdictKind::kWait},
           Row{kL3, {false, false, kNow - minute + Duration(1), minute}, "autonomy-veto-window", VerdictKind::kWait},
           Row{kL3, {false, false, kNow + minute, minute}, "autonomy-veto-window", VerdictKind::kWait},
           Row{kL3, {false, false, kNow - minute, minute}, nullptr, VerdictKind::kAllow},
           Row{kL3, {true, false, {}, minute}, nullptr, VerdictKind::kAllow},
           Row{kL4, {}, nullptr, VerdictKind::kAllow},
           Row{kL4, {true, true, {}, {}}, "vetoed", VerdictKind::kDeny},
       }) {
    const Verdict verdict = autonomy_verdict({row.level, "why"}, row.consent, kNow);
    EXPECT_EQ(verdict.kind, row.kind);
    ASSERT_EQ(verdict.reasons.size(), row.code ? 1u : 0u);
    if (row.code) {
      EXPECT_EQ(verdict.reasons[0].code, row.code);
    }
  }
}

}  // namespace
}  // namespace prunella
