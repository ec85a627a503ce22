#include "plan/rollout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "model/merkle.h"

namespace prunella {
namespace {

const Instant kStart = *parse_rfc3339("2026-11-24T03:00:00Z");

std::vector<RolloutCandidate> hosts(std::size_t count, std::set<std::size_t> canaries = {}) {
  std::vector<RolloutCandidate> list;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name = "host-" + std::to_string(i);
    list.push_back({HostId(name), sha256("plan of " + name), canaries.contains(i)});
  }
  return list;
}

const RolloutNames kNames{PlanId("PLN-5k2m9x"), RolloutId("ROL-5k2m9x"), "ada", "security updates", "all"};

GateAnswer allow(const Rollout&, const RolloutHost&) { return {OrderAnswer::kAllow, ""}; }

/// A rollout that goes on, with what came out of it.
struct Driven {
  Rollout rollout;
  Instant now = kStart;
  OrderGate gate = allow;
  std::vector<Effect> effects;  // of the last step

  explicit Driven(std::size_t count, RolloutOptions options = {})
      : rollout(make_rollout(hosts(count), options, kNames, kStart)->rollout) {}

  void give(const RolloutInput& input) {
    now += Duration(1000);
    Advanced advanced = advance(rollout, input, gate, now);
    rollout = std::move(advanced.rollout);
    effects = std::move(advanced.effects);
  }
  void give(RolloutInputKind kind, std::string text = "ada") { give({kind, {}, {}, {}, {}, std::move(text)}); }
  void outcome(std::size_t index, RolloutHostState state, std::optional<Refusal> refusal = {}) {
    const RolloutHost& host = rollout.hosts[index];
    give({RolloutInputKind::kOutcome, host.host, host.run, state, refusal, "because"});
  }
  void health(std::size_t index, RolloutInputKind kind = RolloutInputKind::kHealthy) {
    give({kind, rollout.hosts[index].host, {}, {}, {}, "because"});
  }
  void verify(std::size_t index) {
    outcome(index, RolloutHostState::kVerified);
    for (std::uint32_t i = 0; i < rollout.plan.soak_reports; ++i) health(index);
  }
  std::vector<std::uint64_t> ordered() const {
    std::vector<std::uint64_t> list;
    for (const Effect& effect : effects)
      if (effect.kind == EffectKind::kOrder) list.push_back(effect.index);
    return list;
  }
};

TEST(MakeRollout, WavesAreThoseOfThePlanAndNoneIsEmpty) {
  auto ends = [](std::size_t count, std::vector<WaveEnd> waves = RolloutOptions{}.waves) {
    RolloutOptions options;
    options.waves = std::move(waves);
    return make_rollout(hosts(count), options, kNames, kStart)->plan.wave_ends;
  };
  EXPECT_EQ(ends(1), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(ends(2), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(ends(4), (std::vector<std::uint64_t>{1, 2, 4}));
  EXPECT_EQ(ends(10), (std::vector<std::uint64_t>{1, 3, 5, 10}));
  EXPECT_EQ(ends(1000), (std::vector<std::uint64_t>{1, 10, 50, 250, 500, 1000}));
  EXPECT_EQ(ends(10, {{2, false}, {5, false}}), (std::vector<std::uint64_t>{2, 5, 10}));
  EXPECT_EQ(ends(3, {{50, false}}), (std::vector<std::uint64_t>{3}));
  for (std::size_t count = 1; count <= 300; ++count) {
    RolloutPlan plan = make_rollout(hosts(count), {}, kNames, kStart)->plan;
    EXPECT_TRUE(check_rollout_plan(plan));
    EXPECT_EQ(plan.wave_ends[0], 1u);
  }
}

TEST(MakeRollout, CanariesGoFirstAndTheOrderIsTheSameForEveryone) {
  auto a = hosts(20, {7, 13});
  auto b = a;
  std::ranges::reverse(b);

  auto first = make_rollout(a, {}, kNames, kStart);
  auto second = make_rollout(b, {}, kNames, kStart);

  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->rollout, second->rollout);
  std::set<std::string> canaries = {first->rollout.hosts[0].host.text(), first->rollout.hosts[1].host.text()};
  EXPECT_EQ(canaries, (std::set<std::string>{"host-13", "host-7"}));
  RolloutNames other = kNames;
  other.plan = PlanId("PLN-another");
  EXPECT_NE(make_rollout(a, {}, other, kStart)->rollout.hosts, first->rollout.hosts);
}

TEST(MakeRollout, TheRootBindsEachHostAtItsPlace) {
  auto made = make_rollout(hosts(7), {}, kNames, kStart);
  std::vector<Digest> leaves;
  for (const RolloutHost& host : made->rollout.hosts) leaves.push_back(rollout_leaf(host.index, host.host, host.plan));

  EXPECT_EQ(merkle_root(leaves), made->plan.merkle_root);
  EXPECT_EQ(made->rollout.plan, made->plan);
}

TEST(MakeRollout, RefusesWhatIsNoRollout) {
  auto twice = hosts(2);
  twice[1].host = twice[0].host;
  EXPECT_FALSE(make_rollout({}, {}, kNames, kStart));
  EXPECT_FALSE(make_rollout(twice, {}, kNames, kStart));
  RolloutOptions options;
  options.waves.clear();
  EXPECT_FALSE(make_rollout(hosts(2), options, kNames, kStart));
  options = {};
  options.failures_percent_max = 101;
  EXPECT_FALSE(make_rollout(hosts(2), options, kNames, kStart));
  options = {};
  options.wave_deadline = Duration(0);
  EXPECT_FALSE(make_rollout(hosts(2), options, kNames, kStart));
  EXPECT_FALSE(make_rollout(hosts(2), {}, {PlanId("PLN-1"), RolloutId("ROL-1"), "", "", ""}, kStart));
}

TEST(ParseWaves, ReadsNumbersAndShares) {
  EXPECT_EQ(*parse_waves({"1", "5%", "100%"}), (std::vector<WaveEnd>{{1, false}, {5, true}, {100, true}}));
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {}, {""}, {"%"}, {"0"}, {"0%"}, {"101%"}, {"-1"}, {"5 %"}, {"25%", "5%"}, {"3", "3"}})
    EXPECT_FALSE(parse_waves(wrong));
}

