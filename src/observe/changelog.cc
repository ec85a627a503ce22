#include "observe/changelog.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "base/text.h"

namespace prunella {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "openssl (3.0.17-1~deb12u2) bookworm-security; urgency=medium"
std::optional<std::string_view> version_of_heading(std::string_view line) {
  if (line.empty() || line[0] == ' ' || line[0] == '\t') return std::nullopt;
  std::size_t open = line.find(" (");
  if (open == std::string_view::npos || line.find(' ') != open) return std::nullopt;
  std::size_t close = line.find(')', open);
  if (close == std::string_view::npos || line.find(';', close) == std::string_view::npos) return std::nullopt;
  std::string_view version = line.substr(open + 2, close - open - 2);
  if (!check_debian_version(version)) return std::nullopt;
  return version;
}

std::string_view without_rebuild(std::string_view version) {
  std::size_t digits = version.size();
  while (digits > 0 && is_digit(version[digits - 1])) --digits;
  if (digits == version.size() || digits < 2 || version.substr(digits - 2, 2) != "+b") return version;
  return version.substr(0, digits - 2);
}

// CVE-YYYY-N with at least four digits at the end; written in either case. Source: CVE's own syntax of 2014.
void collect_cves(std::string_view line, std::set<std::string>& cves) {
  constexpr std::size_t kPrefix = 9;  // "CVE-2024-"
  for (std::size_t at = 0; at + kPrefix + 4 <= line.size(); ++at) {
    if ((line[at] != 'C' && line[at] != 'c') || (at > 0 && (is_digit(line[at - 1]) || std::isalpha(static_cast<unsigned char>(line[at - 1])))))
      continue;
    auto upper = [&](std::size_t i) { return static_cast<char>(std::toupper(static_cast<unsigned char>(line[at + i]))); };
    if (upper(1) != 'V' || upper(2) != 'E' || line[at + 3] != '-' || line[at + 8] != '-') continue;
    if (!std::all_of(line.begin() + at + 4, line.begin() + at + 8, is_digit)) continue;
    std::size_t end = at + kPrefix;
    while (end < line.size() && is_digit(line[end])) ++end;
    std::size_t digits = end - at - kPrefix;
    if (digits < 4 || digits > 12 || cves.size() >= kChangelogCvesMax) continue;
    cves.insert("CVE-" + std::string(line.substr(at + 4, end - at - 4)));
    at = end - 1;
  }
}

}  // namespace

Result<ChangelogCves> cves_since(std::string_view changelog, std::string_view installed, const VersionOrder& order) {
  bool cut = changelog.size() > kChangelogBytesMax;
  std::string_view rest = changelog.substr(0, kChangelogBytesMax);
  std::set<std::string> cves;
  ChangelogCves answer;
  bool any = false;
  installed = without_rebuild(installed);
  while (!rest.empty()) {
    std::size_t end = rest.find('\n');
    // The line that the limit cut may have lost the end of a number.
    if (end == std::string_view::npos && cut) break;
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (auto version = version_of_heading(line)) {
      any = true;
      int compared = order(without_rebuild(*version), installed);
      if (compared <= 0) {
        answer.complete = compared == 0;
        break;
      }
      continue;
    }
    if (any) collect_cves(line, cves);
  }
  if (!any) return invalid_input("no changelog: " + quoted(changelog.substr(0, changelog.find('\n'))) + " starts no entry");
  answer.cves.assign(cves.begin(), cves.end());
  return answer;
}

std::vector<const Update*> changelog_carriers(const std::vector<Update>& updates, std::size_t per_source) {
  std::vector<const Update*> sorted;
  for (const Update& update : updates)
    if (!update.changelog_read && update.from_version) sorted.push_back(&update);
  std::ranges::stable_sort(sorted, [](const Update* a, const Update* b) {
    return std::tie(a->source, a->to.size_bytes) < std::tie(b->source, b->to.size_bytes);
  });
  std::map<std::string_view, std::size_t> taken;
  std::erase_if(sorted, [&](const Update* update) { return ++taken[update->source] > per_source; });
  return sorted;
}

void set_cves(std::vector<Update>& updates, std::string_view source, const ChangelogCves& cves) {
  for (Update& update : updates) {
    if (update.source != source) continue;
    update.cves = cves.cves;
    update.changelog_read = cves.complete;
  }
}

}  // namespace prunella
