#include "model/deb_version.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace prunella {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// '~' sorts before the end, the end before letters, letters before everything else.
int weight(char c) {
  if (c == '~') return -1;
  if (is_letter(c)) return c;
  return c + 256;
}

std::weak_ordering compare_part(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    while ((i < a.size() && !is_digit(a[i])) || (j < b.size() && !is_digit(b[j]))) {
      int x = i < a.size() && !is_digit(a[i]) ? weight(a[i++]) : 0;
      int y = j < b.size() && !is_digit(b[j]) ? weight(b[j++]) : 0;
      if (x != y) return x <=> y;
    }
    while (i < a.size() && a[i] == '0') ++i;
    while (j < b.size() && b[j] == '0') ++j;
    // Numbers of any length: the longer one is greater, else the first different digit decides.
    std::size_t a_end = i, b_end = j;
    while (a_end < a.size() && is_digit(a[a_end])) ++a_end;
    while (b_end < b.size() && is_digit(b[b_end])) ++b_end;
    if (auto longer = (a_end - i) <=> (b_end - j); longer != 0) return longer;
    if (auto digits = a.substr(i, a_end - i) <=> b.substr(j, b_end - j); digits != 0) return digits;
    i = a_end, j = b_end;
  }
  return std::weak_ordering::equivalent;
}

Status check_characters(std::string_view part, std::string_view extra, std::string_view whole) {
  for (char c : part)
    if (!is_digit(c) && !is_letter(c) && extra.find(c) == std::string_view::npos)
      return invalid_input(quoted(std::string_view(&c, 1)) + " can't be in a Debian version, and is in " + quoted(whole));
  return {};
}

}  // namespace

std::weak_ordering DebVersion::operator<=>(const DebVersion& other) const {
  if (auto epochs = epoch <=> other.epoch; epochs != 0) return epochs;
  if (auto upstreams = compare_part(upstream, other.upstream); upstreams != 0) return upstreams;
  return compare_part(revision, other.revision);
}

Result<DebVersion> parse_deb_version(std::string_view text) {
  constexpr std::size_t kVersionMax = 512;  // the longest version in Debian has about 60 characters
  if (text.empty()) return invalid_input("an empty text is not a Debian version");
  if (text.size() > kVersionMax) return invalid_input(quoted(text) + " is longer than any Debian version");
  DebVersion version;
  std::string_view rest = text;
  if (std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    auto epoch = parse_uint(text.substr(0, colon));
    if (!epoch || *epoch > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()))
      return invalid_input(quoted(text.substr(0, colon)) + " is not an epoch from 0 to 2147483647, in version " + quoted(text));
    version.epoch = static_cast<std::uint32_t>(*epoch);
    rest = text.substr(colon + 1);
    if (rest.empty()) return invalid_input(quoted(text) + " has nothing after its epoch");
  }
  std::string_view upstream = rest;
  std::string_view revision = "0";
  if (std::size_t dash = rest.rfind('-'); dash != std::string_view::npos) {
    upstream = rest.substr(0, dash);
    revision = rest.substr(dash + 1);
    if (revision.empty()) return invalid_input(quoted(text) + " has an empty revision after its last '-'");
  }
  if (upstream.empty() || !is_digit(upstream[0]))
    return invalid_input("the version " + quoted(text) + " doesn't start with a digit");
  if (auto checked = check_characters(upstream, ".+~-:", text); !checked) return std::move(checked).error();
  if (auto checked = check_characters(revision, ".+~", text); !checked) return std::move(checked).error();
  version.upstream = upstream;
  version.revision = revision;
  return version;
}

Result<std::weak_ordering> compare_deb_versions(std::string_view a, std::string_view b) {
  auto left = parse_deb_version(a);
  if (!left) return std::move(left).error();
  auto right = parse_deb_version(b);
  if (!right) return std::move(right).error();
  return *left <=> *right;
}

}  // namespace prunella
