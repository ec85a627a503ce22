#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/codec.h"
#include "base/ed25519.h"
#include "record/sql.h"

/// The audit log: what was found, decided, approved, done and what came of it, and each decision not to act, in one chain.
///
/// Canonical form. An entry is one JSON object on one line:
///
///     {"actor":"person:mara","at":"2026-11-24T03:02:48.123Z","details":{...},"hash":"<64 hex>","kind":"plan.approved",
///      "previous_hash":"<64 hex>","sequence":7,"subject":{"plan":"PLN-5k2m9x7q"},"why":"..."}
///
/// in canonical JSON (RFC 8785: keys in byte order, no blanks, the shortest escapes, UTF-8 as it is), here with whole numbers
/// only. `hash` is the SHA-256 of the canonical JSON of the same object without the member "hash". `previous_hash` is the `hash`
/// of the entry before it, and 64 zeros in the first entry, whose sequence is 1; sequences have no gaps. An export is these lines
/// in order, each ended by a line feed. In Python, an entry's hash is
///
///     del e["hash"]; hashlib.sha256(json.dumps(e, sort_keys=True, separators=(",", ":"),
///     ensure_ascii=False).encode()).hexdigest()
///
/// and tools/verify/prunella_verify.py is a whole second verifier. Both demand each line byte for byte in canonical form, so a
/// changed byte anywhere is found.
///
/// A chain alone can't show that its end was cut off or that all of it was written anew. For that there are checkpoints: a signature
/// over the sequence and hash of an entry. Whoever asks gets the last entry signed, which writes nothing; kept elsewhere, it shows
/// later that the log still holds what it held then. So that an export carries signatures of its own, the control plane also adds
/// one to the log now and then: an entry of the kind "audit.checkpoint" whose details sign the entry before it. It belongs to the
/// chain like any other. What was exported with it can't be written anew without the key; the end after it can be cut off, which
/// only a copy elsewhere shows.
///
/// Secrets never go in: no token, password, private key or content of a file that may hold one. The log is exported, copied and
/// never erased. A token is named by its id, a file by its path and digest. append() refuses the commonest slips (a member that
/// is called like a secret, a private key in PEM form), which is a net and no licence.
namespace prunella {

/// A sentence or a paragraph for people, not a log of its own.
inline constexpr std::size_t kAuditWhyBytesMax = 4096;
/// Evidence by reference: a digest, not a package list.
inline constexpr std::size_t kAuditDetailsBytesMax = 64 << 10;
inline constexpr std::size_t kAuditActorBytesMax = 256;
/// Longer than any line of append(): what a verifier reads before it gives up on a line.
inline constexpr std::size_t kAuditLineBytesMax = 128 << 10;
/// Entries of one page of an export: few round trips, and at most some megabytes in memory.
inline constexpr std::int64_t kAuditPageMax = 500;

inline constexpr std::string_view kAuditCheckpointKind = "audit.checkpoint";

/// What an entry is about; `prunella why HOST` and the like search by these.
struct AuditSubject {
  std::optional<HostId> host = {};
  std::optional<FindingId> finding = {};
  std::optional<PolicyId> policy = {};
  std::optional<PlanId> plan = {};
  std::optional<RolloutId> rollout = {};
  std::optional<RunId> run = {};
  std::optional<OrderId> order = {};
  std::optional<std::string> token = {};  ///< its id, never the token
  bool operator==(const AuditSubject&) const = default;
};
template <class F>
void fields(F& f, AuditSubject& s) {
  f("host", s.host);
  f("finding", s.finding);
  f("policy", s.policy);
  f("plan", s.plan);
  f("rollout", s.rollout);
  f("run", s.run);
  f("order", s.order);
  f("token", s.token);
}

struct AuditEntry {
  std::int64_t sequence = 0;
  Instant at;
  std::string actor;  ///< "person:mara", "policy:web-tier", "host:web-1-3f9a", "control-plane"
  std::string kind;   ///< "finding.opened", "plan.approved", "run.reverted", ...
  AuditSubject subject;
  std::string why;  ///< for people, also why nothing was done
  Json details = Json::Object();
  Digest previous_hash;
  Digest hash;
  bool operator==(const AuditEntry&) const = default;
};
template <class F>
void fields(F& f, AuditEntry& e) {
  f("sequence", e.sequence);
  f("at", e.at);
  f("actor", e.actor);
  f("kind", e.kind);
  f("subject", e.subject);
  f("why", e.why);
  f("details", e.details);
  f("previous_hash", e.previous_hash);
  f("hash", e.hash);
}

/// What a caller says; sequence, time, links and hash are added.
struct AuditRecord {
  std::string actor;
  std::string kind;
  AuditSubject subject = {};
  std::string why;
  Json details = Json::Object();
};

/// A signature over "the entry `sequence` has the hash `hash`". The signed bytes are kAuditCheckpointContext followed by the
/// canonical JSON {"at":...,"hash":...,"key_id":...,"sequence":...}.
struct AuditCheckpoint {
  std::int64_t sequence = 0;
  Digest hash;
  Instant at;
  std::string key_id;
  Signature signature;
  bool operator==(const AuditCheckpoint&) const = default;
};
template <class F>
void fields(F& f, AuditCheckpoint& c) {
  f("sequence", c.sequence);
  f("hash", c.hash);
  f("at", c.at);
  f("key_id", c.key_id);
  f("signature", c.signature);
}
inline constexpr std::string_view kAuditCheckpointContext = "prunella audit checkpoint v1\n";

/// The hash that `entry` must have; its own `hash` isn't looked at.
Digest audit_hash(const AuditEntry& entry);
/// The entry as its canonical line, without the line feed.
std::string audit_line(const AuditEntry& entry);
/// The next entry of a chain whose last entry is (sequence, hash); (0, zeros) begins one.
/// @error kInvalidInput  the record names no actor or kind, holds a fraction (numbers there have many texts) or text that is no
///                       UTF-8, or looks like it holds a secret.
/// @error kExhausted     it's longer than the limits above.
Result<AuditEntry> make_audit_entry(std::int64_t last_sequence, const Digest& last_hash, const AuditRecord& record, Instant now);
AuditCheckpoint make_audit_checkpoint(std::int64_t sequence, const Digest& hash, const PrivateKey& key, Instant now);
bool verify_checkpoint(const AuditCheckpoint& checkpoint, const PublicKey& key);

// --- in the store -------------------------------------------------------------------------------------------------------------

/// Adds an entry within the caller's transaction, so that an act and its entry are kept together or not at all. Times may step
/// back when the clock does; the order is the sequence.
/// @error as make_audit_entry, and of the store.
Result<AuditEntry> append_audit(SqlConnection& connection, const AuditRecord& record, Instant now);
/// Where an entry stands in the log, without what it says.
struct AuditPlace {
  std::int64_t sequence = 0;
  Instant at{};
  Digest hash;
};
/// The last entry; nothing when there is none.
Result<std::optional<AuditPlace>> last_audit_entry(SqlConnection& connection);
/// The last entry that holds a checkpoint; nothing when there is none.
Result<std::optional<AuditPlace>> last_audit_checkpoint(SqlConnection& connection);
/// The last entry, signed. Writes nothing. Keep a copy elsewhere.
/// @error kNotFound  the log is empty.
Result<AuditCheckpoint> sign_last_audit_entry(SqlConnection& connection, const PrivateKey& key, Instant now);
/// Signs the last entry and adds that as an entry, within the caller's transaction.
/// @error kNotFound  the log is empty.
Result<AuditCheckpoint> append_audit_checkpoint(SqlConnection& connection, const PrivateKey& key, Instant now);
/// Entries after `sequence`, oldest first, at most `limit` (up to kAuditPageMax). Each was compared with the columns beside it.
/// @error kCorrupt  a row holds no entry, or columns that say something else.
Result<std::vector<AuditEntry>> read_audit(SqlConnection& connection, std::int64_t after, std::int64_t limit);
/// The export: each line (without its line feed) to `take`, which stops it by failing. One unchanging view of the store; not
/// within a transaction.
/// @error of the store, or what `take` returned.
Status export_audit(SqlConnection& connection, std::int64_t after, const std::function<Status(std::string_view)>& take);

// --- the verifier -------------------------------------------------------------------------------------------------------------

enum class AuditFault {
  kChanged,       ///< a line isn't what was hashed, or no entry at all
  kUnlinked,      ///< the entry is sound in itself but doesn't continue the one before: that, or this, was written anew
  kRemoved,       ///< entries are missing in the middle (or at the start)
  kReordered,     ///< an entry stands after a later one
  kInserted,      ///< a sequence stands there twice
  kTruncated,     ///< the log ends before a checkpoint that was signed
  kRewritten,     ///< sound in itself, but not what the checkpoint signed
  kBadSignature,  ///< a checkpoint's signature is wrong, or of a key that isn't trusted
};
constexpr auto enum_words(AuditFault) {
  return std::to_array<EnumWord<AuditFault>>({{AuditFault::kChanged, "changed"},
                                              {AuditFault::kUnlinked, "unlinked"},
                                              {AuditFault::kRemoved, "removed"},
                                              {AuditFault::kReordered, "reordered"},
                                              {AuditFault::kInserted, "inserted"},
                                              {AuditFault::kTruncated, "truncated"},
                                              {AuditFault::kRewritten, "rewritten"},
                                              {AuditFault::kBadSignature, "bad signature"}});
}

/// The first place where the log is broken; what follows it can't be trusted and isn't judged.
struct AuditBreak {
  AuditFault fault = AuditFault::kChanged;
  std::int64_t sequence = 0;  ///< of the first entry that is wrong or missing
  std::int64_t line = 0;      ///< counted from 1, in the order in which the entries came
  std::string text;           ///< for people
};

struct AuditVerdict {
  std::optional<AuditBreak> broken;
  std::int64_t entries = 0;        ///< entries that were found sound
  std::int64_t last_sequence = 0;  ///< of the last sound one
  Digest last_hash;
  std::int64_t checkpoints = 0;            ///< signatures that were checked with a trusted key, inside and from elsewhere
  std::int64_t checkpoints_unchecked = 0;  ///< inside, but no key was given to check them with
  bool sound() const { return !broken; }
};

struct AuditExpectation {
  /// Keys that may sign checkpoints. Without any, checkpoints inside the log are counted as unchecked.
  std::vector<PublicKey> keys = {};
  /// Checkpoints kept elsewhere: the log must still hold their entries.
  std::vector<AuditCheckpoint> checkpoints = {};
  /// The entry before the first, for a part of a log.
  std::int64_t start_sequence = 0;
  Digest start_hash = {};
};

/// Verifies a chain entry by entry in constant memory. A copy of it is a bookmark: verification can go on from there.
class AuditVerifier {
 public:
  explicit AuditVerifier(AuditExpectation expectation = {});
  /// One line of an export, without its line feed.
  void add_line(std::string_view line);
  void add(const AuditEntry& entry);
  /// An entry that the store can't give or whose columns say something else than its line.
  void add_damaged(std::string text);
  /// True as soon as a break is certain; lines after it are only looked at to tell a removed entry from a reordered one.
  bool broken() const { return break_.has_value(); }
  AuditVerdict finish();

 private:
  void fail(AuditFault fault, std::int64_t sequence, std::string text);
  void check_link(const AuditEntry& entry);
  void check_signatures(const AuditEntry& entry);
  bool check_signed(const AuditCheckpoint& checkpoint);

  AuditExpectation expectation_;
  std::multimap<std::int64_t, AuditCheckpoint> outside_;  // of expectation_, not yet reached
  std::int64_t sequence_;
  Digest hash_;
  std::int64_t line_ = 0;
  AuditVerdict verdict_;
  std::optional<AuditBreak> break_;
};

/// Splits and verifies a whole export; also finds a last line that isn't ended.
AuditVerdict verify_audit_export(std::string_view ndjson, AuditExpectation expectation = {});
/// Verifies what the store holds, in one unchanging view. Not within a transaction.
/// @error of the store; a row that is damaged is a verdict and no error.
Result<AuditVerdict> verify_audit(SqlConnection& connection, AuditExpectation expectation = {});

}  // namespace prunella
