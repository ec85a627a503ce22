#include "loop/agent_standing.h"

#include <algorithm>

#include "model/package.h"

namespace prunella::agent {

namespace {

/// What is wrong now that a standing rule could be about.
std::vector<std::pair<StandingTrigger, std::string>> troubles_of(const HostFacts& facts) {
  std::vector<std::pair<StandingTrigger, std::string>> found;
  if (facts.units && facts.units->value)
    for (const Unit& unit : facts.units->value->units)
      if (unit.active == "failed" && unit.load == "loaded") found.emplace_back(StandingTrigger::kUnitFailed, unit.name);
  bool packages_settled = facts.packages && facts.packages->value && !facts.packages->value->updates_pending &&
                          std::ranges::none_of(facts.packages->value->packages, needs_repair);
  // In the middle of an upgrade every process looks stale, and its new files may not even be configured.
  if (packages_settled && facts.processes && facts.processes->value)
    for (const StaleProcess& process : facts.processes->value->stale)
      if (process.unit && !process.user_session) found.emplace_back(StandingTrigger::kRestartNeeded, *process.unit);
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string text_of(StandingTrigger trigger, const std::string& unit, const Verdict& verdict) {
  std::string text = std::string(to_text(trigger)) + " of " + unit + ": ";
  for (std::size_t i = 0; i < verdict.reasons.size(); ++i) {
    if (i > 0) text += "; ";
    text += verdict.reasons[i].text;
  }
  return text;
}

}  // namespace

Standing::Choice Standing::choose(const HostFacts& facts, const std::optional<ExecutorPolicy>& policy, Now now) {
  Choice choice;
  auto look_again_at = [&](Monotonic at) {
    if (!choice.look_again || at < *choice.look_again) choice.look_again = at;
  };
  std::erase_if(history_, [&](const StandingRestart& restart) { return restart.at < now.wall - kRepeatWindow; });
  const std::optional<ExecutorFacts> executor = facts.executor ? facts.executor->value : std::nullopt;
  for (auto& [key, trouble] : troubles_) trouble.is_seen = false;
  for (const Key& key : troubles_of(facts)) {
    auto found = troubles_.find(key);
    if (found == troubles_.end()) {
      if (troubles_.size() >= kStandingUnitsMax) continue;
      found = troubles_.emplace(key, Trouble{now.steady, {}, true}).first;
    }
    const auto& [trigger, unit] = key;
    Trouble& trouble = found->second;
    trouble.is_seen = true;
    if (trigger == StandingTrigger::kRestartNeeded && now.steady < trouble.since + kRestartSettle) {
      look_again_at(trouble.since + kRestartSettle);
      continue;
    }
    if (choice.request) {
      look_again_at(now.steady + kStandingLookAgain);
      continue;
    }
    Verdict verdict = standing_verdict(trigger, unit, policy, executor, history_, now.wall);
    if (verdict.kind == VerdictKind::kAllow) {
      choice.request = RequestStanding{trigger, unit};
      trouble.denied.clear();
      if (history_.size() >= kStandingHistoryMax) history_.erase(history_.begin());
      history_.push_back({unit, now.wall});
      continue;
    }
    if (verdict.kind == VerdictKind::kWait) look_again_at(now.steady + kStandingLookAgain);
    // A waiting time's text counts down: only its code makes it another denial.
    std::string code = verdict.reasons.empty() ? "unknown" : verdict.reasons.front().code;
    if (trouble.denied == code) continue;
    trouble.denied = code;
    choice.denials.push_back({"standing-denied", text_of(trigger, unit, verdict), now.wall});
  }
  std::erase_if(troubles_, [](const auto& entry) { return !entry.second.is_seen; });
  return choice;
}

std::optional<Notice> Standing::not_taken(StandingTrigger trigger, const std::string& unit, const std::string& reason, Now now) {
  auto last = std::find_if(history_.rbegin(), history_.rend(), [&](const StandingRestart& restart) { return restart.unit == unit; });
  if (last != history_.rend()) history_.erase(std::next(last).base());
  auto found = troubles_.find({trigger, unit});
  if (found == troubles_.end() || found->second.denied == reason) return std::nullopt;
  found->second.denied = reason;
  return Notice{"standing-denied", std::string(to_text(trigger)) + " of " + unit + ": the executor did not take the request: " + reason, now.wall};
}

}  // namespace prunella::agent
