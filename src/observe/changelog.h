#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/package.h"
#include "observe/version_order.h"

/// What a Debian changelog tells of the way from one version to another.
namespace prunella {

/// 8 MiB: the longest changelog in Debian has 3 MB; a longer one is read up to here.
inline constexpr std::size_t kChangelogBytesMax = 8u << 20;
/// 1,000: an update that names more is a distribution upgrade.
inline constexpr std::size_t kChangelogCvesMax = 1000;

struct ChangelogCves {
  std::vector<std::string> cves;  ///< sorted, each once
  bool complete = false;          ///< the installed version's own entry was met, so that none is missing
  bool operator==(const ChangelogCves&) const = default;
};

/// The CVE ids in the entries that are newer than `installed`, a source version. Entries stand newest first; reading ends at the
/// entry of `installed`, or at the first older one, and then the answer is not complete. A binary rebuild's entry ("+bN") counts
/// as its source version's. Source: deb-changelog(5).
/// @error kInvalidInput  there is no entry at all: the first line is quoted.
Result<ChangelogCves> cves_since(std::string_view changelog, std::string_view installed, const VersionOrder& order);

/// Which of the updates' files to read the changelog of each source package from, the smallest of a source first: they all carry
/// the same changelog, save those that take it from a sibling. At most `per_source` of each source.
std::vector<const Update*> changelog_carriers(const std::vector<Update>& updates, std::size_t per_source);

/// Marks every update of `source` with what its changelog says.
void set_cves(std::vector<Update>& updates, std::string_view source, const ChangelogCves& cves);

}  // namespace prunella
