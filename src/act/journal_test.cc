#include "act/journal.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace prunella {
namespace {

/// A file whose last, unsynced bytes a test may take away.
class MemoryFile : public JournalFile {
 public:
  Result<std::string> read_all() override { return bytes; }
  Status append(std::string_view more) override {
    if (fail_append) return exhausted("no space");
    bytes += more;
    return {};
  }
  Status sync() override {
    if (fail_sync) return unavailable("EIO");
    ++syncs;
    return {};
  }
  Status replace(std::string_view whole) override {
    if (fail_append) return exhausted("no space");
    bytes = whole;
    return {};
  }

  std::string bytes;
  bool fail_append = false, fail_sync = false;
  int syncs = 0;
};

const Instant kNow = *parse_rfc3339("2026-11-24T04:00:00Z");

AcceptedRun accepted(std::uint64_t sequence) {
  AcceptedRun run;
  run.run = RunId("RUN-" + std::to_string(sequence));
  run.host = HostId("web-1");
  run.order = OrderId("0123");
  run.cause = "order";
  run.sequence = sequence;
  run.epoch = 7;
  run.issued = kNow;
  Action action;
  action.kind = ActionKind::kServiceRestart;
  action.restart = ServiceRestart{"nginx.service", "test"};
  run.plan.host = run.host;
  run.plan.actions = {action};
  return run;
}

JournalRecord record_of(AcceptedRun run) {
  JournalRecord record;
  record.at = kNow;
  record.accepted = std::move(run);
  return record;
}
JournalRecord record_of(MarkKind kind) {
  JournalRecord record;
  record.at = kNow;
  record.marks = {RunMark{kind, kNow, "", {}, {}}};
  return record;
}
JournalRecord outcome_of(const std::string& run) {
  JournalRecord record;
  record.at = kNow;
  record.outcome = RunOutcome{};
  record.outcome->run = RunId(run);
  record.outcome->host = HostId("web-1");
  record.outcome->state = RunState::kVerified;
  return record;
}

MemoryFile written() {
  MemoryFile file;
  Journal journal = *Journal::open(file, kNow);
  EXPECT_TRUE(journal.write(record_of(accepted(3))));
  EXPECT_TRUE(journal.write(record_of(MarkKind::kPrepared)));
  EXPECT_TRUE(journal.write(outcome_of("RUN-3")));
  EXPECT_TRUE(journal.write(record_of(accepted(4))));
  EXPECT_TRUE(journal.write(record_of(MarkKind::kActIntent)));
  return file;
}

TEST(Journal, RemembersWhatWasWrittenOverAStart) {
  MemoryFile file = written();

  Journal again = *Journal::open(file, kNow);

  EXPECT_EQ(again.state().memory.last_sequence, 4u);
  EXPECT_EQ(again.state().memory.highest_epoch, 7u);
  EXPECT_EQ(again.state().memory.spent.size(), 2u);
  ASSERT_TRUE(again.state().open);
  EXPECT_EQ(again.state().open->accepted, accepted(4));
  ASSERT_EQ(again.state().open->marks.size(), 1u);
  EXPECT_EQ(again.state().open->marks[0].kind, MarkKind::kActIntent);
  ASSERT_EQ(again.state().outcomes.size(), 1u);
  EXPECT_FALSE(again.torn());
}

TEST(Journal, IsTheSameAfterAnyNumberOfCompactions) {
  MemoryFile file = written();
  JournalState first = Journal::open(file, kNow)->state();

  std::string once = file.bytes;
  Journal again = *Journal::open(file, kNow);

  EXPECT_EQ(again.state(), first);
  EXPECT_EQ(file.bytes, once);
}

TEST(Journal, SyncsEachRecordBeforeItReturns) {
  MemoryFile file;
  Journal journal = *Journal::open(file, kNow);
  int before = file.syncs;
  ASSERT_TRUE(journal.write(record_of(accepted(1))));
  EXPECT_EQ(file.syncs, before + 1);
}

TEST(Journal, WritesNothingMoreAfterAFailedSync) {
  MemoryFile file;
  Journal journal = *Journal::open(file, kNow);
  file.fail_sync = true;
  EXPECT_FALSE(journal.write(record_of(accepted(1))));
  file.fail_sync = false;

  std::string bytes = file.bytes;
  EXPECT_FALSE(journal.write(record_of(accepted(2))));

  EXPECT_TRUE(journal.broken());
  EXPECT_EQ(file.bytes, bytes);
  EXPECT_EQ(journal.state().memory.last_sequence, 0u);
}

TEST(Journal, FindsEveryFlippedBit) {
  MemoryFile file = written();
  std::size_t torn = 0;
  for (std::size_t at = 0; at < file.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file.bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      auto scan = scan_journal(damaged);
      if (!scan) {
        EXPECT_EQ(scan.error().kind(), ErrorKind::kCorrupt);
        continue;
      }
      EXPECT_TRUE(scan->torn) << "byte " << at;
      ++torn;
    }
  }
  // A flip is told from a tear, so that a record which was acknowledged is never dropped in silence.
  EXPECT_EQ(torn, 0u);
}

