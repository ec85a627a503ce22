#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/codec.h"
#include "base/result.h"
#include "base/time.h"

/// The small texts of policies: "10%", "50/h", "2 in 1h", "1s..60s".
namespace prunella::policy {

using prunella::to_text;  // or those below would hide it

/// So many, or so many percent.
struct Amount {
  std::uint32_t value = 0;
  bool percent = false;
  bool operator==(const Amount&) const = default;
};
template <class F>
void fields(F& f, Amount& a) {
  f("value", a.value);
  f("percent", a.percent);
}
std::string to_text(const Amount& amount);
/// "1", "10%".
/// @error kInvalidInput  no such text, 0, above 100 %.
Result<Amount> parse_amount(std::string_view text);

/// At most so many at once, or so many within a time.
struct Limit {
  Amount amount;
  std::optional<Duration> per;  ///< "50/h": within an hour; absent: at once
  bool operator==(const Limit&) const = default;
};
template <class F>
void fields(F& f, Limit& l) {
  f("amount", l.amount);
  f("per_ms", l.per);
}
std::string to_text(const Limit& limit);
/// "1", "10%", "50/h", "3/10m".
/// @error kInvalidInput  no such text.
Result<Limit> parse_limit(std::string_view text);

/// So many within a time: "2 in 1h", "10% in 10m".
struct Burst {
  Amount amount;
  Duration within{};
  bool operator==(const Burst&) const = default;
};
template <class F>
void fields(F& f, Burst& b) {
  f("amount", b.amount);
  f("within_ms", b.within);
}
std::string to_text(const Burst& burst);
/// @error kInvalidInput  no such text, a time of 0.
Result<Burst> parse_burst(std::string_view text);

struct DurationRange {
  Duration first{};
  Duration last{};
  bool operator==(const DurationRange&) const = default;
};
/// "1s..60s".
/// @error kInvalidInput  no such text, or falling.
Result<DurationRange> parse_duration_range(std::string_view text);

/// "x2": 1 to 10, a tenth is the smallest step: "x1.5". In tenths.
/// @error kInvalidInput
Result<std::uint32_t> parse_factor(std::string_view text);

}  // namespace prunella::policy
