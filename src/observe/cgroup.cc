#include "observe/cgroup.h"

#include "base/text.h"

namespace prunella {

namespace {

// The path of systemd's hierarchy: "0::/path" (unified) or "1:name=systemd:/path".
std::optional<std::string_view> systemd_path(std::string_view text) {
  std::optional<std::string_view> unified;
  for (std::string_view line : split(text, '\n')) {
    std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    // A machine in a container of a hybrid host sees that hierarchy too, mounted by nobody there: then all processes are in its root.
    if (controllers == "name=systemd" && line.substr(second + 1) != "/") return line.substr(second + 1);
    if (controllers.empty() && line.starts_with("0:")) unified = line.substr(second + 1);
  }
  return unified;
}

bool is_unit_with_processes(std::string_view name) {
  for (std::string_view suffix : {".service", ".scope", ".socket", ".mount", ".swap"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) return true;
  return false;
}

}  // namespace

CgroupPlace parse_cgroup(std::string_view text) {
  CgroupPlace place;
  auto path = systemd_path(text);
  if (!path) return place;
  for (std::string_view part : split(*path, '/')) {
    // A process outside the namespace that looks at it: its place can't be told from here.
    if (part == "..") return {};
    // systemd puts an underscore before names that would look like the kernel's own files.
    if (part.starts_with('_')) part.remove_prefix(1);
    if (part == "user.slice" || (part.starts_with("user-") && part.ends_with(".slice"))) place.user_session = true;
    if (part.ends_with(".slice") || !is_unit_with_processes(part)) continue;
    if (!place.user_session) place.unit = std::string(part);
    return place;
  }
  return place;
}

}  // namespace prunella
