#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace prunella {

/// `text` in single quotes for an error message: control bytes and invalid UTF-8 as \xNN, cut after `max` characters.
std::string quoted(std::string_view text, std::size_t max = 80);

std::string_view trim(std::string_view text);
/// Pieces between separators; an empty text gives one empty piece.
std::vector<std::string_view> split(std::string_view text, char separator);
/// Pieces between runs of blanks and tabs; no empty pieces.
std::vector<std::string_view> split_blanks(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
bool is_valid_utf8(std::string_view text);
/// The beginning of `text`, at most `bytes_max` bytes. Valid UTF-8 stays valid: no character is cut in two.
std::string_view cut_text(std::string_view text, std::size_t bytes_max);

/// Whole decimal number that fits; no sign for unsigned, no blanks, no leading '+'.
/// @error kInvalidInput  with the text quoted.
Result<std::int64_t> parse_int(std::string_view text);
Result<std::uint64_t> parse_uint(std::string_view text);

/// "1.5 MB" for people (powers of 1000, one decimal).
std::string bytes_text(std::uint64_t bytes);

/// The candidate nearest to `word` by edit distance, if it is near enough to be meant; for "did you mean".
std::optional<std::string> nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace prunella
