// plan, approve, apply, undo, rollout, run: what changes.
#include <algorithm>

#include "apps/cli/checked_plan.h"
#include "apps/cli/handlers.h"
#include "apps/cli/resolve.h"
#include "apps/cli/table.h"
#include "apps/cli/trust.h"
#include "apps/cli/watch.h"
#include "base/text.h"
#include "plan/rollout.h"

namespace prunella::cli {

namespace {

RenderOptions render_options(const PlanView& view, const std::optional<ExecutorPolicy>& policy) {
  RenderOptions options;
  // What the hosts will count is in the policy that the operators signed; the server's number is only shown when there is one.
  if (policy) {
    options.approvals_needed = view.approvals_required;
    for (const PolicyApprover& approver : policy->approvers) options.approvers.push_back(approver.name);
  }
  for (const ApprovalView& approval : view.approvals) options.approved_by.push_back(approval.approver);
  return options;
}

Result<CheckedPlan> checked(Session& session, const Json& body) {
  auto view = from_json<PlanView>(body, UnknownKeys::kIgnore);
  if (!view) return std::move(view).error().during("reading the plan");
  std::optional<ExecutorPolicy> policy;
  if (auto trust = get_trust(session)) policy = std::move(trust->policy);
  return check_plan_view(body, render_options(*view, policy));
}

Result<CheckedPlan> get_plan(Session& session, const std::string& id) {
  if (auto named = check_name("a plan", id); !named) return std::move(named).error();
  auto body = session.get_json(target_of("/v1/plans/", id));
  if (!body) return std::move(body).error();
  auto plan = checked(session, *body);
  if (plan && plan->view.id.text() != id) return corrupt("asked for the plan " + quoted(id) + ", got " + quoted(plan->view.id.text()));
  return plan;
}

Status check_digest(const CheckedPlan& plan, const Invocation& invocation) {
  auto wanted = invocation.option("digest");
  if (!wanted) return {};
  if (wanted->size() < 12 || !plan.digest.hex().starts_with(*wanted))
    return conflict("the plan has the digest " + plan.digest.hex() + ", not " + quoted(*wanted) + (wanted->size() < 12 ? " (give 12 digits or more)" : ""));
  return {};
}

void show_plan(Session& session, const CheckedPlan& plan) {
  std::string out = plan.text;
  if (!plan.view.skipped.empty()) {
    constexpr std::size_t kShown = 10;
    out += "\nLeft out:\n";
    for (std::size_t i = 0; i < plan.view.skipped.size() && i < kShown; ++i) out += "  " + shown(plan.view.skipped[i].host.text()) + ": " + shown(plan.view.skipped[i].reason) + "\n";
    if (plan.view.skipped.size() > kShown) out += "  and " + std::to_string(plan.view.skipped.size() - kShown) + " more: --json shows all\n";
  }
  if (!plan.view.warnings.empty()) {
    out += "\n" + session.styled("Warnings:", "33") + "\n";
    for (const std::string& warning : plan.view.warnings) out += "  ! " + shown(warning) + "\n";
  }
  session.print(out);
}

/// Shows a plan as the form wants; the JSON is the API's own, after the check.
void present(Session& session, const CheckedPlan& plan, const Json& body) {
  if (session.print_json(body)) return;
  if (session.form() == Form::kNames) session.print(plan.view.id.text() + "\n");
  else show_plan(session, plan);
}

std::string next_for(const CheckedPlan& plan) {
  if (plan.view.started_as) return "prunella rollout watch " + plan.view.started_as->text();
  return "prunella apply " + plan.view.id.text();
}

Result<PlanRequest> plan_request(const Invocation& invocation) {
  PlanRequest request;
  if (auto undo = invocation.option("undo")) {
    if (invocation.has("selector") || invocation.has("purpose") || !invocation.arguments.empty())
      return invalid_input("--undo names the run whose host and changes are meant: no selector and no --purpose");
    request.purpose = PlanPurpose::kUndo;
    request.undo = RunId(*undo);
    request.selector = "all";
  } else {
    auto selector = invocation.option("selector");
    if (selector && !invocation.arguments.empty()) return invalid_input("the hosts are selected by " + quoted(*selector) + " and by " + quoted(join(invocation.arguments, " ")) + ": one of both");
    if (!selector && !invocation.arguments.empty()) selector = join(invocation.arguments, " ");
    if (!selector) return invalid_input("which hosts? -l all, or terms such as -l 'host:web-* ring:canary'");
    request.selector = *selector;
    if (auto purpose = invocation.option("purpose")) {
      auto word = parse_word<PlanPurpose>(*purpose);
      if (!word) return std::move(word).error().during("--purpose");
      request.purpose = *word;
    }
  }
  if (auto waves = invocation.option("waves")) {
    std::vector<std::string> list;
    for (std::string_view wave : split(*waves, ',')) list.emplace_back(trim(wave));
    if (auto parsed = parse_waves(list); !parsed) return std::move(parsed).error().during("--waves");
    request.waves = std::move(list);
  }
  auto number = [&](const char* name, std::uint32_t most, std::optional<std::uint32_t>& into) -> Status {
    auto text = invocation.option(name);
    if (!text) return {};
    auto value = parse_uint(*text);
    if (!value || *value > most) return invalid_input("--" + std::string(name) + " " + quoted(*text) + ": it must be from 0 to " + std::to_string(most));
    into = static_cast<std::uint32_t>(*value);
    return {};
  };
  auto duration = [&](const char* name, std::optional<Duration>& into) -> Status {
    auto text = invocation.option(name);
    if (!text) return {};
    auto value = parse_duration(*text);
    if (!value) return std::move(value).error().during("--" + std::string(name));
    into = *value;
    return {};
  };
  for (Status read : {number("max-failures", 100, request.failures_percent_max), number("soak", 1000, request.soak_reports), duration("wave-deadline", request.wave_deadline),
                      duration("stable-for", request.stable_for)})
    if (!read) return std::move(read).error();
  return request;
}

/// The body of the made plan.
Result<Json> make_plan(Session& session, const PlanRequest& request) { return session.send_json("POST", "/v1/plans", to_json(request)); }

/// Signs the plan's digest with the approver key and hands it in.
/// @error kNotFound there is no approver key; kDenied it is not among the policy's approvers.
Status sign_approval(Session& session, const CheckedPlan& plan) {
  auto key = session.config().key("approver.key");
  if (!key) {
    if (key.error().kind() == ErrorKind::kNotFound) return not_found("you have no approver key: prunella operator init makes one, and an operator adds it to the policy");
    return std::move(key).error();
  }
  auto trust = get_trust(session);
  if (!trust) return std::move(trust).error();
  if (!trust->policy) return conflict("no executor policy is in force, so nobody is an approver: prunella operator init");
  const PolicyApprover* me = nullptr;
  for (const PolicyApprover& approver : trust->policy->approvers)
    if (approver.key == key->public_key()) me = &approver;
  if (!me) return denied("your approver key " + key->public_key().key_id() + " is not among the policy's approvers: an operator adds it with prunella policy sign");
  Approval approval;
  approval.plan = plan.view.id;
  approval.plan_digest = plan.digest;
  approval.approver = me->name;
  approval.at = session.now();
  approval.expires = approval.at + kApprovalLifetime;
  Envelope envelope = sign_envelope(kApprovalType, to_canonical_text(approval), *key);
  auto sent = session.send<PlanView>("POST", target_of("/v1/plans/", plan.view.id.text(), "/approvals"), envelope);
  if (!sent) return std::move(sent).error();
  session.say("approved " + shown(plan.view.id.text()) + " (" + plan.digest.brief() + ") as " + shown(me->name) + ", until " + clock_text(approval.expires) + " UTC; " +
              std::to_string(sent->approvals.size()) + " of " + std::to_string(sent->approvals_required) + " approvals");
  return {};
}

bool approved_by_me(Session& session, const CheckedPlan& plan) {
  auto key = session.config().key("approver.key");
  if (!key) return false;
  std::string id = key->public_key().key_id();
  return std::ranges::any_of(plan.view.approvals, [&](const ApprovalView& approval) { return approval.key_id == id && approval.expires > session.now(); });
}

std::size_t valid_approvals(Session& session, const CheckedPlan& plan) {
  return static_cast<std::size_t>(std::ranges::count_if(plan.view.approvals, [&](const ApprovalView& approval) { return approval.expires > session.now(); }));
}

std::string brief_of(const CheckedPlan& plan) {
  return shown(plan.view.rollout.purpose) + " on " + count_text(plan.view.hosts.size(), "host", "hosts") + " in " + count_text(plan.view.rollout.wave_ends.size(), "wave", "waves");
}

/// Approves where that's needed, starts and watches.
ExitCode carry_out(Session& session, const Invocation& invocation, CheckedPlan plan) {
  if (plan.view.started_as) {
    session.say("the plan was started as " + shown(plan.view.started_as->text()) + " already");
    session.next("prunella rollout watch " + plan.view.started_as->text());
    return ExitCode::kPrecondition;
  }
  bool sign = !approved_by_me(session, plan) && valid_approvals(session, plan) < plan.view.approvals_required;
  auto agreed = session.confirm((sign ? "Approve this plan and start it: " : "Start it: ") + brief_of(plan) + "?");
  if (!agreed) return session.fail(agreed.error());
  if (!*agreed) {
    session.say("nothing was done; the plan stays proposed");
    session.next("prunella plan show " + plan.view.id.text());
    return ExitCode::kPrecondition;
  }
  if (sign)
    if (auto signed_it = sign_approval(session, plan); !signed_it) return session.fail(signed_it.error());
  auto started = session.send<RolloutView>("POST", "/v1/rollouts", RolloutRequest{plan.view.id, plan.digest});
  if (!started) {
    session.fail(started.error());
    if (started.error().kind() == ErrorKind::kConflict) session.next("prunella plan -l '" + plan.view.rollout.selector + "'");
    return exit_code_of(started.error().kind());
  }
  const RolloutId& id = started->rollout.id;
  session.say("started " + shown(id.text()) + ": " + shown(started->sentence));
  if (invocation.has("no-watch")) {
    if (!session.print_json(to_json(*started)) && !session.is_text()) session.print(id.text() + "\n");
    session.next("prunella rollout watch " + id.text());
    return ExitCode::kOk;
  }
  return watch_rollout(session, id);
}

}  // namespace

ExitCode run_plan(Session& session, const Invocation& invocation) {
  auto request = plan_request(invocation);
  if (!request) return session.fail(request.error());
  auto body = make_plan(session, *request);
  if (!body) {
    const Error& error = body.error();
    bool hosts_were_looked_at = error.type() == kNothingToPlan || error.type() == kNothingCanBePlanned;
    if (hosts_were_looked_at) session.print_json(Json(Json::Object{{"hosts", Json(Json::Array{})}}));
    // To take a run back and to find nothing to take back isn't what was asked for; to find every host in order is.
    if (error.type() == kNothingToPlan && !request->undo) {
      session.say(shown(error.text()));
      session.next("prunella status");
      return ExitCode::kOk;
    }
    ExitCode code = session.fail(error);
    if (error.type() == kNoHostMatches) session.next("prunella host ls");
    if (error.type() == kNothingCanBePlanned) session.next("prunella host ls -l '" + request->selector + "', and prunella why HOST");
    return code;
  }
  auto plan = checked(session, *body);
  if (!plan) return session.fail(plan.error());
  present(session, *plan, *body);
  session.next(next_for(*plan));
  return ExitCode::kChanges;
}

ExitCode run_plan_ls(Session& session, const Invocation&) {
  bool more = false;
  auto plans = session.list<PlanSummary>("/v1/plans", {}, &more);
  if (!plans) return session.fail(plans.error());
  Json::Array items;
  for (const PlanSummary& plan : *plans) items.push_back(to_json(plan));
  if (session.print_json(Json(Json::Object{{"items", Json(std::move(items))}}))) return ExitCode::kOk;
  Table table({"PLAN", "STATE", "HOSTS", "MADE", "BY", "PURPOSE", "SELECTOR"});
  for (const PlanSummary& plan : *plans)
    table.add({plan.id.text(), plan.state, std::to_string(plan.hosts), ago(plan.created, session.now()), plan.created_by, plan.purpose, plan.selector});
  if (!plans->empty() || !session.is_text()) session.print(table.text(session));
  if (plans->empty()) session.say("there are no plans");
  session.next(plans->empty() ? "prunella plan -l all" : "prunella plan show " + plans->front().id.text());
  return plans->empty() ? ExitCode::kNothing : ExitCode::kOk;
}

ExitCode run_plan_show(Session& session, const Invocation& invocation) {
  const std::string& id = invocation.arguments[0];
  if (auto named = check_name("a plan", id); !named) return session.fail(named.error());
  auto body = session.get_json(target_of("/v1/plans/", id));
  if (!body) return session.fail(body.error());
  auto plan = checked(session, *body);
  if (!plan) return session.fail(plan.error());
  present(session, *plan, *body);
  session.next(next_for(*plan));
  return ExitCode::kOk;
}

ExitCode run_approve(Session& session, const Invocation& invocation) {
  auto plan = get_plan(session, invocation.arguments[0]);
  if (!plan) return session.fail(plan.error());
  if (auto same = check_digest(*plan, invocation); !same) return session.fail(same.error());
  if (session.is_text()) show_plan(session, *plan);
  if (approved_by_me(session, *plan)) {
    session.say("you have approved it already");
    session.next(next_for(*plan));
    return ExitCode::kOk;
  }
  auto agreed = session.confirm("Sign this: " + brief_of(*plan) + ", digest " + plan->digest.brief() + "?");
  if (!agreed) return session.fail(agreed.error());
  if (!*agreed) {
    session.say("not signed");
    return ExitCode::kPrecondition;
  }
  if (auto signed_it = sign_approval(session, *plan); !signed_it) return session.fail(signed_it.error());
  if (session.form() == Form::kJson || session.form() == Form::kJsonl) {
    auto body = session.get_json(target_of("/v1/plans/", plan->view.id.text()));
    if (!body) return session.fail(body.error());
    session.print_json(*body);
  }
  session.next(next_for(*plan));
  return ExitCode::kOk;
}

ExitCode run_apply(Session& session, const Invocation& invocation) {
  auto plan = get_plan(session, invocation.arguments[0]);
  if (!plan) return session.fail(plan.error());
  if (auto same = check_digest(*plan, invocation); !same) return session.fail(same.error());
  if (session.is_text()) show_plan(session, *plan);
  return carry_out(session, invocation, *std::move(plan));
}

ExitCode run_undo(Session& session, const Invocation& invocation) {
  PlanRequest request;
  request.selector = "all";
  request.purpose = PlanPurpose::kUndo;
  request.undo = RunId(invocation.arguments[0]);
  if (auto named = check_name("a run", invocation.arguments[0]); !named) return session.fail(named.error());
  auto body = make_plan(session, request);
  if (!body) return session.fail(body.error());
  auto plan = checked(session, *body);
  if (!plan) return session.fail(plan.error());
  if (session.is_text()) show_plan(session, *plan);
  return carry_out(session, invocation, *std::move(plan));
}

// --- rollouts -----------------------------------------------------------------------------------------------------------------

namespace {

Result<RolloutView> get_rollout(Session& session, const std::string& id) {
  if (auto named = check_name("a rollout", id); !named) return std::move(named).error();
  return session.get<RolloutView>(target_of("/v1/rollouts/", id));
}

std::string_view colour_of(RolloutHostState state) {
  switch (state) {
    case RolloutHostState::kVerified: return "32";
    case RolloutHostState::kReverted:
    case RolloutHostState::kRefused:
    case RolloutHostState::kSkipped: return "33";
    case RolloutHostState::kEscalated:
    case RolloutHostState::kNoAnswer: return "31";
    case RolloutHostState::kPending:
    case RolloutHostState::kOrdered: return "";
  }
  return "";
}

/// Says what it will do to how many, asks, and does it.
ExitCode steer(Session& session, const Invocation& invocation, std::string_view verb, const std::function<std::string(const RolloutView&, const RolloutCounts&)>& consequence) {
  auto view = get_rollout(session, invocation.arguments[0]);
  if (!view) return session.fail(view.error());
  RolloutCounts counts = count_hosts(view->rollout);
  auto agreed = session.confirm(consequence(*view, counts));
  if (!agreed) return session.fail(agreed.error());
  if (!*agreed) {
    session.say("nothing was done");
    return ExitCode::kPrecondition;
  }
  auto after = session.post<RolloutView>(target_of("/v1/rollouts/", view->rollout.id.text(), "/" + std::string(verb)));
  if (!after) return session.fail(after.error());
  if (session.print_json(to_json(*after))) return ExitCode::kOk;
  session.say(shown(after->sentence));
  bool ended = is_end(after->rollout.state);
  session.next(ended ? "prunella rollout show " + after->rollout.id.text()
                     : after->rollout.state == RolloutState::kPaused ? "prunella rollout resume " + after->rollout.id.text()
                                                                    : "prunella rollout watch " + after->rollout.id.text());
  return ExitCode::kOk;
}

std::string hosts_text(std::uint64_t count) { return count_text(count, "host", "hosts"); }
std::string waiting_text(std::uint64_t count) { return count_text(count, "waiting host gets", "waiting hosts get"); }
std::string at_work_text(std::uint64_t count) { return count_text(count, "host at work finishes", "hosts at work finish"); }

}  // namespace

ExitCode run_rollout_ls(Session& session, const Invocation&) {
  bool more = false;
  auto rollouts = session.list<RolloutView>("/v1/rollouts", {}, &more);
  if (!rollouts) return session.fail(rollouts.error());
  Json::Array items;
  for (const RolloutView& view : *rollouts) items.push_back(to_json(view));
  if (session.print_json(Json(Json::Object{{"items", Json(std::move(items))}}))) return ExitCode::kOk;
  Table table({"ROLLOUT", "STATE", "DONE", "IN FLIGHT", "CANNOT", "HOSTS", "WAVE", "STARTED", "PURPOSE"});
  for (const RolloutView& view : *rollouts) {
    RolloutCounts counts = count_hosts(view.rollout);
    table.add({view.rollout.id.text(), std::string(to_text(view.rollout.state)), std::to_string(counts.verified), std::to_string(counts.in_flight),
               std::to_string(counts.failed + counts.moved + counts.skipped), std::to_string(view.rollout.hosts.size()),
               std::to_string(view.rollout.wave + 1) + "/" + std::to_string(view.rollout.plan.wave_ends.size()), ago(view.created, session.now()), view.rollout.plan.purpose});
  }
  if (!rollouts->empty() || !session.is_text()) session.print(table.text(session));
  if (rollouts->empty()) session.say("there are no rollouts");
  session.next(rollouts->empty() ? "prunella plan -l all" : "prunella rollout show " + rollouts->front().rollout.id.text());
  return rollouts->empty() ? ExitCode::kNothing : ExitCode::kOk;
}

ExitCode run_rollout_show(Session& session, const Invocation& invocation) {
  auto view = get_rollout(session, invocation.arguments[0]);
  if (!view) return session.fail(view.error());
  if (session.print_json(to_json(*view))) return ExitCode::kOk;
  const Rollout& rollout = view->rollout;
  Table table({"HOST", "STATE", "WAVE", "RUN", "WHAT"});
  std::size_t wave = 0;
  for (const RolloutHost& host : rollout.hosts) {
    while (wave < rollout.plan.wave_ends.size() && host.index >= rollout.plan.wave_ends[wave]) ++wave;
    std::string what = host.reason;
    if (auto progress = view->progress.find(host.host.text()); progress != view->progress.end() && host.state == RolloutHostState::kOrdered)
      what = std::string(to_text(progress->second.state)) + (progress->second.percent ? " " + std::to_string(*progress->second.percent) + " %" : "") + ": " + progress->second.detail;
    if (host.state == RolloutHostState::kVerified && rollout.plan.soak_reports)
      what = std::to_string(std::min(host.healthy_reports, rollout.plan.soak_reports)) + " of " + std::to_string(rollout.plan.soak_reports) + " healthy reports" + (what.empty() ? "" : "; " + what);
    table.add({host.host.text(), std::string(to_text(host.state)), wave == 0 ? "canary" : std::to_string(wave + 1), host.run ? host.run->text() : "-", what}, std::string(colour_of(host.state)));
  }
  std::string out;
  if (session.is_text())
    out = session.bold(shown(rollout.id.text()) + "  " + shown(rollout.plan.purpose)) + "\n" + shown(view->sentence) + "\nplan " + shown(rollout.plan.id.text()) + ", started " +
          ago(view->created, session.now()) + ", changed " + ago(view->updated, session.now()) + "\n\n";
  session.print(out + table.text(session));
  auto failed = std::ranges::find_if(rollout.hosts, [](const RolloutHost& host) { return host.run && (host.state == RolloutHostState::kReverted || host.state == RolloutHostState::kEscalated); });
  if (failed != rollout.hosts.end()) session.next("prunella run show " + failed->run->text());
  else session.next(is_end(rollout.state) ? "prunella status" : "prunella rollout watch " + rollout.id.text());
  return ExitCode::kOk;
}

ExitCode run_rollout_watch(Session& session, const Invocation& invocation) {
  if (auto named = check_name("a rollout", invocation.arguments[0]); !named) return session.fail(named.error());
  return watch_rollout(session, RolloutId(invocation.arguments[0]));
}

ExitCode run_rollout_pause(Session& session, const Invocation& invocation) {
  return steer(session, invocation, "pause", [](const RolloutView&, const RolloutCounts& counts) {
    return "Pause: " + waiting_text(counts.pending) + " no order meanwhile; " + at_work_text(counts.in_flight) + ". Go on?";
  });
}

ExitCode run_rollout_resume(Session& session, const Invocation& invocation) {
  return steer(session, invocation, "resume", [](const RolloutView&, const RolloutCounts& counts) {
    return "Resume: " + waiting_text(counts.pending) + " an order, wave by wave. Go on?";
  });
}

ExitCode run_rollout_promote(Session& session, const Invocation& invocation) {
  return steer(session, invocation, "promote", [](const RolloutView& view, const RolloutCounts&) {
    const Rollout& rollout = view.rollout;
    std::uint64_t begin = rollout.wave < rollout.plan.wave_ends.size() ? rollout.plan.wave_ends[rollout.wave] : rollout.plan.host_count;
    std::uint64_t end = rollout.wave + 1 < rollout.plan.wave_ends.size() ? rollout.plan.wave_ends[rollout.wave + 1] : begin;
    return "Promote: the next wave of " + hosts_text(end - begin) + " begins without waiting for more health reports of this one. Go on?";
  });
}

ExitCode run_rollout_abort(Session& session, const Invocation& invocation) {
  return steer(session, invocation, "abort", [](const RolloutView&, const RolloutCounts& counts) {
    return "Abort: " + waiting_text(counts.pending) + " no order any more; " + at_work_text(counts.in_flight) + "; " +
           count_text(counts.verified, "host keeps what it has", "hosts keep what they have") + " (prunella undo takes a run back). Go on?";
  });
}

// --- runs ---------------------------------------------------------------------------------------------------------------------

ExitCode run_run_ls(Session& session, const Invocation& invocation) {
  std::string host;
  if (auto name = invocation.option("host")) {
    auto id = find_host_id(session, *name);
    if (!id) return session.fail(id.error());
    host = id->text();
  }
  bool more = false;
  auto runs = session.list<RunView>("/v1/runs", {{"host", host}, {"rollout", invocation.option("rollout").value_or("")}}, &more);
  if (!runs) return session.fail(runs.error());
  Json::Array items;
  for (const RunView& run : *runs) items.push_back(to_json(run));
  if (session.print_json(Json(Json::Object{{"items", Json(std::move(items))}}))) return ExitCode::kOk;
  Table table({"RUN", "STATE", "HOST", "ROLLOUT", "STARTED", "TOOK", "WHAT"});
  for (const RunView& run : *runs) {
    std::string what = run.outcome ? run.outcome->reason : run.progress ? run.progress->detail : "";
    table.add({run.id.text(), std::string(to_text(run.state)), run.host.text(), run.rollout ? run.rollout->text() : "-", ago(run.started, session.now()),
               run.ended ? rough(*run.ended - run.started) : "-", what},
              std::string(colour_of(run.state)));
  }
  if (!runs->empty() || !session.is_text()) session.print(table.text(session));
  if (runs->empty()) session.say("there are no runs" + std::string(host.empty() ? "" : " of " + host));
  session.next(runs->empty() ? "prunella plan -l all" : "prunella run show " + runs->front().id.text());
  return runs->empty() ? ExitCode::kNothing : ExitCode::kOk;
}

ExitCode run_run_show(Session& session, const Invocation& invocation) {
  const std::string& id = invocation.arguments[0];
  if (auto named = check_name("a run", id); !named) return session.fail(named.error());
  auto run = session.get<RunView>(target_of("/v1/runs/", id));
  if (!run) return session.fail(run.error());
  if (session.print_json(to_json(*run))) return ExitCode::kOk;
  std::string out = session.bold(shown(run->id.text())) + " on " + shown(run->host.text()) + ": " + session.styled(to_text(run->state), colour_of(run->state)) + "\n";
  out += "  started " + to_rfc3339(run->started) + (run->ended ? ", took " + rough(*run->ended - run->started) : ", not ended") + "\n";
  if (run->rollout) out += "  rollout " + shown(run->rollout->text()) + (run->plan ? ", plan " + shown(run->plan->text()) : "") + "\n";
  if (run->progress) out += "  now     " + std::string(to_text(run->progress->state)) + ": " + shown(run->progress->detail) + "\n";
  if (run->outcome) {
    const RunOutcome& outcome = *run->outcome;
    out += "  because " + shown(outcome.reason) + (outcome.refusal ? " (" + std::string(to_text(*outcome.refusal)) + ")" : "") + "\n";
    out += "  cause   " + shown(outcome.cause) + "\n";
    auto list = [&](std::string_view heading, const std::vector<std::string>& lines) {
      if (lines.empty()) return;
      out += "\n" + std::string(heading) + "\n";
      for (const std::string& line : lines) out += "  " + shown(line) + "\n";
    };
    if (!outcome.steps.empty()) {
      out += "\nSteps:\n";
      for (const RunProgress& step : outcome.steps) {
        std::string state(to_text(step.state));
        state.resize(std::max<std::size_t>(state.size(), 11), ' ');
        out += "  " + clock_text(step.at) + "  " + state + shown(step.detail) + "\n";
      }
    }
    if (!outcome.checks.empty()) {
      out += "\nChecks:\n";
      for (const Check& check : outcome.checks) {
        std::string sign = !check.holds ? session.styled("?   ", "33") : *check.holds ? session.styled("ok  ", "32") : session.styled("NOT ", "31");
        out += "  " + sign + shown(check.what) + (check.measured.empty() ? "" : " (" + shown(check.measured) + ")") + "\n";
      }
    }
    list("Restarted:", outcome.restarted);
    list("Files removed that belonged to neither set:", outcome.strays);
    list("NOT RESTORED:", outcome.unrestored);
    list("What apt and dpkg wrote last:", outcome.output);
  }
  session.print(out);
  if (run->state == RunState::kVerified) session.next("prunella why " + run->host.text() + "; to take it back: prunella undo " + run->id.text());
  else session.next(is_end(run->state) ? "prunella why " + run->host.text() : "prunella run show --watch " + run->id.text());
  return ExitCode::kOk;
}

}  // namespace prunella::cli
