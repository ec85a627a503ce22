// apt-cache show, Packages files and --print-uris; credentials.
#include "base/check.h"
#include "observe/apt_cache.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)prunella::parse_package_records(text).has_value();
  (void)prunella::parse_print_uris(text).has_value();
  std::string bare = prunella::without_credentials_within(text);
  prunella::check(bare.size() <= text.size(), "taking credentials out adds nothing");
  return 0;
}
