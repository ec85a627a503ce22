#include "decide/gate.h"

#include <algorithm>

#include "decide/permit.h"
#include "model/never_restart.h"

namespace prunella {

namespace {

constexpr std::string_view kPlanAgain = "a new plan";

/// The documents fit each other; nothing else is looked at while they don't.
void documents(const GateInput& in, Brakes& brakes) {
  std::string again(kPlanAgain);
  if (auto checked = check_plan(in.plan); !checked)
    brakes.deny("plan-invalid", "the plan is not valid: " + checked.error().text(), again);
  if (auto checked = check_rollout_plan(in.rollout_plan); !checked)
    brakes.deny("rollout-invalid", "the rollout plan is not valid: " + checked.error().text(), again);
  if (in.rollout.plan != in.rollout_plan)
    brakes.deny("plan-mismatch", "the rollout carries out another plan than the one that was approved",
                "the rollout of the approved plan");
  if (in.index >= in.rollout.hosts.size() || in.rollout.hosts.size() != in.rollout_plan.host_count)
    return brakes.deny(
        "plan-mismatch",
        "host number " + std::to_string(in.index) + " is not in a rollout of " + std::to_string(in.rollout.hosts.size()), again);
  const RolloutHost& host = in.rollout.hosts[in.index];
  if (host.host != in.plan.host || host.plan != digest_of(in.plan) || host.index != in.index)
    brakes.deny("plan-mismatch",
                "the plan is not the one that the rollout has for host number " + std::to_string(in.index) + " (" +
                    quoted(host.host.text()) + ")",
                again);
}

void rollout(const GateInput& in, Brakes& brakes) {
  const Rollout& rollout = in.rollout;
  switch (rollout.state) {
    case RolloutState::kWaitingForApproval:
      brakes.wait("rollout-not-approved", "the rollout waits for approval",
                  "`prunella approve " + in.rollout_plan.id.text() + "`");
      break;
    case RolloutState::kPaused:
      brakes.wait("rollout-paused", "the rollout is paused (" + rollout.reason + ")",
                  "`prunella rollout resume " + rollout.id.text() + "`");
      break;
    case RolloutState::kSucceeded:
    case RolloutState::kStopped:
    case RolloutState::kAborted:
      brakes.deny("rollout-over", "the rollout is " + std::string(to_text(rollout.state)) + " (" + rollout.reason + ")",
                  "a new plan and rollout");
      break;
    case RolloutState::kRunning: break;
  }
  const RolloutHost& host = rollout.hosts[in.index];
  if (host.state != RolloutHostState::kPending)
    brakes.deny("already-ordered",
                "the rollout has had this host: it is " + std::string(to_text(host.state)) +
                    (host.run ? " by " + host.run->text() : std::string()),
                "a new plan: a rollout orders a host once");
  if (rollout.wave >= rollout.plan.wave_ends.size() || in.index >= rollout.plan.wave_ends[rollout.wave]) {
    std::size_t own = 0;
    while (own < rollout.plan.wave_ends.size() && in.index >= rollout.plan.wave_ends[own]) ++own;
    brakes.wait("wave",
                "the host is in wave " + std::to_string(own + 1) + ", the rollout is at wave " + std::to_string(rollout.wave + 1),
                "the waves before it are through");
  }
}

void policy(const GateInput& in, Brakes& brakes) {
  std::size_t approvals = in.approvers.size();
  // Rule 5 of DESIGN.md: an irreversible action never runs above L2. It does not hang on any policy.
  bool irreversible = in.plan.irreversible || blast_class(in.plan) == BlastClass::kIrreversible;
  if (irreversible && approvals == 0)
    brakes.wait(
        "irreversible",
        "there is no way back (" + in.plan.irreversible.value_or("an old file is missing") + "), and nobody approved that",
        "an approval, whatever the policy asks for");
  if (!in.policy)
    return brakes.deny("policy-unknown", "no signed executor policy is known, and without one a host does nothing",
                       "`prunella policy sign`, then its upload");
  if (in.policy->expires <= in.now)
    brakes.deny(
        "policy-expired",
        "the executor policy (serial " + std::to_string(in.policy->serial) + ") expired at " + to_rfc3339(in.policy->expires),
        "a policy with a higher serial");
  if (in.policy->issued - in.now > kClockSkewMax)
    brakes.deny("policy-not-yet", "the executor policy is from " + to_rfc3339(in.policy->issued) + ", which is in the future",
                "the right time on the control plane");
  if (auto checked = check_executor_policy(*in.policy); !checked)
    brakes.deny("policy-invalid", "the executor policy is not valid: " + checked.error().text(), "a valid policy");
  // Only those whom the policy knows count: the executor would not know another's key.
  std::size_t known = std::ranges::count_if(in.approvers, [&](const std::string& name) {
    return std::ranges::find(in.policy->approvers, name, &PolicyApprover::name) != in.policy->approvers.end();
  });
  if (auto denial = permit(*in.policy, in.plan, known)) {
    if (denial->code == Refusal::kNotApproved)
      brakes.wait("not-approved", denial->text, "`prunella approve " + in.rollout_plan.id.text() + "` by another approver");
    else
      brakes.deny("policy-" + std::string(to_text(denial->code)), denial->text, "another policy, signed by the operators");
  }
}

void host(const GateInput& in, Brakes& brakes) {
  const GateHost& host = in.host;
  if (!host.last_seen) {
    brakes.wait("host-never-seen", "the host has never reported", "its agent reports");
  } else if (in.now - *host.last_seen > kHostLateAfter) {
    brakes.wait("host-stale",
                "the host was last seen at " + to_rfc3339(*host.last_seen) + ", longer than " + to_text(kHostLateAfter) + " ago",
                "its agent reports");
  } else if (*host.last_seen - in.now > kClockSkewMax) {
    brakes.deny("clock",
                "the host was last seen at " + to_rfc3339(*host.last_seen) +
                    ", which is in the future: the control plane's clock went back",
                "the right time on the control plane");
  }
  if (!host.posture)
    brakes.wait("posture-unknown", "how the host is was not determined yet", "its facts come");
  else if (host.posture->state == PostureState::kUnknown)
    brakes.wait("posture-unknown", "not enough is known of the host: " + host.posture->sentence, "the missing facts come");
  else if (host.posture->state == PostureState::kStale)
    brakes.wait("host-stale", "what is known of the host is old: " + host.posture->sentence, "its agent reports");

  if (!host.executor) {
    brakes.wait("executor-unknown", "the host's executor is not known", "the executor answers its agent");
  } else {
    if (host.executor->frozen)
      brakes.wait("host-frozen", "root on the host froze its executor", "`prunella unfreeze`, by root on the host");
    if (host.executor->busy_with)
      brakes.wait("host-busy", "the host's executor is busy with " + *host.executor->busy_with, "that run ends");
    if (!host.executor->policy_serial)
      brakes.wait("host-without-policy", "the host's executor has no policy yet, and would refuse",
                  "the agent hands over the policy");
    else if (in.policy && *host.executor->policy_serial != in.policy->serial)
      brakes.wait("policy-not-on-host",
                  "the host has policy serial " + std::to_string(*host.executor->policy_serial) + ", the one in force is " +
                      std::to_string(in.policy->serial),
                  "the agent hands over the policy");
    if (host.executor->policy_expires && *host.executor->policy_expires <= in.now)
      brakes.deny("host-policy-expired", "the host's policy expired at " + to_rfc3339(*host.executor->policy_expires),
                  "a policy with a higher serial");
  }

  if (in.plan.space.empty()) return;
  if (!host.disk) return brakes.wait("disk-unknown", "how much space the host has is not known", "the section disk comes");
  for (const SpaceNeed& need : in.plan.space) {
    auto filesystem = std::ranges::find(host.disk->filesystems, need.mount, &Filesystem::mount);
    if (filesystem == host.disk->filesystems.end())
      brakes.deny("no-space", quoted(need.mount) + " is not mounted any more", std::string(kPlanAgain));
    else if (filesystem->read_only)
      brakes.deny("read-only", quoted(need.mount) + " is mounted read-only", "it is mounted for writing");
    else if (filesystem->free_bytes < need.needed_bytes)
      brakes.deny("no-space",
                  quoted(need.mount) + " has " + bytes_text(filesystem->free_bytes) + " free, the plan needs " +
                      bytes_text(need.needed_bytes),
                  bytes_text(need.needed_bytes - filesystem->free_bytes) + " more free space");
  }
}

void time(const GateInput& in, Brakes& brakes) {
  if (in.now - in.plan.created > kPlanAgeMax)
    brakes.deny("plan-old", "the plan is from " + to_rfc3339(in.plan.created) + ", older than " + to_text(kPlanAgeMax),
                std::string(kPlanAgain));
  if (in.plan.created - in.now > kClockSkewMax)
    brakes.deny("clock", "the plan is from " + to_rfc3339(in.plan.created) + ", which is in the future",
                "the right time on the control plane");
}

bool within(Instant at, Instant now, Duration window) {
  return now - at < window;
}  // the future counts as now: our clock went back

void history(const GateInput& in, Brakes& brakes) {
  Digest digest = digest_of(in.plan);
  std::size_t transactions = 0, restarts = 0, alike = 0;
  bool by_packages = false;
  std::uint32_t own_restarts = 0;
  for (const Action& action : in.plan.actions) {
    by_packages = by_packages || action.kind != ActionKind::kServiceRestart;
    own_restarts += action.kind == ActionKind::kServiceRestart;
  }
  for (const PastRun& run : in.history) {
    if (!is_end(run.state))
      brakes.wait("run-in-progress", "the run " + run.run.text() + " is " + std::string(to_text(run.state)) + " on this host",
                  "that run ends");
    if (run.plan == digest && (run.state == RunState::kReverted || run.state == RunState::kEscalated))
      brakes.deny("failed-before", "this very plan was " + std::string(to_text(run.state)) + " on this host by " + run.run.text(),
                  "the cause is removed, then a new plan");
    if (run.state == RunState::kRefused || !within(run.started, in.now, kFlapWindow)) continue;
    transactions += run.packages;
    restarts += run.restarts;
    alike += run.packages == by_packages;
  }
  if (in.policy) {
    const ExecutorBudget& budget = in.policy->budget;
    if (by_packages && transactions + 1 > budget.package_transactions_per_hour)
      brakes.wait("budget",
                  std::to_string(transactions) + " package transactions on this host within the hour, at most " +
                      std::to_string(budget.package_transactions_per_hour),
                  "an hour passes, or a policy with a larger budget");
    if (own_restarts > 0 && restarts + own_restarts > budget.service_restarts_per_hour)
      brakes.wait("budget",
                  std::to_string(restarts) + " restarts on this host within the hour and " + std::to_string(own_restarts) +
                      " in the plan, at most " + std::to_string(budget.service_restarts_per_hour),
                  "an hour passes, or a policy with a larger budget");
  }
  if (alike >= kFlapRunsMax) {
    brakes.deny("flapping",
                std::to_string(alike) + " runs of this kind on this host within " + to_text(kFlapWindow) +
                    ": once more would only hide the fault",
                "a person finds the cause");
    brakes.escalate();
  }
}

void fleet(const GateInput& in, Brakes& brakes) {
  if (in.frozen) brakes.wait("frozen", "a person froze acting", "`prunella unfreeze`");
  if (!in.fleet) return brakes.wait("fleet-unknown", "how many hosts broke lately is not known", "the control plane counts them");
  if (in.fleet->newly_broken >= kSickHostsMin && in.fleet->newly_broken * 100 > in.fleet->hosts * kSickPercentMax) {
    brakes.wait("fleet-sick",
                std::to_string(in.fleet->newly_broken) + " of " + std::to_string(in.fleet->hosts) +
                    " hosts became broken within " + to_text(kSickWindow) + ", above " + std::to_string(kSickPercentMax) +
                    " %: the detector, the network or the last change is the suspect",
                "a person finds the common cause, or the hosts recover");
    brakes.escalate();
  }
}

}  // namespace

Verdict gate(const GateInput& input) {
  Brakes brakes;
  documents(input, brakes);
  if (!brakes.empty()) return std::move(brakes).verdict();
  rollout(input, brakes);
  policy(input, brakes);
  time(input, brakes);
  host(input, brakes);
  history(input, brakes);
  fleet(input, brakes);
  return std::move(brakes).verdict();
}

Verdict standing_verdict(StandingTrigger trigger, std::string_view unit, const std::optional<ExecutorPolicy>& policy,
                         const std::optional<ExecutorFacts>& executor, const std::vector<StandingRestart>& history, Instant now) {
  Brakes brakes;
  std::string name(unit);
  if (auto named = check_unit_name(unit); !named || !unit.ends_with(".service")) {
    brakes.deny("no-service", quoted(unit) + " is not a service, and only services are restarted", "nothing");
    return std::move(brakes).verdict();
  }
  if (auto why = never_restarted(unit))
    brakes.deny("never-restarted", name + " is never restarted: " + std::string(*why), "a person, or a reboot");
  if (!executor)
    brakes.wait("executor-unknown", "the executor is not known", "the executor answers");
  else if (executor->frozen)
    brakes.wait("host-frozen", "root on this host froze its executor", "`prunella unfreeze`, by root on the host");
  else if (executor->busy_with)
    brakes.wait("host-busy", "the executor is busy with " + *executor->busy_with, "that run ends");

  // How often this unit was restarted lately, and when last. An entry in the future counts as just now.
  std::size_t lately = 0, repeats = 0, of_all = 0;
  std::optional<Duration> since_last;
  for (const StandingRestart& restart : history) {
    of_all += within(restart.at, now, kFlapWindow);
    if (restart.unit != unit) continue;
    lately += within(restart.at, now, kFlapWindow);
    repeats += within(restart.at, now, kRepeatWindow);
    Duration since = std::max(Duration(0), now - restart.at);
    since_last = std::min(since_last.value_or(since), since);
  }
  if (lately >= kStandingRestartsMax) {
    brakes.deny("flapping",
                name + " was restarted " + std::to_string(lately) + " times within " + to_text(kFlapWindow) +
                    ": once more would only hide the fault",
                "a person finds the cause");
    brakes.escalate();
  }
  if (!policy) {
    brakes.deny("policy-unknown", "no signed policy is in force, and without one this host does nothing by itself",
                "a policy, signed by the operators");
    return std::move(brakes).verdict();
  }
  if (policy->expires <= now)
    brakes.deny("policy-expired",
                "the policy (serial " + std::to_string(policy->serial) + ") expired at " + to_rfc3339(policy->expires),
                "a policy with a higher serial");
  for (const std::string& pattern : policy->never_units)
    if (matches_pattern(pattern, unit))
      brakes.deny("never-restarted", name + " is on the policy's never-list (" + quoted(pattern) + ")",
                  "another policy, signed by the operators");
  std::optional<Duration> cooldown;
  for (const StandingRule& rule : policy->standing)
    if (rule.trigger == trigger &&
        std::ranges::any_of(rule.units, [&](const std::string& pattern) { return matches_pattern(pattern, unit); }))
      cooldown = std::min(cooldown.value_or(rule.cooldown), rule.cooldown);
  if (!cooldown) {
    brakes.deny("no-rule", "no standing rule for " + std::string(to_text(trigger)) + " covers " + name,
                "another policy, signed by the operators");
  } else if (since_last) {
    Duration needed = *cooldown;
    for (std::size_t i = 1; i < repeats && needed < kCooldownMax; ++i) needed *= 2;
    // The rule's own cooldown is never shortened by the limit on doubling.
    needed = std::max(*cooldown, std::min(needed, kCooldownMax));
    if (*since_last < needed)
      brakes.wait("cooldown",
                  name + " was restarted " + to_text(*since_last) + " ago, the " + std::to_string(repeats) + ". time within " +
                      to_text(kRepeatWindow) + "; again after " + to_text(needed),
                  to_text(needed - *since_last) + " pass");
  }
  if (of_all + 1 > policy->budget.service_restarts_per_hour)
    brakes.wait("budget",
                std::to_string(of_all) + " restarts on this host within the hour, at most " +
                    std::to_string(policy->budget.service_restarts_per_hour),
                "an hour passes");
  return std::move(brakes).verdict();
}

}  // namespace prunella
