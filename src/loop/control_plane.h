#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ed25519.h"
#include "base/random.h"
#include "decide/gate.h"
#include "decide/why.h"
#include "model/api.h"
#include "model/link.h"
#include "model/selector.h"
#include "plan/rollout.h"
#include "record/audit.h"
#include "record/fleet_store.h"

/// The control plane's logic: what comes in from hosts and people, what is decided, what goes out. It keeps everything in the
/// store, in the transaction in which it was decided, so that it may be killed at any moment and goes on where it was; what it
/// keeps in memory is only what comes again by itself (when a host was last heard, the latest progress).
///
/// Synchronous and without clock, file or thread: `now` is an argument, and the simulator runs it as it is. One thread at a time.
namespace prunella {

/// Port: makes the certificate of a host. The key comes from the host's own request.
class CertificateIssuer {
 public:
  struct Issued {
    std::string pem;
    std::string fingerprint;
    std::string serial;
    Instant not_after{};
  };
  virtual ~CertificateIssuer() = default;
  virtual Result<Issued> issue(std::string_view csr_pem, const HostId& host, Instant now) = 0;
  virtual std::string authority_pem() const = 0;
  virtual std::string authority_sha256() const = 0;
};

/// Who asks, for the audit log and for what he may.
struct Caller {
  std::string actor;  ///< "token:ada", "host:web-1-3f9a", "control-plane"
  std::string token;  ///< the id of his token; empty for hosts and for ourselves
  std::vector<Scope> scopes;
  bool may(Scope scope) const;
};

/// How much is kept of what a host says in its own words: in its row, and as a sentence of the audit log.
inline constexpr std::size_t kAgentVersionBytesMax = 64;
inline constexpr std::size_t kAuditSentenceBytesMax = 1000;
/// When the audit log gets a checkpoint of its own: after so many entries (a signature each thousand costs nothing, and no more than
/// those stand unsigned at the end of an export), and after a day with new ones, so that a quiet log has signatures too.
inline constexpr std::int64_t kCheckpointEntries = 1000;
inline constexpr Duration kCheckpointInterval = std::chrono::hours(24);

/// 1,000 rows of last_seen in a transaction: a few milliseconds, during which nobody else is served.
inline constexpr std::size_t kLastSeenBatch = 1000;

struct ControlOptions {
  std::string version = "0";
  std::string organisation = "example";
  Duration heartbeat = std::chrono::seconds(30);
  /// A host that was silent for longer is stale. Three heartbeats: one may be lost, two are no accident.
  Duration stale_after = std::chrono::seconds(90);
  /// How often last_seen goes from memory to the store, for all hosts together: heartbeats don't reach the database one by one. With a
  /// heartbeat it stays below stale_after, so that a new start of the control plane doesn't show hosts as stale that were well.
  Duration last_seen_checkpoint = std::chrono::seconds(30);
  Duration order_lifetime = std::chrono::minutes(10);
};

class ControlPlane {
 public:
  struct Ports {
    SqlConnection& store;
    Random& random;
    CertificateIssuer& issuer;
    const PrivateKey& director;  ///< signs orders
    const PrivateKey& recorder;  ///< signs checkpoints of the audit log
  };
  /// Told after a transaction was committed; must not call back.
  using Listener = std::function<void(const ChangeNotice&)>;

  ControlPlane(Ports ports, ControlOptions options, Listener listener);

  /// Starts a term: every order from now on carries a higher epoch than any before. Call it once, before anything else.
  Status start(std::string_view holder, Instant now);

  // --- hosts
  /// @error kDenied with a reason for a used, late, revoked or unknown token; the token stays used when the host was added.
  Result<EnrollAnswer> enroll(const EnrollRequest& request, std::string_view remote, Instant now);
  Result<RenewAnswer> renew(const HostId& host, const RenewRequest& request, Instant now);
  /// The host whose certificate this is.
  /// @error kDenied  unknown or revoked certificate or host; written to the audit log.
  Result<HostId> authenticate(std::string_view fingerprint, std::string_view common_name, Instant now);
  /// A connection that TLS itself refused; for the audit log.
  void refused_connection(std::string_view remote, std::string_view reason, Instant now);
  Result<ReportAnswer> receive(const HostId& host, const Report& report, Instant now);
  /// What waits for the host now. Also counts as hearing from it.
  Result<Directions> directions(const HostId& host, std::uint64_t after, std::uint64_t policy_serial, Instant now);

