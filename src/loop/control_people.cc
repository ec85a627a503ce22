// What people ask the control plane, and what they tell it.
#include <algorithm>

#include "decide/permit.h"
#include "loop/control_plane.h"
#include "model/merkle.h"
#include "plan/planner.h"

namespace prunella {

namespace {

constexpr std::size_t kRecentMax = 10;       // lines of "what was done" in the status
constexpr std::size_t kWaitingMax = 50;      // lines of "what waits for you"
constexpr std::size_t kWhyRunsMax = 20;

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

/// "; web-1: reason; web-2: reason; and 3 more"
std::string list_of(const std::vector<SkippedHost>& hosts) {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < hosts.size() && i < kShown; ++i) text += "; " + hosts[i].host.text() + ": " + hosts[i].reason;
  if (hosts.size() > kShown) text += "; and " + std::to_string(hosts.size() - kShown) + " more";
  return text;
}

}  // namespace

Result<std::vector<ControlPlane::Selected>> ControlPlane::selected(const Selector& selector, Instant now) {
  std::vector<Selected> out;
  PageRequest page{"", kPageMax};
  for (;;) {
    auto rows = store_.hosts(page);
    if (!rows) return std::move(rows).error();
    for (HostRow& row : *rows) {
      if (row.state != HostState::kActive) continue;
      Selected one;
      one.view = view_of(row, now);
      auto facts = store_.facts(row.id);
      if (!facts) return std::move(facts).error();
      one.facts = *std::move(facts);
      std::optional<SystemFacts> system;
      if (one.facts.system) system = one.facts.system->value;
      if (!selects(selector, one.view, system)) continue;
      page.after = row.id.text();
      one.row = row;
      out.push_back(std::move(one));
    }
    if (rows->size() < kPageMax) return out;
    page.after = rows->back().id.text();
  }
}

Result<StatusView> ControlPlane::status(const Caller& caller, Instant now) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  StatusView view;
  view.now = now;
  view.version = options_.version;
  view.organisation = options_.organisation;
  for (const auto& [posture, word] : enum_words(PostureState{})) view.tiles.push_back({posture, 0});
  std::set<std::string> cves;
  PageRequest page{"", kPageMax};
  for (;;) {
    auto rows = store_.hosts(page);
    if (!rows) return std::move(rows).error();
    for (const HostRow& row : *rows) {
      if (row.state != HostState::kActive) continue;
      ++view.hosts;
      HostView host = view_of(row, now);
      for (Tile& tile : view.tiles)
        if (tile.posture == host.posture) ++tile.hosts;
      view.findings_open += row.notes.findings_open;
      cves.insert(row.notes.cves_open.begin(), row.notes.cves_open.end());
    }
    if (rows->size() < kPageMax) break;
    page.after = rows->back().id.text();
  }
  view.cves_open = cves.size();
  auto current = policy();
  if (!current) return std::move(current).error();
  if (*current) view.policy_serial = (*current)->serial;

  auto unfinished = store_.unfinished_rollouts();
  if (!unfinished) return std::move(unfinished).error();
  for (const RolloutId& id : *unfinished) {
    if (view.waiting.size() == kWaitingMax) break;
    auto rollout = store_.rollout(id);
    if (!rollout) return std::move(rollout).error();
    if (rollout->rollout.state == RolloutState::kWaitingForApproval)
      view.waiting.push_back("rollout " + id.text() + " waits for approval of " + rollout->rollout.plan.id.text() + ": prunella approve " + rollout->rollout.plan.id.text());
    if (rollout->rollout.state == RolloutState::kPaused)
      view.waiting.push_back("rollout " + id.text() + " is paused: prunella rollout resume " + id.text());
  }
  if (!*current) view.waiting.push_back("no executor policy is installed, so nothing may act: prunella operator init");

  // The log is short to read backwards: from the end, in pages, only what was done.
  auto last = store_.last_done(kRecentMax);
  if (!last) return std::move(last).error();
  view.recent = *std::move(last);

  auto count = [&](PostureState posture) {
    for (const Tile& tile : view.tiles)
      if (tile.posture == posture) return tile.hosts;
    return std::uint64_t{0};
  };
  if (view.hosts == 0) {
    view.sentence = "no host is enrolled";
    view.next = *current ? "prunella enroll --print" : "prunella operator init";
  } else {
    std::vector<std::string> parts;
    auto add = [&](PostureState posture, std::string_view one, std::string_view many) {
      if (auto n = count(posture)) parts.push_back(std::to_string(n) + " " + std::string(n == 1 ? one : many));
    };
    add(PostureState::kBroken, "is broken", "are broken");
    add(PostureState::kNeedsUpdate, "needs security updates", "need security updates");
    add(PostureState::kPending, "waits for a restart or reboot", "wait for a restart or reboot");
    add(PostureState::kUnknown, "is not fully known", "are not fully known");
    add(PostureState::kStale, "is silent", "are silent");
    add(PostureState::kHealthy, "is healthy", "are healthy");
    view.sentence = plural(view.hosts, "host: ", "hosts: ") + join(parts, ", ");
    if (!*current) view.next = "prunella operator init";
    else if (count(PostureState::kNeedsUpdate) > 0) view.next = "prunella plan -l all";
    else if (count(PostureState::kPending) > 0) view.next = "prunella plan --purpose restarts -l all";
    else if (count(PostureState::kBroken) + count(PostureState::kUnknown) + count(PostureState::kStale) > 0) view.next = "prunella finding ls";
    else view.next = "prunella host ls";
  }
  return view;
}

