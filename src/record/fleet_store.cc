#include "record/fleet_store.h"

#include <algorithm>

#include "record/audit.h"

namespace prunella {

namespace {

const Statement kGetMeta{"meta.get", "SELECT value FROM meta WHERE key = $1"};
const Statement kSetMeta{"meta.set", "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"};

const Statement kAddHost{"hosts.add", R"(
INSERT INTO hosts (id, name, key_fingerprint, state, environment, labels, enrolled_at, last_seen_at, document)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};
const Statement kGetHost{"hosts.get", "SELECT * FROM hosts WHERE id = $1"};
const Statement kListHosts{"hosts.list", "SELECT * FROM hosts WHERE id > $1 ORDER BY id LIMIT $2"};
const Statement kSaveHost{"hosts.save", R"(
UPDATE hosts SET name = $2, key_fingerprint = $3, state = $4, environment = $5, labels = $6, last_seen_at = $7, document = $8 WHERE id = $1)"};
const Statement kSaveLastSeen{"hosts.save_last_seen", "UPDATE hosts SET last_seen_at = $2 WHERE id = $1"};
const Statement kDropLabels{"host_labels.drop", "DELETE FROM host_labels WHERE host = $1"};
const Statement kAddLabel{"host_labels.add", "INSERT INTO host_labels (host, label, value) VALUES ($1, $2, $3)"};

const Statement kAddCertificate{"certificates.add", R"(
INSERT INTO certificates (serial, host, fingerprint, issued_at, not_after, revoked_at) VALUES ($1, $2, $3, $4, $5, NULL))"};
const Statement kGetCertificate{"certificates.get", "SELECT * FROM certificates WHERE fingerprint = $1"};
const Statement kCertificateExpiry{"certificates.expiry", R"(
SELECT CAST(MAX(not_after) AS BIGINT) AS not_after FROM certificates WHERE host = $1 AND revoked_at IS NULL)"};
const Statement kRevokeCertificates{"certificates.revoke", "UPDATE certificates SET revoked_at = $2 WHERE host = $1 AND revoked_at IS NULL"};

const Statement kGetSections{"host_sections.get", "SELECT section, document FROM host_sections WHERE host = $1"};
const Statement kSaveSection{"host_sections.save", R"(
INSERT INTO host_sections (host, section, sequence, digest, observed_at, document) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (host, section) DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest,
  observed_at = excluded.observed_at, document = excluded.document)"};
const Statement kGetSources{"host_sources.get", "SELECT source, last_sequence, resync FROM host_sources WHERE host = $1"};
const Statement kSaveSource{"host_sources.save", R"(
INSERT INTO host_sources (host, source, last_sequence, last_at, resync) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (host, source) DO UPDATE SET last_sequence = excluded.last_sequence, last_at = excluded.last_at, resync = excluded.resync)"};
const Statement kForgetSources{"host_sources.forget", "DELETE FROM host_sources WHERE host = $1"};

const Statement kOpenFindings{"findings.open_of_host", "SELECT * FROM findings WHERE host = $1 AND state = 'open' ORDER BY id"};
// Absent filters are NULL; the host filter is the one that must be fast, and the planner sees it as a constant.
const Statement kListFindings{"findings.list", R"(
SELECT * FROM findings WHERE id > $1 AND (CAST($3 AS TEXT) IS NULL OR host = $3) AND (CAST($4 AS TEXT) IS NULL OR kind = $4) AND (CAST($5 AS TEXT) IS NULL OR state = $5)
  AND (CAST($6 AS TEXT) IS NULL OR document LIKE $6) ORDER BY id LIMIT $2)"};
const Statement kUpsertFinding{"findings.upsert", R"(
INSERT INTO findings (id, host, kind, subject, severity, severity_rank, state, opened_at, cleared_at, document)
VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, NULL, $8)
ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, severity_rank = excluded.severity_rank, state = 'open',
  opened_at = excluded.opened_at, cleared_at = NULL, document = excluded.document)"};
const Statement kChangeFinding{"findings.change", "UPDATE findings SET severity = $2, severity_rank = $3, document = $4 WHERE id = $1"};
const Statement kClearFinding{"findings.clear", "UPDATE findings SET state = 'cleared', cleared_at = $2 WHERE id = $1 AND state = 'open'"};
const Statement kAddFindingEvent{"finding_events.add", R"(
INSERT INTO finding_events (finding, number, at, change, document)
SELECT $1, CAST(COUNT(*) + 1 AS BIGINT), CAST($2 AS BIGINT), $3, $4 FROM finding_events WHERE finding = $1)"};

const Statement kAddPlan{"plans.add", "INSERT INTO plans (id, digest, state, created_at, created_by, document) VALUES ($1, $2, $3, $4, $5, $6)"};
const Statement kGetPlan{"plans.get", "SELECT * FROM plans WHERE id = $1"};
const Statement kListPlans{"plans.list", "SELECT * FROM plans WHERE id > $1 ORDER BY id LIMIT $2"};
const Statement kPlanState{"plans.state", "UPDATE plans SET state = $2 WHERE id = $1"};
const Statement kAddHostPlan{"host_plans.add", "INSERT INTO host_plans (plan, host, digest, document) VALUES ($1, $2, $3, $4)"};
const Statement kGetHostPlans{"host_plans.get", "SELECT document FROM host_plans WHERE plan = $1"};
const Statement kGetHostPlan{"host_plans.get_one", "SELECT document FROM host_plans WHERE plan = $1 AND host = $2"};
const Statement kAddApproval{"approvals.add", "INSERT INTO approvals (plan, approver, key_id, at, envelope) VALUES ($1, $2, $3, $4, $5)"};
const Statement kGetApprovals{"approvals.get", "SELECT * FROM approvals WHERE plan = $1 ORDER BY at, approver"};

const Statement kAddRollout{"rollouts.add", R"(
INSERT INTO rollouts (id, plan, state, wave, generation, created_at, updated_at, document) VALUES ($1, $2, $3, $4, 1, $5, $5, $6))"};
const Statement kGetRollout{"rollouts.get", "SELECT * FROM rollouts WHERE id = $1"};
const Statement kListRollouts{"rollouts.list", "SELECT id FROM rollouts WHERE id > $1 ORDER BY id LIMIT $2"};
const Statement kUnfinishedRollouts{"rollouts.unfinished", R"(
SELECT id FROM rollouts WHERE state IN ('waiting-for-approval', 'running', 'paused') ORDER BY created_at, id)"};
const Statement kUnfinishedRolloutsOf{"rollouts.unfinished_of_host", R"(
SELECT r.id AS id FROM rollouts r JOIN rollout_hosts h ON h.rollout = r.id
WHERE h.host = $1 AND r.state IN ('waiting-for-approval', 'running', 'paused') ORDER BY r.created_at, r.id)"};
const Statement kRolloutOfPlan{"rollouts.of_plan", "SELECT id FROM rollouts WHERE plan = $1 ORDER BY created_at DESC, id LIMIT 1"};
const Statement kSaveRollout{"rollouts.save", R"(
UPDATE rollouts SET state = $2, wave = $3, generation = generation + 1, updated_at = $4, document = $5 WHERE id = $1)"};
const Statement kSaveRolloutHost{"rollout_hosts.save", R"(
INSERT INTO rollout_hosts (rollout, host, wave, state, run, order_id, order_sequence, updated_at, document)
VALUES ($1, $2, $3, $4, $5, NULL, NULL, $6, $7)
ON CONFLICT (rollout, host) DO UPDATE SET state = excluded.state, run = excluded.run, updated_at = excluded.updated_at, document = excluded.document)"};
const Statement kGetRolloutHost{"rollout_hosts.get_one", "SELECT document FROM rollout_hosts WHERE rollout = $1 AND host = $2"};
const Statement kGetRolloutHosts{"rollout_hosts.get", "SELECT document FROM rollout_hosts WHERE rollout = $1"};

const Statement kAddRun{"runs.add", R"(
INSERT INTO runs (id, host, rollout, plan, plan_digest, state, started_at, ended_at, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};
const Statement kSaveRun{"runs.save", "UPDATE runs SET state = $2, ended_at = $3, document = $4 WHERE id = $1"};
const Statement kGetRun{"runs.get", "SELECT document FROM runs WHERE id = $1"};
const Statement kListRuns{"runs.list", R"(
SELECT document FROM runs WHERE id > $1 AND (CAST($3 AS TEXT) IS NULL OR host = $3) AND (CAST($4 AS TEXT) IS NULL OR rollout = $4) ORDER BY id LIMIT $2)"};
const Statement kRecentRuns{"runs.recent", "SELECT document FROM runs WHERE host = $1 ORDER BY started_at DESC, id LIMIT $2"};

const Statement kTakeSequence{"host_sequences.take", R"(
INSERT INTO host_sequences (host, next_sequence) VALUES ($1, 2)
ON CONFLICT (host) DO UPDATE SET next_sequence = host_sequences.next_sequence + 1 RETURNING next_sequence)"};
const Statement kAddOrder{"orders.add", R"(
INSERT INTO orders (id, host, sequence, epoch, run, state, issued_at, expires_at, envelope) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};
const Statement kPendingOrders{"orders.pending", R"(
SELECT * FROM orders WHERE host = $1 AND state = 'pending' AND sequence > $2 ORDER BY sequence)"};
const Statement kOverdueOrders{"orders.overdue", "SELECT * FROM orders WHERE state = 'pending' AND expires_at < $1 ORDER BY expires_at, id LIMIT 1000"};
const Statement kOrderState{"orders.state", "UPDATE orders SET state = $2 WHERE run = $1"};

const Statement kAddToken{"tokens.add", R"(
INSERT INTO tokens (id, hash, kind, name, scopes, created_at, expires_at, used_at, used_by, revoked_at, last_used_at, document)
VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL, NULL, NULL, $8))"};
const Statement kTokenByHash{"tokens.by_hash", "SELECT * FROM tokens WHERE hash = $1"};
const Statement kListTokens{"tokens.list", "SELECT * FROM tokens WHERE id > $1 ORDER BY id LIMIT $2"};
const Statement kUseToken{"tokens.use", R"(
UPDATE tokens SET used_at = $2, used_by = $3 WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2 RETURNING id)"};
const Statement kRevokeToken{"tokens.revoke", "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id"};
const Statement kTouchToken{"tokens.touch", "UPDATE tokens SET last_used_at = $2 WHERE id = $1"};

const Statement kAddPolicy{"policies.add", R"(
INSERT INTO policies (id, digest, state, created_at, expires_at, envelope) VALUES ($1, $2, 'in-force', $3, $4, $5))"};
const Statement kRetirePolicies{"policies.retire", "UPDATE policies SET state = 'replaced' WHERE state = 'in-force'"};
const Statement kGetPolicy{"policies.get", "SELECT envelope FROM policies WHERE state = 'in-force' ORDER BY created_at DESC, id LIMIT 1"};

const Statement kTakeEpoch{"leases.take", R"(
INSERT INTO leases (name, holder, epoch, until_at) VALUES ('control-plane', $1, 1, $2)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1, until_at = excluded.until_at RETURNING epoch)"};

const Statement kRemembered{"idempotency.get", "SELECT request_digest, status, response FROM idempotency WHERE scope = $1 AND key = $2"};
const Statement kRemember{"idempotency.add", R"(
INSERT INTO idempotency (scope, key, request_digest, status, response, created_at) VALUES ($1, $2, $3, $4, $5, $6))"};

const Statement kCountHosts{"hosts.count", "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM hosts WHERE state = 'active'"};
const Statement kCountFindings{"findings.count", "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM findings WHERE state = 'open'"};

const Statement kBrokenSince{"findings.broken_since", R"(
SELECT CAST(COUNT(DISTINCT host) AS BIGINT) AS n FROM findings
WHERE state = 'open' AND opened_at >= $1 AND kind IN ('unit-failed', 'broken-package', 'interrupted-dpkg')
  AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.host = findings.host AND runs.ended_at IS NULL))"};

