#include "act/journal.h"

#include <algorithm>
#include <cstring>

namespace prunella {

namespace {

constexpr std::size_t kFrameHead = 4 + 4 + 32;
constexpr std::size_t kSector = 512;  // what a disk writes whole at least
constexpr JsonLimits kRecordLimits = {kJournalRecordMax, 32};
constexpr std::string_view kGenesis = "prunella executor journal 1";

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((value >> shift) & 0xff);
}

std::uint32_t get32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = (value << 8) | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  return value;
}

Digest link_of(const Digest& before, std::string_view payload) {
  Sha256 hash;
  hash.add(before.bytes);
  hash.add(as_bytes(payload));
  return hash.finish();
}

std::uint32_t head_crc(std::string_view length, std::string_view link) {
  std::string both(length);
  both += link;
  return crc32c(as_bytes(both));
}

/// Whether a frame at `from` that doesn't hold is what a power cut leaves: zeros from some sector inside it on to the very end.
bool zeros_from_a_sector(std::string_view bytes, std::size_t from) {
  std::size_t last = bytes.find_last_not_of('\0');
  std::size_t zeros = last == std::string_view::npos ? 0 : last + 1;
  if (zeros <= from) return true;
  std::size_t sector = (zeros + kSector - 1) / kSector * kSector;
  return sector < bytes.size();
}

/// Whether the power went while the record at `from`, the last one, was written: a sector of it (or what it has of its first and
/// last) is all zeros, and no record follows. A disk writes sectors in any order, so the hole may be anywhere. A record holds no such
/// zeros itself: its length is above 0 and below 2^24, and canonical JSON has none.
bool has_unwritten_sector(std::string_view bytes, std::size_t from) {
  constexpr std::size_t kZerosMin = 4;
  bool hole = false;
  for (std::size_t at = from; at < bytes.size() && !hole;) {
    std::size_t end = std::min(bytes.size(), (at / kSector + 1) * kSector);
    hole = end - at >= kZerosMin && bytes.substr(at, end - at).find_first_not_of('\0') == std::string_view::npos;
    at = end;
  }
  if (!hole) return false;
  for (std::size_t at = from + 1; at + kFrameHead <= bytes.size(); ++at) {
    std::string_view head = bytes.substr(at, kFrameHead);
    std::uint32_t length = get32(head);
    if (length > 0 && length <= bytes.size() - at - kFrameHead && head_crc(head.substr(0, 4), head.substr(8)) == get32(head.substr(4))) return false;
  }
  return true;
}

Result<JournalRecord> read_record(std::string_view payload) {
  auto record = from_json_text<JournalRecord>(payload, kRecordLimits);
  if (!record) return corrupt("a journal record that holds can't be read: " + record.error().text());
  return record;
}

void take_number(ExecutorMemory& memory, std::uint64_t sequence, std::uint64_t epoch, Instant issued) {
  memory.last_sequence = std::max(memory.last_sequence, sequence);
  memory.highest_epoch = std::max(memory.highest_epoch, epoch);
  memory.time_floor = std::max(memory.time_floor, issued);
}

void spend(ExecutorMemory& memory, const AcceptedRun& accepted, Instant at) {
  auto add = [&](ActionKind kind, std::optional<std::string> unit) { memory.spent.push_back({kind, at, std::move(unit)}); };
  for (const Action& action : accepted.plan.actions) {
    if (action.restart) add(action.kind, action.restart->unit);
    if (action.transaction) add(action.kind, std::nullopt);
    if (action.repair) add(action.kind, std::nullopt);
  }
  // A day is kept although budgets count an hour: standing rules may have longer cooldowns.
  std::erase_if(memory.spent, [&](const Spent& spent) { return at - spent.at > std::chrono::hours(24); });
  if (memory.spent.size() > kSpentMax) memory.spent.erase(memory.spent.begin(), memory.spent.end() - kSpentMax);
}

}  // namespace

std::string frame_record(std::string_view payload, Digest& chain) {
  chain = link_of(chain, payload);
  std::string length;
  put32(length, static_cast<std::uint32_t>(payload.size()));
  std::string_view link = as_text(chain.bytes);
  std::string frame = length;
  put32(frame, head_crc(length, link));
  frame += link;
  frame += payload;
  return frame;
}

Result<JournalScan> scan_journal(std::string_view bytes) {
  JournalScan scan;
  scan.chain = sha256(kGenesis);
  while (scan.whole_bytes < bytes.size()) {
    std::size_t at = scan.whole_bytes;
    std::string_view rest = bytes.substr(at);
    auto torn = [&](std::string_view what) {
      scan.torn = "the last " + std::to_string(rest.size()) + " bytes, from offset " + std::to_string(at) + ", are a record that was never finished (" + std::string(what) + ")";
      return scan;
    };
    if (rest.size() < kFrameHead) return torn("cut within its head");
    std::uint32_t length = get32(rest);
    std::string_view link = rest.substr(8, 32);
    bool head_holds = head_crc(rest.substr(0, 4), link) == get32(rest.substr(4)) && length > 0 && length <= kJournalRecordMax;
    if (head_holds && rest.size() < kFrameHead + length) return torn("cut within its content");
    if (head_holds) {
      std::string_view payload = rest.substr(kFrameHead, length);
      Digest wanted = link_of(scan.chain, payload);
      if (as_text(wanted.bytes) == link) {
        scan.payloads.emplace_back(payload);
        scan.chain = wanted;
        scan.whole_bytes += kFrameHead + length;
        continue;
      }
    }
    if (zeros_from_a_sector(bytes, at)) return torn("zeros to the end");
    if (has_unwritten_sector(bytes, at)) return torn("a sector of it is zeros");
    return corrupt("the journal is damaged at offset " + std::to_string(at) + ": a record's " + (head_holds ? "content" : "head") + " doesn't hold");
  }
  return scan;
}