Result<Page<HostView>> ControlPlane::hosts(const Caller& caller, std::string_view selector_text, const PageRequest& page, Instant now) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  auto selector = parse_selector(selector_text);
  if (!selector) return std::move(selector).error();
  Page<HostView> out;
  PageRequest scan{page.after, kPageMax};
  for (;;) {
    auto rows = store_.hosts(scan);
    if (!rows) return std::move(rows).error();
    for (const HostRow& row : *rows) {
      HostView view = view_of(row, now);
      if (!selector->all) {
        auto facts = store_.facts(row.id);
        if (!facts) return std::move(facts).error();
        std::optional<SystemFacts> system;
        if (facts->system) system = facts->system->value;
        if (!selects(*selector, view, system)) continue;
      }
      if (out.items.size() == page.limit) {
        out.next = out.items.back().id.text();
        return out;
      }
      auto expiry = store_.certificate_expiry(row.id);
      if (!expiry) return std::move(expiry).error();
      view.certificate_expires = *expiry;
      out.items.push_back(std::move(view));
    }
    if (rows->size() < kPageMax) return out;
    scan.after = rows->back().id.text();
  }
}

Result<HostDetail> ControlPlane::host(const Caller& caller, const HostId& id, Instant now) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  HostDetail detail;
  auto view = view_of(id, now);
  if (!view) return std::move(view).error();
  detail.host = *std::move(view);
  auto facts = store_.facts(id);
  if (!facts) return std::move(facts).error();
  detail.facts = *std::move(facts);
  auto findings = store_.open_findings(id);
  if (!findings) return std::move(findings).error();
  detail.findings = *std::move(findings);
  std::ranges::stable_sort(detail.findings, [](const FindingView& a, const FindingView& b) { return a.finding.severity > b.finding.severity; });
  return detail;
}

Result<Page<FindingView>> ControlPlane::findings(const Caller& caller, const FindingFilter& filter, const PageRequest& page) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  return store_.findings(filter, page);
}

// --- plans --------------------------------------------------------------------------------------------------------------------

