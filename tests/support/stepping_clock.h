#pragma once

#include "base/time.h"

namespace prunella::testing {

/// A clock that goes on by 100 ms whenever somebody asks how long something took, so that what waits for time to pass ends.
class SteppingClock : public Clock {
 public:
  explicit SteppingClock(Instant start) : start_(start) {}
  Instant now() override { return start_ + passed_; }
  Monotonic steady() override { return Monotonic(passed_ += Duration(100)); }

 private:
  Instant start_;
  Duration passed_{0};
};

}  // namespace prunella::testing
