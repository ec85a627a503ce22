#pragma once

#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "base/codec.h"

namespace prunella {

/// dpkg's status of a package. Source: dpkg-query(1) "Package states". Only kInstalled is whole; every state from
/// kHalfInstalled to kTriggersPending means installed and in need of repair; kConfigFiles is not installed.
enum class PackageState {
  kNotInstalled,
  kConfigFiles,
  kHalfInstalled,
  kUnpacked,
  kHalfConfigured,
  kTriggersAwaited,
  kTriggersPending,
  kInstalled,
};
constexpr std::array<EnumWord<PackageState>, 8> enum_words(PackageState) {
  return {{{PackageState::kNotInstalled, "not-installed"},
           {PackageState::kConfigFiles, "config-files"},
           {PackageState::kHalfInstalled, "half-installed"},
           {PackageState::kUnpacked, "unpacked"},
           {PackageState::kHalfConfigured, "half-configured"},
           {PackageState::kTriggersAwaited, "triggers-awaited"},
           {PackageState::kTriggersPending, "triggers-pending"},
           {PackageState::kInstalled, "installed"}}};
}

/// What the administrator wants of a package. Source: dpkg-query(1) "Package selection states".
enum class PackageSelection { kUnknown, kInstall, kHold, kDeinstall, kPurge };
constexpr std::array<EnumWord<PackageSelection>, 5> enum_words(PackageSelection) {
  return {{{PackageSelection::kUnknown, "unknown"},
           {PackageSelection::kInstall, "install"},
           {PackageSelection::kHold, "hold"},
           {PackageSelection::kDeinstall, "deinstall"},
           {PackageSelection::kPurge, "purge"}}};
}

/// A package of one architecture: "libssl3" "amd64". Multi-Arch packages exist once per architecture.
struct PackageName {
  std::string name;
  std::string arch;
  auto operator<=>(const PackageName&) const = default;
  std::string text() const { return name + ":" + arch; }  ///< as dpkg writes it: "libssl3:amd64"
};
template <class F>
void fields(F& f, PackageName& p) {
  f("name", p.name);
  f("arch", p.arch);
}
/// Checks both parts after Debian Policy 5.6.1 and 5.6.8: the name of [a-z0-9][a-z0-9+.-]+, the architecture of [a-z0-9-]+.
/// @error kInvalidInput
Status check_package_name(const PackageName& package);
/// @error kInvalidInput  not "name:arch".
Result<PackageName> parse_package_name(std::string_view text);
/// A version after Debian Policy 5.6.12: [0-9][A-Za-z0-9.+~:-]*, so that it can't be taken for an option or a path.
/// @error kInvalidInput
Status check_debian_version(std::string_view version);

/// One binary package as the host's dpkg database has it.
struct Package {
  PackageName package;
  std::string version;
  std::string source;          ///< source package; its name where the status has no Source field
  std::string source_version;  ///< its version, with a binNMU's "+bN" taken off
  PackageState state = PackageState::kNotInstalled;
  bool reinst_required = false;  ///< dpkg's error flag: must be unpacked again
  PackageSelection selection = PackageSelection::kUnknown;
  bool operator==(const Package&) const = default;
};
template <class F>
void fields(F& f, Package& p) {
  f("package", p.package);
  f("version", p.version);
  f("source", p.source);
  f("source_version", p.source_version);
  f("state", p.state);
  f("reinst_required", p.reinst_required);
  f("selection", p.selection);
}
/// True for states in which files of the package are on the disk and may run.
bool is_present(PackageState state);
/// True for present packages that dpkg did not finish, and for those that must be unpacked again.
bool needs_repair(const Package& package);

/// Why a newer version is not going to be installed. PATCHING.md section 5.2.
enum class BlockKind { kHeld, kPhased, kPinned, kNeedsRemoval, kKeptBack };
constexpr std::array<EnumWord<BlockKind>, 5> enum_words(BlockKind) {
  return {{{BlockKind::kHeld, "held"},
           {BlockKind::kPhased, "phased"},
           {BlockKind::kPinned, "pinned"},
           {BlockKind::kNeedsRemoval, "needs-removal"},
           {BlockKind::kKeptBack, "kept-back"}}};
}
struct Block {
  BlockKind kind = BlockKind::kKeptBack;
  std::string detail;  ///< for people: "held by apt-mark", "phased at 30 %", "pin 100 of preferences.d/x"
  bool operator==(const Block&) const = default;
};
template <class F>
void fields(F& f, Block& b) {
  f("kind", b.kind);
  f("detail", b.detail);
}

/// A .deb file named by its content.
struct DebFile {
  std::string version;
  Digest sha256;
  std::uint64_t size_bytes = 0;
  auto operator<=>(const DebFile&) const = default;
};
template <class F>
void fields(F& f, DebFile& d) {
  f("version", d.version);
  f("sha256", d.sha256);
  f("size_bytes", d.size_bytes);
}

/// What becomes of a configuration file. Source: deb-conffiles(5); local changes are always kept (confdef, confold).
enum class ConffileFate { kReplaced, kKept, kNew };
constexpr std::array<EnumWord<ConffileFate>, 3> enum_words(ConffileFate) {
  return {{{ConffileFate::kReplaced, "replaced"}, {ConffileFate::kKept, "kept"}, {ConffileFate::kNew, "new"}}};
}
struct ConffileChange {
  std::string path;
  PackageName package;
  ConffileFate fate = ConffileFate::kReplaced;
  bool operator==(const ConffileChange&) const = default;
};
template <class F>
void fields(F& f, ConffileChange& c) {
  f("path", c.path);
  f("package", c.package);
  f("fate", c.fate);
}

/// A newer version that an archive offers for an installed package, or a package that an upgrade would add.
struct Update {
  PackageName package;
  std::optional<std::string> from_version;  ///< what is installed; absent when the package would be new
  DebFile to;                               ///< what the archive offers, with the digest that its signed index gives
  std::optional<DebFile> from;              ///< the installed version's file where it can still be had (archive or cache): the way back
  std::string source;
  std::string source_version;
  std::string archive;                  ///< "Debian-Security:12/stable-security", as apt names it
  bool security = false;                ///< the archive is a security archive of the distribution
  std::optional<Block> block;           ///< set when apt would not install it now
  std::vector<std::string> cves;        ///< that the changelog names between the two versions; sorted
  bool changelog_read = false;          ///< false: `cves` is not known to be complete, since the changelog was not had yet
  std::uint64_t installed_size_kib = 0; ///< of the new version, as its control file says
  /// "name:arch" of the other updates of this list that apt installs along with this one; absent: apt was not asked
  std::optional<std::vector<std::string>> needs;
  std::optional<std::vector<ConffileChange>> conffiles;  ///< that the new version replaces, keeps or brings; absent: not known yet
  bool operator==(const Update&) const = default;
};
template <class F>
void fields(F& f, Update& u) {
  f("package", u.package);
  f("from_version", u.from_version);
  f("to", u.to);
  f("from", u.from);
  f("source", u.source);
  f("source_version", u.source_version);
  f("archive", u.archive);
  f("security", u.security);
  f("block", u.block);
  f("cves", u.cves);
  f("changelog_read", u.changelog_read);
  f("installed_size_kib", u.installed_size_kib);
  f("needs", u.needs);
  f("conffiles", u.conffiles);
}

// Compiled once, in package_codec.cc.
PRUNELLA_DECLARE_CODEC(Package)
PRUNELLA_DECLARE_CODEC(Update)
PRUNELLA_DECLARE_CODEC(PackageName)

}  // namespace prunella
