#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/host_state.h"
#include "model/plan.h"
#include "model/run.h"

/// Whether a run did what its plan says, from fresh measurements. Pure. What could not be measured is no pass.
namespace prunella {

enum class Verdict { kHolds, kFails, kUnknown };
/// kFails when any check fails, else kUnknown when any is unmeasured or there is none, else kHolds.
Verdict verdict_of(const std::vector<Check>& checks);
/// The first checks that don't hold, in one sentence; "" when all do.
std::string failures_of(const std::vector<Check>& checks);

PackageTable table_of(const PackageFacts& facts);

/// Every change of the plan's transactions, and every package of its repairs, in order.
std::vector<PackageChange> changes_of(const Plan& plan);
std::vector<PackageChange> repairs_of(const Plan& plan);

/// What must be true of the packages before a run starts; nothing when it is. Source: PackageChange, DpkgRepair.
std::optional<std::string> packages_moved(const Plan& plan, const PackageFacts& now);

/// The planned versions are installed and whole, and nothing else changed.
std::vector<Check> check_packages_changed(const Plan& plan, const PackageTable& before, const Result<PackageFacts>& after);
/// The old versions are installed and whole, what was added is gone, and nothing else changed.
std::vector<Check> check_packages_restored(const Plan& plan, const PackageTable& before, const Result<PackageFacts>& after);

/// Whether a unit does its work: loaded and active.
bool is_healthy(const UnitState& unit);

/// What keeps the units from being what they were. `broken` won't come right by itself; `pending` may.
struct UnitTrouble {
  std::vector<std::string> broken;
  std::vector<std::string> pending;
  bool none() const { return broken.empty() && pending.empty(); }
};
/// Every unit that was healthy before must be active, and so must those in `must_run`. With `since`, an earlier look after the act,
/// a unit that was started again since then is in trouble too. Units that start on demand may end, but not fail.
UnitTrouble unit_trouble(const std::vector<UnitState>& before, const std::vector<UnitState>& now, const std::set<std::string>& must_run,
                         const std::vector<UnitState>* since);
/// The outcome of watching units as a check.
Check check_units(const Result<UnitTrouble>& trouble, Duration stable_for);

/// No process of these units maps a file that was replaced.
std::vector<Check> check_processes(const std::vector<std::string>& units, const Result<ProcessFacts>& processes);

/// The paths whose state differs, sorted.
std::vector<std::string> differing(const std::vector<FileState>& before, const std::vector<FileState>& now);

}  // namespace prunella