  // --- people; each checks the scope itself
  Result<Caller> caller_of(std::string_view bearer, Instant now);
  Result<StatusView> status(const Caller& caller, Instant now);
  Result<Page<HostView>> hosts(const Caller& caller, std::string_view selector, const PageRequest& page, Instant now);
  Result<HostDetail> host(const Caller& caller, const HostId& id, Instant now);
  Status refresh(const Caller& caller, const HostId& id, Instant now);
  Result<HostView> revoke(const Caller& caller, const HostId& id, Instant now);
  Result<HostView> label(const Caller& caller, const HostId& id, const std::map<std::string, std::string>& labels, Instant now);
  Result<Page<FindingView>> findings(const Caller& caller, const FindingFilter& filter, const PageRequest& page);
  /// @error kNotFound  of the type kNoHostMatches, or there is no run to undo.
  /// @error kConflict  of the type kNothingToPlan or kNothingCanBePlanned, or the run can't be undone.
  Result<PlanView> make_plan(const Caller& caller, const PlanRequest& request, Instant now);
  Result<PlanView> plan(const Caller& caller, const PlanId& id, Instant now);
  Result<Page<PlanSummary>> plans(const Caller& caller, const PageRequest& page);
  Result<PlanView> approve(const Caller& caller, const PlanId& id, const Envelope& envelope, Instant now);
  Result<RolloutView> start_rollout(const Caller& caller, const RolloutRequest& request, Instant now);
  Result<RolloutView> rollout(const Caller& caller, const RolloutId& id, Instant now);
  Result<Page<RolloutView>> rollouts(const Caller& caller, const PageRequest& page, Instant now);
  enum class Steer { kPause, kResume, kPromote, kAbort };
  Result<RolloutView> steer(const Caller& caller, const RolloutId& id, Steer steer, Instant now);
  Result<Page<RunView>> runs(const Caller& caller, const std::optional<HostId>& host, const std::optional<RolloutId>& rollout, const PageRequest& page);
  Result<RunView> run(const Caller& caller, const RunId& id);
  Result<Explanation> why(const Caller& caller, const HostId& id, const std::optional<std::string>& subject, Instant now);
  Result<std::vector<AuditEntry>> audit(const Caller& caller, std::int64_t after, std::int64_t limit);
  /// The log's last entry, signed now. Writes nothing.
  Result<AuditCheckpoint> checkpoint(const Caller& caller, Instant now);
  Result<Page<TokenView>> tokens(const Caller& caller, const PageRequest& page);
  Result<TokenView> add_token(const Caller& caller, const TokenRequest& request, Instant now);
  Status revoke_token(const Caller& caller, std::string_view id, Instant now);
  Result<TokenView> add_enrolment_token(const Caller& caller, const EnrolmentTokenRequest& request, Instant now);
  Result<TrustView> trust(const Caller& caller);
  Result<TrustView> set_trust(const Caller& caller, const OperatorTrust& trust, Instant now);
  Result<TrustView> set_policy(const Caller& caller, const Envelope& envelope, Instant now);

  /// The first API token, for who owns the data directory.
  Result<TokenView> first_token(std::string_view name, Instant now);

  /// What only time brings: rollouts go on, orders expire, hosts become stale, the audit log is signed. Call it about every second.
  Status tick(Instant now);

  /// Answer given again for a repeated POST: the same key with another body is kConflict.
  Result<std::optional<FleetStore::Remembered>> remembered(const Caller& caller, std::string_view key, const Digest& request);
  Status remember(const Caller& caller, std::string_view key, const Digest& request, int status, std::string_view response, Instant now);

  PublicKey recorder_key() const { return ports_.recorder.public_key(); }
  /// Hosts heard since the start, for figures.
  std::size_t hosts_heard() const { return last_seen_.size(); }

 private:
  struct Ingest;  // one report on its way in

