#include "match/disk_news.h"

#include <algorithm>

#include "match/findings.h"

namespace prunella {

bool is_news(const DiskFacts& told, const DiskFacts& now) {
  if (told.filesystems.size() != now.filesystems.size()) return true;
  for (std::size_t i = 0; i < now.filesystems.size(); ++i) {
    const Filesystem &a = told.filesystems[i], &b = now.filesystems[i];
    if (a.mount != b.mount || a.size_bytes != b.size_bytes || a.read_only != b.read_only || is_full(a) != is_full(b)) return true;
    auto moved = [](std::uint64_t x, std::uint64_t y, std::uint64_t whole) { return (x > y ? x - y : y - x) > whole / 100 * kDiskStepPercent; };
    if (moved(a.free_bytes, b.free_bytes, b.size_bytes)) return true;
    if (moved(a.free_inodes, b.free_inodes, std::max(a.free_inodes, b.free_inodes))) return true;
  }
  return false;
}

}  // namespace prunella
