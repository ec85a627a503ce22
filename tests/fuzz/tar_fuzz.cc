// Tar archives, in pieces whose size the first byte gives.
#include "base/check.h"
#include "observe/tar.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  std::size_t piece = 1 + data[0] * 4u;
  std::uint64_t given = 0;
  prunella::TarReader reader([](const prunella::TarEntry&) { return prunella::TarReader::Want::kRead; },
                             [&](const prunella::TarEntry&, std::string_view content) { given += content.size(); });
  text.remove_prefix(1);
  for (std::size_t at = 0; at < text.size(); at += piece)
    if (!reader.add(text.substr(at, piece))) break;
  prunella::check(given <= text.size(), "no more content than there was");
  return 0;
}
