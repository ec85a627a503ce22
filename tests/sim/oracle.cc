#include "oracle.h"

#include <algorithm>

#include "base/encoding.h"

namespace prunella::sim {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

// Between a failure of a unit and the end of a run that could have seen it: half a second between two looks, and as much for the
// health command and the processes, twice.
constexpr Duration kSeen = seconds(3);
// What a run may take beyond its deadline: the tool that is under way then, and the revert's last measurements.
constexpr Duration kOverrun = minutes(3);
constexpr std::string_view kStrays[] = {".dpkg-new", ".dpkg-tmp", ".dpkg-dist", ".dpkg-old"};

std::uint32_t get32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = (value << 8) | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  return value;
}

bool any_matches(const std::vector<std::string>& patterns, const std::string& text) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches_pattern(pattern, text); });
}

struct Named {
  std::vector<std::string> packages, units;
};
Named named_by(const Action& action) {
  Named named;
  if (action.transaction) {
    for (const PackageChange& change : action.transaction->changes) named.packages.push_back(change.package.name);
    named.units = action.transaction->restarts;
  }
  if (action.repair)
    for (const PackageChange& change : action.repair->packages) named.packages.push_back(change.package.name);
  if (action.restart) named.units.push_back(action.restart->unit);
  return named;
}

bool has_mark(const std::vector<RunMark>& marks, MarkKind kind) { return std::ranges::any_of(marks, [&](const RunMark& mark) { return mark.kind == kind; }); }

/// Whether a path or package or unit was changed by others during the run.
bool is_foreign(const std::set<std::string>& foreign, const std::string& what) {
  for (const std::string& one : foreign) {
    if (what == one || what == "/etc/" + one + ".conf" || what == "/usr/lib/" + one || what.starts_with("/usr/lib/" + one + "/")) return true;
    if (what.starts_with(one + ".dpkg-")) return true;
  }
  return false;
}

}  // namespace

void Oracle::fail(std::size_t number, const std::string& invariant, const std::string& text) const {
  throw Violation{invariant, truths_[number].host.id.text() + ": " + text};
}

// ---- people ------------------------------------------------------------------------------------------------------------------

void Oracle::planned(const PlanView& plan) {
  Signed& truth = signed_[digest_of(plan.rollout)];
  for (const HostPlan& host : plan.hosts) truth.leaves[{host.host, host.index}] = digest_of(host.plan);
}

void Oracle::forged_rollout(const RolloutPlan& plan, const HostId& host, std::uint64_t index, const Digest& host_plan) {
  signed_[digest_of(plan)].leaves[{host, index}] = host_plan;
}

void Oracle::approved(const RolloutPlan& plan, const std::string& person, Instant expires) {
  Instant& until = signed_[digest_of(plan)].by[person];
  until = std::max(until, expires);
}

// ---- hosts -------------------------------------------------------------------------------------------------------------------

void Oracle::add_host(std::size_t number, Host host) {
  if (truths_.size() <= number) truths_.resize(number + 1);
  numbers_[host.id] = number;
  truths_[number].host = std::move(host);
}

void Oracle::handling(std::size_t number, const Envelope* order, bool standing_request) {
  Truth& truth = truths_[number];
  truth.looking_at.reset();
  truth.standing_request = standing_request;
  truth.looked_at = scheduler_.now();
  truth.director_signed = order && director_signed_.contains(sha256(order->payload));
  if (!order) return;
  auto payload = from_base64(order->payload);
  if (!payload) return;
  auto read = from_json_text<Order>(as_text(*payload), {3u << 20, 32});
  if (read) truth.looking_at = *std::move(read);
  if (truth.looking_at && truth.director_signed && truth.looking_at->host == truth.host.id)
    truth.shown.insert_or_assign(truth.looking_at->sequence, DeclinedOrder{truth.looking_at->sequence, truth.looking_at->epoch, truth.looking_at->issued});
}

void Oracle::executor_started(std::size_t number) {
  truths_[number].executor_since = scheduler_.now();
}

void Oracle::foreign_change(std::size_t number, const std::string& what) { truths_[number].foreign.insert(what); }