const Statement kPlansOf{"plans.of_host", R"(
SELECT p.id AS id FROM plans p JOIN host_plans h ON h.plan = p.id WHERE h.host = $1 ORDER BY p.created_at DESC, p.id LIMIT $2)"};
const Statement kLastDone{"audit.last_done", R"(
SELECT document FROM audit WHERE kind IN ('run.verified', 'run.reverted', 'run.escalated', 'run.refused', 'rollout.stopped', 'host.enrolled')
ORDER BY sequence DESC LIMIT $1)"};

// The statement's rows, each read by `read(RowReader&)`.
template <class T, class F>
Result<std::vector<T>> read_all(Result<Rows> rows, F read) {
  if (!rows) return std::move(rows).error();
  std::vector<T> out;
  out.reserve(rows->size());
  for (Row each : *rows) {
    RowReader row(each);
    out.push_back(read(row));
    if (auto finished = row.finish(); !finished) return std::move(finished).error();
  }
  return out;
}
template <class T, class F>
Result<std::optional<T>> read_first(Result<Rows> rows, F read) {
  auto all = read_all<T>(std::move(rows), read);
  if (!all) return std::move(all).error();
  if (all->empty()) return std::optional<T>();
  return std::optional<T>(std::move(all->front()));
}
template <class T>
Result<T> only(Result<std::optional<T>> found, std::string what) {
  if (!found) return std::move(found).error();
  if (!*found) return not_found(what + " does not exist");
  return std::move(**found);
}
Status done(Result<Rows> rows) {
  if (!rows) return std::move(rows).error();
  return {};
}
std::int64_t limit_of(const PageRequest& page) { return static_cast<std::int64_t>(std::clamp<std::size_t>(page.limit, 1, kPageMax)); }

