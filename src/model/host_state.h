#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/host.h"

/// What a run measures on its host before and after it acts.
namespace prunella {

enum class FileKind { kAbsent, kRegular, kDirectory, kSymlink, kOther };
constexpr std::array<EnumWord<FileKind>, 5> enum_words(FileKind) {
  return {{{FileKind::kAbsent, "absent"},
           {FileKind::kRegular, "regular"},
           {FileKind::kDirectory, "directory"},
           {FileKind::kSymlink, "symlink"},
           {FileKind::kOther, "other"}}};
}

/// A path as it is on the disk.
struct FileState {
  std::string path;
  FileKind kind = FileKind::kAbsent;
  std::optional<Digest> sha256;               ///< kRegular
  std::uint32_t mode = 0;                     ///< permission bits with setuid, setgid, sticky
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::string> target;          ///< kSymlink
  std::map<std::string, std::string> xattrs;  ///< values in hexadecimal
  bool operator==(const FileState&) const = default;
};
template <class F>
void fields(F& f, FileState& s) {
  f("path", s.path);
  f("kind", s.kind);
  f("sha256", s.sha256);
  f("mode", s.mode);
  f("uid", s.uid);
  f("gid", s.gid);
  f("target", s.target);
  f("xattrs", s.xattrs);
}

/// A unit, and whether it's right for it to end by itself.
struct UnitState {
  Unit unit;
  bool on_demand = false;  ///< started by a socket, a timer, a path or the bus: it may end when nobody needs it
  bool operator==(const UnitState&) const = default;
};
template <class F>
void fields(F& f, UnitState& u) {
  f("unit", u.unit);
  f("on_demand", u.on_demand);
}

/// Packages by "name:arch", each with "version state".
using PackageTable = std::map<std::string, std::string>;

/// A host just before a run acts.
struct HostBefore {
  PackageTable packages;
  std::vector<UnitState> units;
  bool operator==(const HostBefore&) const = default;
};
template <class F>
void fields(F& f, HostBefore& b) {
  f("packages", b.packages);
  f("units", b.units);
}

}  // namespace prunella