void Oracle::journal_changed(std::size_t number, bool replaced) {
  Truth& truth = truths_[number];
  std::string bytes = truth.host.journal();
  if (replaced) truth.parsed = 0;
  std::optional<RunId> open_before = truth.open ? std::optional(truth.open->run) : std::nullopt;
  bool seen_open = false;
  std::optional<ExecutorMemory> memory;
  // A frame's head is its length, a checksum and a link of 32 bytes (act/journal.h).
  constexpr std::size_t kHead = 40;
  while (truth.parsed + kHead <= bytes.size()) {
    std::size_t length = get32(std::string_view(bytes).substr(truth.parsed));
    if (length == 0 || truth.parsed + kHead + length > bytes.size()) break;
    auto record = from_json_text<JournalRecord>(std::string_view(bytes).substr(truth.parsed + kHead, length), {kJournalRecordMax, 32});
    if (!record) break;  // zeros of a sync that failed: nothing from here on is on the disk
    truth.parsed += kHead + length;
    seen_open = seen_open || (record->accepted && open_before == record->accepted->run);
    if (record->memory) memory = *record->memory;
    take(number, *record, replaced);
  }
  if (memory) remembered(number, *memory);
  if (replaced && open_before && !seen_open && !truth.outcomes.contains(*open_before)) fail(number, "I12 acknowledged-writes-survive", "the open run " + open_before->text() + " is gone from the journal");
}

void Oracle::remembered(std::size_t number, const ExecutorMemory& memory) {
  Truth& truth = truths_[number];
  // A record whose sync failed is on the disk or isn't, and nobody knows; the start after it reads what is there and writes that down
  // whole. So a policy and a declined order may be first heard of here. Accepted ones aren't: theirs is a record of its own, also
  // after a compaction.
  if (memory.policy_serial > truth.policy_serial) {
    auto genuine = policies_.find(memory.policy_serial);
    if (genuine == policies_.end()) fail(number, "I1 policy-signed", "the journal remembers policy " + std::to_string(memory.policy_serial) + ", and no operator signed it");
    truth.policy_serial = memory.policy_serial;
    vouched(number, genuine->second.issued);
  }
  if (memory.last_sequence > truth.last_sequence)
    if (auto order = truth.shown.find(memory.last_sequence); order != truth.shown.end()) declined(number, order->second);
  if (memory.time_floor != truth.time_floor) fail(number, "T14 time-floor", "the journal's floor is " + to_rfc3339(memory.time_floor) + ", what was signed for this host vouches for " + to_rfc3339(truth.time_floor));
  if (memory.last_sequence != truth.last_sequence || memory.highest_epoch != truth.highest_epoch)
    fail(number, "I4 sequence-monotone", "the journal remembers sequence " + std::to_string(memory.last_sequence) + " of epoch " + std::to_string(memory.highest_epoch) + ", taken were " + std::to_string(truth.last_sequence) + " of " + std::to_string(truth.highest_epoch));
}

void Oracle::take(std::size_t number, const JournalRecord& record, bool again) {
  Truth& truth = truths_[number];
  if (record.memory) {
    if (record.memory->last_sequence < truth.last_sequence) fail(number, "I4 sequence-monotone", "the journal's last sequence went from " + std::to_string(truth.last_sequence) + " to " + std::to_string(record.memory->last_sequence));
    if (record.memory->highest_epoch < truth.highest_epoch) fail(number, "I4 epoch-monotone", "the journal's epoch went from " + std::to_string(truth.highest_epoch) + " to " + std::to_string(record.memory->highest_epoch));
    if (record.memory->policy_serial < truth.policy_serial) fail(number, "I4 policy-monotone", "the journal's policy went from " + std::to_string(truth.policy_serial) + " to " + std::to_string(record.memory->policy_serial));
    if (record.memory->time_floor < truth.time_floor) fail(number, "T14 time-floor", "the journal's floor went from " + to_rfc3339(truth.time_floor) + " back to " + to_rfc3339(record.memory->time_floor));
  } else if (record.policy) {
    if (record.policy->serial < truth.policy_serial) fail(number, "I4 policy-monotone", "policy " + std::to_string(record.policy->serial) + " after " + std::to_string(truth.policy_serial));
    truth.policy_serial = record.policy->serial;
    vouched(number, record.policy->issued);
  } else if (record.declined) {
    declined(number, *record.declined);
  } else if (record.accepted) {
    if (again && truth.open && truth.open->run == record.accepted->run) {
      truth.marks = record.marks.value_or(std::vector<RunMark>{});
      return;
    }
    accepted(number, record, again);
  } else if (record.marks) {
    truth.marks.insert(truth.marks.end(), record.marks->begin(), record.marks->end());
  } else if (record.outcome) {
    auto [known, is_new] = truth.outcomes.emplace(record.outcome->run, *record.outcome);
    if (!is_new) {
      if (known->second.state != record.outcome->state) fail(number, "I12 one-outcome", record.outcome->run.text() + " ended twice, in different ways");
      return;
    }
    ended(number, *record.outcome, again);
  }
}

