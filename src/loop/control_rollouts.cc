// The control plane's hands: rollouts go on, the gate is asked, orders are given, outcomes come back.
#include <algorithm>

#include "loop/control_ingest.h"
#include "loop/control_plane.h"
#include "model/merkle.h"

namespace prunella {

namespace {

// What a run of the last day did, for the gate's history. A day: the gate's longest window.
constexpr std::size_t kHistoryRunsMax = 100;
// An order that the host has not begun after its expiry and this time is lost: the agent's answer may still be on its way until then.
constexpr Duration kOrderGrace = std::chrono::minutes(2);
constexpr std::size_t kVerdictsMax = 8;

bool is_sick(FindingKind kind) {
  switch (kind) {
    case FindingKind::kUnitFailed:
    case FindingKind::kBrokenPackage:
    case FindingKind::kFilesystemFull:
    case FindingKind::kInterruptedDpkg: return true;
    case FindingKind::kMissingSecurityUpdate:
    case FindingKind::kRestartNeeded:
    case FindingKind::kRebootNeeded:
    case FindingKind::kRepositoryUnreachable:
    case FindingKind::kRepositoryUntrusted:
    case FindingKind::kClockOff:
    case FindingKind::kUnknown: return false;
  }
  return false;
}

std::optional<RolloutHostState> host_state_of(RunState end) {
  switch (end) {
    case RunState::kVerified: return RolloutHostState::kVerified;
    case RunState::kReverted: return RolloutHostState::kReverted;
    case RunState::kEscalated: return RolloutHostState::kEscalated;
    case RunState::kRefused: return RolloutHostState::kRefused;
    case RunState::kOrdered:
    case RunState::kAccepted:
    case RunState::kStaging:
    case RunState::kRepairing:
    case RunState::kActing:
    case RunState::kRestarting:
    case RunState::kVerifying:
    case RunState::kReverting: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

Result<ControlPlane::Approvals> ControlPlane::approvals_of(const RolloutPlan& plan, const std::optional<ExecutorPolicy>& policy, Instant now) {
  Approvals out;
  if (!policy) return out;
  auto envelopes = store_.approval_envelopes(plan.id);
  if (!envelopes) return std::move(envelopes).error();
  Digest digest = digest_of(plan);
  for (Envelope& envelope : *envelopes) {
    for (const PolicyApprover& approver : policy->approvers) {
      auto payload = open_envelope(envelope, kApprovalType, {approver.key}, 1);
      if (!payload) continue;
      auto approval = from_json_text<Approval>(*payload);
      if (!approval || approval->plan_digest != digest || approval->expires <= now || approval->approver != approver.name) continue;
      if (out.names.insert(approver.name).second) out.envelopes.push_back(envelope);
      break;
    }
  }
  return out;
}

Result<bool> ControlPlane::is_approved(const PlanView& plan, Instant now) {
  auto current = policy();
  if (!current) return std::move(current).error();
  auto approvals = approvals_of(plan.rollout, *current, now);
  if (!approvals) return std::move(approvals).error();
  return approvals->names.size() >= plan.approvals_required;
}

Result<Verdict> ControlPlane::ask_gate(const Rollout& rollout, const RolloutHost& host, Instant now) {
  GateInput in;
  auto plan = store_.host_plan(rollout.plan.id, host.host);
  if (!plan) return std::move(plan).error();
  in.plan = *std::move(plan);
  in.rollout_plan = rollout.plan;
  in.rollout = rollout;
  in.index = host.index;
  auto current = policy();
  if (!current) return std::move(current).error();
  in.policy = *std::move(current);
  auto approvals = approvals_of(rollout.plan, in.policy, now);
  if (!approvals) return std::move(approvals).error();
  in.approvers = std::move(approvals->names);
  auto row = store_.host(host.host);
  if (!row) return std::move(row).error();
  if (row->state != HostState::kActive) {
    Verdict denied_host;
    denied_host.reasons.push_back({VerdictKind::kDeny, "host-revoked", "the host is revoked", "enrol it again"});
    return denied_host;
  }
  HostView view = view_of(*row, now);
  in.host.last_seen = view.last_seen;
  in.host.posture = Posture{view.posture, view.sentence};
  auto facts = store_.facts(host.host);
  if (!facts) return std::move(facts).error();
  if (facts->executor && facts->executor->known()) in.host.executor = facts->executor->value;
  if (facts->disk && facts->disk->known()) in.host.disk = facts->disk->value;
  auto counts = store_.counts();
  if (!counts) return std::move(counts).error();
  auto broken = store_.hosts_broken_since(now - kSickWindow);
  if (!broken) return std::move(broken).error();
  in.fleet = GateFleet{counts->hosts, *broken};
  auto runs = store_.recent_runs(host.host, kHistoryRunsMax);
  if (!runs) return std::move(runs).error();
  for (const RunView& run : *runs) {
    if (now - run.started > std::chrono::hours(24)) break;
    PastRun past;
    past.run = run.id;
    past.started = run.started;
    past.state = run.state;
    if (run.plan) {
      auto done = store_.host_plan(*run.plan, run.host);
      if (!done) return std::move(done).error();
      past.plan = digest_of(*done);
      for (const Action& action : done->actions) {
        if (action.kind == ActionKind::kServiceRestart) ++past.restarts;
        else past.packages = true;
      }
    } else {
      past.restarts = 1;  // a standing rule restarts one unit
    }
    in.history.push_back(std::move(past));
  }
  in.now = now;
  return gate(in);
}

void ControlPlane::remember_verdict(const HostId& host, const RolloutId& rollout, const Verdict& verdict, Instant now) {
  auto& latest = verdicts_[host];
  if (!latest.empty() && latest.front().about == rollout.text() && latest.front().verdict == verdict) {
    latest.front().at = now;
    return;
  }
  latest.insert(latest.begin(), WhyVerdict{now, rollout.text(), verdict});
  if (latest.size() > kVerdictsMax) latest.pop_back();
}

Status ControlPlane::carry(const RolloutId& id, const std::vector<RolloutInput>& inputs, Instant now) {
  auto view = store_.rollout(id);
  if (!view) return std::move(view).error();
  const Rollout before = view->rollout;
  Rollout rollout = before;
  std::optional<Error> failed;
  OrderGate gate_now = [&](const Rollout& state, const RolloutHost& host) -> GateAnswer {
    auto verdict = ask_gate(state, host, now);
    if (!verdict) {
      // The whole step is given up: what the store can't tell is no ground to skip a host for good.
      failed = verdict.error();
      return {OrderAnswer::kWait, verdict.error().text()};
    }
    remember_verdict(host.host, state.id, *verdict, now);
    std::string reason = verdict->reasons.empty() ? "" : verdict->reasons.front().text;
    switch (verdict->kind) {
      case VerdictKind::kAllow: return {OrderAnswer::kAllow, reason};
      case VerdictKind::kWait: return {OrderAnswer::kWait, reason};
      case VerdictKind::kDeny: return {OrderAnswer::kDeny, reason};
    }
    return {OrderAnswer::kDeny, reason};
  };
  std::vector<Effect> effects;
  for (const RolloutInput& input : inputs) {
    Advanced step = advance(rollout, input, gate_now, now);
    if (failed) return *std::move(failed);
    rollout = std::move(step.rollout);
    for (Effect& effect : step.effects) effects.push_back(std::move(effect));
  }
  if (rollout == before && effects.empty()) return {};
  // The run of an order exists before the host's row names it.
  for (const Effect& effect : effects)
    if (effect.kind == EffectKind::kOrder)
      if (auto given = give_order(rollout, effect, now); !given) return given;
  if (auto saved = store_.save_rollout(before, rollout, now); !saved) return saved;
  for (const Effect& effect : effects) {
    switch (effect.kind) {
      case EffectKind::kOrder: break;
      case EffectKind::kStop:
      case EffectKind::kNotify: {
        AuditSubject subject;
        subject.rollout = id;
        subject.plan = rollout.plan.id;
        std::string kind = effect.kind == EffectKind::kStop ? "rollout.stopped" : "rollout.advanced";
        if (auto noted = note("control-plane", kind, subject, effect.text, now); !noted) return noted;
        break;
      }
    }
  }
  for (std::size_t i = 0; i < rollout.hosts.size(); ++i) {
    const RolloutHost& host = rollout.hosts[i];
    if (host.state != RolloutHostState::kSkipped || before.hosts[i].state == host.state) continue;
    AuditSubject subject;
    subject.rollout = id;
    subject.plan = rollout.plan.id;
    subject.host = host.host;
    if (auto noted = note("control-plane", "host.skipped", subject, host.reason, now); !noted) return noted;
  }
  changed("rollout", id.text());
  return {};
}

Status ControlPlane::give_order(const Rollout& rollout, const Effect& effect, Instant now) {
  auto existing = store_.run(effect.run);
  if (existing) return {};  // it was given before: a run has one order, however often it is asked for
  if (existing.error().kind() != ErrorKind::kNotFound) return std::move(existing).error();
  auto plan = store_.host_plan(rollout.plan.id, effect.host);
  if (!plan) return std::move(plan).error();
  auto current = policy();
  if (!current) return std::move(current).error();
  auto approvals = approvals_of(rollout.plan, *current, now);
  if (!approvals) return std::move(approvals).error();
  auto sequence = store_.take_sequence(effect.host);
  if (!sequence) return std::move(sequence).error();

  std::vector<Digest> leaves;
  leaves.reserve(rollout.hosts.size());
  for (const RolloutHost& host : rollout.hosts) leaves.push_back(rollout_leaf(host.index, host.host, host.plan));
  Order order;
  std::array<std::byte, 16> id{};
  ports_.random.fill(id);
  order.id = OrderId(to_hex({reinterpret_cast<const std::uint8_t*>(id.data()), id.size()}));
  order.host = effect.host;
  order.sequence = *sequence;
  order.epoch = epoch_;
  order.run = effect.run;
  order.issued = now;
  order.expires = now + options_.order_lifetime;
  order.rollout = rollout.plan;
  order.index = effect.index;
  order.proof = merkle_proof(leaves, effect.index);
  order.plan = *plan;
  order.approvals = std::move(approvals->envelopes);

  RunView run;
  run.id = effect.run;
  run.host = effect.host;
  run.rollout = rollout.id;
  run.plan = rollout.plan.id;
  run.state = RunState::kOrdered;
  run.started = now;
  if (auto added = store_.add_run(run, digest_of(*plan)); !added) return added;
  OrderRow row;
  row.id = order.id;
  row.host = effect.host;
  row.sequence = order.sequence;
  row.epoch = epoch_;
  row.run = effect.run;
  row.state = "pending";
  row.issued = now;
  row.expires = order.expires;
  row.envelope = sign_envelope(kOrderType, to_canonical_text(order), ports_.director);
  if (auto added = store_.add_order(row); !added) return added;
  AuditSubject subject;
  subject.host = effect.host;
  subject.rollout = rollout.id;
  subject.plan = rollout.plan.id;
  subject.run = effect.run;
  subject.order = order.id;
  changed("run", effect.run.text());
  changed("directions", effect.host.text());
  return note("control-plane", "order.given", subject, "the gate allows it: number " + std::to_string(order.sequence) + " to this host, until " + to_rfc3339(order.expires), now,
              Json(Json::Object{{"plan_digest", Json(digest_of(*plan).hex())}, {"epoch", Json(epoch_)}, {"sequence", Json(order.sequence)}}));
}

Status ControlPlane::take_outcome(Ingest& in, const RunOutcome& outcome) {
  auto known = store_.run(outcome.run);
  if (!known && known.error().kind() != ErrorKind::kNotFound) return std::move(known).error();
  RunView run;
  if (known) {
    run = *std::move(known);
    if (run.host != in.host.id) return denied("the run " + outcome.run.text() + " is another host's");
    // Told before. But a refusal says that nothing was done, so what was done after all counts above it.
    bool overtaken = run.outcome && run.outcome->state == RunState::kRefused && outcome.state != RunState::kRefused;
    if (run.outcome && !overtaken) return {};
  } else {
    run.id = outcome.run;
    run.host = in.host.id;
    run.started = outcome.started;
  }
  if (!is_end(outcome.state)) return invalid_input("an outcome in the state " + std::string(to_text(outcome.state)) + ", which is no end");
  run.state = outcome.state;
  run.ended = outcome.ended;
  run.progress.reset();
  run.outcome = outcome;
  bool ours = known.has_value();
  if (auto saved = ours ? store_.save_run(run) : store_.add_run(run, outcome.plan); !saved) return saved;
  if (auto saved = store_.set_order_state(run.id, "done"); !saved) return saved;
  progress_.erase(run.id);
  if (auto work = at_work_.find(run.host); work != at_work_.end() && work->second == run.id) at_work_.erase(work);
  AuditSubject subject;
  subject.host = in.host.id;
  subject.run = run.id;
  subject.rollout = run.rollout;
  subject.plan = run.plan;
  subject.order = outcome.order;
  Json details;
  details["cause"] = Json(cut_text(outcome.cause, 200));
  details["outcome_digest"] = Json(sha256(to_canonical_text(outcome)).hex());
  if (outcome.refusal) details["refusal"] = Json(to_text(*outcome.refusal));
  if (auto noted = note("host:" + in.host.id.text(), "run." + std::string(to_text(outcome.state)), subject, std::string(cut_text(outcome.reason, kAuditSentenceBytesMax)), in.now, details); !noted) return noted;
  changed("run", run.id.text());
  // The report that brings the outcome says nothing of the time after it: the next one is the first that can count.
  soak_counted_[in.host.id] = in.now;
  if (!run.rollout) return {};
  RolloutInput input;
  input.kind = RolloutInputKind::kOutcome;
  input.host = in.host.id;
  input.run = run.id;
  input.outcome = host_state_of(outcome.state);
  input.refusal = outcome.refusal;
  input.text = outcome.reason;
  return carry(*run.rollout, {input}, in.now);
}

Status ControlPlane::take_health(Ingest& in) {
  auto rollouts = store_.unfinished_rollouts_of(in.host.id);
  if (!rollouts) return std::move(rollouts).error();
  if (rollouts->empty()) return {};
  // Only a host that proved its run is watched. Its own row is looked at first: whole rollouts with every report of every host would
  // grow with the square of the fleet.
  std::vector<std::pair<RolloutId, Instant>> watched;
  for (const RolloutId& id : *rollouts) {
    auto mine = store_.rollout_host(id, in.host.id);
    if (!mine) return std::move(mine).error();
    if (mine->state == RolloutHostState::kVerified && mine->ordered_at) watched.emplace_back(id, *mine->ordered_at);
  }
  if (watched.empty()) return {};
  if (auto loaded = load_facts(in); !loaded) return loaded;
  auto open = store_.open_findings(in.host.id);
  if (!open) return std::move(open).error();
  // One report a half heartbeat counts, so that a burst of events isn't taken for time spent in health; what is wrong always counts.
  // One that was counted in the future was counted before our clock went back.
  auto last = soak_counted_.find(in.host.id);
  bool counts = last == soak_counted_.end() || last->second > in.now || in.now - last->second >= options_.heartbeat / 2;
  if (counts) soak_counted_[in.host.id] = in.now;
  for (const auto& [id, ordered_at] : watched) {
    RolloutInput input;
    input.kind = RolloutInputKind::kHealthy;
    input.host = in.host.id;
    if (!in.facts.units || !in.facts.units->known()) {
      // Missing health is unhealthy for a rollout.
      input.kind = RolloutInputKind::kUnhealthy;
      input.text = "its units are not known";
    }
    for (const FindingView& finding : *open) {
      if (!is_sick(finding.finding.kind) || finding.opened < ordered_at) continue;
      input.kind = RolloutInputKind::kUnhealthy;
      input.text = finding.finding.summary;
    }
    if (input.kind == RolloutInputKind::kHealthy && !counts) continue;
    if (auto carried = carry(id, {input}, in.now); !carried) return carried;
  }
  return {};
}

Status ControlPlane::sign_log(Instant now) {
  auto last = last_audit_entry(ports_.store);
  if (!last) return std::move(last).error();
  auto signed_at = last_audit_checkpoint(ports_.store);
  if (!signed_at) return std::move(signed_at).error();
  if (!*last) return {};
  if (*signed_at) {
    std::int64_t unsigned_entries = (*last)->sequence - (*signed_at)->sequence;
    if (unsigned_entries == 0) return {};  // or each day would sign the checkpoint of the day before
    // One that is dated later than now was made before our clock went back, and says nothing about how long ago that was.
    bool long_ago = now - (*signed_at)->at >= kCheckpointInterval || (*signed_at)->at > now;
    if (unsigned_entries < kCheckpointEntries && !long_ago) return {};
  }
  return in_transaction([&]() -> Status {
    auto added = append_audit_checkpoint(ports_.store, ports_.recorder, now);
    if (!added) return std::move(added).error();
    changed("audit", std::to_string(added->sequence + 1));
    return {};
  });
}

Status ControlPlane::tick(Instant now) {
  auto overdue = store_.overdue_orders(now - kOrderGrace);
  if (!overdue) return std::move(overdue).error();
  for (const OrderRow& order : *overdue) {
    auto expired_order = in_transaction([&]() -> Status {
      auto run = store_.run(order.run);
      if (!run) return std::move(run).error();
      if (run->state != RunState::kOrdered) return store_.set_order_state(order.run, is_end(run->state) ? "done" : "begun");
      if (auto saved = store_.set_order_state(order.run, "expired"); !saved) return saved;
      AuditSubject subject;
      subject.host = order.host;
      subject.run = order.run;
      subject.order = order.id;
      subject.rollout = run->rollout;
      std::string why = "the host did not begin the order by " + to_rfc3339(order.expires);
      if (auto noted = note("control-plane", "order.expired", subject, why, now); !noted) return noted;
      // The run ends with its order, or it would count as in progress on this host and hold up the next one. Should the host have
      // begun it after all, its own outcome, which is still missing here, is what counts.
      run->state = RunState::kRefused;
      run->ended = now;
      run->progress.reset();
      if (auto saved = store_.save_run(*run); !saved) return saved;
      changed("run", order.run.text());
      if (!run->rollout) return {};
      RolloutInput input;
      input.kind = RolloutInputKind::kOutcome;
      input.host = order.host;
      input.run = order.run;
      input.outcome = RolloutHostState::kRefused;
      input.refusal = Refusal::kExpired;
      input.text = why;
      return carry(*run->rollout, {input}, now);
    });
    if (!expired_order) return expired_order;
  }
  auto unfinished = store_.unfinished_rollouts();
  if (!unfinished) return std::move(unfinished).error();
  for (const RolloutId& id : *unfinished) {
    auto stepped = in_transaction([&]() -> Status {
      auto view = store_.rollout(id);
      if (!view) return std::move(view).error();
      std::vector<RolloutInput> inputs;
      for (const RolloutHost& host : view->rollout.hosts) {
        if (host.state != RolloutHostState::kVerified) continue;
        auto heard = last_seen_.find(host.host);
        // Not heard since our own start isn't silence yet: give it the same time as everyone.
        if (heard == last_seen_.end() || !is_silent(heard->second, now)) continue;
        RolloutInput input;
        input.kind = RolloutInputKind::kStale;
        input.host = host.host;
        input.text = "silent since " + to_rfc3339(heard->second);
        inputs.push_back(std::move(input));
      }
      inputs.push_back({});
      return carry(id, inputs, now);
    });
    if (!stepped) return stepped;
  }
  if (auto saved = save_last_seen(now); !saved) return saved;
  return sign_log(now);
}

}  // namespace prunella
