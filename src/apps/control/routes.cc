#include "apps/control/routes.h"

#include <algorithm>

#include "adapters/http/problem.h"
#include "base/text.h"

namespace prunella::control {

Result<PageRequest> Call::page() const {
  PageRequest page;
  if (const std::string* cursor = request.find_query("cursor")) {
    if (auto named = check_name("a cursor", *cursor); !named) return std::move(named).error();
    page.after = *cursor;
  }
  if (const std::string* limit = request.find_query("limit")) {
    auto value = parse_uint(*limit);
    if (!value || *value < 1 || *value > kPageMax) return invalid_input("limit=" + prunella::quoted(*limit) + ": it must be from 1 to " + std::to_string(kPageMax));
    page.limit = *value;
  }
  return page;
}

HttpResponse json_response(int status, const Json& body) {
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.headers.add("Cache-Control", "no-store");
  response.body = to_canonical(body);
  return response;
}

namespace {

template <class T>
HttpResponse reply(const Result<T>& result, int status = 200) {
  if (!result) return problem(result.error());
  return json_response(status, to_json(*result));
}
HttpResponse reply(const Status& result, int status) {
  if (!result) return problem(result.error());
  HttpResponse response;
  response.status = status;
  return response;
}

// Calls `then(id)` with the path's part, or answers 400.
template <class IdType, class F>
HttpResponse with_id(const Call& call, std::string_view name, F then) {
  auto id = call.id<IdType>(name);
  if (!id) return problem(id.error());
  return then(*id);
}
template <class F>
HttpResponse with_page(const Call& call, F then) {
  auto page = call.page();
  if (!page) return problem(page.error());
  return then(*page);
}
template <class T, class F>
HttpResponse with_body(const Call& call, F then) {
  auto body = from_json_text<T>(call.request.body);
  if (!body) return problem(std::move(body).error().during("the request's body"));
  return then(*body);
}

// An optional query parameter through `parse`, or answers 400.
template <class T, class Parse>
Result<std::optional<T>> query(const Call& call, std::string_view name, Parse parse) {
  const std::string* text = call.request.find_query(name);
  if (!text) return std::optional<T>();
  Result<T> value = parse(*text);
  if (!value) return std::move(value).error().during("the parameter " + std::string(name));
  return std::optional<T>(*std::move(value));
}
template <class IdType>
Result<std::optional<IdType>> query_id(const Call& call, std::string_view name) {
  return query<IdType>(call, name, [](const std::string& text) -> Result<IdType> {
    if (auto named = check_name("an id", text); !named) return std::move(named).error();
    return IdType(text);
  });
}

HttpResponse get_status(const Call& call) { return reply(call.plane.status(call.caller, call.now)); }

HttpResponse get_hosts(const Call& call) {
  return with_page(call, [&](const PageRequest& page) {
    const std::string* selector = call.request.find_query("selector");
    return reply(call.plane.hosts(call.caller, selector ? *selector : "all", page, call.now));
  });
}
HttpResponse get_host(const Call& call) {
  return with_id<HostId>(call, "host", [&](const HostId& id) { return reply(call.plane.host(call.caller, id, call.now)); });
}
HttpResponse refresh_host(const Call& call) {
  return with_id<HostId>(call, "host", [&](const HostId& id) { return reply(call.plane.refresh(call.caller, id, call.now), 202); });
}
HttpResponse revoke_host(const Call& call) {
  return with_id<HostId>(call, "host", [&](const HostId& id) { return reply(call.plane.revoke(call.caller, id, call.now)); });
}
HttpResponse label_host(const Call& call) {
  return with_id<HostId>(call, "host", [&](const HostId& id) {
    return with_body<std::map<std::string, std::string>>(call, [&](const auto& labels) { return reply(call.plane.label(call.caller, id, labels, call.now)); });
  });
}

HttpResponse get_findings(const Call& call) {
  return with_page(call, [&](const PageRequest& page) -> HttpResponse {
    FindingFilter filter;
    auto host = query_id<HostId>(call, "host");
    if (!host) return problem(host.error());
    filter.host = *host;
    auto kind = query<FindingKind>(call, "kind", [](const std::string& text) { return parse_word<FindingKind>(text); });
    if (!kind) return problem(kind.error());
    filter.kind = *kind;
    auto cve = query<std::string>(call, "cve", [](const std::string& text) -> Result<std::string> {
      bool good = text.starts_with("CVE-") && text.size() <= 32 && std::ranges::all_of(text.substr(4), [](char c) { return c == '-' || (c >= '0' && c <= '9'); });
      if (!good) return invalid_input(prunella::quoted(text) + " is not a CVE such as CVE-2024-6387");
      return text;
    });
    if (!cve) return problem(cve.error());
    filter.cve = *cve;
    const std::string* state = call.request.find_query("state");
    if (!state || *state == "open") filter.state = "open";
    else if (*state == "cleared") filter.state = "cleared";
    else if (*state != "all") return problem(invalid_input("state=" + prunella::quoted(*state) + ": it must be open, cleared or all"));
    return reply(call.plane.findings(call.caller, filter, page));
  });
}

HttpResponse post_plan(const Call& call) {
  return with_body<PlanRequest>(call, [&](const PlanRequest& request) { return reply(call.plane.make_plan(call.caller, request, call.now), 201); });
}
HttpResponse get_plans(const Call& call) {
  return with_page(call, [&](const PageRequest& page) { return reply(call.plane.plans(call.caller, page)); });
}
HttpResponse get_plan(const Call& call) {
  return with_id<PlanId>(call, "plan", [&](const PlanId& id) { return reply(call.plane.plan(call.caller, id, call.now)); });
}
HttpResponse post_approval(const Call& call) {
  return with_id<PlanId>(call, "plan", [&](const PlanId& id) {
    return with_body<Envelope>(call, [&](const Envelope& envelope) { return reply(call.plane.approve(call.caller, id, envelope, call.now), 201); });
  });
}

HttpResponse post_rollout(const Call& call) {
  return with_body<RolloutRequest>(call, [&](const RolloutRequest& request) { return reply(call.plane.start_rollout(call.caller, request, call.now), 201); });
}
HttpResponse get_rollouts(const Call& call) {
  return with_page(call, [&](const PageRequest& page) { return reply(call.plane.rollouts(call.caller, page, call.now)); });
}
HttpResponse get_rollout(const Call& call) {
  return with_id<RolloutId>(call, "rollout", [&](const RolloutId& id) { return reply(call.plane.rollout(call.caller, id, call.now)); });
}
template <ControlPlane::Steer steer>
HttpResponse steer_rollout(const Call& call) {
  return with_id<RolloutId>(call, "rollout", [&](const RolloutId& id) { return reply(call.plane.steer(call.caller, id, steer, call.now)); });
}

HttpResponse get_runs(const Call& call) {
  return with_page(call, [&](const PageRequest& page) -> HttpResponse {
    auto host = query_id<HostId>(call, "host");
    if (!host) return problem(host.error());
    auto rollout = query_id<RolloutId>(call, "rollout");
    if (!rollout) return problem(rollout.error());
    return reply(call.plane.runs(call.caller, *host, *rollout, page));
  });
}
HttpResponse get_run(const Call& call) {
  return with_id<RunId>(call, "run", [&](const RunId& id) { return reply(call.plane.run(call.caller, id)); });
}

HttpResponse get_why(const Call& call) {
  return with_id<HostId>(call, "host", [&](const HostId& id) {
    const std::string* subject = call.request.find_query("subject");
    return reply(call.plane.why(call.caller, id, subject ? std::optional(*subject) : std::nullopt, call.now));
  });
}

HttpResponse get_audit(const Call& call) {
  std::int64_t after = 0, limit = 100;
  if (const std::string* text = call.request.find_query("after")) {
    auto value = parse_int(*text);
    if (!value || *value < 0) return problem(invalid_input("after=" + prunella::quoted(*text) + ": it must be a sequence, 0 or more"));
    after = *value;
  }
  if (const std::string* text = call.request.find_query("limit")) {
    auto value = parse_int(*text);
    if (!value || *value < 1 || *value > kAuditPageMax) return problem(invalid_input("limit=" + prunella::quoted(*text) + ": it must be from 1 to " + std::to_string(kAuditPageMax)));
    limit = *value;
  }
  auto entries = call.plane.audit(call.caller, after, limit);
  if (!entries) return problem(entries.error());
  HttpResponse response;
  response.headers.add("Content-Type", "application/x-ndjson");
  for (const AuditEntry& entry : *entries) response.body += audit_line(entry) + "\n";
  return response;
}
HttpResponse get_checkpoint(const Call& call) {
  auto checkpoint = call.plane.checkpoint(call.caller, call.now);
  if (!checkpoint) return problem(checkpoint.error());
  return json_response(200, Json(Json::Object{{"checkpoint", to_json(*checkpoint)}, {"key", to_json(call.plane.recorder_key())}}));
}

HttpResponse get_tokens(const Call& call) {
  return with_page(call, [&](const PageRequest& page) { return reply(call.plane.tokens(call.caller, page)); });
}
HttpResponse post_token(const Call& call) {
  return with_body<TokenRequest>(call, [&](const TokenRequest& request) { return reply(call.plane.add_token(call.caller, request, call.now), 201); });
}
HttpResponse delete_token(const Call& call) {
  return reply(call.plane.revoke_token(call.caller, call.path.find("token")->second, call.now), 204);
}

HttpResponse post_enrolment_token(const Call& call) {
  return with_body<EnrolmentTokenRequest>(call, [&](const EnrolmentTokenRequest& request) -> HttpResponse {
    auto token = call.plane.add_enrolment_token(call.caller, request, call.now);
    if (!token) return problem(token.error());
    auto trust = call.plane.trust(call.caller);
    if (!trust) return problem(trust.error());
    EnrolmentTokenView view;
    view.token = *std::move(token);
    view.ca_sha256 = trust->ca_sha256;
    view.operators_sha256 = digest_of(*trust->trust).hex();
    view.server = call.server.url;
    view.server_key_pin = call.server.key_pin;
    return json_response(201, to_json(view));
  });
}

HttpResponse get_trust(const Call& call) { return reply(call.plane.trust(call.caller)); }
HttpResponse put_trust(const Call& call) {
  return with_body<OperatorTrust>(call, [&](const OperatorTrust& trust) { return reply(call.plane.set_trust(call.caller, trust, call.now)); });
}
HttpResponse put_policy(const Call& call) {
  return with_body<Envelope>(call, [&](const Envelope& envelope) { return reply(call.plane.set_policy(call.caller, envelope, call.now)); });
}

// Pieces between slashes; the patterns and the decoded path have no empty ones but the first.
std::vector<std::string_view> pieces(std::string_view path) { return split(path, '/'); }

}  // namespace

const std::vector<Route>& routes() {
  using enum ControlPlane::Steer;
  static const std::vector<Route> table = {
      {"GET", "/v1/status", get_status},
      {"GET", "/v1/hosts", get_hosts},
      {"GET", "/v1/hosts/{host}", get_host},
      {"POST", "/v1/hosts/{host}/refresh", refresh_host},
      {"POST", "/v1/hosts/{host}/revoke", revoke_host},
      {"PUT", "/v1/hosts/{host}/labels", label_host},
      {"GET", "/v1/findings", get_findings},
      {"POST", "/v1/plans", post_plan},
      {"GET", "/v1/plans", get_plans},
      {"GET", "/v1/plans/{plan}", get_plan},
      {"POST", "/v1/plans/{plan}/approvals", post_approval},
      {"POST", "/v1/rollouts", post_rollout},
      {"GET", "/v1/rollouts", get_rollouts},
      {"GET", "/v1/rollouts/{rollout}", get_rollout},
      {"POST", "/v1/rollouts/{rollout}/pause", steer_rollout<kPause>},
      {"POST", "/v1/rollouts/{rollout}/resume", steer_rollout<kResume>},
      {"POST", "/v1/rollouts/{rollout}/promote", steer_rollout<kPromote>},
      {"POST", "/v1/rollouts/{rollout}/abort", steer_rollout<kAbort>},
      {"GET", "/v1/runs", get_runs},
      {"GET", "/v1/runs/{run}", get_run},
      {"GET", "/v1/why/{host}", get_why},
      {"GET", "/v1/audit", get_audit},
      {"GET", "/v1/audit/checkpoint", get_checkpoint},
      {"GET", "/v1/tokens", get_tokens},
      {"POST", "/v1/tokens", post_token, true},
      {"DELETE", "/v1/tokens/{token}", delete_token},
      {"POST", "/v1/enrolment-tokens", post_enrolment_token, true},
      {"GET", "/v1/trust", get_trust},
      {"PUT", "/v1/trust", put_trust},
      {"PUT", "/v1/policy", put_policy},
  };
  return table;
}

Found find_route(const HttpRequest& request) {
  Found found;
  auto path = pieces(request.path);
  std::string allowed;
  for (const Route& route : routes()) {
    auto pattern = pieces(route.pattern);
    if (pattern.size() != path.size()) continue;
    std::map<std::string, std::string, std::less<>> parts;
    bool same = true;
    for (std::size_t i = 0; i < path.size() && same; ++i) {
      if (pattern[i].starts_with('{')) {
        same = !path[i].empty();
        parts.emplace(pattern[i].substr(1, pattern[i].size() - 2), path[i]);
      } else {
        same = pattern[i] == path[i];
      }
    }
    if (!same) continue;
    if (request.method == route.method) {
      found.route = &route;
      found.path = std::move(parts);
      return found;
    }
    if (!allowed.empty()) allowed += ", ";
    allowed += route.method;
  }
  if (allowed.empty()) {
    found.refusal = problem(not_found("nothing is served at " + prunella::quoted(request.path, 200)));
  } else {
    found.refusal = problem(405, request.method + " isn't served at " + prunella::quoted(request.path, 200) + ", but " + allowed);
    found.refusal.headers.add("Allow", allowed);
  }
  return found;
}

}  // namespace prunella::control