void Oracle::declined(std::size_t number, const DeclinedOrder& order) {
  Truth& truth = truths_[number];
  if (auto shown = truth.shown.find(order.sequence); shown == truth.shown.end() || shown->second != order) fail(number, "I4 sequence-declined", "sequence " + std::to_string(order.sequence) + " is used up by no order of its own");
  if (!truth.sequences.insert(order.sequence).second || order.sequence <= truth.last_sequence) fail(number, "I4 sequence-monotone", "sequence " + std::to_string(order.sequence) + " was declined, the last was " + std::to_string(truth.last_sequence));
  truth.last_sequence = order.sequence;
  truth.highest_epoch = std::max(truth.highest_epoch, order.epoch);
  vouched(number, order.issued);
}

void Oracle::accepted(std::size_t number, const JournalRecord& record, bool late) {
  Truth& truth = truths_[number];
  const AcceptedRun& run = *record.accepted;
  if (truth.open) fail(number, "D3 one-run", run.run.text() + " began while " + truth.open->run.text() + " was open");
  if (!truth.runs.insert(run.run).second) fail(number, "I5 once", run.run.text() + " was accepted twice");
  authorised(number, run, late);
  truth.open = run;
  truth.marks = record.marks.value_or(std::vector<RunMark>{});
  truth.packages_before = truth.host.model->table;
  truth.files_before = truth.host.model->files;
  truth.units_before = truth.host.model->units;
  truth.foreign.clear();
  truth.acted = false;
  truth.upgrades = 0;
  truth.accepted_at = scheduler_.now();
  ++figures_.runs;
}

const ExecutorPolicy* Oracle::policy_of(std::size_t number) const {
  const auto& text = *truths_[number].host.policy_text;
  if (!text) return nullptr;
  auto envelope = from_json_text<Envelope>(*text);
  auto payload = envelope ? from_base64(envelope->payload) : Result<Bytes>(envelope.error());
  if (!payload) return nullptr;
  auto policy = from_json_text<ExecutorPolicy>(as_text(*payload));
  if (!policy) return nullptr;
  auto genuine = policies_.find(policy->serial);
  if (genuine == policies_.end() || genuine->second != *policy) fail(number, "I1 policy-signed", "policy " + std::to_string(policy->serial) + " is installed, and no operator signed it");
  return &genuine->second;
}

std::uint32_t Oracle::approvals_for(std::size_t number, const ExecutorPolicy& policy, const Plan& plan) const {
  std::uint32_t most = 0;
  for (const Action& action : plan.actions) {
    Named named = named_by(action);
    for (const std::string& name : named.packages)
      if (name.starts_with("prunella") || any_matches(policy.never_packages, name)) fail(number, "I10 protected", "a run on " + name);
    for (const std::string& unit : named.units)
      if (unit == "ssh.service" || any_matches(policy.never_units, unit)) fail(number, "I10 protected", "a run restarts " + unit);
    std::optional<std::uint32_t> fewest;
    for (const PolicyRule& rule : policy.rules) {
      bool covers = rule.action == action.kind && std::ranges::all_of(named.packages, [&](const std::string& name) { return any_matches(rule.packages, name); }) &&
                    std::ranges::all_of(named.units, [&](const std::string& unit) { return any_matches(rule.units, unit); });
      if (covers) fewest = std::min(fewest.value_or(rule.approvals), rule.approvals);
    }
    if (!fewest) fail(number, "I1 allowed", "no rule of policy " + std::to_string(policy.serial) + " covers " + std::string(to_text(action.kind)));
    most = std::max(most, *fewest);
  }
  return most;
}

void Oracle::vouched(std::size_t number, Instant issued) {
  Truth& truth = truths_[number];
  Instant now = std::max(truth.host.model->now(), truth.time_floor);
  if (issued > now) truth.leapt += issued - now;
  truth.time_floor = std::max(truth.time_floor, issued);
}

void Oracle::within_budget(std::size_t number, const AcceptedRun& run, const ExecutorPolicy& policy, Monotonic now, Monotonic dated) {
  Truth& truth = truths_[number];
  while (!truth.acts.empty() && now - truth.acts.front().first >= hours(1)) truth.acts.pop_front();
  // An hour is an hour of the host's clock: one that leaps ahead leaves it behind (order_check.cc says so).
  if (truth.clock_forward) std::erase_if(truth.acts, [&](const auto& act) { return act.first <= *truth.clock_forward; });
  std::uint32_t transactions = 0, restarts = 0;
  auto count = [&](ActionKind kind) { ++(kind == ActionKind::kServiceRestart ? restarts : transactions); };
  for (const auto& [at, kind] : truth.acts) count(kind);
  std::uint32_t transactions_before = transactions, restarts_before = restarts;
  for (const Action& action : run.plan.actions) {
    count(action.kind);
    truth.acts.emplace_back(dated, action.kind);
  }
  if (transactions > transactions_before && transactions > policy.budget.package_transactions_per_hour)
    fail(number, "I6 budget", std::to_string(transactions) + " package transactions within an hour");
  if (restarts > restarts_before && restarts > policy.budget.service_restarts_per_hour) fail(number, "I6 budget", std::to_string(restarts) + " restarts within an hour");
}

