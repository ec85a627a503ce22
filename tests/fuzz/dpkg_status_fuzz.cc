// dpkg's database: status, fragments (split off at a form feed) and conffiles. What is read keeps its order and its checks.
#include "base/check.h"
#include "observe/dpkg_status.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t cut = text.find(0x0c);
  auto facts = cut == std::string_view::npos ? prunella::parse_dpkg_status(text, false)
                                             : prunella::parse_dpkg_database(text.substr(0, cut), {std::string(text.substr(cut + 1))});
  if (facts)
    for (std::size_t i = 1; i < facts->packages.size(); ++i)
      prunella::check(facts->packages[i - 1].package < facts->packages[i].package, "packages are sorted and stand there once");
  (void)prunella::parse_conffiles(text).has_value();
  return 0;
}
