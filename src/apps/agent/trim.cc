#include "apps/agent/trim.h"

#include <malloc.h>
#include <sys/mman.h>

#include <charconv>
#include <cstdint>
#include <string_view>

#include "adapters/linux/files.h"
#include "base/text.h"

namespace prunella::agent {

namespace {

/// A mapping as smaps(5) begins it: "7f..-7f.. r-xp 00026000 fe:00 1234  /usr/lib/x.so".
struct Mapping {
  std::uintptr_t begin = 0, end = 0;
  bool is_droppable = false;
};

Mapping read_head(std::string_view line) {
  Mapping mapping;
  auto words = split_blanks(line);
  if (words.size() < 6) return mapping;
  std::size_t dash = words[0].find('-');
  if (dash == std::string_view::npos) return mapping;
  std::from_chars(words[0].data(), words[0].data() + dash, mapping.begin, 16);
  std::from_chars(words[0].data() + dash + 1, words[0].data() + words[0].size(), mapping.end, 16);
  // Not writable, so that no thread can change it meanwhile; and of a file, from which it can be read again.
  mapping.is_droppable = words[1].size() == 4 && words[1][0] == 'r' && words[1][1] == '-' && words[1][3] == 'p' && words[4] != "0" && words[5].starts_with('/');
  return mapping;
}

}  // namespace

void give_memory_back() {
  ::malloc_trim(0);
  auto smaps = read_file("/proc/self/smaps", 1 << 20);
  if (!smaps) return;
  Mapping mapping;
  for (std::string_view line : split(*smaps, '\n')) {
    std::size_t colon = line.find(':');
    if (line.find('-') < line.find(' ')) {
      mapping = read_head(line);
    } else if (mapping.is_droppable && line.substr(0, colon) == "Anonymous") {
      // Pages of its own (relocated addresses) would come back as the file has them: such a mapping stays.
      auto words = split_blanks(line.substr(colon + 1));
      if (!words.empty() && words[0] == "0") ::madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DONTNEED);
      mapping.is_droppable = false;
    }
  }
}

}  // namespace prunella::agent
