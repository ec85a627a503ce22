#include "observe/maps.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"

namespace prunella {

namespace {

inline constexpr std::size_t kStaleFilesMax = 16;

std::string_view take_word(std::string_view& line) {
  std::size_t end = std::min(line.find(' '), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return word;
}

// The kernel writes a newline in a name as \012; nothing else is escaped.
std::string unescape(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i, 4) == "\\012") {
      out += '\n';
      i += 3;
    } else {
      out += path[i];
    }
  }
  return out;
}

// "55d0-55d1 r-xp 00001000 08:01 1234    /usr/sbin/nginx (deleted)"; nothing for a mapping without a file
Result<std::optional<MappedFile>> parse_line(std::string_view line) {
  std::string_view range = take_word(line), permissions = take_word(line), offset = take_word(line), device = take_word(line),
                   inode = take_word(line);
  if (range.find('-') == std::string_view::npos || permissions.size() != 4 || offset.empty() || device.find(':') == std::string_view::npos)
    return invalid_input("not 'range permissions offset device inode path'");
  MappedFile file;
  auto [end, failed] = std::from_chars(inode.data(), inode.data() + inode.size(), file.inode);
  if (failed != std::errc() || end != inode.data() + inode.size() || inode.empty())
    return invalid_input(quoted(inode) + " is not an inode's number");
  if (file.inode == 0 || line.empty() || line.front() != '/') return std::optional<MappedFile>();
  constexpr std::string_view kDeleted = " (deleted)";
  file.deleted = line.ends_with(kDeleted);
  if (file.deleted) line.remove_suffix(kDeleted.size());
  file.path = unescape(line);
  file.executable = permissions[2] == 'x';
  return std::optional(std::move(file));
}

}  // namespace

Result<std::vector<MappedFile>> parse_maps(std::string_view text) {
  if (text.size() > kMapsBytesMax) return exhausted("maps of " + bytes_text(text.size()) + "; at most " + bytes_text(kMapsBytesMax));
  std::vector<MappedFile> files;
  std::size_t number = 0;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    auto file = parse_line(line);
    if (!file) return std::move(file).error().during("line " + std::to_string(number) + " of maps, " + quoted(line));
    if (!*file) continue;
    // Parts of one file lie beside each other mostly: what is left is merged below.
    if (!files.empty() && files.back().path == (*file)->path && files.back().inode == (*file)->inode)
      files.back().executable |= (*file)->executable;
    else
      files.push_back(**std::move(file));
  }
  std::ranges::sort(files);
  std::vector<MappedFile> merged;
  for (MappedFile& file : files) {
    if (!merged.empty() && merged.back().path == file.path && merged.back().inode == file.inode) {
      merged.back().executable |= file.executable;
      merged.back().deleted |= file.deleted;
    } else {
      merged.push_back(std::move(file));
    }
  }
  return merged;
}

bool is_stale_code(const MappedFile& file) {
  if (!file.deleted || !file.executable) return false;
  constexpr std::string_view kOnPurpose[] = {"/memfd:", "/SYSV", "/tmp/",  "/var/tmp/", "/run/", "/var/run/",
                                             "/dev/",   "/[aio]", "/drm",  "/i915", "/anon_hugepage"};
  for (std::string_view prefix : kOnPurpose)
    if (file.path.starts_with(prefix)) return false;
  std::string_view name = std::string_view(file.path).substr(file.path.rfind('/') + 1);
  // Java's native access and libffi unpack or write code into files that they delete at once.
  return !name.starts_with("jna") && !name.starts_with("ffi") && !name.starts_with(".org.chromium.");
}

std::vector<std::string> stale_files(const std::vector<MappedFile>& files) {
  std::vector<std::string> paths;
  for (const MappedFile& file : files) {
    if (!is_stale_code(file) || (!paths.empty() && paths.back() == file.path)) continue;
    if (paths.size() == kStaleFilesMax) break;
    paths.push_back(file.path);
  }
  return paths;
}

}  // namespace prunella
