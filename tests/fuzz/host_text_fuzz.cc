// os-release, systemctl show, progress lines, reboot packages.
#include "observe/apt_status_fd.h"
#include "observe/kernel.h"
#include "observe/os_release.h"
#include "observe/units.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)prunella::parse_os_release(text).has_value();
  (void)prunella::parse_systemctl_show(text).has_value();
  (void)prunella::parse_apt_progress(text).has_value();
  (void)prunella::parse_reboot_packages(text).size();
  return 0;
}
