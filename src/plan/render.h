#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/order.h"
#include "model/plan.h"

namespace prunella {

/// What a reader knows beside the signed bytes.
struct RenderOptions {
  std::optional<std::uint32_t> approvals_needed = std::nullopt;  ///< by the executor policy; absent: not known, and said so
  std::vector<std::string> approvers = {};                       ///< who may approve
  std::vector<std::string> approved_by = {};                     ///< who did
};

/// A plan as text for people, made from the very bytes whose digest is approved: canonical JSON, checked strictly, so that what
/// is shown is what is signed. Everything that a host or a person wrote is escaped (base/display.h). The summary comes last.
/// Lines end in LF.
/// @error kInvalidInput  no plan, not the canonical bytes, or one that check_plan refuses.
Result<std::string> render_plan(std::string_view plan_bytes, const RenderOptions& options = {});

/// A host's place in a rollout: the canonical bytes of its plan.
struct RolloutMember {
  HostId host;
  std::string plan_bytes;
};
/// A rollout as text: the changes grouped over hosts, the waves with their hosts, the rules that stop it, and the summary last
/// with the digest that an approval signs.
/// @error kInvalidInput  as above, or a plan for another host.
/// @error kCorrupt       the members are not those that the rollout's Merkle root binds: somebody changed a plan, a host or the
/// order.
Result<std::string> render_rollout(std::string_view rollout_plan_bytes, const std::vector<RolloutMember>& members,
                                   const RenderOptions& options = {});

}  // namespace prunella
