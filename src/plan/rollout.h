#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/rollout.h"

namespace prunella {

/// A host that a rollout is to reach, with its plan.
struct RolloutCandidate {
  HostId host;
  Digest plan;
  bool canary = false;  ///< labelled so: it goes first
};

/// Where a wave ends: after so many hosts, or after so many percent of all hosts (rounded up).
struct WaveEnd {
  std::uint64_t value = 0;
  bool percent = false;
  bool operator==(const WaveEnd&) const = default;
};
/// Reads "1", "5%", "100%".
/// @error kInvalidInput  no such text, 0, above 100 %; waves that don't rise.
Result<std::vector<WaveEnd>> parse_waves(const std::vector<std::string>& texts);

inline constexpr std::size_t kRolloutHostsMax = 100'000;  // the fleet that one control plane is made for

struct RolloutOptions {
  std::vector<WaveEnd> waves = {{1, false}, {1, true}, {5, true}, {25, true}, {50, true}, {100, true}};
  std::uint32_t failures_percent_max = 5;
  std::uint32_t soak_reports = 3;
  Duration wave_deadline = std::chrono::hours(4);
};

struct RolloutNames {
  PlanId plan;
  RolloutId rollout;
  std::string created_by;
  std::string purpose;
  std::string selector;
};

struct NewRollout {
  RolloutPlan plan;  ///< what is approved
  Rollout rollout;   ///< waits for approval
};
/// A rollout over `candidates`: canaries first, then in an order that follows from the plan's id and the host's name (so that it
/// is the same for everyone and favours nobody). A wave end that takes no further host is left out; the last wave always ends
/// with the last host.
/// @error kInvalidInput  no host, a host twice, no waves, a name missing, above 100 % failures, a deadline of 0.
/// @error kExhausted     more than kRolloutHostsMax hosts.
Result<NewRollout> make_rollout(const std::vector<RolloutCandidate>& candidates, const RolloutOptions& options,
                                const RolloutNames& names, Instant now);

enum class RolloutInputKind {
  kTick,       ///< time has passed
  kApproved,   ///< enough approvals hold now
  kOutcome,    ///< `host`'s run ended: `run`, `outcome`, `refusal`, `text`
  kHealthy,    ///< `host` reported after its run, and it is well
  kUnhealthy,  ///< `host` reported after its run, and it is not: `text` says why
  kStale,      ///< `host` is late
  kPause,      ///< a person: `text` is who and why, also below
  kResume,
  kPromote,  ///< end the soak of this wave now
  kAbort,
};
struct RolloutInput {
  RolloutInputKind kind = RolloutInputKind::kTick;
  HostId host;
  std::optional<RunId> run;
  std::optional<RolloutHostState> outcome;  ///< kVerified, kReverted, kEscalated or kRefused
  std::optional<Refusal> refusal;
  std::string text;
};

/// What the gate (decide/gate.h) says to ordering one host now. Rooms don't know each other, so it's passed in.
enum class OrderAnswer { kAllow, kWait, kDeny };
struct GateAnswer {
  OrderAnswer answer = OrderAnswer::kDeny;
  std::string reason;
};
using OrderGate = std::function<GateAnswer(const Rollout&, const RolloutHost&)>;

/// What the caller does after it has stored the new rollout durably, in this order.
enum class EffectKind { kOrder, kStop, kNotify };
struct Effect {
  EffectKind kind = EffectKind::kNotify;
  std::uint64_t index = 0;  ///< kOrder: of the host
  HostId host;              ///< kOrder
  RunId run;                ///< kOrder: an order with this run id is made once and sent any number of times
  std::string text;         ///< kStop, kNotify: one sentence
  bool operator==(const Effect&) const = default;
};
struct Advanced {
  Rollout rollout;
  std::vector<Effect> effects;
};

/// One step of a rollout: (state, input, now) -> (state, effects), and the state is stored before an effect is carried out. So a
/// control plane that is killed anywhere goes on with advance(stored, tick) and outstanding_orders(stored).
///
/// A host is ordered only in a running rollout, in the current wave, once, and when `gate` allows it; a denied host is skipped,
/// one that must wait stays pending. A wave is through when every host of it ended and each verified one sent `soak_reports`
/// healthy reports in a row. Reverted, escalated, no answer, unhealthy after its run, and refusals other than a moved world are
/// failures. The rollout stops when
///   - a host of the first wave fails, or nobody of it verified,
///   - failures are above the limit, in percent of the hosts that finished (verified or failed),
///   - a wave is not through at its deadline (hosts without an outcome become no-answer then).
/// It is aborted when nobody approves it within kApprovalWaitMax, and stopped when it stays paused for kPauseMax. Nothing is
/// ordered after the end; outcomes that come late are still noted. A clock that goes back starts the wave's time anew.
Advanced advance(const Rollout& rollout, const RolloutInput& input, const OrderGate& gate, Instant now);

inline constexpr Duration kApprovalWaitMax = std::chrono::hours(24 * 7);  // an older plan no longer fits its hosts
inline constexpr Duration kPauseMax = std::chrono::hours(24 * 7);         // a forgotten pause must not act weeks later

/// The orders of hosts without an outcome: after a crash the caller makes sure that each was made and sent. It never makes a
/// second order for a run id.
std::vector<Effect> outstanding_orders(const Rollout& rollout);

/// How many hosts stand where, for bars: done / in flight / cannot.
struct RolloutCounts {
  std::uint64_t pending = 0, in_flight = 0, verified = 0, failed = 0, moved = 0, skipped = 0;
};
/// Of the hosts of `wave`, or of all without one.
RolloutCounts count_hosts(const Rollout& rollout, std::optional<std::uint64_t> wave = std::nullopt);
bool is_end(RolloutState state);

}  // namespace prunella
