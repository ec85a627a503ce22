#include "decide/gate.h"

#include <gtest/gtest.h>

#include "../tests/support/sample_host.h"
#include "model/merkle.h"

namespace prunella {
namespace {

using sample::kHost;
using sample::kNow;

Plan plan_of_two_packages() {
  Plan plan;
  plan.host = kHost;
  plan.purpose = "security updates";
  plan.created = kNow;
  Action action;
  action.transaction = PackageTransaction{};
  for (const char* name : {"libssl3", "openssl"})
    action.transaction->changes.push_back(
        {{name, "amd64"}, "3.0.15-1", sample::file_of(name, "3.0.15-1"), sample::file_of(name, "3.0.17-1")});
  action.transaction->restarts = {"nginx.service"};
  plan.actions = {action};
  plan.space = {{"/", 100'000'000, 8'000'000'000}};
  plan.deadline = std::chrono::minutes(30);
  return plan;
}

/// Three hosts in waves of 1 and 3; the sample host is number 0.
void bind(GateInput& in) {
  std::vector<Digest> leaves;
  in.rollout.hosts.clear();
  for (std::uint64_t i = 0; i < 3; ++i) {
    RolloutHost host;
    host.host = i == 0 ? in.plan.host : HostId("other-" + std::to_string(i));
    host.index = i;
    host.plan = i == 0 ? digest_of(in.plan) : sha256("other");
    leaves.push_back(rollout_leaf(i, host.host, host.plan));
    in.rollout.hosts.push_back(host);
  }
  in.rollout_plan.merkle_root = merkle_root(leaves);
  in.rollout.plan = in.rollout_plan;
}

GateInput good() {
  GateInput in;
  in.plan = plan_of_two_packages();
  in.rollout_plan.id = PlanId("PLN-5k2m9x");
  in.rollout_plan.created = kNow;
  in.rollout_plan.created_by = "ada";
  in.rollout_plan.host_count = 3;
  in.rollout_plan.wave_ends = {1, 3};
  in.rollout.id = RolloutId("ROL-5k2m9x");
  in.rollout.state = RolloutState::kRunning;
  bind(in);
  in.approvers = {"ada"};
  in.policy = sample::policy();
  in.host.last_seen = kNow - std::chrono::seconds(20);
  in.host.posture = Posture{PostureState::kNeedsUpdate, "openssl lacks a security update"};
  in.host.executor = *sample::facts().executor->value;
  in.host.disk = *sample::facts().disk->value;
  in.fleet = GateFleet{3, 0};
  in.now = kNow;
  return in;
}

PastRun past(RunState state, Duration ago, bool packages = true) {
  PastRun run;
  run.run = RunId("RUN-old");
  run.plan = sha256("another plan");
  run.packages = packages;
  run.started = kNow - ago;
  run.state = state;
  return run;
}

std::vector<std::string> codes(const Verdict& verdict) {
  std::vector<std::string> list;
  for (const VerdictReason& reason : verdict.reasons) list.push_back(reason.code);
  return list;
}

TEST(Gate, AllowsWhenNoBrakeHolds) {
  Verdict verdict = gate(good());

  EXPECT_EQ(verdict.kind, VerdictKind::kAllow);
  EXPECT_TRUE(verdict.reasons.empty()) << verdict.reasons.front().text;
}

/// One row a brake: the change of a good input that this brake alone must stop. Take the brake out of gate.cc and its row fails,
/// since the row demands exactly this code. `kind` is the verdict.
struct Brake {
  const char* name;
  VerdictKind kind;
  const char* code;
  void (*change)(GateInput&);
};

constexpr auto kWait = VerdictKind::kWait;
constexpr auto kDeny = VerdictKind::kDeny;

const Brake kBrakes[] = {
    {"PlanInvalid", kDeny, "plan-invalid", [](GateInput& in) { in.plan.deadline = Duration(0), bind(in); }},
    {"Removals", kDeny, "plan-invalid", [](GateInput& in) { in.plan.removals = {"sudo:amd64"}, bind(in); }},
    {"RolloutInvalid", kDeny, "rollout-invalid", [](GateInput& in) { in.rollout_plan.failures_percent_max = 101, bind(in); }},
    {"AnotherRolloutPlan", kDeny, "plan-mismatch", [](GateInput& in) { in.rollout_plan.purpose = "another"; }},
    {"IndexBeyondTheRollout", kDeny, "plan-mismatch", [](GateInput& in) { in.index = 3; }},
    {"AnotherHostsPlace", kDeny, "plan-mismatch", [](GateInput& in) { in.rollout.hosts[0].host = HostId("other-9"); }},
    {"ChangedPlan", kDeny, "plan-mismatch", [](GateInput& in) { in.plan.purpose = "changed after the approval"; }},
    {"RolloutNotApproved", kWait, "rollout-not-approved",
     [](GateInput& in) { in.rollout.state = RolloutState::kWaitingForApproval; }},
    {"RolloutPaused", kWait, "rollout-paused", [](GateInput& in) { in.rollout.state = RolloutState::kPaused; }},
    {"RolloutStopped", kDeny, "rollout-over", [](GateInput& in) { in.rollout.state = RolloutState::kStopped; }},
    {"RolloutAborted", kDeny, "rollout-over", [](GateInput& in) { in.rollout.state = RolloutState::kAborted; }},
    {"RolloutSucceeded", kDeny, "rollout-over", [](GateInput& in) { in.rollout.state = RolloutState::kSucceeded; }},
    {"OrderedBefore", kDeny, "already-ordered", [](GateInput& in) { in.rollout.hosts[0].state = RolloutHostState::kOrdered; }},
    {"LaterWave", kWait, "wave",
     [](GateInput& in) {
       std::swap(in.rollout.hosts[0], in.rollout.hosts[2]);
       in.rollout.hosts[0].index = 0, in.rollout.hosts[2].index = 2, in.index = 2;
     }},
    {"NotApproved", kWait, "not-approved", [](GateInput& in) { in.approvers.clear(); }},
    {"ApprovedByAStranger", kWait, "not-approved", [](GateInput& in) { in.approvers = {"mallory"}; }},
    {"ApprovedByTooFew", kWait, "not-approved", [](GateInput& in) { in.policy->rules[0].approvals = 2; }},
    {"Irreversible", kWait, "irreversible,not-approved",  // permit() asks for it as well, once there is a policy
     [](GateInput& in) {
       in.plan.actions[0].transaction->changes[0].from.reset();
       in.plan.irreversible = "no old file";
       bind(in);
       in.approvers.clear();
       for (PolicyRule& rule : in.policy->rules) rule.approvals = 0;
     }},
    {"PolicyUnknown", kDeny, "policy-unknown", [](GateInput& in) { in.policy.reset(); }},
    {"PolicyExpired", kDeny, "policy-expired", [](GateInput& in) { in.policy->expires = in.now; }},
    {"PolicyNotYet", kDeny, "policy-not-yet", [](GateInput& in) { in.policy->issued = in.now + kClockSkewMax + Duration(1); }},
    {"PolicyInvalid", kDeny, "policy-invalid", [](GateInput& in) { in.policy->directors.clear(); }},
    {"PolicyWithoutARule", kDeny, "policy-not-allowed", [](GateInput& in) { in.policy->rules[0].packages = {"libssl3"}; }},
    {"PolicyProtects", kDeny, "policy-protected", [](GateInput& in) { in.policy->never_packages = {"openssl"}; }},
    {"PlanOld", kDeny, "plan-old", [](GateInput& in) { in.plan.created = in.now - kPlanAgeMax - Duration(1), bind(in); }},
    {"PlanFromTheFuture", kDeny, "clock",
     [](GateInput& in) { in.plan.created = in.now + kClockSkewMax + Duration(1), bind(in); }},
    {"HostNeverSeen", kWait, "host-never-seen", [](GateInput& in) { in.host.last_seen.reset(); }},
    {"HostStale", kWait, "host-stale", [](GateInput& in) { in.host.last_seen = in.now - kHostLateAfter - Duration(1); }},
    {"ClockWentBack", kDeny, "clock", [](GateInput& in) { in.host.last_seen = in.now + std::chrono::hours(24 * 3650); }},
    {"PostureAbsent", kWait, "posture-unknown", [](GateInput& in) { in.host.posture.reset(); }},
    {"PostureUnknown", kWait, "posture-unknown", [](GateInput& in) { in.host.posture->state = PostureState::kUnknown; }},
    {"PostureStale", kWait, "host-stale", [](GateInput& in) { in.host.posture->state = PostureState::kStale; }},
    {"ExecutorUnknown", kWait, "executor-unknown", [](GateInput& in) { in.host.executor.reset(); }},
    {"HostFrozen", kWait, "host-frozen", [](GateInput& in) { in.host.executor->frozen = true; }},
    {"HostBusy", kWait, "host-busy", [](GateInput& in) { in.host.executor->busy_with = "RUN-1"; }},
    {"HostWithoutPolicy", kWait, "host-without-policy", [](GateInput& in) { in.host.executor->policy_serial.reset(); }},
    {"HostWithAnotherPolicy", kWait, "policy-not-on-host", [](GateInput& in) { in.host.executor->policy_serial = 2; }},
    {"HostPolicyExpired", kDeny, "host-policy-expired", [](GateInput& in) { in.host.executor->policy_expires = in.now; }},
    {"DiskUnknown", kWait, "disk-unknown", [](GateInput& in) { in.host.disk.reset(); }},
    {"NotMounted", kDeny, "no-space", [](GateInput& in) { in.host.disk->filesystems.clear(); }},
    {"ReadOnly", kDeny, "read-only", [](GateInput& in) { in.host.disk->filesystems[0].read_only = true; }},
    {"NoSpace", kDeny, "no-space", [](GateInput& in) { in.host.disk->filesystems[0].free_bytes = 99'999'999; }},
    {"RunInProgress", kWait, "run-in-progress",
     [](GateInput& in) { in.history = {past(RunState::kActing, std::chrono::hours(2))}; }},
    {"FailedBefore", kDeny, "failed-before",
     [](GateInput& in) {
       in.history = {past(RunState::kReverted, std::chrono::hours(2))};
       in.history[0].plan = digest_of(in.plan);
     }},
    {"EscalatedBefore", kDeny, "failed-before",
     [](GateInput& in) {
       in.history = {past(RunState::kEscalated, std::chrono::hours(2))};
       in.history[0].plan = digest_of(in.plan);
     }},
    {"Budget", kWait, "budget", [](GateInput& in) { in.policy->budget.package_transactions_per_hour = 0; }},
    {"BudgetSpent", kWait, "budget",
     [](GateInput& in) {
       in.policy->budget.package_transactions_per_hour = 1;
       in.history = {past(RunState::kVerified, std::chrono::minutes(59))};
     }},
    {"RestartBudget", kWait, "budget",
     [](GateInput& in) {
       in.plan.actions.resize(1);
       in.plan.actions[0] = {};
       in.plan.actions[0].kind = ActionKind::kServiceRestart;
       in.plan.actions[0].restart = ServiceRestart{"nginx.service", "old code"};
       bind(in);
       in.policy->budget.service_restarts_per_hour = 2;
       in.history = {past(RunState::kVerified, std::chrono::minutes(30), false)};
       in.history[0].restarts = 2;
     }},
    {"Flapping", kDeny, "flapping",
     [](GateInput& in) { in.history.assign(kFlapRunsMax, past(RunState::kVerified, std::chrono::minutes(30))); }},
    {"Frozen", kWait, "frozen", [](GateInput& in) { in.frozen = true; }},
    {"FleetUnknown", kWait, "fleet-unknown", [](GateInput& in) { in.fleet.reset(); }},
    {"FleetSick", kWait, "fleet-sick",
     [](GateInput& in) {
       in.fleet = GateFleet{59, 3};
     }},
};

class GateBrake : public testing::TestWithParam<Brake> {};

TEST_P(GateBrake, HoldsByItself) {
  GateInput in = good();
  GetParam().change(in);

  Verdict verdict = gate(in);

  EXPECT_EQ(verdict.kind, GetParam().kind);
  EXPECT_EQ(join(codes(verdict), ","), GetParam().code);
  for (const VerdictReason& reason : verdict.reasons) {
    EXPECT_FALSE(reason.text.empty());
    EXPECT_FALSE(reason.would_change.empty()) << reason.code;
  }
}
INSTANTIATE_TEST_SUITE_P(Each, GateBrake, testing::ValuesIn(kBrakes),
                         [](const auto& brake) { return std::string(brake.param.name); });

TEST(Gate, AllowsAtTheEdgeOfEachBrake) {
  GateInput in = good();
  in.host.last_seen = in.now - kHostLateAfter;
  in.plan.created = in.now - kPlanAgeMax;
  in.plan.space[0].needed_bytes = in.host.disk->filesystems[0].free_bytes;
  bind(in);
  in.fleet = GateFleet{60, 3};
  in.policy->budget.package_transactions_per_hour = 2;
  in.history.assign(2, past(RunState::kVerified, kFlapWindow));
  in.history.push_back(past(RunState::kRefused, std::chrono::minutes(1)));
  in.history.push_back(past(RunState::kVerified, std::chrono::minutes(1)));
  in.host.posture->state = PostureState::kBroken;  // what the plan may be about to repair

  Verdict verdict = gate(in);

  EXPECT_EQ(verdict.kind, VerdictKind::kAllow) << (verdict.reasons.empty() ? "" : verdict.reasons[0].text);
}

TEST(Gate, NamesEveryBrakeAndDenyOutweighsWait) {
  GateInput in = good();
  in.approvers.clear();
  in.frozen = true;
  in.host.disk->filesystems[0].read_only = true;

  Verdict verdict = gate(in);

  EXPECT_EQ(verdict.kind, VerdictKind::kDeny);
  EXPECT_EQ(codes(verdict), (std::vector<std::string>{"read-only", "not-approved", "frozen"}));
}

TEST(Gate, FlappingAndASickFleetCallAPerson) {
  GateInput in = good();
  EXPECT_FALSE(gate(in).escalate);
  in.history.assign(kFlapRunsMax, past(RunState::kVerified, Duration(0)));
  EXPECT_TRUE(gate(in).escalate);
  in = good();
  in.fleet = GateFleet{10, 3};
  EXPECT_TRUE(gate(in).escalate);
}

TEST(Gate, RunsInTheFutureCountAsNow) {
  GateInput in = good();
  in.history.assign(kFlapRunsMax, past(RunState::kVerified, -std::chrono::hours(24 * 3650)));

  EXPECT_EQ(gate(in).kind, VerdictKind::kDeny);
}

TEST(Gate, ADefaultInputIsDenied) { EXPECT_EQ(gate(GateInput{}).kind, VerdictKind::kDeny); }

struct Standing {
  StandingTrigger trigger = StandingTrigger::kUnitFailed;
  std::string unit = "nginx.service";
  std::optional<ExecutorPolicy> policy = sample::policy();
  std::optional<ExecutorFacts> executor = *sample::facts().executor->value;
  std::vector<StandingRestart> history = {};

  Verdict verdict() const { return standing_verdict(trigger, unit, policy, executor, history, kNow); }
  void restarted(Duration ago, const std::string& which = "nginx.service") { history.push_back({which, kNow - ago}); }
};

TEST(StandingVerdict, AllowsTheFirstRestart) { EXPECT_EQ(Standing{}.verdict().kind, VerdictKind::kAllow); }

TEST(StandingVerdict, EachBrakeHoldsByItself) {
  struct Row {
    const char* code;
    VerdictKind kind;
    void (*change)(Standing&);
  };
  for (const Row& row : {
           Row{"no-service", kDeny, [](Standing& s) { s.unit = "nginx.socket"; }},
           Row{"no-service", kDeny, [](Standing& s) { s.unit = "x;reboot"; }},
           Row{"never-restarted", kDeny, [](Standing& s) { s.unit = "dbus.service", s.policy->standing[0].units = {"*"}; }},
           Row{"never-restarted", kDeny, [](Standing& s) { s.policy->never_units = {"nginx*"}; }},
           Row{"policy-unknown", kDeny, [](Standing& s) { s.policy.reset(); }},
           Row{"policy-expired", kDeny, [](Standing& s) { s.policy->expires = kNow; }},
           Row{"executor-unknown", kWait, [](Standing& s) { s.executor.reset(); }},
           Row{"host-frozen", kWait, [](Standing& s) { s.executor->frozen = true; }},
           Row{"host-busy", kWait, [](Standing& s) { s.executor->busy_with = "RUN-1"; }},
           Row{"no-rule", kDeny, [](Standing& s) { s.unit = "cron.service"; }},
           Row{"no-rule", kDeny, [](Standing& s) { s.trigger = StandingTrigger::kRestartNeeded; }},
           Row{"cooldown", kWait, [](Standing& s) { s.restarted(std::chrono::seconds(59)); }},
           Row{"flapping", kDeny,
               [](Standing& s) {
                 for (int minutes : {59, 40, 20}) s.restarted(std::chrono::minutes(minutes));
               }},
           Row{"budget", kWait,
               [](Standing& s) {
                 for (int i = 0; i < 20; ++i) s.restarted(std::chrono::minutes(30), "app-" + std::to_string(i) + ".service");
               }},
       }) {
    Standing standing;
    row.change(standing);
    Verdict verdict = standing.verdict();
    EXPECT_EQ(verdict.kind, row.kind) << row.code;
    EXPECT_EQ(codes(verdict), (std::vector<std::string>{row.code}));
  }
}

TEST(StandingVerdict, TheThirdRestartWithinTheHourCallsAPersonAndTheFourthNeverComes) {
  Standing standing;
  for (int minutes : {50, 40}) standing.restarted(std::chrono::minutes(minutes));
  EXPECT_EQ(standing.verdict().kind, VerdictKind::kAllow) << "the cooldown of 2 min has passed";
  standing.restarted(std::chrono::minutes(30));
  EXPECT_EQ(standing.verdict().kind, VerdictKind::kDeny);
  EXPECT_TRUE(standing.verdict().escalate);
}

TEST(StandingVerdict, TheCooldownDoublesUpToItsLimit) {
  // The least time since the last restart at which it's allowed again, after `repeats` restarts within the day.
  auto needed = [](int repeats) {
    for (int minutes = 1; minutes <= 24 * 60; ++minutes) {
      Standing standing;
      for (int i = 0; i < repeats; ++i)
        standing.restarted(i == 0 ? Duration(std::chrono::minutes(minutes))
                                  : std::max<Duration>(std::chrono::minutes(minutes), std::chrono::hours(20)));
      if (standing.verdict().kind == VerdictKind::kAllow) return minutes;
    }
    return -1;
  };
  EXPECT_EQ(needed(1), 1);
  EXPECT_EQ(needed(2), 2);
  EXPECT_EQ(needed(3), 4);
  EXPECT_EQ(needed(5), 16);
  EXPECT_EQ(needed(15), 6 * 60);
}

TEST(StandingVerdict, ARestartInTheFutureCountsAsJustNow) {
  Standing standing;
  standing.restarted(-std::chrono::hours(24 * 3650));

  EXPECT_EQ(codes(standing.verdict()), (std::vector<std::string>{"cooldown"}));
}

}  // namespace
}  // namespace prunella
