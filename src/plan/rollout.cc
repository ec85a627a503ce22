#include "plan/rollout.h"

#include <algorithm>
#include <set>

#include "model/merkle.h"

namespace prunella {

namespace {

bool is_failure(const RolloutHost& host) {
  switch (host.state) {
    case RolloutHostState::kReverted:
    case RolloutHostState::kEscalated:
    case RolloutHostState::kNoAnswer: return true;
    case RolloutHostState::kRefused: return host.refusal != Refusal::kWorldMoved;
    case RolloutHostState::kPending:
    case RolloutHostState::kOrdered:
    case RolloutHostState::kVerified:
    case RolloutHostState::kSkipped: return false;
  }
  return true;
}

bool has_ended(const RolloutHost& host) {
  return host.state != RolloutHostState::kPending && host.state != RolloutHostState::kOrdered;
}

std::uint64_t wave_begin(const Rollout& rollout, std::uint64_t wave) { return wave == 0 ? 0 : rollout.plan.wave_ends[wave - 1]; }
std::uint64_t wave_end(const Rollout& rollout, std::uint64_t wave) { return rollout.plan.wave_ends[wave]; }

std::string wave_name(const Rollout& rollout, std::uint64_t wave) {
  return wave == 0 ? std::string("the first wave")
                   : "wave " + std::to_string(wave + 1) + " of " + std::to_string(rollout.plan.wave_ends.size());
}

/// The same for the same rollout and place, so that after a crash nobody can make a second one.
RunId run_id(const Rollout& rollout, std::uint64_t index) {
  return RunId("RUN-" + sha256(rollout.id.text() + "\n" + std::to_string(index)).hex().substr(0, 10));
}

/// One step, taken apart: first the input, then what follows from it and from the time.
class Step {
 public:
  Step(const Rollout& rollout, const OrderGate& gate, Instant now) : rollout_(rollout), gate_(gate), now_(now) {
    check(rollout.hosts.size() == rollout.plan.host_count && !rollout.plan.wave_ends.empty() &&
              rollout.wave < rollout.plan.wave_ends.size() && rollout.plan.wave_ends.back() == rollout.plan.host_count,
          "a rollout whose hosts and waves fit its plan");
  }

  Advanced run(const RolloutInput& input) {
    take(input);
    watch_the_clock();
    if (rollout_.state == RolloutState::kRunning || rollout_.state == RolloutState::kPaused) judge();
    if (rollout_.state == RolloutState::kRunning) move_on();
    if (rollout_.state == RolloutState::kRunning) rollout_.reason = standing();
    return {std::move(rollout_), std::move(effects_)};
  }

 private:
  void notify(std::string text) { effects_.push_back({EffectKind::kNotify, 0, {}, {}, std::move(text)}); }

  void end(RolloutState state, std::string reason) {
    if (is_end(rollout_.state)) return;
    rollout_.state = state;
    rollout_.reason = std::move(reason);
    effects_.push_back({state == RolloutState::kSucceeded ? EffectKind::kNotify : EffectKind::kStop, 0, {}, {}, rollout_.reason});
  }

  RolloutHost* find(const HostId& host) {
    auto at = std::ranges::find(rollout_.hosts, host, &RolloutHost::host);
    return at == rollout_.hosts.end() ? nullptr : &*at;
  }

  void take(const RolloutInput& input) {
    switch (input.kind) {
      case RolloutInputKind::kTick: return;
      case RolloutInputKind::kApproved: return approve();
      case RolloutInputKind::kOutcome: return outcome(input);
      case RolloutInputKind::kHealthy:
      case RolloutInputKind::kUnhealthy:
      case RolloutInputKind::kStale: return health(input);
      case RolloutInputKind::kPause: return pause(input.text);
      case RolloutInputKind::kResume: return resume();
      case RolloutInputKind::kPromote: return promote(input.text);
      case RolloutInputKind::kAbort: return end(RolloutState::kAborted, "aborted: " + input.text);
    }
  }

  void approve() {
    if (rollout_.state != RolloutState::kWaitingForApproval) return;
    rollout_.state = RolloutState::kRunning;
    rollout_.wave_started = now_;
  }