Status apply_record(const JournalRecord& record, JournalState& state) {
  int members = (record.memory ? 1 : 0) + (record.policy ? 1 : 0) + (record.declined ? 1 : 0) + (record.accepted || record.marks ? 1 : 0) + (record.outcome ? 1 : 0);
  if (members != 1) return corrupt("a journal record with " + std::to_string(members) + " members");
  if (record.marks && record.marks->empty()) return corrupt("a journal record with no marks");
  ExecutorMemory& memory = state.memory;
  if (record.memory) {
    if (state != JournalState{}) return corrupt("a memory record that isn't the first");
    memory = *record.memory;
  } else if (record.policy) {
    memory.policy_serial = std::max(memory.policy_serial, record.policy->serial);
    memory.time_floor = std::max(memory.time_floor, record.policy->issued);
  } else if (record.declined) {
    take_number(memory, record.declined->sequence, record.declined->epoch, record.declined->issued);
  } else if (record.accepted) {
    if (state.open) return corrupt("run " + record.accepted->run.text() + " was accepted while " + state.open->accepted.run.text() + " was open");
    take_number(memory, record.accepted->sequence, record.accepted->epoch, record.accepted->issued);
    spend(memory, *record.accepted, record.at);
    state.open = OpenRun{*record.accepted, record.at, record.marks.value_or(std::vector<RunMark>{})};
  } else if (record.marks) {
    if (!state.open) return corrupt("a step of a run that isn't open");
    state.open->marks.insert(state.open->marks.end(), record.marks->begin(), record.marks->end());
  } else {
    if (state.open && state.open->accepted.run == record.outcome->run) state.open.reset();
    state.outcomes.push_back(*record.outcome);
  }
  return {};
}

Result<Journal> Journal::open(JournalFile& file, Instant now) {
  Journal journal(file);
  auto bytes = file.read_all();
  if (!bytes) return std::move(bytes).error().during("reading the journal");
  if (bytes->size() > kJournalBytesMax) return corrupt("the journal has " + std::to_string(bytes->size()) + " bytes, at most " + std::to_string(kJournalBytesMax) + " are ours");
  auto scan = scan_journal(*bytes);
  if (!scan) return std::move(scan).error();
  for (const std::string& payload : scan->payloads) {
    auto record = read_record(payload);
    if (!record) return std::move(record).error();
    if (auto applied = apply_record(*record, journal.state_); !applied) return std::move(applied).error();
  }
  journal.torn_ = scan->torn;
  if (auto compacted = journal.compact(now); !compacted) return std::move(compacted).error();
  return journal;
}

Status Journal::compact(Instant now) {
  std::string bytes;
  Digest chain = sha256(kGenesis);
  auto add = [&](JournalRecord record) { bytes += frame_record(to_canonical_text(record), chain); };
  auto at = [](Instant when) {
    JournalRecord record;
    record.at = when;
    return record;
  };
  JournalRecord first = at(now);
  first.memory = state_.memory;
  if (state_.open) {
    // Taking the open run's own cost out, as its record adds it again.
    JournalState probe;
    spend(probe.memory, state_.open->accepted, state_.open->started);
    for (const Spent& spent : probe.memory.spent)
      if (auto it = std::ranges::find(first.memory->spent, spent); it != first.memory->spent.end()) first.memory->spent.erase(it);
  }
  add(std::move(first));
  for (const RunOutcome& outcome : state_.outcomes) {
    JournalRecord record = at(outcome.ended);
    record.outcome = outcome;
    add(std::move(record));
  }
  if (state_.open) {
    JournalRecord record = at(state_.open->started);
    record.accepted = state_.open->accepted;
    if (!state_.open->marks.empty()) record.marks = state_.open->marks;
    add(std::move(record));
  }
  if (auto replaced = file_->replace(bytes); !replaced) {
    broken_ = true;
    return std::move(replaced).error().during("compacting the journal");
  }
  chain_ = chain;
  size_ = bytes.size();
  return {};
}

Status Journal::write(JournalRecord record) {
  if (broken_) return unavailable("the journal failed before and isn't written until the executor starts anew");
  std::string payload = to_canonical_text(record);
  if (payload.size() > kJournalRecordMax) return exhausted("a journal record of " + std::to_string(payload.size()) + " bytes, at most " + std::to_string(kJournalRecordMax));
  if (size_ + payload.size() + kFrameHead > kJournalBytesMax) return exhausted("the journal is full: outcomes must be acknowledged first");
  JournalState next = state_;
  if (auto applied = apply_record(record, next); !applied) return applied;
  Digest chain = chain_;
  std::string frame = frame_record(payload, chain);
  // A failed append may have written a part, a failed sync may have dropped pages and will report success next time
  // (fsync(2), "fsyncgate"): both end the writing.
  auto written = file_->append(frame);
  if (written) written = file_->sync();
  if (!written) {
    broken_ = true;
    return std::move(written).error().during("writing the journal");
  }
  state_ = std::move(next);
  chain_ = chain;
  size_ += frame.size();
  return {};
}

Status Journal::forget(const RunId& run, Instant now) {
  if (broken_) return unavailable("the journal failed before and isn't written until the executor starts anew");
  bool known = std::ranges::any_of(state_.outcomes, [&](const RunOutcome& outcome) { return outcome.run == run; });
  if (!known) return not_found("no outcome of run " + quoted(run.text()) + " is kept");
  std::erase_if(state_.outcomes, [&](const RunOutcome& outcome) { return outcome.run == run; });
  return compact(now);
}

}  // namespace prunella
