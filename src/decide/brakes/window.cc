#include "decide/brakes/window.h"

#include <algorithm>

namespace prunella {

PRUNELLA_DEFINE_CODEC(MaintenanceWindows)

namespace {

using std::chrono::days;
using std::chrono::seconds;
using Day = std::chrono::sys_days;

seconds offset(const TimeZone& zone, Instant at) {
  return seconds(zone.offset_at(std::chrono::floor<seconds>(at).time_since_epoch().count()));
}

Weekday weekday_of(Day day) { return static_cast<Weekday>(std::chrono::weekday(day).iso_encoding() - 1); }

bool falls_on(const WindowRule& rule, Day day) {
  if (!rule.days.empty() && !rule.days.contains(weekday_of(day))) return false;
  if (!rule.nth) return true;
  const std::chrono::year_month_day date(day);
  if (*rule.nth < 0) return std::chrono::year_month_day(day + days(7)).month() != date.month();
  return (static_cast<unsigned>(date.day()) + 6) / 7 == static_cast<unsigned>(*rule.nth);
}

/// The windows that begin on the days around `now` by the wall clock, in order; those that meet or overlap are one.
std::vector<OpenWindow> windows_around(const MaintenanceWindows& windows, const TimeZone& zone, Instant now, int days_ahead) {
  // A window that is still open began at most kWindowLongest ago; a day more, for the zone and for those that it meets. Chains of
  // windows that meet for longer are cut here, which only makes the beginning that is told later than it was.
  const int days_back = 2 * static_cast<int>(kWindowLongest / days(1)) + 1;
  const Day today = std::chrono::floor<days>(now + offset(zone, now));
  std::vector<OpenWindow> found;
  for (Day day = today - days(days_back); day <= today + days(days_ahead); day += days(1))
    for (const WindowRule& rule : windows.rules)
      if (falls_on(rule, day)) {
        const Instant begin = moment_of(zone, Instant(day) + rule.start);
        found.push_back({begin, begin + rule.length});
      }
  std::ranges::sort(found, {}, &OpenWindow::begin);
  std::vector<OpenWindow> joined;
  for (const OpenWindow& window : found) {
    if (!joined.empty() && window.begin <= joined.back().end)
      joined.back().end = std::max(joined.back().end, window.end);
    else
      joined.push_back(window);
  }
  return joined;
}

}  // namespace

Status check_options(const MaintenanceWindows& windows) {
  if (windows.rules.empty() || windows.rules.size() > kWindowRulesMax)
    return invalid_input(std::to_string(windows.rules.size()) + " rules are not within 1 to " + std::to_string(kWindowRulesMax));
  for (const WindowRule& rule : windows.rules) {
    if (rule.start < Duration(0) || rule.start >= days(1))
      return invalid_input("a start " + to_text(rule.start) + " after midnight is not on the same day");
    if (rule.length <= Duration(0) || rule.length > kWindowLongest)
      return invalid_input("a length of " + to_text(rule.length) + " is not within 1ms to " + to_text(kWindowLongest));
    if (rule.nth && ((*rule.nth < 1 || *rule.nth > 5) && *rule.nth != -1))
      return invalid_input("number " + std::to_string(*rule.nth) + " of a weekday in a month is not 1 to 5 or -1 (the last)");
    if (rule.nth && rule.days.empty())
      return invalid_input("number " + std::to_string(*rule.nth) + " of a month needs its weekday");
  }
  return {};
}

Instant moment_of(const TimeZone& zone, Instant local) {
  // A day before and after, the offsets are those on both sides of any change nearby: no zone changes twice within two days.
  const seconds before = offset(zone, local - days(1)), after = offset(zone, local + days(1));
  const Instant first = local - std::max(before, after), second = local - std::min(before, after);
  for (Instant at : {first, second})
    if (at + offset(zone, at) == local) return at;
  // The wall clock skips `local`: the change lies between the two, and is the first moment with the later offset.
  std::int64_t low = std::chrono::floor<seconds>(first).time_since_epoch().count();
  std::int64_t high = std::chrono::ceil<seconds>(second).time_since_epoch().count();
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (zone.offset_at(middle) == after.count() ? high : low) = middle;
  }
  return Instant(seconds(high));
}

std::optional<OpenWindow> open_at(const MaintenanceWindows& windows, const TimeZone& zone, Instant now) {
  // Some days ahead: what meets the open window makes its end later.
  const int days_ahead = static_cast<int>(kWindowLongest / days(1)) + 1;
  for (const OpenWindow& window : windows_around(windows, zone, now, days_ahead))
    if (window.begin <= now && now < window.end) return window;
  return std::nullopt;
}

std::optional<OpenWindow> next_opening(const MaintenanceWindows& windows, const TimeZone& zone, Instant now) {
  for (const OpenWindow& window : windows_around(windows, zone, now, kWindowSearchDays))
    if (window.begin > now) return window;
  return std::nullopt;
}

Duration time_left(const MaintenanceWindows& windows, const TimeZone& zone, Instant now) {
  const std::optional<OpenWindow> open = open_at(windows, zone, now);
  return open ? open->end - now : Duration(0);
}

Verdict window_verdict(const MaintenanceWindows& windows, TimeZones& zones, const WindowNeed& need, Instant now) {
  Brakes brakes;
  if (auto checked = check_options(windows); !checked) {
    brakes.deny("window-options", "the maintenance windows are not valid: " + checked.error().text(), "other windows");
    return std::move(brakes).verdict();
  }
  const TimeZone* zone = zones.find(windows.zone);
  if (!zone) {
    brakes.deny("window-zone", "the time zone " + quoted(windows.zone) + " is not known, and so not when a window is open",
                "a zone of the time zone database");
    return std::move(brakes).verdict();
  }
  const std::vector<OpenWindow> all = windows_around(windows, *zone, now, kWindowSearchDays);
  const Duration needed = need.act + need.reboot;
  const auto fits = [&](const OpenWindow& window) { return needed <= window.end - window.begin; };
  const auto open = std::ranges::find_if(all, [&](const OpenWindow& w) { return w.begin <= now && now < w.end; });
  const auto next = std::ranges::find_if(all, [&](const OpenWindow& w) { return w.begin > now && fits(w); });
  const std::string what = "the act needs " + to_text(needed) + " (" + to_text(need.reboot) + " of it reserved for a reboot)";
  if (open != all.end() && needed <= open->end - now) return std::move(brakes).verdict();
  if (next == all.end())
    brakes.deny("window-never",
                what + ", and no window of " + windows.zone + " within " + std::to_string(kWindowSearchDays) + " days is as long",
                "other windows");
  else if (open != all.end())
    brakes.wait("window-left", what + ", and the window closes in " + to_text(open->end - now),
                "the window opens at " + to_rfc3339(next->begin));
  else
    brakes.wait("window", "no maintenance window is open (time zone " + windows.zone + ")",
                "the window opens at " + to_rfc3339(next->begin));
  return std::move(brakes).verdict();
}

}  // namespace prunella
