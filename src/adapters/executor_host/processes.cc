#include "adapters/executor_host/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "observe/cgroup.h"
#include "observe/maps.h"

namespace prunella {

namespace {

std::optional<std::string> proc_file(const std::string& pid, std::string_view name) {
  Fd fd(::open(("/proc/" + pid + "/" + std::string(name)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  auto text = read_fd(fd.get(), 16u << 20);  // a JVM with 100,000 mappings has 10 MB
  return text ? std::optional(*std::move(text)) : std::nullopt;
}

/// Field 22 of /proc/PID/stat; the command in field 2 may hold blanks and brackets, so it's counted from the last one.
std::uint64_t start_ticks(std::string_view stat) {
  std::size_t bracket = stat.rfind(')');
  if (bracket == std::string_view::npos) return 0;
  auto fields = split_blanks(stat.substr(bracket + 1));
  return fields.size() > 19 ? parse_uint(fields[19]).value_or(0) : 0;
}

/// The name in both spellings of a merged /usr.
std::string_view other_spelling(std::string_view path, std::string& buffer) {
  if (path.starts_with("/usr/")) return path.substr(4);
  buffer = "/usr" + std::string(path);
  return buffer;
}

/// path -> "name:arch" for these paths, by dpkg's lists.
std::map<std::string, std::string, std::less<>> owners_of(const HostRoot& root, const std::set<std::string, std::less<>>& paths) {
  std::map<std::string, std::string, std::less<>> owners;
  auto fd = root.open_at("/var/lib/dpkg/info", O_RDONLY | O_DIRECTORY);
  auto native = root.open_at("/var/lib/dpkg/arch-native", O_RDONLY);
  std::string arch = native ? std::string(trim(read_fd(native->get(), 64).value_or(""))) : "";
#if defined(__x86_64__)
  if (arch.empty()) arch = "amd64";
#elif defined(__aarch64__)
  if (arch.empty()) arch = "arm64";
#endif
  if (!fd) return owners;
  int number = fd->get();
  DIR* directory = ::fdopendir(fd->release());
  if (!directory) return owners;
  while (const dirent* entry = ::readdir(directory)) {
    std::string_view name(entry->d_name);
    if (!name.ends_with(".list")) continue;
    Fd list(::openat(number, entry->d_name, O_RDONLY | O_CLOEXEC));
    auto text = read_fd(list.get(), 64u << 20);
    if (!text) continue;
    name.remove_suffix(5);
    std::string package(name);
    if (package.find(':') == std::string::npos) package += ":" + arch;
    for (std::string_view line : split(*text, '\n'))
      if (paths.contains(line)) owners.emplace(std::string(line), package);
  }
  ::closedir(directory);
  return owners;
}

}  // namespace

Result<ProcessFacts> ProcTool::observe() {
  DIR* proc = ::opendir("/proc");
  if (!proc) return system_error("/proc", errno);
  ProcessFacts facts;
  std::map<std::string, std::set<std::string>> unit_paths;
  std::set<std::string, std::less<>> wanted;
  std::size_t looked = 0;
  while (const dirent* entry = ::readdir(proc)) {
    auto pid = parse_int(entry->d_name);
    if (!pid) continue;
    if (++looked > kProcessesMax) break;
    std::string name = entry->d_name;
    auto maps = proc_file(name, "maps");  // gone, or a kernel thread: nothing
    if (!maps || maps->empty()) continue;
    auto files = parse_maps(*maps);
    if (!files) continue;
    CgroupPlace owner = parse_cgroup(proc_file(name, "cgroup").value_or(""));
    if (owner.unit) {
      std::set<std::string>& paths = unit_paths[*owner.unit];
      for (const MappedFile& file : *files)
        if (file.executable && (!file.deleted || is_stale_code(file))) paths.insert(file.path);
    }
    std::vector<std::string> replaced = stale_files(*files);
    if (replaced.empty()) continue;
    StaleProcess stale;
    stale.pid = *pid;
    stale.start_ticks = start_ticks(proc_file(name, "stat").value_or(""));
    stale.command = std::string(trim(proc_file(name, "comm").value_or("")));
    if (!is_valid_utf8(stale.command)) stale.command = quoted(stale.command);
    stale.unit = owner.unit;
    stale.user_session = owner.user_session;
    for (std::string& path : replaced)
      if (is_valid_utf8(path)) stale.files.push_back(std::move(path));
    facts.stale.push_back(std::move(stale));
  }
  ::closedir(proc);
  if (looked > kProcessesMax) return exhausted("more than " + std::to_string(kProcessesMax) + " processes");
  std::string buffer;
  for (const auto& [unit, paths] : unit_paths)
    for (const std::string& path : paths) {
      wanted.insert(path);
      wanted.emplace(other_spelling(path, buffer));
    }
  auto owners = owners_of(root_, wanted);
  for (const auto& [unit, paths] : unit_paths) {
    std::set<std::string> packages;
    for (const std::string& path : paths) {
      auto it = owners.find(path);
      if (it == owners.end()) it = owners.find(other_spelling(path, buffer));
      if (it != owners.end()) packages.insert(it->second);
    }
    facts.unit_packages[unit].assign(packages.begin(), packages.end());
  }
  std::ranges::sort(facts.stale, {}, &StaleProcess::pid);
  return facts;
}

}  // namespace prunella
