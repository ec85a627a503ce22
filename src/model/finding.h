#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/package.h"

namespace prunella {

enum class FindingKind {
  kMissingSecurityUpdate,   ///< subject: source package
  kInterruptedDpkg,         ///< subject: "dpkg"
  kBrokenPackage,           ///< subject: package
  kRestartNeeded,           ///< installed but not active: a unit runs old code. Subject: unit
  kRebootNeeded,            ///< subject: "kernel"
  kRepositoryUnreachable,   ///< subject: uri and suite
  kRepositoryUntrusted,     ///< bad, missing or expired signature
  kUnitFailed,              ///< subject: unit
  kFilesystemFull,          ///< too little space or too few inodes left. Subject: mount
  kClockOff,                ///< the host's clock is not the control plane's. Subject: "clock"
  kUnknown,                 ///< a section could not be sensed. Subject: section
};
constexpr std::array<EnumWord<FindingKind>, 11> enum_words(FindingKind) {
  return {{{FindingKind::kMissingSecurityUpdate, "missing-security-update"},
           {FindingKind::kInterruptedDpkg, "interrupted-dpkg"},
           {FindingKind::kBrokenPackage, "broken-package"},
           {FindingKind::kRestartNeeded, "restart-needed"},
           {FindingKind::kRebootNeeded, "reboot-needed"},
           {FindingKind::kRepositoryUnreachable, "repository-unreachable"},
           {FindingKind::kRepositoryUntrusted, "repository-untrusted"},
           {FindingKind::kUnitFailed, "unit-failed"},
           {FindingKind::kFilesystemFull, "filesystem-full"},
           {FindingKind::kClockOff, "clock-off"},
           {FindingKind::kUnknown, "unknown"}}};
}

enum class Severity { kInfo, kLow, kMedium, kHigh, kCritical };
constexpr std::array<EnumWord<Severity>, 5> enum_words(Severity) {
  return {{{Severity::kInfo, "info"},
           {Severity::kLow, "low"},
           {Severity::kMedium, "medium"},
           {Severity::kHigh, "high"},
           {Severity::kCritical, "critical"}}};
}

/// What can be done about it now. PATCHING.md section 5.2, as far as a host's own archives can tell.
enum class Exposure {
  kFixAvailable,
  kBlockedByHold,
  kDeferredByPhasing,
  kBlockedByPin,
  kBlockedByConflict,   ///< it would remove or add packages that policy doesn't allow
  kInstalledNotActive,  ///< the fix is on the disk, old code still runs
  kNotApplicable,       ///< the finding isn't about a fix
};
constexpr std::array<EnumWord<Exposure>, 7> enum_words(Exposure) {
  return {{{Exposure::kFixAvailable, "fix_available"},
           {Exposure::kBlockedByHold, "blocked_by_hold"},
           {Exposure::kDeferredByPhasing, "deferred_by_phasing"},
           {Exposure::kBlockedByPin, "blocked_by_pin"},
           {Exposure::kBlockedByConflict, "blocked_by_conflict"},
           {Exposure::kInstalledNotActive, "installed_not_active"},
           {Exposure::kNotApplicable, "not_applicable"}}};
}

/// A breach found on a host. Its id is a digest of host, kind and subject: the same breach found again is the same finding.
struct Finding {
  FindingId id;
  HostId host;
  FindingKind kind = FindingKind::kUnknown;
  std::string subject;
  Severity severity = Severity::kInfo;
  Exposure exposure = Exposure::kNotApplicable;
  std::string summary;                ///< one sentence
  std::vector<std::string> evidence;  ///< numbered facts, each a sentence with the value and where it came from
  std::string clears_when;            ///< the clear condition, as a sentence
  std::vector<std::string> cves;
  std::vector<std::string> packages;  ///< "name:arch" of the binaries concerned
  bool operator==(const Finding&) const = default;
};
template <class F>
void fields(F& f, Finding& x) {
  f("id", x.id);
  f("host", x.host);
  f("kind", x.kind);
  f("subject", x.subject);
  f("severity", x.severity);
  f("exposure", x.exposure);
  f("summary", x.summary);
  f("evidence", x.evidence);
  f("clears_when", x.clears_when);
  f("cves", x.cves);
  f("packages", x.packages);
}

FindingId finding_id(const HostId& host, FindingKind kind, std::string_view subject);

// Compiled once, in finding_codec.cc.
PRUNELLA_DECLARE_CODEC(Finding)

}  // namespace prunella
