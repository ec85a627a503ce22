#include "observe/mounts.h"

#include "base/text.h"

namespace prunella {

namespace {
bool is_octal(char c) { return c >= '0' && c <= '7'; }

std::string unescape_octal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) && is_octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool holds(std::string_view mount, std::string_view path) {
  if (mount == "/") return true;
  return path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/');
}
}  // namespace

Result<std::vector<std::string>> parse_mount_points(std::string_view mountinfo) {
  if (mountinfo.size() > kMountinfoBytesMax) return exhausted("mountinfo of " + bytes_text(mountinfo.size()));
  std::vector<std::string> mounts;
  std::size_t number = 0;
  for (std::string_view line : split(mountinfo, '\n')) {
    ++number;
    if (line.empty()) continue;
    std::vector<std::string_view> words = split_blanks(line);
    if (words.size() < 7 || words[4].empty() || words[4][0] != '/')
      return invalid_input("line " + std::to_string(number) + " of mountinfo, " + quoted(line) + ": no mount point in its fifth word");
    mounts.push_back(unescape_octal(words[4]));
  }
  return mounts;
}

std::optional<std::string> mount_point_of(const std::vector<std::string>& mounts, std::string_view path) {
  const std::string* best = nullptr;
  for (const std::string& mount : mounts)
    if (holds(mount, path) && (!best || mount.size() >= best->size())) best = &mount;
  if (!best) return std::nullopt;
  return *best;
}

}  // namespace prunella
