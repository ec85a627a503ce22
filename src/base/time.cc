#include "base/time.h"

#include <array>
#include <cstdio>

#include "base/text.h"

namespace prunella {

using namespace std::chrono;

std::string to_rfc3339(Instant at) {
  auto day = floor<days>(at);
  year_month_day date(day);
  hh_mm_ss clock(at - day);
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return buffer.data();
}

Result<Instant> parse_rfc3339(std::string_view text) {
  auto wrong = [&] { return invalid_input(quoted(text) + " is not a time such as 2026-11-24T03:02:48.123Z"); };
  auto number = [&](std::size_t at, std::size_t count) -> int {
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
      if (text[i] < '0' || text[i] > '9') return -1;
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  if (text.size() < 20 || text.size() > 30 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text.back() != 'Z')
    return wrong();
  int y = number(0, 4), mo = number(5, 2), d = number(8, 2), h = number(11, 2), mi = number(14, 2), s = number(17, 2);
  if (y < 0 || mo < 0 || d < 0 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 59) return wrong();
  int ms = 0;
  if (text[19] == '.') {
    if (text.size() < 22) return wrong();
    int scale = 100;
    for (std::size_t i = 20; i + 1 < text.size(); ++i) {
      if (text[i] < '0' || text[i] > '9') return wrong();
      ms += (text[i] - '0') * scale;
      scale /= 10;
    }
  } else if (text.size() != 20) {
    return wrong();
  }
  year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!date.ok()) return wrong();
  return Instant(sys_days(date)) + hours(h) + minutes(mi) + seconds(s) + milliseconds(ms);
}

std::string to_text(Duration duration) {
  auto ms = duration.count();
  struct Unit { std::int64_t size; const char* name; };
  for (Unit unit : {Unit{86'400'000, "d"}, Unit{3'600'000, "h"}, Unit{60'000, "m"}, Unit{1'000, "s"}})
    if (ms != 0 && ms % unit.size == 0) return std::to_string(ms / unit.size) + unit.name;
  return std::to_string(ms) + "ms";
}

Result<Duration> parse_duration(std::string_view text) {
  auto wrong = [&] { return invalid_input(quoted(text) + " is not a duration such as 250ms, 90s, 15m, 4h or 7d"); };
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  auto count = parse_int(text.substr(0, digits));
  if (!count) return wrong();
  std::string_view unit = text.substr(digits);
  std::int64_t size = unit == "ms" ? 1 : unit == "s" ? 1'000 : unit == "m" ? 60'000 : unit == "h" ? 3'600'000 : unit == "d" ? 86'400'000 : 0;
  if (size == 0) return wrong();
  constexpr std::int64_t kMax = std::int64_t{100} * 365 * 86'400'000;
  if (*count > kMax / size) return invalid_input(quoted(text) + " is longer than 100 years");
  return Duration(*count * size);
}

}  // namespace prunella
