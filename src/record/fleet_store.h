#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/api.h"
#include "model/link.h"
#include "record/sql.h"

/// What the control plane keeps, as values. Each function is one or a few statements (fleet_store.cc has all of them) within
/// the caller's transaction; errors are the store's (record/sql.h).
namespace prunella {

/// What is remembered of a host besides the searched columns.
struct HostNotes {
  std::string instance;                 ///< of its agent; "" before the first report
  std::string agent_version;
  std::optional<std::int64_t> clock_skew_ms;
  PostureState posture = PostureState::kUnknown;  ///< as of the last report; whether it is stale depends on now
  std::string sentence;
  std::optional<std::string> os;
  std::optional<std::string> kernel;
  std::optional<RebootNeed> reboot;
  std::uint64_t findings_open = 0;
  std::vector<std::string> cves_open;
  std::uint64_t dropped = 0;
};
template <class F>
void fields(F& f, HostNotes& n) {
  f("instance", n.instance);
  f("agent_version", n.agent_version);
  f("clock_skew_ms", n.clock_skew_ms);
  f("posture", n.posture);
  f("sentence", n.sentence);
  f("os", n.os);
  f("kernel", n.kernel);
  f("reboot", n.reboot);
  f("findings_open", n.findings_open);
  f("cves_open", n.cves_open);
  f("dropped", n.dropped);
}

struct HostRow {
  HostId id;
  std::string name;
  std::string key_fingerprint;  ///< SHA-256 of the certificate in force
  HostState state = HostState::kActive;
  std::map<std::string, std::string> labels;
  Instant enrolled{};
  std::optional<Instant> last_seen;
  HostNotes notes;
};

/// Where a source of a host's events stands.
struct SourceRow {
  std::uint64_t last_sequence = 0;
  bool resync = false;
};

struct CertificateRow {
  std::string serial;
  HostId host;
  std::string fingerprint;
  Instant issued{};
  Instant not_after{};
  std::optional<Instant> revoked;
};

struct TokenRow {
  std::string id;
  Digest hash;
  std::string kind;  ///< "api", "enrolment"
  std::string name;
  std::vector<Scope> scopes;
  Instant created{};
  Instant expires{};
  std::optional<Instant> used;
  std::optional<Instant> revoked;
  std::optional<Instant> last_used;
  std::map<std::string, std::string> labels;  ///< that a host enrolled with it gets
};

struct OrderRow {
  OrderId id;
  HostId host;
  std::uint64_t sequence = 0;
  std::uint64_t epoch = 0;
  RunId run;
  std::string state;  ///< "pending" until the run's outcome came, then "done"; "expired" when none came in time
  Instant issued{};
  Instant expires{};
  Envelope envelope;
};

struct FindingFilter {
  std::optional<HostId> host;
  std::optional<FindingKind> kind;
  std::optional<std::string> state;  ///< "open", "cleared"; absent: both
  std::optional<std::string> cve;
};

struct PageRequest {
  std::string after;      ///< id of the last item of the page before; "" for the first page
  std::size_t limit = 100;
};
inline constexpr std::size_t kPageMax = 500;

class FleetStore {
 public:
  explicit FleetStore(SqlConnection& connection) : sql_(connection) {}
  SqlConnection& sql() { return sql_; }

  // Small values of the installation.
  Result<std::optional<std::string>> meta(std::string_view key);
  Status set_meta(std::string_view key, std::string_view value);

  // Hosts.
  Status add_host(const HostRow& host);
  Result<HostRow> host(const HostId& id);  ///< @error kNotFound
  Result<std::vector<HostRow>> hosts(const PageRequest& page);
  Status save_host(const HostRow& host);   ///< all but id and enrolled
  Status save_last_seen(const HostId& id, Instant last_seen);
  Status save_labels(const HostId& id, const std::map<std::string, std::string>& labels);
  Status add_certificate(const CertificateRow& certificate);
  Result<std::optional<CertificateRow>> certificate(std::string_view fingerprint);
  Result<std::optional<Instant>> certificate_expiry(const HostId& host);  ///< the latest that isn't revoked
  Status revoke_certificates(const HostId& host, Instant now);

  // What a host last said.
  Result<HostFacts> facts(const HostId& host);
  template <class T>
  Status save_section(const HostId& host, Section section, std::uint64_t sequence, const Sensed<T>& value) {
    return save_section_text(host, section, sequence, value.at, to_canonical_text(value));
  }
  Result<std::map<std::string, SourceRow>> sources(const HostId& host);
  Status save_source(const HostId& host, const std::string& source, const SourceRow& row, Instant now);
  Status forget_sources(const HostId& host);

