#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/verdict.h"
#include "model/host.h"
#include "model/order.h"
#include "model/posture.h"
#include "model/rollout.h"
#include "model/run.h"

namespace prunella {

/// A host as the control plane knows it at this moment.
struct GateHost {
  std::optional<Instant> last_seen;  ///< by the control plane's clock
  std::optional<Posture> posture;
  std::optional<ExecutorFacts> executor;  ///< absent: not known
  std::optional<DiskFacts> disk;
};
/// How many hosts of the fleet became broken within the last kSickWindow; absent counts are unknown, and unknown is no allow.
struct GateFleet {
  std::uint64_t hosts = 0;
  std::uint64_t newly_broken = 0;
};
/// A run on this host, ended or not, as the control plane has it.
struct PastRun {
  RunId run;
  Digest plan;
  bool packages = false;       ///< it changed or repaired packages
  std::uint32_t restarts = 0;  ///< service.restart actions
  Instant started{};
  RunState state = RunState::kOrdered;
};

struct GateInput {
  Plan plan;
  RolloutPlan rollout_plan;
  Rollout rollout;
  std::uint64_t index = 0;               ///< of the host in the rollout
  std::set<std::string> approvers;       ///< names whose signatures over digest_of(rollout_plan) were opened and hold now
  std::optional<ExecutorPolicy> policy;  ///< the signed policy in force, as the control plane has it
  GateHost host;
  std::optional<GateFleet> fleet;
  std::vector<PastRun> history;  ///< of this host, at least of the last day
  bool frozen = false;           ///< a person froze the fleet, the host or the rollout's scope
  Instant now{};
};

inline constexpr Duration kHostLateAfter = std::chrono::minutes(3);  // as match/findings.h: six heartbeats
inline constexpr Duration kPlanAgeMax =
    std::chrono::hours(24 * 7);  // approvals may take days; the executor checks the world anyway
inline constexpr Duration kSickWindow = std::chrono::minutes(15);
inline constexpr std::uint64_t kSickPercentMax = 5;  // TRUST.md ROL-5
inline constexpr std::uint64_t kSickHostsMin = 3;    // below it, percentages of small fleets would mean nothing
inline constexpr std::size_t kFlapRunsMax = 3;       // TRUST.md ROL-6: no fourth time within kFlapWindow
inline constexpr Duration kFlapWindow = std::chrono::hours(1);

/// May this host be ordered to carry out its plan now? Pure: nothing but `input` counts. An unknown is no allow: it waits where
/// the missing thing can still come, and denies otherwise. Every brake that holds is named; deny outweighs wait. The executor
/// checks all that it can itself again; this gate exists so that what would be refused isn't sent, and why can be told.
Verdict gate(const GateInput& input);

/// A restart that the host did by itself.
struct StandingRestart {
  std::string unit;
  Instant at{};
};
inline constexpr Duration kCooldownMax = std::chrono::hours(6);    // doubling ends here (SAFETY.md section 5.3, policy 3)
inline constexpr Duration kRepeatWindow = std::chrono::hours(24);  // restarts within it double the cooldown
inline constexpr std::size_t kStandingRestartsMax = 3;             // of one unit within kFlapWindow: then a person must look

/// May the host restart `unit` by itself now, under the standing rules of its signed policy? `history` has all restarts by
/// standing rules of the last kRepeatWindow, of every unit; entries in the future (the clock went back) count as just now. The
/// cooldown of a rule doubles with each restart of the unit within kRepeatWindow, up to kCooldownMax. After kStandingRestartsMax
/// restarts of one unit within kFlapWindow: deny, and escalate.
Verdict standing_verdict(StandingTrigger trigger, std::string_view unit, const std::optional<ExecutorPolicy>& policy,
                         const std::optional<ExecutorFacts>& executor, const std::vector<StandingRestart>& history, Instant now);

}  // namespace prunella