Json labels_json(const std::map<std::string, std::string>& labels) { return to_json(labels); }

HostRow read_host(RowReader& row) {
  HostRow host;
  host.id = row.get<HostId>("id");
  host.name = row.get<std::string>("name");
  host.key_fingerprint = row.get<std::string>("key_fingerprint");
  host.state = row.get<HostState>("state");
  host.labels = row.document<std::map<std::string, std::string>>("labels");
  host.enrolled = row.get<Instant>("enrolled_at");
  host.last_seen = row.get<std::optional<Instant>>("last_seen_at");
  // Notes are our own and nothing is signed in them: a version that drops one goes on reading those that were written before.
  host.notes = row.document<HostNotes>("document", UnknownKeys::kIgnore);
  return host;
}
std::string environment_of(const HostRow& host) {
  auto found = host.labels.find("env");
  return found == host.labels.end() ? "" : found->second;
}
FindingView read_finding(RowReader& row) {
  FindingView view;
  view.finding = row.document<Finding>("document");
  view.state = row.get<std::string>("state");
  view.opened = row.get<Instant>("opened_at");
  view.cleared = row.get<std::optional<Instant>>("cleared_at");
  return view;
}
OrderRow read_order(RowReader& row) {
  OrderRow order;
  order.id = row.get<OrderId>("id");
  order.host = row.get<HostId>("host");
  order.sequence = row.get<std::uint64_t>("sequence");
  order.epoch = row.get<std::uint64_t>("epoch");
  order.run = row.get<RunId>("run");
  order.state = row.get<std::string>("state");
  order.issued = row.get<Instant>("issued_at");
  order.expires = row.get<Instant>("expires_at");
  order.envelope = row.document<Envelope>("envelope");
  return order;
}
TokenRow read_token(RowReader& row) {
  TokenRow token;
  token.id = row.get<std::string>("id");
  token.hash = row.get<Digest>("hash");
  token.kind = row.get<std::string>("kind");
  token.name = row.get<std::string>("name");
  token.scopes = row.document<std::vector<Scope>>("scopes");
  token.created = row.get<Instant>("created_at");
  token.expires = row.get<Instant>("expires_at");
  token.used = row.get<std::optional<Instant>>("used_at");
  token.revoked = row.get<std::optional<Instant>>("revoked_at");
  token.last_used = row.get<std::optional<Instant>>("last_used_at");
  token.labels = row.document<std::map<std::string, std::string>>("document");
  return token;
}
// What of a plan is kept in its own row; host plans and approvals have tables of their own.
struct PlanDocument {
  RolloutPlan rollout;
  std::vector<SkippedHost> skipped;
  std::uint32_t approvals_required = 0;
};
template <class F>
void fields(F& f, PlanDocument& p) {
  f("rollout", p.rollout);
  f("skipped", p.skipped);
  f("approvals_required", p.approvals_required);
}
std::uint64_t wave_of(const RolloutPlan& plan, std::uint64_t index) {
  return static_cast<std::uint64_t>(std::ranges::upper_bound(plan.wave_ends, index) - plan.wave_ends.begin());
}

}  // namespace