TEST(Rollout, OrdersNothingBeforeItsApproval) {
  Driven d(4);
  d.give(RolloutInputKind::kTick);
  EXPECT_TRUE(d.ordered().empty());
  EXPECT_EQ(d.rollout.state, RolloutState::kWaitingForApproval);

  d.give(RolloutInputKind::kApproved);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{0}));
  EXPECT_EQ(d.rollout.hosts[0].state, RolloutHostState::kOrdered);
  EXPECT_EQ(d.rollout.hosts[0].run, d.effects[0].run);
}

TEST(Rollout, GoesThroughItsWavesWhenEveryHostIsVerifiedAndHealthy) {
  Driven d(4);  // waves end at 1, 2, 4
  d.give(RolloutInputKind::kApproved);
  d.verify(0);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{1}));
  d.verify(1);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{2, 3}));
  d.verify(2);
  EXPECT_EQ(d.rollout.state, RolloutState::kRunning);
  d.verify(3);
  EXPECT_EQ(d.rollout.state, RolloutState::kSucceeded);
  EXPECT_EQ(d.rollout.reason, "4 of 4 hosts verified");
}

TEST(Rollout, SoaksByHealthyReportsInARowAndNotByTime) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.outcome(0, RolloutHostState::kVerified);
  d.health(0);
  d.health(0);
  d.now += std::chrono::hours(3);
  d.give(RolloutInputKind::kTick);
  EXPECT_TRUE(d.ordered().empty()) << "time alone is no soak";

  d.health(0, RolloutInputKind::kStale);  // a missing report starts the count again
  d.health(0);
  d.health(0);
  EXPECT_TRUE(d.ordered().empty());
  d.health(0);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{1}));
}

TEST(Rollout, HealthBeforeTheRunCountsForNothing) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  for (int i = 0; i < 5; ++i) d.health(0);
  d.outcome(0, RolloutHostState::kVerified);
  EXPECT_TRUE(d.ordered().empty());
  EXPECT_EQ(d.rollout.hosts[0].healthy_reports, 0u);
}

