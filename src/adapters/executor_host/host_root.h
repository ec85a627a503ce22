#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace prunella {

/// A file descriptor with one owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// errno as an Error: ENOENT and ENOTDIR are kNotFound, ENOSPC and EDQUOT kExhausted, others kUnavailable.
Error system_error(std::string_view what, int number);

/// The host's root directory: "/", or for tests a tree that tools run in by chroot(2). Every path is resolved inside it, whatever
/// symbolic links say. Source: openat2(2), RESOLVE_IN_ROOT.
class HostRoot {
 public:
  /// @error kNotFound, kUnavailable
  static Result<HostRoot> open(const std::string& directory);
  int fd() const { return fd_.get(); }
  bool offline() const { return offline_; }  ///< it's no booted machine: no units, no processes
  /// Opens `path` inside the root. @error as system_error.
  Result<Fd> open_at(const std::string& path, int flags, unsigned mode = 0) const;
  /// The directory that holds `path`, for calls on its last part. @error as system_error.
  Result<Fd> open_parent(const std::string& path) const;

 private:
  Fd fd_;
  bool offline_ = false;
};

/// The clocks of tools' deadlines and of whoever sets them. CLOCK_BOOTTIME: a deadline passes while the machine sleeps.
class HostClock : public Clock {
 public:
  Instant now() override;
  Monotonic steady() override;
};

/// The last part of a path.
std::string last_part(const std::string& path);
/// A user by /etc/passwd in the root. Not by getpwnam(3): that loads whatever nsswitch.conf names into a root program.
struct Account {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};
/// @error kNotFound, kUnavailable
Result<Account> account_of(const HostRoot& root, std::string_view name);

/// Reads a whole file of at most `bytes_max`. @error kExhausted beyond it, kUnavailable
Result<std::string> read_fd(int fd, std::size_t bytes_max);
Status write_fd(int fd, std::string_view bytes);

}  // namespace prunella
