#include "adapters/executor_host/packages.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "observe/dpkg_status.h"
#include "observe/tar.h"

namespace prunella {

namespace {

constexpr std::string_view kDatabase = "/var/lib/dpkg";
constexpr std::size_t kListBytesMax = 64u << 20;  // the longest list in Debian has 8 MB

/// dpkg's options for both ways. Conffiles that people changed are kept, the others follow the package (dpkg(1), --force-things).
const std::vector<std::string> kConffiles = {"--force-confdef", "--force-confold"};

/// The only configuration that apt sees (APT_CONFIG is read first and turns the rest off): no archive, no hooks, no preferences,
/// no removal, and none of apt's own locks, since the executor holds dpkg's frontend lock around it.
std::string apt_config(const ExecutorPaths& paths) {
  std::string directory = paths.apt();
  std::string text;
  auto set = [&](std::string_view key, std::string_view value) { text += std::string(key) + " \"" + std::string(value) + "\";\n"; };
  for (std::string_view key : {"Dir::Etc::Parts", "Dir::Etc::main", "Dir::Etc::sourcelist", "Dir::Etc::sourceparts", "Dir::Etc::preferences",
                               "Dir::Etc::preferencesparts", "Dir::Etc::netrc", "Dir::Etc::netrcparts"})
    set(key, "/dev/null");
  set("Dir::State::lists", directory + "/lists");
  // Marks of packages as automatically installed are the administrator's: apt reads a copy and writes to that.
  set("Dir::State::extended_states", directory + "/extended_states");
  set("Dir::Cache", directory + "/cache");
  set("Dir::Cache::pkgcache", "");
  set("Dir::Cache::srcpkgcache", "");
  set("Dir::Log", directory + "/log");
  set("Dir::Log::Terminal", "");
  set("Dir::Log::History", "");
  set("Dir::Log::Planner", "");
  set("Dir::Log::Solver", "");
  set("Dir::Bin::dpkg", "/usr/bin/dpkg");
  set("APT::Sandbox::User", "root");  // the staged files are readable by root alone, and nothing is fetched
  set("APT::Get::Assume-Yes", "true");
  set("APT::Get::Remove", "false");
  set("APT::Get::AllowUnauthenticated", "false");
  set("APT::Install-Recommends", "false");
  set("APT::Install-Suggests", "false");
  set("APT::Keep-Downloaded-Packages", "true");
  set("Acquire::Languages", "none");
  set("Debug::NoLocking", "true");
  set("DPkg::Use-Pty", "false");
  text += "DPkg::Options {";
  for (const std::string& option : kConffiles) text += " \"" + option + "\";";
  text += " };\n";
  return text;
}

struct Blocked {
  bool blocked = false;
  std::int64_t pid = 0;
};
/// Who keeps us from a write lock on the whole file. Source: fcntl(2), F_GETLK.
Result<Blocked> blocked_by(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd, F_GETLK, &lock) != 0) return system_error("asking for the lock's holder", errno);
  if (lock.l_type == F_UNLCK) return Blocked{};
  return Blocked{true, std::max<std::int64_t>(lock.l_pid, 0)};
}