TEST(Rollout, StopsOnTheFirstCanaryThatFails) {
  for (RolloutHostState end : {RolloutHostState::kReverted, RolloutHostState::kEscalated, RolloutHostState::kRefused}) {
    RolloutOptions options;
    options.failures_percent_max = 100;
    Driven d(10, options);
    d.give(RolloutInputKind::kApproved);
    d.outcome(0, end, end == RolloutHostState::kRefused ? std::optional(Refusal::kNotStaged) : std::nullopt);
    EXPECT_EQ(d.rollout.state, RolloutState::kStopped) << to_text(end);
    EXPECT_TRUE(d.ordered().empty());
    EXPECT_EQ(d.effects.back().kind, EffectKind::kStop);
  }
}

TEST(Rollout, StopsWhenACanaryTurnsUnhealthyAlsoLater) {
  RolloutOptions options;
  options.failures_percent_max = 100;
  Driven d(10, options);
  d.give(RolloutInputKind::kApproved);
  d.verify(0);
  d.health(0, RolloutInputKind::kUnhealthy);
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
  EXPECT_NE(d.rollout.reason.find("unhealthy after its run"), std::string::npos) << d.rollout.reason;
}

TEST(Rollout, StopsWhenNoCanaryProvedTheChange) {
  Driven moved(4);
  moved.give(RolloutInputKind::kApproved);
  moved.outcome(0, RolloutHostState::kRefused, Refusal::kWorldMoved);
  EXPECT_EQ(moved.rollout.state, RolloutState::kStopped);
  EXPECT_NE(moved.rollout.reason.find("proved the change"), std::string::npos);
  EXPECT_EQ(count_hosts(moved.rollout).failed, 0u);
  EXPECT_EQ(count_hosts(moved.rollout).moved, 1u);

  Driven denied(4);
  denied.gate = [](const Rollout&, const RolloutHost&) { return GateAnswer{OrderAnswer::kDeny, "no policy"}; };
  denied.give(RolloutInputKind::kApproved);
  EXPECT_EQ(denied.rollout.state, RolloutState::kStopped);
  EXPECT_EQ(denied.rollout.hosts[0].state, RolloutHostState::kSkipped);
}

TEST(Rollout, StopsAboveTheFailureLimitOfTheFinishedAndNotAtIt) {
  RolloutOptions options;
  options.waves = {{1, false}, {100, true}};
  options.failures_percent_max = 20;
  Driven d(10, options);
  d.give(RolloutInputKind::kApproved);
  d.verify(0);
  for (std::size_t i = 1; i <= 3; ++i) d.outcome(i, RolloutHostState::kVerified);
  d.outcome(4, RolloutHostState::kReverted);  // 1 of 5: at the limit
  EXPECT_EQ(d.rollout.state, RolloutState::kRunning);
  d.outcome(5, RolloutHostState::kRefused, Refusal::kWorldMoved);  // counts for neither
  EXPECT_EQ(d.rollout.state, RolloutState::kRunning);
  d.outcome(6, RolloutHostState::kRefused, Refusal::kNoSpace);  // 2 of 6
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
}

TEST(Rollout, StopsAtAWavesDeadlineAndNotesWhoDidNotAnswer) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.now += d.rollout.plan.wave_deadline;
  d.give(RolloutInputKind::kTick);
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
  EXPECT_EQ(d.rollout.hosts[0].state, RolloutHostState::kNoAnswer);
  EXPECT_EQ(count_hosts(d.rollout).failed, 1u);

  d.outcome(0, RolloutHostState::kVerified);  // the truth comes late, and is noted
  EXPECT_EQ(d.rollout.hosts[0].state, RolloutHostState::kVerified);
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
  EXPECT_TRUE(d.ordered().empty());
}

