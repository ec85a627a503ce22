#include "record/schema.h"

#include <array>

#include "base/text.h"

// The tables follow four habits:
//   - `document` is the canonical JSON of the model value, and the other columns repeat what is searched, sorted or counted;
//   - a list is paged by (sort column, id), so each list that the API serves has an index that ends in the id;
//   - ...at columns are milliseconds since 1970 UTC, NULL while it hasn't happened;
//   - nothing that a person may need to explain the past is deleted: a host that leaves gets a state, a token a revoked_at.
namespace prunella {

namespace {

const Statement kCreateVersions{"schema.create_versions", R"(
CREATE TABLE IF NOT EXISTS schema_version (
  version BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  applied_at BIGINT NOT NULL
))"};
const Statement kListVersions{"schema.list_versions", "SELECT version, name, digest FROM schema_version ORDER BY version"};
const Statement kAddVersion{"schema.add_version",
                            "INSERT INTO schema_version (version, name, digest, applied_at) VALUES ($1, $2, $3, $4)"};

constexpr Statement kFirst[] = {
    // Small values of the installation: its id, when it was made, the public keys that it signs with.
    {"create meta", "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"},

    // --- hosts -------------------------------------------------------------------------------------------------------------
    // last_seen_at is NULL until the first report. labels is the canonical JSON object; host_labels is the same, searchable.
    {"create hosts", R"(
CREATE TABLE hosts (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  key_fingerprint TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  environment TEXT NOT NULL,
  labels TEXT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  last_seen_at BIGINT,
  document TEXT NOT NULL
))"},
    {"index hosts by name", "CREATE INDEX hosts_by_name ON hosts (name, id)"},
    {"index hosts by state", "CREATE INDEX hosts_by_state ON hosts (state, id)"},
    {"index hosts by environment", "CREATE INDEX hosts_by_environment ON hosts (environment, id)"},
    {"index hosts by last_seen_at", "CREATE INDEX hosts_by_last_seen_at ON hosts (last_seen_at, id)"},
    {"create host_labels", R"(
CREATE TABLE host_labels (
  host TEXT NOT NULL REFERENCES hosts (id),
  label TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (host, label)
))"},
    {"index host_labels by value", "CREATE INDEX host_labels_by_value ON host_labels (label, value, host)"},

    // What a host last said, a row a section ("packages", "units", ...). sequence is the event's in its source; digest is the
    // SHA-256 of document, so that an equal report writes nothing.
    {"create host_sections", R"(
CREATE TABLE host_sections (
  host TEXT NOT NULL REFERENCES hosts (id),
  section TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  digest TEXT NOT NULL,
  observed_at BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (host, section)
))"},

    // Where we are in each source of events of a host. resync is 1 while a gap was found and not yet healed.
    {"create host_sources", R"(
CREATE TABLE host_sources (
  host TEXT NOT NULL REFERENCES hosts (id),
  source TEXT NOT NULL,
  last_sequence BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  resync BIGINT NOT NULL,
  PRIMARY KEY (host, source)
))"},

    // The number that the next order for a host gets. It only grows; the executor refuses one that it has seen.
    {"create host_sequences", R"(
CREATE TABLE host_sequences (
  host TEXT NOT NULL PRIMARY KEY REFERENCES hosts (id),
  next_sequence BIGINT NOT NULL
))"},

    {"create certificates", R"(
CREATE TABLE certificates (
  serial TEXT NOT NULL PRIMARY KEY,
  host TEXT NOT NULL REFERENCES hosts (id),
  fingerprint TEXT NOT NULL UNIQUE,
  issued_at BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  revoked_at BIGINT
))"},
    {"index certificates by host", "CREATE INDEX certificates_by_host ON certificates (host, not_after, serial)"},
    {"index certificates by not_after", "CREATE INDEX certificates_by_not_after ON certificates (not_after, serial)"},

    // --- findings ----------------------------------------------------------------------------------------------------------
    // One row a finding: its id is made of host, kind and subject, so that it opens again instead of coming twice; its history
    // is finding_events. severity_rank sorts what severity names (higher is worse).
    {"create findings", R"(
CREATE TABLE findings (
  id TEXT NOT NULL PRIMARY KEY,
  host TEXT NOT NULL REFERENCES hosts (id),
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  severity TEXT NOT NULL,
  severity_rank BIGINT NOT NULL,
  state TEXT NOT NULL,
  opened_at BIGINT NOT NULL,
  cleared_at BIGINT,
  document TEXT NOT NULL,
  UNIQUE (host, kind, subject)
))"},
    {"index findings by host", "CREATE INDEX findings_by_host ON findings (host, state, id)"},
    {"index findings by severity", "CREATE INDEX findings_by_severity ON findings (state, severity_rank, id)"},
    {"index findings by kind", "CREATE INDEX findings_by_kind ON findings (kind, state, id)"},
    {"index findings by subject", "CREATE INDEX findings_by_subject ON findings (subject, state, id)"},
    {"index findings by opened_at", "CREATE INDEX findings_by_opened_at ON findings (opened_at, id)"},
    {"create finding_events", R"(
CREATE TABLE finding_events (
  finding TEXT NOT NULL REFERENCES findings (id),
  number BIGINT NOT NULL,
  at BIGINT NOT NULL,
  change TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (finding, number)
))"},

    // --- policies, plans, approvals ----------------------------------------------------------------------------------------
    // envelope is the signed form, byte for byte.
    {"create policies", R"(
CREATE TABLE policies (
  id TEXT NOT NULL PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  envelope TEXT NOT NULL
))"},
    {"index policies by state", "CREATE INDEX policies_by_state ON policies (state, created_at, id)"},

    // document is the canonical JSON whose SHA-256 is digest: the bytes that are shown, approved and executed.
    {"create plans", R"(
CREATE TABLE plans (
  id TEXT NOT NULL PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  document TEXT NOT NULL
))"},
    {"index plans by created_at", "CREATE INDEX plans_by_created_at ON plans (created_at, id)"},
    {"index plans by state", "CREATE INDEX plans_by_state ON plans (state, created_at, id)"},
    {"create host_plans", R"(
CREATE TABLE host_plans (
  plan TEXT NOT NULL REFERENCES plans (id),
  host TEXT NOT NULL REFERENCES hosts (id),
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (plan, host)
))"},
    {"index host_plans by host", "CREATE INDEX host_plans_by_host ON host_plans (host, plan)"},
    {"index host_plans by digest", "CREATE INDEX host_plans_by_digest ON host_plans (digest, plan, host)"},

    // A person approves once, and one key doesn't speak for two persons.
    {"create approvals", R"(
CREATE TABLE approvals (
  plan TEXT NOT NULL REFERENCES plans (id),
  approver TEXT NOT NULL,
  key_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  envelope TEXT NOT NULL,
  PRIMARY KEY (plan, approver),
  UNIQUE (plan, key_id)
))"},

    // --- rollouts, runs, orders --------------------------------------------------------------------------------------------
    // generation grows with each change of the row, so that a writer who read an older one notices.
    {"create rollouts", R"(
CREATE TABLE rollouts (
  id TEXT NOT NULL PRIMARY KEY,
  plan TEXT NOT NULL REFERENCES plans (id),
  state TEXT NOT NULL,
  wave BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  document TEXT NOT NULL
))"},
    {"index rollouts by created_at", "CREATE INDEX rollouts_by_created_at ON rollouts (created_at, id)"},
    {"index rollouts by state", "CREATE INDEX rollouts_by_state ON rollouts (state, created_at, id)"},
    {"index rollouts by plan", "CREATE INDEX rollouts_by_plan ON rollouts (plan, id)"},

    {"create runs", R"(
CREATE TABLE runs (
  id TEXT NOT NULL PRIMARY KEY,
  host TEXT NOT NULL REFERENCES hosts (id),
  rollout TEXT REFERENCES rollouts (id),
  plan TEXT REFERENCES plans (id),
  plan_digest TEXT NOT NULL,
  state TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT,
  document TEXT NOT NULL
))"},
    {"index runs by started_at", "CREATE INDEX runs_by_started_at ON runs (started_at, id)"},
    {"index runs by host", "CREATE INDEX runs_by_host ON runs (host, started_at, id)"},
    {"index runs by state", "CREATE INDEX runs_by_state ON runs (state, started_at, id)"},
    {"index runs by rollout", "CREATE INDEX runs_by_rollout ON runs (rollout, id)"},
    {"index runs by plan", "CREATE INDEX runs_by_plan ON runs (plan, id)"},

    // The row is there before the order goes out; (rollout, host) being the key is what keeps a host from being done twice.
    {"create rollout_hosts", R"(
CREATE TABLE rollout_hosts (
  rollout TEXT NOT NULL REFERENCES rollouts (id),
  host TEXT NOT NULL REFERENCES hosts (id),
  wave BIGINT NOT NULL,
  state TEXT NOT NULL,
  run TEXT REFERENCES runs (id),
  order_id TEXT,
  order_sequence BIGINT,
  updated_at BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (rollout, host)
))"},
    {"index rollout_hosts by wave", "CREATE INDEX rollout_hosts_by_wave ON rollout_hosts (rollout, wave, state, host)"},
    {"index rollout_hosts by host", "CREATE INDEX rollout_hosts_by_host ON rollout_hosts (host, rollout)"},
    {"index rollout_hosts by run", "CREATE INDEX rollout_hosts_by_run ON rollout_hosts (run)"},

    // epoch is the term of the control plane that signed (leases.epoch): the executor refuses an older one.
    {"create orders", R"(
CREATE TABLE orders (
  id TEXT NOT NULL PRIMARY KEY,
  host TEXT NOT NULL REFERENCES hosts (id),
  sequence BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  run TEXT REFERENCES runs (id),
  state TEXT NOT NULL,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  envelope TEXT NOT NULL,
  UNIQUE (host, sequence)
))"},
    {"index orders by host", "CREATE INDEX orders_by_host ON orders (host, state, sequence)"},
    {"index orders by expires_at", "CREATE INDEX orders_by_expires_at ON orders (state, expires_at, id)"},
    {"index orders by run", "CREATE INDEX orders_by_run ON orders (run)"},

    // --- access ------------------------------------------------------------------------------------------------------------
    // hash is the SHA-256 of the token; the token itself is shown once and kept nowhere. used_at and used_by belong to enrolment
    // tokens, which work once: UPDATE ... WHERE used_at IS NULL RETURNING decides who was first.
    {"create tokens", R"(
CREATE TABLE tokens (
  id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  used_by TEXT,
  revoked_at BIGINT,
  last_used_at BIGINT,
  document TEXT NOT NULL
))"},
    {"index tokens by kind", "CREATE INDEX tokens_by_kind ON tokens (kind, created_at, id)"},
    {"index tokens by expires_at", "CREATE INDEX tokens_by_expires_at ON tokens (expires_at, id)"},

    // An answer that is given again when a client repeats its request. scope is the token's id: no client sees another's answer.
    // status and response are NULL while the first request is being worked on.
    {"create idempotency", R"(
CREATE TABLE idempotency (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  status BIGINT,
  response TEXT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (scope, key)
))"},
    {"index idempotency by created_at", "CREATE INDEX idempotency_by_created_at ON idempotency (created_at)"},

    // Who leads, and in which term: epoch grows with each change of holder and fences what an older leader still sends.
    {"create leases", R"(
CREATE TABLE leases (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  until_at BIGINT NOT NULL
))"},

    // --- audit (record/audit.h) --------------------------------------------------------------------------------------------
    // document is the whole entry as its canonical line; the other columns repeat it and are compared with it by the verifiers.
    // No foreign keys: the log stands alone.
    {"create audit", R"(
CREATE TABLE audit (
  sequence BIGINT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  host TEXT,
  finding TEXT,
  policy TEXT,
  plan TEXT,
  rollout TEXT,
  run TEXT,
  order_id TEXT,
  token TEXT,
  document TEXT NOT NULL,
  entry_hash TEXT NOT NULL UNIQUE
))"},
    {"index audit by at", "CREATE INDEX audit_by_at ON audit (at, sequence)"},
    {"index audit by actor", "CREATE INDEX audit_by_actor ON audit (actor, sequence)"},
    {"index audit by kind", "CREATE INDEX audit_by_kind ON audit (kind, sequence)"},
    {"index audit by host", "CREATE INDEX audit_by_host ON audit (host, sequence)"},
    {"index audit by finding", "CREATE INDEX audit_by_finding ON audit (finding, sequence)"},
    {"index audit by plan", "CREATE INDEX audit_by_plan ON audit (plan, sequence)"},
    {"index audit by rollout", "CREATE INDEX audit_by_rollout ON audit (rollout, sequence)"},
    {"index audit by run", "CREATE INDEX audit_by_run ON audit (run, sequence)"},
};

constexpr Migration kMigrations[] = {
    {1, "the loop closes: hosts, findings, plans, rollouts, runs, orders, access, audit", kFirst},
};

Status apply(SqlConnection& connection, const Migration& step, Instant now) {
  for (const Statement& statement : step.statements)
    if (auto ran = connection.run(statement); !ran) return std::move(ran).error();
  auto added = connection.run(kAddVersion, sql_values(step.version, step.name, step.digest(), now));
  if (!added) return std::move(added).error();
  return {};
}

Status migrate_within(SqlConnection& connection, std::span<const Migration> steps, Instant now) {
  if (auto made = connection.run(kCreateVersions); !made) return std::move(made).error();
  auto rows = connection.run(kListVersions);
  if (!rows) return std::move(rows).error();
  std::size_t applied = 0;
  for (Row each : *rows) {
    RowReader row(each);
    auto version = row.get<std::int64_t>("version");
    auto name = row.get<std::string>("name");
    auto digest = row.get<Digest>("digest");
    if (auto read = row.finish(); !read) return read;
    if (version > static_cast<std::int64_t>(steps.size()))
      return conflict("the database has schema version " + std::to_string(version) + " (" + name + "), this program knows 1 to " +
                      std::to_string(steps.size()) + ": install the Prunella that wrote it, or a newer one");
    if (version != static_cast<std::int64_t>(applied) + 1)
      return corrupt("schema version " + std::to_string(version) + " follows " + std::to_string(applied));
    if (digest != steps[applied].digest())
      return corrupt("schema version " + std::to_string(version) + " was made by other statements (" + digest.brief() +
                     ") than this program's (" + steps[applied].digest().brief() + ")");
    ++applied;
  }
  for (const Migration& step : steps.subspan(applied))
    if (auto ran = apply(connection, step, now); !ran)
      return std::move(ran).error().during("schema version " + std::to_string(step.version));
  return {};
}

// Two programs that start on an empty PostgreSQL at once may both make the first table; the second then finds it there.
constexpr int kAttemptsMax = 3;

}  // namespace

Digest Migration::digest() const {
  Sha256 sha;
  for (const Statement& statement : statements) {
    sha.add(as_bytes(statement.sql));
    sha.add(as_bytes(std::string_view("\0", 1)));
  }
  return sha.finish();
}

std::span<const Migration> migrations() { return kMigrations; }

Status migrate(SqlConnection& connection, Instant now) { return migrate(connection, migrations(), now); }

Status migrate(SqlConnection& connection, std::span<const Migration> steps, Instant now) {
  for (std::size_t i = 0; i < steps.size(); ++i)
    check(steps[i].version == static_cast<std::int64_t>(i) + 1, "migrations are numbered 1, 2, 3, ...");
  for (int attempt = 1;; ++attempt) {
    bool collided = false;
    auto done = with_transaction(connection, [&]() -> Status {
      auto ran = migrate_within(connection, steps, now);
      // A conflict with a table that another has just made, and not our own refusal of a newer version.
      collided = !ran && ran.error().kind() == ErrorKind::kConflict && ran.error().text().starts_with("schema.");
      return ran;
    });
    if (done) return {};
    if (!collided || attempt == kAttemptsMax)
      return std::move(done).error().during("bringing " + connection.description() + " to schema version " +
                                            std::to_string(steps.size()));
  }
}

}  // namespace prunella
