#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/envelope.h"
#include "model/host.h"
#include "model/run.h"

/// What agent and control plane say to each other (HTTP over mutual TLS, bodies in JSON), and agent and executor. Either end of the link
/// may be the newer one, so answers and reports are read with UnknownKeys::kIgnore. What is signed in an answer, and all that goes
/// to the executor, is read strictly.
namespace prunella {

/// A CloudEvents 1.0 event of a host. `sequence` rises by one per source and instance of the agent, so that a gap is seen.
struct Event {
  std::string specversion = "1.0";
  std::string id;        ///< "<instance>-<source>-<sequence>"
  std::string source;    ///< "packages", "updates", ...: a Section's word, or "runs"
  std::string type;      ///< one of the kEvent... below
  Instant time{};
  std::uint64_t sequence = 0;
  Json data;
  bool operator==(const Event&) const = default;
};
template <class F>
void fields(F& f, Event& e) {
  f("specversion", e.specversion);
  f("id", e.id);
  f("source", e.source);
  f("type", e.type);
  f("time", e.time);
  f("sequence", e.sequence);
  f("data", e.data);
}
inline constexpr std::string_view kEventSection = "prunella.section";             ///< data: a whole Sensed<section>
inline constexpr std::string_view kEventPackagesDelta = "prunella.packages.delta";  ///< data: PackagesDelta
inline constexpr std::string_view kEventProgress = "prunella.run.progress";       ///< data: RunProgress
inline constexpr std::string_view kEventOutcome = "prunella.run.outcome";         ///< data: RunOutcome; kept until acknowledged
inline constexpr std::string_view kEventNotice = "prunella.notice";               ///< data: Notice

/// A change of the package list. `digest` is that of the canonical JSON of the whole PackageFacts afterwards: when it differs,
/// the receiver asks for the whole section.
struct PackagesDelta {
  std::vector<Package> changed;
  std::vector<PackageName> gone;
  bool updates_pending = false;
  Instant at{};
  Digest digest;
  bool operator==(const PackagesDelta&) const = default;
};
template <class F>
void fields(F& f, PackagesDelta& d) {
  f("changed", d.changed);
  f("gone", d.gone);
  f("updates_pending", d.updates_pending);
  f("at", d.at);
  f("digest", d.digest);
}

/// Something of the agent's own that a person should see: dropped events, a refused policy, a local decision not to act.
struct Notice {
  std::string kind;  ///< "events-dropped", "policy-refused", "standing-denied", ...
  std::string text;
  Instant at{};
  bool operator==(const Notice&) const = default;
};
template <class F>
void fields(F& f, Notice& n) {
  f("kind", n.kind);
  f("text", n.text);
  f("at", n.at);
}

/// POST /agent/v1/report. An empty list of events is a heartbeat.
struct Report {
  std::string instance;                ///< random, new with every start of the agent: sequences start again at 1
  Instant sent{};                      ///< the host's clock, so that skew is seen
  std::string agent_version;
  std::vector<Event> events;
  std::uint64_t dropped = 0;           ///< events that a full queue shed since the start
  bool operator==(const Report&) const = default;
};
template <class F>
void fields(F& f, Report& r) {
  f("instance", r.instance);
  f("sent", r.sent);
  f("agent_version", r.agent_version);
  f("events", r.events);
  f("dropped", r.dropped);
}
inline constexpr std::size_t kReportEventsMax = 200;
inline constexpr std::size_t kReportBytesMax = 8 << 20;  // a full section of 5,000 packages is 1.2 MB

struct ReportAnswer {
  Instant now{};                                   ///< the control plane's clock
  std::map<std::string, std::uint64_t> received;   ///< highest sequence stored durably, per source
  std::vector<std::string> resync;                 ///< sections to send whole: a gap or a digest that differs was found
  std::uint32_t heartbeat_seconds = 0;             ///< how often to report when nothing happens
  bool operator==(const ReportAnswer&) const = default;
};
template <class F>
void fields(F& f, ReportAnswer& a) {
  f("now", a.now);
  f("received", a.received);
  f("resync", a.resync);
  f("heartbeat_seconds", a.heartbeat_seconds);
}

/// GET /agent/v1/orders?after=SEQUENCE&policy=SERIAL&wait_ms=N: answered when there is something, or after the wait with nothing.
struct Directions {
  std::vector<Envelope> orders;              ///< sequence above `after`, rising
  std::optional<Envelope> policy;            ///< an executor policy with a serial above `policy`
  std::vector<std::string> refresh;          ///< sections to look at afresh now ("updates" fetches the lists)
  bool operator==(const Directions&) const = default;
};
template <class F>
void fields(F& f, Directions& d) {
  f("orders", d.orders);
  f("policy", d.policy);
  f("refresh", d.refresh);
}

/// POST /agent/v1/enroll with a token, over TLS with the pinned authority and no client certificate.
struct EnrollRequest {
  std::string token;
  std::string hostname;
  std::string csr_pem;
  std::string agent_version;
  bool operator==(const EnrollRequest&) const = default;
};
template <class F>
void fields(F& f, EnrollRequest& r) {
  f("token", r.token);
  f("hostname", r.hostname);
  f("csr_pem", r.csr_pem);
  f("agent_version", r.agent_version);
}
struct EnrollAnswer {
  HostId host;
  std::string certificate_pem;
  std::string ca_pem;
  std::string organisation;
  std::vector<PublicKey> operators;   ///< believed only if their digest is the one in the installer line
  std::uint32_t threshold = 1;
  bool operator==(const EnrollAnswer&) const = default;
};
template <class F>
void fields(F& f, EnrollAnswer& a) {
  f("host", a.host);
  f("certificate_pem", a.certificate_pem);
  f("ca_pem", a.ca_pem);
  f("organisation", a.organisation);
  f("operators", a.operators);
  f("threshold", a.threshold);
}
/// POST /agent/v1/renew over mutual TLS: a new certificate for the same host.
struct RenewRequest {
  std::string csr_pem;
  bool operator==(const RenewRequest&) const = default;
};
template <class F>
void fields(F& f, RenewRequest& r) {
  f("csr_pem", r.csr_pem);
}
struct RenewAnswer {
  std::string certificate_pem;
  bool operator==(const RenewAnswer&) const = default;
};
template <class F>
void fields(F& f, RenewAnswer& a) {
  f("certificate_pem", a.certificate_pem);
}

/// What the agent asks its executor over the UNIX socket: one JSON object a message, length in front (4 bytes, big-endian).
enum class ExecutorVerb { kStatus, kInstallPolicy, kOrder, kStanding, kObserveProcesses, kOutcomes, kForget };
constexpr std::array<EnumWord<ExecutorVerb>, 7> enum_words(ExecutorVerb) {
  return {{{ExecutorVerb::kStatus, "status"},
           {ExecutorVerb::kInstallPolicy, "install-policy"},
           {ExecutorVerb::kOrder, "order"},
           {ExecutorVerb::kStanding, "standing"},
           {ExecutorVerb::kObserveProcesses, "observe-processes"},
           {ExecutorVerb::kOutcomes, "outcomes"},
           {ExecutorVerb::kForget, "forget"}}};
}
struct ExecutorRequest {
  ExecutorVerb verb = ExecutorVerb::kStatus;
  std::optional<Envelope> envelope;              ///< kInstallPolicy, kOrder
  std::optional<StandingTrigger> trigger;        ///< kStanding
  std::optional<std::string> unit;               ///< kStanding
  std::optional<RunId> run;                      ///< kForget: an outcome that the control plane has stored
  bool operator==(const ExecutorRequest&) const = default;
};
template <class F>
void fields(F& f, ExecutorRequest& r) {
  f("verb", r.verb);
  f("envelope", r.envelope);
  f("trigger", r.trigger);
  f("unit", r.unit);
  f("run", r.run);
}
/// One answer to every request; kOrder and kStanding are followed by any number of answers with `progress` and one with `outcome`
/// on the same connection. A refused order has its outcome at once.
struct ExecutorAnswer {
  std::optional<std::string> error;              ///< the request itself was wrong
  std::optional<ExecutorFacts> status;
  std::optional<ProcessFacts> processes;
  std::optional<RunProgress> progress;
  std::optional<RunOutcome> outcome;
  std::optional<std::vector<RunOutcome>> outcomes;  ///< those not yet forgotten, oldest first
  bool operator==(const ExecutorAnswer&) const = default;
};
template <class F>
void fields(F& f, ExecutorAnswer& a) {
  f("error", a.error);
  f("status", a.status);
  f("processes", a.processes);
  f("progress", a.progress);
  f("outcome", a.outcome);
  f("outcomes", a.outcomes);
}
inline constexpr std::size_t kExecutorMessageMax = 4 << 20;

// Compiled once, in link_codec.cc.
PRUNELLA_DECLARE_CODEC(Event)
PRUNELLA_DECLARE_CODEC(PackagesDelta)
PRUNELLA_DECLARE_CODEC(Notice)
PRUNELLA_DECLARE_CODEC(Report)
PRUNELLA_DECLARE_CODEC(ReportAnswer)
PRUNELLA_DECLARE_CODEC(Directions)
PRUNELLA_DECLARE_CODEC(EnrollRequest)
PRUNELLA_DECLARE_CODEC(EnrollAnswer)
PRUNELLA_DECLARE_CODEC(RenewRequest)
PRUNELLA_DECLARE_CODEC(RenewAnswer)
PRUNELLA_DECLARE_CODEC(ExecutorRequest)
PRUNELLA_DECLARE_CODEC(ExecutorAnswer)

}  // namespace prunella
