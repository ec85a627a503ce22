#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace prunella {

/// Whose a process is, by its control group.
struct CgroupPlace {
  std::optional<std::string> unit;  ///< systemd's system unit ("nginx.service", "init.scope"); absent for people's sessions
  bool user_session = false;        ///< below a person's slice: a login session, or a service of their own manager
  bool operator==(const CgroupPlace&) const = default;
};

/// From the text of /proc/PID/cgroup, unified or with systemd's own hierarchy. Neither unit nor session: not known.
/// A container's processes belong to the unit that runs the container.
/// Source: cgroups(7), systemd's src/basic/cgroup-util.c (cg_path_get_unit, cg_path_get_session); see systemd.slice(5).
CgroupPlace parse_cgroup(std::string_view text);

}  // namespace prunella
