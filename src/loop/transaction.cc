#include "loop/transaction.h"

#include <algorithm>

#include "base/display.h"

namespace prunella {

namespace {

/// What dpkg and its helpers leave beside a path. Source: dpkg(1), dpkg-maintscript-helper(1).
constexpr std::string_view kLeftovers[] = {".dpkg-new", ".dpkg-tmp", ".dpkg-dist", ".dpkg-old", ".dpkg-bak", ".dpkg-remove"};

/// Units whose code a plan's transactions replace.
std::vector<std::string> affected_units(const Plan& plan) {
  std::vector<std::string> units;
  for (const Action& action : plan.actions)
    if (action.transaction) units.insert(units.end(), action.transaction->restarts.begin(), action.transaction->restarts.end());
  std::ranges::sort(units);
  units.erase(std::unique(units.begin(), units.end()), units.end());
  return units;
}

/// Units that a plan restarts whatever they run.
std::vector<std::string> ordered_units(const Plan& plan) {
  std::vector<std::string> units;
  for (const Action& action : plan.actions)
    if (action.restart) units.push_back(action.restart->unit);
  return units;
}

const UnitState* find_unit(const std::vector<UnitState>& units, const std::string& name) {
  auto it = std::ranges::find_if(units, [&](const UnitState& state) { return state.unit.name == name; });
  return it == units.end() ? nullptr : &*it;
}

bool runs_replaced_files(const ProcessFacts& processes, const std::string& unit) {
  return std::ranges::any_of(processes.stale, [&](const StaleProcess& process) { return process.unit == unit; });
}

bool has_mark(const OpenRun& run, MarkKind kind) {
  return std::ranges::any_of(run.marks, [&](const RunMark& mark) { return mark.kind == kind; });
}

}  // namespace

bool has_way_back(const Plan& plan) {
  return std::ranges::none_of(changes_of(plan), [](const PackageChange& change) { return change.from_version && !change.from; });
}

Resume resume_of(const OpenRun& run) {
  if (has_mark(run, MarkKind::kRevertIntent)) return Resume::kRevert;
  if (has_mark(run, MarkKind::kActed) || has_mark(run, MarkKind::kRestartIntent)) return Resume::kVerify;
  if (has_mark(run, MarkKind::kActIntent)) return has_way_back(run.accepted.plan) ? Resume::kRevert : Resume::kForward;
  if (has_mark(run, MarkKind::kRepaired)) return changes_of(run.accepted.plan).empty() ? Resume::kVerify : Resume::kNotBegun;
  if (has_mark(run, MarkKind::kRepairIntent)) return Resume::kRepair;
  return Resume::kNotBegun;
}

// ---- the run -----------------------------------------------------------------------------------------------------------------

void Transaction::begin(const AcceptedRun& accepted, Instant started) {
  accepted_ = accepted;
  repairs_ = std::ranges::any_of(plan().actions, [](const Action& action) { return action.repair.has_value(); });
  Monotonic now = tools_.clock.steady();
  until_ = now + plan().deadline;
  forward_until_ = now + plan().deadline * kForwardPercent / 100;
  outcome_ = {};
  outcome_.run = accepted.run;
  outcome_.host = accepted.host;
  outcome_.order = accepted.order;
  outcome_.cause = accepted.cause;
  outcome_.plan = accepted.digest;
  outcome_.started = started;
}

RunOutcome Transaction::run(AcceptedRun accepted, std::optional<std::vector<UnitState>> seen) {
  begin(accepted, tools_.clock.now());
  if (!touches_packages()) return run_restarts(std::move(seen));
  if (auto refused = accept({})) return refuse(*refused);
  if (auto refused = prepare()) return refuse(*refused);
  return forward();
}

RunOutcome Transaction::run_restarts(std::optional<std::vector<UnitState>> seen) {
  auto refused = preconditions(std::move(seen));
  if (!refused) refused = last_look();
  std::vector<RunMark> marks;
  if (std::vector<std::string> ordered = ordered_units(plan()); !refused && !ordered.empty()) {
    Instant now = tools_.clock.now();
    marks.push_back({MarkKind::kPrepared, now, "no file is touched", {}, before_});
    marks.push_back({MarkKind::kRestartIntent, now, ordered.front(), {}, {}});
    intended_ = ordered.front();
  }
  if (auto failed = accept(std::move(marks))) return refuse(*failed);
  if (refused) return refuse(*refused);
  prestate_known_ = true;
  return verify_and_finish();
}

std::optional<Transaction::Refused> Transaction::accept(std::vector<RunMark> marks) {
  JournalRecord record;
  // Budgets and cooldowns are counted from this moment, and by the time that counts: a clock behind what a signature vouched for
  // would date the act too early, and leave room for the next one.
  record.at = std::max(outcome_.started, std::max(journal_.state().memory.time_floor, accepted_.issued));
  record.accepted = accepted_;
  if (!marks.empty()) record.marks = std::move(marks);
  // The sequence number is used up before the first effect, or a crash would let the order run twice (ORD-2).
  if (auto written = journal_.write(std::move(record)); !written)
    return Refused{Refusal::kUnavailable, "the journal can't be written: " + written.error().text()};
  tell(RunState::kAccepted, plan().purpose.empty() ? "the order is accepted" : plan().purpose);
  return std::nullopt;
}

RunOutcome Transaction::forward() {
  if (auto trouble = repair()) return end(RunState::kEscalated, *trouble);
  if (auto trouble = act()) return finish_forward(trouble);
  return verify_and_finish();
}

RunOutcome Transaction::verify_and_finish() {
  Trouble trouble = restart_units();
  if (!trouble) trouble = verify();
  return finish_forward(trouble);
}

RunOutcome Transaction::finish_forward(Trouble trouble) {
  if (!trouble) return end(RunState::kVerified, (recovered_after_.empty() ? "" : "the executor ended after '" + recovered_after_ + "' and went on; ") + "the planned state is there and holds");
  if (journal_.broken()) return end(RunState::kEscalated, *trouble);
  if (changes_of(plan()).empty()) return end(RunState::kEscalated, *trouble + "; there is no way back from a restart or a repair");
  if (!has_way_back(plan())) return end(RunState::kEscalated, *trouble + "; the plan has no way back: " + plan().irreversible.value_or("not said why"));
  return revert(*trouble);
}

std::optional<RunOutcome> Transaction::recover() {
  if (!journal_.state().open) return std::nullopt;
  OpenRun open = *journal_.state().open;
  begin(open.accepted, open.started);
  Resume resume = resume_of(open);
  auto tries = static_cast<std::size_t>(std::ranges::count(open.marks, MarkKind::kRecovery, &RunMark::kind));
  if (resume == Resume::kNotBegun) {
    std::string phase = open.marks.empty() ? "accepted" : std::string(to_text(open.marks.back().kind));
    return end(RunState::kReverted, "not begun: the executor ended after '" + phase + "', before anything was changed" +
                                        (has_mark(open, MarkKind::kRepaired) ? " but for the repair, which stays" : ""));
  }
  for (const RunMark& one : open.marks)
    if (one.kind == MarkKind::kRestarted) outcome_.restarted.push_back(one.subject);
  // A recovery's own mark isn't where the run stood.
  std::string last;
  for (const RunMark& one : open.marks)
    if (one.kind != MarkKind::kRecovery) last = to_text(one.kind);
  recovered_after_ = last;
  tell(resume == Resume::kRevert ? RunState::kReverting : RunState::kVerifying,
       "the executor ended after '" + last + "' and goes on from there (start " + std::to_string(tries + 1) + ")");
  if (tries >= kRecoveriesMax) return end(RunState::kEscalated, std::to_string(tries) + " starts in a row could not end this run; the last step was '" + last + "'");
  if (auto marked = mark(MarkKind::kRecovery, "after " + last); !marked) return end(RunState::kEscalated, "the journal can't be written: " + marked.error().text());
  auto known = read_prestate();
  if (touches_packages())
    if (auto refused = take_lock(forward_until_)) return end(RunState::kEscalated, "recovery after '" + last + "': " + refused->text);
  std::string why = "the executor ended after '" + last + "'";
  switch (resume) {
    case Resume::kNotBegun: break;
    case Resume::kRepair: {
      if (auto trouble = repair()) return end(RunState::kEscalated, *trouble);
      if (!changes_of(plan()).empty()) return end(RunState::kReverted, why + "; the repair was finished, the upgrade not begun");
      return verify_and_finish();
    }
    case Resume::kVerify:
      if (!known) return finish_forward("what the host was before is lost: " + known.error().text());
      return verify_and_finish();
    case Resume::kForward: {
      if (auto trouble = act()) return finish_forward(trouble);
      return verify_and_finish();
    }
    case Resume::kRevert: return revert(why);
  }
  return end(RunState::kEscalated, why);
}

// ---- before anything changes -------------------------------------------------------------------------------------------------

std::optional<Transaction::Refused> Transaction::prepare() {
  // A cheap look first: waiting ten minutes for a lock only to say that the world moved helps nobody.
  if (auto refused = preconditions()) return refused;
  if (auto refused = space()) return refused;
  if (touches_packages()) {
    Duration wait = std::min(kLockWaitMax, plan().deadline / 4);
    if (auto refused = take_lock(tools_.clock.steady() + wait)) return refused;
    if (auto refused = preconditions()) return refused;
  }
  tell(RunState::kStaging, "copying the old and the new set");
  if (auto refused = stage()) return refused;
  if (auto refused = write_prestate()) return refused;
  return last_look();
}

std::optional<Transaction::Refused> Transaction::last_look() {
  if (tools_.clock.steady() >= forward_until_) return Refused{Refusal::kUnavailable, "preparing took too long for the deadline of " + to_text(plan().deadline)};
  if (frozen_ && frozen_()) return Refused{Refusal::kFrozen, "root froze this executor while the run was prepared"};
  return std::nullopt;
}

std::optional<Transaction::Refused> Transaction::preconditions(std::optional<std::vector<UnitState>> seen) {
  if (plan().expectation.stable_for >= plan().deadline * kForwardPercent / 100)
    return Refused{Refusal::kWorldMoved, "units can't be watched for " + to_text(plan().expectation.stable_for) + " within a deadline of " + to_text(plan().deadline)};
  if (touches_packages()) {
    auto facts = tools_.packages.packages();
    if (!facts) return Refused{Refusal::kUnavailable, "dpkg's database: " + facts.error().text()};
    if (auto moved = packages_moved(plan(), *facts)) return Refused{Refusal::kWorldMoved, *moved};
    before_.packages = table_of(*facts);
  }
  std::vector<std::string> ordered = ordered_units(plan());
  // Where nothing but restarts is planned, what is slow to ask of every unit can wait until the restart is under way.
  auto units = seen ? *std::move(seen) : touches_packages() ? tools_.units.list() : tools_.units.states(ordered);
  if (!units) return Refused{Refusal::kUnavailable, "units: " + units.error().text()};
  before_.units = *std::move(units);
  for (const std::string& name : ordered) {
    const UnitState* unit = find_unit(before_.units, name);
    if (!unit || unit->unit.load != "loaded") return Refused{Refusal::kWorldMoved, name + " isn't loaded"};
  }
  return std::nullopt;
}

std::optional<Transaction::Refused> Transaction::space() {
  for (const SpaceNeed& need : plan().space) {
    auto free = tools_.files.free_bytes(need.mount);
    if (!free) return Refused{Refusal::kUnavailable, "free space on " + need.mount + ": " + free.error().text()};
    if (*free < need.needed_bytes)
      return Refused{Refusal::kNoSpace, need.mount + " has " + bytes_text(*free) + " free, the plan needs " + bytes_text(need.needed_bytes)};
  }
  return std::nullopt;
}

std::optional<Transaction::Refused> Transaction::take_lock(Monotonic until) {
  constexpr Duration kLookEvery = Duration(250);  // a lock has no event; a quarter of a second is no time to apt
  std::string told;
  while (!locked_) {
    auto holder = tools_.packages.lock();
    if (!holder) return Refused{Refusal::kUnavailable, "dpkg's lock: " + holder.error().text()};
    if (!*holder) {
      locked_ = true;
      break;
    }
    std::string who = (*holder)->command + ((*holder)->pid ? " (pid " + std::to_string((*holder)->pid) + ")" : "");
    if (who != told) tell(state_, "waiting for the lock held by " + who);
    told = who;
    if (tools_.clock.steady() >= until) return Refused{Refusal::kLocked, "dpkg's lock is still held by " + who};
    tools_.timer.wait(kLookEvery);
  }
  return std::nullopt;
}

std::optional<Transaction::Refused> Transaction::stage() {
  auto one = [&](const PackageName& package, const DebFile& file) -> std::optional<Refused> {
    auto staged = tools_.stage.stage(file);
    if (staged) return std::nullopt;
    std::string text = package.text() + " " + file.version + ": " + staged.error().text();
    if (staged.error().kind() == ErrorKind::kExhausted) return Refused{Refusal::kNoSpace, text};
    return Refused{Refusal::kNotStaged, text};
  };
  for (const PackageChange& change : changes_of(plan())) {
    if (auto refused = one(change.package, change.to)) return refused;
    if (change.from)
      if (auto refused = one(change.package, *change.from)) return refused;
  }
  for (const PackageChange& repair : repairs_of(plan()))
    if (repair.to.sha256 != Digest{})
      if (auto refused = one(repair.package, repair.to)) return refused;
  return std::nullopt;
}

std::set<std::string> Transaction::packaged_paths(std::map<std::string, Digest>& old_content, std::optional<Error>& error) {
  std::set<std::string> paths;
  auto contents = [&](const PackageName& package, const DebFile& file, bool old) {
    auto list = tools_.stage.contents(package, file);
    if (!list) {
      error = std::move(list).error().during(package.text() + " " + file.version);
      return;
    }
    for (PackagedPath& path : *list) {
      if (old && path.sha256) old_content[path.path] = *path.sha256;
      paths.insert(std::move(path.path));
    }
  };
  for (const PackageChange& change : changes_of(plan())) {
    if (change.from_version) {
      auto owned = tools_.packages.paths(change.package);
      if (!owned) {
        error = std::move(owned).error();
        return paths;
      }
      paths.insert(owned->begin(), owned->end());
    }
    if (change.from) contents(change.package, *change.from, true);
    contents(change.package, change.to, false);
    if (error) return paths;
  }
  return paths;
}

Status Transaction::look_at(const std::set<std::string>& paths, std::vector<FileState>& out) {
  for (const std::string& path : paths) {
    auto state = tools_.files.look(path);
    if (!state) return std::move(state).error();
    bool directory = state->kind == FileKind::kDirectory;
    out.push_back(*std::move(state));
    if (directory) continue;
    for (std::string_view suffix : kLeftovers) {
      auto leftover = tools_.files.look(path + std::string(suffix));
      if (!leftover) return std::move(leftover).error();
      if (leftover->kind != FileKind::kAbsent) out.push_back(*std::move(leftover));
    }
  }
  return {};
}

std::optional<Transaction::Refused> Transaction::write_prestate() {
  std::map<std::string, Digest> old_content;
  std::optional<Error> error;
  std::set<std::string> paths = packaged_paths(old_content, error);
  if (error) return Refused{Refusal::kNotStaged, error->text()};
  files_.clear();
  if (auto looked = look_at(paths, files_); !looked) return Refused{Refusal::kUnavailable, "the state before: " + looked.error().text()};
  std::string text = to_canonical_text(before_) + "\n";
  for (const FileState& file : files_) {
    // What the old package wouldn't put back (changed by hand, a conffile, another's file) is saved, so that all can be restored.
    auto packaged = old_content.find(file.path);
    if (file.kind == FileKind::kRegular && (packaged == old_content.end() || packaged->second != file.sha256))
      if (auto kept = tools_.files.keep(file); !kept)
        return Refused{kept.error().kind() == ErrorKind::kExhausted ? Refusal::kNoSpace : Refusal::kUnavailable, "saving " + file.path + ": " + kept.error().text()};
    text += to_canonical_text(file) + "\n";
  }
  if (auto written = tools_.runs.write(accepted_.run, text); !written)
    return Refused{written.error().kind() == ErrorKind::kExhausted ? Refusal::kNoSpace : Refusal::kUnavailable, "the state before: " + written.error().text()};
  prestate_known_ = true;
  if (auto marked = mark(MarkKind::kPrepared, std::to_string(files_.size()) + " paths", sha256(text)); !marked)
    return Refused{Refusal::kUnavailable, "the journal can't be written: " + marked.error().text()};
  return std::nullopt;
}

Status Transaction::read_prestate() {
  std::optional<Digest> wanted;
  for (const RunMark& one : journal_.state().open->marks) {
    if (one.prestate) wanted = one.prestate;
    if (!one.before) continue;
    before_ = *one.before;
    prestate_known_ = true;
    return {};
  }
  if (!wanted) return not_found("the journal names no state before");
  auto text = tools_.runs.read(accepted_.run);
  if (!text) return std::move(text).error();
  if (sha256(*text) != *wanted) return corrupt("the file with the state before isn't the one that the journal names");
  std::vector<std::string_view> lines = split(*text, '\n');
  auto before = from_json_text<HostBefore>(lines.front(), {kJournalRecordMax, 32});
  if (!before) return std::move(before).error();
  before_ = *std::move(before);
  files_.clear();
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    auto file = from_json_text<FileState>(lines[i]);
    if (!file) return std::move(file).error();
    files_.push_back(*std::move(file));
  }
  prestate_known_ = true;
  return {};
}

