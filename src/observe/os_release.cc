#include "observe/os_release.h"

#include <utility>

#include "base/text.h"

namespace prunella {

namespace {

inline constexpr std::size_t kOsReleaseBytesMax = 64u << 10;

// A shell word after os-release(5): unquoted, 'single' or "double" with backslash escapes.
Result<std::string> unquote(std::string_view value) {
  if (value.empty()) return std::string();
  char quote = value.front();
  if (quote != '"' && quote != '\'') {
    if (value.find_first_of(" \t\"'") != std::string_view::npos) return invalid_input(quoted(value) + " needs quotes");
    return std::string(value);
  }
  std::string out;
  for (std::size_t i = 1; i < value.size(); ++i) {
    if (value[i] == quote) {
      if (i + 1 != value.size()) return invalid_input(quoted(value) + " goes on after its closing quote");
      return out;
    }
    if (value[i] == '\\' && quote == '"' && i + 1 < value.size()) ++i;
    out += value[i];
  }
  return invalid_input(quoted(value) + " has no closing quote");
}

bool is_key(std::string_view key) {
  if (key.empty()) return false;
  for (char c : key)
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

}  // namespace

Result<OsRelease> parse_os_release(std::string_view text) {
  if (text.size() > kOsReleaseBytesMax) return exhausted("os-release of " + bytes_text(text.size()));
  OsRelease release;
  release.id = "linux";
  std::size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    std::string place = "line " + std::to_string(number) + " of os-release";
    std::size_t equals = line.find('=');
    std::string_view key = line.substr(0, equals);
    if (equals == std::string_view::npos || !is_key(key)) return invalid_input(place + ": " + quoted(line) + " is not KEY=value");
    auto value = unquote(line.substr(equals + 1));
    if (!value) return std::move(value).error().during(place);
    if (value->empty() || !is_valid_utf8(*value)) continue;
    if (key == "ID") release.id = *std::move(value);
    else if (key == "VERSION_ID") release.version_id = *std::move(value);
    else if (key == "VERSION_CODENAME") release.codename = *std::move(value);
    else if (key == "PRETTY_NAME") release.pretty_name = *std::move(value);
  }
  return release;
}

}  // namespace prunella
