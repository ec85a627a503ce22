#include "decide/cel/source.h"

#include <algorithm>

#include "base/text.h"

namespace prunella::cel {

namespace {

constexpr std::size_t kShownBefore = 60;  // bytes of a long line shown on each side of the place
bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

}  // namespace

Place place_of(std::string_view source, std::size_t offset) {
  Place place;
  const std::size_t end = std::min(offset, source.size());
  for (std::size_t i = 0; i < end; ++i) {
    if (source[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if (starts_character(source[i])) {
      ++place.column;
    }
  }
  return place;
}

std::string render(const Problem& problem, std::string_view source) {
  std::string text =
      "line " + std::to_string(problem.place.line) + ", column " + std::to_string(problem.place.column) + ": " + problem.text;
  if (!problem.hint.empty()) text += "; " + problem.hint;
  const std::size_t at = std::min(problem.offset, source.size());
  std::size_t begin = at == 0 ? std::string_view::npos : source.rfind('\n', at - 1);
  begin = begin == std::string_view::npos ? 0 : begin + 1;
  std::size_t end = std::min(source.find('\n', at), source.size());
  if (at - begin > kShownBefore) begin = at - kShownBefore;
  while (begin < at && !starts_character(source[begin])) ++begin;
  const std::string_view line = cut_text(source.substr(begin, end - begin), (at - begin) + kShownBefore);
  std::string shown;
  std::string caret;
  for (std::size_t i = 0; i < line.size(); ++i) {
    shown += line[i] == '\t' || static_cast<unsigned char>(line[i]) < 0x20 ? ' ' : line[i];
    if (begin + i < at && starts_character(line[i])) caret += ' ';
  }
  return text + "\n  | " + shown + "\n  | " + caret + "^";
}

std::string render(const std::vector<Problem>& problems, std::string_view source) {
  std::string text;
  for (const Problem& problem : problems) text += (text.empty() ? "" : "\n") + render(problem, source);
  return text;
}

}  // namespace prunella::cel
