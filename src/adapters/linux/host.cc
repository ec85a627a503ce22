#include "adapters/linux/host.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "adapters/linux/files.h"
#include "base/text.h"
#include "observe/dpkg_status.h"
#include "observe/mounts.h"
#include "observe/os_release.h"

namespace prunella {

namespace {

inline constexpr std::size_t kSmallFileMax = 64u << 10;
// 3: dpkg replaces its database a few times a second while it works; who can't get a quiet moment reports what there is.
inline constexpr int kReadAttemptsMax = 3;

// What names a version of a file that is replaced by rename.
struct FileVersion {
  dev_t device = 0;
  ino_t inode = 0;
  timespec changed{};
  bool operator==(const FileVersion& o) const {
    return device == o.device && inode == o.inode && changed.tv_sec == o.changed.tv_sec && changed.tv_nsec == o.changed.tv_nsec;
  }
};
std::optional<FileVersion> version_of(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return std::nullopt;
  return FileVersion{about.st_dev, about.st_ino, about.st_mtim};
}

// The texts of dpkg's unfinished updates, in their order. A fragment that vanishes while we look was merged: look again.
Result<std::vector<std::string>> read_fragments(const std::string& directory) {
  auto names = list_directory(directory, kDpkgFragmentsMax);
  if (!names) return std::move(names).error();
  std::vector<std::string> fragments;
  for (const std::string& name : *names) {
    if (!is_dpkg_fragment_name(name)) continue;
    auto text = read_file(directory + "/" + name, kDpkgStatusBytesMax);
    if (!text) return std::move(text).error();
    fragments.push_back(*std::move(text));
  }
  return fragments;
}

bool exists(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0;
}

std::string first_line(const std::string& text) { return std::string(trim(std::string_view(text).substr(0, text.find('\n')))); }

Result<std::uint64_t> memory_bytes(const std::string& root) {
  auto text = read_file(root + "/proc/meminfo", kSmallFileMax);
  if (!text) return std::move(text).error();
  for (std::string_view line : split(*text, '\n')) {
    if (!line.starts_with("MemTotal:")) continue;
    std::vector<std::string_view> words = split_blanks(line);
    if (words.size() < 2) break;
    auto kib = parse_uint(words[1]);
    if (!kib) return std::move(kib).error().during("MemTotal of /proc/meminfo");
    return *kib * 1024;
  }
  return invalid_input("no MemTotal in /proc/meminfo");
}

std::optional<RebootMarker> read_marker(const std::string& root) {
  RebootMarker marker;
  auto there = read_file(root + "/run/reboot-required", kSmallFileMax);
  if (!there && there.error().kind() == ErrorKind::kNotFound) return marker;
  // It is there, whatever is in it and whether or not it may be read.
  marker.present = true;
  if (auto packages = read_file(root + "/run/reboot-required.pkgs", kSmallFileMax)) marker.packages = parse_reboot_packages(*packages);
  return marker;
}

}  // namespace

Result<PackageFacts> sense_packages(const std::string& root) {
  std::string status_path = root + "/var/lib/dpkg/status";
  for (int attempt = 1;; ++attempt) {
    auto before = version_of(status_path);
    // Fragments first: dpkg writes the new status before it removes the fragments that are in it, so that reading in this order
    // may see a change twice and never miss one.
    auto fragments = read_fragments(root + "/var/lib/dpkg/updates");
    if (!fragments && (fragments.error().kind() != ErrorKind::kNotFound || !before)) return std::move(fragments).error();
    auto status = read_file(status_path, kDpkgStatusBytesMax);
    if (!status) return std::move(status).error();
    auto after = version_of(status_path);
    bool quiet = fragments.has_value() && before && after && *before == *after;
    if (!quiet && attempt < kReadAttemptsMax) continue;
    if (!fragments) return unavailable("dpkg's database changes faster than it can be read: " + fragments.error().text());
    return parse_dpkg_database(*status, *fragments);
  }
}

Result<SystemFacts> sense_system(const std::string& root, const PackageFacts& packages) {
  SystemFacts facts;
  utsname names{};
  if (::uname(&names) != 0) return system_error(errno, "uname");
  facts.hostname = names.nodename;
  auto os_text = read_file(root + "/etc/os-release", kSmallFileMax);
  if (!os_text) os_text = read_file(root + "/usr/lib/os-release", kSmallFileMax);
  if (!os_text) return std::move(os_text).error();
  auto os = parse_os_release(*os_text);
  if (!os) return std::move(os).error();
  if (!os->version_id || !os->codename)
    return invalid_input("/etc/os-release of " + quoted(os->id) + " has no " + (os->version_id ? "VERSION_CODENAME" : "VERSION_ID"));
  facts.os_id = os->id;
  facts.os_version = *os->version_id;
  facts.os_codename = *os->codename;
  facts.os_pretty = os->pretty_name.value_or(os->id + " " + *os->version_id);
  auto arch = native_architecture(packages);
  if (!arch) return not_found("the native architecture: no package dpkg is installed");
  facts.arch = *arch;
  auto boot = read_file(root + "/proc/sys/kernel/random/boot_id", kSmallFileMax);
  if (!boot) return std::move(boot).error();
  facts.boot_id = first_line(*boot);
  facts.container = container_kind(root);
  auto memory = memory_bytes(root);
  if (!memory) return std::move(memory).error();
  facts.memory_bytes = *memory;
  long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (cpus < 1) return unavailable("the number of processors could not be told");
  facts.cpus = static_cast<std::uint32_t>(cpus);
  return facts;
}

KernelFacts sense_kernel(const std::string& root, const std::optional<PackageFacts>& packages) {
  KernelProbe probe;
  utsname names{};
  if (::uname(&names) == 0) {
    probe.release = names.release;
    probe.build = names.version;
  }
  probe.packages = packages;
  probe.marker = read_marker(root);
  probe.container = container_kind(root);
  probe.container_known = true;
  return kernel_facts(probe);
}

namespace {

// Whether the file system itself takes no writes: its superblock's options, not those of the mount. The agent's own view of the tree
// is read-only by its sandbox (systemd's ProtectSystem), which says nothing about the host.
// Source: proc(5), /proc/PID/mountinfo, field 11.
bool is_superblock_read_only(std::string_view mountinfo, std::string_view mount) {
  bool read_only = false;
  for (std::string_view line : split(mountinfo, '\n')) {
    auto words = split_blanks(line);
    if (words.size() < 10 || words[4] != mount) continue;
    auto options = split(words.back(), ',');
    read_only = std::ranges::find(options, "ro") != options.end();  // the last mount on a directory is the one that is seen
  }
  return read_only;
}

}  // namespace

Result<DiskFacts> sense_disk() {
  auto mountinfo = read_file("/proc/self/mountinfo", kMountinfoBytesMax);
  if (!mountinfo) return std::move(mountinfo).error();
  auto mounts = parse_mount_points(*mountinfo);
  if (!mounts) return std::move(mounts).error();
  DiskFacts facts;
  for (const char* directory : {"/", "/usr", "/var", "/boot", "/tmp"}) {
    struct statvfs about{};
    if (::statvfs(directory, &about) != 0) {
      if (errno == ENOENT) continue;
      return system_error(errno, std::string("statvfs of ") + directory);
    }
    std::string mount = mount_point_of(*mounts, directory).value_or("/");
    if (std::ranges::any_of(facts.filesystems, [&](const Filesystem& f) { return f.mount == mount; })) continue;
    Filesystem filesystem;
    filesystem.mount = mount;
    filesystem.size_bytes = about.f_blocks * about.f_frsize;
    filesystem.free_bytes = about.f_bavail * about.f_frsize;
    filesystem.free_inodes = about.f_files == 0 ? kNoInodeLimit : about.f_favail;
    filesystem.read_only = is_superblock_read_only(*mountinfo, mount);
    facts.filesystems.push_back(std::move(filesystem));
  }
  return facts;
}

std::optional<std::string> container_kind(const std::string& root) {
  // systemd, as a container's first process, writes down what it found; a manager's own marks follow.
  for (const char* file : {"/run/systemd/container", "/run/host/container-manager"}) {
    if (auto text = read_file(root + file, kSmallFileMax))
      if (std::string kind = first_line(*text); !kind.empty() && is_valid_utf8(kind)) return std::string(cut_text(kind, 64));
  }
  if (exists(root + "/.dockerenv")) return "docker";
  if (exists(root + "/run/.containerenv")) return "podman";
  if (exists(root + "/proc/vz") && !exists(root + "/proc/bc")) return "openvz";
  return std::nullopt;
}

}  // namespace prunella
