// Kernel releases (two, split at a newline): their order is an order.
#include "base/check.h"
#include "observe/kernel.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t cut = text.find(0x0a);
  std::string_view a = text.substr(0, cut), b = cut == std::string_view::npos ? std::string_view() : text.substr(cut + 1);
  int there = prunella::compare_kernel_releases(a, b), back = prunella::compare_kernel_releases(b, a);
  prunella::check((there < 0) == (back > 0) && (there == 0) == (back == 0), "comparing the other way round turns the sign");
  prunella::check(prunella::compare_kernel_releases(a, a) == 0, "a release equals itself");
  (void)prunella::kernel_flavour(a).size();
  (void)prunella::kernel_release_of_package(a).has_value();
  return 0;
}
