#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/order.h"
#include "model/run.h"

namespace prunella {

enum class RolloutState { kWaitingForApproval, kRunning, kPaused, kSucceeded, kStopped, kAborted };
constexpr std::array<EnumWord<RolloutState>, 6> enum_words(RolloutState) {
  return {{{RolloutState::kWaitingForApproval, "waiting-for-approval"},
           {RolloutState::kRunning, "running"},
           {RolloutState::kPaused, "paused"},
           {RolloutState::kSucceeded, "succeeded"},
           {RolloutState::kStopped, "stopped"},
           {RolloutState::kAborted, "aborted"}}};
}

/// Where one host of a rollout stands.
enum class RolloutHostState { kPending, kOrdered, kVerified, kReverted, kEscalated, kRefused, kNoAnswer, kSkipped };
constexpr std::array<EnumWord<RolloutHostState>, 8> enum_words(RolloutHostState) {
  return {{{RolloutHostState::kPending, "pending"},
           {RolloutHostState::kOrdered, "ordered"},
           {RolloutHostState::kVerified, "verified"},
           {RolloutHostState::kReverted, "reverted"},
           {RolloutHostState::kEscalated, "escalated"},
           {RolloutHostState::kRefused, "refused"},
           {RolloutHostState::kNoAnswer, "no-answer"},
           {RolloutHostState::kSkipped, "skipped"}}};
}

struct RolloutHost {
  HostId host;
  std::uint64_t index = 0;
  Digest plan;
  RolloutHostState state = RolloutHostState::kPending;
  std::optional<RunId> run;
  std::optional<Instant> ordered_at;
  std::uint32_t healthy_reports = 0;  ///< since its run ended, in a row
  std::optional<Refusal> refusal;     ///< with kRefused: a world that moved isn't a failure, the others are
  std::string reason;                 ///< of the end, for people
  bool operator==(const RolloutHost&) const = default;
};
template <class F>
void fields(F& f, RolloutHost& h) {
  f("host", h.host);
  f("index", h.index);
  f("plan", h.plan);
  f("state", h.state);
  f("run", h.run);
  f("ordered_at", h.ordered_at);
  f("healthy_reports", h.healthy_reports);
  f("refusal", h.refusal);
  f("reason", h.reason);
}

struct Rollout {
  RolloutId id;
  RolloutPlan plan;
  RolloutState state = RolloutState::kWaitingForApproval;
  std::uint64_t wave = 0;             ///< index of the wave in progress
  std::optional<Instant> wave_started;
  std::vector<RolloutHost> hosts;     ///< in the plan's order
  std::string reason;                 ///< why it waits, stopped or was aborted; while it runs, where it stands. One sentence
  bool operator==(const Rollout&) const = default;
};
template <class F>
void fields(F& f, Rollout& r) {
  f("id", r.id);
  f("plan", r.plan);
  f("state", r.state);
  f("wave", r.wave);
  f("wave_started", r.wave_started);
  f("hosts", r.hosts);
  f("reason", r.reason);
}

// Compiled once, in rollout_codec.cc.
PRUNELLA_DECLARE_CODEC(RolloutHost)
PRUNELLA_DECLARE_CODEC(Rollout)

}  // namespace prunella
