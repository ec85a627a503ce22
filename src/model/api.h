#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/finding.h"
#include "model/host.h"
#include "model/posture.h"
#include "model/rollout.h"
#include "model/run.h"

/// The public API's bodies (specs/openapi.yaml), as control plane and command line share them. Answers grow by additions
/// only: a client ignores keys that it doesn't know, at every level (UnknownKeys::kIgnore). Requests are read strictly.
namespace prunella {

enum class HostState { kActive, kRevoked };
constexpr std::array<EnumWord<HostState>, 2> enum_words(HostState) {
  return {{{HostState::kActive, "active"}, {HostState::kRevoked, "revoked"}}};
}

struct HostView {
  HostId id;
  std::string name;
  HostState state = HostState::kActive;
  PostureState posture = PostureState::kUnknown;
  std::string sentence;                      ///< the posture in one sentence
  std::map<std::string, std::string> labels;
  std::optional<std::string> os;             ///< "Debian GNU/Linux 12 (bookworm)"
  std::optional<std::string> kernel;
  std::optional<Instant> last_seen;          ///< absent: it has not reported since the control plane started or ever
  Instant enrolled{};
  std::string agent_version;
  std::optional<Instant> certificate_expires;
  std::uint64_t findings_open = 0;
  std::uint64_t cves_open = 0;
  std::optional<RebootNeed> reboot;
  std::optional<std::int64_t> clock_skew_ms; ///< host's clock minus ours at the last report
};
template <class F>
void fields(F& f, HostView& h) {
  f("id", h.id);
  f("name", h.name);
  f("state", h.state);
  f("posture", h.posture);
  f("sentence", h.sentence);
  f("labels", h.labels);
  f("os", h.os);
  f("kernel", h.kernel);
  f("last_seen", h.last_seen);
  f("enrolled", h.enrolled);
  f("agent_version", h.agent_version);
  f("certificate_expires", h.certificate_expires);
  f("findings_open", h.findings_open);
  f("cves_open", h.cves_open);
  f("reboot", h.reboot);
  f("clock_skew_ms", h.clock_skew_ms);
}

struct FindingView {
  Finding finding;
  std::string state;                 ///< "open" or "cleared"
  Instant opened{};
  std::optional<Instant> cleared;
};
template <class F>
void fields(F& f, FindingView& v) {
  f("finding", v.finding);
  f("state", v.state);
  f("opened", v.opened);
  f("cleared", v.cleared);
}

struct HostDetail {
  HostView host;
  HostFacts facts;
  std::vector<FindingView> findings;  ///< the open ones, worst first
};
template <class F>
void fields(F& f, HostDetail& d) {
  f("host", d.host);
  f("facts", d.facts);
  f("findings", d.findings);
}

/// A page of a list: `next` is the cursor of the following page and absent on the last one.
template <class T>
struct Page {
  std::vector<T> items;
  std::optional<std::string> next;
};
template <class F, class T>
void fields(F& f, Page<T>& p) {
  f("items", p.items);
  f("next", p.next);
}

struct Tile {
  PostureState posture = PostureState::kUnknown;
  std::uint64_t hosts = 0;
};
template <class F>
void fields(F& f, Tile& t) {
  f("posture", t.posture);
  f("hosts", t.hosts);
}

struct StatusView {
  Instant now{};
  std::string version;
  std::string organisation;
  std::uint64_t hosts = 0;
  std::vector<Tile> tiles;                   ///< one a posture, in the order of the enumeration
  std::uint64_t findings_open = 0;
  std::uint64_t cves_open = 0;
  std::vector<std::string> waiting;          ///< what waits for a person, a sentence each, oldest first
  std::vector<std::string> recent;           ///< the last things that were done, a sentence each, newest first
  std::string sentence;                      ///< the fleet in one sentence
  std::string next;                          ///< a command to go on with
  std::optional<std::uint64_t> policy_serial;
};
template <class F>
void fields(F& f, StatusView& s) {
  f("now", s.now);
  f("version", s.version);
  f("organisation", s.organisation);
  f("hosts", s.hosts);
  f("tiles", s.tiles);
  f("findings_open", s.findings_open);
  f("cves_open", s.cves_open);
  f("waiting", s.waiting);
  f("recent", s.recent);
  f("sentence", s.sentence);
  f("next", s.next);
  f("policy_serial", s.policy_serial);
}

/// POST /v1/plans
enum class PlanPurpose { kSecurityUpdates, kRestarts, kUndo };
constexpr std::array<EnumWord<PlanPurpose>, 3> enum_words(PlanPurpose) {
  return {{{PlanPurpose::kSecurityUpdates, "security-updates"}, {PlanPurpose::kRestarts, "restarts"}, {PlanPurpose::kUndo, "undo"}}};
}
/// Why POST /v1/plans made no plan, for programs: Error::type(), and the problem's type after "/problems/".
inline constexpr std::string_view kNoHostMatches = "no-host-matches";         ///< kNotFound: the selector means no active host
inline constexpr std::string_view kNothingToPlan = "nothing-to-plan";         ///< kConflict: every selected host needs nothing
inline constexpr std::string_view kNothingCanBePlanned = "nothing-can-be-planned";  ///< kConflict: for some it can't be told, or not be done
struct PlanRequest {
  std::string selector;                      ///< model/selector.h; "all" for every host
  std::optional<PlanPurpose> purpose;        ///< default: security-updates
  std::optional<RunId> undo;                 ///< with purpose undo: the verified run to take back
  std::optional<std::vector<std::string>> waves;  ///< "1", "5%", "25%", ...: default canary 1, then 1, 5, 25, 50, 100 %
  std::optional<std::uint32_t> failures_percent_max;
  std::optional<std::uint32_t> soak_reports;
  std::optional<Duration> wave_deadline;
  std::optional<Duration> stable_for;
};
template <class F>
void fields(F& f, PlanRequest& r) {
  f("selector", r.selector);
  f("purpose", r.purpose);
  f("undo", r.undo);
  f("waves", r.waves);
  f("failures_percent_max", r.failures_percent_max);
  f("soak_reports", r.soak_reports);
  f("wave_deadline_ms", r.wave_deadline);
  f("stable_for_ms", r.stable_for);
}

struct HostPlan {
  std::uint64_t index = 0;
  HostId host;
  Digest digest;
  Plan plan;
};
template <class F>
void fields(F& f, HostPlan& p) {
  f("index", p.index);
  f("host", p.host);
  f("digest", p.digest);
  f("plan", p.plan);
}
struct SkippedHost {
  HostId host;
  std::string reason;
};
template <class F>
void fields(F& f, SkippedHost& s) {
  f("host", s.host);
  f("reason", s.reason);
}
struct ApprovalView {
  std::string approver;
  std::string key_id;
  Instant at{};
  Instant expires{};
};
template <class F>
void fields(F& f, ApprovalView& a) {
  f("approver", a.approver);
  f("key_id", a.key_id);
  f("at", a.at);
  f("expires", a.expires);
}
struct PlanView {
  PlanId id;
  Digest digest;                       ///< of the canonical JSON of `rollout`: what an approver signs
  RolloutPlan rollout;
  std::vector<HostPlan> hosts;         ///< in the rollout's order; a reader checks them against rollout.merkle_root
  std::vector<SkippedHost> skipped;
  std::uint32_t approvals_required = 0;
  std::vector<ApprovalView> approvals;
  std::optional<RolloutId> started_as; ///< the rollout that carries it out
  std::vector<std::string> warnings;   ///< what the gate would say now, a sentence each
};
template <class F>
void fields(F& f, PlanView& p) {
  f("id", p.id);
  f("digest", p.digest);
  f("rollout", p.rollout);
  f("hosts", p.hosts);
  f("skipped", p.skipped);
  f("approvals_required", p.approvals_required);
  f("approvals", p.approvals);
  f("started_as", p.started_as);
  f("warnings", p.warnings);
}
struct PlanSummary {
  PlanId id;
  Digest digest;
  Instant created{};
  std::string created_by;
  std::string purpose;
  std::string selector;
  std::uint64_t hosts = 0;
  std::string state;  ///< "proposed", "approved", "started", "expired"
};
template <class F>
void fields(F& f, PlanSummary& p) {
  f("id", p.id);
  f("digest", p.digest);
  f("created", p.created);
  f("created_by", p.created_by);
  f("purpose", p.purpose);
  f("selector", p.selector);
  f("hosts", p.hosts);
  f("state", p.state);
}

/// POST /v1/rollouts
struct RolloutRequest {
  PlanId plan;
  Digest digest;  ///< of the plan as the caller saw it
};
template <class F>
void fields(F& f, RolloutRequest& r) {
  f("plan", r.plan);
  f("digest", r.digest);
}

struct RolloutView {
  Rollout rollout;
  Instant created{};
  Instant updated{};
  std::string sentence;                   ///< where it stands and what it waits for
  std::map<std::string, RunProgress> progress;  ///< host id -> the latest of a run in progress
};
template <class F>
void fields(F& f, RolloutView& v) {
  f("rollout", v.rollout);
  f("created", v.created);
  f("updated", v.updated);
  f("sentence", v.sentence);
  f("progress", v.progress);
}

struct RunView {
  RunId id;
  HostId host;
  std::optional<RolloutId> rollout;
  std::optional<PlanId> plan;
  RunState state = RunState::kOrdered;
  Instant started{};
  std::optional<Instant> ended;
  std::optional<RunProgress> progress;
  std::optional<RunOutcome> outcome;
};
template <class F>
void fields(F& f, RunView& v) {
  f("id", v.id);
  f("host", v.host);
  f("rollout", v.rollout);
  f("plan", v.plan);
  f("state", v.state);
  f("started", v.started);
  f("ended", v.ended);
  f("progress", v.progress);
  f("outcome", v.outcome);
}

/// One numbered fact of an explanation.
struct EvidenceLine {
  std::string text;
  std::string source;           ///< "dpkg status of web-1", "audit 41", "policy serial 3"
  std::optional<Instant> at;
};
template <class F>
void fields(F& f, EvidenceLine& e) {
  f("text", e.text);
  f("source", e.source);
  f("at", e.at);
}
struct Explanation {
  std::string verdict;                   ///< one sentence
  std::vector<EvidenceLine> evidence;
  std::vector<std::string> would_change; ///< what would change the verdict, a sentence or command each
};
template <class F>
void fields(F& f, Explanation& e) {
  f("verdict", e.verdict);
  f("evidence", e.evidence);
  f("would_change", e.would_change);
}

/// Tokens of the API. The secret itself is in the answer that makes it, and nowhere else.
enum class Scope { kRead, kPlan, kApprove, kOperate, kAdmin };
constexpr std::array<EnumWord<Scope>, 5> enum_words(Scope) {
  return {{{Scope::kRead, "read"}, {Scope::kPlan, "plan"}, {Scope::kApprove, "approve"}, {Scope::kOperate, "operate"}, {Scope::kAdmin, "admin"}}};
}
struct TokenRequest {
  std::string name;
  std::vector<Scope> scopes;
  Duration lifetime{};
};
template <class F>
void fields(F& f, TokenRequest& r) {
  f("name", r.name);
  f("scopes", r.scopes);
  f("lifetime_ms", r.lifetime);
}
struct TokenView {
  std::string id;
  std::string kind;  ///< "api" or "enrolment"
  std::string name;
  std::vector<Scope> scopes;
  Instant created{};
  Instant expires{};
  std::optional<Instant> used;
  std::optional<Instant> revoked;
  std::optional<Instant> last_used;
  std::optional<std::string> secret;  ///< only in the answer that makes it
};
template <class F>
void fields(F& f, TokenView& t) {
  f("id", t.id);
  f("kind", t.kind);
  f("name", t.name);
  f("scopes", t.scopes);
  f("created", t.created);
  f("expires", t.expires);
  f("used", t.used);
  f("revoked", t.revoked);
  f("last_used", t.last_used);
  f("secret", t.secret);
}
/// POST /v1/enrolment-tokens
struct EnrolmentTokenRequest {
  std::optional<std::string> name;    ///< the host's name, if it must be that one
  std::optional<Duration> lifetime;   ///< default and at most 1 h
  std::optional<std::map<std::string, std::string>> labels;
};
template <class F>
void fields(F& f, EnrolmentTokenRequest& r) {
  f("name", r.name);
  f("lifetime_ms", r.lifetime);
  f("labels", r.labels);
}
struct EnrolmentTokenView {
  TokenView token;
  std::string ca_sha256;
  std::string operators_sha256;
  std::string server;          ///< "https://10.213.0.1:8443"
  std::string server_key_pin;  ///< base64 SHA-256 of the server's public key, as curl --pinnedpubkey wants it
};
template <class F>
void fields(F& f, EnrolmentTokenView& v) {
  f("token", v.token);
  f("ca_sha256", v.ca_sha256);
  f("operators_sha256", v.operators_sha256);
  f("server", v.server);
  f("server_key_pin", v.server_key_pin);
}

/// GET /v1/trust, PUT /v1/trust (once; afterwards only policies with a higher serial signed by these operators).
struct OperatorTrust {
  std::string organisation;
  std::vector<PublicKey> operators;
  std::uint32_t threshold = 1;
};
template <class F>
void fields(F& f, OperatorTrust& t) {
  f("organisation", t.organisation);
  f("operators", t.operators);
  f("threshold", t.threshold);
}
/// The digest that an installer line carries: over the canonical JSON of OperatorTrust.
inline Digest digest_of(const OperatorTrust& trust) { return sha256(to_canonical_text(trust)); }

struct TrustView {
  std::optional<OperatorTrust> trust;
  PublicKey director;                   ///< the control plane's own key for orders
  std::optional<Envelope> policy;       ///< the executor policy in force
  std::string ca_sha256;
};
template <class F>
void fields(F& f, TrustView& t) {
  f("trust", t.trust);
  f("director", t.director);
  f("policy", t.policy);
  f("ca_sha256", t.ca_sha256);
}

/// Server-sent events of GET /v1/events: something of this kind changed; read it again.
struct ChangeNotice {
  std::string kind;  ///< "host", "finding", "plan", "rollout", "run", "audit"
  std::string id;
  std::optional<RunProgress> progress;
};
template <class F>
void fields(F& f, ChangeNotice& n) {
  f("kind", n.kind);
  f("id", n.id);
  f("progress", n.progress);
}

// Compiled once, in api_codec.cc.
PRUNELLA_DECLARE_CODEC(HostView)
PRUNELLA_DECLARE_CODEC(FindingView)
PRUNELLA_DECLARE_CODEC(HostDetail)
PRUNELLA_DECLARE_CODEC(StatusView)
PRUNELLA_DECLARE_CODEC(PlanRequest)
PRUNELLA_DECLARE_CODEC(HostPlan)
PRUNELLA_DECLARE_CODEC(PlanView)
PRUNELLA_DECLARE_CODEC(PlanSummary)
PRUNELLA_DECLARE_CODEC(RolloutRequest)
PRUNELLA_DECLARE_CODEC(RolloutView)
PRUNELLA_DECLARE_CODEC(RunView)
PRUNELLA_DECLARE_CODEC(Explanation)
PRUNELLA_DECLARE_CODEC(TokenRequest)
PRUNELLA_DECLARE_CODEC(TokenView)
PRUNELLA_DECLARE_CODEC(EnrolmentTokenRequest)
PRUNELLA_DECLARE_CODEC(EnrolmentTokenView)
PRUNELLA_DECLARE_CODEC(OperatorTrust)
PRUNELLA_DECLARE_CODEC(TrustView)
PRUNELLA_DECLARE_CODEC(ChangeNotice)
PRUNELLA_DECLARE_CODEC(Page<HostView>)
PRUNELLA_DECLARE_CODEC(Page<FindingView>)
PRUNELLA_DECLARE_CODEC(Page<PlanSummary>)
PRUNELLA_DECLARE_CODEC(Page<RolloutView>)
PRUNELLA_DECLARE_CODEC(Page<RunView>)
PRUNELLA_DECLARE_CODEC(Page<TokenView>)

}  // namespace prunella
