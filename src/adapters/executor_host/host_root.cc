#include "adapters/executor_host/host_root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/text.h"

namespace prunella {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}
Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Error system_error(std::string_view what, int number) {
  std::string text = std::string(what) + ": " + std::strerror(number);
  if (number == ENOENT || number == ENOTDIR) return not_found(text);
  if (number == ENOSPC || number == EDQUOT) return exhausted(text);
  return unavailable(text);
}

Result<HostRoot> HostRoot::open(const std::string& directory) {
  HostRoot root;
  root.fd_ = Fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.fd_) return system_error("opening the root " + quoted(directory), errno);
  root.offline_ = directory != "/";
  return root;
}

Result<Fd> HostRoot::open_at(const std::string& path, int flags, unsigned mode) const {
  struct open_how how {};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: a rename raced with the walk (openat2(2)); eight tries are what runc takes.
  for (int i = 0; i < 8; ++i) {
    int fd = static_cast<int>(::syscall(SYS_openat2, fd_.get(), path.c_str(), &how, sizeof how));
    if (fd >= 0) return Fd(fd);
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return system_error(path, errno);
}

Result<Fd> HostRoot::open_parent(const std::string& path) const {
  std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return invalid_input(quoted(path) + " is no absolute path");
  return open_at(slash == 0 ? "/" : path.substr(0, slash), O_PATH | O_DIRECTORY);
}

Instant HostClock::now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

Monotonic HostClock::steady() {
  timespec at{};
  ::clock_gettime(CLOCK_BOOTTIME, &at);
  return Monotonic(std::chrono::seconds(at.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(at.tv_nsec)));
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<Account> account_of(const HostRoot& root, std::string_view name) {
  auto fd = root.open_at("/etc/passwd", O_RDONLY);
  if (!fd) return std::move(fd).error();
  auto text = read_fd(fd->get(), 16u << 20);
  if (!text) return std::move(text).error().during("/etc/passwd");
  for (std::string_view line : split(*text, '\n')) {
    auto fields = split(line, ':');  // passwd(5): name, password, uid, gid, ...
    if (fields.size() < 4 || fields[0] != name) continue;
    auto uid = parse_uint(fields[2]), gid = parse_uint(fields[3]);
    if (!uid || !gid || *uid >= UINT32_MAX || *gid >= UINT32_MAX) break;
    return Account{static_cast<std::uint32_t>(*uid), static_cast<std::uint32_t>(*gid)};
  }
  return not_found("the user " + quoted(name) + " isn't in /etc/passwd");
}

Result<std::string> read_fd(int fd, std::size_t bytes_max) {
  std::string text;
  char buffer[65536];
  while (true) {
    ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading", errno);
    if (got == 0) return text;
    if (text.size() + static_cast<std::size_t>(got) > bytes_max) return exhausted("more than " + std::to_string(bytes_max) + " bytes");
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

Status write_fd(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error("writing", errno);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace prunella
