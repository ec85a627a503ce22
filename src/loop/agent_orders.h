#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "loop/agent_backoff.h"
#include "loop/agent_values.h"
#include "model/order.h"

namespace prunella::agent {

/// Orders that wait for the one before; the control plane keeps the rest and gives it when `after` says so.
inline constexpr std::size_t kOrdersHeldMax = 8;
/// Refusals that the control plane hasn't stored yet; with that many the agent takes no further order.
inline constexpr std::size_t kRefusalsMax = 16;
/// How often the executor is asked for an outcome that it should have and hasn't, with growing delays: for some minutes.
inline constexpr std::uint32_t kMissingOutcomeAsksMax = 30;
/// The same, when the executor said that the order's sequence is used: its list of outcomes is on disk, so one that is to come is
/// there at once, save while the executor recovers.
inline constexpr std::uint32_t kReplayedAsksMax = 5;
/// While a run goes on whose connection broke.
inline constexpr Duration kAskWhileBusy = std::chrono::seconds(2);
/// The executor is on this host and starts in a second: no need to spread attempts as over a network.
inline constexpr Duration kExecutorRetryMax = std::chrono::seconds(15);
/// An order's payload: a plan of 2,000 packages has 1 MB.
inline constexpr std::size_t kOrderBytesMax = 3 << 20;

/// The orders of one host on their way from the control plane to its executor: staged one after the other, each handed over until
/// the executor has taken it, each watched until its outcome is known, whoever of the three restarts in between.
///
/// It judges no order: the executor does. It reads the payload for its sequence and its files only. What it would not stage (not
/// signed by a director, for another host, no valid plan, expired) it hands over without files, since the executor refuses it with
/// the right code before it looks for one.
class Orders {
 public:
  Orders(HostId host, Memory memory);

  /// kUseless: none was new, or one of them can't be read.
  enum class Taken { kNothing, kNew, kUseless };
  Taken take(const std::vector<Envelope>& orders, const std::optional<ExecutorPolicy>& policy, Now now, Effects& effects);
  void staged(const RunId& run, Now now);
  /// The order is refused as soon as the executor has said that it doesn't know it.
  void staging_failed(const RunId& run, const std::string& reason, Now now);
  /// An executor that could not open an order (no policy, another director's signature, too large) names no run in its refusal. What
  /// comes while it works on an order of ours is about that order.
  void name_refusal(RunOutcome& outcome) const;
  /// @return false when this may say nothing about the run: "replayed" and "busy" also answer an order that was handed over before,
  ///         by an earlier start of this agent too. The executor is asked then.
  bool ended(const RunOutcome& outcome, Now now, Random& random, Effects& effects);
  /// @return an outcome to report that isn't in the executor's list.
  std::optional<RunOutcome> executor_answered(const ExecutorFacts& facts, const std::vector<RunOutcome>& outcomes, Now now, Random& random,
                                              Effects& effects);
  void lost(const RunId& run, Now now, Random& random);
  /// The control plane has this outcome.
  void acknowledged(const RunId& run, Effects& effects);

  /// Starts what can be started. `executor_free`: it answered last time it was asked, and nothing else runs on it.
  void advance(bool executor_free, Now now, Effects& effects);

  std::uint64_t taken() const { return taken_; }
  /// An order is with the executor, or may be.
  bool is_handed() const { return phase_ == Phase::kHanded || phase_ == Phase::kAsking; }
  /// The executor works on an order, over a connection that stands. It answers nothing else meanwhile.
  bool is_being_done() const { return phase_ == Phase::kHanded; }
  bool has_room() const { return held_.size() < kOrdersHeldMax && memory_.outcomes.size() < kRefusalsMax; }
  std::size_t held() const { return held_.size(); }
  /// When the executor should be asked for an outcome that is missing.
  std::optional<Monotonic> ask_at() const { return phase_ == Phase::kAsking ? std::optional(ask_at_) : std::nullopt; }
  const Memory& memory() const { return memory_; }

 private:
  enum class Phase { kWaiting, kStaging, kReady, kHanded, kAsking };
  struct Held {
    std::uint64_t sequence = 0;
    OrderId id;
    RunId run;
    Digest plan;
    Instant taken_at{};
    Envelope envelope;
    std::vector<WantedFile> files;
    std::uint32_t hand_overs = 0;
    std::optional<RunOutcome> doubtful;  // the end of this run, unless the executor says otherwise
  };
  bool is_front(const RunId& run) const { return !held_.empty() && held_.front().run == run; }
  std::optional<RunOutcome> finish_front(Effects& effects);
  void remember_refusal(const RunOutcome& outcome, Effects& effects);

  HostId host_;
  Memory memory_;
  std::uint64_t taken_ = 0;
  std::deque<Held> held_;  // the phase is that of the front
  Phase phase_ = Phase::kWaiting;
  Monotonic ask_at_{};
  Backoff ask_backoff_{kExecutorRetryMax};
};

/// The files that a plan needs, each digest once: the new ones and the way back.
std::vector<WantedFile> wanted_files(const Plan& plan);

}  // namespace prunella::agent
