#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "act/journal.h"
#include "kernel.h"
#include "model/api.h"
#include "model_host.h"

namespace prunella::sim {

/// Judges what the real code does by what the simulator knows to be true: who signed what, what is on which disk, how each host
/// is. It shares no decision with the code that it judges. Names of invariants are those of TRUST.md section 5; D is DESIGN.md
/// section 3.
class Oracle {
 public:
  explicit Oracle(Scheduler& scheduler) : scheduler_(scheduler) {}

  // --- what people did
  void policy_signed(const ExecutorPolicy& policy) { policies_[policy.serial] = policy; }
  /// Somebody's key signed this rollout, with whatever the signer saw in it.
  void approved(const RolloutPlan& plan, const std::string& person, Instant expires);
  void planned(const PlanView& plan);
  void forged_rollout(const RolloutPlan& plan, const HostId& host, std::uint64_t index, const Digest& host_plan);

  /// Whoever holds the director's key signed this.
  void director_signed(const Envelope& order) { director_signed_.insert(sha256(order.payload)); }

  // --- a host
  struct Host {
    HostId id;
    ModelHost* model = nullptr;
    const std::optional<std::string>* policy_text = nullptr;  ///< what its policy store holds
    std::function<bool()> frozen;
    std::function<std::string()> journal;                     ///< its durable bytes
    std::function<bool()> executor_up;
  };
  void add_host(std::size_t number, Host host);
  /// The executor begins to look at this order, or at something else.
  void handling(std::size_t number, const Envelope* order, bool standing_request);
  void executor_started(std::size_t number);
  void clock_went_forward(std::size_t number) { truths_[number].clock_forward = scheduler_.now() + truths_[number].leapt; }
  /// `journal()` changed: `replaced` when it was compacted.
  void journal_changed(std::size_t number, bool replaced);
  void touching(std::size_t number, Touch touch, const std::vector<std::string>& subjects);
  /// Somebody or something else changed this path, package or unit: it isn't the run's doing.
  void foreign_change(std::size_t number, const std::string& what);
  /// At any time: nothing is open for too long, queues are within their limits.
  void watch(std::size_t number, std::size_t orders_held, std::size_t outcomes_held);

  // --- the control plane
  struct RolloutTruth {
    RolloutPlan plan;
    RolloutState state = RolloutState::kWaitingForApproval;
    bool stopped_by_person = false;  ///< paused or aborted, and not resumed
    std::set<std::uint64_t> promoted;  ///< waves
    std::uint64_t wave = 0;
    std::map<HostId, std::uint64_t> index;
    std::map<HostId, RunId> ordered;
  };
  void control_term_began(std::uint64_t epoch);
  void control_order(const Order& order, const Rollout& rollout);
  void rollout_seen(const Rollout& rollout);
  void rollout_steered(const RolloutId& rollout, bool stopped);
  void rollout_promoted(const RolloutId& rollout, std::uint64_t wave);
  /// The control plane committed a report of this host; outcomes that it holds now are known from it.
  void report_committed(std::size_t number, Instant control_now, Duration heartbeat);
  void heard(std::size_t number) { truths_[number].heard = scheduler_.now(); }
  bool is_silent(std::size_t number, Duration longer_than) const { return !truths_[number].heard || scheduler_.now() - *truths_[number].heard > longer_than; }
  void shown(std::size_t number, PostureState posture, Duration stale_after);
  void outcome_stored(std::size_t number, const RunOutcome& outcome);

  // --- the end
  struct Figures {
    std::uint64_t runs = 0, verified = 0, reverted = 0, escalated = 0, not_begun = 0, standing = 0, orders = 0, effects = 0;
  };
  const Figures& figures() const { return figures_; }
  bool any_run_open() const;
  /// Runs whose outcome a host's journal recorded and the control plane has not stored.
  std::vector<std::string> outcomes_missing() const;
  std::vector<RunId> runs_ended() const;  ///< on the hosts
  const std::map<RolloutId, RolloutTruth>& rollouts() const { return rollouts_; }

 private:
  struct Signed {
    std::map<std::string, Instant> by;                                  ///< person -> until when
    std::map<std::pair<HostId, std::uint64_t>, Digest> leaves;          ///< what was shown as this rollout
  };
  struct Truth {
    Host host;
    std::size_t parsed = 0;                // of the journal's durable bytes
    std::optional<AcceptedRun> open;
    std::vector<RunMark> marks;
    std::map<std::string, ModelPackage> packages_before;
    std::map<std::string, FileState> files_before;
    std::map<std::string, ModelUnit> units_before;
    std::set<std::string> foreign;  // since the run was accepted
    bool acted = false;                    // an effect happened in the open run
    int upgrades = 0;
    Monotonic accepted_at{}, executor_since{};
    std::optional<Monotonic> clock_forward;  // as the times of acts
    std::set<std::uint64_t> sequences;
    std::set<RunId> runs, refused_for_ever;
    std::uint64_t last_sequence = 0, highest_epoch = 0, policy_serial = 0;
    Instant time_floor{};
    std::optional<Order> looking_at;
    std::map<std::uint64_t, DeclinedOrder> shown;  ///< by sequence: orders for this host that a director signed and it saw
    Monotonic looked_at{};
    bool standing_request = false, director_signed = false;
    std::map<RunId, RunOutcome> outcomes;  // that its journal recorded
    std::map<RunId, RunState> stored;      // in the control plane
    // Times of acts are true time and what the host's leapt by before.
    std::deque<std::pair<Monotonic, ActionKind>> acts;
    std::map<std::string, Monotonic> restarts;
    Duration leapt{};
    std::optional<Monotonic> heard;
    // soak
    std::optional<Instant> report_counted;
    std::uint32_t reports_since_end = 0;
    // orders of the control plane
    std::uint64_t control_sequence = 0, control_epoch = 0;
  };

  [[noreturn]] void fail(std::size_t number, const std::string& invariant, const std::string& text) const;
  void take(std::size_t number, const JournalRecord& record, bool again);
  /// What a compacted journal remembers is what its records said, no less and no more.
  void remembered(std::size_t number, const ExecutorMemory& memory);
  // `late`: seen first when a new start compacted it, since the sync before had failed or its executor died in it
  void declined(std::size_t number, const DeclinedOrder& order);
  void accepted(std::size_t number, const JournalRecord& record, bool late);
  void authorised(std::size_t number, const AcceptedRun& run, bool late);
  void ended(std::size_t number, const RunOutcome& outcome, bool late);
  void whole(std::size_t number, const RunOutcome& outcome, bool is_new, bool late);
  /// A signature vouches for this moment: where the host's clock is behind it, the host's time leaps to it, by five minutes at most
  /// for an order, and what is counted in its time gets that much older at once.
  void vouched(std::size_t number, Instant issued);
  void within_budget(std::size_t number, const AcceptedRun& run, const ExecutorPolicy& policy, Monotonic now, Monotonic dated);
  const ExecutorPolicy* policy_of(std::size_t number) const;
  std::uint32_t approvals_for(std::size_t number, const ExecutorPolicy& policy, const Plan& plan) const;

  Scheduler& scheduler_;
  std::map<std::uint64_t, ExecutorPolicy> policies_;
  std::set<Digest> director_signed_;  // payloads
  std::map<Digest, Signed> signed_;  // by digest of the rollout plan
  std::vector<Truth> truths_;
  std::map<HostId, std::size_t> numbers_;
  std::map<RolloutId, RolloutTruth> rollouts_;
  std::map<PlanId, RolloutId> rollout_of_;
  std::uint64_t term_ = 0;
  Figures figures_;
};

}  // namespace prunella::sim
