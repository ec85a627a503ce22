#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace prunella {

/// What /etc/os-release says. What the file lacks is absent.
struct OsRelease {
  std::string id;                        ///< ID; "linux" where the file has none, as os-release(5) says
  std::optional<std::string> version_id; ///< Debian's testing has none
  std::optional<std::string> codename;
  std::optional<std::string> pretty_name;
  bool operator==(const OsRelease&) const = default;
};

/// Source: os-release(5): shell assignments with optional quotes and backslash escapes, comments, nothing is expanded.
/// @error kInvalidInput  a line that is no assignment, or a quote without its end: quoted, with its number.
/// @error kExhausted     larger than 64 KiB.
Result<OsRelease> parse_os_release(std::string_view text);

}  // namespace prunella
