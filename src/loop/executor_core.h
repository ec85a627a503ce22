#pragma once

#include <functional>
#include <optional>
#include <string>

#include "act/journal.h"
#include "act/ports.h"
#include "base/random.h"
#include "loop/order_check.h"
#include "model/link.h"

/// What an executor does with what it is asked. Everything but the socket: the program and the simulator run the same.
namespace prunella {

/// 10 s: a restarted service that crashes at its start does so within the first seconds.
inline constexpr Duration kStandingStableFor = std::chrono::seconds(10);
/// 5 minutes: systemd's own start time-out is 90 s, and a stop may take as long.
inline constexpr Duration kStandingDeadline = std::chrono::minutes(5);

class ExecutorCore {
 public:
  using Send = std::function<void(const ExecutorAnswer&)>;

  struct Settings {
    HostTrust trust;
    std::string version;
  };
  /// `frozen` tells whether local root froze this executor.
  ExecutorCore(HostTools tools, Journal& journal, PolicyStore& policies, Random& random, Settings settings, std::function<bool()> frozen);

  /// Ends a run that an earlier executor left open, and loads the policy. Call it once, before anything else.
  /// @return the outcome of that run. Texts for the log go to `note`.
  std::optional<RunOutcome> start(const std::function<void(std::string)>& note);

  /// Answers one request: one answer, and for orders and standing rules progress before the outcome. When the journal broke over a
  /// run, no outcome is sent, since only the next start knows it: end the program then.
  void handle(const ExecutorRequest& request, const Send& send);

  ExecutorFacts facts() const;

 private:
  void install(const ExecutorRequest& request, const Send& send);
  void order(const ExecutorRequest& request, const Send& send);
  void standing(const ExecutorRequest& request, const Send& send);
  /// `seen` gets the units, where they were looked at.
  std::optional<RefusedOrder> standing_refusal(StandingTrigger trigger, const std::string& unit, const Plan& plan, std::optional<std::vector<UnitState>>& seen);
  void run(AcceptedRun accepted, const Send& send, std::optional<std::vector<UnitState>> seen = {});
  Instant now() { return time_with_floor(tools_.clock.now(), journal_.state().memory); }

  HostTools tools_;
  Journal& journal_;
  PolicyStore& policies_;
  Random& random_;
  Settings settings_;
  std::function<bool()> frozen_;
  std::optional<ExecutorPolicy> policy_;
  std::optional<RunId> busy_;
};

}  // namespace prunella