  void outcome(const RolloutInput& input) {
    RolloutHost* host = find(input.host);
    if (!host || !host->run || host->run != input.run || !input.outcome) {
      notify("an outcome of " + input.host.text() + " for " + (input.run ? input.run->text() : "no run") +
             " isn't of this rollout, and changes nothing");
      return;
    }
    // A repeated message changes nothing; one that comes after the wave's deadline is still the truth about the host.
    if (host->state != RolloutHostState::kOrdered && host->state != RolloutHostState::kNoAnswer) return;
    switch (*input.outcome) {
      case RolloutHostState::kVerified:
      case RolloutHostState::kReverted:
      case RolloutHostState::kEscalated:
      case RolloutHostState::kRefused: break;
      case RolloutHostState::kPending:
      case RolloutHostState::kOrdered:
      case RolloutHostState::kNoAnswer:
      case RolloutHostState::kSkipped:
        return notify("the state " + std::string(to_text(*input.outcome)) + " is no outcome of a run");
    }
    host->state = *input.outcome;
    host->refusal = host->state == RolloutHostState::kRefused ? input.refusal : std::nullopt;
    host->reason = input.text;
    host->healthy_reports = 0;
    if (is_failure(*host)) notify(host->host.text() + " " + std::string(to_text(host->state)) + ": " + host->reason);
  }

  void health(const RolloutInput& input) {
    RolloutHost* host = find(input.host);
    if (!host) return;
    switch (input.kind) {
      case RolloutInputKind::kHealthy:
        if (host->state == RolloutHostState::kVerified && host->healthy_reports < rollout_.plan.soak_reports)
          ++host->healthy_reports;
        return;
      case RolloutInputKind::kStale:
        // Missing health is no health: the count starts again, and the wave's deadline is what ends the wait. A host that was not
        // ordered yet isn't waited for.
        if (host->state == RolloutHostState::kVerified) host->healthy_reports = 0;
        if (host->state == RolloutHostState::kPending && rollout_.state == RolloutState::kRunning &&
            host->index < wave_end(rollout_, rollout_.wave)) {
          host->state = RolloutHostState::kSkipped;
          host->reason = "away when its wave came: " + (input.text.empty() ? std::string("it is late") : input.text);
        }
        return;
      case RolloutInputKind::kUnhealthy:
        if (host->state != RolloutHostState::kVerified || is_end(rollout_.state)) return;
        host->state = RolloutHostState::kEscalated;
        host->reason = "unhealthy after its run: " + input.text;
        host->healthy_reports = 0;
        notify(host->host.text() + " is " + host->reason);
        return;
      default: return;
    }
  }

  void pause(const std::string& who) {
    if (rollout_.state != RolloutState::kRunning) return;
    rollout_.state = RolloutState::kPaused;
    rollout_.reason = "paused: " + who;
    rollout_.wave_started = now_;  // from here the pause is measured
  }
  void resume() {
    if (rollout_.state != RolloutState::kPaused) return;
    rollout_.state = RolloutState::kRunning;
    rollout_.wave_started = now_;  // the wave gets its whole time again
  }
  void promote(const std::string& who) {
    if (rollout_.state != RolloutState::kRunning)
      return notify("a rollout that is " + std::string(to_text(rollout_.state)) + " can't be promoted");
    for (std::uint64_t i = wave_begin(rollout_, rollout_.wave); i < wave_end(rollout_, rollout_.wave); ++i)
      if (!has_ended(rollout_.hosts[i]))
        return notify("not promoted: " + rollout_.hosts[i].host.text() + " is " + std::string(to_text(rollout_.hosts[i].state)) +
                      " still; promoting only ends the soak");
    for (std::uint64_t i = wave_begin(rollout_, rollout_.wave); i < wave_end(rollout_, rollout_.wave); ++i)
      if (rollout_.hosts[i].state == RolloutHostState::kVerified) rollout_.hosts[i].healthy_reports = rollout_.plan.soak_reports;
    notify("promoted: " + who);
  }