// ---- the act -----------------------------------------------------------------------------------------------------------------

Transaction::Trouble Transaction::repair() {
  if (!repairs_) return std::nullopt;
  if (auto marked = mark(MarkKind::kRepairIntent); !marked) return "the journal can't be written: " + marked.error().text();
  tell(RunState::kRepairing, "finishing what dpkg was interrupted in");
  std::vector<DebFile> files;
  for (const PackageChange& change : repairs_of(plan()))
    if (change.to.sha256 != Digest{}) files.push_back(change.to);
  std::string said;
  if (auto restored = tools_.packages.restore(files, {}, watch(forward_until_)); !restored) said = "; " + restored.error().text();
  auto facts = tools_.packages.packages();
  if (!facts) return "after the repair: " + facts.error().text();
  for (const Package& package : facts->packages)
    if (needs_repair(package)) return package.package.text() + " is still " + std::string(to_text(package.state)) + " after the repair" + said;
  if (facts->updates_pending) return "dpkg's own journal is still there after the repair" + said;
  if (auto marked = mark(MarkKind::kRepaired); !marked) return "the journal can't be written: " + marked.error().text();
  return std::nullopt;
}

Transaction::Trouble Transaction::act() {
  if (changes_of(plan()).empty()) return std::nullopt;
  if (auto marked = mark(MarkKind::kActIntent); !marked) return "the journal can't be written: " + marked.error().text();
  tell(RunState::kActing, "upgrading " + std::to_string(changes_of(plan()).size()) + " packages");
  std::string said;
  for (const Action& action : plan().actions) {
    if (!action.transaction) continue;
    std::vector<DebFile> files;
    for (const PackageChange& change : action.transaction->changes) files.push_back(change.to);
    if (auto upgraded = tools_.packages.upgrade(files, watch(forward_until_)); !upgraded) said = upgraded.error().text();
    if (!said.empty()) break;
  }
  // apt's exit code is no observation: a failing trigger of another package gives 100 with everything in place, and the other way round.
  std::vector<Check> checks = check_packages_changed(plan(), before_.packages, tools_.packages.packages());
  if (verdict_of(checks) != Verdict::kHolds) {
    outcome_.checks = checks;
    return failures_of(checks) + (said.empty() ? "" : "; " + said);
  }
  if (auto marked = mark(MarkKind::kActed); !marked) return "the journal can't be written: " + marked.error().text();
  return std::nullopt;
}