void Oracle::authorised(std::size_t number, const AcceptedRun& run, bool late) {
  Truth& truth = truths_[number];
  const ExecutorPolicy* policy = policy_of(number);
  if (!policy) fail(number, "I1 policy", run.run.text() + " was accepted without a policy");
  Instant now = std::max(truth.host.model->now(), truth.time_floor);
  const Duration before = truth.leapt;
  if (policy->expires <= now && !late) fail(number, "I1 policy", run.run.text() + " was accepted under an expired policy");
  if (digest_of(run.plan) != run.digest) fail(number, "I1 plan", run.run.text() + ": the journal's plan isn't the one of its digest");
  if (!run.order) {
    ++figures_.standing;
    if (!truth.standing_request || run.plan.actions.size() != 1 || !run.plan.actions[0].restart) fail(number, "I1 authorised", run.run.text() + " was neither ordered nor asked for by a standing rule");
    const std::string& unit = run.plan.actions[0].restart->unit;
    if (unit == "ssh.service" || any_matches(policy->never_units, unit)) fail(number, "I10 protected", "a standing rule restarts " + unit);
    const ModelUnit& state = truth.host.model->units.at(unit);
    bool stale = std::ranges::any_of(state.maps, [&](const std::string& package) {
      auto mapped = state.mapped.find(package);
      return truth.host.model->table.contains(package) && truth.host.model->table.at(package).replaced != (mapped == state.mapped.end() ? 0 : mapped->second);
    });
    std::optional<Duration> cooldown;
    for (const StandingRule& rule : policy->standing) {
      bool triggered = rule.trigger == StandingTrigger::kUnitFailed ? state.active == "failed" : stale;
      if (triggered && any_matches(rule.units, unit)) cooldown = std::min(cooldown.value_or(rule.cooldown), rule.cooldown);
    }
    if (!cooldown && !late) fail(number, "I16 evidence", "a standing rule restarts " + unit + ", which is " + state.active + (stale ? ", stale" : ""));
    auto last = truth.restarts.find(unit);
    bool leapt = last != truth.restarts.end() && truth.clock_forward && *truth.clock_forward >= last->second;
    if (last != truth.restarts.end() && !leapt && !late && scheduler_.now() + truth.leapt - last->second < *cooldown) fail(number, "I6 cooldown", unit + " is restarted again too soon");
  } else {
    ++figures_.orders;
    const std::optional<Order>& order = truth.looking_at;
    if (!order || order->id != *run.order || order->run != run.run || order->plan != run.plan) fail(number, "I1 authorised", run.run.text() + " isn't the order that was handed over");
    if (!truth.director_signed) fail(number, "I1 director", run.run.text() + " was signed by no director");
    if (truth.refused_for_ever.contains(run.run)) fail(number, "I5 refused-for-ever", run.run.text() + " is carried out, and the control plane was told that it is refused");
    if (order->host != truth.host.id || order->plan.host != truth.host.id) fail(number, "I1 host", run.run.text() + " is another host's");
    if (order->expires <= now && !late) fail(number, "T14 expiry", run.run.text() + " had expired at " + to_rfc3339(order->expires) + ", the host's time was " + to_rfc3339(now));
    if (order->issued > now + minutes(5) || order->expires - order->issued > minutes(15)) fail(number, "T14 expiry", run.run.text() + " is of the future, or lives too long");
    if (!truth.sequences.insert(order->sequence).second || order->sequence <= truth.last_sequence)
      fail(number, "I4 sequence-monotone", "sequence " + std::to_string(order->sequence) + " was taken, the last was " + std::to_string(truth.last_sequence));
    if (order->epoch < truth.highest_epoch) fail(number, "I4 epoch-monotone", "epoch " + std::to_string(order->epoch) + " was taken after " + std::to_string(truth.highest_epoch));
    auto shown = signed_.find(digest_of(order->rollout));
    auto leaf = shown == signed_.end() ? decltype(shown->second.leaves.begin()){} : shown->second.leaves.find({truth.host.id, order->index});
    if (shown == signed_.end() || leaf == shown->second.leaves.end() || leaf->second != run.digest) fail(number, "I8 plan-in-rollout", run.run.text() + ": nobody was shown this plan for this host");
    std::uint32_t needed = approvals_for(number, *policy, run.plan);
    std::uint32_t persons = 0;
    for (const auto& [person, until] : shown->second.by) persons += (until > now || late) && std::ranges::find(policy->approvers, person, &PolicyApprover::name) != policy->approvers.end();
    if (persons < needed) fail(number, "I8 approvers", run.run.text() + ": " + std::to_string(persons) + " persons approved it, " + std::to_string(needed) + " must");
    truth.last_sequence = order->sequence;
    truth.highest_epoch = std::max(truth.highest_epoch, order->epoch);
    vouched(number, order->issued);
  }
  if (truth.outcomes.size() > 100'000) fail(number, "I14 bounded", "outcomes without end");
  Monotonic looked = late ? truth.looked_at : scheduler_.now();
  // An order is judged by the time before it, and its acts are dated by the time that it vouches for.
  Monotonic at = looked + truth.leapt;
  within_budget(number, run, *policy, looked + before, at);
  for (const Action& action : run.plan.actions)
    if (action.restart) truth.restarts[action.restart->unit] = at;
}

void Oracle::touching(std::size_t number, Touch touch, const std::vector<std::string>& subjects) {
  Truth& truth = truths_[number];
  ++figures_.effects;
  if (!truth.open) fail(number, "I2 intent-before-effect", "an effect without an accepted run on the disk");
  bool reverting = has_mark(truth.marks, MarkKind::kRevertIntent);
  if (!truth.acted && !reverting && truth.host.frozen() && touch != Touch::kRestart) {
    // A freeze that comes while a run is repaired or waits is seen at its next step; the first effect is no such step.
    fail(number, "I17 frozen", truth.open->run.text() + " begins to act on a frozen host");
  }
  truth.acted = true;
  auto is_in = [&](const std::string& name, bool unit) {
    return std::ranges::any_of(truth.open->plan.actions, [&](const Action& action) {
      Named named = named_by(action);
      return std::ranges::find(unit ? named.units : named.packages, name) != (unit ? named.units : named.packages).end();
    });
  };
  switch (touch) {
    case Touch::kUpgrade:
    case Touch::kRestore:
      if (!truth.host.model->executor_has_lock()) fail(number, "TX-9 lock", "dpkg runs without its lock");
      for (const std::string& name : subjects)
        if (!is_in(name, false)) fail(number, "I1 effect-in-plan", name + " isn't in the plan of " + truth.open->run.text());
      if (touch == Touch::kUpgrade) {
        if (!has_mark(truth.marks, MarkKind::kActIntent) || reverting) fail(number, "I2 intent-before-effect", "an upgrade without its intent on the disk");
        bool way_back = std::ranges::none_of(truth.open->plan.actions, [](const Action& action) {
          return action.transaction && std::ranges::any_of(action.transaction->changes, [](const PackageChange& change) { return change.from_version && !change.from; });
        });
        for (const Action& action : truth.open->plan.actions)
          for (const PackageChange& change : action.transaction ? action.transaction->changes : std::vector<PackageChange>{})
            if (change.from && !truth.host.model->executor_has_staged(change.from->sha256)) fail(number, "I18 way-back", truth.open->run.text() + " upgrades " + change.package.name + " and its old file isn't staged");
        for (const auto& [id, rollout] : rollouts_) {
          auto ordered = rollout.ordered.find(truth.host.id);
          if (ordered != rollout.ordered.end() && ordered->second == truth.open->run && rollout.index.at(truth.host.id) >= rollout.plan.wave_ends[rollout.wave])
            fail(number, "I7 waves", truth.open->run.text() + " acts before its wave");
        }
        if (++truth.upgrades > 1 && way_back) fail(number, "I5 once", truth.open->run.text() + " upgrades twice");
      } else if (!reverting && !has_mark(truth.marks, MarkKind::kRepairIntent)) {
        fail(number, "I2 intent-before-effect", "a restore without its intent on the disk");
      }
      return;
    case Touch::kRestart:
      if (!is_in(subjects[0], true)) fail(number, "I1 effect-in-plan", subjects[0] + " isn't in the plan of " + truth.open->run.text());
      if (truth.marks.empty() || truth.marks.back().kind != MarkKind::kRestartIntent || truth.marks.back().subject != subjects[0])
        fail(number, "I2 intent-before-effect", "a restart of " + subjects[0] + " without its intent on the disk");
      return;
    case Touch::kPutBack:
    case Touch::kRemove:
      if (!reverting) fail(number, "I2 intent-before-effect", subjects[0] + " is changed without a revert's intent on the disk");
      return;
  }
}

void Oracle::ended(std::size_t number, const RunOutcome& outcome, bool late) {
  Truth& truth = truths_[number];
  if (!truth.open || truth.open->run != outcome.run) fail(number, "I2 outcome-of-a-run", outcome.run.text() + " ended and was not open");
  switch (outcome.state) {
    case RunState::kVerified:
      ++figures_.verified;
      whole(number, outcome, true, late);
      break;
    case RunState::kReverted:
      ++figures_.reverted;
      if (!truth.acted) ++figures_.not_begun;
      whole(number, outcome, false, late);
      break;
    case RunState::kRefused:
      if (truth.acted) fail(number, "I1 refused-is-untouched", outcome.run.text() + " was refused after it had acted");
      break;
    case RunState::kEscalated: ++figures_.escalated; break;
    default: fail(number, "D3 ends", outcome.run.text() + " ended " + std::string(to_text(outcome.state)));
  }
  truth.open.reset();
  truth.marks.clear();
}

void Oracle::whole(std::size_t number, const RunOutcome& outcome, bool is_new, bool late) {
  Truth& truth = truths_[number];
  const ModelHost& model = *truth.host.model;
  const Plan& plan = truth.open->plan;
  std::string invariant = is_new ? "I3 all-new" : "I3 all-old";
  bool transaction = std::ranges::any_of(plan.actions, [](const Action& action) { return action.transaction.has_value(); });
  bool repair = std::ranges::any_of(plan.actions, [](const Action& action) { return action.repair.has_value(); });
  std::map<std::string, std::string> wanted;  // package -> version
  if (is_new)
    for (const Action& action : plan.actions)
      if (action.transaction)
        for (const PackageChange& change : action.transaction->changes) wanted[change.package.name] = change.to.version;
  // A repair has no old state to go back to: only what the transactions change is compared then.
  std::set<std::string> names;
  for (const auto& [name, package] : truth.packages_before) names.insert(name);
  for (const auto& [name, package] : model.table) names.insert(name);
  for (const std::string& name : names) {
    if (is_foreign(truth.foreign, name)) continue;
    auto now = model.table.find(name);
    auto before = truth.packages_before.find(name);
    if (repair && !wanted.contains(name)) continue;
    std::string have = now == model.table.end() ? "absent" : now->second.version + " " + std::string(to_text(now->second.state));
    std::string want = wanted.contains(name) ? wanted[name] + " installed" : before == truth.packages_before.end() ? "absent" : before->second.version + " " + std::string(to_text(before->second.state));
    if (have != want) fail(number, invariant, outcome.run.text() + ": " + name + " is " + have + ", not " + want);
  }
  if (transaction && !repair) {
    std::map<std::string, FileState> want = truth.files_before;
    for (const auto& [name, version] : wanted) {
      const Deb& deb = Catalogue::get().deb(name, version);
      auto before = truth.packages_before.find(name);
      if (before != truth.packages_before.end())
        for (const std::string& path : before->second.owned) want.erase(path);
      for (const PackagedPath& path : deb.paths) {
        FileState state{path.path, path.directory ? FileKind::kDirectory : FileKind::kRegular, path.sha256, path.directory ? 0755u : 0644u, 0, 0, {}, {}};
        if (path.path == deb.conffile && model.edited.contains(path.path)) {
          // Kept against the new version, which then lies beside it.
          auto kept = truth.files_before.find(path.path);
          if (kept != truth.files_before.end()) state = kept->second;
          FileState beside{path.path + ".dpkg-dist", FileKind::kRegular, path.sha256, 0644, 0, 0, {}, {}};
          want[beside.path] = beside;
        }
        want[path.path] = state;
      }
    }
    std::set<std::string> paths;
    for (const auto& [path, state] : want) paths.insert(path);
    for (const auto& [path, state] : model.files) paths.insert(path);
    for (const std::string& path : paths) {
      if (is_foreign(truth.foreign, path)) continue;
      auto now = model.files.find(path);
      auto old = want.find(path);
      bool same = now != model.files.end() && old != want.end() && now->second == old->second;
      if (!same) {
        bool stray = old == want.end() && std::ranges::any_of(kStrays, [&](std::string_view suffix) { return path.ends_with(suffix); });
        fail(number, stray ? "I3 no-strays" : invariant, outcome.run.text() + ": " + path + (now == model.files.end() ? " is missing" : old == want.end() ? " should not be there" : " has other content"));
      }
    }
  }
  if (late) return;  // the units have gone on since
  Monotonic now = scheduler_.now();
  std::set<std::string> affected;
  for (const Action& action : plan.actions) {
    Named named = named_by(action);
    affected.insert(named.units.begin(), named.units.end());
  }
  for (const auto& [name, unit] : model.units) {
    if (is_foreign(truth.foreign, name)) continue;
    const ModelUnit& before = truth.units_before.at(name);
    bool must_run = (before.active == "active" && !before.on_demand && truth.acted) || (is_new && affected.contains(name) && !transaction);
    auto failed = model.failed_at.find(name);
    if (must_run && unit.active != "active" && failed != model.failed_at.end() && failed->second + kSeen < now && (is_new || affected.contains(name)))
      fail(number, "D3 verified-is-measured", outcome.run.text() + " ended " + std::string(to_text(outcome.state)) + " and " + name + " has failed for " + to_text(std::chrono::duration_cast<Duration>(now - failed->second)));
    if (!is_new || !affected.contains(name) || unit.active != "active") continue;
    if (unit.started > truth.accepted_at && now - unit.started < plan.expectation.stable_for && !unit.on_demand)
      fail(number, "D3 stable", outcome.run.text() + ": " + name + " runs for " + to_text(std::chrono::duration_cast<Duration>(now - unit.started)) + " only");
    for (const std::string& package : transaction ? unit.maps : std::vector<std::string>{})
      if (wanted.contains(package) && unit.mapped.contains(package) && unit.mapped.at(package) != model.table.at(package).replaced)
        fail(number, "D3 old-code-gone", outcome.run.text() + ": " + name + " still maps the old " + package);
  }
}

void Oracle::watch(std::size_t number, std::size_t orders_held, std::size_t outcomes_held) {
  Truth& truth = truths_[number];
  if (orders_held > 8 || outcomes_held > 64 + 16) fail(number, "I14 bounded", std::to_string(orders_held) + " orders and " + std::to_string(outcomes_held) + " outcomes are held");
  if (!truth.open || !truth.host.executor_up()) return;
  Monotonic since = std::max(truth.accepted_at, truth.executor_since);
  if (scheduler_.now() > since + truth.open->plan.deadline + kOverrun) fail(number, "D3 deadline", truth.open->run.text() + " is open past its deadline");
}

bool Oracle::any_run_open() const {
  return std::ranges::any_of(truths_, [](const Truth& truth) { return truth.open.has_value(); });
}

// ---- the control plane -------------------------------------------------------------------------------------------------------

void Oracle::control_term_began(std::uint64_t epoch) {
  if (epoch <= term_) throw Violation{"I4 epoch-monotone", "the control plane's term " + std::to_string(epoch) + " is not above " + std::to_string(term_)};
  term_ = epoch;
  for (Truth& truth : truths_) truth.report_counted.reset();  // what it kept in memory is gone
}

void Oracle::rollout_seen(const Rollout& rollout) {
  RolloutTruth& truth = rollouts_[rollout.id];
  if (truth.index.empty()) {
    truth.plan = rollout.plan;
    for (const RolloutHost& host : rollout.hosts) truth.index[host.host] = host.index;
    rollout_of_[rollout.plan.id] = rollout.id;
  }
  if (truth.plan != rollout.plan) throw Violation{"I8 plan-fixed", rollout.id.text() + " carries out another plan than it began with"};
  bool was_over = truth.state == RolloutState::kSucceeded || truth.state == RolloutState::kStopped || truth.state == RolloutState::kAborted;
  if (was_over && truth.state != rollout.state) throw Violation{"I7 over-is-over", rollout.id.text() + " went from " + std::string(to_text(truth.state)) + " to " + std::string(to_text(rollout.state))};
  truth.state = rollout.state;
  if (rollout.wave < truth.wave) throw Violation{"I7 waves", rollout.id.text() + " goes back to an earlier wave"};
  truth.wave = rollout.wave;
  for (const RolloutHost& host : rollout.hosts)
    if (host.run && host.index >= rollout.plan.wave_ends[rollout.wave]) throw Violation{"I7 waves", rollout.id.text() + ": " + host.host.text() + " was ordered before its wave"};
}

void Oracle::rollout_steered(const RolloutId& rollout, bool stopped) { rollouts_[rollout].stopped_by_person = stopped; }
void Oracle::rollout_promoted(const RolloutId& rollout, std::uint64_t wave) { rollouts_[rollout].promoted.insert(wave); }

void Oracle::control_order(const Order& order, const Rollout& rollout) {
  std::size_t number = numbers_.at(order.host);
  Truth& truth = truths_[number];
  RolloutTruth& of = rollouts_[rollout.id];
  if (order.sequence <= truth.control_sequence) fail(number, "I4 sequence-monotone", "the control plane gave sequence " + std::to_string(order.sequence) + " after " + std::to_string(truth.control_sequence));
  truth.control_sequence = order.sequence;
  if (order.epoch < truth.control_epoch || order.epoch > term_) fail(number, "I4 epoch-monotone", "an order of epoch " + std::to_string(order.epoch));
  truth.control_epoch = order.epoch;
  auto [ordered, first] = of.ordered.emplace(order.host, order.run);
  if (!first) fail(number, "I5 once", rollout.id.text() + " orders the host twice: " + ordered->second.text() + ", " + order.run.text());
  if (of.stopped_by_person) fail(number, "I17 stopped", rollout.id.text() + " gives an order after a person paused or aborted it");
  if (rollout.state == RolloutState::kWaitingForApproval) fail(number, "I8 approvers", rollout.id.text() + " gives an order while it waits for approval");
  if (of.index.at(order.host) != order.index) fail(number, "I8 plan-in-rollout", "the order's place is another one");
  std::size_t wave = 0;
  while (order.index >= rollout.plan.wave_ends[wave]) ++wave;
  if (wave > rollout.wave) fail(number, "I7 waves", rollout.id.text() + " orders a host of wave " + std::to_string(wave + 1) + " in wave " + std::to_string(rollout.wave + 1));
  auto shown = signed_.find(digest_of(order.rollout));
  std::size_t persons = shown == signed_.end() ? 0 : shown->second.by.size();
  if (persons == 0) fail(number, "I8 approvers", rollout.id.text() + " gives an order that nobody approved");
  if (wave == 0) return;
  for (const RolloutHost& host : rollout.hosts) {
    if (host.index >= rollout.plan.wave_ends[wave - 1]) break;
    if (host.state == RolloutHostState::kPending || host.state == RolloutHostState::kOrdered) fail(number, "I7 waves", host.host.text() + " of an earlier wave is " + std::string(to_text(host.state)));
    std::size_t its_wave = 0;
    while (host.index >= rollout.plan.wave_ends[its_wave]) ++its_wave;
    if (host.state != RolloutHostState::kVerified || of.promoted.contains(its_wave)) continue;
    const Truth& other = truths_[numbers_.at(host.host)];
    if (other.reports_since_end < rollout.plan.soak_reports)
      fail(number, "I7 health", "wave " + std::to_string(wave + 1) + " begins, and " + host.host.text() + " has reported " + std::to_string(other.reports_since_end) + " times since its run, " + std::to_string(rollout.plan.soak_reports) + " must be");
  }
}

void Oracle::outcome_stored(std::size_t number, const RunOutcome& outcome) {
  Truth& truth = truths_[number];
  auto [stored, is_new] = truth.stored.emplace(outcome.run, outcome.state);
  truth.report_counted.reset();
  const Refusal momentary[] = {Refusal::kBudget, Refusal::kFrozen, Refusal::kBusy};
  if (outcome.refusal && std::ranges::find(momentary, *outcome.refusal) != std::end(momentary)) truth.refused_for_ever.insert(outcome.run);
  if (!is_new) {
    // What a refused order did after all counts above the refusal: the agent refuses what it can't stage, and a copy may come later.
    if (stored->second != outcome.state && stored->second != RunState::kRefused) fail(number, "I12 one-outcome", "the control plane changed the outcome of " + outcome.run.text());
    stored->second = outcome.state;
    return;
  }
  for (const auto& [id, rollout] : rollouts_) {
    auto ordered = rollout.ordered.find(truth.host.id);
    if (ordered != rollout.ordered.end() && ordered->second == outcome.run) truth.reports_since_end = 0;
  }
}

void Oracle::report_committed(std::size_t number, Instant control_now, Duration heartbeat) {
  Truth& truth = truths_[number];
  truth.heard = scheduler_.now();
  if (truth.report_counted && control_now - *truth.report_counted < heartbeat / 2 && control_now >= *truth.report_counted) return;
  truth.report_counted = control_now;
  ++truth.reports_since_end;
}

void Oracle::shown(std::size_t number, PostureState posture, Duration stale_after) {
  const Truth& truth = truths_[number];
  if (posture == PostureState::kStale || posture == PostureState::kUnknown) return;
  if (!truth.heard || scheduler_.now() - *truth.heard > stale_after) fail(number, "D7 stale-is-shown", "a host that is silent for " + (truth.heard ? to_text(std::chrono::duration_cast<Duration>(scheduler_.now() - *truth.heard)) : std::string("ever")) + " is shown as " + std::string(to_text(posture)));
}

std::vector<RunId> Oracle::runs_ended() const {
  std::vector<RunId> runs;
  for (const Truth& truth : truths_)
    for (const auto& [run, outcome] : truth.outcomes) runs.push_back(run);
  return runs;
}

std::vector<std::string> Oracle::outcomes_missing() const {
  std::vector<std::string> missing;
  for (const Truth& truth : truths_)
    for (const auto& [run, outcome] : truth.outcomes) {
      auto stored = truth.stored.find(run);
      if (stored == truth.stored.end())
        missing.push_back(run.text() + " of " + truth.host.id.text() + " (" + std::string(to_text(outcome.state)) + ") never came");
      else if (stored->second != outcome.state)
        missing.push_back(run.text() + " of " + truth.host.id.text() + " is " + std::string(to_text(outcome.state)) + " on the host and " + std::string(to_text(stored->second)) + " in the control plane");
    }
  return missing;
}

}  // namespace prunella::sim
