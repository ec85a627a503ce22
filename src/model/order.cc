#include "model/order.h"

#include <set>

#include "model/merkle.h"

namespace prunella {

Digest digest_of(const RolloutPlan& plan) { return sha256(to_canonical_text(plan)); }

Digest rollout_leaf(std::uint64_t index, const HostId& host, const Digest& plan) {
  return merkle_leaf(to_canonical(Json(Json::Array{Json(index), Json(host.text()), Json(plan.hex())})));
}

Status check_rollout_plan(const RolloutPlan& plan) {
  if (plan.version != 1) return invalid_input("a rollout plan of version " + std::to_string(plan.version) + ", this program knows version 1");
  if (plan.host_count == 0 || plan.wave_ends.empty()) return invalid_input("a rollout plan without hosts");
  constexpr std::size_t kWavesMax = 64;
  if (plan.wave_ends.size() > kWavesMax) return exhausted("a rollout plan of " + std::to_string(plan.wave_ends.size()) + " waves, at most 64");
  std::uint64_t before = 0;
  for (std::uint64_t end : plan.wave_ends) {
    if (end <= before) return invalid_input("a wave that ends at host " + std::to_string(end) + " after one that ends at " + std::to_string(before));
    before = end;
  }
  if (before != plan.host_count)
    return invalid_input("the waves end at host " + std::to_string(before) + " of " + std::to_string(plan.host_count));
  if (plan.failures_percent_max > 100) return invalid_input(std::to_string(plan.failures_percent_max) + " % failures: at most 100");
  return {};
}

Status check_executor_policy(const ExecutorPolicy& policy) {
  if (policy.version != 1) return invalid_input("an executor policy of version " + std::to_string(policy.version) + ", this program knows version 1");
  if (policy.serial == 0) return invalid_input("serial 0: the first policy has serial 1");
  if (policy.directors.empty()) return invalid_input("no director key: nobody could give an order");
  if (policy.expires <= policy.issued) return invalid_input("the policy expires at " + to_rfc3339(policy.expires) + ", before it is issued");
  std::set<PublicKey> keys;
  std::set<std::string> names;
  for (const PolicyApprover& approver : policy.approvers) {
    if (auto named = check_name("an approver's name", approver.name); !named) return named;
    if (!names.insert(approver.name).second) return invalid_input("the approver " + quoted(approver.name) + " stands in the policy twice");
    if (!keys.insert(approver.key).second) return invalid_input("two approvers share the key " + approver.key.key_id());
    for (const PublicKey& director : policy.directors)
      if (director == approver.key) return invalid_input("the director's key can't approve: " + approver.key.key_id());
  }
  auto patterns = [](const std::vector<std::string>& list) -> Status {
    for (const std::string& pattern : list)
      if (pattern.empty() || pattern.size() > 255) return invalid_input(quoted(pattern) + " is not a pattern of 1 to 255 characters");
    return {};
  };
  for (const PolicyRule& rule : policy.rules) {
    std::string what = "rule for " + std::string(to_text(rule.action));
    if (rule.approvals > policy.approvers.size())
      return invalid_input(what + ": " + std::to_string(rule.approvals) + " approvals of " + std::to_string(policy.approvers.size()) + " approvers");
    if (rule.action != ActionKind::kServiceRestart && rule.packages.empty()) return invalid_input(what + ": it names no package pattern");
    if (rule.action == ActionKind::kServiceRestart && rule.units.empty()) return invalid_input(what + ": it names no unit pattern");
    if (auto checked = patterns(rule.packages); !checked) return std::move(checked).error().during(what);
    if (auto checked = patterns(rule.units); !checked) return std::move(checked).error().during(what);
  }
  for (const StandingRule& rule : policy.standing) {
    std::string what = "standing rule for " + std::string(to_text(rule.trigger));
    if (rule.units.empty()) return invalid_input(what + ": it names no unit pattern");
    if (auto checked = patterns(rule.units); !checked) return std::move(checked).error().during(what);
    if (rule.cooldown < Duration(1000)) return invalid_input(what + ": a cooldown of " + to_text(rule.cooldown) + ", at least 1s");
  }
  if (auto checked = patterns(policy.never_packages); !checked) return checked;
  return patterns(policy.never_units);
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // Greedy with one point to go back to: linear in text times stars, and no recursion.
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace prunella