Result<PlanView> ControlPlane::make_plan(const Caller& caller, const PlanRequest& request, Instant now) {
  if (auto allowed = require(caller, Scope::kPlan); !allowed) return std::move(allowed).error();
  PlanPurpose purpose = request.purpose.value_or(PlanPurpose::kSecurityUpdates);
  PlannerOptions options;
  if (request.stable_for) options.stable_for = *request.stable_for;
  RolloutOptions rollout_options;
  if (request.waves) {
    auto waves = parse_waves(*request.waves);
    if (!waves) return std::move(waves).error().during("waves");
    rollout_options.waves = *std::move(waves);
  }
  if (request.failures_percent_max) rollout_options.failures_percent_max = *request.failures_percent_max;
  if (request.soak_reports) rollout_options.soak_reports = *request.soak_reports;
  if (request.wave_deadline) rollout_options.wave_deadline = *request.wave_deadline;

  std::optional<Plan> done;
  std::string selector_text = request.selector;
  if ((purpose == PlanPurpose::kUndo) != request.undo.has_value()) return invalid_input("undo names a run if and only if the purpose is undo");
  if (request.undo) {
    auto run = store_.run(*request.undo);
    if (!run) return std::move(run).error();
    if (run->state != RunState::kVerified) return conflict("the run " + run->id.text() + " is " + std::string(to_text(run->state)) + ": only a verified one can be undone");
    if (!run->plan) return conflict("the run " + run->id.text() + " came from a standing rule and changed no package");
    auto plan = store_.host_plan(*run->plan, run->host);
    if (!plan) return std::move(plan).error();
    done = *std::move(plan);
    selector_text = "host:" + run->host.text();
  }
  auto selector = parse_selector(selector_text);
  if (!selector) return std::move(selector).error();
  auto hosts = selected(*selector, now);
  if (!hosts) return std::move(hosts).error();
  if (hosts->empty()) return not_found("no active host matches " + quoted(selector->text)).of_type(kNoHostMatches);

  PlanView view;
  std::vector<RolloutCandidate> candidates;
  std::map<HostId, Plan> plans;
  std::vector<SkippedHost> unplannable;  // of those skipped: all that don't simply need nothing
  for (Selected& host : *hosts) {
    if (host.view.posture == PostureState::kStale || !host.view.last_seen) {
      view.skipped.push_back({host.row.id, "not planned: " + host.view.sentence});
      unplannable.push_back(view.skipped.back());
      continue;
    }
    auto plan = purpose == PlanPurpose::kUndo       ? plan_undo(*done, host.facts, options, now)
                : purpose == PlanPurpose::kRestarts ? plan_restarts(host.row.id, host.facts, options, now)
                                                    : plan_security_updates(host.row.id, host.facts, options, now);
    if (!plan) {
      view.skipped.push_back({host.row.id, plan.error().text()});
      if (plan.error().kind() != ErrorKind::kNotFound) unplannable.push_back(view.skipped.back());
      continue;
    }
    auto ring = host.row.labels.find("ring");
    candidates.push_back({host.row.id, digest_of(*plan), ring != host.row.labels.end() && ring->second == "canary"});
    plans.emplace(host.row.id, *std::move(plan));
  }
  if (candidates.empty()) {
    if (unplannable.empty())
      return conflict("nothing to plan: " + plural(view.skipped.size(), "host needs", "hosts need") + " nothing" + list_of(view.skipped)).of_type(kNothingToPlan);
    // Rule 7: a host that can't be planned is not one that needs nothing.
    std::string rest = unplannable.size() < view.skipped.size() ? ", the others need nothing" : "";
    return conflict("nothing can be planned: " + std::to_string(unplannable.size()) + " of " + plural(view.skipped.size(), "host", "hosts") + " can't be" + rest + list_of(unplannable))
        .of_type(kNothingCanBePlanned);
  }
  RolloutNames names{make_id<PlanId>("PLN", ports_.random), make_id<RolloutId>("ROL", ports_.random), caller.actor, std::string(plans.begin()->second.purpose), selector->text};
  auto made = make_rollout(candidates, rollout_options, names, now);
  if (!made) return std::move(made).error();
  view.id = made->plan.id;
  view.rollout = made->plan;
  view.digest = digest_of(made->plan);
  auto current = policy();
  if (!current) return std::move(current).error();
  for (const RolloutHost& host : made->rollout.hosts) {
    HostPlan one{host.index, host.host, host.plan, plans.at(host.host)};
    if (*current) {
      ApprovalNeed need = approvals_needed(**current, one.plan);
      view.approvals_required = std::max(view.approvals_required, static_cast<std::uint32_t>(need.approvals));
    }
    view.hosts.push_back(std::move(one));
  }
  if (!*current) view.approvals_required = 1;
  PlanId id = view.id;
  auto saved = in_transaction([&]() -> Status {
    if (auto added = store_.add_plan(view, caller.actor); !added) return added;
    AuditSubject subject;
    subject.plan = id;
    changed("plan", id.text());
    return note(caller.actor, "plan.proposed", subject, plural(view.hosts.size(), "host", "hosts") + ", " + plural(view.skipped.size(), "host", "hosts") + " left out: " + view.rollout.purpose, now,
                Json(Json::Object{{"digest", Json(view.digest.hex())}, {"selector", Json(selector->text)}}));
  });
  if (!saved) return std::move(saved).error();
  return finished_plan(id, now);
}

