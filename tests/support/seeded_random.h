#pragma once

#include "base/random.h"

namespace prunella::testing {

/// Seeded randomness: the same seed, the same run.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) {
      // splitmix64 (Steele, Lea, Flood 2014): any seed is good, and the sequence is the same everywhere.
      state_ += 0x9E3779B97F4A7C15ull;
      std::uint64_t z = state_;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
      b = static_cast<std::byte>((z ^ (z >> 31)) & 0xFF);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace prunella::testing
