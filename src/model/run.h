#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/order.h"
#include "model/plan.h"

namespace prunella {

/// Where a run stands. The last four are ends; a run reaches one before its deadline.
enum class RunState { kOrdered, kAccepted, kStaging, kRepairing, kActing, kRestarting, kVerifying, kReverting, kVerified, kReverted, kEscalated, kRefused };
constexpr std::array<EnumWord<RunState>, 12> enum_words(RunState) {
  return {{{RunState::kOrdered, "ordered"},
           {RunState::kAccepted, "accepted"},
           {RunState::kStaging, "staging"},
           {RunState::kRepairing, "repairing"},
           {RunState::kActing, "acting"},
           {RunState::kRestarting, "restarting"},
           {RunState::kVerifying, "verifying"},
           {RunState::kReverting, "reverting"},
           {RunState::kVerified, "verified"},
           {RunState::kReverted, "reverted"},
           {RunState::kEscalated, "escalated"},
           {RunState::kRefused, "refused"}}};
}
bool is_end(RunState state);

/// Why an executor would not take an order. Each has a code of its own, so that a refusal can be counted and explained.
enum class Refusal {
  kTooLarge,
  kMalformed,
  kBadSignature,
  kWrongHost,
  kNotYetValid,
  kExpired,
  kReplayed,          ///< the sequence was used
  kStaleEpoch,
  kPlanNotInRollout,  ///< the Merkle proof doesn't hold
  kNotApproved,
  kNoPolicy,          ///< no signed policy is installed, or it expired
  kNotAllowed,        ///< no rule of the policy allows an action
  kProtected,         ///< the never-list
  kBudget,
  kBusy,
  kFrozen,
  kWorldMoved,        ///< a pre-condition doesn't hold: plan again
  kNoSpace,
  kLocked,            ///< another package manager holds the lock for longer than the wait
  kNotStaged,         ///< a file of the plan isn't there, or its digest is another one
  kUnavailable,       ///< the host can't do it now (journal not writable, ...)
};
constexpr std::array<EnumWord<Refusal>, 21> enum_words(Refusal) {
  return {{{Refusal::kTooLarge, "too-large"},
           {Refusal::kMalformed, "malformed"},
           {Refusal::kBadSignature, "bad-signature"},
           {Refusal::kWrongHost, "wrong-host"},
           {Refusal::kNotYetValid, "not-yet-valid"},
           {Refusal::kExpired, "expired"},
           {Refusal::kReplayed, "replayed"},
           {Refusal::kStaleEpoch, "stale-epoch"},
           {Refusal::kPlanNotInRollout, "plan-not-in-rollout"},
           {Refusal::kNotApproved, "not-approved"},
           {Refusal::kNoPolicy, "no-policy"},
           {Refusal::kNotAllowed, "not-allowed"},
           {Refusal::kProtected, "protected"},
           {Refusal::kBudget, "budget"},
           {Refusal::kBusy, "busy"},
           {Refusal::kFrozen, "frozen"},
           {Refusal::kWorldMoved, "world-moved"},
           {Refusal::kNoSpace, "no-space"},
           {Refusal::kLocked, "locked"},
           {Refusal::kNotStaged, "not-staged"},
           {Refusal::kUnavailable, "unavailable"}}};
}

/// A step of a run, as it is shown while it goes on.
struct RunProgress {
  RunId run;
  RunState state = RunState::kAccepted;
  Instant at{};
  std::string detail;                        ///< one sentence: "unpacking libssl3 (60 %)", "waiting for the lock held by apt-get (pid 812)"
  std::optional<std::uint32_t> percent;      ///< of this state, where the tool tells
  bool operator==(const RunProgress&) const = default;
};
template <class F>
void fields(F& f, RunProgress& p) {
  f("run", p.run);
  f("state", p.state);
  f("at", p.at);
  f("detail", p.detail);
  f("percent", p.percent);
}

/// One thing that was expected, and what was measured.
struct Check {
  std::string what;                     ///< "libssl3:amd64 is installed at 3.0.17-1~deb12u2"
  std::optional<bool> holds;            ///< absent: it could not be measured, which is not a pass
  std::string measured;
  bool operator==(const Check&) const = default;
};
template <class F>
void fields(F& f, Check& c) {
  f("what", c.what);
  f("holds", c.holds);
  f("measured", c.measured);
}

/// How a run ended, with all that a person needs to judge it.
struct RunOutcome {
  RunId run;
  HostId host;
  std::optional<OrderId> order;         ///< absent for a standing rule's own run
  std::string cause;                    ///< "order", or the standing rule and its trigger
  Digest plan;
  RunState state = RunState::kEscalated;
  std::optional<Refusal> refusal;       ///< with kRefused
  std::string reason;                   ///< one sentence
  Instant started{};
  Instant ended{};
  std::vector<RunProgress> steps;       ///< in order, the last ones if there were very many
  std::vector<Check> checks;            ///< the verification that decided, and after a revert the one of the revert
  std::vector<std::string> restarted;   ///< units
  std::vector<std::string> strays;      ///< files that were removed since they belong to neither set
  std::vector<std::string> unrestored;  ///< paths that differ from the manifest and could not be put back
  std::vector<std::string> output;      ///< the last lines that apt and dpkg wrote, at most 40
  bool operator==(const RunOutcome&) const = default;
};
template <class F>
void fields(F& f, RunOutcome& o) {
  f("run", o.run);
  f("host", o.host);
  f("order", o.order);
  f("cause", o.cause);
  f("plan", o.plan);
  f("state", o.state);
  f("refusal", o.refusal);
  f("reason", o.reason);
  f("started", o.started);
  f("ended", o.ended);
  f("steps", o.steps);
  f("checks", o.checks);
  f("restarted", o.restarted);
  f("strays", o.strays);
  f("unrestored", o.unrestored);
  f("output", o.output);
}

// Compiled once, in run_codec.cc.
PRUNELLA_DECLARE_CODEC(RunProgress)
PRUNELLA_DECLARE_CODEC(RunOutcome)

}  // namespace prunella
