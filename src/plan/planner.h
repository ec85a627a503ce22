#pragma once

#include <optional>
#include <set>
#include <string>

#include "model/host.h"
#include "model/plan.h"

namespace prunella {

/// What a planner is asked for beyond the facts.
struct PlannerOptions {
  Duration stable_for = std::chrono::seconds(10);
  bool health_command = true;
  /// Only these source packages, and what they need; absent: all.
  std::optional<std::set<std::string>> only_sources = std::nullopt;
  /// Only these units (plan_restarts); absent: all.
  std::optional<std::set<std::string>> only_units = std::nullopt;
};

/// Facts that are older are not planned from: agents look at everything at least every six hours.
inline constexpr Duration kFactsAgeMax = std::chrono::hours(24);
/// A run's time without its size: lock waits, restarts, verification and a revert with the same work again.
inline constexpr Duration kDeadlineBase = std::chrono::minutes(30);
/// What a plan leaves free on each filesystem that it writes to: logs and databases go on writing meanwhile.
inline constexpr std::uint64_t kSpaceReserveBytes = 100'000'000;
/// What one kernel takes of /boot: image, map and configuration (15 MB) and an initrd that exists twice while it is written (2 x
/// 60 MB).
inline constexpr std::uint64_t kBootPerKernelBytes = 135'000'000;

/// The exact transaction that installs every security update that apt would install now on this host.
///
/// It holds the security updates that nothing blocks, with what they need: where apt was asked (Update::needs) exactly that,
/// otherwise the updates and new packages of the same source and version, since those move together. An update that needs a
/// blocked one, or whose architectures would part (Multi-Arch: same), is left out. It never removes, and never takes a hold, pin
/// or phase away. An interrupted dpkg is repaired first, in an action of its own. Units whose processes map files of changed
/// packages are restarted, save those on the never-restart list and those that systemd doesn't say are active; they go to
/// `not_restarted`. Equal input gives an equal plan. The plan passes check_plan. That there is too little space stands in the
/// plan; the gate denies it.
///
/// @error kNotFound     nothing to do, with why ("no security update is missing, as of lists fetched at ...").
/// @error kUnavailable  facts that are needed are missing, older than kFactsAgeMax, in the future or don't fit together; or dpkg
/// left
///                      something that can't be repaired with the files at hand.
/// @error kDenied       security updates are missing, and every one is blocked: the blocks are named.
/// @error kExhausted    more packages than one plan may have.
Result<Plan> plan_security_updates(const HostId& host, const HostFacts& facts, const PlannerOptions& options, Instant now);

/// Restarts of the units that run old code: at most kPlanActionsMax, the next plan takes the others. Never user sessions,
/// processes without a unit, units on the never-restart list, units that systemd doesn't say are active.
/// @error kNotFound, kUnavailable as above; kDenied when only such units run old code that are never restarted.
Result<Plan> plan_restarts(const HostId& host, const HostFacts& facts, const PlannerOptions& options, Instant now);

/// The plan that takes a verified plan back: the old files in place of the new ones, where the host still is as that plan left
/// it. Packages that the plan added stay, since nothing is ever removed by a plan. Restarts and repairs have nothing to take
/// back.
/// @error kNotFound     the plan changed no package that has an old version.
/// @error kConflict     a package has another version by now: it is named.
/// @error kDenied       the way back is not known (no old file).
/// @error kUnavailable  as above.
Result<Plan> plan_undo(const Plan& done, const HostFacts& facts, const PlannerOptions& options, Instant now);

}  // namespace prunella