TEST(Rollout, SaysWhereItStandsWhileItRuns) {
  RolloutOptions options;
  options.waves = {{1, false}, {5, false}};
  options.soak_reports = 1;
  options.failures_percent_max = 100;
  Driven d(5, options);
  auto reason = [&] { return d.rollout.reason; };
  EXPECT_EQ(reason(), "waits for approval");
  d.give(RolloutInputKind::kApproved);
  EXPECT_EQ(reason(), "the first wave: 0 of 1 host done, 1 at work");
  d.outcome(0, RolloutHostState::kVerified);
  EXPECT_EQ(reason(), "the first wave: 1 of 1 host done; 1 has yet to stay healthy");
  d.gate = [](const Rollout&, const RolloutHost& host) {
    return GateAnswer{host.index > 2 ? OrderAnswer::kWait : OrderAnswer::kAllow, "the host is late"};
  };
  d.health(0);
  EXPECT_EQ(reason(), "wave 2 of 2: 0 of 4 hosts done, 2 at work, 2 wait; " + d.rollout.hosts[3].host.text() + " waits: the host is late");
  d.outcome(1, RolloutHostState::kReverted);
  d.give(RolloutInputKind::kPause);
  EXPECT_EQ(reason(), "paused: ada");
  d.give(RolloutInputKind::kResume);
  d.gate = allow;
  d.give(RolloutInputKind::kTick);
  EXPECT_EQ(reason(), "wave 2 of 2: 0 of 4 hosts done, 3 at work, 1 could not");
  for (std::size_t i : {2u, 3u, 4u}) d.outcome(i, RolloutHostState::kVerified);
  EXPECT_EQ(reason(), "wave 2 of 2: 3 of 4 hosts done, 1 could not; 3 have yet to stay healthy");
  for (std::size_t i : {2u, 3u, 4u}) d.health(i);
  EXPECT_EQ(reason(), "4 of 5 hosts verified, 1 failed");
}

TEST(Rollout, AWaitingHostStaysPendingUntilTheGateAllowsIt) {
  Driven d(4);
  d.gate = [](const Rollout&, const RolloutHost&) { return GateAnswer{OrderAnswer::kWait, "the host is late"}; };
  d.give(RolloutInputKind::kApproved);
  EXPECT_EQ(d.rollout.hosts[0].state, RolloutHostState::kPending);
  EXPECT_EQ(d.rollout.hosts[0].reason, "waits: the host is late");
  d.gate = allow;
  d.give(RolloutInputKind::kTick);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{0}));
}

TEST(Rollout, SkipsAnAwayHostInItsWaveButNotBefore) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.health(1, RolloutInputKind::kStale);
  EXPECT_EQ(d.rollout.hosts[1].state, RolloutHostState::kPending);
  d.gate = [](const Rollout&, const RolloutHost& host) {
    return GateAnswer{host.index == 1 ? OrderAnswer::kWait : OrderAnswer::kAllow, "late"};
  };
  d.verify(0);
  d.health(1, RolloutInputKind::kStale);
  EXPECT_EQ(d.rollout.hosts[1].state, RolloutHostState::kSkipped);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{2, 3}));
}

TEST(Rollout, PauseHoldsOrdersAndResumeGivesThemAgain) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.give(RolloutInputKind::kPause);
  d.verify(0);
  EXPECT_EQ(d.rollout.state, RolloutState::kPaused);
  EXPECT_TRUE(d.ordered().empty());
  d.give(RolloutInputKind::kResume);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{1}));
}

TEST(Rollout, AFailureWhilePausedStopsIt) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.give(RolloutInputKind::kPause);
  d.outcome(0, RolloutHostState::kReverted);
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
  d.give(RolloutInputKind::kResume);
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
}

TEST(Rollout, PromoteEndsTheSoakAndNothingElse) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.give(RolloutInputKind::kPromote);
  EXPECT_TRUE(d.ordered().empty()) << "the canary's run has not ended";
  d.outcome(0, RolloutHostState::kVerified);
  d.give(RolloutInputKind::kPromote);
  EXPECT_EQ(d.ordered(), (std::vector<std::uint64_t>{1}));
}

TEST(Rollout, AbortIsTheEndAndLateOutcomesAreNoted) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.give(RolloutInputKind::kAbort);
  EXPECT_EQ(d.rollout.state, RolloutState::kAborted);
  for (RolloutInputKind kind :
       {RolloutInputKind::kApproved, RolloutInputKind::kResume, RolloutInputKind::kPromote, RolloutInputKind::kTick})
    d.give(kind);
  d.verify(0);
  EXPECT_EQ(d.rollout.state, RolloutState::kAborted);
  EXPECT_EQ(d.rollout.hosts[0].state, RolloutHostState::kVerified);
  EXPECT_TRUE(d.ordered().empty());
}