Result<std::optional<std::string>> FleetStore::meta(std::string_view key) {
  return read_first<std::string>(sql_.run(kGetMeta, sql_values(key)), [](RowReader& row) { return row.get<std::string>("value"); });
}
Status FleetStore::set_meta(std::string_view key, std::string_view value) { return done(sql_.run(kSetMeta, sql_values(key, value))); }

Status FleetStore::add_host(const HostRow& host) {
  auto added = done(sql_.run(kAddHost, sql_values(host.id, host.name, host.key_fingerprint, host.state, environment_of(host), labels_json(host.labels),
                                                  host.enrolled, host.last_seen, to_json(host.notes))));
  if (!added) return added;
  return save_labels(host.id, host.labels);
}
Result<HostRow> FleetStore::host(const HostId& id) {
  return only(read_first<HostRow>(sql_.run(kGetHost, sql_values(id)), read_host), "the host " + quoted(id.text()));
}
Result<std::vector<HostRow>> FleetStore::hosts(const PageRequest& page) {
  return read_all<HostRow>(sql_.run(kListHosts, sql_values(page.after, limit_of(page))), read_host);
}
Status FleetStore::save_host(const HostRow& host) {
  return done(sql_.run(kSaveHost, sql_values(host.id, host.name, host.key_fingerprint, host.state, environment_of(host), labels_json(host.labels),
                                             host.last_seen, to_json(host.notes))));
}
Status FleetStore::save_last_seen(const HostId& id, Instant last_seen) { return done(sql_.run(kSaveLastSeen, sql_values(id, last_seen))); }
Status FleetStore::save_labels(const HostId& id, const std::map<std::string, std::string>& labels) {
  if (auto dropped = done(sql_.run(kDropLabels, sql_values(id))); !dropped) return dropped;
  for (const auto& [label, value] : labels)
    if (auto added = done(sql_.run(kAddLabel, sql_values(id, label, value))); !added) return added;
  return {};
}
Status FleetStore::add_certificate(const CertificateRow& c) {
  return done(sql_.run(kAddCertificate, sql_values(c.serial, c.host, c.fingerprint, c.issued, c.not_after)));
}
Result<std::optional<CertificateRow>> FleetStore::certificate(std::string_view fingerprint) {
  return read_first<CertificateRow>(sql_.run(kGetCertificate, sql_values(fingerprint)), [](RowReader& row) {
    return CertificateRow{row.get<std::string>("serial"),   row.get<HostId>("host"),       row.get<std::string>("fingerprint"),
                          row.get<Instant>("issued_at"),    row.get<Instant>("not_after"), row.get<std::optional<Instant>>("revoked_at")};
  });
}
Result<std::optional<Instant>> FleetStore::certificate_expiry(const HostId& host) {
  auto found = read_first<std::optional<Instant>>(sql_.run(kCertificateExpiry, sql_values(host)),
                                                  [](RowReader& row) { return row.get<std::optional<Instant>>("not_after"); });
  if (!found) return std::move(found).error();
  return found->value_or(std::nullopt);
}
Status FleetStore::revoke_certificates(const HostId& host, Instant now) { return done(sql_.run(kRevokeCertificates, sql_values(host, now))); }

