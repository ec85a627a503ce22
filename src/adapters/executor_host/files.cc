#include "adapters/executor_host/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

namespace prunella {

namespace {

constexpr std::size_t kXattrsMax = 64u << 10;  // xattr(7): a list has at most 64 kB
/// A name beside a path for what isn't finished; the next try takes it away first.
constexpr std::string_view kUnfinished = ".prunella-tmp";

Result<Digest> hash_fd(int fd) {
  Sha256 hash;
  std::uint8_t buffer[65536];
  while (true) {
    ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading", errno);
    if (got == 0) return hash.finish();
    hash.add({buffer, static_cast<std::size_t>(got)});
  }
}

/// Copies at most `bytes_max`, hashing what is written. @error kCorrupt beyond it.
Result<Digest> copy_hashed(int from, int to, std::uint64_t bytes_max) {
  Sha256 hash;
  char buffer[65536];
  std::uint64_t copied = 0;
  while (true) {
    ssize_t got = ::read(from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading", errno);
    if (got == 0) return hash.finish();
    copied += static_cast<std::uint64_t>(got);
    if (copied > bytes_max) return corrupt("it's longer than the " + std::to_string(bytes_max) + " bytes that it should have");
    std::string_view piece(buffer, static_cast<std::size_t>(got));
    hash.add(as_bytes(piece));
    if (auto written = write_fd(to, piece); !written) return std::move(written).error();
  }
}

Status sync_directory(int directory, std::string_view name) {
  // An O_PATH descriptor can't be synced.
  Fd readable(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable || ::fsync(readable.get()) != 0) return system_error("syncing the directory of " + std::string(name), errno);
  return {};
}

std::map<std::string, std::string> xattrs_of(int fd) {
  std::map<std::string, std::string> found;
  std::vector<char> names(kXattrsMax), value(kXattrsMax);
  ssize_t length = ::flistxattr(fd, names.data(), names.size());
  for (ssize_t at = 0; at < length;) {
    std::string name = names.data() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    // EVM and IMA sign attributes that include the inode number; they can't be put back and aren't ours.
    if (name == "security.evm" || name == "security.ima") continue;
    ssize_t size = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (size >= 0) found.emplace(name, to_hex(as_bytes(std::string_view(value.data(), static_cast<std::size_t>(size)))));
  }
  return found;
}

/// Owner, mode and attributes. The owner first: chown(2) takes setuid bits and capabilities away.
Status put_attributes(int fd, const FileState& state) {
  if (::fchown(fd, state.uid, state.gid) != 0 || ::fchmod(fd, state.mode) != 0) return system_error("owner and mode of " + state.path, errno);
  auto now = xattrs_of(fd);
  for (const auto& [name, value] : now)
    if (!state.xattrs.contains(name)) ::fremovexattr(fd, name.c_str());
  for (const auto& [name, value] : state.xattrs) {
    auto bytes = from_hex(value);
    if (!bytes) return std::move(bytes).error();
    auto it = now.find(name);
    if (it != now.end() && it->second == value) continue;
    if (::fsetxattr(fd, name.c_str(), bytes->data(), bytes->size(), 0) != 0) return system_error(name + " of " + state.path, errno);
  }
  return {};
}

Status make_directory(const HostRoot& root, const std::string& path) {
  auto parent = root.open_parent(path);
  if (!parent) return std::move(parent).error();
  if (::mkdirat(parent->get(), last_part(path).c_str(), 0700) != 0 && errno != EEXIST) return system_error(path, errno);
  return {};
}

void empty_directory(const HostRoot& root, const std::string& path) {
  auto fd = root.open_at(path, O_RDONLY | O_DIRECTORY);
  if (!fd) return;
  int number = fd->get();
  DIR* directory = ::fdopendir(fd->release());
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory))
    if (entry->d_name[0] != '.') ::unlinkat(number, entry->d_name, 0);
  ::closedir(directory);
}

}  // namespace

