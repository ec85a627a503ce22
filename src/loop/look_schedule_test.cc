#include "loop/look_schedule.h"

#include <gtest/gtest.h>

namespace prunella::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Looks : public ::testing::Test {
 protected:
  LookSchedule schedule;
  Monotonic now{seconds(1000)};
};

TEST_F(Looks, AreTakenOnceAndWhenTheyAreDue) {
  schedule.mark(Section::kUnits, now + seconds(1));
  EXPECT_FALSE(schedule.take(Section::kUnits, now));
  EXPECT_EQ(schedule.next(), now + seconds(1));
  now += seconds(1);
  EXPECT_FALSE(schedule.take(Section::kPackages, now));
  EXPECT_TRUE(schedule.take(Section::kUnits, now));
  EXPECT_FALSE(schedule.take(Section::kUnits, now));
  EXPECT_EQ(schedule.next(), std::nullopt);
}

TEST_F(Looks, AreAtTheEarliestTimeThatWasMarked) {
  schedule.mark(Section::kUnits, now + seconds(5));
  schedule.mark(Section::kUnits, now + seconds(2));
  schedule.mark(Section::kUnits, now + seconds(9));
  EXPECT_EQ(schedule.next(), now + seconds(2));
}

TEST_F(Looks, WaitUntilChangesAreQuiet) {
  schedule.when_quiet(Section::kUpdates, now);
  now += kQuiet - milliseconds(1);
  schedule.when_quiet(Section::kUpdates, now);
  now += kQuiet - milliseconds(1);
  EXPECT_FALSE(schedule.take(Section::kUpdates, now));
  now += milliseconds(1);
  EXPECT_TRUE(schedule.take(Section::kUpdates, now));
}

TEST_F(Looks, DoNotWaitForQuietForever) {
  Monotonic first = now;
  while (!schedule.take(Section::kUpdates, now)) {
    schedule.when_quiet(Section::kUpdates, now);
    now += seconds(1);
    ASSERT_LE(now, first + kQuietMax);
  }
  EXPECT_EQ(now, first + kQuietMax);
  // A look was made: the next change begins to count anew.
  schedule.when_quiet(Section::kUpdates, now);
  EXPECT_EQ(schedule.next(), now + kQuiet);
}

TEST_F(Looks, ThatSomebodyAskedForDoNotWaitForQuiet) {
  schedule.mark(Section::kProcesses, now);
  schedule.when_quiet(Section::kProcesses, now);
  EXPECT_TRUE(schedule.take(Section::kProcesses, now));
}

TEST_F(Looks, WithAptAndAtProcessesAndKernelsWaitForTheEndOfAnOrder) {
  schedule.hold(true);
  for (std::size_t i = 0; i < kSections; ++i) schedule.mark(static_cast<Section>(i), now);
  for (Section waits : {Section::kUpdates, Section::kProcesses, Section::kKernel}) EXPECT_FALSE(schedule.take(waits, now));
  for (Section at_once : {Section::kSystem, Section::kPackages, Section::kUnits, Section::kDisk, Section::kExecutor}) EXPECT_TRUE(schedule.take(at_once, now));
  EXPECT_EQ(schedule.next(), std::nullopt);  // nothing to wake up for

  schedule.hold(false);

  EXPECT_EQ(schedule.next(), now);
  for (Section waited : {Section::kUpdates, Section::kProcesses, Section::kKernel}) EXPECT_TRUE(schedule.take(waited, now));
}

}  // namespace
}  // namespace prunella::agent
