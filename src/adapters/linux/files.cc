#include "adapters/linux/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "adapters/linux/descriptor.h"
#include "base/text.h"

namespace prunella {

namespace {

std::string error_words(int number) {
  char buffer[128];
  return strerror_r(number, buffer, sizeof buffer);
}

Status write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(errno, "writing " + path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Error system_error(int number, const std::string& what) {
  std::string text = what + ": " + error_words(number);
  switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH: return not_found(std::move(text));
    case EACCES:
    case EPERM:
    case EROFS: return denied(std::move(text));
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return exhausted(std::move(text));
    default: return unavailable(std::move(text));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  // Non-blocking, so that a pipe put in a file's place can't stop the reader.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.is_open()) return system_error(errno, "opening " + path);
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return system_error(errno, "looking at " + path);
  if (!S_ISREG(about.st_mode)) return invalid_input(path + " is no regular file");
  if (about.st_size > 0 && static_cast<std::uint64_t>(about.st_size) > bytes_max)
    return exhausted(path + " has " + bytes_text(static_cast<std::uint64_t>(about.st_size)) + "; at most " + bytes_text(bytes_max) + " are read");
  std::string content;
  // The kernel's own files say 0; one byte more than the size shows that a file grew meanwhile.
  std::size_t piece = about.st_size > 0 ? static_cast<std::size_t>(about.st_size) + 1 : 64u << 10;
  for (;;) {
    std::size_t had = content.size();
    std::size_t wanted = std::min(piece, bytes_max - had + 1);
    content.resize(had + wanted);
    ssize_t got = ::read(file.get(), content.data() + had, wanted);
    if (got < 0 && errno == EINTR) {
      content.resize(had);
      continue;
    }
    if (got < 0) return system_error(errno, "reading " + path);
    content.resize(had + static_cast<std::size_t>(got));
    if (got == 0) return content;
    if (content.size() > bytes_max) return exhausted(path + " has more than " + bytes_text(bytes_max));
    piece = 64u << 10;
  }
}

Status write_file_atomically(const std::string& path, std::string_view content, unsigned mode) {
  std::size_t slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string temporary = directory + "/." + name + ".new";
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file.is_open()) return system_error(errno, "making " + temporary);
  if (::fchmod(file.get(), mode) != 0) return system_error(errno, "setting the mode of " + temporary);
  if (auto written = write_all(file.get(), content, temporary); !written) return written;
  if (::fsync(file.get()) != 0) return system_error(errno, "syncing " + temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error(errno, "renaming " + temporary + " to " + path);
  Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.is_open() || ::fsync(parent.get()) != 0) return system_error(errno, "syncing " + directory);
  return {};
}

Result<std::vector<std::string>> list_directory(const std::string& path, std::size_t entries_max) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return system_error(errno, "opening " + path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    dirent* entry = ::readdir(directory.get());
    if (!entry && errno != 0) return system_error(errno, "reading " + path);
    if (!entry) break;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == entries_max) return exhausted(path + " has more than " + std::to_string(entries_max) + " entries");
    names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace prunella
