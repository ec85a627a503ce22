#include "record/audit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"

namespace prunella {

namespace {

const Statement kLast{"audit.last", "SELECT sequence, at, entry_hash FROM audit ORDER BY sequence DESC LIMIT 1"};
const Statement kLastOfKind{"audit.last_of_kind", "SELECT sequence, at, entry_hash FROM audit WHERE kind = $1 ORDER BY sequence DESC LIMIT 1"};
const Statement kAppend{"audit.append", R"(
INSERT INTO audit (sequence, at, actor, kind, host, finding, policy, plan, rollout, run, order_id, token, document, entry_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14))"};
const Statement kPage{"audit.page", R"(
SELECT sequence, at, actor, kind, host, finding, policy, plan, rollout, run, order_id, token, document, entry_hash
FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2)"};

// Names of members under which a secret would be the natural thing to find.
constexpr auto kSecretWords = std::to_array<std::string_view>(
    {"api_key", "authorization", "cookie", "passphrase", "password", "private_key", "secret", "seed"});
// The details lie three levels deep in nothing, but leave room below parse_json's default of 32.
constexpr int kDepthMax = 24;
constexpr std::int64_t kExactMax = std::int64_t{1} << 53;  // RFC 7493 section 2.2

Status check_text(std::string_view text, std::string_view where) {
  if (!is_valid_utf8(text)) return invalid_input(std::string(where) + " is no valid UTF-8: " + quoted(text));
  // Not quoted: it may be one.
  if (text.find("PRIVATE KEY-----") != std::string_view::npos)
    return invalid_input(std::string(where) + " holds a private key, and secrets never go into the audit log");
  return {};
}

Status check_details(const Json& value, std::string_view where, int depth) {
  if (depth > kDepthMax) return exhausted("details nest deeper than " + std::to_string(kDepthMax));
  if (value.as_double())
    return invalid_input(std::string(where) + " is a fraction; write a whole number of a smaller unit, or a text");
  if (const std::int64_t* number = value.as_int(); number && (*number > kExactMax || *number < -kExactMax))
    return invalid_input(std::string(where) + " is " + std::to_string(*number) + ", beyond 2^53; write it as a text");
  if (const std::string* text = value.as_string()) return check_text(*text, where);
  if (const Json::Array* array = value.as_array())
    for (const Json& element : *array)
      if (auto fits = check_details(element, where, depth + 1); !fits) return fits;
  if (const Json::Object* object = value.as_object())
    for (const auto& [key, member] : *object) {
      if (auto fits = check_text(key, "a key in " + std::string(where)); !fits) return fits;
      if (std::ranges::find(kSecretWords, key) != kSecretWords.end())
        return invalid_input("details have a member " + quoted(key) + ", and secrets never go into the audit log");
      if (auto fits = check_details(member, key, depth + 1); !fits) return fits;
    }
  return {};
}

Status check_record(const AuditRecord& record) {
  if (record.actor.empty()) return invalid_input("the actor is empty; 'person:mara' would be right");
  if (record.actor.size() > kAuditActorBytesMax)
    return exhausted("the actor has " + std::to_string(record.actor.size()) + " bytes, the limit is " +
                     std::to_string(kAuditActorBytesMax));
  if (auto named = check_name("the kind", record.kind); !named) return named;
  if (record.why.empty()) return invalid_input("why is empty: an entry says why");
  if (record.why.size() > kAuditWhyBytesMax)
    return exhausted("why has " + std::to_string(record.why.size()) + " bytes, the limit is " +
                     std::to_string(kAuditWhyBytesMax));
  if (auto fits = check_text(record.actor, "the actor"); !fits) return fits;
  if (auto fits = check_text(record.why, "why"); !fits) return fits;
  if (auto fits = check_details(to_json(record.subject), "the subject", 0); !fits) return fits;
  if (!record.details.as_object())
    return invalid_input("details are " + std::string(record.details.type_name()) + ", not an object");
  return check_details(record.details, "details", 0);
}

// A fraction anywhere: two programs may write it differently, so it never is part of a sound entry.
bool has_fraction(const Json& value) {
  if (value.as_double()) return true;
  if (const Json::Array* array = value.as_array()) return std::ranges::any_of(*array, has_fraction);
  if (const Json::Object* object = value.as_object())
    return std::ranges::any_of(*object, [](const auto& member) { return has_fraction(member.second); });
  return false;
}

Result<AuditEntry> parse_line(std::string_view line) {
  auto json = parse_json(line, {.bytes_max = kAuditLineBytesMax});
  if (!json) return std::move(json).error();
  auto entry = from_json<AuditEntry>(*json);
  if (!entry) return entry;
  if (!entry->details.as_object()) return invalid_input("details are " + std::string(entry->details.type_name()));
  if (has_fraction(entry->details)) return invalid_input("details hold a fraction");
  if (audit_line(*entry) != line) return invalid_input("the line isn't in canonical form");
  return entry;
}

std::vector<SqlValue> columns_of(const AuditEntry& e) {
  return sql_values(e.sequence, e.at, e.actor, e.kind, e.subject.host, e.subject.finding, e.subject.policy, e.subject.plan,
                    e.subject.rollout, e.subject.run, e.subject.order, e.subject.token, audit_line(e), e.hash);
}
constexpr auto kColumns = std::to_array<std::string_view>({"sequence", "at", "actor", "kind", "host", "finding", "policy", "plan",
                                                           "rollout", "run", "order_id", "token", "document", "entry_hash"});

// The entry of a row of kPage, whose every column says what its line says.
Result<AuditEntry> entry_of(Row row) {
  RowReader reader(row);
  auto line = reader.get<std::string>("document");
  if (auto read = reader.finish(); !read) return std::move(read).error();
  auto entry = parse_line(line);
  if (!entry) return corrupt("the document is no entry: " + entry.error().text());
  auto expected = columns_of(*entry);
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    const SqlValue* found = row.find(kColumns[i]);
    if (!found || *found != expected[i])
      return corrupt("the column " + quoted(kColumns[i]) + " says something else than the entry");
  }
  return entry;
}

Json signed_part(const AuditCheckpoint& checkpoint) {
  Json json = to_json(checkpoint);
  json.as_object()->erase("signature");
  return json;
}

std::string signed_bytes(const AuditCheckpoint& checkpoint) {
  return std::string(kAuditCheckpointContext) + to_canonical(signed_part(checkpoint));
}

Result<std::optional<AuditPlace>> place_in(Result<Rows> rows) {
  if (!rows) return std::move(rows).error();
  if (rows->empty()) return std::optional<AuditPlace>();
  RowReader row((*rows)[0]);
  AuditPlace place{row.get<std::int64_t>("sequence"), row.get<Instant>("at"), row.get<Digest>("entry_hash")};
  if (auto read = row.finish(); !read) return std::move(read).error();
  return std::optional(place);
}

Result<Rows> page_after(SqlConnection& connection, std::int64_t after, std::int64_t limit) {
  return connection.run(kPage, sql_values(after, std::min(limit, kAuditPageMax)));
}

}  // namespace

