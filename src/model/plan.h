#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/host.h"
#include "model/package.h"

/// A plan: what is shown, approved and executed. It leaves the executor no choices.
namespace prunella {

/// How far a mistake reaches. TRUST.md section 4, action classes.
enum class BlastClass {
  kObserve,        ///< 0: reads only
  kLocal,          ///< 1: reversible, one unit of one host
  kService,        ///< 2: reversible, with an effect on services
  kIrreversible,   ///< 3: there is no undo: never above autonomy level L2
};
constexpr std::array<EnumWord<BlastClass>, 4> enum_words(BlastClass) {
  return {{{BlastClass::kObserve, "observe"},
           {BlastClass::kLocal, "local"},
           {BlastClass::kService, "service"},
           {BlastClass::kIrreversible, "irreversible"}}};
}

/// One package's way from what is installed to what shall be.
struct PackageChange {
  PackageName package;
  std::optional<std::string> from_version;  ///< what must be installed when the run starts; absent: it must not be installed
  std::optional<DebFile> from;              ///< the file to go back to; absent with a from_version means there is no way back
  DebFile to;                               ///< the file to install
  bool operator==(const PackageChange&) const = default;
};
template <class F>
void fields(F& f, PackageChange& c) {
  f("package", c.package);
  f("from_version", c.from_version);
  f("from", c.from);
  f("to", c.to);
}

/// Undo: the `from` files are installed again, added packages are purged, files are compared with the manifest.
struct PackageTransaction {
  std::vector<PackageChange> changes;       ///< sorted by package; at least one
  std::vector<ConffileChange> conffiles;    ///< that change or are kept against a new version
  std::vector<std::string> restarts;        ///< units to restart if they still run old code afterwards, each at most once
  std::vector<std::string> not_restarted;   ///< units that run old code and are on the never-restart list: a finding stays
  bool operator==(const PackageTransaction&) const = default;
};
template <class F>
void fields(F& f, PackageTransaction& t) {
  f("changes", t.changes);
  f("conffiles", t.conffiles);
  f("restarts", t.restarts);
  f("not_restarted", t.not_restarted);
}

/// Bring packages that dpkg left half done into the state `installed` at the version they have. Undo: none, and none needed: the
/// state before was broken.
struct DpkgRepair {
  /// from_version = to.version = the version recorded now; `to` is the file of that version for those that must be unpacked again,
  /// and has no digest (all zeros) for those that only must be configured. Empty when only dpkg's own journal is left over.
  std::vector<PackageChange> packages;
  bool operator==(const DpkgRepair&) const = default;
};
template <class F>
void fields(F& f, DpkgRepair& r) {
  f("packages", r.packages);
}

/// Undo: none possible for a restart; the pre-condition is that the unit is loaded.
struct ServiceRestart {
  std::string unit;
  std::string reason;
  bool operator==(const ServiceRestart&) const = default;
};
template <class F>
void fields(F& f, ServiceRestart& r) {
  f("unit", r.unit);
  f("reason", r.reason);
}

enum class ActionKind { kPackageTransaction, kDpkgRepair, kServiceRestart };
constexpr std::array<EnumWord<ActionKind>, 3> enum_words(ActionKind) {
  return {{{ActionKind::kPackageTransaction, "package.transaction"},
           {ActionKind::kDpkgRepair, "dpkg.repair"},
           {ActionKind::kServiceRestart, "service.restart"}}};
}

/// One typed change. Exactly the member that `kind` names is present.
struct Action {
  ActionKind kind = ActionKind::kPackageTransaction;
  std::optional<PackageTransaction> transaction;
  std::optional<DpkgRepair> repair;
  std::optional<ServiceRestart> restart;
  bool operator==(const Action&) const = default;
};
template <class F>
void fields(F& f, Action& a) {
  f("kind", a.kind);
  f("transaction", a.transaction);
  f("repair", a.repair);
  f("restart", a.restart);
}
BlastClass blast_class(const Action& action);

/// Space that a plan needs on the filesystem of a directory.
struct SpaceNeed {
  std::string mount;
  std::uint64_t needed_bytes = 0;
  std::uint64_t free_bytes = 0;  ///< when planned
  bool operator==(const SpaceNeed&) const = default;
};
template <class F>
void fields(F& f, SpaceNeed& s) {
  f("mount", s.mount);
  f("needed_bytes", s.needed_bytes);
  f("free_bytes", s.free_bytes);
}

/// What must hold afterwards, measured afresh; otherwise the run is reverted.
struct Expectation {
  Duration stable_for{};          ///< how long every unit that was healthy before must stay healthy after the act
  bool health_command = false;    ///< the host's own health command must pass (it's configured on the host, never sent)
  bool operator==(const Expectation&) const = default;
};
template <class F>
void fields(F& f, Expectation& e) {
  f("stable_for_ms", e.stable_for);
  f("health_command", e.health_command);
}

/// Actions on one host, in order. Its digest names it.
struct Plan {
  std::uint32_t version = 1;
  HostId host;
  std::string purpose;                     ///< for people: "security updates"
  Instant created{};
  std::vector<FindingId> findings;         ///< that it is to clear
  std::vector<Action> actions;             ///< at least one
  RebootNeed reboot_after = RebootNeed::kUnknown;
  std::vector<std::string> removals;       ///< packages that would be removed: always empty in a plan that may run
  std::uint64_t download_bytes = 0;
  std::vector<SpaceNeed> space;
  std::optional<std::string> irreversible; ///< why there's no way back, where there is none
  Expectation expectation;
  Duration deadline{};                     ///< from its start a run ends verified, reverted or escalated within this
  bool operator==(const Plan&) const = default;
};
template <class F>
void fields(F& f, Plan& p) {
  f("version", p.version);
  f("host", p.host);
  f("purpose", p.purpose);
  f("created", p.created);
  f("findings", p.findings);
  f("actions", p.actions);
  f("reboot_after", p.reboot_after);
  f("removals", p.removals);
  f("download_bytes", p.download_bytes);
  f("space", p.space);
  f("irreversible", p.irreversible);
  f("expectation", p.expectation);
  f("deadline_ms", p.deadline);
}

/// SHA-256 of the plan's canonical JSON.
Digest digest_of(const Plan& plan);
BlastClass blast_class(const Plan& plan);
/// What every receiver checks beyond the types: version 1, one member an action, valid names and versions, nothing twice, lists
/// neither empty nor beyond their limits, no removals.
/// @error kInvalidInput  with the wrong value.
Status check_plan(const Plan& plan);
/// A system unit's name after systemd.unit(5): at most 255 of [A-Za-z0-9:_.\@-] with a known suffix.
/// @error kInvalidInput
Status check_unit_name(std::string_view unit);

inline constexpr std::size_t kPlanActionsMax = 16;      // a plan repairs, upgrades and restarts; more is a script
inline constexpr std::size_t kPlanPackagesMax = 2000;   // a distribution upgrade; beyond it something is wrong
inline constexpr std::uint32_t kPlanVersion = 1;

// Compiled once, in plan_codec.cc.
PRUNELLA_DECLARE_CODEC(Plan)

}  // namespace prunella
