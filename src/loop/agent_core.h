#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "loop/agent_backoff.h"
#include "loop/agent_orders.h"
#include "loop/agent_outbox.h"
#include "loop/agent_standing.h"
#include "loop/agent_values.h"
#include "model/order.h"

/// The agent's part of the loop as a function of state, input and time: what to report, what to fetch, what to hand to the executor,
/// and what to heal without asking anyone. No clock, no file, no thread.
namespace prunella::agent {

/// Until the control plane says otherwise, and the range in which it is believed.
inline constexpr Duration kHeartbeatDefault = std::chrono::seconds(30);
inline constexpr Duration kHeartbeatMin = std::chrono::seconds(1);
inline constexpr Duration kHeartbeatMax = std::chrono::hours(1);
/// Below the 60 s after which many NAT devices forget a silent connection.
inline constexpr Duration kDirectionsWait = std::chrono::seconds(50);
/// Between two fetches when the answers bring nothing new: a control plane that doesn't wait is no reason for a busy loop.
inline constexpr Duration kDirectionsMinInterval = std::chrono::seconds(1);
inline constexpr Duration kExecutorAskEvery = std::chrono::seconds(60);
/// A refused policy is tried again after this: the reason may have been this host's clock.
inline constexpr Duration kPolicyRetry = std::chrono::minutes(10);

struct CoreSetup {
  HostTrust trust;             ///< the host's id, and whose policies are believed
  std::string instance;        ///< random, new with every start
  std::string agent_version;
  bool has_control_plane = true;  ///< false: nothing is reported or fetched; the host heals by its kept policy alone
};

class Core {
 public:
  /// `kept_policy` is what an earlier KeepPolicy said; it is verified again. `random` must outlive the core.
  Core(CoreSetup setup, Memory memory, std::optional<Envelope> kept_policy, Random& random, Now now);

  /// Takes one input and gives what is to be done, in this order.
  Effects handle(Input input, Now now);
  /// When Tick must come at the latest, if nothing else does.
  Monotonic wake() const;

  const HostFacts& facts() const { return facts_; }
  const std::optional<ExecutorPolicy>& policy() const { return policy_; }
  /// The executor has an order and has not ended it.
  bool is_order_being_done() const { return orders_.is_being_done(); }
  const std::string& instance() const { return setup_.instance; }

  /// How the link stands, for `prunella-agent status`.
  struct Link {
    std::optional<Instant> last_answer;      ///< of the control plane to a report
    std::optional<Duration> clock_ahead;     ///< host's clock minus the control plane's at that answer; may be negative
    std::optional<std::string> report_error; ///< of the last report, if it failed
    std::optional<std::string> directions_error;
    std::optional<std::string> executor_error;
    std::uint64_t dropped = 0;
    std::uint64_t order_sequence = 0;
    std::size_t orders_held = 0;
    std::size_t outcomes_held = 0;
  };
  Link link() const;

 private:
  void on(SectionSensed& input, Now now, Effects& effects);
  void on(Progressed& input, Now now, Effects& effects);
  void on(Ended& input, Now now, Effects& effects);
  void on(ReportAnswered& input, Now now, Effects& effects);
  void on(ReportFailed& input, Now now, Effects& effects);
  void on(DirectionsReceived& input, Now now, Effects& effects);
  void on(DirectionsFailed& input, Now now, Effects& effects);
  void on(Staged& input, Now now, Effects& effects);
  void on(StagingFailed& input, Now now, Effects& effects);
  void on(ExecutorAnswered& input, Now now, Effects& effects);
  void on(ExecutorLost& input, Now now, Effects& effects);
  void on(OrderLost& input, Now now, Effects& effects);
  void on(PolicyInstalled& input, Now now, Effects& effects);
  void on(PolicyNotInstalled& input, Now now, Effects& effects);
  void on(StandingAnswered& input, Now now, Effects& effects);
  void on(Tick& input, Now now, Effects& effects);

  void sense(SectionValue value);
  void offer_policy(const Envelope& envelope, Now now, Effects& effects);
  Result<ExecutorPolicy> verified(const Envelope& envelope) const;
  void tell(std::string kind, std::string text, Now now, Effects& effects);
  /// It works on something of ours and answers nothing else meanwhile.
  bool is_executor_at_work() const;
  bool executor_is_free() const;
  void pump(Now now, Effects& effects);
  void pump_policy(Now now, Effects& effects);
  void pump_standing(Now now, Effects& effects);
  void pump_executor(Now now, Effects& effects);
  Monotonic ask_due() const;
  void pump_directions(Now now, Effects& effects);
  void pump_report(Now now, Effects& effects);

  CoreSetup setup_;
  Effects first_;  // what the constructor has to say
  Random& random_;
  HostFacts facts_;
  Outbox outbox_;
  Orders orders_;
  Standing standing_;

  // the signed policy
  std::optional<ExecutorPolicy> policy_;
  Envelope policy_envelope_;
  bool installing_ = false;
  std::uint64_t install_tried_ = 0;  // serial
  Monotonic install_not_before_{};   // for the same serial again
  std::uint64_t policy_skip_ = 0;  // a refused one's serial, so that it isn't sent again at once; unverified
  Monotonic policy_skip_until_{};
  std::optional<Digest> policy_refused_;

  // report
  bool reporting_ = false;
  Monotonic report_not_before_{};
  Monotonic report_due_{};  // heartbeat
  Backoff report_backoff_;
  Duration heartbeat_ = kHeartbeatDefault;
  std::optional<Instant> last_answer_;
  std::optional<Duration> clock_ahead_;
  std::optional<std::string> report_error_;

  // directions
  bool fetching_ = false;
  Monotonic directions_not_before_{};
  Monotonic fetched_at_{};
  Backoff directions_backoff_;
  std::optional<std::string> directions_error_;

  // executor
  bool asking_ = false;
  bool executor_asked_once_ = false;   // it answered or could not be reached
  bool executor_present_ = false;      // it answered last time
  Monotonic ask_at_{};
  Backoff executor_backoff_{kExecutorRetryMax};
  std::optional<std::string> executor_error_;
  bool standing_busy_ = false;
  bool standing_dirty_ = false;
  std::optional<Monotonic> standing_at_;
};

}  // namespace prunella::agent