Result<PlanView> ControlPlane::finished_plan(const PlanId& id, Instant now) {
  auto view = store_.plan(id);
  if (!view) return view;
  auto current = policy();
  if (!current) return std::move(current).error();
  if (!*current) {
    view->warnings.push_back("no executor policy is installed: no host would act on this (prunella operator init)");
    return view;
  }
  std::set<std::string> said;
  for (const HostPlan& host : view->hosts) {
    if (auto need = approvals_needed(**current, host.plan); need.denial && said.insert(need.denial->text).second)
      view->warnings.push_back(host.host.text() + ": " + need.denial->text);
    for (const SpaceNeed& space : host.plan.space)
      if (space.needed_bytes > space.free_bytes)
        view->warnings.push_back(host.host.text() + ": " + space.mount + " has " + bytes_text(space.free_bytes) + " free, " + bytes_text(space.needed_bytes) + " are needed");
  }
  if ((*current)->expires <= now) view->warnings.push_back("the executor policy expired at " + to_rfc3339((*current)->expires) + ": no host would act");
  return view;
}

Result<PlanView> ControlPlane::plan(const Caller& caller, const PlanId& id, Instant now) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  return finished_plan(id, now);
}

Result<Page<PlanSummary>> ControlPlane::plans(const Caller& caller, const PageRequest& page) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  auto rows = store_.plans(page);
  if (!rows) return std::move(rows).error();
  Page<PlanSummary> out;
  out.items = *std::move(rows);
  if (out.items.size() == page.limit) out.next = out.items.back().id.text();
  return out;
}

Result<PlanView> ControlPlane::approve(const Caller& caller, const PlanId& id, const Envelope& envelope, Instant now) {
  if (auto allowed = require(caller, Scope::kApprove); !allowed) return std::move(allowed).error();
  auto done = in_transaction([&]() -> Status {
    auto view = store_.plan(id);
    if (!view) return std::move(view).error();
    auto current = policy();
    if (!current) return std::move(current).error();
    if (!*current) return conflict("no executor policy is installed, so nobody is known as an approver");
    const PolicyApprover* signer = nullptr;
    std::string payload;
    for (const PolicyApprover& approver : (*current)->approvers) {
      auto opened = open_envelope(envelope, kApprovalType, {approver.key}, 1);
      if (!opened) {
        if (opened.error().kind() == ErrorKind::kInvalidInput) return std::move(opened).error();
        continue;
      }
      signer = &approver;
      payload = *std::move(opened);
      break;
    }
    if (!signer) return denied("none of the policy's approvers signed this");
    auto approval = from_json_text<Approval>(payload);
    if (!approval) return std::move(approval).error().during("the approval");
    if (approval->version != 1) return invalid_input("an approval of version " + std::to_string(approval->version));
    if (approval->approver != signer->name) return denied("the approval says " + quoted(approval->approver) + " and is signed by the key of " + quoted(signer->name));
    if (approval->plan != id || approval->plan_digest != view->digest) return conflict("the approval is for another plan, or for other bytes of this one");
    if (approval->expires <= now) return expired("the approval expired at " + to_rfc3339(approval->expires));
    if (auto added = store_.add_approval(id, {signer->name, signer->key.key_id(), now, approval->expires}, envelope); !added) {
      if (added.error().kind() == ErrorKind::kConflict) return conflict(quoted(signer->name) + " has approved this plan already");
      return added;
    }
    AuditSubject subject;
    subject.plan = id;
    changed("plan", id.text());
    if (auto noted = note("person:" + signer->name, "plan.approved", subject, "signed the digest " + view->digest.brief() + " with the key " + signer->key.key_id(), now,
                          Json(Json::Object{{"digest", Json(view->digest.hex())}, {"through", Json(caller.actor)}}));
        !noted)
      return noted;
    auto enough = is_approved(*view, now);
    if (!enough) return std::move(enough).error();
    if (!*enough) return {};
    if (auto saved = store_.set_plan_state(id, view->started_as ? "started" : "approved"); !saved) return saved;
    if (!view->started_as) return {};
    RolloutInput input;
    input.kind = RolloutInputKind::kApproved;
    return carry(*view->started_as, {input, {}}, now);
  });
  if (!done) return std::move(done).error();
  return finished_plan(id, now);
}

// --- rollouts -----------------------------------------------------------------------------------------------------------------

