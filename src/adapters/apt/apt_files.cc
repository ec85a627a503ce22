#include "adapters/apt/apt_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "adapters/apt/md5.h"
#include "base/text.h"

namespace prunella::apt_files {

namespace {

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0) : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error file_error(const std::string& what) {
  int number = errno;
  char buffer[128];
  std::string text = what + ": " + strerror_r(number, buffer, sizeof buffer);
  if (number == ENOENT || number == ENOTDIR) return not_found(std::move(text));
  if (number == EACCES || number == EPERM || number == EROFS) return denied(std::move(text));
  if (number == ENOSPC || number == EDQUOT) return exhausted(std::move(text));
  return unavailable(std::move(text));
}

Status each_piece(const std::string& path, const std::function<Status(std::string_view)>& take) {
  File file(path, O_RDONLY | O_NONBLOCK);
  struct stat about{};
  if (file.get() < 0 || ::fstat(file.get(), &about) != 0) return file_error("opening " + path);
  if (!S_ISREG(about.st_mode)) return invalid_input(path + " is no regular file");
  char buffer[65536];
  for (;;) {
    ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error("reading " + path);
    if (got == 0) return {};
    if (auto taken = take(std::string_view(buffer, static_cast<std::size_t>(got))); !taken) return taken;
  }
}

Status write_piece(int fd, std::string_view piece, const std::string& path) {
  while (!piece.empty()) {
    ssize_t written = ::write(fd, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("writing " + path);
    piece.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Writes a temporary file by `fill`, syncs it and puts it in place.
Status in_place(const std::string& path, unsigned mode, const std::function<Status(int fd, const std::string& temporary)>& fill) {
  std::string temporary = path + ".new";
  File file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
  if (file.get() < 0 || ::fchmod(file.get(), mode) != 0) return file_error("making " + temporary);
  Status done = fill(file.get(), temporary);
  if (done && ::fsync(file.get()) != 0) done = file_error("syncing " + temporary);
  if (done && ::rename(temporary.c_str(), path.c_str()) != 0) done = file_error("renaming " + temporary);
  if (!done) ::unlink(temporary.c_str());
  return done;
}

}  // namespace

std::optional<FileMark> mark_of(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return std::nullopt;
  return FileMark{static_cast<std::uint64_t>(about.st_size), about.st_mtim.tv_sec * 1'000'000'000 + about.st_mtim.tv_nsec};
}

Result<Digest> hash_file(const std::string& path) {
  Sha256 digest;
  Status done = each_piece(path, [&](std::string_view piece) {
    digest.add(as_bytes(piece));
    return Status();
  });
  if (!done) return std::move(done).error();
  return digest.finish();
}

ConffileOnDisk conffile_on_disk(const std::string& path) {
  ConffileOnDisk on_disk;
  Md5 md5;
  Status done = each_piece(path, [&](std::string_view piece) {
    md5.add(piece);
    return Status();
  });
  if (done) {
    on_disk.state = ConffileOnDisk::State::kPresent;
    on_disk.md5 = md5.finish();
  } else if (done.error().kind() == ErrorKind::kNotFound) {
    on_disk.state = ConffileOnDisk::State::kMissing;
  }
  return on_disk;
}

Result<std::string> read_whole(const std::string& path, std::size_t bytes_max) {
  std::string content;
  Status done = each_piece(path, [&](std::string_view piece) -> Status {
    if (content.size() + piece.size() > bytes_max) return exhausted(path + " has more than " + bytes_text(bytes_max));
    content.append(piece);
    return {};
  });
  if (!done) return std::move(done).error();
  return content;
}

Status replace_file(const std::string& path, std::string_view content, unsigned mode) {
  return in_place(path, mode, [&](int fd, const std::string& temporary) { return write_piece(fd, content, temporary); });
}

Status copy_file(const std::string& from, const std::string& to) {
  return in_place(to, 0644, [&](int fd, const std::string& temporary) {
    return each_piece(from, [&](std::string_view piece) { return write_piece(fd, piece, temporary); });
  });
}

Status make_directory(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  struct stat about{};
  if (errno == EEXIST && ::stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode)) return {};
  return file_error("making " + path);
}

}  // namespace prunella::apt_files