Transaction::Trouble Transaction::restart_units() {
  std::vector<std::string> affected = affected_units(plan()), ordered = ordered_units(plan());
  if (affected.empty() && ordered.empty()) return std::nullopt;
  tell(RunState::kRestarting, "looking for what still runs replaced files");
  auto processes = affected.empty() ? Result<ProcessFacts>(ProcessFacts{}) : tools_.processes.observe();
  if (!processes) return "processes: " + processes.error().text();
  // A run that has just looked needn't look again.
  auto units = touches_packages() || !recovered_after_.empty() ? tools_.units.list() : before_.units;
  if (!units) return "units: " + units.error().text();
  auto restart = [&](const std::string& name, bool ordered_by_name) -> Trouble {
    const UnitState* now = find_unit(*units, name);
    const UnitState* before = find_unit(before_.units, name);
    // Started anew since the act began, by a maintainer script or by us before a crash: once is enough, unless what it runs was
    // replaced after that start, as by a package that came later in the same act.
    bool renewed = now && before && now->unit.invocation != before->unit.invocation && is_healthy(*now);
    if ((renewed || !ordered_by_name) && !runs_replaced_files(*processes, name)) return std::nullopt;
    if (name != intended_)
      if (auto marked = mark(MarkKind::kRestartIntent, name); !marked) return "the journal can't be written: " + marked.error().text();
    intended_.clear();
    tell(RunState::kRestarting, "restarting " + name);
    if (auto restarted = tools_.units.restart(name, watch(forward_until_)); !restarted) return "restarting " + name + ": " + restarted.error().text();
    if (std::ranges::find(outcome_.restarted, name) == outcome_.restarted.end()) outcome_.restarted.push_back(name);
    if (auto marked = mark(MarkKind::kRestarted, name); !marked) return "the journal can't be written: " + marked.error().text();
    return std::nullopt;
  };
  for (const std::string& name : affected)
    if (auto trouble = restart(name, false)) return trouble;
  for (const std::string& name : ordered)
    if (auto trouble = restart(name, true)) return trouble;
  return std::nullopt;
}