  void watch_the_clock() {
    switch (rollout_.state) {
      case RolloutState::kWaitingForApproval:
        if (now_ - rollout_.plan.created > kApprovalWaitMax)
          end(RolloutState::kAborted,
              "nobody approved it within " + to_text(kApprovalWaitMax) + ": plan again, since the hosts have moved on");
        return;
      case RolloutState::kPaused:
      case RolloutState::kRunning: break;
      case RolloutState::kSucceeded:
      case RolloutState::kStopped:
      case RolloutState::kAborted: return;
    }
    if (!rollout_.wave_started || *rollout_.wave_started > now_) rollout_.wave_started = now_;
    Duration elapsed = now_ - *rollout_.wave_started;
    if (rollout_.state == RolloutState::kPaused) {
      if (elapsed > kPauseMax) end(RolloutState::kStopped, "paused for longer than " + to_text(kPauseMax));
      return;
    }
    if (elapsed <= rollout_.plan.wave_deadline || wave_through(rollout_.wave)) return;
    std::uint64_t silent = 0, waiting = 0, unproved = 0;
    for (std::uint64_t i = wave_begin(rollout_, rollout_.wave); i < wave_end(rollout_, rollout_.wave); ++i) {
      RolloutHost& host = rollout_.hosts[i];
      if (host.state == RolloutHostState::kOrdered) {
        host.state = RolloutHostState::kNoAnswer;
        host.reason = "no outcome at the wave's deadline";
        ++silent;
      } else if (host.state == RolloutHostState::kPending) {
        ++waiting;
      } else if (host.state == RolloutHostState::kVerified && host.healthy_reports < rollout_.plan.soak_reports) {
        ++unproved;
      }
    }
    end(RolloutState::kStopped, wave_name(rollout_, rollout_.wave) + " was not through after " +
                                    to_text(rollout_.plan.wave_deadline) + ": " + std::to_string(silent) +
                                    " without an answer, " + std::to_string(waiting) + " not ordered, " +
                                    std::to_string(unproved) + " without enough healthy reports");
  }

  /// The failures, after every input: also those of earlier waves, since harm can show late.
  void judge() {
    std::uint64_t finished = 0, failed = 0;
    for (const RolloutHost& host : rollout_.hosts) {
      bool failure = is_failure(host);
      failed += failure;
      finished += failure || host.state == RolloutHostState::kVerified;
      if (failure && host.index < wave_end(rollout_, 0))
        return end(RolloutState::kStopped,
                   "the canary " + host.host.text() + " failed (" + std::string(to_text(host.state)) + "): " + host.reason);
    }
    if (failed * 100 > finished * rollout_.plan.failures_percent_max)
      end(RolloutState::kStopped, std::to_string(failed) + " of " + std::to_string(finished) +
                                      " finished hosts failed, above the limit of " +
                                      std::to_string(rollout_.plan.failures_percent_max) + " %");
  }

  bool wave_through(std::uint64_t wave) const {
    for (std::uint64_t i = wave_begin(rollout_, wave); i < wave_end(rollout_, wave); ++i) {
      const RolloutHost& host = rollout_.hosts[i];
      if (!has_ended(host)) return false;
      if (host.state == RolloutHostState::kVerified && host.healthy_reports < rollout_.plan.soak_reports) return false;
    }
    return true;
  }

  /// Orders what may be ordered in this wave, and goes to the next wave while waves are through (at most one turn a wave).
  void move_on() {
    for (;;) {
      order_wave();
      if (!wave_through(rollout_.wave)) return;
      bool verified =
          std::ranges::any_of(rollout_.hosts, [](const RolloutHost& host) { return host.state == RolloutHostState::kVerified; });
      if (!verified)
        return end(RolloutState::kStopped,
                   "no host of " + wave_name(rollout_, rollout_.wave) + " proved the change: " + first_reason());
      if (rollout_.wave + 1 == rollout_.plan.wave_ends.size()) return end(RolloutState::kSucceeded, success_text());
      notify(wave_name(rollout_, rollout_.wave) + " is through");
      ++rollout_.wave;
      rollout_.wave_started = now_;
    }
  }

  void order_wave() {
    for (std::uint64_t i = wave_begin(rollout_, rollout_.wave); i < wave_end(rollout_, rollout_.wave); ++i) {
      if (rollout_.hosts[i].state != RolloutHostState::kPending) continue;
      GateAnswer verdict = gate_(rollout_, rollout_.hosts[i]);
      RolloutHost& host = rollout_.hosts[i];
      switch (verdict.answer) {
        case OrderAnswer::kAllow:
          host.state = RolloutHostState::kOrdered;
          host.run = run_id(rollout_, i);
          host.ordered_at = now_;
          host.reason.clear();
          effects_.push_back({EffectKind::kOrder, i, host.host, *host.run, {}});
          break;
        case OrderAnswer::kWait: host.reason = "waits: " + verdict.reason; break;
        case OrderAnswer::kDeny:
          host.state = RolloutHostState::kSkipped;
          host.reason = verdict.reason;
          notify(host.host.text() + " is skipped: " + verdict.reason);
          break;
      }
    }
  }

