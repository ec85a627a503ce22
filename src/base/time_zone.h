#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/encoding.h"
#include "base/result.h"

namespace prunella {

/// A day of the year and a second in it, as a POSIX TZ text gives when daylight saving time starts or ends.
struct ZoneRuleDay {
  enum class Kind { kJulian, kDayOfYear, kMonthWeekDay } kind = Kind::kDayOfYear;
  int month = 1;       ///< kMonthWeekDay: 1 to 12
  int week = 1;        ///< 1 to 5; 5 is the last one
  int day = 0;         ///< kMonthWeekDay: 0 (Sunday) to 6; kJulian: 1 to 365 without 29 February; kDayOfYear: 0 to 365
  int seconds = 7200;  ///< local time of the change, from -167 to 167 hours
};

/// What applies after the last change that a file lists. Source: POSIX.1-2017 section 8.3, "TZ"; RFC 8536 section 3.3.
struct ZoneRule {
  std::int32_t standard = 0;  ///< seconds east of UTC
  struct Daylight {
    std::int32_t offset = 0;
    ZoneRuleDay begin;
    ZoneRuleDay end;
  };
  std::optional<Daylight> daylight;

  std::int32_t offset_at(std::int64_t unix_seconds) const;
};
/// @error kInvalidInput  no POSIX TZ text.
Result<ZoneRule> parse_zone_rule(std::string_view text);

/// How far local time is from UTC, for every moment.
class TimeZone {
 public:
  /// Seconds east of UTC at `unix_seconds`.
  std::int32_t offset_at(std::int64_t unix_seconds) const;

 private:
  friend Result<TimeZone> parse_time_zone(BytesView bytes);
  std::int32_t first_ = 0;             ///< before the first change
  std::vector<std::int64_t> changes_;  ///< ascending
  std::vector<std::int32_t> offsets_;  ///< from the change with the same index
  std::optional<ZoneRule> rule_;       ///< after the last change
};

/// Reads a file of the time zone database, versions 1 to 4. Source: RFC 8536; tzfile(5).
/// @error kInvalidInput  no such file, or cut off.
Result<TimeZone> parse_time_zone(BytesView bytes);

/// Port: where time zones come from. Not for several threads at once.
class TimeZones {
 public:
  virtual ~TimeZones() = default;
  /// The zone "Europe/Berlin"; nullptr when there is none of this name. Valid as long as this object.
  virtual const TimeZone* find(std::string_view name) = 0;
};

/// For those who need none: only offsets and UTC work then.
class NoTimeZones final : public TimeZones {
 public:
  const TimeZone* find(std::string_view) override { return nullptr; }
};

}  // namespace prunella
