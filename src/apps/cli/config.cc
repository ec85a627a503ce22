#include "apps/cli/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace prunella::cli {

namespace {

Error file_error(std::string_view what, const std::string& path) {
  int code = errno;
  std::string text = std::string(what) + " " + quoted(path, 200) + ": " + std::strerror(code);
  if (code == ENOENT) return not_found(text);
  if (code == EACCES || code == EPERM) return denied(text);
  if (code == ENOSPC || code == EDQUOT) return exhausted(text);
  return unavailable(text);
}

Status make_private_dir(const std::string& path) {
  // Parents with the usual mode, the last one for its owner only.
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    std::string parent = path.substr(0, at);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return file_error("making", parent);
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return file_error("making", path);
  return {};
}

template <class T>
Result<T> read_json_file(const std::string& path, T missing) {
  auto text = read_file(path);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return missing;
    return std::move(text).error();
  }
  auto value = from_json_text<T>(*text, {.bytes_max = 64 << 20});
  if (!value) return std::move(value).error().during("reading " + path);
  return value;
}

}  // namespace

Result<ServerAddress> parse_server(std::string_view url) {
  constexpr std::size_t kServerNameMax = 253;  // of a DNS name (RFC 1035 section 2.3.4, less the length octets); addresses are shorter
  auto wrong = [&](std::string_view why) { return invalid_input(quoted(url) + " is not a server such as https://10.213.0.1:8443" + (why.empty() ? "" : ": " + std::string(why))); };
  constexpr std::string_view kScheme = "https://";
  if (url.starts_with("http://")) return wrong("only https is spoken");
  if (!url.starts_with(kScheme)) return wrong("");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  ServerAddress address;
  address.port = 443;
  std::string_view port;
  if (rest.starts_with('[')) {
    std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return wrong("the ']' is missing");
    address.host = std::string(rest.substr(1, close - 1));
    rest = rest.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return wrong("");
    if (!rest.empty()) port = rest.substr(1);
  } else {
    std::size_t colon = rest.find(':');
    address.host = std::string(rest.substr(0, colon));
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
  }
  if (address.host.empty()) return wrong("the name is missing");
  if (address.host.size() > kServerNameMax) return wrong("the name has " + std::to_string(address.host.size()) + " characters, at most " + std::to_string(kServerNameMax));
  for (char c : address.host) {
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' || c == '_';
    if (!good) return wrong("");
  }
  if (port.empty()) return rest.ends_with(':') ? Result<ServerAddress>(wrong("the port is missing")) : address;
  auto number = parse_uint(port);
  if (!number || *number == 0 || *number > 65535) return wrong("the port must be from 1 to 65535");
  address.port = static_cast<std::uint16_t>(*number);
  return address;
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return file_error("reading", path);
  std::string text;
  char buffer[65536];
  for (;;) {
    ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      Error error = file_error("reading", path);
      ::close(fd);
      return error;
    }
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > bytes_max) {
      ::close(fd);
      return exhausted(quoted(path, 200) + " has more than " + bytes_text(bytes_max));
    }
  }
  ::close(fd);
  return text;
}

Status write_file(const std::string& path, std::string_view text, unsigned mode) {
  std::string temporary = path + ".new";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return file_error("writing", temporary);
  auto give_up = [&](const std::string& which) {
    Error error = file_error("writing", which);
    ::close(fd);
    ::unlink(temporary.c_str());
    return error;
  };
  // A file that was left behind may have another mode.
  if (::fchmod(fd, mode) != 0) return give_up(temporary);
  while (!text.empty()) {
    ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return give_up(temporary);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return give_up(temporary);
  ::close(fd);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    Error error = file_error("writing", path);
    ::unlink(temporary.c_str());
    return error;
  }
  std::size_t slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);  // best effort: the file itself is safe
    ::close(folder);
  }
  return {};
}

bool is_open_to_others(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0;
}

Result<Contexts> ConfigDir::contexts() const { return read_json_file(file("context.json"), Contexts{}); }

Status ConfigDir::save(const Contexts& contexts) const {
  if (auto made = make_private_dir(path_); !made) return made;
  return write_file(file("context.json"), to_pretty(to_json(contexts)) + "\n", 0600);
}

Result<std::map<std::string, AuditMemory>> ConfigDir::audit_memory() const {
  return read_json_file(file("audit.json"), std::map<std::string, AuditMemory>{});
}

Status ConfigDir::save(const std::map<std::string, AuditMemory>& memory) const {
  if (auto made = make_private_dir(path_); !made) return made;
  return write_file(file("audit.json"), to_pretty(to_json(memory)) + "\n", 0600);
}

Result<PrivateKey> ConfigDir::key(std::string_view name) const {
  std::string path = file(name);
  auto text = read_file(path, 4096);
  if (!text) return std::move(text).error();
  if (is_open_to_others(path)) return denied(quoted(path, 200) + " can be read by others: chmod 600 it, and think about a new key");
  auto key = PrivateKey::from_hex_seed(trim(*text));
  if (!key) return std::move(key).error().during("reading " + path);
  return key;
}

Result<PrivateKey> ConfigDir::make_key(std::string_view name, Random& random) const {
  std::string path = file(name);
  if (::access(path.c_str(), F_OK) == 0) return conflict(quoted(path, 200) + " is there already");
  if (auto made = make_private_dir(path_); !made) return std::move(made).error();
  PrivateKey key = PrivateKey::generate(random);
  if (auto written = write_file(path, key.hex_seed() + "\n", 0600); !written) return std::move(written).error();
  return key;
}

}  // namespace prunella::cli