Result<HostFacts> FleetStore::facts(const HostId& host) {
  auto rows = sql_.run(kGetSections, sql_values(host));
  if (!rows) return std::move(rows).error();
  HostFacts facts;
  for (Row each : *rows) {
    RowReader row(each);
    switch (row.get<Section>("section")) {
      case Section::kSystem: facts.system = row.document<Sensed<SystemFacts>>("document"); break;
      case Section::kPackages: facts.packages = row.document<Sensed<PackageFacts>>("document"); break;
      case Section::kUpdates: facts.updates = row.document<Sensed<UpdateFacts>>("document"); break;
      case Section::kKernel: facts.kernel = row.document<Sensed<KernelFacts>>("document"); break;
      case Section::kProcesses: facts.processes = row.document<Sensed<ProcessFacts>>("document"); break;
      case Section::kUnits: facts.units = row.document<Sensed<UnitFacts>>("document"); break;
      case Section::kDisk: facts.disk = row.document<Sensed<DiskFacts>>("document"); break;
      case Section::kExecutor: facts.executor = row.document<Sensed<ExecutorFacts>>("document"); break;
    }
    if (auto finished = row.finish(); !finished) return std::move(finished).error();
  }
  return facts;
}
Status FleetStore::save_section_text(const HostId& host, Section section, std::uint64_t sequence, Instant at, const std::string& text) {
  return done(sql_.run(kSaveSection, sql_values(host, section, sequence, sha256(text), at, text)));
}
Result<std::map<std::string, SourceRow>> FleetStore::sources(const HostId& host) {
  auto rows = sql_.run(kGetSources, sql_values(host));
  if (!rows) return std::move(rows).error();
  std::map<std::string, SourceRow> out;
  for (Row each : *rows) {
    RowReader row(each);
    out[row.get<std::string>("source")] = {row.get<std::uint64_t>("last_sequence"), row.get<bool>("resync")};
    if (auto finished = row.finish(); !finished) return std::move(finished).error();
  }
  return out;
}
Status FleetStore::save_source(const HostId& host, const std::string& source, const SourceRow& row, Instant now) {
  return done(sql_.run(kSaveSource, sql_values(host, source, row.last_sequence, now, row.resync)));
}
Status FleetStore::forget_sources(const HostId& host) { return done(sql_.run(kForgetSources, sql_values(host))); }

Result<std::vector<FindingView>> FleetStore::open_findings(const HostId& host) {
  return read_all<FindingView>(sql_.run(kOpenFindings, sql_values(host)), read_finding);
}
Result<Page<FindingView>> FleetStore::findings(const FindingFilter& filter, const PageRequest& page) {
  // A CVE id has no character that LIKE treats specially; the API checks its form before it comes here.
  std::optional<std::string> like;
  if (filter.cve) like = "%\"" + *filter.cve + "\"%";
  std::size_t limit = static_cast<std::size_t>(limit_of(page));
  auto items = read_all<FindingView>(
      sql_.run(kListFindings, sql_values(page.after, limit + 1, filter.host, filter.kind, filter.state, like)), read_finding);
  if (!items) return std::move(items).error();
  Page<FindingView> out;
  out.items = *std::move(items);
  if (out.items.size() > limit) {
    out.items.pop_back();
    out.next = out.items.back().finding.id.text();
  }
  return out;
}
Status FleetStore::open_finding(const Finding& finding, Instant now) {
  auto rank = static_cast<std::int64_t>(finding.severity);
  if (auto saved = done(sql_.run(kUpsertFinding, sql_values(finding.id, finding.host, finding.kind, finding.subject, finding.severity, rank, now, to_json(finding))));
      !saved)
    return saved;
  return done(sql_.run(kAddFindingEvent, sql_values(finding.id, now, "opened", to_json(finding))));
}
Status FleetStore::change_finding(const Finding& finding, Instant now) {
  auto rank = static_cast<std::int64_t>(finding.severity);
  if (auto saved = done(sql_.run(kChangeFinding, sql_values(finding.id, finding.severity, rank, to_json(finding)))); !saved) return saved;
  return done(sql_.run(kAddFindingEvent, sql_values(finding.id, now, "changed", to_json(finding))));
}
Status FleetStore::clear_finding(const FindingId& id, Instant now) {
  if (auto saved = done(sql_.run(kClearFinding, sql_values(id, now))); !saved) return saved;
  return done(sql_.run(kAddFindingEvent, sql_values(id, now, "cleared", "{}")));
}

