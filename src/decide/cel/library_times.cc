// The parts of timestamps and durations. Source: langdef.md, "List of Standard Definitions", getDate to getSeconds.
#include <chrono>

#include "base/text.h"
#include "decide/cel/function.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

constexpr std::int64_t kSecondNanos = 1'000'000'000;

/// Seconds east of UTC of "+01:00", "-02:30" or "05:30"; nullopt when the text has another form.
std::optional<std::int32_t> fixed_offset(std::string_view text) {
  const int sign = text.starts_with('-') ? -1 : 1;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = parse_uint(text.substr(0, 2));
  const auto minutes = parse_uint(text.substr(3));
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * static_cast<std::int32_t>((*hours * 60 + *minutes) * 60);
}

struct LocalTime {
  std::chrono::year_month_day date;
  std::int64_t days = 0;    ///< since 1970
  std::int64_t second = 0;  ///< of the day
  std::uint32_t nanos = 0;
};

LocalTime local_time(Timestamp at, std::int32_t offset) {
  const std::int64_t seconds = at.seconds + offset;
  const std::int64_t days = seconds >= 0 ? seconds / 86'400 : -((-seconds + 86'399) / 86'400);
  return {std::chrono::year_month_day(std::chrono::sys_days(std::chrono::days(days))), days, seconds - days * 86'400, at.nanos};
}

std::int64_t full_year(const LocalTime& t) { return static_cast<int>(t.date.year()); }
std::int64_t month(const LocalTime& t) { return static_cast<unsigned>(t.date.month()) - 1; }
std::int64_t date(const LocalTime& t) { return static_cast<unsigned>(t.date.day()); }
std::int64_t day_of_month(const LocalTime& t) { return date(t) - 1; }
std::int64_t day_of_week(const LocalTime& t) {
  return std::chrono::weekday(std::chrono::sys_days(std::chrono::days(t.days))).c_encoding();
}
std::int64_t day_of_year(const LocalTime& t) {
  return t.days - std::chrono::sys_days(t.date.year() / 1 / 1).time_since_epoch().count();
}
std::int64_t hours(const LocalTime& t) { return t.second / 3'600; }
std::int64_t minutes(const LocalTime& t) { return t.second / 60 % 60; }
std::int64_t seconds(const LocalTime& t) { return t.second % 60; }
std::int64_t milliseconds(const LocalTime& t) { return t.nanos / 1'000'000; }

template <std::int64_t (*Part)(const LocalTime&)>
Value part_in_utc(const CallContext&, Arguments a) {
  return Value::integer(Part(local_time(a[0].as_timestamp(), 0)));
}
template <std::int64_t (*Part)(const LocalTime&)>
Value part_in_zone(const CallContext& context, Arguments a) {
  const std::string_view name = a[1].as_text();
  if (name == "UTC") return Value::integer(Part(local_time(a[0].as_timestamp(), 0)));
  if (const auto offset = fixed_offset(name)) return Value::integer(Part(local_time(a[0].as_timestamp(), *offset)));
  const TimeZone* zone = context.zones.find(name);
  if (zone == nullptr) {
    return Value::error(ErrorCode::kBadArgument, quoted(name) + " is no time zone, such as 'Europe/Berlin', 'UTC' or '+01:00'");
  }
  return Value::integer(Part(local_time(a[0].as_timestamp(), zone->offset_at(a[0].as_timestamp().seconds))));
}

template <std::int64_t UnitNanos>
Value whole_units(const CallContext&, Arguments a) {
  return Value::integer(a[0].as_duration() / UnitNanos);
}
Value duration_milliseconds(const CallContext&, Arguments a) {
  return Value::integer(a[0].as_duration() % kSecondNanos / 1'000'000);
}

template <std::int64_t (*Part)(const LocalTime&)>
void add_part(Functions& f, const char* name) {
  f.add(name, "timestamp.() -> int", part_in_utc<Part>);
  f.add(name, "timestamp.(string) -> int", part_in_zone<Part>);
}

}  // namespace

void add_times(Functions& f) {
  add_part<full_year>(f, "getFullYear");
  add_part<month>(f, "getMonth");
  add_part<date>(f, "getDate");
  add_part<day_of_month>(f, "getDayOfMonth");
  add_part<day_of_week>(f, "getDayOfWeek");
  add_part<day_of_year>(f, "getDayOfYear");
  add_part<hours>(f, "getHours");
  add_part<minutes>(f, "getMinutes");
  add_part<seconds>(f, "getSeconds");
  add_part<milliseconds>(f, "getMilliseconds");
  f.add("getHours", "duration.() -> int", whole_units<3'600 * kSecondNanos>);
  f.add("getMinutes", "duration.() -> int", whole_units<60 * kSecondNanos>);
  f.add("getSeconds", "duration.() -> int", whole_units<kSecondNanos>);
  f.add("getMilliseconds", "duration.() -> int", duration_milliseconds);
}

}  // namespace prunella::cel
