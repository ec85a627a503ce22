#include "apps/control/data_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/codec.h"

namespace prunella::control {

namespace {

Error file_error(const std::filesystem::path& path, std::string_view what) {
  int code = errno;
  std::string text = std::string(what) + " " + quoted(path.string(), 200) + ": " + std::strerror(code);
  if (code == ENOENT) return not_found(text);
  if (code == EACCES || code == EPERM) return denied(text);
  if (code == ENOSPC || code == EDQUOT) return exhausted(text);
  return unavailable(text);
}

}  // namespace

Status write_secret_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::path temporary = path;
  temporary += ".new";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return file_error(temporary, "writing");
  while (!text.empty()) {
    ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      Error error = file_error(temporary, "writing");
      ::close(fd);
      ::unlink(temporary.c_str());
      return error;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0 || ::close(fd) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) return file_error(path, "writing");
  int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return file_error(path.parent_path(), "opening");
  int synced = ::fsync(folder);
  ::close(folder);
  if (synced != 0) return file_error(path.parent_path(), "syncing");
  return {};
}

Result<std::string> read_text_file(const std::filesystem::path& path, std::size_t bytes_max) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return file_error(path, "reading");
  std::string text;
  char buffer[16384];
  for (;;) {
    ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      Error error = file_error(path, "reading");
      ::close(fd);
      return error;
    }
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > bytes_max) {
      ::close(fd);
      return exhausted(quoted(path.string(), 200) + " has more than " + bytes_text(bytes_max));
    }
  }
  ::close(fd);
  return text;
}

Status make_data_dir(const std::filesystem::path& path, const Settings& settings, Instant now, Random& random) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (failed) return unavailable("making " + quoted(path.string(), 200) + ": " + failed.message());
  if (::chmod(path.c_str(), 0700) != 0) return file_error(path, "setting the mode of");
  if (std::filesystem::exists(path / "prunellad.json")) return conflict(quoted(path.string(), 200) + " is initialised already");
  auto authority = make_authority("Prunella " + settings.organisation, now, kAuthorityLifetime, random);
  if (!authority) return std::move(authority).error().during("making the certificate authority");
  PrivateKey director = PrivateKey::generate(random);
  PrivateKey recorder = PrivateKey::generate(random);
  // prunellad.json comes last: it is what says that the folder is complete.
  const std::pair<const char*, std::string> files[] = {{"ca.key", authority->key_pem},
                                                       {"ca.pem", authority->certificate_pem},
                                                       {"director.key", director.hex_seed() + "\n"},
                                                       {"recorder.key", recorder.hex_seed() + "\n"},
                                                       {"prunellad.json", to_pretty(to_json(settings)) + "\n"}};
  for (const auto& [name, text] : files) {
    if (auto written = write_secret_file(path / name, text); !written) {
      for (const auto& [other, unused] : files) ::unlink((path / other).c_str());
      return written;
    }
  }
  return {};
}

Result<DataDir> open_data_dir(const std::filesystem::path& path) {
  auto settings_text = read_text_file(path / "prunellad.json");
  if (!settings_text) {
    if (settings_text.error().kind() == ErrorKind::kNotFound)
      return not_found("no control plane in " + quoted(path.string(), 200) + ": make one with prunellad init --data " + path.string());
    return std::move(settings_text).error();
  }
  auto settings = from_json_text<Settings>(*settings_text);
  if (!settings) return std::move(settings).error().during("reading " + (path / "prunellad.json").string());
  auto secret = [&](const char* name) -> Result<PrivateKey> {
    auto text = read_text_file(path / name);
    if (!text) return std::move(text).error();
    auto key = PrivateKey::from_hex_seed(trim(*text));
    if (!key) return corrupt((path / name).string() + ": " + key.error().text());
    return key;
  };
  auto ca_key = read_text_file(path / "ca.key");
  if (!ca_key) return std::move(ca_key).error();
  auto ca = read_text_file(path / "ca.pem");
  if (!ca) return std::move(ca).error();
  auto director = secret("director.key");
  if (!director) return std::move(director).error();
  auto recorder = secret("recorder.key");
  if (!recorder) return std::move(recorder).error();
  return DataDir{path, *std::move(settings), {*std::move(ca_key), *std::move(ca)}, *std::move(director), *std::move(recorder)};
}

}  // namespace prunella::control