// ---- the proof ---------------------------------------------------------------------------------------------------------------

Transaction::Trouble Transaction::settle(const std::set<std::string>& must_run, Duration stable_for, Monotonic until, std::vector<Check>& checks) {
  Monotonic settled_by = std::min(until, tools_.clock.steady() + kSettleMax);
  std::optional<std::vector<UnitState>> since;
  Monotonic watched_from{};
  while (true) {
    auto units = tools_.units.list();
    if (!units) {
      checks.push_back(check_units(std::move(units).error(), stable_for));
      return failures_of(checks);
    }
    // A look before a mere restart doesn't ask who starts on demand. It's set by what a unit is, so it holds for before, too.
    if (!touches_packages())
      for (UnitState& before : before_.units)
        if (const UnitState* state = find_unit(*units, before.unit.name)) before.on_demand = state->on_demand;
    UnitTrouble trouble = unit_trouble(before_.units, *units, must_run, since ? &*since : nullptr);
    Monotonic now = tools_.clock.steady();
    bool late = since ? now >= until : now >= settled_by;
    if (!trouble.broken.empty() || (since && !trouble.none()) || (late && !trouble.none())) {
      checks.push_back(check_units(trouble, stable_for));
      return failures_of(checks);
    }
    if (!since && trouble.none()) {
      since = *std::move(units);
      watched_from = now;
    }
    if (since && now - watched_from >= stable_for) {
      checks.push_back(check_units(trouble, stable_for));
      return std::nullopt;
    }
    if (now >= until) {
      checks.push_back(check_units(unavailable("the deadline came while they were watched"), stable_for));
      return failures_of(checks);
    }
    Duration left = since ? stable_for - std::chrono::duration_cast<Duration>(now - watched_from) : kUnitLookEvery;
    tools_.timer.wait(std::min(left, kUnitLookEvery));
  }
}