Status replace_file(const HostRoot& root, const std::string& path, std::string_view text) {
  auto parent = root.open_parent(path);
  if (!parent) return std::move(parent).error();
  std::string name = last_part(path), fresh = name + std::string(kUnfinished);
  ::unlinkat(parent->get(), fresh.c_str(), 0);
  Fd fd(::openat(parent->get(), fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return system_error(path, errno);
  if (auto written = write_fd(fd.get(), text); !written) return std::move(written).error().during(path);
  if (::fsync(fd.get()) != 0) return system_error("syncing " + path, errno);
  if (::renameat(parent->get(), fresh.c_str(), parent->get(), name.c_str()) != 0) return system_error(path, errno);
  return sync_directory(parent->get(), path);
}

Result<std::string> read_file(const HostRoot& root, const std::string& path, std::size_t bytes_max) {
  auto fd = root.open_at(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY);
  if (!fd) return std::move(fd).error();
  auto text = read_fd(fd->get(), bytes_max);
  if (!text) return std::move(text).error().during(path);
  return text;
}

Result<Fd> prepare_state(const HostRoot& root, const ExecutorPaths& paths) {
  for (const std::string& directory : {paths.state, paths.stage(), paths.keep()})
    if (auto made = make_directory(root, directory); !made) return std::move(made).error();
  auto state = root.open_at(paths.state, O_RDONLY | O_DIRECTORY);
  if (!state) return std::move(state).error();
  struct stat info {};
  if (::fstat(state->get(), &info) != 0 || info.st_uid != 0 || (info.st_mode & 077) != 0)
    return denied(paths.state + " must belong to root with mode 0700: whoever writes there decides what root installs");
  auto lock = root.open_at(paths.state + "/lock", O_RDWR | O_CREAT, 0600);
  if (!lock) return std::move(lock).error();
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) return conflict("another executor uses " + paths.state);
  return lock;
}

// ---- the host's files --------------------------------------------------------------------------------------------------------

Result<FileState> HostFiles::look(const std::string& path) {
  FileState state;
  state.path = path;
  auto parent = root_.open_parent(path);
  if (!parent && parent.error().kind() == ErrorKind::kNotFound) return state;
  if (!parent) return std::move(parent).error();
  std::string name = last_part(path);
  struct stat info {};
  if (::fstatat(parent->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return state;
    return system_error(path, errno);
  }
  state.mode = info.st_mode & 07777;
  state.uid = info.st_uid;
  state.gid = info.st_gid;
  if (S_ISLNK(info.st_mode)) {
    std::string target(kXattrsMax, '\0');
    ssize_t length = ::readlinkat(parent->get(), name.c_str(), target.data(), target.size());
    if (length < 0) return system_error(path, errno);
    target.resize(static_cast<std::size_t>(length));
    state.kind = FileKind::kSymlink;
    state.mode = 0;  // a link's mode means nothing
    state.target = std::move(target);
    return state;
  }
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    state.kind = FileKind::kOther;
    return state;
  }
  Fd fd(::openat(parent->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return system_error(path, errno);
  state.xattrs = xattrs_of(fd.get());
  state.kind = S_ISDIR(info.st_mode) ? FileKind::kDirectory : FileKind::kRegular;
  if (state.kind == FileKind::kDirectory) return state;
  auto digest = hash_fd(fd.get());
  if (!digest) return std::move(digest).error().during(path);
  state.sha256 = *digest;
  return state;
}

Status HostFiles::keep(const FileState& state) {
  check(state.kind == FileKind::kRegular && state.sha256.has_value(), "only regular files are kept");
  auto directory = root_.open_at(paths_.keep(), O_PATH | O_DIRECTORY);
  if (!directory) return std::move(directory).error();
  std::string name = state.sha256->hex(), fresh = name + std::string(kUnfinished);
  auto from = root_.open_at(state.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!from) return std::move(from).error();
  ::unlinkat(directory->get(), fresh.c_str(), 0);
  Fd to(::openat(directory->get(), fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return system_error("keeping " + state.path, errno);
  auto digest = copy_hashed(from->get(), to.get(), UINT64_MAX);
  if (!digest) return std::move(digest).error().during(state.path);
  if (*digest != *state.sha256) return conflict(state.path + " changed while it was saved");
  if (::fsync(to.get()) != 0) return system_error("syncing the copy of " + state.path, errno);
  if (::renameat(directory->get(), fresh.c_str(), directory->get(), name.c_str()) != 0) return system_error("keeping " + state.path, errno);
  return sync_directory(directory->get(), name);
}

Status HostFiles::put_back(const FileState& state) {
  auto parent = root_.open_parent(state.path);
  if (!parent) return std::move(parent).error();
  std::string name = last_part(state.path), fresh = name + std::string(kUnfinished);
  int at = parent->get();
  auto now = look(state.path);
  if (!now) return std::move(now).error();
  ::unlinkat(at, fresh.c_str(), 0);
  auto rename_over = [&]() -> Status {
    if (now->kind == FileKind::kDirectory && ::unlinkat(at, name.c_str(), AT_REMOVEDIR) != 0) return system_error(state.path, errno);
    if (::renameat(at, fresh.c_str(), at, name.c_str()) != 0) return system_error(state.path, errno);
    return sync_directory(at, state.path);
  };
  switch (state.kind) {
    case FileKind::kAbsent:
    case FileKind::kOther: return unavailable(state.path + " can't be made again");
    case FileKind::kSymlink: {
      if (::symlinkat(state.target.value_or("").c_str(), at, fresh.c_str()) != 0) return system_error(state.path, errno);
      if (::fchownat(at, fresh.c_str(), state.uid, state.gid, AT_SYMLINK_NOFOLLOW) != 0) return system_error(state.path, errno);
      return rename_over();
    }
    case FileKind::kDirectory: {
      if (now->kind != FileKind::kDirectory && now->kind != FileKind::kAbsent && ::unlinkat(at, name.c_str(), 0) != 0) return system_error(state.path, errno);
      if (now->kind != FileKind::kDirectory && ::mkdirat(at, name.c_str(), 0700) != 0) return system_error(state.path, errno);
      Fd fd(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!fd) return system_error(state.path, errno);
      return put_attributes(fd.get(), state);
    }
    case FileKind::kRegular: break;
  }
  if (now->kind == FileKind::kRegular && now->sha256 == state.sha256) {
    Fd fd(::openat(at, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return system_error(state.path, errno);
    return put_attributes(fd.get(), state);
  }
  auto from = root_.open_at(paths_.keep() + "/" + state.sha256.value_or(Digest{}).hex(), O_RDONLY);
  if (!from) return std::move(from).error().during("the kept content of " + state.path);
  Fd to(::openat(at, fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return system_error(state.path, errno);
  auto digest = copy_hashed(from->get(), to.get(), UINT64_MAX);
  if (!digest) return std::move(digest).error().during(state.path);
  if (*digest != *state.sha256) return corrupt("the kept content of " + state.path + " is damaged");
  if (auto put = put_attributes(to.get(), state); !put) return put;
  if (::fsync(to.get()) != 0) return system_error("syncing " + state.path, errno);
  return rename_over();
}

Status HostFiles::remove(const std::string& path) {
  auto parent = root_.open_parent(path);
  if (!parent) return parent.error().kind() == ErrorKind::kNotFound ? Status() : Status(parent.error());
  std::string name = last_part(path);
  if (::unlinkat(parent->get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno == EISDIR && ::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) == 0) return {};
  if (errno == ENOTEMPTY || errno == EEXIST) return conflict(path + " isn't empty");
  return system_error(path, errno);
}

Result<std::uint64_t> HostFiles::free_bytes(const std::string& path) {
  auto fd = root_.open_at(path, O_PATH);
  struct statvfs info {};
  if (!fd) return std::move(fd).error();
  if (::fstatvfs(fd->get(), &info) != 0) return system_error(path, errno);
  return static_cast<std::uint64_t>(info.f_bfree) * info.f_frsize;
}

// ---- the executor's own files ------------------------------------------------------------------------------------------------

Status HostStage::stage(const DebFile& file) {
  auto directory = root_.open_at(paths_.stage(), O_PATH | O_DIRECTORY);
  if (!directory) return std::move(directory).error();
  std::string name = file.sha256.hex() + ".deb", fresh = name + std::string(kUnfinished);
  Fd there(::openat(directory->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (there)
    if (auto digest = hash_fd(there.get()); digest && *digest == file.sha256) return {};
  auto from = root_.open_at(paths_.agent_stage + "/" + name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!from) return std::move(from).error().during("the staged file");
  struct stat info {};
  if (::fstat(from->get(), &info) != 0 || !S_ISREG(info.st_mode)) return corrupt("the staged file is no regular file");
  ::unlinkat(directory->get(), fresh.c_str(), 0);
  Fd to(::openat(directory->get(), fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return system_error("staging", errno);
  // What the agent does to its file from here on doesn't matter: only the bytes that were hashed on the way are ever used.
  auto digest = copy_hashed(from->get(), to.get(), file.size_bytes);
  if (!digest) return std::move(digest).error();
  if (*digest != file.sha256) return corrupt("the staged file's digest is " + digest->brief() + ", the plan names " + file.sha256.brief());
  if (::fsync(to.get()) != 0) return system_error("staging", errno);
  if (::renameat(directory->get(), fresh.c_str(), directory->get(), name.c_str()) != 0) return system_error("staging", errno);
  return sync_directory(directory->get(), name);
}

void HostStage::clear() { empty_directory(root_, paths_.stage()); }

Status HostRunFiles::write(const RunId& run, std::string_view text) { return replace_file(root_, path_of(run), text); }
Result<std::string> HostRunFiles::read(const RunId& run) { return read_file(root_, path_of(run), 256u << 20); }
void HostRunFiles::clear(const RunId& run) {
  empty_directory(root_, paths_.keep());
  if (auto parent = root_.open_parent(path_of(run))) ::unlinkat(parent->get(), last_part(path_of(run)).c_str(), 0);
}

Result<std::string> HostJournalFile::read_all() {
  auto text = read_file(root_, path_, kJournalBytesMax + kJournalAheadBytes + 1);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::string();
  if (text) text->erase(text->find_last_not_of('\0') + 1);
  return text;
}

Status HostJournalFile::append(std::string_view bytes) {
  if (!fd_) {
    auto fd = root_.open_at(path_, O_WRONLY | O_NOFOLLOW);
    if (!fd) return std::move(fd).error();
    if (::lseek(fd->get(), static_cast<off_t>(end_), SEEK_SET) < 0) return system_error(path_, errno);
    fd_ = *std::move(fd);
  }
  end_ += bytes.size();
  return write_fd(fd_.get(), bytes);
}

Status HostJournalFile::sync() {
  if (::fdatasync(fd_.get()) != 0) return system_error("syncing the journal", errno);
  return {};
}

Result<std::string> HostPolicyStore::read() { return read_file(root_, path_, kPolicyBytesMax); }
Status HostPolicyStore::replace(std::string_view text) { return replace_file(root_, path_, text); }

Status HostJournalFile::replace(std::string_view bytes) {
  fd_ = Fd();
  end_ = bytes.size();
  return replace_file(root_, path_, std::string(bytes) + std::string(kJournalAheadBytes, '\0'));
}

}  // namespace prunella
