// apt-get --simulate.
#include "base/check.h"
#include "observe/apt_simulation.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto simulation = prunella::parse_apt_simulation(text);
  if (simulation)
    for (const auto& install : simulation->installs)
      prunella::check(prunella::check_package_name(install.package).has_value(), "what would be installed has a name that is one");
  return 0;
}