TEST(Journal, TakesACutEndForATearAndKeepsAllBeforeIt) {
  MemoryFile whole = written();
  JournalScan all = *scan_journal(whole.bytes);
  std::vector<std::size_t> ends = {0};
  for (const std::string& payload : all.payloads) ends.push_back(ends.back() + 40 + payload.size());
  for (std::size_t size = 0; size < whole.bytes.size(); ++size) {
    auto scan = scan_journal(whole.bytes.substr(0, size));
    ASSERT_TRUE(scan) << size;
    auto complete = static_cast<std::size_t>(std::ranges::count_if(ends, [&](std::size_t end) { return end > 0 && end <= size; }));
    EXPECT_EQ(scan->payloads.size(), complete);
    EXPECT_EQ(scan->torn.has_value(), std::ranges::find(ends, size) == ends.end()) << size;
  }
}

TEST(Journal, TakesZerosFromASectorOnForATear) {
  MemoryFile file = written();
  std::size_t whole = file.bytes.size();
  Journal journal = *Journal::open(file, kNow);
  whole = file.bytes.size();
  JournalRecord large = record_of(MarkKind::kRevertIntent);
  large.marks->front().subject = std::string(3000, 'x');
  ASSERT_TRUE(journal.write(large));
  std::size_t sector = (whole + 1024) / 512 * 512;
  std::fill(file.bytes.begin() + static_cast<std::ptrdiff_t>(sector), file.bytes.end(), '\0');

  auto scan = scan_journal(file.bytes);

  ASSERT_TRUE(scan) << scan.error().text();
  EXPECT_TRUE(scan->torn);
  EXPECT_EQ(scan->whole_bytes, whole);
}

TEST(Journal, TakesALastRecordWithAMissingSectorForATearAndAnEarlierOneForDamage) {
  MemoryFile file = written();
  Journal journal = *Journal::open(file, kNow);
  std::size_t whole = file.bytes.size();
  JournalRecord large = record_of(MarkKind::kRevertIntent);
  large.marks->front().subject = std::string(3000, 'x');
  ASSERT_TRUE(journal.write(large));
  std::string last = file.bytes;
  ASSERT_TRUE(journal.write(record_of(MarkKind::kRecovery)));
  for (std::size_t from = whole; from < last.size(); from = (from / 512 + 1) * 512) {
    auto lose = [&](std::string bytes) {
      std::size_t end = std::min(last.size(), (from / 512 + 1) * 512);
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.begin() + static_cast<std::ptrdiff_t>(end), '\0');
      return scan_journal(bytes);
    };
    auto torn = lose(last);
    ASSERT_TRUE(torn) << from << ": " << torn.error().text();
    EXPECT_EQ(torn->whole_bytes, whole);
    EXPECT_FALSE(lose(file.bytes)) << from;
  }
}

