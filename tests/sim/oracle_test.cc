#include "oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/codec.h"

namespace prunella::sim {
namespace {

using std::chrono::minutes;

constexpr Instant kNow = ModelHost::kEpoch;

/// One host's journal, as the oracle reads it.
class OracleJournal : public ::testing::Test {
 protected:
  OracleJournal() {
    Oracle::Host host;
    host.id = HostId("web-0-aaaa");
    host.journal = [this] { return bytes_; };
    oracle.add_host(0, std::move(host));
    ExecutorPolicy policy;
    policy.serial = 1;
    policy.issued = kNow;
    oracle.policy_signed(policy);
  }
  static ExecutorMemory memory(std::uint64_t serial, Instant floor) {
    ExecutorMemory memory;
    memory.policy_serial = serial;
    memory.time_floor = floor;
    return memory;
  }
  /// The invariant that a start breaks which compacts its journal to this; "" for none.
  std::string compacted(const ExecutorMemory& memory) {
    JournalRecord record;
    record.at = kNow;
    record.memory = memory;
    Digest chain = sha256("before");
    bytes_ = frame_record(to_canonical_text(record), chain);
    try {
      oracle.journal_changed(0, true);
    } catch (const Violation& violation) {
      return violation.invariant;
    }
    return "";
  }
  Scheduler scheduler{1};
  Oracle oracle{scheduler};

 private:
  std::string bytes_;
};

// Seed 1209: the policy's record met an EIO on fsync, was in the page cache all the same, and the next start kept it.
TEST_F(OracleJournal, PolicyWhoseSyncFailedMayBeRememberedAndCountsThen) {
  EXPECT_EQ(compacted(memory(0, Instant{})), "");
  EXPECT_EQ(compacted(memory(1, kNow)), "");
  EXPECT_EQ(compacted(memory(0, Instant{})), "I4 policy-monotone");
}

TEST_F(OracleJournal, FloorThatNoSignatureVouchesForIsFound) {
  EXPECT_EQ(compacted(memory(1, kNow + minutes(1))), "T14 time-floor");
}

TEST_F(OracleJournal, FloorThatGoesBackIsFound) {
  ASSERT_EQ(compacted(memory(1, kNow)), "");
  EXPECT_EQ(compacted(memory(1, kNow - minutes(1))), "T14 time-floor");
}

TEST_F(OracleJournal, PolicyThatNobodySignedIsFound) { EXPECT_EQ(compacted(memory(2, kNow)), "I1 policy-signed"); }

TEST_F(OracleJournal, SequenceThatNoOrderUsedIsFound) {
  ExecutorMemory wrong;
  wrong.last_sequence = 7;
  EXPECT_EQ(compacted(wrong), "I4 sequence-monotone");
}

}  // namespace
}  // namespace prunella::sim
