#include "verify/verify.h"

#include <algorithm>

namespace prunella {

namespace {

constexpr std::size_t kNamedMax = 8;  // a sentence that people read; the lists themselves are in the outcome

std::string named(const std::vector<std::string>& list) {
  std::vector<std::string> first(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(std::min(list.size(), kNamedMax)));
  std::string text = join(first, ", ");
  if (list.size() > kNamedMax) text += " and " + std::to_string(list.size() - kNamedMax) + " more";
  return text;
}

const Package* find_package(const PackageFacts& facts, const PackageName& name) {
  for (const Package& package : facts.packages)
    if (package.package == name) return &package;
  return nullptr;
}

std::string state_text(const Package& package) {
  return package.version + " " + std::string(to_text(package.state)) + (package.reinst_required ? " (must be unpacked again)" : "");
}

std::string measured(const PackageTable& table, const std::string& name) {
  auto it = table.find(name);
  return it == table.end() ? "not there" : it->second;
}

bool whole_at(const PackageTable& table, const std::string& name, const std::string& version) {
  return measured(table, name) == version + " installed";
}

Check others_unchanged(const Plan& plan, const PackageTable& before, const PackageTable& after) {
  std::set<std::string> ours;
  for (const PackageChange& change : changes_of(plan)) ours.insert(change.package.text());
  for (const PackageChange& change : repairs_of(plan)) ours.insert(change.package.text());
  std::vector<std::string> moved;
  for (const auto& [name, state] : before)
    if (!ours.contains(name) && measured(after, name) != state) moved.push_back(name + " (" + state + " -> " + measured(after, name) + ")");
  for (const auto& [name, state] : after)
    if (!ours.contains(name) && !before.contains(name)) moved.push_back(name + " (new: " + state + ")");
  return {"no other package changed", moved.empty(), moved.empty() ? "none did" : named(moved)};
}

std::vector<Check> check_packages(const Plan& plan, const PackageTable& before, const Result<PackageFacts>& after, bool forward) {
  std::vector<Check> checks;
  if (!after) {
    checks.push_back({"the packages are as planned", std::nullopt, after.error().text()});
    return checks;
  }
  PackageTable now = table_of(*after);
  auto whole = [&](const PackageName& package, const std::string& version) {
    checks.push_back({package.text() + " is installed at " + version, whole_at(now, package.text(), version), measured(now, package.text())});
  };
  // Repaired packages that a transaction of the same plan changes afterwards are judged by that change.
  std::set<PackageName> changed;
  for (const PackageChange& change : changes_of(plan)) {
    changed.insert(change.package);
    if (forward)
      whole(change.package, change.to.version);
    else if (change.from_version)
      whole(change.package, *change.from_version);
    else
      checks.push_back({change.package.text() + " is as absent as before", measured(now, change.package.text()) == measured(before, change.package.text()),
                        measured(now, change.package.text())});
  }
  for (const PackageChange& repair : repairs_of(plan))
    if (forward && !changed.contains(repair.package)) whole(repair.package, repair.to.version);
  checks.push_back(others_unchanged(plan, before, now));
  checks.push_back({"dpkg has nothing left to finish", !after->updates_pending, after->updates_pending ? "its updates directory isn't empty" : "nothing"});
  return checks;
}

const UnitState* find_unit(const std::vector<UnitState>& units, const std::string& name) {
  auto it = std::ranges::find_if(units, [&](const UnitState& state) { return state.unit.name == name; });
  return it == units.end() ? nullptr : &*it;
}

}  // namespace

Verdict verdict_of(const std::vector<Check>& checks) {
  bool unknown = checks.empty();
  for (const Check& check : checks) {
    if (check.holds == false) return Verdict::kFails;
    unknown = unknown || !check.holds;
  }
  return unknown ? Verdict::kUnknown : Verdict::kHolds;
}

std::string failures_of(const std::vector<Check>& checks) {
  std::vector<std::string> list;
  for (const Check& check : checks)
    if (check.holds != true) list.push_back(check.what + ": " + (check.holds ? "no, " : "not measured, ") + check.measured);
  return named(list);
}

PackageTable table_of(const PackageFacts& facts) {
  PackageTable table;
  for (const Package& package : facts.packages) table.emplace(package.package.text(), state_text(package));
  return table;
}

std::vector<PackageChange> changes_of(const Plan& plan) {
  std::vector<PackageChange> changes;
  for (const Action& action : plan.actions)
    if (action.transaction) changes.insert(changes.end(), action.transaction->changes.begin(), action.transaction->changes.end());
  return changes;
}

std::vector<PackageChange> repairs_of(const Plan& plan) {
  std::vector<PackageChange> repairs;
  for (const Action& action : plan.actions)
    if (action.repair) repairs.insert(repairs.end(), action.repair->packages.begin(), action.repair->packages.end());
  return repairs;
}

std::optional<std::string> packages_moved(const Plan& plan, const PackageFacts& now) {
  std::set<PackageName> repaired;
  bool repairs = false;
  for (const Action& action : plan.actions) repairs = repairs || action.repair;
  for (const PackageChange& repair : repairs_of(plan)) {
    const Package* package = find_package(now, repair.package);
    if (!package || !is_present(package->state)) return repair.package.text() + " isn't installed";
    if (package->version != repair.from_version) return repair.package.text() + " is at " + package->version + ", the plan repairs " + *repair.from_version;
    repaired.insert(repair.package);
  }
  if (now.updates_pending && !repairs) return "dpkg was interrupted: its own journal must be finished by a repair first";
  for (const Package& package : now.packages)
    if (needs_repair(package) && !repaired.contains(package.package)) return package.package.text() + " is " + state_text(package) + ": a repair comes first";
  for (const PackageChange& change : changes_of(plan)) {
    const Package* package = find_package(now, change.package);
    bool present = package && is_present(package->state);
    if (!change.from_version) {
      if (present) return change.package.text() + " is installed already (" + package->version + "), the plan would add it";
      continue;
    }
    if (!present) return change.package.text() + " isn't installed, the plan starts from " + *change.from_version;
    if (package->version != *change.from_version) return change.package.text() + " is at " + package->version + ", the plan starts from " + *change.from_version;
    if (package->selection == PackageSelection::kHold) return change.package.text() + " is held";
  }
  return std::nullopt;
}

std::vector<Check> check_packages_changed(const Plan& plan, const PackageTable& before, const Result<PackageFacts>& after) {
  return check_packages(plan, before, after, true);
}

std::vector<Check> check_packages_restored(const Plan& plan, const PackageTable& before, const Result<PackageFacts>& after) {
  return check_packages(plan, before, after, false);
}

bool is_healthy(const UnitState& unit) { return unit.unit.load == "loaded" && (unit.unit.active == "active" || unit.unit.active == "reloading"); }

UnitTrouble unit_trouble(const std::vector<UnitState>& before, const std::vector<UnitState>& now, const std::set<std::string>& must_run,
                         const std::vector<UnitState>* since) {
  UnitTrouble trouble;
  auto look = [&](const std::string& name, bool may_end) {
    const UnitState* unit = find_unit(now, name);
    if (!unit) {
      if (!may_end) trouble.pending.push_back(name + " isn't loaded any more");
      return;
    }
    std::string text = name + " is " + unit->unit.active + " (" + unit->unit.sub + (unit->unit.result ? ", " + *unit->unit.result : "") + ")";
    if (unit->unit.active == "failed") {
      trouble.broken.push_back(text);
      return;
    }
    if (!is_healthy(*unit)) {
      if (!may_end || unit->unit.sub == "auto-restart") trouble.pending.push_back(text);
      return;
    }
    const UnitState* earlier = since ? find_unit(*since, name) : nullptr;
    if (earlier && !may_end && (earlier->unit.invocation != unit->unit.invocation || earlier->unit.restarts != unit->unit.restarts))
      trouble.broken.push_back(name + " was started again while it was watched");
  };
  for (const UnitState& unit : before)
    if (is_healthy(unit) && !must_run.contains(unit.unit.name)) look(unit.unit.name, unit.on_demand);
  for (const std::string& name : must_run) look(name, false);
  return trouble;
}

Check check_units(const Result<UnitTrouble>& trouble, Duration stable_for) {
  std::string what = "every unit that was healthy before is healthy and stayed so for " + to_text(stable_for);
  if (!trouble) return {what, std::nullopt, trouble.error().text()};
  std::vector<std::string> all = trouble->broken;
  all.insert(all.end(), trouble->pending.begin(), trouble->pending.end());
  return {what, all.empty(), all.empty() ? "all are" : named(all)};
}

std::vector<Check> check_processes(const std::vector<std::string>& units, const Result<ProcessFacts>& processes) {
  if (units.empty()) return {};
  std::string what = "no process of the affected units runs replaced files";
  if (!processes) return {{what, std::nullopt, processes.error().text()}};
  std::vector<std::string> stale;
  for (const StaleProcess& process : processes->stale)
    if (process.unit && std::ranges::find(units, *process.unit) != units.end())
      stale.push_back(process.command + " (" + std::to_string(process.pid) + ") of " + *process.unit + (process.files.empty() ? "" : " maps " + process.files.front()));
  return {{what, stale.empty(), stale.empty() ? "none does" : named(stale)}};
}

std::vector<std::string> differing(const std::vector<FileState>& before, const std::vector<FileState>& now) {
  std::map<std::string, const FileState*> old;
  for (const FileState& file : before) old.emplace(file.path, &file);
  std::vector<std::string> paths;
  for (const FileState& file : now) {
    auto it = old.find(file.path);
    bool same = it == old.end() ? file.kind == FileKind::kAbsent : *it->second == file;
    if (!same) paths.push_back(file.path);
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace prunella