Digest audit_hash(const AuditEntry& entry) {
  Json json = to_json(entry);
  json.as_object()->erase("hash");
  return sha256(to_canonical(json));
}

std::string audit_line(const AuditEntry& entry) { return to_canonical_text(entry); }

Result<AuditEntry> make_audit_entry(std::int64_t last_sequence, const Digest& last_hash, const AuditRecord& record, Instant now) {
  if (auto fits = check_record(record); !fits) return std::move(fits).error().during("audit entry " + quoted(record.kind));
  AuditEntry entry{.sequence = last_sequence + 1,
                   .at = now,
                   .actor = record.actor,
                   .kind = record.kind,
                   .subject = record.subject,
                   .why = record.why,
                   .details = record.details,
                   .previous_hash = last_hash,
                   .hash = {}};
  if (std::size_t size = to_canonical(entry.details).size(); size > kAuditDetailsBytesMax)
    return exhausted("audit entry " + quoted(record.kind) + ": details have " + std::to_string(size) + " bytes, the limit is " +
                     std::to_string(kAuditDetailsBytesMax) + "; name a digest instead");
  entry.hash = audit_hash(entry);
  if (std::size_t size = audit_line(entry).size(); size > kAuditLineBytesMax)
    return exhausted("audit entry " + quoted(record.kind) + " has " + std::to_string(size) + " bytes, the limit is " +
                     std::to_string(kAuditLineBytesMax));
  return entry;
}

