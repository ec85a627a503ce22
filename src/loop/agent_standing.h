#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "decide/gate.h"
#include "loop/agent_values.h"
#include "model/order.h"

namespace prunella::agent {

/// A process that maps replaced files is left alone this long before its unit counts: in an upgrade by hand, apt restarts most
/// units itself a few seconds after it replaced their files.
inline constexpr Duration kRestartSettle = std::chrono::seconds(30);
/// How soon a unit that has to wait (a cooldown, a budget) is judged again.
inline constexpr Duration kStandingLookAgain = std::chrono::seconds(15);
/// Units in trouble that are remembered. A host has some 200 services.
inline constexpr std::size_t kStandingUnitsMax = 512;
/// Restarts that are remembered for the verdict; with more in a day, the oldest no longer count here, and the executor's own budget
/// is the brake.
inline constexpr std::size_t kStandingHistoryMax = 512;

/// Finds which unit the executor shall be asked to restart under the standing rules of the signed policy. It works while the control
/// plane is away; the executor checks the same rules again and counts for itself.
class Standing {
 public:
  struct Choice {
    std::optional<RequestStanding> request;
    std::vector<Notice> denials;          ///< each once, until the unit is well again or the reason changes
    std::optional<Monotonic> look_again;  ///< a cooldown or a settling time may have ended then
  };
  /// One request at most: the executor does one thing at a time. It counts as a restart from now on.
  Choice choose(const HostFacts& facts, const std::optional<ExecutorPolicy>& policy, Now now);
  /// The executor did not take the last request for this unit: it doesn't count.
  /// @return the notice, unless the same was said before.
  std::optional<Notice> not_taken(StandingTrigger trigger, const std::string& unit, const std::string& reason, Now now);

 private:
  using Key = std::pair<StandingTrigger, std::string>;
  struct Trouble {
    Monotonic since{};
    std::string denied;  ///< the code of the last denial that was told
    bool is_seen = false;
  };
  std::map<Key, Trouble> troubles_;
  std::vector<StandingRestart> history_;
};

}  // namespace prunella::agent
