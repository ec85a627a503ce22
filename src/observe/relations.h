#pragma once

#include <cstddef>
#include <set>
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

/// Which steps may need which others. `edges[i]` holds j when step i can't surely be made while j stays as it is, provided that all of
/// them together fit: a relationship of i's new version is broken by j's old one, one of j's old version by i's new one, or i depends
/// on a name that only the new j provides. A field that can't be read may need, and be needed by, everything.
/// The work grows with the names in the fields and not with the square of the steps.
std::vector<std::set<std::size_t>> need_edges(const std::vector<Step>& steps, const VersionOrder& order);

/// All that `first` leads to, without itself. They and `first` together can be made while the rest stays as it is.
std::set<std::size_t> reachable(const std::vector<std::set<std::size_t>>& edges, std::size_t first);

}  // namespace prunella
