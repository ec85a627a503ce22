#pragma once

#include "base/random.h"

namespace prunella::testing {

/// Bytes that count up from `first`: keys and ids that are the same in each run, and read off at once.
class CountingRandom : public Random {
 public:
  explicit CountingRandom(std::uint8_t first = 1) : next_(first) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(next_++);
  }

 private:
  std::uint8_t next_;
};

}  // namespace prunella::testing
