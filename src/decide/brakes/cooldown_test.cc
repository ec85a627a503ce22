#include "decide/brakes/cooldown.h"

#include <gtest/gtest.h>

#include "../tests/support/verdict_codes.h"

namespace prunella {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Instant kNow{hours(24 * 20'000)};
const CooldownOptions kOptions{minutes(5), 2, hours(6), 3};

/// A state after `acts` acts that all helped, the last one at kNow.
Cooldown rested_after(std::uint64_t acts) { return {acts, 0, kNow}; }
Verdict verdict_of(const Cooldown& policy, const Cooldown& symptom, Instant now = kNow) {
  return cooldown_verdict(kOptions, {policy, symptom}, now);
}

TEST(Cooldown, TheFirstActNeedsNoRest) { EXPECT_EQ(verdict_of({}, {}).kind, VerdictKind::kAllow); }

TEST(Cooldown, EachRestIsLongerUpToTheLongest) {
  const std::pair<std::uint64_t, Duration> rows[] = {{0, Duration(0)},  {1, minutes(5)},   {2, minutes(10)}, {3, minutes(20)},
                                                     {7, minutes(320)}, {8, minutes(360)}, {1'000, hours(6)}};
  for (const auto& [acts, rest] : rows) EXPECT_EQ(rest_after(rested_after(acts), kOptions), rest) << acts;
  CooldownOptions level = kOptions;
  level.factor = 1;
  EXPECT_EQ(rest_after(rested_after(std::uint64_t(1) << 60), level), minutes(5));
}

TEST(Cooldown, WaitsUntilTheRestHasPassed) {
  const Cooldown cooldown = rested_after(2);
  EXPECT_EQ(codes_of(verdict_of(cooldown, {}, kNow + minutes(10) - Duration(1))), "cooldown");
  EXPECT_EQ(verdict_of(cooldown, {}, kNow + minutes(10) - Duration(1)).kind, VerdictKind::kWait);
  EXPECT_EQ(codes_of(verdict_of(cooldown, {}, kNow + minutes(10))), "");
}

TEST(Cooldown, TwoPoliciesCannotTakeTurnsOnOneSymptom) {
  EXPECT_EQ(codes_of(verdict_of({}, rested_after(1), kNow + minutes(4))), "cooldown-symptom");
  EXPECT_EQ(codes_of(verdict_of({}, rested_after(1), kNow + minutes(5))), "");
}

TEST(Cooldown, TheThirdActInARowThatDidNotHelpCallsAPerson) {
  Cooldown cooldown;
  Instant at = kNow;
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(verdict_of(cooldown, {}, at).kind, VerdictKind::kDeny) << i;
    cooldown = act_ended(act_began(cooldown, kOptions, at), ActEffect::kDidNotHelp, at);
    at += hours(7);
  }
  for (const Verdict& verdict : {verdict_of(cooldown, {}, at), verdict_of({}, cooldown, at)}) {
    EXPECT_EQ(codes_of(verdict), "ineffective");
    EXPECT_EQ(verdict.kind, VerdictKind::kDeny);
    EXPECT_TRUE(verdict.escalate);
  }
  EXPECT_EQ(verdict_of(cooldown, {}, at + hours(24 * 365)).kind, VerdictKind::kDeny) << "time alone doesn't mend it";
  EXPECT_EQ(verdict_of(chain_acknowledged(cooldown), {}, at).kind, VerdictKind::kAllow);
}

TEST(Cooldown, AnActThatHelpedEndsTheChainAndNotTheRest) {
  Cooldown cooldown{2, 2, kNow};
  cooldown = act_ended(act_began(cooldown, kOptions, kNow), ActEffect::kHelped, kNow);

  EXPECT_EQ(cooldown.ineffective, 0u);
  EXPECT_EQ(rest_after(cooldown, kOptions), minutes(20));
}

TEST(Cooldown, AnActThatNeverEndedOrWasNotMeasuredDidNotHelp) {
  EXPECT_EQ(act_began({}, kOptions, kNow).ineffective, 1u);
  EXPECT_EQ(act_ended(act_began({}, kOptions, kNow), ActEffect::kUnknown, kNow).ineffective, 1u);
}

TEST(Cooldown, TheRestCountsFromTheEndOfTheAct) {
  const Cooldown cooldown = act_ended(act_began({}, kOptions, kNow), ActEffect::kHelped, kNow + minutes(30));
  EXPECT_EQ(codes_of(verdict_of(cooldown, {}, kNow + minutes(34))), "cooldown");
}

TEST(Cooldown, ActsADayApartAreDifferentTroubles) {
  const Cooldown cooldown = rested_after(5);
  EXPECT_EQ(act_began(cooldown, kOptions, kNow + kCooldownMemory - Duration(1)).acts, 6u);
  EXPECT_EQ(act_began(cooldown, kOptions, kNow + kCooldownMemory).acts, 1u);
  CooldownOptions slow = kOptions;
  slow.max = hours(24);
  EXPECT_EQ(act_began(cooldown, slow, kNow + hours(47)).acts, 6u) << "a rest of a day is no end of the trouble";
}

TEST(Cooldown, AnActInTheFutureIsOneOfJustNow) {
  EXPECT_EQ(codes_of(verdict_of(rested_after(1), {}, kNow - hours(24 * 3650))), "cooldown");
  EXPECT_EQ(act_began(rested_after(5), kOptions, kNow - hours(24 * 3650)).acts, 6u);
}

TEST(Cooldown, WhatIsNotKnownIsWaitedFor) {
  EXPECT_EQ(codes_of(cooldown_verdict(kOptions, {std::nullopt, Cooldown{}}, kNow)), "cooldown-unknown");
  EXPECT_EQ(codes_of(cooldown_verdict(kOptions, {Cooldown{}, std::nullopt}, kNow)), "cooldown-unknown");
  EXPECT_EQ(cooldown_verdict(kOptions, {}, kNow).kind, VerdictKind::kWait);
}

TEST(Cooldown, OptionsThatWouldNotRestAreDenied) {
  for (const CooldownOptions& wrong :
       {CooldownOptions{Duration(0), 2, hours(6), 3}, CooldownOptions{minutes(5), 0, hours(6), 3},
        CooldownOptions{minutes(5), 11, hours(6), 3}, CooldownOptions{minutes(5), 2, minutes(4), 3},
        CooldownOptions{minutes(5), 2, kCooldownLongest + Duration(1), 3}, CooldownOptions{minutes(5), 2, hours(6), 0},
        CooldownOptions{minutes(5), 2, hours(6), 11}}) {
    const Verdict verdict = cooldown_verdict(wrong, {Cooldown{}, Cooldown{}}, kNow);
    EXPECT_EQ(codes_of(verdict), "cooldown-options");
    EXPECT_EQ(verdict.kind, VerdictKind::kDeny);
  }
  EXPECT_TRUE(check_options({}));
}

TEST(Cooldown, ReadsBackAsItWasWritten) {
  const Cooldown cooldown{4, 2, kNow};
  EXPECT_EQ(*from_json<Cooldown>(to_json(cooldown)), cooldown);
  EXPECT_EQ(*from_json<Cooldown>(to_json(Cooldown{})), Cooldown{});
  EXPECT_EQ(*from_json<CooldownOptions>(to_json(kOptions)), kOptions);
}

}  // namespace
}  // namespace prunella