Status FleetStore::add_plan(const PlanView& plan, std::string_view created_by) {
  PlanDocument document{plan.rollout, plan.skipped, plan.approvals_required};
  if (auto added = done(sql_.run(kAddPlan, sql_values(plan.id, plan.digest, "proposed", plan.rollout.created, created_by, to_json(document)))); !added)
    return added;
  for (const HostPlan& host : plan.hosts)
    if (auto added = done(sql_.run(kAddHostPlan, sql_values(plan.id, host.host, host.digest, to_json(host)))); !added) return added;
  return {};
}
Result<PlanView> FleetStore::plan(const PlanId& id) {
  auto view = only(read_first<PlanView>(sql_.run(kGetPlan, sql_values(id)),
                                        [](RowReader& row) {
                                          PlanView plan;
                                          plan.id = row.get<PlanId>("id");
                                          plan.digest = row.get<Digest>("digest");
                                          auto document = row.document<PlanDocument>("document");
                                          plan.rollout = std::move(document.rollout);
                                          plan.skipped = std::move(document.skipped);
                                          plan.approvals_required = document.approvals_required;
                                          return plan;
                                        }),
                   "the plan " + quoted(id.text()));
  if (!view) return view;
  auto hosts = read_all<HostPlan>(sql_.run(kGetHostPlans, sql_values(id)), [](RowReader& row) { return row.document<HostPlan>("document"); });
  if (!hosts) return std::move(hosts).error();
  view->hosts = *std::move(hosts);
  std::ranges::sort(view->hosts, {}, &HostPlan::index);
  auto envelopes = approval_envelopes(id);
  if (!envelopes) return std::move(envelopes).error();
  auto rows = sql_.run(kGetApprovals, sql_values(id));
  if (!rows) return std::move(rows).error();
  for (Row each : *rows) {
    RowReader row(each);
    ApprovalView approval;
    approval.approver = row.get<std::string>("approver");
    approval.key_id = row.get<std::string>("key_id");
    approval.at = row.get<Instant>("at");
    auto envelope = row.document<Envelope>("envelope");
    if (auto finished = row.finish(); !finished) return std::move(finished).error();
    // The envelope was verified when it came in; here only its expiry is shown.
    auto payload = from_base64(envelope.payload);
    if (!payload) return corrupt("the approval of " + quoted(approval.approver) + ": " + payload.error().text());
    auto read = from_json_text<Approval>(as_text(*payload));
    if (!read) return corrupt("the approval of " + quoted(approval.approver) + ": " + read.error().text());
    approval.expires = read->expires;
    view->approvals.push_back(std::move(approval));
  }
  auto started = rollout_of_plan(id);
  if (!started) return std::move(started).error();
  view->started_as = *std::move(started);
  return view;
}
Result<Plan> FleetStore::host_plan(const PlanId& id, const HostId& host) {
  auto found = only(read_first<HostPlan>(sql_.run(kGetHostPlan, sql_values(id, host)), [](RowReader& row) { return row.document<HostPlan>("document"); }),
                    "a plan for " + quoted(host.text()) + " in " + quoted(id.text()));
  if (!found) return std::move(found).error();
  return std::move(found->plan);
}
Result<std::vector<PlanSummary>> FleetStore::plans(const PageRequest& page) {
  return read_all<PlanSummary>(sql_.run(kListPlans, sql_values(page.after, limit_of(page))), [](RowReader& row) {
    PlanSummary plan;
    plan.id = row.get<PlanId>("id");
    plan.digest = row.get<Digest>("digest");
    plan.created = row.get<Instant>("created_at");
    plan.created_by = row.get<std::string>("created_by");
    plan.state = row.get<std::string>("state");
    auto document = row.document<PlanDocument>("document");
    plan.purpose = document.rollout.purpose;
    plan.selector = document.rollout.selector;
    plan.hosts = document.rollout.host_count;
    return plan;
  });
}
Status FleetStore::set_plan_state(const PlanId& id, std::string_view state) { return done(sql_.run(kPlanState, sql_values(id, state))); }
Status FleetStore::add_approval(const PlanId& id, const ApprovalView& approval, const Envelope& envelope) {
  return done(sql_.run(kAddApproval, sql_values(id, approval.approver, approval.key_id, approval.at, to_json(envelope))));
}
Result<std::vector<Envelope>> FleetStore::approval_envelopes(const PlanId& id) {
  return read_all<Envelope>(sql_.run(kGetApprovals, sql_values(id)), [](RowReader& row) { return row.document<Envelope>("envelope"); });
}

