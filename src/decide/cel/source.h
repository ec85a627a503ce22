#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::cel {

/// A place in an expression, for people: both start at 1, columns count characters.
struct Place {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  bool operator==(const Place&) const = default;
};

/// The place of the byte `offset` of `source`; past the end it is the place behind the last character.
Place place_of(std::string_view source, std::size_t offset);

/// Something that is wrong with an expression.
struct Problem {
  std::size_t offset = 0;  ///< in bytes
  Place place;
  std::string text;  ///< quotes the wrong part
  std::string hint;  ///< what would be right: "did you mean 'size'?"; may be empty
  bool operator==(const Problem&) const = default;
};

/// "line 1, column 5: ..., did you mean ...?", the line of the source, and a caret below the place.
std::string render(const Problem& problem, std::string_view source);
/// All problems, one below the other.
std::string render(const std::vector<Problem>& problems, std::string_view source);

}  // namespace prunella::cel
