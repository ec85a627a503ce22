#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "observe/apt_cache.h"
#include "observe/version_order.h"

/// Relationships between packages, as far as they tell whether one update can come without another.
namespace prunella {

/// 10,000: the widest field in Debian (a metapackage's Recommends) has 1,500 names.
inline constexpr std::size_t kRelationsMax = 10'000;

/// One name of a relationship field: "libc6 (>= 2.34)" or "python3:any".
struct Relation {
  std::string name;     ///< without an architecture's qualifier
  std::string relation; ///< "<<", "<=", "=", ">=", ">>", or empty
  std::string version;
  bool operator==(const Relation&) const = default;
};
/// All names of a field in order; alternatives are not told apart from each other. Source: Debian Policy 7.1.
/// @error kInvalidInput  a name, relation or version that is none: quoted. kExhausted above kRelationsMax.
Result<std::vector<Relation>> parse_relations(std::string_view field);

/// An update of a plan's size: what is installed now (no version when the package is new) and what would be.
struct Step {
  PackageRecord before;  ///< its `version` is empty when the package is new
  PackageRecord after;
};

/// False when `a` can surely be installed while `b` stays as it is, provided that both together fit: no relationship of a's new
/// version is broken by b's old one, none of b's old version by a's new one, and a needs no name that only the new b provides.
/// True otherwise, and when a field can't be read: then apt must be asked.
bool may_need(const Step& a, const Step& b, const VersionOrder& order);

}  // namespace prunella