std::string process_file(std::int64_t pid, std::string_view name) {
  Fd fd(::open(("/proc/" + std::to_string(pid) + "/" + std::string(name)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  return read_fd(fd.get(), 1 << 20).value_or("");
}

std::string command_of(std::int64_t pid) {
  std::string text(trim(process_file(pid, "comm")));
  return pid == 0 ? "an unknown process" : text.empty() ? "a process" : text;
}

/// dpkg, apt and maintainer scripts that an executor (this one, or one that was killed) started and that still run. Daemons that a
/// script started carry the mark too, but have nothing to do with dpkg any more. Those of a container's executor have another root.
std::optional<LockHolder> leftover_tool(const HostRoot& root) {
  struct stat ours {};
  if (::fstat(root.fd(), &ours) != 0) return std::nullopt;
  DIR* proc = ::opendir("/proc");
  if (!proc) return std::nullopt;
  std::optional<LockHolder> found;
  while (const dirent* entry = ::readdir(proc)) {
    auto pid = parse_int(entry->d_name);
    if (!pid || *pid == ::getpid()) continue;
    std::string directory = "/proc/" + std::string(entry->d_name);
    struct stat info {};
    if (::stat(directory.c_str(), &info) != 0 || info.st_uid != 0) continue;
    struct stat theirs {};
    if (::stat((directory + "/root").c_str(), &theirs) != 0 || theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino) continue;
    std::string variables = process_file(*pid, "environ");
    bool marked = variables.starts_with(kToolMark) || variables.find('\0' + std::string(kToolMark)) != std::string::npos;
    if (!marked) continue;
    char program[4096];
    ssize_t length = ::readlink((directory + "/exe").c_str(), program, sizeof program);
    std::string name = length > 0 ? last_part(std::string(program, static_cast<std::size_t>(length))) : "";
    bool tool = name.starts_with("dpkg") || name.starts_with("apt-get") || process_file(*pid, "cmdline").find("/var/lib/dpkg/") != std::string::npos;
    if (tool) found = LockHolder{*pid, name + " of an executor that ended"};
  }
  ::closedir(proc);
  return found;
}

}  // namespace

Result<std::string> DpkgTool::read(const std::string& path, std::size_t bytes_max) {
  auto fd = root_.open_at(path, O_RDONLY | O_NOCTTY);
  if (!fd) return std::move(fd).error();
  auto text = read_fd(fd->get(), bytes_max);
  if (!text) return std::move(text).error().during(path);
  return text;
}

Status DpkgTool::prepare() {
  for (std::string directory : {paths_.apt(), paths_.apt() + "/lists", paths_.apt() + "/lists/partial", paths_.apt() + "/cache",
                                paths_.apt() + "/cache/archives", paths_.apt() + "/cache/archives/partial", paths_.apt() + "/log"}) {
    auto parent = root_.open_parent(directory);
    if (!parent) return std::move(parent).error();
    if (::mkdirat(parent->get(), last_part(directory).c_str(), 0700) != 0 && errno != EEXIST) return system_error(directory, errno);
  }
  auto fd = root_.open_at(paths_.apt() + "/apt.conf", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) return std::move(fd).error();
  return write_fd(fd->get(), apt_config(paths_));
}

Result<PackageFacts> DpkgTool::packages() {
  auto status = read(std::string(kDatabase) + "/status", kDpkgStatusBytesMax);
  if (!status) return std::move(status).error();
  auto updates = root_.open_at(std::string(kDatabase) + "/updates", O_RDONLY | O_DIRECTORY);
  if (!updates) return std::move(updates).error();
  DIR* directory = ::fdopendir(updates->release());
  if (!directory) return system_error("dpkg's updates", errno);
  std::vector<std::string> names, fragments;
  while (const dirent* entry = ::readdir(directory))
    if (is_dpkg_fragment_name(entry->d_name)) names.emplace_back(entry->d_name);
  ::closedir(directory);
  std::ranges::sort(names);
  for (const std::string& name : names) {
    auto text = read(std::string(kDatabase) + "/updates/" + name, kDpkgStatusBytesMax);
    if (!text) return std::move(text).error();
    fragments.push_back(*std::move(text));
  }
  return parse_dpkg_database(*status, fragments);
}

Result<std::optional<LockHolder>> DpkgTool::lock() {
  // One descriptor, since closing any other to the same file would drop the lock (fcntl(2)).
  if (!frontend_) {
    auto fd = root_.open_at(std::string(kDatabase) + "/lock-frontend", O_RDWR | O_CREAT, 0640);
    if (!fd) return std::move(fd).error();
    frontend_ = *std::move(fd);
  }
  struct flock wanted {};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  auto holder = [&](std::int64_t pid) -> Result<std::optional<LockHolder>> { return std::optional(LockHolder{pid, command_of(pid)}); };
  if (::fcntl(frontend_.get(), F_SETLK, &wanted) != 0) {
    if (errno != EAGAIN && errno != EACCES) return system_error("dpkg's frontend lock", errno);
    auto who = blocked_by(frontend_.get());
    if (!who) return std::move(who).error();
    return holder(who->pid);
  }
  auto inner = root_.open_at(std::string(kDatabase) + "/lock", O_RDWR | O_CREAT, 0640);
  if (!inner) return std::move(inner).error();
  auto who = blocked_by(inner->get());
  if (!who) return std::move(who).error();
  std::optional<LockHolder> leftover = who->blocked ? LockHolder{who->pid, command_of(who->pid)} : leftover_tool(root_);
  if (!leftover) return std::optional<LockHolder>();
  frontend_ = Fd();  // let it go: its owner may need it to come to its end
  return leftover;
}

Status DpkgTool::upgrade(const std::vector<DebFile>& files, const ToolWatch& watch) {
  auto states = read("/var/lib/apt/extended_states", kListBytesMax);
  auto copy = root_.open_at(paths_.apt() + "/extended_states", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!copy) return std::move(copy).error();
  if (auto written = write_fd(copy->get(), states.value_or("")); !written) return written;

  ToolCall call;
  call.program = "/usr/bin/apt-get";
  call.arguments = {"-q", "-o", "APT::Status-Fd=3", "install", "--"};
  for (const DebFile& file : files) call.arguments.push_back(paths_.staged(file));
  call.environment = {"APT_CONFIG=" + paths_.apt() + "/apt.conf", "DEBIAN_FRONTEND=noninteractive", "DPKG_FRONTEND_LOCKED=true"};
  call.deadline = watch.deadline;
  call.line = watch.output;
  // "pmstatus:libssl3:33.3333:Unpacking libssl3 (amd64)". Source: apt's doc/progress-reporting.md.
  call.status_line = [&](std::string line) {
    std::vector<std::string_view> parts = split(line, ':');
    if (parts.size() < 4 || parts[0] != "pmstatus" || !watch.progress) return;
    auto percent = parse_uint(parts[2].substr(0, parts[2].find('.')));
    std::string detail(line.substr(static_cast<std::size_t>(parts[3].data() - line.data())));
    watch.progress(std::move(detail), percent && *percent <= 100 ? std::optional(static_cast<std::uint32_t>(*percent)) : std::nullopt);
  };
  auto code = run_tool(root_, call);
  if (!code) return std::move(code).error();
  if (*code != 0) return unavailable("apt-get ended with " + std::to_string(*code));
  return {};
}

Status DpkgTool::dpkg(std::vector<std::string> arguments, const ToolWatch& watch) {
  ToolCall call;
  call.program = "/usr/bin/dpkg";
  call.arguments = std::move(arguments);
  call.environment = {"DEBIAN_FRONTEND=noninteractive", "DPKG_FRONTEND_LOCKED=true"};
  call.deadline = watch.deadline;
  call.line = [&](std::string line) {
    if (watch.progress && (line.starts_with("Unpacking") || line.starts_with("Setting up") || line.starts_with("Purging"))) watch.progress(line, std::nullopt);
    if (watch.output) watch.output(std::move(line));
  };
  std::string what = "dpkg " + call.arguments.front();
  auto code = run_tool(root_, call);
  if (!code) return std::move(code).error();
  if (*code != 0) return unavailable(what + " ended with " + std::to_string(*code));
  return {};
}

Status DpkgTool::restore(const std::vector<DebFile>& files, const std::vector<Removal>& added, const ToolWatch& watch) {
  // A maintainer script whose dpkg was killed may still write: what it does must not come after what we do.
  constexpr int kLooksMax = 100;  // 10 s; a script that hangs longer is ended, it's our own
  for (int i = 0; i < kLooksMax; ++i) {
    auto leftover = leftover_tool(root_);
    if (!leftover) break;
    if (i + 1 == kLooksMax) ::kill(static_cast<pid_t>(leftover->pid), SIGKILL);
    ::usleep(100'000);
  }
  Status first;
  auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 1, kConffiles.begin(), kConffiles.end());
    // Each step is tried whatever became of the one before: a script that fails now may pass once the rest is in place. What the
    // database says in the end is what counts.
    if (auto done = dpkg(std::move(arguments), watch); !done && first) first = std::move(done);
  };
  if (!files.empty()) {
    // The old set is whole in itself, so relations that the half-new state breaks must not stand in its way: a file that moved
    // between packages of the set is overwritten, and each package's dependencies are right again when all are unpacked.
    std::vector<std::string> arguments = {"--unpack", "--force-downgrade", "--force-depends", "--force-breaks", "--force-conflicts", "--force-overwrite", "--"};
    for (const DebFile& file : files) arguments.push_back(paths_.staged(file));
    run(std::move(arguments));
  }
  for (bool keep : {true, false}) {
    std::vector<std::string> arguments = {keep ? "--remove" : "--purge", "--force-depends", "--force-remove-reinstreq", "--"};
    for (const Removal& removal : added)
      if (removal.keep_conffiles == keep) arguments.push_back(removal.package.text());
    if (arguments.back() != "--") run(std::move(arguments));
  }
  run({"--configure", "-a"});
  return first;
}

Result<std::map<std::string, std::string>> DpkgTool::diversions(const PackageName& package) {
  auto text = read(std::string(kDatabase) + "/diversions", kListBytesMax);
  std::map<std::string, std::string> moved;
  if (!text && text.error().kind() == ErrorKind::kNotFound) return moved;
  if (!text) return std::move(text).error();
  std::vector<std::string_view> lines = split(*text, '\n');
  // Three lines each: the path, where it goes, and whose own files stay (":" when nobody's). Source: dpkg-divert(1).
  for (std::size_t i = 0; i + 2 < lines.size(); i += 3)
    if (lines[i + 2] != package.name) moved.emplace(lines[i], lines[i + 1]);
  return moved;
}

Result<std::vector<std::string>> DpkgTool::paths(const PackageName& package) {
  std::string directory = std::string(kDatabase) + "/info/";
  // Packages that may be installed for several architectures have the architecture in their files' names.
  auto text = read(directory + package.text() + ".list", kListBytesMax);
  if (!text && text.error().kind() == ErrorKind::kNotFound) text = read(directory + package.name + ".list", kListBytesMax);
  if (!text) return std::move(text).error();
  auto moved = diversions(package);
  if (!moved) return std::move(moved).error();
  std::vector<std::string> list;
  for (std::string_view line : split(*text, '\n')) {
    if (line.empty() || line == "/.") continue;
    auto it = moved->find(std::string(line));
    list.push_back(it == moved->end() ? std::string(line) : it->second);
  }
  std::ranges::sort(list);
  return list;
}

Result<std::vector<PackagedPath>> DpkgTool::contents(const PackageName& package, const DebFile& file) {
  auto moved = diversions(package);
  if (!moved) return std::move(moved).error();
  std::vector<PackagedPath> list;
  std::map<std::string, Digest> regular;
  std::optional<Sha256> hash;
  std::optional<Error> wrong;
  auto place = [&](const std::string& path) {
    auto it = moved->find("/" + path);
    return it == moved->end() ? "/" + path : it->second;
  };
  TarReader reader(
      [&](const TarEntry& entry) {
        bool clean = entry.path.find('\n') == std::string::npos && is_valid_utf8(entry.path);
        for (std::string_view part : split(entry.path, '/')) clean = clean && part != "..";
        if (!clean) wrong = corrupt("a path in the package is " + quoted(entry.path));
        if (wrong || entry.path.empty()) return TarReader::Want::kSkip;
        list.push_back({place(entry.path), entry.type == '5', std::nullopt});
        // A hard link's content is that of the file that it names, which came before (deb(5)).
        std::string target = entry.target.starts_with("./") ? entry.target.substr(2) : entry.target;
        if (auto it = regular.find(target); entry.type == '1' && it != regular.end()) list.back().sha256 = it->second;
        if (entry.type != '0') return TarReader::Want::kSkip;
        hash.emplace();
        return TarReader::Want::kRead;
      },
      [&](const TarEntry& entry, std::string_view piece) {
        if (!piece.empty()) {
          hash->add(as_bytes(piece));
          return;
        }
        list.back().sha256 = hash->finish();
        regular[entry.path] = *list.back().sha256;
        hash.reset();
      });
  ToolCall call;
  call.program = "/usr/bin/dpkg-deb";
  call.arguments = {"--fsys-tarfile", paths_.staged(file)};
  call.deadline = HostClock().steady() + std::chrono::minutes(5);
  call.raw = [&](BytesView bytes) -> Status {
    auto added = reader.add(as_text(bytes));
    if (added && wrong) return *wrong;
    return added;
  };
  auto code = run_tool(root_, call);
  if (!code) return std::move(code).error();
  if (*code != 0 || !reader.finished()) return corrupt("dpkg-deb can't read it (" + std::to_string(*code) + ")");
  std::ranges::sort(list, {}, &PackagedPath::path);
  return list;
}

}  // namespace prunella
