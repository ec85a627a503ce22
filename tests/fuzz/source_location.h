#pragma once

// Put before every file of a fuzzing build (CMakeLists.txt here): libstdc++ 12 leaves std::source_location out for a compiler
// without __builtin_source_location, and clang 14, which the fuzz preset uses, is one. With a newer clang this is empty.

#if !__has_builtin(__builtin_source_location)
#include <cstdint>

namespace std {

struct source_location {
  static constexpr source_location current(const char* file = __builtin_FILE(), std::uint_least32_t line = __builtin_LINE()) {
    source_location made;
    made.file_ = file;
    made.line_ = line;
    return made;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr std::uint_least32_t line() const { return line_; }

  const char* file_ = "";
  std::uint_least32_t line_ = 0;
};

}  // namespace std
#endif
