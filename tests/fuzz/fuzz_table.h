#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace prunella::fuzz {

/// One fuzz target: its name, which is its folder in corpus/, and what takes one input.
struct Target {
  const char* name;
  int (*run)(const std::uint8_t* data, std::size_t size);
};
/// Made by CMakeLists.txt of the files that are there.
const std::vector<Target>& targets();

}  // namespace prunella::fuzz
