#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/envelope.h"
#include "model/plan.h"

/// The signed documents that lead from a person's decision to an act on a host (TRUST.md section 4).
namespace prunella {

/// What is approved: plans for hosts in waves. The Merkle root binds each host's plan at its place in the order, so a wave, its
/// members and their plans can't be changed after the approval.
struct RolloutPlan {
  std::uint32_t version = 1;
  PlanId id;
  Instant created{};
  std::string created_by;
  std::string purpose;
  std::string selector;
  std::uint64_t host_count = 0;
  Digest merkle_root;                        ///< over rollout_leaf(index, host, plan digest)
  std::vector<std::uint64_t> wave_ends;      ///< wave k holds the hosts below wave_ends[k]; rising, the last equals host_count
  std::uint32_t failures_percent_max = 0;    ///< of the hosts finished; above it the rollout stops. A failed first wave always stops it
  std::uint32_t soak_reports = 0;            ///< healthy reports that each host of a wave must send after its run
  Duration wave_deadline{};                  ///< a wave that isn't through by then stops the rollout
  bool operator==(const RolloutPlan&) const = default;
};
template <class F>
void fields(F& f, RolloutPlan& p) {
  f("version", p.version);
  f("id", p.id);
  f("created", p.created);
  f("created_by", p.created_by);
  f("purpose", p.purpose);
  f("selector", p.selector);
  f("host_count", p.host_count);
  f("merkle_root", p.merkle_root);
  f("wave_ends", p.wave_ends);
  f("failures_percent_max", p.failures_percent_max);
  f("soak_reports", p.soak_reports);
  f("wave_deadline_ms", p.wave_deadline);
}
Digest digest_of(const RolloutPlan& plan);
/// The Merkle leaf of one host: canonical JSON of [index, host, plan digest].
Digest rollout_leaf(std::uint64_t index, const HostId& host, const Digest& plan);
/// @error kInvalidInput  version, empty, waves that don't rise to host_count, limits.
Status check_rollout_plan(const RolloutPlan& plan);

/// A person's signature over a plan's digest; signed as an envelope of kApprovalType by the approver's own key.
struct Approval {
  std::uint32_t version = 1;
  PlanId plan;
  Digest plan_digest;       ///< digest_of(RolloutPlan)
  std::string approver;
  Instant at{};
  Instant expires{};
  bool operator==(const Approval&) const = default;
};
template <class F>
void fields(F& f, Approval& a) {
  f("version", a.version);
  f("plan", a.plan);
  f("plan_digest", a.plan_digest);
  f("approver", a.approver);
  f("at", a.at);
  f("expires", a.expires);
}

/// What the control plane tells one host's executor to do; signed as an envelope of kOrderType by the director key.
struct Order {
  std::uint32_t version = 1;
  OrderId id;
  HostId host;
  std::uint64_t sequence = 0;   ///< rises with every order to this host; an executor takes each number once
  std::uint64_t epoch = 0;      ///< of the control plane's leader; an executor refuses one below the highest that it saw
  RunId run;
  Instant issued{};
  Instant expires{};            ///< at most kOrderLifetimeMax after issued
  RolloutPlan rollout;
  std::uint64_t index = 0;      ///< this host's place in the rollout
  std::vector<Digest> proof;    ///< that (index, host, digest of plan) is under rollout.merkle_root
  Plan plan;
  std::vector<Envelope> approvals;
  bool operator==(const Order&) const = default;
};
template <class F>
void fields(F& f, Order& o) {
  f("version", o.version);
  f("id", o.id);
  f("host", o.host);
  f("sequence", o.sequence);
  f("epoch", o.epoch);
  f("run", o.run);
  f("issued", o.issued);
  f("expires", o.expires);
  f("rollout", o.rollout);
  f("index", o.index);
  f("proof", o.proof);
  f("plan", o.plan);
  f("approvals", o.approvals);
}
inline constexpr Duration kOrderLifetimeMax = std::chrono::minutes(15);  // TRUST.md T14: a delayed order is a replay in waiting
inline constexpr Duration kClockSkewMax = std::chrono::minutes(5);       // between control plane and host, as certificates are backdated

/// One kind of action that an executor may do at all.
struct PolicyRule {
  ActionKind action = ActionKind::kServiceRestart;
  std::vector<std::string> packages;  ///< patterns with '*'; for package actions every package must match one
  std::vector<std::string> units;     ///< patterns with '*'; for restarts, also those within a package transaction
  std::uint32_t approvals = 1;        ///< different approvers that must have signed; counted by the executor itself
  bool operator==(const PolicyRule&) const = default;
};
template <class F>
void fields(F& f, PolicyRule& r) {
  f("action", r.action);
  f("packages", r.packages);
  f("units", r.units);
  f("approvals", r.approvals);
}

/// What the host may do by itself, without an order, also when the control plane is away. Only actions of class kLocal.
enum class StandingTrigger { kUnitFailed, kRestartNeeded };
constexpr std::array<EnumWord<StandingTrigger>, 2> enum_words(StandingTrigger) {
  return {{{StandingTrigger::kUnitFailed, "unit-failed"}, {StandingTrigger::kRestartNeeded, "restart-needed"}}};
}
struct StandingRule {
  StandingTrigger trigger = StandingTrigger::kUnitFailed;
  std::vector<std::string> units;  ///< patterns with '*'
  Duration cooldown{};             ///< least time between two restarts of one unit
  bool operator==(const StandingRule&) const = default;
};
template <class F>
void fields(F& f, StandingRule& r) {
  f("trigger", r.trigger);
  f("units", r.units);
  f("cooldown_ms", r.cooldown);
}

struct PolicyApprover {
  std::string name;
  PublicKey key;
  bool operator==(const PolicyApprover&) const = default;
};
template <class F>
void fields(F& f, PolicyApprover& a) {
  f("name", a.name);
  f("key", a.key);
}

/// How often an executor acts at most, whoever orders it. Counted by itself and kept over restarts.
struct ExecutorBudget {
  std::uint32_t package_transactions_per_hour = 0;
  std::uint32_t service_restarts_per_hour = 0;
  bool operator==(const ExecutorBudget&) const = default;
};
template <class F>
void fields(F& f, ExecutorBudget& b) {
  f("package_transactions_per_hour", b.package_transactions_per_hour);
  f("service_restarts_per_hour", b.service_restarts_per_hour);
}

/// The executor's constitution: signed by the operators' offline keys as an envelope of kExecutorPolicyType. The control plane
/// can't change it, and what it doesn't allow doesn't happen, whoever signs the order.
struct ExecutorPolicy {
  std::uint32_t version = 1;
  std::uint64_t serial = 0;       ///< an executor never goes back to a lower one
  std::string organisation;
  Instant issued{};
  Instant expires{};
  std::vector<PublicKey> directors;
  std::vector<PolicyApprover> approvers;
  std::vector<PolicyRule> rules;
  std::vector<StandingRule> standing;
  ExecutorBudget budget;
  std::vector<std::string> never_packages;  ///< patterns, on top of the list that is compiled in
  std::vector<std::string> never_units;
  bool operator==(const ExecutorPolicy&) const = default;
};
template <class F>
void fields(F& f, ExecutorPolicy& p) {
  f("version", p.version);
  f("serial", p.serial);
  f("organisation", p.organisation);
  f("issued", p.issued);
  f("expires", p.expires);
  f("directors", p.directors);
  f("approvers", p.approvers);
  f("rules", p.rules);
  f("standing", p.standing);
  f("budget", p.budget);
  f("never_packages", p.never_packages);
  f("never_units", p.never_units);
}
/// @error kInvalidInput  version, serial 0, no director, an approver's name or key twice, a rule that asks for more approvals than
///                       there are approvers, empty patterns, expiry before issue.
Status check_executor_policy(const ExecutorPolicy& policy);

/// Whom a host believes: laid down at enrolment, root-owned, changed only by root on the host.
struct HostTrust {
  HostId host;
  std::string organisation;
  std::vector<PublicKey> operators;
  std::uint32_t threshold = 1;
  bool operator==(const HostTrust&) const = default;
};
template <class F>
void fields(F& f, HostTrust& t) {
  f("host", t.host);
  f("organisation", t.organisation);
  f("operators", t.operators);
  f("threshold", t.threshold);
}

/// True when `text` matches `pattern`, in which '*' stands for any run of characters. No other character is special.
bool matches_pattern(std::string_view pattern, std::string_view text);

// Compiled once, in order_codec.cc.
PRUNELLA_DECLARE_CODEC(RolloutPlan)
PRUNELLA_DECLARE_CODEC(Approval)
PRUNELLA_DECLARE_CODEC(Order)
PRUNELLA_DECLARE_CODEC(ExecutorPolicy)
PRUNELLA_DECLARE_CODEC(HostTrust)

}  // namespace prunella