TEST(Journal, CutsATearAndGoesOn) {
  MemoryFile file = written();
  file.bytes.resize(file.bytes.size() - 5);
  Journal journal = *Journal::open(file, kNow);
  EXPECT_TRUE(journal.torn());
  EXPECT_TRUE(journal.state().open->marks.empty());
  ASSERT_TRUE(journal.write(record_of(MarkKind::kPrepared)));

  Journal again = *Journal::open(file, kNow);

  EXPECT_FALSE(again.torn());
  EXPECT_EQ(again.state().open->marks.size(), 1u);
}

TEST(Journal, RefusesRecordsThatAreLeftOutOrSwapped) {
  MemoryFile file = written();
  JournalScan all = *scan_journal(file.bytes);
  std::string without_second, swapped;
  std::size_t first = 40 + all.payloads[0].size(), second = 40 + all.payloads[1].size(), third = 40 + all.payloads[2].size();
  without_second = file.bytes.substr(0, first) + file.bytes.substr(first + second);
  swapped = file.bytes.substr(0, first) + file.bytes.substr(first + second, third) + file.bytes.substr(first, second) + file.bytes.substr(first + second + third);
  EXPECT_EQ(scan_journal(without_second).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(scan_journal(swapped).error().kind(), ErrorKind::kCorrupt);
}

TEST(Journal, ForgetsAnOutcomeAndNothingElse) {
  MemoryFile file = written();
  Journal journal = *Journal::open(file, kNow);

  ASSERT_TRUE(journal.forget(RunId("RUN-3"), kNow));

  EXPECT_EQ(journal.forget(RunId("RUN-3"), kNow).error().kind(), ErrorKind::kNotFound);
  Journal again = *Journal::open(file, kNow);
  EXPECT_TRUE(again.state().outcomes.empty());
  EXPECT_EQ(again.state().memory.last_sequence, 4u);
  EXPECT_EQ(again.state().memory.spent.size(), 2u);
  EXPECT_TRUE(again.state().open);
}

TEST(Journal, NeverForgetsTheNumberOfADeclinedOrder) {
  MemoryFile file;
  Journal journal = *Journal::open(file, kNow);
  JournalRecord record;
  record.at = kNow;
  record.declined = DeclinedOrder{7, 3, kNow + std::chrono::minutes(1)};
  ASSERT_TRUE(journal.write(record));
  for (int start = 0; start < 2; ++start) {
    ExecutorMemory memory = Journal::open(file, kNow)->state().memory;
    EXPECT_EQ(memory.last_sequence, 7u);
    EXPECT_EQ(memory.highest_epoch, 3u);
    EXPECT_EQ(memory.time_floor, kNow + std::chrono::minutes(1));
    EXPECT_TRUE(memory.spent.empty()) << "nothing was done";
  }
}

TEST(Journal, TakesAnAcceptanceTogetherWithItsFirstSteps) {
  MemoryFile file;
  Journal journal = *Journal::open(file, kNow);
  JournalRecord record = record_of(accepted(1));
  HostBefore before;
  before.units.push_back({{"web.service", "loaded", "failed", "failed", {}, {}, {}}, false});
  record.marks = {RunMark{MarkKind::kPrepared, kNow, "", {}, before}, RunMark{MarkKind::kRestartIntent, kNow, "web.service", {}, {}}};
  ASSERT_TRUE(journal.write(record));
  auto open = Journal::open(file, kNow)->state().open;
  ASSERT_TRUE(open);
  EXPECT_EQ(open->marks, *record.marks);
  JournalRecord empty;
  empty.marks.emplace();
  EXPECT_FALSE(journal.write(empty));
}

TEST(Journal, RefusesASecondRunWhileOneIsOpen) {
  MemoryFile file = written();
  Journal journal = *Journal::open(file, kNow);
  EXPECT_EQ(journal.write(record_of(accepted(5))).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(journal.state().memory.last_sequence, 4u);
}

}  // namespace
}  // namespace prunella