  // Findings.
  Result<std::vector<FindingView>> open_findings(const HostId& host);
  Result<Page<FindingView>> findings(const FindingFilter& filter, const PageRequest& page);
  Status open_finding(const Finding& finding, Instant now);    ///< opens it, again if it was cleared
  Status change_finding(const Finding& finding, Instant now);
  Status clear_finding(const FindingId& id, Instant now);

  // Plans and approvals.
  Status add_plan(const PlanView& plan, std::string_view created_by);
  Result<PlanView> plan(const PlanId& id);  ///< with host plans and approvals; warnings are left empty. @error kNotFound
  Result<Plan> host_plan(const PlanId& id, const HostId& host);
  Result<std::vector<PlanSummary>> plans(const PageRequest& page);
  Result<std::vector<PlanId>> plans_of(const HostId& host, std::size_t limit);  ///< newest first
  Status set_plan_state(const PlanId& id, std::string_view state);
  Status add_approval(const PlanId& id, const ApprovalView& approval, const Envelope& envelope);  ///< @error kConflict twice
  Result<std::vector<Envelope>> approval_envelopes(const PlanId& id);

  // Rollouts.
  Status add_rollout(const Rollout& rollout, Instant now);
  Result<RolloutView> rollout(const RolloutId& id);  ///< sentence and progress are left empty. @error kNotFound
  Result<std::vector<RolloutId>> unfinished_rollouts();
  Result<std::vector<RolloutView>> rollouts(const PageRequest& page);
  Result<std::optional<RolloutId>> rollout_of_plan(const PlanId& plan);
  /// Writes what differs between `before` and `after`.
  Status save_rollout(const Rollout& before, const Rollout& after, Instant now);
  Result<std::vector<RolloutId>> unfinished_rollouts_of(const HostId& host);
  Result<RolloutHost> rollout_host(const RolloutId& rollout, const HostId& host);  ///< without the others. @error kNotFound

  // Runs and orders.
  Status add_run(const RunView& run, const Digest& plan_digest);
  Status save_run(const RunView& run);
  Result<RunView> run(const RunId& id);  ///< @error kNotFound
  Result<std::vector<RunView>> runs(const std::optional<HostId>& host, const std::optional<RolloutId>& rollout, const PageRequest& page);
  Result<std::vector<RunView>> recent_runs(const HostId& host, std::size_t limit);  ///< newest first
  Result<std::uint64_t> take_sequence(const HostId& host);  ///< 1, 2, 3, ...: each once
  Status add_order(const OrderRow& order);
  Result<std::vector<OrderRow>> pending_orders(const HostId& host, std::uint64_t after);
  Result<std::vector<OrderRow>> overdue_orders(Instant expired_before);
  Status set_order_state(const RunId& run, std::string_view state);

  // Access.
  Status add_token(const TokenRow& token);
  Result<std::optional<TokenRow>> token_by_hash(const Digest& hash);
  Result<std::vector<TokenRow>> tokens(const PageRequest& page);
  /// Marks an enrolment token used; false when somebody was first, or it's revoked or expired.
  Result<bool> use_token(std::string_view id, std::string_view by, Instant now);
  Result<bool> revoke_token(std::string_view id, Instant now);
  Status touch_token(std::string_view id, Instant now);

  // Policies: the newest is in force.
  Status add_policy(std::uint64_t serial, const Envelope& envelope, const Digest& digest, Instant now, Instant expires);
  Result<std::optional<Envelope>> policy();

  /// Starts a new term of leadership: a number above every earlier one. Fences the orders of whoever led before.
  Result<std::uint64_t> take_epoch(std::string_view holder, Instant now);

  // Answers given again for a repeated request.
  struct Remembered {
    Digest request;
    int status = 0;
    std::string response;
  };
  Result<std::optional<Remembered>> remembered(std::string_view scope, std::string_view key);
  Status remember(std::string_view scope, std::string_view key, const Remembered& answer, Instant now);

  struct Counts {
    std::uint64_t hosts = 0;
    std::uint64_t findings_open = 0;
  };
  Result<Counts> counts();
  /// The last things that were done, a sentence each, newest first: ends of runs and of rollouts, from the audit log.
  Result<std::vector<std::string>> last_done(std::size_t limit);
  /// Hosts on which something broke (a failed unit, a broken package, an interrupted dpkg) since then, and still is. Without those
  /// on which a run of ours goes on: packages are half installed in the middle of every upgrade, and the run's end says what came of it.
  Result<std::uint64_t> hosts_broken_since(Instant since);

 private:
  Status save_section_text(const HostId& host, Section section, std::uint64_t sequence, Instant at, const std::string& text);
  Status save_rollout_host(const RolloutId& rollout, const RolloutPlan& plan, const RolloutHost& host, Instant now);

  SqlConnection& sql_;
};

}  // namespace prunella
