#include "people.h"

#include <algorithm>

namespace prunella::sim {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

People::People(ExecutorProcess::Surroundings around, std::uint64_t seed, const Keys& keys, ControlProcess& control, std::uint32_t approvals_needed)
    : around_(around), dice_(seed), keys_(keys), control_(control), approvals_needed_(approvals_needed) {}

Envelope People::policy(std::uint64_t serial, bool narrow) {
  ExecutorPolicy policy;
  policy.serial = serial;
  policy.organisation = "example";
  policy.issued = control_.now();
  policy.expires = policy.issued + hours(24 * 90);
  policy.directors = {keys_.director.public_key()};
  for (const Person& person : keys_.approvers) policy.approvers.push_back({person.name, person.key.public_key()});
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, approvals_needed_},
                  {ActionKind::kDpkgRepair, {"*"}, {"*"}, approvals_needed_},
                  {ActionKind::kServiceRestart, {}, {"app.service", "nginx.service", "cron.service", "ssh.service"}, approvals_needed_}};
  policy.standing = {{StandingTrigger::kUnitFailed, {"app.service", "nginx.service"}, minutes(1)}, {StandingTrigger::kRestartNeeded, {"nginx.service"}, minutes(5)}};
  policy.budget = {4, 8};
  policy.never_packages = {"tzdata"};
  policy.never_units = {"cron.service"};
  if (narrow) policy.never_packages.push_back("nginx");
  around_.oracle.policy_signed(policy);
  policies_.push_back(sign_envelope(kExecutorPolicyType, to_canonical_text(policy), keys_.offline));
  return policies_.back();
}

void People::install_policy(std::uint64_t serial, bool narrow) {
  Envelope envelope = policy(serial, narrow);
  auto set = control_.ask([&](ControlPlane& plane, Instant now) { return plane.set_policy(control_.admin, envelope, now); });
  bool done = set && (*set || (*set).error().kind() == ErrorKind::kConflict);
  say("policy " + std::to_string(serial) + (narrow ? ", which never touches nginx" : "") + (done ? " is in force" : " could not be installed"));
  if (!done) policies_.pop_back();
}

Envelope People::approval(const RolloutPlan& plan, const Person& person, Duration lifetime) {
  Approval approval;
  approval.plan = plan.id;
  approval.plan_digest = digest_of(plan);
  approval.approver = person.name;
  approval.at = control_.now();
  approval.expires = approval.at + lifetime;
  around_.oracle.approved(plan, person.name, approval.expires);
  return sign_envelope(kApprovalType, to_canonical_text(approval), person.key);
}

void People::begin(Duration delay) {
  later(delay, [this] { plan(); });
}

void People::campaign_over(const std::string& why) {
  say("the campaign is over: " + why);
  ++campaign_;
  active_ = false;
  plan_.reset();
  rollout_.reset();
  if (campaign_ < kCampaigns && !mending_) begin(dice_.wait(seconds(40), minutes(4)));
}

void People::plan() {
  if (mending_) return;
  PlanRequest request;
  request.selector = "all";
  static const std::vector<std::vector<std::string>> kWaves = {{"1", "50%", "100%"}, {"1", "10%", "40%", "100%"}, {"2", "100%"}, {"1", "5%", "25%", "50%", "100%"}};
  request.waves = kWaves[dice_.below(kWaves.size())];
  request.soak_reports = static_cast<std::uint32_t>(dice_.between(1, 3));
  request.failures_percent_max = static_cast<std::uint32_t>(dice_.between(0, 3)) * 15;
  request.wave_deadline = minutes(dice_.between(12, 25));
  auto made = control_.ask([&](ControlPlane& plane, Instant now) { return plane.make_plan(control_.admin, request, now); });
  if (!made) return later(kAgain, [this] { plan(); });
  if (!*made) {
    say("no plan: " + (*made).error().text().substr(0, 200));
    return campaign_over("nothing to plan");
  }
  plan_ = **std::move(made);
  around_.oracle.planned(*plan_);
  seen_.push_back({*plan_, {}});
  active_ = true;
  say(plan_->id.text() + " for " + std::to_string(plan_->hosts.size()) + " hosts, " + std::to_string(plan_->skipped.size()) + " left out");
  willing_.assign(keys_.approvers.size(), true);
  signed_.assign(keys_.approvers.size(), false);
  bool slow = around_.faults_on && around_.faults.slow_people;
  for (std::size_t i = 0; i < keys_.approvers.size(); ++i) {
    willing_[i] = !slow || dice_.chance(0.75);
    if (willing_[i]) later(dice_.wait(seconds(1), slow ? minutes(6) : seconds(40)), [this, i] { approve(i); });
  }
  later(dice_.wait(seconds(1), seconds(30)), [this] { start(); });
}