TEST(Rollout, IsAbortedWithoutApprovalAndStoppedWhenForgottenInAPause) {
  Driven d(4);
  d.now += kApprovalWaitMax;
  d.give(RolloutInputKind::kTick);
  EXPECT_EQ(d.rollout.state, RolloutState::kAborted);

  Driven p(4);
  p.give(RolloutInputKind::kApproved);
  p.give(RolloutInputKind::kPause);
  p.now += kPauseMax;
  p.give(RolloutInputKind::kTick);
  EXPECT_EQ(p.rollout.state, RolloutState::kStopped);
}

TEST(Rollout, OutcomesOfOtherRunsChangeNothing) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  Rollout before = d.rollout;
  d.give({RolloutInputKind::kOutcome, d.rollout.hosts[0].host, RunId("RUN-other"), RolloutHostState::kVerified, {}, ""});
  d.give({RolloutInputKind::kOutcome, HostId("nobody"), RunId("RUN-other"), RolloutHostState::kVerified, {}, ""});
  d.give({RolloutInputKind::kOutcome, d.rollout.hosts[0].host, d.rollout.hosts[0].run, RolloutHostState::kSkipped, {}, ""});
  d.give({RolloutInputKind::kOutcome, d.rollout.hosts[0].host, d.rollout.hosts[0].run, std::nullopt, {}, ""});
  EXPECT_EQ(d.rollout, before);
}

TEST(Rollout, ARepeatedOutcomeDoesNotStartTheSoakAgain) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.outcome(0, RolloutHostState::kVerified);
  d.health(0);
  d.outcome(0, RolloutHostState::kReverted);
  EXPECT_EQ(d.rollout.hosts[0].state, RolloutHostState::kVerified);
  EXPECT_EQ(d.rollout.hosts[0].healthy_reports, 1u);
}

TEST(Rollout, AClockThatGoesBackStartsTheWavesTimeAnew) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  d.now = kStart - std::chrono::hours(24 * 3650);
  d.give(RolloutInputKind::kTick);
  EXPECT_EQ(d.rollout.state, RolloutState::kRunning);
  d.now += d.rollout.plan.wave_deadline;
  d.give(RolloutInputKind::kTick);
  EXPECT_EQ(d.rollout.state, RolloutState::kStopped);
}

TEST(Rollout, AfterACrashTheStoredValueGoesOnAndNamesWhatIsOut) {
  Driven d(4);
  d.give(RolloutInputKind::kApproved);
  std::vector<Effect> first = d.effects;
  auto stored = from_json_text<Rollout>(to_canonical_text(d.rollout));
  ASSERT_TRUE(stored) << stored.error().text();
  EXPECT_EQ(*stored, d.rollout);

  EXPECT_EQ(outstanding_orders(*stored), first);
  Advanced again = advance(*stored, {}, allow, d.now);
  EXPECT_TRUE(again.effects.empty()) << "it was ordered, so it isn't ordered again";
}