Result<RolloutView> ControlPlane::start_rollout(const Caller& caller, const RolloutRequest& request, Instant now) {
  if (auto allowed = require(caller, Scope::kOperate); !allowed) return std::move(allowed).error();
  RolloutId id = make_id<RolloutId>("ROL", ports_.random);
  auto done = in_transaction([&]() -> Status {
    auto view = store_.plan(request.plan);
    if (!view) return std::move(view).error();
    if (view->digest != request.digest)
      return conflict("the plan " + request.plan.text() + " has the digest " + view->digest.brief() + ", not " + request.digest.brief() + ": look at it again");
    if (view->started_as) return conflict("the plan was started as " + view->started_as->text() + " already");
    Rollout rollout;
    rollout.id = id;
    rollout.plan = view->rollout;
    rollout.reason = "waits for " + plural(view->approvals_required, "approval", "approvals");
    for (const HostPlan& host : view->hosts) {
      RolloutHost one;
      one.host = host.host;
      one.index = host.index;
      one.plan = host.digest;
      rollout.hosts.push_back(std::move(one));
    }
    if (auto added = store_.add_rollout(rollout, now); !added) return added;
    if (auto saved = store_.set_plan_state(request.plan, "started"); !saved) return saved;
    AuditSubject subject;
    subject.plan = request.plan;
    subject.rollout = id;
    changed("rollout", id.text());
    changed("plan", request.plan.text());
    if (auto noted = note(caller.actor, "rollout.started", subject, plural(view->hosts.size(), "host", "hosts") + " in " + plural(view->rollout.wave_ends.size(), "wave", "waves"), now); !noted)
      return noted;
    auto enough = is_approved(*view, now);
    if (!enough) return std::move(enough).error();
    if (!*enough) return {};
    RolloutInput input;
    input.kind = RolloutInputKind::kApproved;
    return carry(id, {input, {}}, now);
  });
  if (!done) return std::move(done).error();
  return rollout(caller, id, now);
}

RolloutView ControlPlane::finished_view(RolloutView view) const {
  for (const RolloutHost& host : view.rollout.hosts) {
    if (host.state != RolloutHostState::kOrdered || !host.run) continue;
    auto progress = progress_.find(*host.run);
    if (progress != progress_.end()) view.progress.emplace(host.host.text(), progress->second);
  }
  RolloutCounts counts = count_hosts(view.rollout);
  view.sentence = std::string(to_text(view.rollout.state)) + ": " + std::to_string(counts.verified) + " of " + std::to_string(view.rollout.hosts.size()) + " verified, " +
                  std::to_string(counts.in_flight) + " in flight, " + std::to_string(counts.failed + counts.moved + counts.skipped) + " could not";
  if (!view.rollout.reason.empty()) view.sentence += "; " + view.rollout.reason;
  return view;
}

Result<RolloutView> ControlPlane::rollout(const Caller& caller, const RolloutId& id, Instant) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  auto view = store_.rollout(id);
  if (!view) return view;
  return finished_view(*std::move(view));
}

Result<Page<RolloutView>> ControlPlane::rollouts(const Caller& caller, const PageRequest& page, Instant) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  auto views = store_.rollouts(page);
  if (!views) return std::move(views).error();
  Page<RolloutView> out;
  for (RolloutView& view : *views) out.items.push_back(finished_view(std::move(view)));
  if (out.items.size() == page.limit) out.next = out.items.back().rollout.id.text();
  return out;
}

Result<RolloutView> ControlPlane::steer(const Caller& caller, const RolloutId& id, Steer steer, Instant now) {
  if (auto allowed = require(caller, Scope::kOperate); !allowed) return std::move(allowed).error();
  auto done = in_transaction([&]() -> Status {
    auto view = store_.rollout(id);
    if (!view) return std::move(view).error();
    RolloutState state = view->rollout.state;
    if (is_end(state)) return conflict("the rollout " + id.text() + " has ended: it " + std::string(to_text(state)));
    RolloutInput input;
    input.text = caller.actor;
    std::string verb;
    switch (steer) {
      case Steer::kPause:
        if (state != RolloutState::kRunning) return conflict("the rollout " + id.text() + " is " + std::string(to_text(state)) + ": only a running one can be paused");
        input.kind = RolloutInputKind::kPause, verb = "paused";
        break;
      case Steer::kResume:
        if (state != RolloutState::kPaused) return conflict("the rollout " + id.text() + " is " + std::string(to_text(state)) + ": only a paused one can be resumed");
        input.kind = RolloutInputKind::kResume, verb = "resumed";
        break;
      case Steer::kPromote:
        if (state != RolloutState::kRunning) return conflict("the rollout " + id.text() + " is " + std::string(to_text(state)) + ": only a running one can be promoted");
        input.kind = RolloutInputKind::kPromote, verb = "promoted";
        break;
      case Steer::kAbort: input.kind = RolloutInputKind::kAbort, verb = "aborted"; break;
    }
    AuditSubject subject;
    subject.rollout = id;
    subject.plan = view->rollout.plan.id;
    if (auto noted = note(caller.actor, "rollout." + verb, subject, "a person's word", now); !noted) return noted;
    return carry(id, {input, {}}, now);
  });
  if (!done) return std::move(done).error();
  return rollout(caller, id, now);
}

