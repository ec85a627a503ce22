#include "adapters/linux/zone_files.h"

#include <algorithm>

#include "adapters/linux/files.h"

namespace prunella {

namespace {

constexpr std::size_t kZoneBytesMax = 1 << 16;  // the largest has 4 KB
constexpr std::size_t kNameMax = 64;

/// "Europe/Berlin", "Etc/GMT+5": begins with a letter and has no dots, so that it stays below the folder.
bool is_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_good = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '/' || c == '_' || c == '-' || c == '+';
  };
  return !name.empty() && name.size() <= kNameMax && is_letter(name[0]) && std::all_of(name.begin(), name.end(), is_good);
}

}  // namespace

const TimeZone* ZoneFiles::find(std::string_view name) {
  if (const auto known = zones_.find(name); known != zones_.end()) return known->second.get();
  if (!is_name(name) || zones_.size() >= kZonesMax) return nullptr;
  std::unique_ptr<const TimeZone> zone;
  if (const auto bytes = read_file(folder_ + "/" + std::string(name), kZoneBytesMax)) {
    if (auto parsed = parse_time_zone(as_bytes(*bytes))) zone = std::make_unique<const TimeZone>(*std::move(parsed));
  }
  return zones_.emplace(name, std::move(zone)).first->second.get();
}

}  // namespace prunella
