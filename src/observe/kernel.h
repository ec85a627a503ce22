#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/host.h"

/// Which kernel runs, which would run after a reboot, and whether one is needed. PATCHING.md 5.2 "Kernel and reboot".
namespace prunella {

/// What /run/reboot-required and /run/reboot-required.pkgs say.
struct RebootMarker {
  bool present = false;
  std::vector<std::string> packages;  ///< that asked for it, each once, as the file names them
  bool operator==(const RebootMarker&) const = default;
};
/// The packages in the text of /run/reboot-required.pkgs; at most 100.
std::vector<std::string> parse_reboot_packages(std::string_view text);

/// What was looked at. An absent member is a look that failed, which never counts as "no".
struct KernelProbe {
  std::optional<std::string> release;      ///< uname -r
  std::optional<std::string> build;        ///< uname -v: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)"
  std::optional<PackageFacts> packages;
  std::optional<RebootMarker> marker;
  std::optional<std::string> container;    ///< kind of container, when `container_known`; absent then means none
  bool container_known = false;
};

/// The facts. `reboot` is yes for a marker, for a newer installed image of the running flavour, and for a running build that
/// differs from the installed package of the same release; unknown when a look failed and nothing said yes; in a container the
/// kernel is the host's, so that only a marker for something else than a kernel says yes.
KernelFacts kernel_facts(const KernelProbe& probe);

/// Compares kernel releases by the numbers in them, so that 6.8.0-100 is above 6.8.0-31: negative, 0 or positive.
int compare_kernel_releases(std::string_view a, std::string_view b);
/// The part that names the kind of build: "amd64", "cloud-amd64", "generic"; empty when there is none.
std::string_view kernel_flavour(std::string_view release);
/// The release that an image package installs: "linux-image-6.1.0-40-amd64" -> "6.1.0-40-amd64"; absent for metapackages,
/// debug symbols and every other package.
std::optional<std::string_view> kernel_release_of_package(std::string_view package);

}  // namespace prunella
