#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "decide/cel/value.h"

namespace prunella::cel {

/// "2009-02-13T23:31:30.5+01:00" with 0 to 9 digits of a fraction; 'T' and 'Z' in either case. Source: RFC 3339 section 5.6.
/// @error kInvalidInput  no such text, no such day, or outside the years 1 to 9999 in UTC.
Result<Timestamp> parse_timestamp(std::string_view text);
/// In UTC, with as many digits of the fraction as it needs.
std::string to_text(Timestamp at);

/// "1h30m", "-1.5s", "250ms", "0" in nanoseconds: units h, m, s, ms, us, µs, ns, each with a decimal number before it.
/// @error kInvalidInput  no such text, or more than 292 years.
Result<std::int64_t> parse_duration_nanos(std::string_view text);
/// Seconds with as many digits of the fraction as it needs: "5400s", "-1.5s".
std::string duration_text(std::int64_t nanos);

/// at + nanos, at - nanos; nullopt outside the years 1 to 9999.
std::optional<Timestamp> plus(Timestamp at, std::int64_t nanos);
std::optional<Timestamp> minus(Timestamp at, std::int64_t nanos);
/// a - b in nanoseconds; nullopt when that's more than 292 years.
std::optional<std::int64_t> difference(Timestamp a, Timestamp b);

/// The shortest text that reads back as the same double, as Go's 'g' format: 1, 0.5, 1e+21, NaN, +Inf as "Infinity".
std::string double_text(double value);

}  // namespace prunella::cel
