#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace prunella {

/// Port: where randomness comes from (the kernel, or a seed in the simulator).
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;

  std::uint64_t next() {
    std::uint64_t value = 0;
    fill(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  /// A value below `bound` (at least 1). The modulo's bias, below 2^-32 for the small bounds used here, does not matter.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

}  // namespace prunella
