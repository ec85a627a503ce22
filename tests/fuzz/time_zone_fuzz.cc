// A file of the time zone database, and the rule at its end.
#include <cstddef>
#include <cstdint>

#include "base/time_zone.h"
#include "properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  constexpr std::int64_t kOffsetMax = 8 * 86'400;  // 167 hours and a day of daylight, POSIX's widest rule
  constexpr std::int64_t kTimes[] = {-62'135'596'800, -1, 0, 1'795'000'000, 4'102'444'800, 253'402'300'799};
  std::string_view text = fuzz::text_of(data, size);
  auto zone = parse_time_zone(as_bytes(text));
  if (!zone) fuzz::check_error(zone.error());
  for (std::int64_t at : kTimes)
    if (zone) check(std::abs(zone->offset_at(at)) <= kOffsetMax, "an offset is a matter of days at most");
  auto rule = parse_zone_rule(text);
  if (!rule) fuzz::check_error(rule.error());
  for (std::int64_t at : kTimes)
    if (rule) check(std::abs(rule->offset_at(at)) <= kOffsetMax, "a rule's offset is a matter of days at most");
  return 0;
}
