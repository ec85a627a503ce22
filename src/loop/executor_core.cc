#include "loop/executor_core.h"

#include <algorithm>

#include "decide/permit.h"
#include "loop/transaction.h"

namespace prunella {

namespace {

ExecutorAnswer wrong_request(std::string text) {
  ExecutorAnswer answer;
  answer.error = std::move(text);
  return answer;
}

/// A standing rule's run as a plan, so that it takes the same way as an order's.
Plan standing_plan(const HostId& host, StandingTrigger trigger, const std::string& unit, Instant now) {
  Plan plan;
  plan.host = host;
  plan.purpose = "standing rule " + std::string(to_text(trigger)) + ": restart " + unit;
  plan.created = now;
  Action action;
  action.kind = ActionKind::kServiceRestart;
  action.restart = ServiceRestart{unit, std::string(to_text(trigger))};
  plan.actions.push_back(std::move(action));
  plan.reboot_after = RebootNeed::kNo;
  plan.expectation.stable_for = kStandingStableFor;
  plan.deadline = kStandingDeadline;
  return plan;
}

}  // namespace

ExecutorCore::ExecutorCore(HostTools tools, Journal& journal, PolicyStore& policies, Random& random, Settings settings, std::function<bool()> frozen)
    : tools_(tools), journal_(journal), policies_(policies), random_(random), settings_(std::move(settings)), frozen_(std::move(frozen)) {}

std::optional<RunOutcome> ExecutorCore::start(const std::function<void(std::string)>& note) {
  if (journal_.torn()) note("journal: " + *journal_.torn() + "; that write was never acknowledged, so nothing is lost");
  Transaction transaction(tools_, journal_, [&](const RunProgress& progress) { note(progress.run.text() + " " + std::string(to_text(progress.state)) + ": " + progress.detail); }, frozen_);
  auto outcome = transaction.recover();
  if (!journal_.state().open && !journal_.broken()) tools_.stage.clear();

  auto text = policies_.read();
  if (!text) {
    note("no policy: " + text.error().text());
    return outcome;
  }
  auto envelope = from_json_text<Envelope>(*text);
  auto policy = envelope ? open_policy(*envelope, settings_.trust) : Result<ExecutorPolicy>(envelope.error());
  if (!policy)
    note("the policy kept here doesn't hold, so nothing is allowed: " + policy.error().text());
  else if (policy->serial < journal_.state().memory.policy_serial)
    note("the policy kept here has serial " + std::to_string(policy->serial) + ", but " + std::to_string(journal_.state().memory.policy_serial) + " was installed: nothing is allowed");
  else
    policy_ = *std::move(policy);
  return outcome;
}

ExecutorFacts ExecutorCore::facts() const {
  ExecutorFacts facts;
  facts.version = settings_.version;
  if (policy_) {
    facts.policy_serial = policy_->serial;
    facts.policy_expires = policy_->expires;
  }
  facts.last_sequence = journal_.state().memory.last_sequence;
  if (busy_) facts.busy_with = busy_->text();
  facts.frozen = frozen_();
  return facts;
}

void ExecutorCore::handle(const ExecutorRequest& request, const Send& send) {
  ExecutorAnswer answer;
  switch (request.verb) {
    case ExecutorVerb::kStatus: answer.status = facts(); break;
    case ExecutorVerb::kInstallPolicy: return install(request, send);
    case ExecutorVerb::kOrder: return order(request, send);
    case ExecutorVerb::kStanding: return standing(request, send);
    case ExecutorVerb::kObserveProcesses: {
      auto processes = tools_.processes.observe();
      if (!processes) return send(wrong_request(processes.error().text()));
      answer.processes = *std::move(processes);
      break;
    }
    case ExecutorVerb::kOutcomes: answer.outcomes = journal_.state().outcomes; break;
    case ExecutorVerb::kForget: {
      if (!request.run) return send(wrong_request("forget needs `run`"));
      auto forgotten = journal_.forget(*request.run, tools_.clock.now());
      // What is forgotten already is as it should be: the agent may have missed the first answer.
      if (!forgotten && forgotten.error().kind() != ErrorKind::kNotFound) return send(wrong_request(forgotten.error().text()));
      answer.status = facts();
      break;
    }
  }
  send(answer);
}

void ExecutorCore::install(const ExecutorRequest& request, const Send& send) {
  if (!request.envelope) return send(wrong_request("install-policy needs `envelope`"));
  auto policy = check_policy_envelope(*request.envelope, settings_.trust, journal_.state().memory.policy_serial, now());
  if (!policy) return send(wrong_request(policy.error().text()));
  std::string text = to_canonical_text(*request.envelope);
  if (text.size() > kPolicyBytesMax) return send(wrong_request("the policy has " + std::to_string(text.size()) + " bytes, at most " + std::to_string(kPolicyBytesMax)));
  if (auto replaced = policies_.replace(text); !replaced) return send(wrong_request("keeping the policy: " + replaced.error().text()));
  // A crash between the two leaves the newer policy with the older serial in memory, which is no way back to an older policy.
  JournalRecord record;
  record.at = tools_.clock.now();
  record.policy = PolicyTaken{policy->serial, policy->issued};
  if (auto written = journal_.write(std::move(record)); !written) return send(wrong_request("the journal can't be written: " + written.error().text()));
  policy_ = *std::move(policy);
  ExecutorAnswer answer;
  answer.status = facts();
  send(answer);
}

void ExecutorCore::order(const ExecutorRequest& request, const Send& send) {
  if (!request.envelope) return send(wrong_request("order needs `envelope`"));
  OrderContext context{settings_.trust, policy_ ? &*policy_ : nullptr, journal_.state().memory, busy_, frozen_(), journal_.state().outcomes.size(), tools_.clock.now()};
  OrderVerdict verdict = check_order(*request.envelope, context);
  if (const auto* refused = std::get_if<RefusedOrder>(&verdict)) {
    if (refused->declined) {
      JournalRecord record;
      record.at = tools_.clock.now();
      record.declined = refused->declined;
      // A refusal that isn't sure to hold isn't told: the next start answers.
      if (!journal_.write(std::move(record)) && journal_.broken()) return;
    }
    ExecutorAnswer answer;
    answer.outcome = refusal_outcome(*refused, settings_.trust.host, tools_.clock.now());
    return send(answer);
  }
  auto& accepted = std::get<AcceptedOrder>(verdict);
  AcceptedRun run_of;
  run_of.run = accepted.order.run;
  run_of.host = settings_.trust.host;
  run_of.order = accepted.order.id;
  run_of.cause = "order";
  run_of.sequence = accepted.order.sequence;
  run_of.epoch = accepted.order.epoch;
  run_of.issued = accepted.order.issued;
  run_of.digest = accepted.digest;
  run_of.plan = std::move(accepted.order.plan);
  run_of.approvers = std::move(accepted.approvers);
  run(std::move(run_of), send);
}

std::optional<RefusedOrder> ExecutorCore::standing_refusal(StandingTrigger trigger, const std::string& unit, const Plan& plan, std::optional<std::vector<UnitState>>& seen) {
  auto no = [&](Refusal code, std::string text) { return RefusedOrder{code, std::move(text), {}, {}, digest_of(plan)}; };
  if (!policy_) return no(Refusal::kNoPolicy, "no signed policy is installed, so nothing is allowed");
  if (policy_->expires <= now()) return no(Refusal::kNoPolicy, "the policy (serial " + std::to_string(policy_->serial) + ") expired at " + to_rfc3339(policy_->expires));
  const ExecutorMemory& memory = journal_.state().memory;
  std::optional<Duration> since;
  for (const Spent& spent : memory.spent)
    if (spent.unit == unit) since = std::max(now() - spent.at, Duration(0));
  if (auto denial = permit_standing(*policy_, trigger, unit, since)) return no(denial->code, denial->text);
  if (auto text = over_budget(policy_->budget, memory.spent, plan, now())) return no(Refusal::kBudget, *text);
  if (journal_.state().outcomes.size() >= kOutcomesMax) return no(Refusal::kUnavailable, "too many outcomes wait to be stored by the control plane");
  if (frozen_()) return no(Refusal::kFrozen, "root froze this executor");
  if (busy_) return no(Refusal::kBusy, "run " + busy_->text() + " is going on");
  // The agent says that the trigger is there; it has no say in whether it is.
  if (trigger == StandingTrigger::kUnitFailed) {
    auto units = tools_.units.states({unit});
    if (!units) return no(Refusal::kUnavailable, units.error().text());
    bool failed = std::ranges::any_of(*units, [&](const UnitState& state) { return state.unit.name == unit && state.unit.active == "failed"; });
    if (!failed) return no(Refusal::kWorldMoved, unit + " hasn't failed");
    seen = *std::move(units);
  } else {
    auto processes = tools_.processes.observe();
    if (!processes) return no(Refusal::kUnavailable, processes.error().text());
    bool stale = std::ranges::any_of(processes->stale, [&](const StaleProcess& process) { return process.unit == unit; });
    if (!stale) return no(Refusal::kWorldMoved, "no process of " + unit + " runs replaced files");
  }
  return std::nullopt;
}

void ExecutorCore::standing(const ExecutorRequest& request, const Send& send) {
  if (!request.trigger || !request.unit) return send(wrong_request("standing needs `trigger` and `unit`"));
  if (auto named = check_unit_name(*request.unit); !named) return send(wrong_request(named.error().text()));
  Plan plan = standing_plan(settings_.trust.host, *request.trigger, *request.unit, tools_.clock.now());
  std::string cause = "standing " + std::string(to_text(*request.trigger));
  RunId id = make_id<RunId>("RUN", random_);
  std::optional<std::vector<UnitState>> seen;
  if (auto refused = standing_refusal(*request.trigger, *request.unit, plan, seen)) {
    refused->run = id;
    ExecutorAnswer answer;
    answer.outcome = refusal_outcome(*refused, settings_.trust.host, tools_.clock.now());
    answer.outcome->cause = cause;
    return send(answer);
  }
  AcceptedRun accepted;
  accepted.run = id;
  accepted.host = settings_.trust.host;
  accepted.cause = cause;
  accepted.digest = digest_of(plan);
  accepted.plan = std::move(plan);
  run(std::move(accepted), send, std::move(seen));
}

void ExecutorCore::run(AcceptedRun accepted, const Send& send, std::optional<std::vector<UnitState>> seen) {
  busy_ = accepted.run;
  Transaction transaction(tools_, journal_, [&](const RunProgress& progress) {
    ExecutorAnswer answer;
    answer.progress = progress;
    send(answer);
  }, frozen_);
  RunOutcome outcome = transaction.run(std::move(accepted), std::move(seen));
  busy_.reset();
  // What a broken journal holds is uncertain, and so is how the run ends: the next start reads it and goes on from there. An outcome
  // told now could be another one than that; the asker's connection ends with us instead, and he asks again.
  if (journal_.broken()) return;
  ExecutorAnswer answer;
  answer.outcome = std::move(outcome);
  send(answer);
}

}  // namespace prunella