/// Rules that hold whatever comes in: no host ordered twice, none beyond its wave, none without approval, none after an end or
/// within a pause; a wave only after the soak of the one before; and an end in bounded time.
TEST(RolloutProperty, HoldsForAnySequenceOfInputs) {
  for (std::uint32_t seed = 1; seed <= 400; ++seed) {
    std::mt19937 random(seed);
    auto pick = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    RolloutOptions options;
    options.failures_percent_max = static_cast<std::uint32_t>(pick(60));
    options.soak_reports = static_cast<std::uint32_t>(pick(4));
    Driven d(1 + pick(40), options);
    d.gate = [&](const Rollout&, const RolloutHost&) {
      std::size_t roll = pick(20);
      return GateAnswer{roll == 0 ? OrderAnswer::kDeny : roll < 4 ? OrderAnswer::kWait : OrderAnswer::kAllow, "dice"};
    };
    std::set<std::uint64_t> ordered;
    bool approved = false;
    bool tame = pick(2) == 0;  // half of the fleets are mostly well, so that late waves are reached

    auto step = [&](const RolloutInput& input) {
      Rollout before = d.rollout;
      d.give(input);
      approved = approved || input.kind == RolloutInputKind::kApproved;
      for (std::uint64_t index : d.ordered()) {
        ASSERT_TRUE(ordered.insert(index).second) << "seed " << seed << ": host " << index << " was ordered twice";
        ASSERT_TRUE(approved) << "seed " << seed;
        ASSERT_FALSE(is_end(before.state)) << "seed " << seed;
        ASSERT_TRUE(before.state != RolloutState::kPaused || input.kind == RolloutInputKind::kResume) << "seed " << seed;
        ASSERT_LT(index, d.rollout.plan.wave_ends[d.rollout.wave]) << "seed " << seed << ": beyond its wave";
        ASSERT_EQ(d.rollout.hosts[index].state, RolloutHostState::kOrdered);
        ASSERT_TRUE(d.rollout.hosts[index].run);
      }
      ASSERT_GE(d.rollout.wave, before.wave);
      if (d.rollout.wave > before.wave)
        for (std::uint64_t i = 0; i < d.rollout.plan.wave_ends[d.rollout.wave - 1]; ++i) {
          RolloutHostState state = d.rollout.hosts[i].state;
          ASSERT_TRUE(state != RolloutHostState::kPending && state != RolloutHostState::kOrdered) << "seed " << seed;
        }
      if (is_end(before.state)) {
        ASSERT_EQ(d.rollout.state, before.state) << "seed " << seed;
      }
      for (const RolloutHost& host : d.rollout.hosts)
        if (host.index < d.rollout.plan.wave_ends[0] &&
            (host.state == RolloutHostState::kReverted || host.state == RolloutHostState::kEscalated)) {
          ASSERT_TRUE(is_end(d.rollout.state)) << "seed " << seed << ": a failed canary and it goes on";
        }
    };

    for (int i = 0; i < 250; ++i) {
      RolloutInput input;
      std::size_t host = pick(d.rollout.hosts.size());
      if (std::size_t last = d.rollout.plan.wave_ends[d.rollout.wave]; pick(3) != 0) host = pick(last);
      input.host = d.rollout.hosts[host].host;
      input.text = "dice";
      switch (pick(tame ? 8 : 14)) {
        case 0: input.kind = RolloutInputKind::kApproved; break;
        case 1:
        case 2:
        case 3:
          input.kind = RolloutInputKind::kOutcome;
          input.run = d.rollout.hosts[host].run;
          input.outcome = tame && pick(30) != 0 ? RolloutHostState::kVerified
                                                : std::array{RolloutHostState::kVerified, RolloutHostState::kReverted,
                                                             RolloutHostState::kEscalated, RolloutHostState::kRefused}[pick(4)];
          if (input.outcome == RolloutHostState::kRefused) input.refusal = pick(2) ? Refusal::kWorldMoved : Refusal::kBudget;
          break;
        case 4:
        case 5:
        case 6: input.kind = RolloutInputKind::kHealthy; break;
        case 7: input.kind = RolloutInputKind::kTick; break;
        case 8: input.kind = RolloutInputKind::kStale; break;
        case 9: input.kind = RolloutInputKind::kPause; break;
        case 10: input.kind = RolloutInputKind::kResume; break;
        case 11: input.kind = RolloutInputKind::kPromote; break;
        case 12: input.kind = pick(6) == 0 ? RolloutInputKind::kAbort : RolloutInputKind::kTick; break;
        case 13: input.kind = pick(4) == 0 ? RolloutInputKind::kUnhealthy : RolloutInputKind::kHealthy; break;
      }
      step(input);
      if (HasFatalFailure()) return;
      if (pick(10) == 0)
        d.rollout = *from_json_text<Rollout>(to_canonical_text(d.rollout));  // a crash: only what is stored is left
    }
    // Nothing comes any more, and time passes: an end within one limit a wave and one for a pause or an approval.
    for (std::size_t i = 0; i < d.rollout.plan.wave_ends.size() + 3 && !is_end(d.rollout.state); ++i) {
      d.now += std::max({d.rollout.plan.wave_deadline, kPauseMax, kApprovalWaitMax}) + Duration(1);
      step({});
      if (HasFatalFailure()) return;
    }
    ASSERT_TRUE(is_end(d.rollout.state)) << "seed " << seed << " is still " << to_text(d.rollout.state);
  }
}

}  // namespace
}  // namespace prunella