Transaction::Trouble Transaction::verify() {
  tell(RunState::kVerifying, "measuring");
  outcome_.checks.clear();
  std::vector<Check>& checks = outcome_.checks;
  std::vector<std::string> affected = affected_units(plan()), ordered = ordered_units(plan());
  if (touches_packages()) checks = check_packages_changed(plan(), before_.packages, tools_.packages.packages());
  std::set<std::string> must_run(ordered.begin(), ordered.end());
  if (plan().expectation.stable_for > Duration(0)) tell(RunState::kVerifying, "watching the units for " + to_text(plan().expectation.stable_for));
  if (verdict_of(checks) != Verdict::kFails)
    if (auto trouble = settle(must_run, plan().expectation.stable_for, forward_until_, checks)) return trouble;
  if (!affected.empty())
    for (Check& check : check_processes(affected, tools_.processes.observe())) checks.push_back(std::move(check));
  if (plan().expectation.health_command && verdict_of(checks) == Verdict::kHolds) {
    tell(RunState::kVerifying, "running the host's health command");
    auto healthy = tools_.health.healthy(watch(forward_until_));
    Check check{"the host's health command passes", std::nullopt, ""};
    // The plan can't know whether the host's owner gave one: where there is none, nothing is asked of it. One that can't be run or
    // doesn't end stays unmeasured, which is no pass.
    if (!healthy && healthy.error().kind() == ErrorKind::kNotFound) check.holds = true;
    if (healthy) check.holds = *healthy;
    check.measured = !healthy ? healthy.error().text() : *healthy ? "it does" : "it says no";
    checks.push_back(std::move(check));
  }
  if (verdict_of(checks) == Verdict::kHolds) return std::nullopt;
  return failures_of(checks);
}

