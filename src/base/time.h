#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace prunella {

/// A moment on the wall clock, UTC, to the millisecond. It can jump: never measure a duration with it.
using Instant = std::chrono::sys_time<std::chrono::milliseconds>;
/// A reading of a clock that only goes forward; its zero means nothing. For time-outs and durations.
using Monotonic = std::chrono::time_point<std::chrono::steady_clock, std::chrono::milliseconds>;
using Duration = std::chrono::milliseconds;

/// Port: where time comes from. Stages get an Instant as an argument instead.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() = 0;
  virtual Monotonic steady() = 0;
};

/// "2026-11-24T03:02:48.123Z", always with milliseconds. Source: RFC 3339 section 5.6.
std::string to_rfc3339(Instant at);

/// Reads what to_rfc3339 writes, with 0 to 9 digits of a second's fraction (cut to milliseconds) and 'Z' only.
/// @error kInvalidInput  not such a text, or no such day.
Result<Instant> parse_rfc3339(std::string_view text);

/// "90s", "15m", "4h", "7d", "250ms" for people and configuration.
std::string to_text(Duration duration);
/// @error kInvalidInput  not a whole number with one of the units ms, s, m, h, d, or above 100 years.
Result<Duration> parse_duration(std::string_view text);

}  // namespace prunella