void People::start() {
  RolloutRequest request{plan_->id, plan_->digest};
  auto begun = control_.ask([&](ControlPlane& plane, Instant now) { return plane.start_rollout(control_.admin, request, now); });
  if (!begun) return later(kAgain, [this] { start(); });
  if (*begun) {
    rollout_ = (*begun)->rollout.id;
  } else {
    auto again = control_.ask([&](ControlPlane& plane, Instant now) { return plane.plan(control_.admin, plan_->id, now); });
    if (!again) return later(kAgain, [this] { start(); });
    if (!*again || !(*again)->started_as) return campaign_over("it can't be started: " + (*begun).error().text());
    rollout_ = (*again)->started_as;
  }
  ++rollouts_started;
  say(rollout_->text() + " is started");
  watch();
  if (around_.faults_on && around_.faults.slow_people) later(dice_.wait(seconds(20), minutes(8)), [this] { steer(); });
}

void People::approve(std::size_t person) {
  if (!plan_ || signed_[person]) return;
  Envelope envelope = approval(plan_->rollout, keys_.approvers[person], hours(4));
  if (seen_.back().approvals.size() <= person) seen_.back().approvals.push_back(envelope);
  auto taken = control_.ask([&](ControlPlane& plane, Instant now) { return plane.approve(control_.admin, plan_->id, envelope, now); });
  if (!taken) return later(kAgain, [this, person] { approve(person); });
  if (!*taken && (*taken).error().kind() == ErrorKind::kConflict) {
    // Taken before, without an answer; or a row that somebody forged stands in its place, until it is found.
    auto known = control_.ask([&](ControlPlane& plane, Instant now) { return plane.plan(control_.admin, plan_->id, now); });
    bool own = known && *known && std::ranges::any_of((*known)->approvals, [&](const ApprovalView& one) { return one.approver == keys_.approvers[person].name && one.key_id == keys_.approvers[person].key.public_key().key_id(); });
    if (!own) return later(kAgain, [this, person] { approve(person); });
  }
  signed_[person] = true;
  say(keys_.approvers[person].name + " approves " + plan_->id.text() + (*taken ? "" : ": " + (*taken).error().text()));
}

void People::steer() {
  if (!rollout_ || mending_) return;
  constexpr ControlPlane::Steer kSteers[] = {ControlPlane::Steer::kPause, ControlPlane::Steer::kResume, ControlPlane::Steer::kPromote, ControlPlane::Steer::kAbort};
  constexpr std::string_view kWords[] = {"pause", "resume", "promote", "abort"};
  std::uint64_t draw = dice_.below(10);
  std::size_t which = draw < 4 ? 0 : draw < 6 ? 1 : draw < 9 ? 2 : 3;
  // What may follow at once must be known before: a resumed or promoted rollout gives orders in the same step.
  auto before = control_.truth().rollout(*rollout_);
  if (which == 1 && before && before->rollout.state == RolloutState::kPaused) around_.oracle.rollout_steered(*rollout_, false);
  if (which == 2 && before && before->rollout.state == RolloutState::kRunning) around_.oracle.rollout_promoted(*rollout_, before->rollout.wave);
  auto done = control_.ask([&](ControlPlane& plane, Instant now) { return plane.steer(control_.admin, *rollout_, kSteers[which], now); });
  say(std::string(kWords[which]) + " " + rollout_->text() + (!done ? ": no answer" : *done ? "" : ": " + (*done).error().text()));
  // Who had no answer asks; until he knows, nothing is certain of it.
  if (done && *done) {
    if (which == 0 || which == 3) around_.oracle.rollout_steered(*rollout_, true);
  }
  if (which == 0) later(dice_.wait(seconds(10), minutes(5)), [this] {
    if (!rollout_) return;
    auto paused = control_.truth().rollout(*rollout_);
    if (!paused || paused->rollout.state != RolloutState::kPaused) return;
    around_.oracle.rollout_steered(*rollout_, false);
    auto resumed = control_.ask([&](ControlPlane& plane, Instant now) { return plane.steer(control_.admin, *rollout_, ControlPlane::Steer::kResume, now); });
    say("resume " + rollout_->text() + (resumed && *resumed ? "" : ": not done"));
  });
  later(dice_.wait(seconds(30), minutes(10)), [this] { steer(); });
}

void People::watch() {
  if (!rollout_) return;
  auto view = control_.truth().rollout(*rollout_);
  if (view && is_end(view->rollout.state)) return campaign_over(rollout_->text() + " " + std::string(to_text(view->rollout.state)) + ": " + view->rollout.reason);
  if (mending_ && view && view->rollout.state == RolloutState::kPaused) {
    around_.oracle.rollout_steered(*rollout_, false);
    control_.ask([&](ControlPlane& plane, Instant now) { return plane.steer(control_.admin, *rollout_, ControlPlane::Steer::kResume, now); });
  }
  later(seconds(10), [this] { watch(); });
}

void People::mend() {
  mending_ = true;
  if (!plan_) return;
  for (std::size_t i = 0; i < willing_.size(); ++i)
    if (!willing_[i]) later(dice_.wait(seconds(1), seconds(20)), [this, i] { approve(i); });
}

}  // namespace prunella::sim
