// apt-get update and apt-get indextargets (split at a form feed), and what both say of repositories.
#include "observe/apt_update.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t cut = text.find(0x0c);
  auto report = prunella::parse_apt_update(text.substr(0, cut));
  auto targets = prunella::parse_index_targets(cut == std::string_view::npos ? text : text.substr(cut + 1));
  if (report && targets) (void)prunella::repositories_of(*targets, *targets, *report).size();
  return 0;
}
