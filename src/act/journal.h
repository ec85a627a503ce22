#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/host_state.h"
#include "model/order.h"
#include "model/run.h"

/// The executor's journal: what it took on, what it is about to do, what came of it. A record is on the disk before what it
/// announces happens, so that the next start knows what was begun (DESIGN.md rule 4, TRUST.md TX-5 to TX-7).
namespace prunella {

/// Port: an append-only file.
class JournalFile {
 public:
  virtual ~JournalFile() = default;
  virtual Result<std::string> read_all() = 0;              ///< "" when there is none yet
  virtual Status append(std::string_view bytes) = 0;
  virtual Status sync() = 0;                               ///< after an error nothing that was written since the last one is certain
  virtual Status replace(std::string_view bytes) = 0;      ///< all or nothing, durable when it returns
};

/// What an executor took on. It holds the plan, so that recovery needs nothing from outside.
struct AcceptedRun {
  RunId run;
  HostId host;
  std::optional<OrderId> order;
  std::string cause;
  std::uint64_t sequence = 0;   ///< 0 for a standing rule's run
  std::uint64_t epoch = 0;
  Instant issued{};
  Digest digest;                ///< of the plan
  Plan plan;
  std::vector<std::string> approvers;
  bool operator==(const AcceptedRun&) const = default;
};
template <class F>
void fields(F& f, AcceptedRun& a) {
  f("run", a.run);
  f("host", a.host);
  f("order", a.order);
  f("cause", a.cause);
  f("sequence", a.sequence);
  f("epoch", a.epoch);
  f("issued", a.issued);
  f("digest", a.digest);
  f("plan", a.plan);
  f("approvers", a.approvers);
}

/// A step of the run that is open. Intents are written before, the others after.
enum class MarkKind {
  kPrepared,       ///< both sets are staged, the state before is written down: nothing has changed yet
  kRepairIntent,
  kRepaired,
  kActIntent,
  kActed,          ///< the database shows the planned set, whole
  kRestartIntent,  ///< subject: the unit
  kRestarted,
  kRevertIntent,
  kRecovery,       ///< a start found the run open; counted, so that a recovery that kills its executor ends
};
constexpr std::array<EnumWord<MarkKind>, 9> enum_words(MarkKind) {
  return {{{MarkKind::kPrepared, "prepared"},
           {MarkKind::kRepairIntent, "repair-intent"},
           {MarkKind::kRepaired, "repaired"},
           {MarkKind::kActIntent, "act-intent"},
           {MarkKind::kActed, "acted"},
           {MarkKind::kRestartIntent, "restart-intent"},
           {MarkKind::kRestarted, "restarted"},
           {MarkKind::kRevertIntent, "revert-intent"},
           {MarkKind::kRecovery, "recovery"}}};
}
struct RunMark {
  MarkKind kind = MarkKind::kPrepared;
  Instant at{};
  std::string subject;                ///< the unit, or a sentence why
  std::optional<Digest> prestate;     ///< kPrepared: SHA-256 of the run's file
  std::optional<HostBefore> before;   ///< kPrepared, when the plan changes no package: instead of the run's file
  bool operator==(const RunMark&) const = default;
};
template <class F>
void fields(F& f, RunMark& m) {
  f("kind", m.kind);
  f("at", m.at);
  f("subject", m.subject);
  f("prestate", m.prestate);
  f("before", m.before);
}

/// An act that counts against the budget.
struct Spent {
  ActionKind action = ActionKind::kServiceRestart;
  Instant at{};
  std::optional<std::string> unit;  ///< of a restart
  bool operator==(const Spent&) const = default;
};
template <class F>
void fields(F& f, Spent& s) {
  f("action", s.action);
  f("at", s.at);
  f("unit", s.unit);
}

/// What an executor must never forget, whatever is cut from its journal.
struct ExecutorMemory {
  std::uint64_t last_sequence = 0;
  std::uint64_t highest_epoch = 0;
  std::uint64_t policy_serial = 0;
  Instant time_floor{};              ///< the latest moment that a verified signature vouched for
  std::vector<Spent> spent;          ///< of the last day, oldest first
  bool operator==(const ExecutorMemory&) const = default;
};
template <class F>
void fields(F& f, ExecutorMemory& m) {
  f("last_sequence", m.last_sequence);
  f("highest_epoch", m.highest_epoch);
  f("policy_serial", m.policy_serial);
  f("time_floor", m.time_floor);
  f("spent", m.spent);
}

struct PolicyTaken {
  std::uint64_t serial = 0;
  Instant issued{};
  bool operator==(const PolicyTaken&) const = default;
};
template <class F>
void fields(F& f, PolicyTaken& p) {
  f("serial", p.serial);
  f("issued", p.issued);
}

/// The number of an order that was in order and yet refused: the refusal has been told, so that order must never be carried out,
/// whoever keeps a copy of it.
struct DeclinedOrder {
  std::uint64_t sequence = 0;
  std::uint64_t epoch = 0;
  Instant issued{};
  bool operator==(const DeclinedOrder&) const = default;
};
template <class F>
void fields(F& f, DeclinedOrder& d) {
  f("sequence", d.sequence);
  f("epoch", d.epoch);
  f("issued", d.issued);
}

/// One line of the journal: exactly one member beside `at` is present, but for marks that stand with the run they are of.
struct JournalRecord {
  Instant at{};
  std::optional<ExecutorMemory> memory;  ///< only as the first record
  std::optional<PolicyTaken> policy;
  std::optional<DeclinedOrder> declined;
  std::optional<AcceptedRun> accepted;
  std::optional<std::vector<RunMark>> marks;  ///< of the run accepted last, also in this record; never empty
  std::optional<RunOutcome> outcome;     ///< ends the open run; also kept in the first records after a compaction
  bool operator==(const JournalRecord&) const = default;
};
template <class F>
void fields(F& f, JournalRecord& r) {
  f("at", r.at);
  f("memory", r.memory);
  f("policy", r.policy);
  f("declined", r.declined);
  f("accepted", r.accepted);
  f("marks", r.marks);
  f("outcome", r.outcome);
}

/// A run without an outcome.
struct OpenRun {
  AcceptedRun accepted;
  Instant started{};
  std::vector<RunMark> marks;
  bool operator==(const OpenRun&) const = default;
};

/// All that the journal says.
struct JournalState {
  ExecutorMemory memory;
  std::optional<OpenRun> open;
  std::vector<RunOutcome> outcomes;  ///< not forgotten yet, oldest first
  bool operator==(const JournalState&) const = default;
};

/// 8 MiB: an accepted order with the largest plan (2,000 packages) has 2 MB.
inline constexpr std::size_t kJournalRecordMax = 8u << 20;
/// 64 MiB: it's compacted at every start and when an outcome is forgotten, so this is a hundred times what ever stands there.
inline constexpr std::size_t kJournalBytesMax = 64u << 20;
/// 64: outcomes that the control plane hasn't stored yet. Beyond it no order is taken, as an outcome must not be lost.
inline constexpr std::size_t kOutcomesMax = 64;
/// 4,096 acts in a day: far above any budget; the oldest are dropped beyond it.
inline constexpr std::size_t kSpentMax = 4096;

/// A journal's bytes, checked.
struct JournalScan {
  std::vector<std::string> payloads;
  Digest chain;                      ///< of the last whole record
  std::size_t whole_bytes = 0;       ///< up to the end of the last whole record
  std::optional<std::string> torn;   ///< what was cut from the end, in a sentence: a write that was never acknowledged
};
/// Frames: length (4 bytes, little-endian), CRC32C of length and link (4), link (32), payload. The link is the SHA-256 of the link
/// before and the payload, so that nothing can be changed, left out or put in before the last record.
/// A tear is an end that is missing, or a last record of which whole 512-byte sectors are zeros, anywhere in it: what a power cut
/// leaves of a write that was never synced. Anything else that doesn't hold is damage, also such a record with another one after it.
/// @error kCorrupt  damage, with its offset. Nothing is repaired.
Result<JournalScan> scan_journal(std::string_view bytes);
/// The frame that follows `chain`, which becomes the new frame's link.
std::string frame_record(std::string_view payload, Digest& chain);

/// Adds one record to `state`. @error kCorrupt  it doesn't follow from what was before.
Status apply_record(const JournalRecord& record, JournalState& state);

/// The journal, open. One owner, one thread.
class Journal {
 public:
  /// Reads, checks and compacts. A torn end is cut, and said in `torn`.
  /// @error kCorrupt  damage: the executor must take no order. @error kUnavailable
  static Result<Journal> open(JournalFile& file, Instant now);

  /// Durable when it returns. After an error nothing is written any more (what the disk holds is uncertain): every later call
  /// fails with kUnavailable, and only a new start, which reads what is there, goes on.
  Status write(JournalRecord record);
  /// Drops the outcome of a run that the control plane has, and what led to it. @error kNotFound, kUnavailable
  Status forget(const RunId& run, Instant now);

  const JournalState& state() const { return state_; }
  const std::optional<std::string>& torn() const { return torn_; }
  bool broken() const { return broken_; }

 private:
  explicit Journal(JournalFile& file) : file_(&file) {}
  Status compact(Instant now);

  JournalFile* file_;
  JournalState state_;
  Digest chain_;
  std::size_t size_ = 0;
  std::optional<std::string> torn_;
  bool broken_ = false;
};

}  // namespace prunella
