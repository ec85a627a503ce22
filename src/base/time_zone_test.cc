#include "base/time_zone.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>

namespace prunella {
namespace {

std::int64_t unix_seconds(int year, unsigned month, unsigned day, int hour) {
  const auto date = std::chrono::sys_days(std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day));
  return std::chrono::duration_cast<std::chrono::seconds>(date.time_since_epoch()).count() + hour * 3600;
}

TEST(ZoneRule, ChangesOnTheDaysThatItNames) {
  const auto berlin = parse_zone_rule("CET-1CEST,M3.5.0,M10.5.0/3");
  ASSERT_TRUE(berlin);
  EXPECT_EQ(berlin->offset_at(unix_seconds(2026, 3, 29, 0)), 3600);
  EXPECT_EQ(berlin->offset_at(unix_seconds(2026, 3, 29, 1)), 7200);
  EXPECT_EQ(berlin->offset_at(unix_seconds(2026, 10, 25, 0)), 7200);
  EXPECT_EQ(berlin->offset_at(unix_seconds(2026, 10, 25, 1)), 3600);
}

TEST(ZoneRule, KnowsTheSouthAndFixedZones) {
  const auto sydney = parse_zone_rule("AEST-10AEDT,M10.1.0,M4.1.0/3");
  ASSERT_TRUE(sydney);
  EXPECT_EQ(sydney->offset_at(unix_seconds(2026, 1, 1, 0)), 11 * 3600);
  EXPECT_EQ(sydney->offset_at(unix_seconds(2026, 7, 1, 0)), 10 * 3600);
  const auto fixed = parse_zone_rule("<+0545>-5:45");
  ASSERT_TRUE(fixed);
  EXPECT_EQ(fixed->offset_at(0), 5 * 3600 + 45 * 60);
}

TEST(ZoneRule, RefusesWhatIsNone) {
  for (const char* text : {"", "CE", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
                           "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0x", "<+01", "CET-1CEST,J0,J5"}) {
    EXPECT_FALSE(parse_zone_rule(text)) << text;
  }
}

TEST(TimeZone, RefusesAFileThatIsCutOff) {
  std::ifstream in("/usr/share/zoneinfo/Europe/Berlin", std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  const std::string whole = bytes.str();
  if (whole.empty()) GTEST_SKIP() << "this machine has no tzdata";
  ASSERT_TRUE(parse_time_zone(as_bytes(whole)));
  // Without its rule a file still says something, and nothing shorter does.
  const std::size_t rule = whole.rfind('\n', whole.size() - 2);
  for (std::size_t size = 0; size < rule; size += 7)
    EXPECT_FALSE(parse_time_zone(as_bytes(std::string_view(whole).substr(0, size)))) << size;
}

// Against the C library, over 250 years.
TEST(TimeZone, AgreesWithTheCLibrary) {
  std::mt19937_64 random(20260301);
  for (const char* name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns",
                           "Africa/Casablanca", "Pacific/Apia", "Europe/Dublin", "UTC", "America/Sao_Paulo"}) {
    std::ifstream in("/usr/share/zoneinfo/" + std::string(name), std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    const std::string content = bytes.str();
    if (content.empty()) GTEST_SKIP() << "this machine has no tzdata";
    const auto zone = parse_time_zone(as_bytes(content));
    ASSERT_TRUE(zone) << name;
    ::setenv("TZ", name, 1);
    ::tzset();
    for (int i = 0; i < 5'000; ++i) {
      const auto at = static_cast<std::int64_t>(random() % 7'900'000'000) - 3'000'000'000;
      const auto seconds = static_cast<std::time_t>(at);
      std::tm local{};
      ::localtime_r(&seconds, &local);
      ASSERT_EQ(zone->offset_at(at), local.tm_gmtoff) << name << " " << at;
    }
  }
  ::unsetenv("TZ");
  ::tzset();
}

}  // namespace
}  // namespace prunella
