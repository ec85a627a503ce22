#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace prunella::cel {

/// Memory that one compiled pattern and its automaton may take.
inline constexpr int kPatternBytesMax = 1 << 20;

/// A compiled regular expression; several threads may use it.
class Pattern {
 public:
  /// @error kInvalidInput  RE2 doesn't take it: with RE2's reason.
  static Result<Pattern> compile(std::string_view text);
  /// Whether it matches anywhere in `text`, as langdef.md has it for matches().
  bool found_in(std::string_view text) const;
  /// What a match costs for a text of `bytes` bytes.
  std::uint64_t cost(std::size_t bytes) const;

 private:
  explicit Pattern(std::shared_ptr<const re2::RE2> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const re2::RE2> compiled_;
};

/// What compiling a pattern of `bytes` bytes in the run costs: far more than to match it.
inline constexpr std::uint64_t compile_cost(std::size_t bytes) { return 200 + 20 * bytes; }

}  // namespace prunella::cel
