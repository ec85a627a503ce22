#include "model/package.h"

#include <algorithm>

namespace prunella {

namespace {
bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
}  // namespace

Status check_package_name(const PackageName& package) {
  auto name_char = [](char c) { return is_lower_or_digit(c) || c == '+' || c == '.' || c == '-'; };
  auto arch_char = [](char c) { return is_lower_or_digit(c) || c == '-'; };
  // 128: the longest name in Debian has 70 characters.
  if (package.name.size() < 2 || package.name.size() > 128 || !is_lower_or_digit(package.name[0]) || !std::ranges::all_of(package.name, name_char))
    return invalid_input(quoted(package.name) + " is not a package name: lower-case letters, digits and +.- (Debian Policy 5.6.1)");
  if (package.arch.empty() || package.arch.size() > 32 || package.arch[0] == '-' || !std::ranges::all_of(package.arch, arch_char))
    return invalid_input(quoted(package.arch) + " is not an architecture such as amd64 or all");
  return {};
}

Result<PackageName> parse_package_name(std::string_view text) {
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return invalid_input(quoted(text) + " is not name:architecture");
  PackageName package{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  if (auto checked = check_package_name(package); !checked) return std::move(checked).error();
  return package;
}

Status check_debian_version(std::string_view version) {
  constexpr std::string_view kRest = ".+~:-";
  bool good = !version.empty() && version.size() <= 256 && version[0] >= '0' && version[0] <= '9';
  for (char c : version)
    good = good && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kRest.find(c) != std::string_view::npos);
  if (good) return {};
  return invalid_input(quoted(version) + " is not a Debian version: a digit, then letters, digits and .+~:- (Debian Policy 5.6.12)");
}

bool is_present(PackageState state) {
  switch (state) {
    case PackageState::kNotInstalled:
    case PackageState::kConfigFiles: return false;
    case PackageState::kHalfInstalled:
    case PackageState::kUnpacked:
    case PackageState::kHalfConfigured:
    case PackageState::kTriggersAwaited:
    case PackageState::kTriggersPending:
    case PackageState::kInstalled: return true;
  }
  return false;
}

bool needs_repair(const Package& package) {
  return package.reinst_required || (is_present(package.state) && package.state != PackageState::kInstalled);
}

}  // namespace prunella
