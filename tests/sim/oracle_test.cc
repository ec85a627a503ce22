#include "oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/codec.h"

namespace prunella::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Instant kNow = ModelHost::kEpoch;

/// A host that nothing happens to but by the test.
class OracleTest : public ::testing::Test, private Running, private HostEvents {
 protected:
  Oracle::Host host() {
    Oracle::Host host;
    host.id = HostId("web-0-aaaa");
    host.model = &model;
    host.journal = [this] { return bytes; };
    return host;
  }
  /// The invariant that the journal breaks now; "" for none.
  std::string judged(bool replaced) {
    try {
      oracle.journal_changed(0, replaced);
    } catch (const Violation& violation) {
      return violation.invariant;
    }
    return "";
  }
  Scheduler scheduler{1};
  Oracle oracle{scheduler};
  Dice dice{1};
  ModelHost model{scheduler, *this, *this, dice, {}};
  std::string bytes;

 private:
  void point(std::string_view) override {}
  void pause(Duration) override {}
  void touching(Touch, const std::vector<std::string>&) override {}
  void changed(Section) override {}
  void foreign_change(const std::string&) override {}
  void note(const std::string&) override {}
  void power_lost() override {}
};

/// One host's journal, as the oracle reads it.
class OracleJournal : public OracleTest {
 protected:
  OracleJournal() {
    oracle.add_host(0, host());
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
    bytes = frame_record(to_canonical_text(record), chain);
    return judged(true);
  }
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

/// A host whose unit fails again and again, and whose executor restarts it by a standing rule.
class OracleStanding : public OracleTest {
 protected:
  OracleStanding() {
    policy.serial = 1;
    policy.issued = kNow - minutes(10);
    policy.expires = kNow + std::chrono::hours(24);
    policy.standing = {{StandingTrigger::kUnitFailed, {"nginx.service"}, minutes(1)}};
    policy.budget = {4, 8};
    oracle.policy_signed(policy);
    text = to_canonical_text(sign_envelope(kExecutorPolicyType, to_canonical_text(policy), PrivateKey(std::array<std::uint8_t, 32>{1})));
    Oracle::Host one = host();
    one.policy_text = &text;
    one.frozen = [] { return false; };
    oracle.add_host(0, std::move(one));
    model.units.at("nginx.service").active = "failed";
  }
  void policy_taken(std::uint64_t serial, Instant issued) {
    ExecutorPolicy next = policy;
    next.serial = serial;
    next.issued = issued;
    oracle.policy_signed(next);
    JournalRecord record;
    record.policy = PolicyTaken{serial, issued};
    EXPECT_EQ(write(record), "");
  }
  /// The invariant that the restart breaks; "" for none.
  std::string restarted(const std::string& run) {
    JournalRecord record;
    AcceptedRun& accepted = record.accepted.emplace();
    accepted.run = RunId(run);
    accepted.host = accepted.plan.host = HostId("web-0-aaaa");
    accepted.plan.actions.push_back({ActionKind::kServiceRestart, {}, {}, ServiceRestart{"nginx.service", "it failed"}});
    accepted.digest = digest_of(accepted.plan);
    oracle.handling(0, nullptr, true);
    if (std::string broken = write(record); !broken.empty()) return broken;
    JournalRecord end;
    RunOutcome& outcome = end.outcome.emplace();
    outcome.run = accepted.run;
    outcome.host = accepted.host;
    outcome.state = RunState::kEscalated;
    return write(end);
  }
  void pass(Duration time) { scheduler.run(scheduler.now() + time, nullptr); }

  ExecutorPolicy policy;
  std::optional<std::string> text;

 private:
  std::string write(const JournalRecord& record) {
    bytes += frame_record(to_canonical_text(record), chain_);
    return judged(false);
  }
  Digest chain_ = sha256("before");
};

TEST_F(OracleStanding, RestartWithinTheCooldownIsFound) {
  ASSERT_EQ(restarted("RUN-1"), "");
  pass(seconds(59));
  EXPECT_EQ(restarted("RUN-2"), "I6 cooldown");
}

TEST_F(OracleStanding, RestartAfterTheCooldownIsNone) {
  ASSERT_EQ(restarted("RUN-1"), "");
  pass(seconds(60));
  EXPECT_EQ(restarted("RUN-2"), "");
}

// Seed 1813: the host's clock was behind, and an order vouched for the time in between.
TEST_F(OracleStanding, TimeThatASignatureVouchedForCounts) {
  ASSERT_EQ(restarted("RUN-1"), "");
  pass(seconds(20));
  policy_taken(2, kNow + seconds(30));  // ten seconds ahead of the host's clock
  pass(seconds(29));
  EXPECT_EQ(restarted("RUN-2"), "I6 cooldown");
}
TEST_F(OracleStanding, TimeThatASignatureVouchedForEndsACooldown) {
  ASSERT_EQ(restarted("RUN-1"), "");
  pass(seconds(20));
  policy_taken(2, kNow + seconds(30));
  pass(seconds(31));
  EXPECT_EQ(restarted("RUN-2"), "");
}

}  // namespace
}  // namespace prunella::sim
