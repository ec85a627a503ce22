#pragma once

#include <cstdint>
#include <string>

namespace prunella {

/// "90.7 %", rounded down, so that a share below a limit never reads as the limit. Two decimals from 99 % on.
inline std::string percent_text(double share) {
  const bool fine = share >= 0.99;
  // The small addition keeps 0.29 * 1000 = 289.99... from reading as 28.9 %.
  const auto units = static_cast<std::uint64_t>((share < 0 ? 0 : share) * (fine ? 10'000 : 1'000) + 1e-9);
  const std::uint64_t whole = units / (fine ? 100 : 10);
  std::string rest = std::to_string(units % (fine ? 100 : 10));
  if (fine && rest.size() < 2) rest.insert(0, "0");
  return std::to_string(whole) + "." + rest + " %";
}

/// The share of `part` in `whole`; of nothing it's all of it, so that an empty whole never looks harmless.
inline double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace prunella
