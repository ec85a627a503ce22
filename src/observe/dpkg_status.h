#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/host.h"

/// dpkg's own database: /var/lib/dpkg/status and the fragments beside it.
namespace prunella {

/// 128 MiB: the status of 5,000 packages has 6 MB.
inline constexpr std::size_t kDpkgStatusBytesMax = 128u << 20;
/// 50,000: about as many packages as Debian has, once each.
inline constexpr std::size_t kDpkgPackagesMax = 50'000;
/// 10,000: dpkg merges its fragments long before that (lib/dpkg/dbmodify.c: after 250).
inline constexpr std::size_t kDpkgFragmentsMax = 10'000;

/// The packages that a status file names, in every state but not-installed, sorted by name and architecture. `updates_pending`
/// is passed on. A package whose first unpacking was interrupted has no version yet: its `version` is empty then, as it is in
/// dpkg's database, and its state is half-installed.
/// Source: dpkg(1), dpkg-query(1); compared with `dpkg-query --show` in dpkg_status_test.
/// @error kInvalidInput  a line, state, name or version that dpkg would not write: quoted, with its line number.
/// @error kConflict      one package of one architecture stands there twice.
/// @error kExhausted     above the limits.
Result<PackageFacts> parse_dpkg_status(std::string_view status, bool updates_pending);

/// As above for a database whose updates directory holds fragments: each replaces the packages that it names, the last wins.
/// `fragments` in the order of their names (dpkg numbers them). updates_pending is set when there are any.
/// Source: dpkg's lib/dpkg/dbmodify.c: files whose names are all digits; "tmp.i" is unfinished and not read.
Result<PackageFacts> parse_dpkg_database(std::string_view status, const std::vector<std::string>& fragments);

/// Whether a file of this name in dpkg's updates directory is a fragment, so that it counts.
bool is_dpkg_fragment_name(std::string_view file_name);

/// The host's native architecture: that of its package dpkg. Absent when dpkg isn't installed.
std::optional<std::string> native_architecture(const PackageFacts& facts);

/// A configuration file as dpkg remembers it: what the package shipped when it was last installed.
struct Conffile {
  std::string path;
  std::string md5;         ///< 32 hexadecimal digits; "newconffile" while dpkg has not decided yet
  bool obsolete = false;   ///< the installed version no longer ships it
  bool remove_on_upgrade = false;
  auto operator<=>(const Conffile&) const = default;
};
/// Per package ("name:arch") its conffiles in the database's order; packages without any are left out.
/// @error as parse_dpkg_status.
Result<std::map<PackageName, std::vector<Conffile>>> parse_conffiles(std::string_view status);

/// A source package and its version, by a binary's own words.
struct SourceVersion {
  std::string source;
  std::string version;
};
/// `source_field`: the value of Source, "name" or "name (version)", or empty. A binary rebuild's "+bN" is taken off the version.
/// Source: Debian Policy 5.6.1; PATCHING.md 5.2 "Source vs binary".
/// @error kInvalidInput
Result<SourceVersion> source_of(std::string_view package, std::string_view version, std::string_view source_field);

}  // namespace prunella
