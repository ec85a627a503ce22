#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.h"
#include "base/time.h"

namespace prunella::agent {

/// 120 s: with full jitter over it, 10,000 agents that all lost their control plane come back at 83 a second on average, and
/// every one is back within two minutes (TRUST.md STA-2).
inline constexpr Duration kReconnectMax = std::chrono::seconds(120);
inline constexpr Duration kReconnectFirst = std::chrono::seconds(1);
/// Even the luckiest draw waits this long, so that a refused connection is never a busy loop.
inline constexpr Duration kReconnectMin = Duration(100);

/// Delays between attempts: uniformly random below a bound that doubles ("full jitter").
/// Source: M. Brooker, "Exponential Backoff And Jitter": it spreads a herd better than a jittered fixed delay.
class Backoff {
 public:
  explicit Backoff(Duration delay_max = kReconnectMax) : delay_max_(delay_max) {}
  void succeeded() { failures_ = 0; }
  /// The delay before the next attempt, after one more failure.
  Duration failed(Random& random) {
    // 2^7 s is above the maximum: a larger exponent would change nothing and could overflow.
    std::uint32_t exponent = std::min<std::uint32_t>(failures_, 7);
    ++failures_;
    Duration bound = std::min<Duration>(delay_max_, kReconnectFirst * (1 << exponent));
    return kReconnectMin + Duration(random.below(static_cast<std::uint64_t>((bound - kReconnectMin).count()) + 1));
  }
  std::uint32_t failures() const { return failures_; }

 private:
  Duration delay_max_;
  std::uint32_t failures_ = 0;
};

}  // namespace prunella::agent
