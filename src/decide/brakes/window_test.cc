#include "decide/brakes/window.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "../tests/support/verdict_codes.h"

namespace prunella {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

Instant at(std::string_view text) { return *parse_rfc3339(text); }

std::optional<TimeZone> read_zone(std::string_view name) {
  std::ifstream in("/usr/share/zoneinfo/" + std::string(name), std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  const std::string content = bytes.str();
  if (content.empty()) return std::nullopt;
  auto zone = parse_time_zone(as_bytes(content));
  EXPECT_TRUE(zone) << name;
  return std::move(zone).to_optional();
}

/// Berlin, and nothing else.
struct BerlinOnly final : TimeZones {
  std::optional<TimeZone> berlin = read_zone("Europe/Berlin");
  const TimeZone* find(std::string_view name) override { return name == "Europe/Berlin" && berlin ? &*berlin : nullptr; }
};

class Window : public testing::Test {
 protected:
  void SetUp() override {
    if (!zones.berlin) GTEST_SKIP() << "this machine has no tzdata";
  }
  std::optional<OpenWindow> open(std::string_view now) const { return open_at(windows, *zones.berlin, at(now)); }
  std::optional<OpenWindow> next(std::string_view now) const { return next_opening(windows, *zones.berlin, at(now)); }
  Verdict verdict(std::string_view now, Duration act = minutes(10), Duration reboot = Duration(0)) {
    return window_verdict(windows, zones, {act, reboot}, at(now));
  }

  BerlinOnly zones;
  MaintenanceWindows windows{"Europe/Berlin", {{{Weekday::kSunday}, {}, hours(2) + minutes(30), hours(2)}}};
};

/// The first minute at which the wall clock shows the wanted time or a later one, as Python's zoneinfo sees it:
///
///     want = datetime.fromisoformat(local); t = want.replace(tzinfo=timezone.utc) - timedelta(hours=30)
///     while t.astimezone(ZoneInfo(name)).replace(tzinfo=None) < want: t += timedelta(minutes=1)
struct Moment {
  const char* zone;
  const char* local;
  const char* utc;
};
const Moment kMoments[] = {
    {"Europe/Berlin", "2026-03-29T02:30:00Z", "2026-03-29T01:00:00Z"},
    {"Europe/Berlin", "2026-03-29T01:59:00Z", "2026-03-29T00:59:00Z"},
    {"Europe/Berlin", "2026-03-29T02:00:00Z", "2026-03-29T01:00:00Z"},
    {"Europe/Berlin", "2026-03-29T03:00:00Z", "2026-03-29T01:00:00Z"},
    {"Europe/Berlin", "2026-10-25T02:30:00Z", "2026-10-25T00:30:00Z"},
    {"Europe/Berlin", "2026-10-25T03:00:00Z", "2026-10-25T02:00:00Z"},
    {"Europe/Berlin", "2026-07-01T12:00:00Z", "2026-07-01T10:00:00Z"},
    {"America/New_York", "2026-03-08T02:30:00Z", "2026-03-08T07:00:00Z"},
    {"America/New_York", "2026-11-01T01:30:00Z", "2026-11-01T05:30:00Z"},
    {"Australia/Lord_Howe", "2026-10-04T02:15:00Z", "2026-10-03T15:30:00Z"},
    {"Australia/Lord_Howe", "2026-04-05T01:45:00Z", "2026-04-04T14:45:00Z"},
    {"Asia/Kathmandu", "2026-05-05T05:05:00Z", "2026-05-04T23:20:00Z"},
    {"America/St_Johns", "2026-03-08T02:10:00Z", "2026-03-08T05:30:00Z"},
    {"Africa/Casablanca", "2026-02-15T02:30:00Z", "2026-02-15T01:30:00Z"},
    {"Africa/Casablanca", "2026-03-22T02:30:00Z", "2026-03-22T02:00:00Z"},
    {"Pacific/Apia", "2011-12-30T02:30:00Z", "2011-12-30T10:00:00Z"},
    {"America/Santiago", "2026-09-06T00:15:00Z", "2026-09-06T04:00:00Z"},
    {"America/Sao_Paulo", "2018-11-04T00:30:00Z", "2018-11-04T03:00:00Z"},
    {"Europe/Dublin", "2026-03-29T01:30:00Z", "2026-03-29T01:00:00Z"},
    {"UTC", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z"},
    {"Europe/Berlin", "2050-03-27T02:30:00Z", "2050-03-27T01:00:00Z"},
};

TEST(MomentOf, AgreesWithPythonOnGapsFoldsAndOddOffsets) {
  for (const Moment& row : kMoments) {
    const std::optional<TimeZone> zone = read_zone(row.zone);
    if (!zone) GTEST_SKIP() << "this machine has no tzdata";
    EXPECT_EQ(to_rfc3339(moment_of(*zone, at(row.local))), to_rfc3339(at(row.utc))) << row.zone << " " << row.local;
  }
}

TEST(MomentOf, IsTheFirstMinuteAtWhichTheWallClockIsThereOnEveryDayOfAYear) {
  for (const char* name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}) {
    const std::optional<TimeZone> zone = read_zone(name);
    if (!zone) GTEST_SKIP() << "this machine has no tzdata";
    const auto wall = [&](Instant t) {
      return t + std::chrono::seconds(zone->offset_at(std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count()));
    };
    for (int quarter = 0; quarter < 365 * 24; quarter += 1) {
      const Instant local = at("2026-01-01T00:15:00Z") + hours(quarter);
      const Instant moment = moment_of(*zone, local);
      ASSERT_GE(wall(moment), local) << to_rfc3339(local);
      ASSERT_LT(wall(moment - Duration(1)), local) << to_rfc3339(local);
    }
  }
}

TEST_F(Window, IsOpenFromItsBeginningUntilBeforeItsEnd) {
  // Sunday, 10 May 2026; Berlin is two hours ahead.
  EXPECT_FALSE(open("2026-05-10T00:29:59.999Z"));
  EXPECT_EQ(open("2026-05-10T00:30:00Z"), (OpenWindow{at("2026-05-10T00:30:00Z"), at("2026-05-10T02:30:00Z")}));
  EXPECT_TRUE(open("2026-05-10T02:29:59.999Z"));
  EXPECT_FALSE(open("2026-05-10T02:30:00Z"));
  EXPECT_FALSE(open("2026-05-11T01:00:00Z")) << "a Monday";
}

TEST_F(Window, ABeginningThatTheWallClockSkipsIsTheFirstMomentAfterwards) {
  EXPECT_FALSE(open("2026-03-29T00:59:59.999Z"));
  EXPECT_EQ(open("2026-03-29T01:00:00Z"), (OpenWindow{at("2026-03-29T01:00:00Z"), at("2026-03-29T03:00:00Z")}))
      << "two real hours";
}

TEST_F(Window, ABeginningThatComesTwiceIsTheFirstAndTheLengthIsElapsedTime) {
  EXPECT_EQ(open("2026-10-25T00:30:00Z"), (OpenWindow{at("2026-10-25T00:30:00Z"), at("2026-10-25T02:30:00Z")}));
  EXPECT_FALSE(open("2026-10-25T02:30:00Z")) << "it doesn't open twice";
}

TEST_F(Window, LastsOverMidnightIntoTheNextDay) {
  windows.rules = {{{Weekday::kSaturday}, {}, hours(23), hours(4)}};
  EXPECT_TRUE(open("2026-05-10T00:30:00Z")) << "Sunday, half past two in Berlin";
  EXPECT_FALSE(open("2026-05-10T01:00:00Z"));
}

TEST_F(Window, WithoutDaysIsOpenEveryDay) {
  windows.rules[0].days.clear();
  for (int day = 4; day <= 10; ++day)
    EXPECT_TRUE(open("2026-05-" + std::string(day < 10 ? "0" : "") + std::to_string(day) + "T01:00:00Z")) << day;
}

TEST_F(Window, TheNthWeekdayOfAMonthIsThatOneOnly) {
  for (int nth : {1, 2, 3, 4, 5, -1}) {
    windows.rules[0].nth = nth;
    // May 2026 has five Sundays: 3, 10, 17, 24 and 31.
    for (int sunday = 1; sunday <= 5; ++sunday) {
      const int day = 3 + 7 * (sunday - 1);
      const std::string now = "2026-05-" + std::string(day < 10 ? "0" : "") + std::to_string(day) + "T01:00:00Z";
      EXPECT_EQ(open(now).has_value(), sunday == nth || (nth == -1 && sunday == 5)) << nth << " " << now;
    }
  }
  windows.rules[0].nth = -1;
  EXPECT_TRUE(open("2026-06-28T01:00:00Z")) << "the fourth, and the last";
}

TEST_F(Window, FindsTheNextOpening) {
  EXPECT_EQ(next("2026-05-10T00:29:00Z")->begin, at("2026-05-10T00:30:00Z"));
  EXPECT_EQ(next("2026-05-10T00:30:00Z")->begin, at("2026-05-17T00:30:00Z"));
  windows.rules[0].nth = 5;
  EXPECT_EQ(next("2026-05-31T05:00:00Z")->begin, at("2026-08-30T00:30:00Z"));
}

TEST_F(Window, TheFifthWeekdayIsFoundFromEveryDayOfThirtyYears) {
  windows.rules[0].nth = 5;
  for (int day = 0; day < 365 * 30; day += 5)
    ASSERT_TRUE(next_opening(windows, *zones.berlin, at("2026-01-01T00:00:00Z") + hours(24 * day))) << day;
}

TEST_F(Window, WindowsThatMeetOrOverlapAreOne) {
  windows.rules.push_back({{Weekday::kSunday}, {}, hours(4), hours(3)});               // overlaps: 04:00 to 07:00
  windows.rules.push_back({{Weekday::kSunday}, {}, hours(7), hours(1)});               // meets it
  windows.rules.push_back({{Weekday::kSunday}, {}, hours(5), minutes(1)});             // lies within
  windows.rules.push_back({{Weekday::kSunday}, {}, hours(8) + minutes(1), hours(1)});  // is another
  EXPECT_EQ(open("2026-05-10T01:00:00Z"), (OpenWindow{at("2026-05-10T00:30:00Z"), at("2026-05-10T06:00:00Z")}));
  EXPECT_EQ(time_left(windows, *zones.berlin, at("2026-05-10T05:00:00Z")), hours(1));
  EXPECT_EQ(time_left(windows, *zones.berlin, at("2026-05-10T06:00:00Z")), Duration(0));
}

TEST_F(Window, AnActBeginsWhenItAndItsRebootFitBeforeTheEnd) {
  EXPECT_EQ(codes_of(verdict("2026-05-10T02:10:00Z", minutes(10), minutes(10))), "");
  EXPECT_EQ(codes_of(verdict("2026-05-10T02:10:00.001Z", minutes(10), minutes(10))), "window-left");
  EXPECT_EQ(codes_of(verdict("2026-05-10T02:10:00.001Z", minutes(10))), "");
}

TEST_F(Window, WaitsForTheNextOneThatIsLongEnough) {
  windows.rules.push_back({{Weekday::kWednesday}, {}, hours(20), minutes(5)});
  const Verdict closed = verdict("2026-05-11T00:00:00Z");
  EXPECT_EQ(codes_of(closed), "window");
  EXPECT_EQ(closed.kind, VerdictKind::kWait);
  EXPECT_EQ(closed.reasons[0].would_change, "the window opens at 2026-05-17T00:30:00.000Z");
  EXPECT_EQ(codes_of(verdict("2026-05-13T18:01:00Z")), "window-left") << "five minutes are too few";
}

TEST_F(Window, WhatFitsIntoNoWindowIsDenied) {
  const Verdict never = verdict("2026-05-10T01:00:00Z", hours(2), Duration(1));
  EXPECT_EQ(codes_of(never), "window-never");
  EXPECT_EQ(never.kind, VerdictKind::kDeny);
  EXPECT_EQ(codes_of(verdict("2026-05-11T00:00:00Z", hours(2), Duration(1))), "window-never");
  EXPECT_EQ(codes_of(verdict("2026-05-11T00:00:00Z", hours(2))), "window");
}

TEST_F(Window, AZoneThatIsNotKnownIsDenied) {
  windows.zone = "Europe/Atlantis";
  const Verdict unknown = verdict("2026-05-10T01:00:00Z");
  EXPECT_EQ(codes_of(unknown), "window-zone");
  EXPECT_EQ(unknown.kind, VerdictKind::kDeny);
}

TEST_F(Window, WindowsThatAreNoneAreDenied) {
  const WindowRule good = windows.rules[0];
  std::vector<WindowRule> wrong(8, good);
  wrong[0].start = hours(24);
  wrong[1].start = Duration(-1);
  wrong[2].length = Duration(0);
  wrong[3].length = kWindowLongest + Duration(1);
  wrong[4].nth = 0;
  wrong[5].nth = 6;
  wrong[6].nth = -2;
  wrong[7].nth = 1, wrong[7].days.clear();
  for (const WindowRule& rule : wrong) {
    windows.rules = {rule};
    EXPECT_EQ(codes_of(verdict("2026-05-10T01:00:00Z")), "window-options") << rule.start.count() << " " << rule.length.count();
    EXPECT_EQ(verdict("2026-05-10T01:00:00Z").kind, VerdictKind::kDeny);
  }
  windows.rules.clear();
  EXPECT_EQ(codes_of(verdict("2026-05-10T01:00:00Z")), "window-options");
  windows.rules.assign(kWindowRulesMax + 1, good);
  EXPECT_EQ(codes_of(verdict("2026-05-10T01:00:00Z")), "window-options");
}

TEST_F(Window, ReadsBackAsItWasWritten) {
  windows.rules[0].nth = -1;
  EXPECT_EQ(*from_json<MaintenanceWindows>(to_json(windows)), windows);
}

}  // namespace
}  // namespace prunella
