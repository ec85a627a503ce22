#include "loop/agent_orders.h"

#include <algorithm>
#include <set>

#include "base/digest.h"
#include "model/envelope.h"

namespace prunella::agent {

std::vector<WantedFile> wanted_files(const Plan& plan) {
  std::vector<WantedFile> files;
  std::set<Digest> seen;
  auto want = [&](const PackageName& package, const DebFile& file) {
    if (file.sha256 != Digest{} && seen.insert(file.sha256).second) files.push_back({package, file});
  };
  auto want_all = [&](const std::vector<PackageChange>& changes) {
    for (const PackageChange& change : changes) {
      want(change.package, change.to);
      if (change.from) want(change.package, *change.from);
    }
  };
  for (const Action& action : plan.actions) {
    if (action.transaction) want_all(action.transaction->changes);
    if (action.repair) want_all(action.repair->packages);
  }
  return files;
}

namespace {

/// The order in an envelope whose signature nobody checked: good for its sequence and its files, for nothing else.
Result<Order> unverified_order(const Envelope& envelope) {
  if (envelope.payload.size() > kOrderBytesMax / 3 * 4) return exhausted("an order of " + bytes_text(envelope.payload.size()) + " in base64");
  auto payload = from_base64(envelope.payload);
  if (!payload) return std::move(payload).error();
  return from_json_text<Order>(as_text(*payload), {.bytes_max = kOrderBytesMax});
}

/// Whether the executor would look for this order's files at all.
bool is_worth_staging(const Order& order, const Envelope& envelope, const HostId& host, const std::optional<ExecutorPolicy>& policy, Instant now) {
  if (!policy || order.host != host || order.plan.host != host || order.expires <= now) return false;
  if (!check_plan(order.plan)) return false;
  return open_envelope(envelope, kOrderType, policy->directors, 1).has_value();
}

}  // namespace

Orders::Orders(HostId host, Memory memory) : host_(std::move(host)), memory_(std::move(memory)), taken_(memory_.refused_sequence) {}

Orders::Taken Orders::take(const std::vector<Envelope>& orders, const std::optional<ExecutorPolicy>& policy, Now now, Effects& effects) {
  Taken result = orders.empty() ? Taken::kNothing : Taken::kUseless;
  for (const Envelope& envelope : orders) {
    if (!has_room()) break;
    auto order = unverified_order(envelope);
    if (!order) {
      effects.push_back(Say{Say::Level::kWarning, "an order that can't be read: " + order.error().text()});
      continue;
    }
    if (order->sequence <= taken_) continue;
    taken_ = order->sequence;
    result = Taken::kNew;
    Held held;
    held.sequence = order->sequence;
    held.id = order->id;
    held.run = order->run;
    held.plan = digest_of(order->plan);
    held.taken_at = now.wall;
    held.envelope = envelope;
    if (is_worth_staging(*order, envelope, host_, policy, now.wall)) held.files = wanted_files(order->plan);
    effects.push_back(Say{Say::Level::kInfo, "order " + std::to_string(held.sequence) + " for " + held.run.text() + ": " +
                                                 std::to_string(held.files.size()) + " files to stage"});
    held_.push_back(std::move(held));
  }
  return result;
}

void Orders::advance(bool executor_free, Now, Effects& effects) {
  if (held_.empty() || !executor_free) return;
  Held& front = held_.front();
  if (phase_ == Phase::kWaiting && !front.files.empty()) {
    phase_ = Phase::kStaging;
    effects.push_back(StageFiles{front.run, front.files});
    return;
  }
  if (phase_ == Phase::kWaiting || phase_ == Phase::kReady) {
    phase_ = Phase::kHanded;
    ++front.hand_overs;
    effects.push_back(HandOrder{front.run, front.envelope});
  }
}

void Orders::staged(const RunId& run, Now) {
  if (is_front(run) && phase_ == Phase::kStaging) phase_ = Phase::kReady;
}

void Orders::staging_failed(const RunId& run, const std::string& reason, Now now) {
  if (!is_front(run) || phase_ != Phase::kStaging) return;
  Held& front = held_.front();
  RunOutcome outcome;
  outcome.run = front.run;
  outcome.host = host_;
  outcome.order = front.id;
  outcome.cause = "order";
  outcome.plan = front.plan;
  outcome.state = RunState::kRefused;
  outcome.refusal = Refusal::kNotStaged;
  outcome.reason = reason;
  outcome.started = front.taken_at;
  outcome.ended = now.wall;
  front.doubtful = std::move(outcome);
  phase_ = Phase::kAsking;
  ask_at_ = now.steady;
}

std::optional<RunOutcome> Orders::finish_front(Effects& effects) {
  std::optional<RunOutcome> doubtful = std::move(held_.front().doubtful);
  effects.push_back(DropStage{held_.front().run});
  held_.pop_front();
  phase_ = Phase::kWaiting;
  ask_backoff_.succeeded();
  return doubtful;
}

void Orders::name_refusal(RunOutcome& outcome) const {
  bool nameless = outcome.state == RunState::kRefused && !outcome.order && outcome.cause == "order";
  if (!nameless || !is_being_done() || held_.empty()) return;
  outcome.run = held_.front().run;
  outcome.order = held_.front().id;
  outcome.plan = held_.front().plan;
}

bool Orders::ended(const RunOutcome& outcome, Now now, Random& random, Effects& effects) {
  if (!is_front(outcome.run)) return true;
  if (outcome.refusal == Refusal::kReplayed || outcome.refusal == Refusal::kBusy) {
    held_.front().doubtful = outcome;
    phase_ = Phase::kAsking;
    ask_at_ = now.steady;
    if (held_.front().hand_overs > 1) ask_at_ += ask_backoff_.failed(random);
    return false;
  }
  if (outcome.state == RunState::kRefused) remember_refusal(outcome, effects);
  finish_front(effects);
  return true;
}

void Orders::remember_refusal(const RunOutcome& outcome, Effects& effects) {
  memory_.refused_sequence = held_.front().sequence;
  memory_.outcomes.push_back(outcome);
  effects.push_back(Remember{memory_});
}

void Orders::lost(const RunId& run, Now now, Random& random) {
  if (!is_front(run) || !is_handed()) return;
  phase_ = Phase::kAsking;
  ask_at_ = now.steady + ask_backoff_.failed(random);
}

std::optional<RunOutcome> Orders::executor_answered(const ExecutorFacts& facts, const std::vector<RunOutcome>& outcomes, Now now,
                                                    Random& random, Effects& effects) {
  taken_ = std::max(taken_, facts.last_sequence);
  // Taken before this agent started: their outcomes come with the executor's list.
  while (!held_.empty() && phase_ == Phase::kWaiting && held_.front().sequence <= facts.last_sequence) held_.pop_front();
  if (held_.empty() || !is_handed()) return std::nullopt;
  Held& front = held_.front();
  if (std::ranges::find(outcomes, front.run, &RunOutcome::run) != outcomes.end()) {
    finish_front(effects);
    return std::nullopt;
  }
  if (phase_ != Phase::kAsking) return std::nullopt;
  if (facts.busy_with == front.run.text()) {
    front.doubtful.reset();
    ask_at_ = now.steady + kAskWhileBusy;
    ask_backoff_.succeeded();
    return std::nullopt;
  }
  if (facts.last_sequence < front.sequence) {
    // It never got it: hand it over (again), unless it can't be staged.
    if (!front.doubtful || front.doubtful->refusal != Refusal::kNotStaged) {
      front.doubtful.reset();
      phase_ = Phase::kReady;
      return std::nullopt;
    }
    remember_refusal(*front.doubtful, effects);
    return finish_front(effects);
  }
  if (front.doubtful && front.doubtful->refusal == Refusal::kNotStaged) front.doubtful.reset();  // the executor has it: what it says counts
  if (ask_backoff_.failures() < (front.doubtful ? kReplayedAsksMax : kMissingOutcomeAsksMax)) {
    ask_at_ = now.steady + ask_backoff_.failed(random);
    return std::nullopt;
  }
  if (!front.doubtful)
    effects.push_back(Say{Say::Level::kWarning, front.run.text() + ": the executor took the order and has no outcome of it; its deadline decides"});
  else
    remember_refusal(*front.doubtful, effects);
  return finish_front(effects);
}

void Orders::acknowledged(const RunId& run, Effects& effects) {
  if (std::erase_if(memory_.outcomes, [&](const RunOutcome& outcome) { return outcome.run == run; }) > 0) effects.push_back(Remember{memory_});
}

}  // namespace prunella::agent
