#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/finding.h"
#include "model/host.h"
#include "model/posture.h"

namespace prunella {

/// What is known of the world besides the host's own facts.
struct Knowledge {
  std::set<std::string> exploited_cves;  ///< known to be exploited in the wild (CISA's catalogue); empty: not known of any
  std::optional<Duration> clock_skew;    ///< host's clock minus the control plane's, at the last report; absent: never compared
};

/// 24: enough for a person to judge; what is cut off is counted in the last line.
inline constexpr std::size_t kEvidenceMax = 24;
/// Lists that are older say nothing about today: a fix may have come since. Agents fetch them several times a day.
inline constexpr Duration kListsAgeMax = std::chrono::hours(48);
/// 30 s: orders and certificates are bound to times, and a host that asks a time server is off by less than a second.
inline constexpr Duration kClockSkewFound = std::chrono::seconds(30);
/// 64 MiB, or a twentieth of a smaller filesystem: less, and dpkg, journald and databases begin to fail.
inline constexpr std::uint64_t kFreeBytesMin = 64u << 20;
/// 1,000 inodes: a package has more files than that.
inline constexpr std::uint64_t kFreeInodesMin = 1000;

/// Fewer bytes free than kFreeBytesMin, or fewer inodes than kFreeInodesMin, where something can be written at all.
bool is_full(const Filesystem& filesystem);

/// Everything that is wrong with a host, or not known of it, worst first, then by kind and subject. Equal input, equal output.
///
/// Security updates make one finding a source package, with all binaries that are behind. Its severity is
///   critical  a CVE that the changelog names is known to be exploited (`knowledge`),
///   medium    the changelog was read and names no CVE,
///   high      otherwise: also when the changelog could not be read yet.
/// Package facts are newer than what apt said: an update that dpkg has installed since is no finding any more.
///
/// Missing data makes a finding kUnknown of its own: a section that never came or could not be sensed, lists that never came or
/// are older than kListsAgeMax, no security archive among the repositories, a reboot that can't be told, versions that have no
/// order.
std::vector<Finding> findings_of(const HostId& host, const HostFacts& facts, Instant now, const Knowledge& knowledge = {});

/// A host that has not reported for longer is stale. 3 minutes: six heartbeats of 30 s, so that one lost answer is no alarm.
inline constexpr Duration kStaleAfter = std::chrono::minutes(3);

/// The host in one word: stale before all else, since then everything is old; then broken, needs-update, unknown, and
/// restart-or-reboot-pending. Healthy only when it reported within `stale_after` and there is no finding at all.
/// @param last_seen  by the control plane's clock; absent: it never reported, which is unknown.
Posture posture_of(const std::vector<Finding>& findings, const std::optional<Instant>& last_seen, Instant now,
                   Duration stale_after = kStaleAfter);

struct FindingsDiff {
  std::vector<Finding> opened;
  std::vector<Finding> cleared;
  std::vector<std::pair<Finding, Finding>> changed;  ///< same id, before and after
};
/// What differs between two lists of one host's findings, each list with no id twice.
FindingsDiff diff_findings(const std::vector<Finding>& before, const std::vector<Finding>& after);

}  // namespace prunella
