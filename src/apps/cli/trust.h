#pragma once

#include <optional>
#include <string>

#include "apps/cli/session.h"
#include "model/order.h"

namespace prunella::cli {

/// Whose keys count, and the executor policy, after its signatures were checked here.
struct CheckedTrust {
  TrustView view;
  std::optional<ExecutorPolicy> policy;
};
/// @error kCorrupt  the policy isn't signed by the operators that the control plane names.
Result<CheckedTrust> get_trust(Session& session);

/// How an executor policy reads to people.
std::string policy_text(const ExecutorPolicy& policy, Instant now);

/// How long an approval holds: an older one is void (TRUST.md ORD-6), since the hosts may have moved on.
inline constexpr Duration kApprovalLifetime = std::chrono::hours(4);

}  // namespace prunella::cli
