#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "model/order.h"
#include "model/run.h"

/// What a signed policy lets an executor do. Pure: the executor asks it before it acts, the planner and the gate ask it before
/// they propose, so that what is proposed is what will be taken. The units that no order restarts are in model/never_restart.h.
namespace prunella {

/// Why not.
struct Denial {
  Refusal code = Refusal::kNotAllowed;
  std::string text;  ///< one sentence that names the package or unit and what would allow it
  bool operator==(const Denial&) const = default;
};

/// The compiled-in pattern that protects the package `name` from every order; absent when there is none.
std::optional<std::string_view> protected_package(std::string_view name);

/// Whether `policy` allows every action of `plan` when `distinct_approvals` different approvers signed it.
/// Each action needs one rule that covers all its packages and all the units that it restarts; where several rules do, the one
/// that asks for the fewest approvals counts. A plan without a way back needs an approval whatever the rules say, and must say so.
/// @return nothing when it's allowed; kProtected before kNotAllowed before kNotApproved.
std::optional<Denial> permit(const ExecutorPolicy& policy, const Plan& plan, std::size_t distinct_approvals);

/// The number of approvals that `permit` would ask for, or the denial that no number of approvals lifts.
struct ApprovalNeed {
  std::size_t approvals = 0;
  std::optional<Denial> denial;
};
ApprovalNeed approvals_needed(const ExecutorPolicy& policy, const Plan& plan);

/// Whether a standing rule of `policy` lets the host restart `unit` by itself. `since_last` is the time since the executor last
/// restarted that unit; absent when it never did.
/// @return nothing when it's allowed; kBudget within the rule's cooldown.
std::optional<Denial> permit_standing(const ExecutorPolicy& policy, StandingTrigger trigger, std::string_view unit,
                                      std::optional<Duration> since_last);

}  // namespace prunella
