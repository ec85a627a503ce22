#pragma once

#include <optional>
#include <string>

#include "model/host.h"
#include "observe/kernel.h"

/// Sections of a host that files and system calls tell. All are plain reads that end soon; any thread, several at once.
/// `root` is "" but in tests, where it is the directory of a tree.
namespace prunella {

/// dpkg's database with its unfinished updates. The database is read once more when dpkg replaced it meanwhile.
/// @error kNotFound (no dpkg here), kDenied, and as parse_dpkg_database.
Result<PackageFacts> sense_packages(const std::string& root);

/// @error when os-release, the boot id, the memory or the native architecture can't be told: the section is unknown then.
Result<SystemFacts> sense_system(const std::string& root, const PackageFacts& packages);

/// Looks that fail are unknown in the facts. `packages` absent: the database could not be read.
KernelFacts sense_kernel(const std::string& root, const std::optional<PackageFacts>& packages);

/// The file systems of /, /usr, /var, /boot and /tmp, each once. One without a limit of inodes (btrfs) says kNoInodeLimit.
/// @error kUnavailable, kInvalidInput  mountinfo or statvfs failed.
Result<DiskFacts> sense_disk();
/// The largest whole number that JSON holds exactly (2^53 - 1).
inline constexpr std::uint64_t kNoInodeLimit = (std::uint64_t{1} << 53) - 1;

/// The kind of container that this runs in, by the marks that container managers leave; absent on a machine of its own.
/// Source: systemd-detect-virt(1), src/basic/virt.c.
std::optional<std::string> container_kind(const std::string& root);

}  // namespace prunella