AuditCheckpoint make_audit_checkpoint(std::int64_t sequence, const Digest& hash, const PrivateKey& key, Instant now) {
  AuditCheckpoint checkpoint{.sequence = sequence, .hash = hash, .at = now, .key_id = key.public_key().key_id(), .signature = {}};
  checkpoint.signature = key.sign(as_bytes(signed_bytes(checkpoint)));
  return checkpoint;
}

bool verify_checkpoint(const AuditCheckpoint& checkpoint, const PublicKey& key) {
  return checkpoint.key_id == key.key_id() && verify(key, as_bytes(signed_bytes(checkpoint)), checkpoint.signature);
}

Result<std::optional<AuditPlace>> last_audit_entry(SqlConnection& connection) { return place_in(connection.run(kLast)); }

Result<std::optional<AuditPlace>> last_audit_checkpoint(SqlConnection& connection) {
  return place_in(connection.run(kLastOfKind, sql_values(kAuditCheckpointKind)));
}

Result<AuditCheckpoint> sign_last_audit_entry(SqlConnection& connection, const PrivateKey& key, Instant now) {
  auto last = last_audit_entry(connection);
  if (!last) return std::move(last).error();
  if (!*last) return not_found("the audit log is empty: there is no entry to sign");
  return make_audit_checkpoint((*last)->sequence, (*last)->hash, key, now);
}

Result<AuditEntry> append_audit(SqlConnection& connection, const AuditRecord& record, Instant now) {
  check(connection.in_transaction(), "an audit entry outside the transaction of its act");
  auto last = last_audit_entry(connection);
  if (!last) return std::move(last).error();
  AuditPlace before = last->value_or(AuditPlace{});
  auto entry = make_audit_entry(before.sequence, before.hash, record, now);
  if (!entry) return entry;
  if (auto added = connection.run(kAppend, columns_of(*entry)); !added) return std::move(added).error();
  return entry;
}

Result<AuditCheckpoint> append_audit_checkpoint(SqlConnection& connection, const PrivateKey& key, Instant now) {
  check(connection.in_transaction(), "an audit checkpoint outside a transaction");
  auto checkpoint = sign_last_audit_entry(connection, key, now);
  if (!checkpoint) return checkpoint;
  auto entry = append_audit(connection,
                            {.actor = "control-plane",
                             .kind = std::string(kAuditCheckpointKind),
                             .why = "signed the log up to entry " + std::to_string(checkpoint->sequence),
                             .details = to_json(*checkpoint)},
                            now);
  if (!entry) return std::move(entry).error();
  return checkpoint;
}

Result<std::vector<AuditEntry>> read_audit(SqlConnection& connection, std::int64_t after, std::int64_t limit) {
  auto rows = page_after(connection, after, limit);
  if (!rows) return std::move(rows).error();
  std::vector<AuditEntry> entries;
  for (Row row : *rows) {
    auto entry = entry_of(row);
    if (!entry)
      return std::move(entry).error().during("audit entry after " +
                                             std::to_string(entries.empty() ? after : entries.back().sequence));
    entries.push_back(*std::move(entry));
  }
  return entries;
}

