#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/host.h"

/// Where apt gets packages from, and how fetching the indices went.
namespace prunella {

/// 4,096: a host with 50 archives of 4 components and 2 architectures has 800 targets.
inline constexpr std::size_t kIndexTargetsMax = 4096;

/// An index that the host's sources ask for: a stanza of `apt-get indextargets`.
struct IndexTarget {
  std::string description;  ///< "http://host/debian bookworm/main amd64 Packages", without credentials: how `apt-cache policy` names it
  std::string repo_uri;     ///< without credentials and without a slash at the end
  std::string base_uri;     ///< of the release: "http://host/debian/dists/bookworm"; likewise
  std::string release;      ///< as in the sources: "bookworm-security"
  std::string filename;     ///< where the index is, or would be
  bool optional = false;    ///< its absence is no failure
  // What the signed Release file says; absent when it was never fetched.
  std::optional<std::string> origin;
  std::optional<std::string> label;
  std::optional<std::string> suite;
  std::optional<std::string> codename;
  bool operator==(const IndexTarget&) const = default;
};

/// Indices of packages only; those of translations, contents and sources are skipped.
/// Source: apt-get(8) indextargets, apt's doc/acquire-additional-files.md.
/// @error kInvalidInput  no stanza of that command: quoted, with its line.
/// @error kExhausted     more than kIndexTargetsMax.
Result<std::vector<IndexTarget>> parse_index_targets(std::string_view output);

/// Whether an archive is its distribution's security archive, by what its signed Release file says of itself. A third party that
/// copies the label has another origin; one that copies the origin as well is signed by a key that the host's root trusts for it.
/// False when the Release file is not known.
bool is_security_archive(const IndexTarget& target);

/// One thing that went wrong with a repository while `apt-get update` ran.
struct FetchProblem {
  std::string uri;    ///< of the repository, or of the file that failed; without credentials
  std::string suite;  ///< empty when `uri` is a file's
  RepositoryState state = RepositoryState::kUnreachable;
  std::string detail;
  bool operator==(const FetchProblem&) const = default;
};
struct AptUpdateReport {
  std::vector<FetchProblem> problems;
  std::vector<std::string> errors;  ///< apt's E: lines that name no repository: locks, configuration, permissions
  bool operator==(const AptUpdateReport&) const = default;
};

/// What `apt-get update` wrote on both streams together (LC_ALL=C.UTF-8, no terminal).
/// Source: apt's apt-pkg/acquire-item.cc; every message in tests/corpus/observe/apt/update-*.txt was captured.
/// @error kExhausted  larger than 4 MiB.
Result<AptUpdateReport> parse_apt_update(std::string_view output);

/// The state of each repository that the host's sources name, in their order, each (uri, suite) once. `wanted` is what the sources
/// ask for, `present` what has been fetched at some time (indextargets without and with release information).
/// Until a security archive has been fetched once, its suite's name tells that it is one.
std::vector<Repository> repositories_of(const std::vector<IndexTarget>& wanted, const std::vector<IndexTarget>& present,
                                        const AptUpdateReport& report);

}  // namespace prunella