// ---- the way back ------------------------------------------------------------------------------------------------------------

RunOutcome Transaction::revert(std::string why) {
  tell(RunState::kReverting, "back to the old set: " + why);
  if (auto marked = mark(MarkKind::kRevertIntent, display_text(why)); !marked) return end(RunState::kEscalated, why + "; the journal can't be written: " + marked.error().text());
  Trouble left = restore_packages();
  if (prestate_known_) {
    restore_files();
    restart_after_revert();
  }
  outcome_.checks = check_packages_restored(plan(), before_.packages, tools_.packages.packages());
  if (!prestate_known_) outcome_.checks.push_back({"the files are as before", std::nullopt, "what was before is lost"});
  if (prestate_known_) outcome_.checks.push_back({"the files are as before", outcome_.unrestored.empty(), outcome_.unrestored.empty() ? std::to_string(files_.size()) + " paths are" : "see `unrestored`"});
  std::set<std::string> none;
  if (prestate_known_) settle(none, std::min(plan().expectation.stable_for, kSettleMax), until_, outcome_.checks);
  if (verdict_of(outcome_.checks) == Verdict::kHolds) return end(RunState::kReverted, why);
  return end(RunState::kEscalated, why + "; the revert isn't whole: " + failures_of(outcome_.checks) + (left ? "; " + *left : ""));
}

