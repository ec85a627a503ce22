#include "decide/permit.h"

#include <algorithm>
#include <vector>

#include "model/never_restart.h"

namespace prunella {

namespace {

// Our own programs change by a way of their own (two versions side by side, the new one proves itself first), never by an order
// that an executor would have to survive the middle of.
constexpr std::string_view kProtectedPackages[] = {"prunella*"};

template <class List>
std::optional<std::string_view> first_match(const List& patterns, std::string_view text) {
  for (const auto& pattern : patterns)
    if (matches_pattern(pattern, text)) return std::string_view(pattern);
  return std::nullopt;
}

/// What an action touches, so that one loop serves every kind.
struct Touched {
  std::vector<std::string> packages;
  std::vector<std::string> units;
};

Touched touched_by(const Action& action) {
  Touched touched;
  auto add = [&](const std::vector<PackageChange>& changes) {
    for (const PackageChange& change : changes) touched.packages.push_back(change.package.name);
  };
  if (action.transaction) {
    add(action.transaction->changes);
    touched.units = action.transaction->restarts;
  }
  if (action.repair) add(action.repair->packages);
  if (action.restart) touched.units.push_back(action.restart->unit);
  return touched;
}

std::optional<Denial> protection(const ExecutorPolicy& policy, const Touched& touched) {
  for (const std::string& name : touched.packages) {
    if (auto pattern = protected_package(name))
      return Denial{Refusal::kProtected, name + " is protected by the executor itself (" + std::string(*pattern) + ")"};
    if (auto pattern = first_match(policy.never_packages, name))
      return Denial{Refusal::kProtected, name + " is on the policy's never-list (" + std::string(*pattern) + ")"};
  }
  for (const std::string& unit : touched.units) {
    if (auto why = never_restarted(unit))
      return Denial{Refusal::kProtected, unit + " is never restarted, whoever signs: " + std::string(*why)};
    if (auto pattern = first_match(policy.never_units, unit))
      return Denial{Refusal::kProtected, unit + " is on the policy's never-list (" + std::string(*pattern) + ")"};
  }
  return std::nullopt;
}

/// The first package or unit that `rule` leaves out; absent when it covers the action.
std::optional<std::string> uncovered(const PolicyRule& rule, const Touched& touched) {
  for (const std::string& name : touched.packages)
    if (!first_match(rule.packages, name)) return "package " + name;
  for (const std::string& unit : touched.units)
    if (!first_match(rule.units, unit)) return "unit " + unit;
  return std::nullopt;
}

ApprovalNeed need_of(const ExecutorPolicy& policy, const Action& action, const Touched& touched) {
  std::optional<std::size_t> fewest;
  std::string left_out = "no rule names it";
  for (const PolicyRule& rule : policy.rules) {
    if (rule.action != action.kind) continue;
    if (auto missing = uncovered(rule, touched))
      left_out = "no rule covers " + *missing;
    else
      fewest = std::min<std::size_t>(fewest.value_or(rule.approvals), rule.approvals);
  }
  if (!fewest)
    return {0, Denial{Refusal::kNotAllowed, "the policy (serial " + std::to_string(policy.serial) + ") doesn't allow this " +
                                                std::string(to_text(action.kind)) + ": " + left_out}};
  // Rule 5 of the design: what can't be undone never runs on a machine's word alone.
  if (blast_class(action) == BlastClass::kIrreversible) fewest = std::max<std::size_t>(*fewest, 1);
  return {*fewest, std::nullopt};
}

}  // namespace

std::optional<std::string_view> protected_package(std::string_view name) { return first_match(kProtectedPackages, name); }

ApprovalNeed approvals_needed(const ExecutorPolicy& policy, const Plan& plan) {
  ApprovalNeed need;
  if (plan.actions.empty()) return {0, Denial{Refusal::kNotAllowed, "the plan has no action"}};
  for (const Action& action : plan.actions)
    if (auto denial = protection(policy, touched_by(action))) return {0, denial};
  if (!plan.removals.empty()) return {0, Denial{Refusal::kNotAllowed, "the plan would remove " + plan.removals.front() + ", which no order may do"}};
  if (blast_class(plan) == BlastClass::kIrreversible && !plan.irreversible)
    return {0, Denial{Refusal::kNotAllowed, "the plan has no way back and doesn't say so, so nobody can have approved that"}};
  for (const Action& action : plan.actions) {
    ApprovalNeed one = need_of(policy, action, touched_by(action));
    if (one.denial) return one;
    need.approvals = std::max(need.approvals, one.approvals);
  }
  return need;
}

std::optional<Denial> permit(const ExecutorPolicy& policy, const Plan& plan, std::size_t distinct_approvals) {
  ApprovalNeed need = approvals_needed(policy, plan);
  if (need.denial) return need.denial;
  if (distinct_approvals < need.approvals)
    return Denial{Refusal::kNotApproved, std::to_string(distinct_approvals) + " different approvers signed, " + std::to_string(need.approvals) + " must"};
  return std::nullopt;
}

std::optional<Denial> permit_standing(const ExecutorPolicy& policy, StandingTrigger trigger, std::string_view unit,
                                      std::optional<Duration> since_last) {
  if (auto denial = protection(policy, Touched{{}, {std::string(unit)}})) return denial;
  std::optional<Duration> cooldown;
  for (const StandingRule& rule : policy.standing)
    if (rule.trigger == trigger && first_match(rule.units, unit)) cooldown = std::min(cooldown.value_or(rule.cooldown), rule.cooldown);
  if (!cooldown)
    return Denial{Refusal::kNotAllowed, "no standing rule for " + std::string(to_text(trigger)) + " covers " + std::string(unit)};
  if (since_last && *since_last < *cooldown)
    return Denial{Refusal::kBudget, std::string(unit) + " was restarted " + to_text(*since_last) + " ago, again after " + to_text(*cooldown)};
  return std::nullopt;
}

}  // namespace prunella
