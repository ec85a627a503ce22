// /proc/PID/maps, /proc/PID/cgroup and mountinfo.
#include "base/check.h"
#include "observe/cgroup.h"
#include "observe/maps.h"
#include "observe/mounts.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto files = prunella::parse_maps(text)) prunella::check(prunella::stale_files(*files).size() <= 16, "at most 16 stale files");
  prunella::CgroupPlace place = prunella::parse_cgroup(text);
  prunella::check(!(place.unit && place.user_session), "a process of a session has no system unit");
  if (auto mounts = prunella::parse_mount_points(text)) (void)prunella::mount_point_of(*mounts, "/var/lib").has_value();
  return 0;
}