Transaction::Trouble Transaction::restore_packages() {
  std::vector<DebFile> files;
  std::vector<Removal> added;
  for (const PackageChange& change : changes_of(plan())) {
    if (change.from) files.push_back(*change.from);
    // "config-files" is what dpkg keeps of a package that was removed before.
    if (!change.from_version) added.push_back({change.package, before_.packages.contains(change.package.text())});
  }
  Trouble said;
  for (int i = 0; i < kRestoreTriesMax; ++i) {
    said.reset();
    if (auto restored = tools_.packages.restore(files, added, watch(until_)); !restored) said = restored.error().text();
    auto facts = tools_.packages.packages();
    // Without the state before, only the plan's own packages can be judged.
    PackageTable before = prestate_known_ || !facts ? before_.packages : table_of(*facts);
    if (verdict_of(check_packages_restored(plan(), before, facts)) == Verdict::kHolds) return std::nullopt;
    if (tools_.clock.steady() >= until_) break;
  }
  return said;
}

void Transaction::restore_files() {
  std::set<std::string> known, paths;
  for (const FileState& file : files_) known.insert(file.path);
  for (const FileState& file : files_) {
    bool leftover = std::ranges::any_of(kLeftovers, [&](std::string_view suffix) {
      return file.path.ends_with(suffix) && known.contains(file.path.substr(0, file.path.size() - suffix.size()));
    });
    if (!leftover) paths.insert(file.path);
  }
  std::vector<FileState> now;
  if (auto looked = look_at(paths, now); !looked) {
    outcome_.unrestored.push_back(looked.error().text());
    return;
  }
  std::map<std::string, const FileState*> old;
  for (const FileState& file : files_) old.emplace(file.path, &file);
  // Missing leftovers (a .dpkg-dist that was there before) have no line of their own in `now`.
  std::set<std::string> seen;
  for (const FileState& file : now) seen.insert(file.path);
  for (const FileState& file : files_)
    if (!seen.contains(file.path)) now.push_back({file.path, FileKind::kAbsent, {}, 0, 0, 0, {}, {}});
  std::vector<std::string> wrong = differing(files_, now);
  // Parents come before their children when things are put back, and after them when things are removed.
  std::vector<std::string> strays;
  for (const std::string& path : wrong) {
    auto it = old.find(path);
    if (it == old.end() || it->second->kind == FileKind::kAbsent) {
      strays.push_back(path);
      continue;
    }
    if (auto put = tools_.files.put_back(*it->second); !put) outcome_.unrestored.push_back(path);
  }
  for (auto path = strays.rbegin(); path != strays.rend(); ++path) {
    if (auto removed = tools_.files.remove(*path))
      outcome_.strays.push_back(*path);
    else
      outcome_.unrestored.push_back(*path);
  }
  // Looked at again: putting back is no proof of being back.
  std::vector<FileState> after;
  std::set<std::string> again(wrong.begin(), wrong.end());
  for (const std::string& path : again) {
    auto state = tools_.files.look(path);
    auto it = old.find(path);
    bool same = state && (it == old.end() ? state->kind == FileKind::kAbsent : *state == *it->second);
    if (!same && std::ranges::find(outcome_.unrestored, path) == outcome_.unrestored.end()) outcome_.unrestored.push_back(path);
  }
  std::ranges::sort(outcome_.unrestored);
  std::ranges::sort(outcome_.strays);
}

