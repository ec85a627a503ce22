#include "decide/policy/amounts.h"

#include "base/text.h"

namespace prunella::policy {

std::string to_text(const Amount& amount) { return std::to_string(amount.value) + (amount.percent ? "%" : ""); }

Result<Amount> parse_amount(std::string_view text) {
  Amount amount;
  std::string_view digits = text;
  if (digits.ends_with('%')) {
    amount.percent = true;
    digits.remove_suffix(1);
  }
  auto value = parse_uint(trim(digits));
  if (!value || *value == 0 || *value > 1'000'000) return invalid_input(quoted(text) + " is no amount; write a number from 1 on, such as 3, or a share, such as 10%");
  if (amount.percent && *value > 100) return invalid_input(quoted(text) + " is above 100%");
  amount.value = static_cast<std::uint32_t>(*value);
  return amount;
}

std::string to_text(const Limit& limit) { return to_text(limit.amount) + (limit.per ? "/" + to_text(*limit.per) : ""); }

Result<Limit> parse_limit(std::string_view text) {
  Limit limit;
  const auto slash = text.find('/');
  auto amount = parse_amount(trim(text.substr(0, slash)));
  if (!amount) return invalid_input(quoted(text) + " is no limit; write 3 or 10% for at once, 50/h for within an hour");
  limit.amount = *amount;
  if (slash == std::string_view::npos) return limit;
  std::string per(trim(text.substr(slash + 1)));
  if (!per.empty() && (per[0] < '0' || per[0] > '9')) per.insert(0, "1");
  auto duration = parse_duration(per);
  if (!duration || *duration <= Duration(0)) return invalid_input(quoted(text) + " is no limit: after '/' stands a time, as in 50/h or 3/10m");
  limit.per = *duration;
  return limit;
}

std::string to_text(const Burst& burst) { return to_text(burst.amount) + " in " + to_text(burst.within); }

Result<Burst> parse_burst(std::string_view text) {
  const auto words = split_blanks(text);
  if (words.size() == 3 && words[1] == "in") {
    auto amount = parse_amount(words[0]);
    auto within = parse_duration(words[2]);
    if (amount && within && *within > Duration(0)) return Burst{*amount, *within};
  }
  return invalid_input(quoted(text) + " is not of the form '2 in 1h' or '10% in 10m'");
}

Result<DurationRange> parse_duration_range(std::string_view text) {
  const auto dots = text.find("..");
  if (dots != std::string_view::npos) {
    auto first = parse_duration(text.substr(0, dots));
    auto last = parse_duration(text.substr(dots + 2));
    if (first && last && *first <= *last && *last > Duration(0)) return DurationRange{*first, *last};
  }
  return invalid_input(quoted(text) + " is not of the form '1s..60s', with the longer time last");
}

Result<std::uint32_t> parse_factor(std::string_view text) {
  const auto bad = [&] { return invalid_input(quoted(text) + " is no factor; write x1 to x10, such as x2 or x1.5"); };
  if (!text.starts_with('x')) return bad();
  const std::string_view digits = text.substr(1);
  const auto dot = digits.find('.');
  auto whole = parse_uint(digits.substr(0, dot));
  std::uint64_t tenths = 0;
  if (dot != std::string_view::npos) {
    auto part = parse_uint(digits.substr(dot + 1));
    if (!part || digits.size() != dot + 2) return bad();
    tenths = *part;
  }
  if (!whole || *whole > 10) return bad();
  const std::uint64_t value = *whole * 10 + tenths;
  if (value < 10 || value > 100) return bad();
  return static_cast<std::uint32_t>(value);
}

}  // namespace prunella::policy