  /// "wave 2 of 5: 3 of 10 hosts done, 1 at work, 6 wait; web-3 waits: the host is late"
  std::string standing() const {
    RolloutCounts counts = count_hosts(rollout_, rollout_.wave);
    std::uint64_t begin = wave_begin(rollout_, rollout_.wave), end = wave_end(rollout_, rollout_.wave);
    std::string text = wave_name(rollout_, rollout_.wave) + ": " + std::to_string(counts.verified) + " of " + std::to_string(end - begin) +
                       (end - begin == 1 ? " host done" : " hosts done");
    std::uint64_t could_not = counts.failed + counts.moved + counts.skipped, unproved = 0;
    const RolloutHost* held = nullptr;
    for (std::uint64_t i = begin; i < end; ++i) {
      const RolloutHost& host = rollout_.hosts[i];
      if (!held && host.state == RolloutHostState::kPending) held = &host;
      unproved += host.state == RolloutHostState::kVerified && host.healthy_reports < rollout_.plan.soak_reports;
    }
    if (counts.in_flight) text += ", " + std::to_string(counts.in_flight) + " at work";
    if (counts.pending > 1) text += ", " + std::to_string(counts.pending) + " wait";
    if (could_not) text += ", " + std::to_string(could_not) + " could not";
    if (held) text += "; " + held->host.text() + " " + held->reason;
    // The last thing that a wave waits for.
    if (!counts.in_flight && !counts.pending && unproved)
      text += "; " + std::to_string(unproved) + (unproved == 1 ? " has" : " have") + " yet to stay healthy";
    return text;
  }

  std::string first_reason() const {
    for (const RolloutHost& host : rollout_.hosts)
      if (has_ended(host))
        return host.host.text() + " " + std::string(to_text(host.state)) + (host.reason.empty() ? "" : " (" + host.reason + ")");
    return "none ended";
  }
  std::string success_text() const {
    RolloutCounts counts = count_hosts(rollout_);
    std::string text = std::to_string(counts.verified) + " of " + std::to_string(rollout_.hosts.size()) + " hosts verified";
    if (counts.failed) text += ", " + std::to_string(counts.failed) + " failed";
    if (counts.moved) text += ", " + std::to_string(counts.moved) + " had moved";
    if (counts.skipped) text += ", " + std::to_string(counts.skipped) + " skipped";
    return text;
  }

