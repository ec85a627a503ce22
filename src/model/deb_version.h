#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace prunella {

/// A Debian version, taken apart. Source: Debian Policy 5.6.12, deb-version(7); compared with `dpkg --compare-versions` by
/// deb_version_test.
struct DebVersion {
  std::uint32_t epoch = 0;  ///< 0 when there is none
  std::string upstream;
  std::string revision;  ///< "0" when there is none: deb-version(7) takes both as equal

  /// Order of versions; 1.0000-1 and 1.0-1 are equal (equivalent) without having the same text.
  std::weak_ordering operator<=>(const DebVersion& other) const;
  bool operator==(const DebVersion& other) const { return (*this <=> other) == 0; }
};

/// Splits at the first ':' and at the last '-'.
/// @error kInvalidInput  empty, an epoch that is no number from 0 to 2147483647, nothing after ':' or after the last '-', an
///                       upstream version that doesn't start with a digit, a character that a version can't have.
Result<DebVersion> parse_deb_version(std::string_view text);

/// Compares two versions as dpkg does.
/// @error kInvalidInput  one of them is no version: there is no order then, and the caller must not assume one.
Result<std::weak_ordering> compare_deb_versions(std::string_view a, std::string_view b);

}  // namespace prunella