// --- runs, why, audit ---------------------------------------------------------------------------------------------------------

Result<Page<RunView>> ControlPlane::runs(const Caller& caller, const std::optional<HostId>& host, const std::optional<RolloutId>& rollout, const PageRequest& page) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  auto rows = store_.runs(host, rollout, page);
  if (!rows) return std::move(rows).error();
  Page<RunView> out;
  out.items = *std::move(rows);
  if (out.items.size() == page.limit) out.next = out.items.back().id.text();
  return out;
}

Result<RunView> ControlPlane::run(const Caller& caller, const RunId& id) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  auto view = store_.run(id);
  if (!view) return view;
  if (auto progress = progress_.find(id); progress != progress_.end()) view->progress = progress->second;
  return view;
}

Result<Explanation> ControlPlane::why(const Caller& caller, const HostId& id, const std::optional<std::string>& subject, Instant now) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  WhyInput in;
  auto row = store_.host(id);
  if (!row) return std::move(row).error();
  HostView view = view_of(*row, now);
  in.host = id;
  in.subject = subject;
  auto facts = store_.facts(id);
  if (!facts) return std::move(facts).error();
  in.facts = *std::move(facts);
  auto open = store_.open_findings(id);
  if (!open) return std::move(open).error();
  for (FindingView& finding : *open) in.findings.push_back(std::move(finding.finding));
  in.last_seen = view.last_seen;
  in.posture = {view.posture, view.sentence};
  auto plans = store_.plans_of(id, kWhyRunsMax);
  if (!plans) return std::move(plans).error();
  for (const PlanId& plan_id : *plans) {
    auto plan = store_.plan(plan_id);
    if (!plan) return std::move(plan).error();
    auto mine = std::ranges::find(plan->hosts, id, &HostPlan::host);
    if (mine == plan->hosts.end()) continue;
    WhyPlan one;
    one.id = plan_id;
    one.plan = mine->plan;
    one.approvals_required = plan->approvals_required;
    for (const ApprovalView& approval : plan->approvals) one.approved_by.push_back(approval.approver);
    if (plan->started_as) {
      auto rollout = store_.rollout(*plan->started_as);
      if (!rollout) return std::move(rollout).error();
      one.rollout = std::move(rollout->rollout);
    }
    in.plans.push_back(std::move(one));
  }
  if (auto verdicts = verdicts_.find(id); verdicts != verdicts_.end()) in.verdicts = verdicts->second;
  auto runs = store_.recent_runs(id, kWhyRunsMax);
  if (!runs) return std::move(runs).error();
  for (RunView& run : *runs)
    if (run.outcome) in.runs.push_back(*std::move(run.outcome));
  in.now = now;
  return explain(in);
}

Result<std::vector<AuditEntry>> ControlPlane::audit(const Caller& caller, std::int64_t after, std::int64_t limit) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  return read_audit(ports_.store, after, limit);
}

Result<AuditCheckpoint> ControlPlane::checkpoint(const Caller& caller, Instant now) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  return sign_last_audit_entry(ports_.store, ports_.recorder, now);
}

Result<std::optional<FleetStore::Remembered>> ControlPlane::remembered(const Caller& caller, std::string_view key, const Digest& request) {
  auto found = store_.remembered(caller.token, key);
  if (!found) return found;
  if (*found && (*found)->request != request) return conflict("the Idempotency-Key " + quoted(key) + " was used for another request");
  return found;
}

Status ControlPlane::remember(const Caller& caller, std::string_view key, const Digest& request, int status, std::string_view response, Instant now) {
  return store_.remember(caller.token, key, {request, status, std::string(response)}, now);
}

}  // namespace prunella
