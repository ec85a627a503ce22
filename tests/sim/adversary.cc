#include "adversary.h"

#include <algorithm>

#include "model/merkle.h"

namespace prunella::sim {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Adversary::Adversary(ExecutorProcess::Surroundings around, std::uint64_t seed, const People& people, ControlProcess& control,
                     std::function<ExecutorProcess&(std::size_t)> executor, std::vector<HostId> hosts)
    : around_(around), dice_(seed), people_(people), control_(control), executor_(std::move(executor)), hosts_(std::move(hosts)) {}

void Adversary::strike() {
  std::vector<void (Adversary::*)()> ways;
  if (around_.faults.replays) ways.push_back(&Adversary::replay);
  if (around_.faults.forged_orders) ways.push_back(&Adversary::forge), ways.push_back(&Adversary::forge);
  if (around_.faults.forged_database) ways.push_back(&Adversary::forge_rows);
  if (ways.empty()) return;
  ++attempts;
  (this->*ways[dice_.below(ways.size())])();
}

std::optional<Adversary::Captured> Adversary::captured(std::optional<std::size_t> host) {
  const auto& all = control_.captured();
  // The last ones are the most harmful: what they order may still be possible.
  for (std::size_t tries = 0; tries < 8 && !all.empty(); ++tries) {
    const Envelope& envelope = all[all.size() - 1 - dice_.below(std::min<std::size_t>(all.size(), 60))];
    auto payload = from_base64(envelope.payload);
    auto order = payload ? from_json_text<Order>(as_text(*payload), {3u << 20, 32}) : Result<Order>(payload.error());
    if (order && (!host || order->host == hosts_[*host])) return Captured{envelope, *std::move(order)};
  }
  return std::nullopt;
}

void Adversary::send(std::size_t host, const Order& order, bool with_director_key, const std::string& what) {
  static const PrivateKey kNobody(std::array<std::uint8_t, 32>{99});
  ExecutorCall call;
  call.request.verb = ExecutorVerb::kOrder;
  call.request.envelope = sign_envelope(kOrderType, to_canonical_text(order), with_director_key ? people_.keys().director : kNobody);
  if (with_director_key) around_.oracle.director_signed(*call.request.envelope);
  around_.log.line(around_.scheduler.now(), "adversary: " + what + " to " + hosts_[host].text());
  call.answer = [](const ExecutorAnswer&) {};
  call.broke = [](const std::string&) {};
  executor_(host).connect(std::move(call));
}

void Adversary::replay() {
  std::size_t host = dice_.below(hosts_.size());
  ExecutorCall call;
  call.answer = [](const ExecutorAnswer&) {};
  call.broke = [](const std::string&) {};
  if (dice_.chance(0.3)) {
    // An old policy, or one that the director signs instead of the operators.
    call.request.verb = ExecutorVerb::kInstallPolicy;
    Envelope envelope = people_.policies()[dice_.below(people_.policies().size())];
    if (dice_.chance(0.5)) {
      auto payload = from_base64(envelope.payload);
      auto policy = from_json_text<ExecutorPolicy>(as_text(*payload));
      policy->serial += 10;
      policy->rules.push_back({ActionKind::kServiceRestart, {"*"}, {"*"}, 0});
      envelope = sign_envelope(kExecutorPolicyType, to_canonical_text(*policy), people_.keys().director);
    }
    call.request.envelope = std::move(envelope);
  } else {
    auto old = captured(dice_.chance(0.7) ? std::optional(host) : std::nullopt);
    if (!old) return;
    call.request.verb = ExecutorVerb::kOrder;
    call.request.envelope = old->envelope;
  }
  around_.log.line(around_.scheduler.now(), "adversary: replays to " + hosts_[host].text());
  executor_(host).connect(std::move(call));
}

Order Adversary::fresh(std::size_t host, const Order& like) {
  Order order = like;
  std::array<std::byte, 16> id{};
  dice_.fill(id);
  order.id = OrderId(to_hex({reinterpret_cast<const std::uint8_t*>(id.data()), id.size()}));
  order.run = make_id<RunId>("RUN", dice_);
  order.host = hosts_[host];
  order.sequence = like.sequence + 1 + dice_.below(3);
  order.issued = control_.now();
  order.expires = order.issued + minutes(10);
  return order;
}

Plan Adversary::restart_plan(std::size_t host, const std::string& unit) {
  Plan plan;
  plan.host = hosts_[host];
  plan.purpose = "harm";
  plan.created = control_.now();
  Action action;
  action.kind = ActionKind::kServiceRestart;
  action.restart = ServiceRestart{unit, "harm"};
  plan.actions.push_back(std::move(action));
  plan.reboot_after = RebootNeed::kNo;
  plan.expectation.stable_for = seconds(1);
  plan.deadline = minutes(5);
  return plan;
}

Order Adversary::own_rollout(std::size_t host, Plan plan, int times_signed, Duration approval_lifetime) {
  Order order;
  order.plan = std::move(plan);
  order.host = hosts_[host];
  Digest digest = digest_of(order.plan);
  RolloutPlan& rollout = order.rollout;
  rollout.id = make_id<PlanId>("PLN", dice_);
  rollout.created = control_.now();
  rollout.created_by = "token:test";
  rollout.purpose = "harm";
  rollout.selector = "all";
  rollout.host_count = 1;
  rollout.wave_ends = {1};
  rollout.soak_reports = 1;
  rollout.wave_deadline = minutes(10);
  rollout.merkle_root = merkle_root({rollout_leaf(0, order.host, digest)});
  around_.oracle.forged_rollout(rollout, order.host, 0, digest);
  order.index = 0;
  // What a stolen key signs counts for the one person whose key it is, however often.
  for (int i = 0; i < times_signed; ++i) {
    Approval approval{1, rollout.id, digest_of(rollout), people_.keys().approvers[0].name, control_.now() - seconds(i), control_.now() + approval_lifetime};
    around_.oracle.approved(rollout, approval.approver, approval.expires);
    order.approvals.push_back(sign_envelope(kApprovalType, to_canonical_text(approval), people_.keys().approvers[0].key));
  }
  Order made = fresh(host, order);
  auto last = captured(host);
  made.epoch = last ? last->order.epoch : 1;
  made.sequence = (last ? last->order.sequence : 0) + 1 + dice_.below(4);
  return made;
}

void Adversary::forge() {
  std::size_t host = dice_.below(hosts_.size());
  if (around_.faults.stolen_approver && dice_.chance(0.5)) {
    switch (dice_.below(6)) {
      case 0: return send(host, own_rollout(host, restart_plan(host, "app.service"), 1, hours(4)), true, "a restart that one stolen key approves");
      case 1: return send(host, own_rollout(host, restart_plan(host, "app.service"), 3, hours(4)), true, "a restart that one stolen key approves three times");
      case 2: return send(host, own_rollout(host, restart_plan(host, dice_.chance(0.5) ? "cron.service" : "ssh.service"), 1, hours(4)), true, "a restart on the never-list");
      case 3: return send(host, own_rollout(host, restart_plan(host, "backup.service"), 1, hours(4)), true, "a restart that no rule covers");
      case 4: return send(host, own_rollout(host, restart_plan(host, "app.service"), 2, -seconds(1)), true, "a restart with expired approvals");
      default: {
        // One package that the policy never lets be touched, and one that no order may.
        std::string name = dice_.chance(0.5) ? "tzdata" : "prunella-agent";
        Plan plan = restart_plan(host, "app.service");
        const Catalogue& catalogue = Catalogue::get();
        auto there = executor_(host).model().table.find(name);
        std::string from = there->second.version, to = catalogue.offered().at(name);
        if (from == to) return;
        PackageTransaction transaction;
        transaction.changes.push_back({amd64(name), from, catalogue.deb(name, from).file, catalogue.deb(name, to).file});
        executor_(host).model().agent_stage[RunId("RUN-adversary")] = {catalogue.deb(name, from).file.sha256, catalogue.deb(name, to).file.sha256};
        plan.actions[0] = Action{ActionKind::kPackageTransaction, transaction, {}, {}};
        return send(host, own_rollout(host, plan, 1, hours(4)), true, "an upgrade of " + name);
      }
    }
  }
  auto like = captured(dice_.chance(0.85) ? std::optional(host) : std::nullopt);
  if (!like) return;
  Order order = fresh(host, like->order);
  switch (dice_.below(11)) {
    case 0:
      order.issued -= minutes(20);
      order.expires -= minutes(20);
      return send(host, order, true, "an expired order");
    case 1:
      order.sequence = like->order.sequence;
      return send(host, order, true, "an order with a used sequence");
    case 2:
      order.epoch = like->order.epoch - 1;
      return send(host, order, true, "an order of an earlier epoch");
    case 3:
      order.plan = restart_plan(host, "app.service");
      return send(host, order, true, "another plan under a real approval");
    case 4:
      order.approvals.clear();
      return send(host, order, true, "an order without approvals");
    case 5: {
      if (order.approvals.empty()) return;
      Envelope one = order.approvals[dice_.below(order.approvals.size())];
      order.approvals.assign(4, one);
      return send(host, order, true, "one approval four times");
    }
    case 6: return send(host, order, false, "an order that no director signed");
    case 7:
      order.issued += hours(1);
      order.expires = order.issued + minutes(10);
      return send(host, order, true, "an order of the future");
    case 8:
      order.expires = order.issued + hours(48);
      return send(host, order, true, "an order that lives for days");
    case 9: {
      // A plan that only some have approved yet, with those approvals again and again.
      if (people_.seen().empty() || people_.seen().back().approvals.empty()) return;
      const auto& seen = people_.seen().back();
      auto mine = std::ranges::find(seen.plan.hosts, hosts_[host], &HostPlan::host);
      if (mine == seen.plan.hosts.end()) return;
      std::vector<Digest> leaves;
      for (const HostPlan& one : seen.plan.hosts) leaves.push_back(rollout_leaf(one.index, one.host, digest_of(one.plan)));
      order.rollout = seen.plan.rollout;
      order.index = mine->index;
      order.plan = mine->plan;
      order.proof = merkle_proof(leaves, mine->index);
      order.approvals.assign(3, seen.approvals.front());
      return send(host, order, true, "a plan with one approval, three times");
    }
    default: return send(host, order, true, "a real order once more, as a new one");
  }
}

void Adversary::found_out() {
  static const Statement kDelete{"sim.found_out", "DELETE FROM approvals WHERE key_id LIKE 'forged%'"};
  check(control_.database().run(kDelete, {}).has_value(), "the forged rows go");
}

void Adversary::forge_rows() {
  if (people_.seen().empty()) return;
  const PlanView& plan = people_.seen().back().plan;
  static const PrivateKey kNobody(std::array<std::uint8_t, 32>{98});
  Approval approval{1, plan.id, plan.digest, people_.keys().approvers[dice_.below(people_.keys().approvers.size())].name, control_.now(), control_.now() + hours(4)};
  Envelope envelope = sign_envelope(kApprovalType, to_canonical_text(approval), kNobody);
  static const Statement kInsert{"sim.forge", "INSERT INTO approvals (plan, approver, key_id, at, envelope) VALUES ($1, $2, $3, $4, $5)"};
  auto inserted = control_.database().run(kInsert, sql_values(plan.id, approval.approver, "forged" + std::to_string(dice_.below(1000)), control_.now(), to_canonical_text(envelope)));
  around_.log.line(around_.scheduler.now(), "adversary: writes an approval of " + approval.approver + " into the database" + (inserted ? "" : ", in vain"));
}

}  // namespace prunella::sim
