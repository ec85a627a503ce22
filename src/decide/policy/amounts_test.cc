#include "decide/policy/amounts.h"

#include <gtest/gtest.h>

namespace prunella::policy {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

template <class T>
std::string said(Result<T> read) {
  return read ? to_text(*read) : "refused";
}

TEST(Amounts, AreNumbersOrShares) {
  EXPECT_EQ(said(parse_amount("3")), "3");
  EXPECT_EQ(said(parse_amount("10%")), "10%");
  for (const char* bad : {"", "0", "0%", "-1", "101%", "x", "1.5", "%", "10 %%", "99999999999"}) EXPECT_EQ(said(parse_amount(bad)), "refused") << bad;
}

TEST(Amounts, LimitsMayHaveATime) {
  EXPECT_EQ(parse_limit("50/h").value_or({}), (Limit{{50, false}, hours(1)}));
  EXPECT_EQ(parse_limit("3/10m").value_or({}), (Limit{{3, false}, minutes(10)}));
  EXPECT_EQ(parse_limit("10%").value_or({}), (Limit{{10, true}, std::nullopt}));
  for (const char* bad : {"/h", "5/", "5/0h", "5/x", "h/5"}) EXPECT_EQ(said(parse_limit(bad)), "refused") << bad;
}

TEST(Amounts, BurstsHaveBoth) {
  EXPECT_EQ(parse_burst("10% in 10m").value_or({}), (Burst{{10, true}, minutes(10)}));
  EXPECT_EQ(parse_burst("2 in 1h").value_or({}), (Burst{{2, false}, hours(1)}));
  for (const char* bad : {"2", "2 in", "2 within 1h", "2 in 0h", "in 1h", "2 in 1h more"}) EXPECT_EQ(said(parse_burst(bad)), "refused") << bad;
}

TEST(Amounts, RangesRise) {
  EXPECT_EQ(parse_duration_range("1s..60s").value_or({}), (DurationRange{seconds(1), seconds(60)}));
  for (const char* bad : {"1s", "60s..1s", "..", "1s..", "0s..0s"}) EXPECT_FALSE(parse_duration_range(bad)) << bad;
}

TEST(Amounts, FactorsAreTenths) {
  EXPECT_EQ(parse_factor("x2").value_or(0), 20u);
  EXPECT_EQ(parse_factor("x1.5").value_or(0), 15u);
  for (const char* bad : {"2", "x", "x0", "x0.5", "x11", "x1.55", "x1.", "x-2"}) EXPECT_FALSE(parse_factor(bad)) << bad;
}

}  // namespace
}  // namespace prunella::policy