Status FleetStore::save_rollout_host(const RolloutId& rollout, const RolloutPlan& plan, const RolloutHost& host, Instant now) {
  return done(sql_.run(kSaveRolloutHost, sql_values(rollout, host.host, wave_of(plan, host.index), host.state, host.run, now, to_json(host))));
}
namespace {
// The row of a rollout; its hosts have rows of their own, so that a change of one writes one.
Json without_hosts(const Rollout& rollout) {
  Rollout bare = rollout;
  bare.hosts.clear();
  return to_json(bare);
}
}  // namespace
Status FleetStore::add_rollout(const Rollout& rollout, Instant now) {
  if (auto added = done(sql_.run(kAddRollout, sql_values(rollout.id, rollout.plan.id, rollout.state, rollout.wave, now, without_hosts(rollout)))); !added)
    return added;
  for (const RolloutHost& host : rollout.hosts)
    if (auto added = save_rollout_host(rollout.id, rollout.plan, host, now); !added) return added;
  return {};
}
Result<RolloutView> FleetStore::rollout(const RolloutId& id) {
  auto view = only(read_first<RolloutView>(sql_.run(kGetRollout, sql_values(id)),
                                           [](RowReader& row) {
                                             RolloutView out;
                                             out.rollout = row.document<Rollout>("document");
                                             out.created = row.get<Instant>("created_at");
                                             out.updated = row.get<Instant>("updated_at");
                                             return out;
                                           }),
                   "the rollout " + quoted(id.text()));
  if (!view) return view;
  auto hosts = read_all<RolloutHost>(sql_.run(kGetRolloutHosts, sql_values(id)), [](RowReader& row) { return row.document<RolloutHost>("document"); });
  if (!hosts) return std::move(hosts).error();
  view->rollout.hosts = *std::move(hosts);
  std::ranges::sort(view->rollout.hosts, {}, &RolloutHost::index);
  return view;
}
namespace {
RolloutId read_rollout_id(RowReader& row) { return row.get<RolloutId>("id"); }
}  // namespace
Result<std::vector<RolloutId>> FleetStore::unfinished_rollouts() { return read_all<RolloutId>(sql_.run(kUnfinishedRollouts), read_rollout_id); }
Result<std::vector<RolloutId>> FleetStore::unfinished_rollouts_of(const HostId& host) {
  return read_all<RolloutId>(sql_.run(kUnfinishedRolloutsOf, sql_values(host)), read_rollout_id);
}
Result<RolloutHost> FleetStore::rollout_host(const RolloutId& rollout, const HostId& host) {
  auto hosts = read_all<RolloutHost>(sql_.run(kGetRolloutHost, sql_values(rollout, host)), [](RowReader& row) { return row.document<RolloutHost>("document"); });
  if (!hosts) return std::move(hosts).error();
  if (hosts->empty()) return not_found(host.text() + " is not in " + rollout.text());
  return std::move(hosts->front());
}
Result<std::vector<RolloutView>> FleetStore::rollouts(const PageRequest& page) {
  auto ids = read_all<RolloutId>(sql_.run(kListRollouts, sql_values(page.after, limit_of(page))), read_rollout_id);
  if (!ids) return std::move(ids).error();
  std::vector<RolloutView> out;
  for (const RolloutId& id : *ids) {
    auto view = rollout(id);
    if (!view) return std::move(view).error();
    out.push_back(*std::move(view));
  }
  return out;
}
Result<std::optional<RolloutId>> FleetStore::rollout_of_plan(const PlanId& plan) {
  return read_first<RolloutId>(sql_.run(kRolloutOfPlan, sql_values(plan)), read_rollout_id);
}
Status FleetStore::save_rollout(const Rollout& before, const Rollout& after, Instant now) {
  if (before == after) return {};
  if (auto saved = done(sql_.run(kSaveRollout, sql_values(after.id, after.state, after.wave, now, without_hosts(after)))); !saved) return saved;
  check(before.hosts.size() == after.hosts.size(), "the hosts of a rollout never change");
  for (std::size_t i = 0; i < after.hosts.size(); ++i)
    if (before.hosts[i] != after.hosts[i])
      if (auto saved = save_rollout_host(after.id, after.plan, after.hosts[i], now); !saved) return saved;
  return {};
}

Status FleetStore::add_run(const RunView& run, const Digest& plan_digest) {
  return done(sql_.run(kAddRun, sql_values(run.id, run.host, run.rollout, run.plan, plan_digest, run.state, run.started, run.ended, to_json(run))));
}
Status FleetStore::save_run(const RunView& run) { return done(sql_.run(kSaveRun, sql_values(run.id, run.state, run.ended, to_json(run)))); }
namespace {
RunView read_run(RowReader& row) { return row.document<RunView>("document"); }
}  // namespace
Result<RunView> FleetStore::run(const RunId& id) {
  return only(read_first<RunView>(sql_.run(kGetRun, sql_values(id)), read_run), "the run " + quoted(id.text()));
}
Result<std::vector<RunView>> FleetStore::runs(const std::optional<HostId>& host, const std::optional<RolloutId>& rollout, const PageRequest& page) {
  return read_all<RunView>(sql_.run(kListRuns, sql_values(page.after, limit_of(page), host, rollout)), read_run);
}
Result<std::vector<RunView>> FleetStore::recent_runs(const HostId& host, std::size_t limit) {
  return read_all<RunView>(sql_.run(kRecentRuns, sql_values(host, std::min(limit, kPageMax))), read_run);
}
Result<std::uint64_t> FleetStore::take_sequence(const HostId& host) {
  auto next = only(read_first<std::uint64_t>(sql_.run(kTakeSequence, sql_values(host)), [](RowReader& row) { return row.get<std::uint64_t>("next_sequence"); }),
                   "a sequence");
  if (!next) return next;
  return *next - 1;
}
Status FleetStore::add_order(const OrderRow& o) {
  return done(sql_.run(kAddOrder, sql_values(o.id, o.host, o.sequence, o.epoch, o.run, o.state, o.issued, o.expires, to_json(o.envelope))));
}
Result<std::vector<OrderRow>> FleetStore::pending_orders(const HostId& host, std::uint64_t after) {
  return read_all<OrderRow>(sql_.run(kPendingOrders, sql_values(host, after)), read_order);
}
Result<std::vector<OrderRow>> FleetStore::overdue_orders(Instant expired_before) {
  return read_all<OrderRow>(sql_.run(kOverdueOrders, sql_values(expired_before)), read_order);
}
Status FleetStore::set_order_state(const RunId& run, std::string_view state) { return done(sql_.run(kOrderState, sql_values(run, state))); }

