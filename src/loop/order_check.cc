#include "loop/order_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "decide/permit.h"
#include "model/merkle.h"

namespace prunella {

namespace {

constexpr JsonLimits kOrderLimits = {kOrderBytesMax, 32};

Status check_order_id(const OrderId& id) {
  bool good = id.text().size() == 32 && id.text().find_first_not_of("0123456789abcdef") == std::string::npos;
  if (good) return {};
  return invalid_input("the order's id " + quoted(id.text()) + " is not 32 hexadecimal digits");
}

struct Counted {
  std::vector<std::string> approvers;
  std::string why_not;  ///< of the last one that didn't count
};

/// Who approved, each once. An approval that doesn't hold counts for nothing and spoils nothing: it's named in the refusal.
Counted count_approvals(const Order& order, const ExecutorPolicy& policy, Instant now) {
  Counted counted;
  Digest digest = digest_of(order.rollout);
  std::set<std::string> names;
  for (const Envelope& envelope : order.approvals) {
    const PolicyApprover* signer = nullptr;
    std::string payload;
    for (const PolicyApprover& approver : policy.approvers) {
      auto opened = open_envelope(envelope, kApprovalType, {approver.key}, 1);
      if (!opened) continue;
      signer = &approver;
      payload = *std::move(opened);
      break;
    }
    auto no = [&](std::string why) { counted.why_not = std::move(why); };
    if (!signer) {
      no("an approval is signed by no approver of the policy");
      continue;
    }
    auto approval = from_json_text<Approval>(payload);
    if (!approval)
      no(signer->name + "'s approval can't be read: " + approval.error().text());
    else if (approval->version != 1)
      no(signer->name + "'s approval is of version " + std::to_string(approval->version));
    else if (approval->approver != signer->name)
      no("an approval in the name of " + quoted(approval->approver) + " is signed by " + signer->name);
    else if (approval->plan != order.rollout.id || approval->plan_digest != digest)
      no(signer->name + "'s approval is of another plan (" + approval->plan_digest.brief() + ", this is " + digest.brief() + ")");
    else if (approval->at > now + kClockSkewMax)
      no(signer->name + "'s approval is of the future: " + to_rfc3339(approval->at));
    else if (approval->expires <= now)
      no(signer->name + "'s approval expired at " + to_rfc3339(approval->expires));
    else if (names.insert(signer->name).second)
      counted.approvers.push_back(signer->name);
  }
  return counted;
}

}  // namespace

Instant time_with_floor(Instant clock, const ExecutorMemory& memory) { return std::max(clock, memory.time_floor); }

std::optional<std::string> over_budget(const ExecutorBudget& budget, const std::vector<Spent>& spent, const Plan& plan, Instant now) {
  // What lies in the future counts too: a clock that was set back gives no new budget.
  std::uint64_t transactions = 0, restarts = 0;
  auto add = [&](ActionKind kind) { ++(kind == ActionKind::kServiceRestart ? restarts : transactions); };
  for (const Spent& one : spent)
    if (one.at > now - std::chrono::hours(1)) add(one.action);
  std::uint64_t transactions_before = transactions, restarts_before = restarts;
  for (const Action& action : plan.actions) add(action.kind);
  auto over = [](std::string_view what, std::uint64_t before, std::uint64_t after, std::uint32_t limit) -> std::optional<std::string> {
    if (after <= limit || after == before) return std::nullopt;
    return std::to_string(before) + " " + std::string(what) + " in the last hour and " + std::to_string(after - before) + " asked for, the policy allows " +
           std::to_string(limit);
  };
  if (auto text = over("package transactions", transactions_before, transactions, budget.package_transactions_per_hour)) return text;
  return over("service restarts", restarts_before, restarts, budget.service_restarts_per_hour);
}

OrderVerdict check_order_bytes(std::string_view bytes, const OrderContext& context) {
  constexpr JsonLimits kEnvelopeLimits = {kOrderBytesMax / 3 * 4 + 65536, 8};
  if (bytes.size() > kEnvelopeLimits.bytes_max)
    return RefusedOrder{Refusal::kTooLarge, "the order has " + std::to_string(bytes.size()) + " bytes, at most " + std::to_string(kEnvelopeLimits.bytes_max) + " are read", {}, {}, {}};
  auto envelope = from_json_text<Envelope>(bytes, kEnvelopeLimits);
  if (!envelope) return RefusedOrder{Refusal::kMalformed, "the envelope: " + envelope.error().text(), {}, {}, {}};
  return check_order(*envelope, context);
}

OrderVerdict check_order(const Envelope& envelope, const OrderContext& context) {
  RefusedOrder refused;
  auto no = [&](Refusal code, std::string text) -> OrderVerdict {
    refused.code = code;
    refused.text = std::move(text);
    return refused;
  };
  const Instant now = time_with_floor(context.now, context.memory);

  if (envelope.payload.size() > kOrderBytesMax / 3 * 4 + 4)
    return no(Refusal::kTooLarge, "the order has " + std::to_string(envelope.payload.size() / 4 * 3) + " bytes, at most " + std::to_string(kOrderBytesMax) + " are read");
  if (!context.policy) return no(Refusal::kNoPolicy, "no signed policy is installed, so nothing is allowed");
  const ExecutorPolicy& policy = *context.policy;
  if (policy.expires <= now) return no(Refusal::kNoPolicy, "the policy (serial " + std::to_string(policy.serial) + ") expired at " + to_rfc3339(policy.expires));
  auto payload = open_envelope(envelope, kOrderType, policy.directors, 1);
  if (!payload) return no(payload.error().kind() == ErrorKind::kDenied ? Refusal::kBadSignature : Refusal::kMalformed, payload.error().text());

  auto read = from_json_text<Order>(*payload, kOrderLimits);
  if (!read) return no(Refusal::kMalformed, "the order: " + read.error().text());
  const Order& order = *read;
  refused.run = order.run;
  refused.order = order.id;
  if (order.version != 1) return no(Refusal::kMalformed, "an order of version " + std::to_string(order.version) + ", this executor knows version 1");
  if (auto named = check_order_id(order.id); !named) return no(Refusal::kMalformed, named.error().text());
  if (order.sequence == 0) return no(Refusal::kMalformed, "sequence 0: the first order to a host has sequence 1");
  refused.digest = digest_of(order.plan);

  if (order.host != context.trust.host) return no(Refusal::kWrongHost, "the order is for " + order.host.text() + ", this is " + context.trust.host.text());
  if (order.plan.host != context.trust.host) return no(Refusal::kWrongHost, "the plan is for " + order.plan.host.text() + ", this is " + context.trust.host.text());

  if (order.expires <= order.issued) return no(Refusal::kMalformed, "the order expires at " + to_rfc3339(order.expires) + ", not after it was issued");
  if (order.expires - order.issued > kOrderLifetimeMax)
    return no(Refusal::kMalformed, "the order would live for " + to_text(order.expires - order.issued) + ", at most " + to_text(kOrderLifetimeMax) + " is allowed");
  if (order.issued > now + kClockSkewMax) return no(Refusal::kNotYetValid, "the order is issued at " + to_rfc3339(order.issued) + ", here it is " + to_rfc3339(now));
  if (order.expires <= now) return no(Refusal::kExpired, "the order expired at " + to_rfc3339(order.expires) + ", here it is " + to_rfc3339(now));

  if (order.epoch < context.memory.highest_epoch)
    return no(Refusal::kStaleEpoch, "epoch " + std::to_string(order.epoch) + " is below " + std::to_string(context.memory.highest_epoch) + ", which has given orders here");
  if (order.sequence <= context.memory.last_sequence)
    return no(Refusal::kReplayed, "sequence " + std::to_string(order.sequence) + " was used: the last was " + std::to_string(context.memory.last_sequence));

  if (auto checked = check_plan(order.plan); !checked) return no(Refusal::kMalformed, "the plan: " + checked.error().text());
  if (auto checked = check_rollout_plan(order.rollout); !checked) return no(Refusal::kMalformed, "the rollout: " + checked.error().text());
  if (order.proof.size() > kProofMax ||
      !merkle_proves(order.rollout.merkle_root, rollout_leaf(order.index, order.host, refused.digest), order.index, order.rollout.host_count, order.proof))
    return no(Refusal::kPlanNotInRollout, "plan " + refused.digest.brief() + " isn't number " + std::to_string(order.index) + " of rollout " + order.rollout.id.text());

  if (order.approvals.size() > kApprovalsMax)
    return no(Refusal::kMalformed, std::to_string(order.approvals.size()) + " approvals, at most " + std::to_string(kApprovalsMax) + " are looked at");
  Counted counted = count_approvals(order, policy, now);
  if (auto denial = permit(policy, order.plan, counted.approvers.size()))
    return no(denial->code, denial->text + (denial->code == Refusal::kNotApproved && !counted.why_not.empty() ? "; " + counted.why_not : ""));
  refused.declined = DeclinedOrder{order.sequence, order.epoch, order.issued};
  if (auto text = over_budget(policy.budget, context.memory.spent, order.plan, now)) return no(Refusal::kBudget, *text);
  if (context.outcomes_waiting >= kOutcomesMax)
    return no(Refusal::kUnavailable, std::to_string(context.outcomes_waiting) + " outcomes wait to be stored by the control plane, and none may be lost");
  if (context.frozen) return no(Refusal::kFrozen, "root froze this executor; `prunella-executor unfreeze` on the host ends that");
  if (context.busy_with) return no(Refusal::kBusy, "run " + context.busy_with->text() + " is going on");
  return AcceptedOrder{*std::move(read), refused.digest, std::move(counted.approvers)};
}

Result<ExecutorPolicy> open_policy(const Envelope& envelope, const HostTrust& trust) {
  if (trust.operators.empty() || trust.threshold == 0) return denied("the host trusts no operator: nobody can have signed a policy for it");
  auto payload = open_envelope(envelope, kExecutorPolicyType, trust.operators, trust.threshold);
  if (!payload) return std::move(payload).error().during("opening the policy");
  auto policy = from_json_text<ExecutorPolicy>(*payload);
  if (!policy) return std::move(policy).error().during("reading the policy");
  if (auto checked = check_executor_policy(*policy); !checked) return std::move(checked).error().during("the policy");
  if (policy->organisation != trust.organisation)
    return denied("the policy is for " + quoted(policy->organisation) + ", this host belongs to " + quoted(trust.organisation));
  return policy;
}

Result<ExecutorPolicy> check_policy_envelope(const Envelope& envelope, const HostTrust& trust, std::uint64_t current_serial, Instant now) {
  auto policy = open_policy(envelope, trust);
  if (!policy) return policy;
  if (policy->serial <= current_serial)
    return conflict("policy serial " + std::to_string(policy->serial) + " isn't above " + std::to_string(current_serial) + ", which was installed here");
  if (policy->issued > now + kClockSkewMax) return invalid_input("the policy is issued at " + to_rfc3339(policy->issued) + ", here it is " + to_rfc3339(now));
  if (policy->expires <= now) return expired("the policy expired at " + to_rfc3339(policy->expires));
  return policy;
}

RunOutcome refusal_outcome(const RefusedOrder& refused, const HostId& host, Instant now) {
  RunOutcome outcome;
  // An order that couldn't be opened has no run that could be believed.
  outcome.run = refused.run.value_or(RunId("RUN-unknown"));
  outcome.host = host;
  outcome.order = refused.order;
  outcome.cause = "order";
  outcome.plan = refused.digest;
  outcome.state = RunState::kRefused;
  outcome.refusal = refused.code;
  outcome.reason = refused.text;
  outcome.started = outcome.ended = now;
  return outcome;
}

}  // namespace prunella
