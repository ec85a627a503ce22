#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/time_zone.h"

namespace prunella {

/// Time zones from the files of Debian's tzdata; each is read once. Not for several threads at once.
class ZoneFiles final : public TimeZones {
 public:
  explicit ZoneFiles(std::string folder = "/usr/share/zoneinfo") : folder_(std::move(folder)) {}
  /// nullptr also for a name that is no plain path below the folder, for a damaged file, and when kZonesMax were asked for.
  const TimeZone* find(std::string_view name) override;

 private:
  std::string folder_;
  std::map<std::string, std::unique_ptr<const TimeZone>, std::less<>> zones_;  ///< nullptr: there is none of this name
};

/// The database has some 600 names; an expression may make up more.
inline constexpr std::size_t kZonesMax = 1'000;

}  // namespace prunella
