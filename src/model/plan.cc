#include "model/plan.h"

#include <algorithm>
#include <set>

namespace prunella {

BlastClass blast_class(const Action& action) {
  switch (action.kind) {
    case ActionKind::kPackageTransaction: {
      if (!action.transaction) return BlastClass::kIrreversible;
      for (const PackageChange& change : action.transaction->changes)
        if (change.from_version && !change.from) return BlastClass::kIrreversible;
      return BlastClass::kService;
    }
    case ActionKind::kDpkgRepair: return BlastClass::kService;
    case ActionKind::kServiceRestart: return BlastClass::kLocal;
  }
  return BlastClass::kIrreversible;
}

BlastClass blast_class(const Plan& plan) {
  BlastClass worst = BlastClass::kObserve;
  for (const Action& action : plan.actions) worst = std::max(worst, blast_class(action));
  return worst;
}

Digest digest_of(const Plan& plan) { return sha256(to_canonical_text(plan)); }

Status check_unit_name(std::string_view unit) {
  constexpr std::string_view kRest = ":_.\\@-";
  static constexpr std::array<std::string_view, 6> kSuffixes = {".service", ".socket", ".timer", ".mount", ".target", ".path"};
  bool good = !unit.empty() && unit.size() <= 255 && unit[0] != '-' && unit[0] != '.' &&
              std::ranges::any_of(kSuffixes, [&](std::string_view suffix) { return unit.ends_with(suffix) && unit.size() > suffix.size(); });
  for (char c : unit)
    good = good && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kRest.find(c) != std::string_view::npos);
  if (good) return {};
  return invalid_input(quoted(unit) + " is not a unit such as nginx.service (systemd.unit(5))");
}

namespace {

Status check_changes(const std::vector<PackageChange>& changes, std::string_view what) {
  if (changes.empty()) return invalid_input(std::string(what) + " names no package");
  if (changes.size() > kPlanPackagesMax)
    return exhausted(std::string(what) + " names " + std::to_string(changes.size()) + " packages, at most " + std::to_string(kPlanPackagesMax));
  std::set<PackageName> seen;
  for (const PackageChange& change : changes) {
    if (auto named = check_package_name(change.package); !named) return named;
    if (!seen.insert(change.package).second) return invalid_input(change.package.text() + " stands in the plan twice");
    for (std::string_view version : {std::string_view(change.to.version), change.from_version ? std::string_view(*change.from_version) : "0",
                                     change.from ? std::string_view(change.from->version) : "0"})
      if (auto versioned = check_debian_version(version); !versioned) return std::move(versioned).error().during(change.package.text());
    if (change.from && (!change.from_version || change.from->version != *change.from_version))
      return invalid_input(change.package.text() + ": the way back is version " + quoted(change.from->version) + ", which isn't what the plan starts from");
    if (change.to.sha256 == Digest{}) return invalid_input(change.package.text() + ": the new file has no digest");
  }
  return {};
}

Status check_units(const std::vector<std::string>& units) {
  if (units.size() > kPlanPackagesMax) return exhausted("too many units in one plan");
  std::set<std::string_view> seen;
  for (const std::string& unit : units) {
    if (auto named = check_unit_name(unit); !named) return named;
    if (!seen.insert(unit).second) return invalid_input(unit + " stands in the plan twice");
  }
  return {};
}

// A repair without packages is right when only dpkg's journal is left over; without a digest a package is configured, not unpacked.
Status check_repair(const DpkgRepair& repair) {
  if (repair.packages.empty()) return {};
  std::vector<PackageChange> with_digests = repair.packages;
  for (PackageChange& change : with_digests) {
    if (change.from_version != change.to.version)
      return invalid_input(change.package.text() + ": a repair stays at the version that is there, not " + quoted(change.to.version));
    if (change.to.sha256 == Digest{}) change.to.sha256.bytes[0] = 1;
  }
  return check_changes(with_digests, "the repair");
}

Status check_action(const Action& action) {
  int members = (action.transaction ? 1 : 0) + (action.repair ? 1 : 0) + (action.restart ? 1 : 0);
  bool right = (action.kind == ActionKind::kPackageTransaction && action.transaction) || (action.kind == ActionKind::kDpkgRepair && action.repair) ||
               (action.kind == ActionKind::kServiceRestart && action.restart);
  if (members != 1 || !right) return invalid_input("an action of kind " + std::string(to_text(action.kind)) + " must have that member and no other");
  switch (action.kind) {
    case ActionKind::kPackageTransaction: {
      if (auto checked = check_changes(action.transaction->changes, "the package transaction"); !checked) return checked;
      for (const ConffileChange& conffile : action.transaction->conffiles) {
        if (conffile.path.empty() || conffile.path[0] != '/' || conffile.path.size() > 4096)
          return invalid_input(quoted(conffile.path) + " is not an absolute path");
        if (auto named = check_package_name(conffile.package); !named) return named;
      }
      if (auto checked = check_units(action.transaction->restarts); !checked) return checked;
      return check_units(action.transaction->not_restarted);
    }
    case ActionKind::kDpkgRepair: return check_repair(*action.repair);
    case ActionKind::kServiceRestart: return check_unit_name(action.restart->unit);
  }
  return {};
}

}  // namespace

Status check_plan(const Plan& plan) {
  if (plan.version != kPlanVersion) return invalid_input("a plan of version " + std::to_string(plan.version) + ", this program knows version 1");
  if (plan.actions.empty()) return invalid_input("the plan has no action");
  if (plan.actions.size() > kPlanActionsMax)
    return exhausted("the plan has " + std::to_string(plan.actions.size()) + " actions, at most " + std::to_string(kPlanActionsMax));
  if (!plan.removals.empty()) return denied("the plan would remove " + plan.removals.front() + ": removals are never done by a plan");
  // 24 h: a window, not a life. 1 s: below it not even one unit's start fits.
  if (plan.deadline < Duration(1000) || plan.deadline > Duration(std::chrono::hours(24)))
    return invalid_input("a deadline of " + to_text(plan.deadline) + ", it must be from 1s to 24h");
  if (plan.expectation.stable_for > plan.deadline) return invalid_input("units would have to be stable for longer than the deadline");
  for (std::size_t i = 0; i < plan.actions.size(); ++i)
    if (auto checked = check_action(plan.actions[i]); !checked) return std::move(checked).error().during("action " + std::to_string(i + 1));
  return {};
}

}  // namespace prunella
