#include "adapters/linux/system_clock.h"

#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "base/check.h"

namespace prunella {

namespace {
Duration read_clock(clockid_t clock) {
  timespec at{};
  check(::clock_gettime(clock, &at) == 0, "clock_gettime of a clock that every kernel has");
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec));
}
}  // namespace

Instant SystemClock::now() { return Instant(read_clock(CLOCK_REALTIME)); }

Monotonic SystemClock::steady() { return Monotonic(read_clock(CLOCK_BOOTTIME)); }

void SystemRandom::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    check(got > 0, "getrandom gives bytes");
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace prunella
