// What systemctl writes.
#include <cstddef>
#include <cstdint>
#include <string>

#include "adapters/executor_host/units.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)prunella::parse_unit_states(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
