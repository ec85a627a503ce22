#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time_zone.h"
#include "model/verdict.h"

/// Maintenance windows, in the time of the host's own place. A window begins at a wall clock's time and lasts a real, elapsed
/// time. A beginning that the wall clock skips is moved to the first moment after the gap; one that comes twice is the first.
namespace prunella {

enum class Weekday { kMonday, kTuesday, kWednesday, kThursday, kFriday, kSaturday, kSunday };
constexpr std::array<EnumWord<Weekday>, 7> enum_words(Weekday) {
  return {{{Weekday::kMonday, "mon"},
           {Weekday::kTuesday, "tue"},
           {Weekday::kWednesday, "wed"},
           {Weekday::kThursday, "thu"},
           {Weekday::kFriday, "fri"},
           {Weekday::kSaturday, "sat"},
           {Weekday::kSunday, "sun"}}};
}

struct WindowRule {
  std::set<Weekday> days;           ///< empty: every day
  std::optional<std::int64_t> nth;  ///< only the 1st to 5th such weekday of a month; -1 is the last one
  Duration start{};                 ///< by the wall clock: time since midnight, below 24 h
  Duration length{};                ///< elapsed time, whatever the wall clock does meanwhile
  bool operator==(const WindowRule&) const = default;
};
template <class F>
void fields(F& f, WindowRule& r) {
  f("days", r.days);
  f("nth", r.nth);
  f("start_ms", r.start);
  f("length_ms", r.length);
}

struct MaintenanceWindows {
  std::string zone;  ///< "Europe/Berlin"
  std::vector<WindowRule> rules;
  bool operator==(const MaintenanceWindows&) const = default;
};
template <class F>
void fields(F& f, MaintenanceWindows& w) {
  f("zone", w.zone);
  f("rules", w.rules);
}
inline constexpr Duration kWindowLongest = std::chrono::hours(24 * 7);  // longer is no window but a permission
inline constexpr std::size_t kWindowRulesMax = 50;                      // each costs a look at every day that is searched
/// Further ahead no opening is looked for. The fifth Monday of a month comes again after 119 days at the latest.
inline constexpr int kWindowSearchDays = 120;
/// @error kInvalidInput  no rule or too many, a start beyond midnight, a length that is none or above kWindowLongest, or an `nth`
///                       that isn't 1 to 5 or -1 or names no weekday.
Status check_options(const MaintenanceWindows& windows);

/// From `begin` on and before `end`.
struct OpenWindow {
  Instant begin{};
  Instant end{};
  bool operator==(const OpenWindow&) const = default;
};

/// The moment at which the wall clocks of `zone` show `local` (a wall clock's time, written as if it were UTC): the first one if
/// they show it twice, the first moment afterwards if they skip it. Compared with Python's zoneinfo in window_test.cc.
Instant moment_of(const TimeZone& zone, Instant local);

/// The window that is open at `now`. Windows that meet or overlap are one, from the first beginning to the last end.
/// The windows must pass check_options().
std::optional<OpenWindow> open_at(const MaintenanceWindows& windows, const TimeZone& zone, Instant now);
/// The next window to open after `now`, and after the one that is open now; absent when none does within kWindowSearchDays.
std::optional<OpenWindow> next_opening(const MaintenanceWindows& windows, const TimeZone& zone, Instant now);
/// How long the window stays open; 0 when none is.
Duration time_left(const MaintenanceWindows& windows, const TimeZone& zone, Instant now);

struct WindowNeed {
  Duration act{};     ///< estimated
  Duration reboot{};  ///< reserved for a reboot, also if the act may only end in one
};
/// An act begins only when all it needs fits before the end. A zone that isn't known is a denial: the hour would be a guess.
Verdict window_verdict(const MaintenanceWindows& windows, TimeZones& zones, const WindowNeed& need, Instant now);

PRUNELLA_DECLARE_CODEC(MaintenanceWindows)

}  // namespace prunella
