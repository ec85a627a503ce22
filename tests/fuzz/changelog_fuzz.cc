// Debian changelogs.
#include "base/check.h"
#include "observe/changelog.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto since = prunella::cves_since(text, "1.0-1", [](std::string_view a, std::string_view b) { return a.compare(b); });
  if (since) prunella::check(since->cves.size() <= prunella::kChangelogCvesMax, "no more CVEs than the limit says");
  return 0;
}
