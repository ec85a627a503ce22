#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/package.h"
#include "observe/dpkg_status.h"

namespace prunella {

/// A configuration file that a package's new version ships.
struct ShippedConffile {
  std::string path;  ///< absolute
  std::string md5;   ///< of the shipped content, as dpkg will record it
  auto operator<=>(const ShippedConffile&) const = default;
};

/// What is on the disk now.
struct ConffileOnDisk {
  enum class State { kPresent, kMissing, kUnreadable } state = State::kUnreadable;
  std::string md5;  ///< with kPresent
};

/// What dpkg will do with each conffile under --force-confdef --force-confold: those it replaces, keeps against a new version or
/// adds, sorted by path; those that don't change are left out. Absent when a file that decides it can't be read.
/// Source: dpkg's src/main/configure.c (deferred_configure_conffile, conffoptcells).
std::optional<std::vector<ConffileChange>> predict_conffiles(const PackageName& package, const std::vector<Conffile>& recorded,
                                                             const std::vector<ShippedConffile>& shipped,
                                                             const std::function<ConffileOnDisk(const std::string&)>& disk);

}  // namespace prunella
