#pragma once

#include <string>
#include <vector>

#include "apps/cli/session.h"
#include "plan/render.h"

namespace prunella::cli {

/// A plan as the control plane sent it, after everything in it was computed again on this side: the digest of each host's plan from
/// its bytes, the Merkle root over all of them, and the digest that an approval signs. Nothing that the server says about digests
/// is believed.
struct CheckedPlan {
  PlanView view;
  std::string rollout_bytes;            ///< canonical JSON of the rollout plan: its SHA-256 is what is signed
  Digest digest;                        ///< computed here
  std::vector<RolloutMember> members;
  std::string text;                     ///< for people, made from exactly these bytes
};

/// @param body  the API's PlanView.
/// @error kCorrupt       a digest isn't that of the bytes, or the hosts aren't those that the root binds: somebody changed the plan.
/// @error kInvalidInput  the body is no plan that this program understands.
Result<CheckedPlan> check_plan_view(const Json& body, const RenderOptions& options = {});

}  // namespace prunella::cli