Status export_audit(SqlConnection& connection, std::int64_t after, const std::function<Status(std::string_view)>& take) {
  auto view = SqlTransaction::begin(connection, Access::kRead);
  if (!view) return std::move(view).error();
  for (std::int64_t at = after;;) {
    auto rows = page_after(connection, at, kAuditPageMax);
    if (!rows) return std::move(rows).error();
    for (Row each : *rows) {
      // As it's stored, also when it's damaged: an export hides nothing, and the verifiers judge it.
      RowReader row(each);
      at = row.get<std::int64_t>("sequence");
      auto line = row.get<std::string>("document");
      if (auto read = row.finish(); !read) return read;
      if (auto taken = take(line); !taken) return taken;
    }
    if (rows->size() < static_cast<std::size_t>(kAuditPageMax)) return view->commit();
  }
}

// --- the verifier -------------------------------------------------------------------------------------------------------------

AuditVerifier::AuditVerifier(AuditExpectation expectation)
    : expectation_(std::move(expectation)), sequence_(expectation_.start_sequence), hash_(expectation_.start_hash) {
  for (const AuditCheckpoint& checkpoint : expectation_.checkpoints)
    if (check_signed(checkpoint)) outside_.emplace(checkpoint.sequence, checkpoint);
  // Those before a part of a log can't be compared with it, only the one at its very start.
  for (auto at = outside_.begin(); at != outside_.end() && at->first <= sequence_; at = outside_.erase(at))
    if (at->first == sequence_ && at->second.hash != hash_)
      fail(AuditFault::kRewritten, sequence_,
           "the checkpoint of entry " + std::to_string(sequence_) + " signed " + at->second.hash.brief() + ", the start says " +
               hash_.brief());
}

void AuditVerifier::fail(AuditFault fault, std::int64_t sequence, std::string text) {
  if (!break_) break_ = AuditBreak{fault, sequence, line_, std::move(text)};
}

bool AuditVerifier::check_signed(const AuditCheckpoint& checkpoint) {
  std::string what = "the checkpoint of entry " + std::to_string(checkpoint.sequence);
  auto key = std::ranges::find(expectation_.keys, checkpoint.key_id, &PublicKey::key_id);
  if (key == expectation_.keys.end()) {
    fail(AuditFault::kBadSignature, checkpoint.sequence,
         what + " is signed by the key " + quoted(checkpoint.key_id) + ", which isn't among the trusted ones");
    return false;
  }
  if (!verify_checkpoint(checkpoint, *key)) {
    fail(AuditFault::kBadSignature, checkpoint.sequence, "the signature of " + what + " is wrong");
    return false;
  }
  ++verdict_.checkpoints;
  return true;
}

void AuditVerifier::check_signatures(const AuditEntry& entry) {
  for (auto [at, end] = outside_.equal_range(entry.sequence); at != end; ++at)
    if (at->second.hash != entry.hash)
      return fail(AuditFault::kRewritten, entry.sequence,
                  "a checkpoint of " + to_rfc3339(at->second.at) + " signed the hash " + at->second.hash.brief() +
                      " for this entry, which now has " + entry.hash.brief());
  outside_.erase(entry.sequence);

  if (entry.kind != kAuditCheckpointKind) return;
  auto checkpoint = from_json<AuditCheckpoint>(entry.details);
  if (!checkpoint)
    return fail(AuditFault::kBadSignature, entry.sequence, "the entry holds no checkpoint: " + checkpoint.error().text());
  if (checkpoint->sequence != entry.sequence - 1 || checkpoint->hash != entry.previous_hash)
    return fail(AuditFault::kRewritten, entry.sequence,
                "the checkpoint signed entry " + std::to_string(checkpoint->sequence) + " with " + checkpoint->hash.brief() +
                    ", before it stands " + std::to_string(entry.sequence - 1) + " with " + entry.previous_hash.brief());
  if (expectation_.keys.empty())
    ++verdict_.checkpoints_unchecked;
  else
    check_signed(*checkpoint);
}

