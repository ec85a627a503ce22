#include "decide/cel/time_text.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/text.h"

namespace prunella::cel {

namespace {

__extension__ typedef __int128 Int128;  // GCC and clang have it on every 64-bit target
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

/// Two or four digits at `at`, which moves on.
bool digits(std::string_view text, std::size_t& at, std::size_t count, int& out) {
  if (text.size() - at < count) return false;
  out = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const char c = text[at++];
    if (c < '0' || c > '9') return false;
    out = out * 10 + (c - '0');
  }
  return true;
}
bool mark(std::string_view text, std::size_t& at, char wanted) {
  return at < text.size() && (text[at] | 0x20) == (wanted | 0x20) && ++at;
}

bool read_timestamp(std::string_view text, Timestamp& out) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::size_t at = 0;
  if (!digits(text, at, 4, year) || !mark(text, at, '-') || !digits(text, at, 2, month) || !mark(text, at, '-') ||
      !digits(text, at, 2, day) || !mark(text, at, 't') || !digits(text, at, 2, hour) || !mark(text, at, ':') ||
      !digits(text, at, 2, minute) || !mark(text, at, ':') || !digits(text, at, 2, second)) {
    return false;
  }
  if (hour > 23 || minute > 59 || second > 59) return false;
  if (mark(text, at, '.')) {
    const std::size_t begin = at;
    std::uint32_t unit = 100'000'000;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      out.nanos += static_cast<std::uint32_t>(text[at++] - '0') * unit;
      unit /= 10;
    }
    if (at == begin || at - begin > 9) return false;
  }
  int offset = 0;
  if (!mark(text, at, 'z')) {
    if (at >= text.size() || (text[at] != '+' && text[at] != '-')) return false;
    const int sign = text[at++] == '-' ? -1 : 1;
    int hours = 0, minutes = 0;
    if (!digits(text, at, 2, hours) || !mark(text, at, ':') || !digits(text, at, 2, minutes) || hours > 23 || minutes > 59)
      return false;
    offset = sign * (hours * 60 + minutes) * 60;
  }
  const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (at != text.size() || !date.ok()) return false;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  out.seconds = days * 86'400 + hour * 3'600 + minute * 60 + second - offset;
  return out.seconds >= kTimestampSecondsMin && out.seconds <= kTimestampSecondsMax;
}

/// Nine digits without the zeros at the end; empty for zero.
std::string fraction(std::uint64_t nanos) {
  if (nanos == 0) return "";
  char text[16];
  std::snprintf(text, sizeof text, ".%09u", static_cast<unsigned>(nanos));
  std::string shown = text;
  shown.erase(shown.find_last_not_of('0') + 1);
  return shown;
}

struct Unit {
  std::string_view name;
  std::int64_t nanos;
};
constexpr Unit kUnits[] = {{"ns", 1},         {"us", 1'000},          {"\u00b5s", 1'000},          {"\u03bcs", 1'000},
                           {"ms", 1'000'000}, {"s", kNanosPerSecond}, {"m", 60 * kNanosPerSecond}, {"h", 3600 * kNanosPerSecond}};

const Unit* unit_at(std::string_view text) {
  for (const Unit& unit : kUnits) {
    // "m" must not take the beginning of "ms": those stand first in the list.
    if (text.starts_with(unit.name)) return &unit;
  }
  return nullptr;
}

/// One number with its unit, in nanoseconds; the text moves behind it.
bool read_span(std::string_view& text, Int128& out) {
  std::size_t at = 0;
  Int128 whole = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    whole = whole * 10 + (text[at++] - '0');
    if (whole > INT64_MAX) return false;
  }
  bool any = at > 0;
  Int128 part = 0;
  Int128 scale = 1;
  if (at < text.size() && text[at] == '.') {
    ++at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      any = true;
      if (scale < 1'000'000'000'000'000) {  // further digits are less than a nanosecond of any unit
        part = part * 10 + (text[at] - '0');
        scale *= 10;
      }
      ++at;
    }
  }
  if (!any) return false;
  const Unit* unit = unit_at(text.substr(at));
  if (unit == nullptr) return false;
  text.remove_prefix(at + unit->name.size());
  out = whole * unit->nanos + part * unit->nanos / scale;
  return true;
}

std::optional<Timestamp> moved(Timestamp at, Int128 nanos) {
  const Int128 total = static_cast<Int128>(at.seconds) * kNanosPerSecond + at.nanos + nanos;
  Int128 seconds = total / kNanosPerSecond;
  if (total % kNanosPerSecond < 0) --seconds;
  if (seconds < kTimestampSecondsMin || seconds > kTimestampSecondsMax) return std::nullopt;
  return Timestamp{static_cast<std::int64_t>(seconds), static_cast<std::uint32_t>(total - seconds * kNanosPerSecond)};
}

}  // namespace

Result<Timestamp> parse_timestamp(std::string_view text) {
  Timestamp at;
  if (!read_timestamp(text, at))
    return invalid_input(quoted(text) + " is no timestamp from year 1 to 9999, such as '2009-02-13T23:31:30Z'");
  return at;
}

std::string to_text(Timestamp at) {
  const std::int64_t days = at.seconds >= 0 ? at.seconds / 86'400 : -((-at.seconds + 86'399) / 86'400);
  const auto second = static_cast<int>(at.seconds - days * 86'400);
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), second / 3'600, second / 60 % 60,
                second % 60);
  return text + fraction(at.nanos) + "Z";
}

Result<std::int64_t> parse_duration_nanos(std::string_view text) {
  const auto wrong = [&] {
    return invalid_input(quoted(text) + " is no duration within 292 years, such as '1h30m', '-1.5s' or '250ms'");
  };
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return 0;
  if (rest.empty()) return wrong();
  Int128 total = 0;
  while (!rest.empty()) {
    Int128 span = 0;
    if (!read_span(rest, span)) return wrong();
    total += span;
    if (total > static_cast<Int128>(INT64_MAX) + 1) return wrong();
  }
  if (negative) total = -total;
  if (total > INT64_MAX || total < INT64_MIN) return wrong();
  return static_cast<std::int64_t>(total);
}

std::string duration_text(std::int64_t nanos) {
  const std::uint64_t size = nanos < 0 ? ~static_cast<std::uint64_t>(nanos) + 1 : static_cast<std::uint64_t>(nanos);
  return (nanos < 0 ? "-" : "") + std::to_string(size / kNanosPerSecond) + fraction(size % kNanosPerSecond) + "s";
}

std::optional<Timestamp> plus(Timestamp at, std::int64_t nanos) { return moved(at, nanos); }
std::optional<Timestamp> minus(Timestamp at, std::int64_t nanos) { return moved(at, -static_cast<Int128>(nanos)); }

std::optional<std::int64_t> difference(Timestamp a, Timestamp b) {
  const Int128 nanos = static_cast<Int128>(a.seconds - b.seconds) * kNanosPerSecond + static_cast<std::int64_t>(a.nanos) -
                       static_cast<std::int64_t>(b.nanos);
  if (nanos > INT64_MAX || nanos < INT64_MIN) return std::nullopt;
  return static_cast<std::int64_t>(nanos);
}

std::string double_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char text[64];
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e21);
  const auto end =
      std::to_chars(text, text + sizeof text, value, scientific ? std::chars_format::scientific : std::chars_format::fixed).ptr;
  return std::string(text, end);
}

}  // namespace prunella::cel