void Transaction::restart_after_revert() {
  std::vector<std::string> affected = affected_units(plan());
  auto units = tools_.units.list();
  auto processes = affected.empty() ? Result<ProcessFacts>(ProcessFacts{}) : tools_.processes.observe();
  if (!units || !processes) return;  // the check of the units says so
  for (const std::string& name : affected) {
    const UnitState* now = find_unit(*units, name);
    const UnitState* before = find_unit(before_.units, name);
    bool fell = before && is_healthy(*before) && (!now || !is_healthy(*now));
    if (!fell && !runs_replaced_files(*processes, name)) continue;
    if (!mark(MarkKind::kRestartIntent, name)) return;
    tell(RunState::kReverting, "restarting " + name);
    if (auto restarted = tools_.units.restart(name, watch(until_)); restarted && std::ranges::find(outcome_.restarted, name) == outcome_.restarted.end())
      outcome_.restarted.push_back(name);
    if (!mark(MarkKind::kRestarted, name)) return;
  }
}

// ---- ends and words ----------------------------------------------------------------------------------------------------------

RunOutcome Transaction::end(RunState state, std::string reason) {
  if (locked_) tools_.packages.unlock();
  locked_ = false;
  outcome_.state = state;
  outcome_.reason = display_text(reason, 2000);
  outcome_.ended = tools_.clock.now();
  tell(state, outcome_.reason);
  JournalRecord record;
  record.at = outcome_.ended;
  record.outcome = outcome_;
  bool open = journal_.state().open && journal_.state().open->accepted.run == accepted_.run;
  if (open && !journal_.broken()) {
    if (auto written = journal_.write(std::move(record)); !written) outcome_.reason += "; the outcome could not be written down: " + written.error().text();
  }
  // The old set and the state before are a person's way back after an escalation.
  if (!journal_.broken() && state != RunState::kEscalated) {
    tools_.stage.clear();
    tools_.runs.clear(accepted_.run);
  }
  return outcome_;
}

RunOutcome Transaction::refuse(const Refused& refused) {
  outcome_.refusal = refused.code;
  return end(RunState::kRefused, refused.text);
}

Status Transaction::mark(MarkKind kind, std::string subject, std::optional<Digest> prestate) {
  JournalRecord record;
  record.at = tools_.clock.now();
  record.marks = {RunMark{kind, record.at, std::move(subject), prestate, {}}};
  return journal_.write(std::move(record));
}

void Transaction::tell(RunState state, std::string detail, std::optional<std::uint32_t> percent) {
  state_ = state;
  RunProgress progress{accepted_.run, state, tools_.clock.now(), display_text(detail, 2000), percent};
  // Percentages are for whoever watches; the record keeps the sentences.
  if (!percent) {
    outcome_.steps.push_back(progress);
    if (outcome_.steps.size() > kStepsMax) outcome_.steps.erase(outcome_.steps.begin());
  }
  if (tell_) tell_(progress);
}

ToolWatch Transaction::watch(Monotonic deadline) {
  ToolWatch watch;
  watch.deadline = deadline;
  watch.progress = [this](std::string detail, std::optional<std::uint32_t> percent) { tell(state_, std::move(detail), percent.value_or(0)); };
  watch.output = [this](std::string line) {
    outcome_.output.push_back(display_text(line));
    if (outcome_.output.size() > kOutputLinesMax) outcome_.output.erase(outcome_.output.begin());
  };
  return watch;
}

}  // namespace prunella