  Rollout rollout_;
  const OrderGate& gate_;
  Instant now_;
  std::vector<Effect> effects_;
};

}  // namespace

bool is_end(RolloutState state) {
  switch (state) {
    case RolloutState::kWaitingForApproval:
    case RolloutState::kRunning:
    case RolloutState::kPaused: return false;
    case RolloutState::kSucceeded:
    case RolloutState::kStopped:
    case RolloutState::kAborted: return true;
  }
  return true;
}

Result<std::vector<WaveEnd>> parse_waves(const std::vector<std::string>& texts) {
  std::vector<WaveEnd> waves;
  for (const std::string& text : texts) {
    bool percent = text.ends_with('%');
    auto value = parse_uint(std::string_view(text).substr(0, text.size() - (percent ? 1 : 0)));
    if (!value || *value == 0 || (percent && *value > 100))
      return invalid_input(quoted(text) + " is not a wave: a number of hosts such as 1, or a share such as 25%");
    WaveEnd wave{*value, percent};
    if (!waves.empty() && waves.back().percent == percent && waves.back().value >= wave.value)
      return invalid_input("the wave " + quoted(text) + " doesn't reach further than the one before it");
    waves.push_back(wave);
  }
  if (waves.empty()) return invalid_input("no waves: at least one is needed, such as 100%");
  return waves;
}

Result<NewRollout> make_rollout(const std::vector<RolloutCandidate>& candidates, const RolloutOptions& options,
                                const RolloutNames& names, Instant now) {
  if (candidates.empty()) return invalid_input("a rollout to no host");
  if (candidates.size() > kRolloutHostsMax)
    return exhausted(std::to_string(candidates.size()) + " hosts in one rollout, at most " + std::to_string(kRolloutHostsMax));
  if (names.plan.empty() || names.rollout.empty() || names.created_by.empty())
    return invalid_input("a rollout needs the ids of plan and rollout, and who made it");
  if (options.wave_deadline <= Duration(0))
    return invalid_input("a wave deadline of " + to_text(options.wave_deadline) + ": a wave needs time");
  std::set<HostId> seen;
  struct Placed {
    const RolloutCandidate* candidate;
    Digest place;
  };
  std::vector<Placed> order;
  for (const RolloutCandidate& candidate : candidates) {
    if (!seen.insert(candidate.host).second)
      return invalid_input("the host " + quoted(candidate.host.text()) + " stands in the rollout twice");
    order.push_back({&candidate, sha256(names.plan.text() + "\n" + candidate.host.text())});
  }
  std::ranges::sort(order, [](const Placed& a, const Placed& b) {
    if (a.candidate->canary != b.candidate->canary) return a.candidate->canary;
    return a.place < b.place;
  });

  NewRollout made;
  RolloutPlan& plan = made.plan;
  plan.id = names.plan;
  plan.created = now;
  plan.created_by = names.created_by;
  plan.purpose = names.purpose;
  plan.selector = names.selector;
  plan.host_count = candidates.size();
  plan.failures_percent_max = options.failures_percent_max;
  plan.soak_reports = options.soak_reports;
  plan.wave_deadline = options.wave_deadline;
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < order.size(); ++i) {
    RolloutHost host;
    host.host = order[i].candidate->host;
    host.index = i;
    host.plan = order[i].candidate->plan;
    leaves.push_back(rollout_leaf(i, host.host, host.plan));
    made.rollout.hosts.push_back(std::move(host));
  }
  plan.merkle_root = merkle_root(leaves);
  if (options.waves.empty()) return invalid_input("no waves: at least one is needed, such as 100%");
  for (const WaveEnd& wave : options.waves) {
    std::uint64_t end = wave.percent ? (plan.host_count * wave.value + 99) / 100 : wave.value;
    end = std::min(end, plan.host_count);
    if (end > (plan.wave_ends.empty() ? 0 : plan.wave_ends.back())) plan.wave_ends.push_back(end);
  }
  if (plan.wave_ends.empty() || plan.wave_ends.back() != plan.host_count) plan.wave_ends.push_back(plan.host_count);
  if (auto checked = check_rollout_plan(plan); !checked) return std::move(checked).error();

  made.rollout.id = names.rollout;
  made.rollout.plan = plan;
  made.rollout.reason = "waits for approval";
  return made;
}

Advanced advance(const Rollout& rollout, const RolloutInput& input, const OrderGate& gate, Instant now) {
  return Step(rollout, gate, now).run(input);
}

std::vector<Effect> outstanding_orders(const Rollout& rollout) {
  std::vector<Effect> orders;
  for (const RolloutHost& host : rollout.hosts)
    if (host.state == RolloutHostState::kOrdered && host.run)
      orders.push_back({EffectKind::kOrder, host.index, host.host, *host.run, {}});
  return orders;
}

RolloutCounts count_hosts(const Rollout& rollout, std::optional<std::uint64_t> wave) {
  RolloutCounts counts;
  std::uint64_t begin = wave ? wave_begin(rollout, *wave) : 0;
  std::uint64_t end = wave ? wave_end(rollout, *wave) : rollout.hosts.size();
  for (std::uint64_t i = begin; i < end; ++i) {
    const RolloutHost& host = rollout.hosts[i];
    if (is_failure(host))
      ++counts.failed;
    else
      switch (host.state) {
        case RolloutHostState::kPending: ++counts.pending; break;
        case RolloutHostState::kOrdered: ++counts.in_flight; break;
        case RolloutHostState::kVerified: ++counts.verified; break;
        case RolloutHostState::kSkipped: ++counts.skipped; break;
        case RolloutHostState::kRefused: ++counts.moved; break;
        case RolloutHostState::kReverted:
        case RolloutHostState::kEscalated:
        case RolloutHostState::kNoAnswer: break;
      }
  }
  return counts;
}

}  // namespace prunella
