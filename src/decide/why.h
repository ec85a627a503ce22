#pragma once

#include <optional>
#include <string>
#include <vector>

#include "decide/gate.h"
#include "model/api.h"

namespace prunella {

/// A plan that concerns the host, with where it stands.
struct WhyPlan {
  PlanId id;
  Plan plan;  ///< this host's part
  std::uint32_t approvals_required = 0;
  std::vector<std::string> approved_by;
  std::optional<Rollout> rollout;  ///< absent: it was never started
};
/// What the gate said to this host, and when.
struct WhyVerdict {
  Instant at{};
  std::string about;  ///< "ROL-5k2m9x", or a standing rule's trigger and unit
  Verdict verdict;
};
struct WhyInput {
  HostId host;
  std::optional<std::string>
      subject;  ///< a CVE, a package ("libssl3", "libssl3:amd64", a source), or a unit; absent: the host as a whole
  HostFacts facts;
  std::vector<Finding> findings;  ///< open now
  std::optional<Instant> last_seen;
  Posture posture;
  std::vector<WhyPlan> plans;        ///< newest first
  std::vector<WhyVerdict> verdicts;  ///< newest first
  std::vector<RunOutcome> runs;      ///< of this host, newest first
  Instant now{};
};

/// Why is this host as it is, and why was something done or not done about it? The verdict is one sentence; the evidence is
/// numbered by its place; `would_change` says what would change the verdict. It answers only from `input`: where something isn't
/// known it says "unknown", and a host whose package lists never came is never called unaffected. Texts are as hosts sent them:
/// escape them (base/display.h) before they reach a terminal.
Explanation explain(const WhyInput& input);

}  // namespace prunella
