// apt-cache policy.
#include "observe/apt_cache.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)prunella::parse_apt_policy(text).has_value();
  return 0;
}
