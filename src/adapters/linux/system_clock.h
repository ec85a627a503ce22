#pragma once

#include "base/random.h"
#include "base/time.h"

namespace prunella {

/// The kernel's clocks. Any thread.
class SystemClock : public Clock {
 public:
  Instant now() override;
  /// CLOCK_BOOTTIME: it goes on while the machine sleeps, so that a time-out does too.
  Monotonic steady() override;
};

/// getrandom(2), which waits once at early boot until the kernel has entropy. Any thread.
class SystemRandom : public Random {
 public:
  void fill(std::span<std::byte> out) override;
};

}  // namespace prunella