void AuditVerifier::check_link(const AuditEntry& entry) {
  std::int64_t expected = sequence_ + 1;
  if (entry.sequence > expected)
    return fail(AuditFault::kRemoved, expected,
                entry.sequence == expected + 1
                    ? "entry " + std::to_string(expected) + " is missing"
                    : "entries " + std::to_string(expected) + " to " + std::to_string(entry.sequence - 1) + " are missing");
  if (entry.sequence < expected)
    return fail(
        AuditFault::kInserted, entry.sequence,
        "entry " + std::to_string(entry.sequence) + " stands here once more, where " + std::to_string(expected) + " should be");
  if (entry.previous_hash != hash_)
    return fail(AuditFault::kUnlinked, entry.sequence,
                "it continues an entry with the hash " + entry.previous_hash.brief() + ", before it stands " + hash_.brief());
}

void AuditVerifier::add(const AuditEntry& entry) {
  ++line_;
  if (break_) {
    if (break_->fault == AuditFault::kRemoved && entry.sequence == break_->sequence) {
      break_->fault = AuditFault::kReordered;
      break_->text = "entry " + std::to_string(entry.sequence) + " stands after a later one, in line " + std::to_string(line_);
    }
    return;
  }
  Digest computed = audit_hash(entry);
  if (computed != entry.hash)
    return fail(AuditFault::kChanged, sequence_ + 1,
                "its hash says " + entry.hash.brief() + ", its content gives " + computed.brief());
  check_link(entry);
  if (break_) return;
  check_signatures(entry);
  if (break_) return;
  sequence_ = entry.sequence;
  hash_ = entry.hash;
  ++verdict_.entries;
}

void AuditVerifier::add_line(std::string_view line) {
  auto entry = parse_line(line);
  if (entry) return add(*entry);
  add_damaged("no entry in canonical form: " + entry.error().text());
}

void AuditVerifier::add_damaged(std::string text) {
  ++line_;
  fail(AuditFault::kChanged, sequence_ + 1, std::move(text));
}

AuditVerdict AuditVerifier::finish() {
  if (!break_ && !outside_.empty()) {
    const AuditCheckpoint& missing = outside_.rbegin()->second;
    fail(AuditFault::kTruncated, sequence_ + 1,
         "the log ends with entry " + std::to_string(sequence_) + ", a checkpoint of " + to_rfc3339(missing.at) +
             " signed entry " + std::to_string(missing.sequence));
  }
  verdict_.broken = break_;
  verdict_.last_sequence = sequence_;
  verdict_.last_hash = hash_;
  return verdict_;
}

AuditVerdict verify_audit_export(std::string_view ndjson, AuditExpectation expectation) {
  AuditVerifier verifier(std::move(expectation));
  while (!ndjson.empty()) {
    std::size_t end = ndjson.find('\n');
    if (end == std::string_view::npos) {
      verifier.add_damaged("the last line isn't ended by a line feed: the file was cut off");
      break;
    }
    verifier.add_line(ndjson.substr(0, end));
    ndjson.remove_prefix(end + 1);
  }
  return verifier.finish();
}

Result<AuditVerdict> verify_audit(SqlConnection& connection, AuditExpectation expectation) {
  AuditVerifier verifier(expectation);
  auto view = SqlTransaction::begin(connection, Access::kRead);
  if (!view) return std::move(view).error();
  for (std::int64_t at = expectation.start_sequence;;) {
    auto rows = page_after(connection, at, kAuditPageMax);
    if (!rows) return std::move(rows).error();
    for (Row each : *rows) {
      RowReader row(each);
      at = row.get<std::int64_t>("sequence");
      if (auto read = row.finish(); !read) {
        verifier.add_damaged(read.error().text());
        return verifier.finish();
      }
      auto entry = entry_of(each);
      if (entry)
        verifier.add(*entry);
      else
        verifier.add_damaged(entry.error().text());
    }
    if (verifier.broken() || rows->size() < static_cast<std::size_t>(kAuditPageMax)) break;
  }
  if (auto ended = view->commit(); !ended) return std::move(ended).error();
  return verifier.finish();
}

}  // namespace prunella