Status FleetStore::add_token(const TokenRow& t) {
  return done(sql_.run(kAddToken, sql_values(t.id, t.hash, t.kind, t.name, to_json(t.scopes), t.created, t.expires, to_json(t.labels))));
}
Result<std::optional<TokenRow>> FleetStore::token_by_hash(const Digest& hash) {
  return read_first<TokenRow>(sql_.run(kTokenByHash, sql_values(hash)), read_token);
}
Result<std::vector<TokenRow>> FleetStore::tokens(const PageRequest& page) {
  return read_all<TokenRow>(sql_.run(kListTokens, sql_values(page.after, limit_of(page))), read_token);
}
Result<bool> FleetStore::use_token(std::string_view id, std::string_view by, Instant now) {
  auto rows = sql_.run(kUseToken, sql_values(id, now, by));
  if (!rows) return std::move(rows).error();
  return !rows->empty();
}
Result<bool> FleetStore::revoke_token(std::string_view id, Instant now) {
  auto rows = sql_.run(kRevokeToken, sql_values(id, now));
  if (!rows) return std::move(rows).error();
  return !rows->empty();
}
Status FleetStore::touch_token(std::string_view id, Instant now) { return done(sql_.run(kTouchToken, sql_values(id, now))); }

Status FleetStore::add_policy(std::uint64_t serial, const Envelope& envelope, const Digest& digest, Instant now, Instant expires) {
  if (auto retired = done(sql_.run(kRetirePolicies)); !retired) return retired;
  return done(sql_.run(kAddPolicy, sql_values("POL-" + std::to_string(serial), digest, now, expires, to_json(envelope))));
}
Result<std::optional<Envelope>> FleetStore::policy() {
  return read_first<Envelope>(sql_.run(kGetPolicy), [](RowReader& row) { return row.document<Envelope>("envelope"); });
}

Result<std::uint64_t> FleetStore::take_epoch(std::string_view holder, Instant now) {
  return only(read_first<std::uint64_t>(sql_.run(kTakeEpoch, sql_values(holder, now)), [](RowReader& row) { return row.get<std::uint64_t>("epoch"); }), "an epoch");
}

Result<std::optional<FleetStore::Remembered>> FleetStore::remembered(std::string_view scope, std::string_view key) {
  return read_first<Remembered>(sql_.run(kRemembered, sql_values(scope, key)), [](RowReader& row) {
    return Remembered{row.get<Digest>("request_digest"), row.get<int>("status"), row.get<std::string>("response")};
  });
}
Status FleetStore::remember(std::string_view scope, std::string_view key, const Remembered& answer, Instant now) {
  return done(sql_.run(kRemember, sql_values(scope, key, answer.request, answer.status, answer.response, now)));
}

Result<FleetStore::Counts> FleetStore::counts() {
  auto count = [&](const Statement& statement) {
    return only(read_first<std::uint64_t>(sql_.run(statement), [](RowReader& row) { return row.get<std::uint64_t>("n"); }), "a count");
  };
  auto hosts = count(kCountHosts);
  if (!hosts) return std::move(hosts).error();
  auto findings = count(kCountFindings);
  if (!findings) return std::move(findings).error();
  return Counts{*hosts, *findings};
}

Result<std::vector<PlanId>> FleetStore::plans_of(const HostId& host, std::size_t limit) {
  return read_all<PlanId>(sql_.run(kPlansOf, sql_values(host, limit)), [](RowReader& row) { return row.get<PlanId>("id"); });
}

Result<std::vector<std::string>> FleetStore::last_done(std::size_t limit) {
  return read_all<std::string>(sql_.run(kLastDone, sql_values(limit)), [](RowReader& row) {
    auto entry = row.document<AuditEntry>("document");
    std::string subject = entry.subject.host ? entry.subject.host->text() : entry.subject.rollout ? entry.subject.rollout->text() : "";
    return to_rfc3339(entry.at) + " " + entry.kind + " " + subject + ": " + entry.why;
  });
}

Result<std::uint64_t> FleetStore::hosts_broken_since(Instant since) {
  return only(read_first<std::uint64_t>(sql_.run(kBrokenSince, sql_values(since)), [](RowReader& row) { return row.get<std::uint64_t>("n"); }), "a count");
}

}  // namespace prunella
