#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace prunella {

/// 8 MiB: a container host with 10,000 mounts writes 2 MB.
inline constexpr std::size_t kMountinfoBytesMax = 8u << 20;

/// Where file systems are mounted, in the kernel's order: a later one hides an earlier one at the same place.
/// Source: proc(5) "/proc/pid/mountinfo"; blanks in names come as \040.
/// @error kInvalidInput  a line of another form: quoted, with its number.
/// @error kExhausted     larger than kMountinfoBytesMax.
Result<std::vector<std::string>> parse_mount_points(std::string_view mountinfo);

/// The mount point that holds the absolute `path`: the longest that is above it; absent when there is none.
std::optional<std::string> mount_point_of(const std::vector<std::string>& mounts, std::string_view path);

}  // namespace prunella