  /// Runs `work` in a transaction of the store and tells the listener about its changes once they are durable.
  template <class F>
  auto in_transaction(F&& work) -> std::invoke_result_t<F&> {
    auto result = with_transaction(ports_.store, [&] {
      pending_notices_.clear();
      return work();
    });
    if (result) publish();
    return result;
  }
  void publish();
  Status note(std::string_view actor, std::string_view kind, AuditSubject subject, std::string why, Instant now, Json details = Json::Object());
  void changed(std::string_view kind, std::string_view id, std::optional<RunProgress> progress = std::nullopt);
  Status require(const Caller& caller, Scope scope) const;

  HostView view_of(const HostRow& row, Instant now) const;
  Result<HostView> view_of(const HostId& id, Instant now);
  std::optional<Instant> last_seen(const HostRow& row) const;
  void heard(const HostId& id, Instant now);
  /// Whether a host that was heard then is late now.
  bool is_silent(Instant heard, Instant now) const;
  struct Selected {
    HostRow row;
    HostView view;
    HostFacts facts;
  };
  /// The active hosts that a selector means, by id.
  Result<std::vector<Selected>> selected(const Selector& selector, Instant now);
  Result<std::optional<ExecutorPolicy>> policy();

  Status take_event(Ingest& in, const Event& event);
  Status take_section(Ingest& in, const Event& event);
  Status take_packages_delta(Ingest& in, const Event& event, bool gap);
  Status take_progress(Ingest& in, const RunProgress& progress);
  Status take_outcome(Ingest& in, const RunOutcome& outcome);
  Status take_health(Ingest& in);
  Status load_facts(Ingest& in);
  Status find(Ingest& in);

  /// Carries a stored rollout through `inputs`, stores what became of it and gives the orders that follow, all in the caller's
  /// transaction: a host is ordered because the store says so, never beside it.
  Status carry(const RolloutId& id, const std::vector<RolloutInput>& inputs, Instant now);
  Status give_order(const Rollout& rollout, const Effect& effect, Instant now);
  Result<Verdict> ask_gate(const Rollout& rollout, const RolloutHost& host, Instant now);
  void remember_verdict(const HostId& host, const RolloutId& rollout, const Verdict& verdict, Instant now);
  struct Approvals {
    std::set<std::string> names;       ///< different approvers whose signatures hold now
    std::vector<Envelope> envelopes;   ///< theirs
  };
  /// When it is due, for at most kLastSeenBatch hosts; the rest at the next tick.
  Status save_last_seen(Instant now);
  /// Adds a checkpoint to the audit log when one is due.
  Status sign_log(Instant now);
  Result<Approvals> approvals_of(const RolloutPlan& plan, const std::optional<ExecutorPolicy>& policy, Instant now);
  Result<bool> is_approved(const PlanView& plan, Instant now);
  RolloutView finished_view(RolloutView view) const;
  Result<PlanView> finished_plan(const PlanId& id, Instant now);

  Ports ports_;
  ControlOptions options_;
  Listener listener_;
  FleetStore store_;
  std::uint64_t epoch_ = 0;
  std::map<HostId, Instant> last_seen_;
  std::set<HostId> last_seen_unsaved_;  ///< whose entry in last_seen_ the store doesn't have
  Instant last_seen_saved_{};           ///< when the last of them was saved
  std::map<RunId, RunProgress> progress_;
  std::map<HostId, RunId> at_work_;                     ///< the last of them that each host told of
  std::map<HostId, Instant> soak_counted_;              ///< when a host's health was last counted for a rollout
  std::map<HostId, std::vector<WhyVerdict>> verdicts_;  ///< the gate's latest answers, newest first
  std::map<HostId, std::vector<std::string>> refresh_;  ///< asked for, not yet sent
  std::vector<ChangeNotice> pending_notices_;
  struct RefusalCount {
    std::uint64_t count = 0;
    Instant noted{};
  };
  std::map<std::string, RefusalCount> refusals_;
  std::uint64_t unrecorded_ = 0;
};

/// Names and values as check_name() wants them, none that selectors use for a fact, at most 64.
/// @error kInvalidInput, kExhausted
Status check_labels(const std::map<std::string, std::string>& labels);

}  // namespace prunella
