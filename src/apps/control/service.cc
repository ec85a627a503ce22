#include "apps/control/service.h"

#include <algorithm>
#include <filesystem>

#include "adapters/http/problem.h"
#include "adapters/linux/files.h"
#include "apps/control/install_script.h"
#include "base/text.h"
#include "openapi_json.h"

namespace prunella::control {

Service::Service(ControlPlane& plane, Clock& clock, Options options)
    : plane_(plane), clock_(clock), options_(std::move(options)), core_(std::chrono::milliseconds(1000), [this] { tick(); }) {}

Service::~Service() { stop(); }

void Service::stop() { core_.stop(); }

void Service::handle(HttpRequest request, const Peer& peer, Responder responder) {
  bool taken = core_.post([this, request = std::move(request), peer, responder] { serve(request, peer, responder); });
  if (!taken) {
    HttpResponse busy = problem(unavailable("the control plane has " + std::to_string(CoreThread::kQueueMax) + " requests waiting: try again in a few seconds"));
    busy.headers.add("Retry-After", "5");
    responder.answer(std::move(busy));
  }
}

void Service::tls_failed(const TlsFailure& failure) {
  // Only what shows a certificate: port scanners and broken connections are counted by the server, not written down.
  if (failure.sha256.empty() && failure.kind != TlsFailureKind::kUnknownCa && failure.kind != TlsFailureKind::kExpired) return;
  core_.post([this, failure] {
    plane_.refused_connection(failure.address, failure.reason + (failure.subject.empty() ? "" : " (it calls itself " + prunella::quoted(failure.subject) + ")"), clock_.now());
  });
}

void Service::serve(const HttpRequest& request, const Peer& peer, const Responder& responder) {
  if (request.path.starts_with("/agent/v1/")) {
    serve_agent(request, peer, responder);
  } else {
    bool answered = false;
    HttpResponse response = serve_person(request, responder, answered);
    if (!answered) responder.answer(std::move(response));
  }
  // What the call changed may be what a poll waits for.
  if (!woken_.empty() || wake_all_) {
    auto woken = std::exchange(woken_, {});
    bool all = std::exchange(wake_all_, false);
    for (auto poll = polls_.begin(); poll != polls_.end();) {
      bool mine = all || std::ranges::find(woken, poll->host.text()) != woken.end();
      if (mine && answer_poll(*poll, false)) poll = polls_.erase(poll);
      else ++poll;
    }
  }
}

HttpResponse Service::serve_anyone(const HttpRequest& request) {
  if (request.path == "/healthz") return json_response(200, Json(Json::Object{{"status", Json("ok")}}));
  if (request.path == "/readyz") {
    if (!last_store_error_.empty()) return problem(unavailable("the store: " + last_store_error_));
    return json_response(200, Json(Json::Object{{"status", Json("ready")}}));
  }
  if (request.path == "/metrics") return metrics();
  if (request.path == "/install") return installer();
  if (request.path == "/install/prunella-agent.deb") return agent_package();
  HttpResponse response;
  response.headers.add("Content-Type", "application/json");
  response.body = std::string(kOpenapiJson);
  return response;
}

HttpResponse Service::serve_person(const HttpRequest& request, const Responder& responder, bool& answered) {
  Instant now = clock_.now();
  bool is_events = request.path == "/v1/events";
  bool is_open = request.path == "/healthz" || request.path == "/readyz" || request.path == "/metrics" || request.path == "/openapi.json" ||
                 request.path == "/install" || request.path == "/install/prunella-agent.deb";
  if ((is_open || is_events) && request.method != "GET") {
    HttpResponse refusal = problem(405, request.method + " isn't served at " + prunella::quoted(request.path, 200) + ", but GET");
    refusal.headers.add("Allow", "GET");
    return refusal;
  }
  if (is_open) return serve_anyone(request);

  Found found;
  if (!is_events) {
    found = find_route(request);
    if (!found.route) return found.refusal;
  }
  const std::string* authorization = request.headers.find("Authorization");
  auto unauthorized = [](std::string_view why) {
    HttpResponse response = problem(401, why);
    response.headers.add("WWW-Authenticate", "Bearer");
    return response;
  };
  if (!authorization) return unauthorized("this wants a token: Authorization: Bearer prunella_...");
  if (!authorization->starts_with("Bearer ")) return unauthorized("the Authorization header must be: Bearer prunella_...");
  auto caller = plane_.caller_of(trim(std::string_view(*authorization).substr(7)), now);
  if (!caller) return caller.error().kind() == ErrorKind::kDenied ? unauthorized(caller.error().text()) : problem(caller.error());

  if (is_events) {
    if (!caller->may(Scope::kRead)) return problem(denied("this token may not read"));
    std::erase_if(streams_, [](const StreamWriter& stream) { return !stream.is_open(); });
    if (streams_.size() >= kStreamsMax) return problem(exhausted("there are " + std::to_string(kStreamsMax) + " streams of events already"));
    HttpResponse head;
    head.headers.add("Content-Type", "text/event-stream");
    head.headers.add("Cache-Control", "no-store");
    head.body = ": hello\n\n";
    streams_.push_back(responder.start_stream(std::move(head)));
    answered = true;
    return {};
  }

  Call call{plane_, *caller, request, std::move(found.path), now, options_.server};
  const std::string* key = request.method == "POST" && !found.route->secret_answer ? request.headers.find("Idempotency-Key") : nullptr;
  if (!key) return found.route->handle(call);
  if (auto named = check_name("an Idempotency-Key", *key); !named) return problem(named.error());
  Digest digest = sha256(request.method + " " + request.target + "\n" + request.body);
  auto before = plane_.remembered(*caller, *key, digest);
  if (!before) return problem(before.error());
  if (*before) {
    HttpResponse again;
    again.status = (*before)->status;
    again.headers.add("Content-Type", "application/json");
    again.headers.add("Idempotent-Replay", "true");
    again.body = (*before)->response;
    return again;
  }
  HttpResponse response = found.route->handle(call);
  if (response.status < 300)
    if (auto kept = plane_.remember(*caller, *key, digest, response.status, response.body, now); !kept) last_store_error_ = kept.error().text();
  return response;
}

void Service::serve_agent(const HttpRequest& request, const Peer& peer, const Responder& responder) {
  Instant now = clock_.now();
  auto answer = [&]<class T>(const Result<T>& result) { responder.answer(result ? json_response(200, to_json(*result)) : problem(result.error())); };
  auto refuse_method = [&](std::string_view method) {
    if (request.method == method) return false;
    HttpResponse refusal = problem(405, request.method + " isn't served at " + prunella::quoted(request.path, 200) + ", but " + std::string(method));
    refusal.headers.add("Allow", std::string(method));
    responder.answer(std::move(refusal));
    return true;
  };
  if (request.path == "/agent/v1/enroll") {
    if (refuse_method("POST")) return;
    auto body = from_json_text<EnrollRequest>(request.body);
    if (!body) return void(responder.answer(problem(std::move(body).error().during("the request's body"))));
    return answer(plane_.enroll(*body, peer.address, now));
  }
  if (!peer.certificate) return void(responder.answer(problem(401, "this wants a host's certificate: enrol first")));
  auto host = plane_.authenticate(peer.certificate->sha256, peer.certificate->common_name, now);
  if (!host) return void(responder.answer(problem(host.error())));
  if (request.path == "/agent/v1/report") {
    if (refuse_method("POST")) return;
    ++reports_;
    auto body = from_json_text<Report>(request.body, {.bytes_max = kReportBytesMax, .depth_max = 32}, UnknownKeys::kIgnore);
    if (!body) return void(responder.answer(problem(std::move(body).error().during("the report"))));
    return answer(plane_.receive(*host, *body, now));
  }
  if (request.path == "/agent/v1/renew") {
    if (refuse_method("POST")) return;
    auto body = from_json_text<RenewRequest>(request.body);
    if (!body) return void(responder.answer(problem(std::move(body).error().during("the request's body"))));
    return answer(plane_.renew(*host, *body, now));
  }
  if (request.path == "/agent/v1/orders") {
    if (refuse_method("GET")) return;
    return poll_orders(request, *host, responder);
  }
  responder.answer(problem(not_found("nothing is served at " + prunella::quoted(request.path, 200))));
}

void Service::poll_orders(const HttpRequest& request, const HostId& host, const Responder& responder) {
  Poll poll{host, 0, 0, std::chrono::steady_clock::now(), responder};
  auto number = [&](const char* name, std::uint64_t& into) -> Status {
    const std::string* text = request.find_query(name);
    if (!text) return {};
    auto value = parse_uint(*text);
    if (!value) return std::move(value).error().during(std::string("the parameter ") + name);
    into = *value;
    return {};
  };
  std::uint64_t wait_ms = 0;
  for (Status read : {number("after", poll.after), number("policy", poll.policy), number("wait_ms", wait_ms)})
    if (!read) return void(responder.answer(problem(read.error())));
  poll.until += std::min(std::chrono::milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(wait_ms, 86'400'000))), kPollWaitMax);
  // A host has one poll: an older one is a connection that the host gave up.
  for (auto other = polls_.begin(); other != polls_.end(); ++other) {
    if (other->host != host) continue;
    other->responder.answer(json_response(200, to_json(Directions{})));
    polls_.erase(other);
    break;
  }
  if (answer_poll(poll, wait_ms == 0 || polls_.size() >= kPollsMax)) return;
  polls_.push_back(std::move(poll));
}

bool Service::answer_poll(const Poll& poll, bool even_if_empty) {
  if (poll.responder.is_gone()) return true;
  auto directions = plane_.directions(poll.host, poll.after, poll.policy, clock_.now());
  if (!directions) {
    poll.responder.answer(problem(directions.error()));
    return true;
  }
  bool empty = directions->orders.empty() && !directions->policy && directions->refresh.empty();
  if (empty && !even_if_empty) return false;
  poll.responder.answer(json_response(200, to_json(*directions)));
  return true;
}

void Service::on_change(const ChangeNotice& notice) {
  if (notice.kind == "directions") return woken_.push_back(notice.id);
  if (notice.kind == "policy") wake_all_ = true;
  if (streams_.empty()) return;
  std::string event = "event: change\ndata: " + to_canonical_text(notice) + "\n\n";
  std::erase_if(streams_, [&](const StreamWriter& stream) { return !stream.write(event); });
}

void Service::tick() {
  auto ticked = plane_.tick(clock_.now());
  last_store_error_ = ticked ? "" : ticked.error().text();
  auto steady = std::chrono::steady_clock::now();
  for (auto poll = polls_.begin(); poll != polls_.end();) {
    bool woken = wake_all_ || std::ranges::find(woken_, poll->host.text()) != woken_.end();
    if ((woken || poll->until <= steady || poll->responder.is_gone()) && answer_poll(*poll, poll->until <= steady)) poll = polls_.erase(poll);
    else ++poll;
  }
  woken_.clear();
  wake_all_ = false;
  if (steady >= ping_at_) {
    // A comment now and then keeps proxies from closing a silent stream, and shows us which readers are gone.
    std::erase_if(streams_, [](const StreamWriter& stream) { return !stream.write(": ping\n\n"); });
    ping_at_ = steady + std::chrono::seconds(15);
  }
}

HttpResponse Service::metrics() {
  std::string out;
  auto metric = [&out](std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
    out += "# HELP " + std::string(name) + " " + std::string(help) + "\n# TYPE " + std::string(name) + " " + std::string(type) + "\n" + std::string(name) + " " + std::to_string(value) + "\n";
  };
  metric("prunella_reports_total", "counter", "Reports that hosts sent since the start.", reports_);
  metric("prunella_hosts_heard", "gauge", "Hosts heard since the start.", plane_.hosts_heard());
  metric("prunella_polls_waiting", "gauge", "Agents whose long poll is held.", polls_.size());
  metric("prunella_event_streams", "gauge", "Readers of /v1/events.", streams_.size());
  metric("prunella_requests_waiting", "gauge", "Requests in the core's queue.", core_.waiting());
  metric("prunella_requests_shed_total", "counter", "Requests answered 503 since the core's queue was full.", core_.shed());
  if (server_) {
    HttpServerFigures figures = server_->figures();
    metric("prunella_connections", "gauge", "Open connections.", figures.connections_now);
    metric("prunella_connections_accepted_total", "counter", "Connections accepted.", figures.accepted);
    metric("prunella_connections_refused_total", "counter", "Connections refused for the limit.", figures.refused);
    metric("prunella_tls_failures_total", "counter", "Connections that TLS refused.", figures.tls_failures);
    metric("prunella_http_requests_total", "counter", "Requests served.", figures.requests);
    metric("prunella_http_malformed_total", "counter", "Requests that were no HTTP, or too large.", figures.malformed);
  }
  HttpResponse response;
  response.headers.add("Content-Type", "text/plain; version=0.0.4");
  response.body = std::move(out);
  return response;
}

namespace {

// The newest agent package in the folder, by name: versions of one project sort so until 0.10, and the build keeps only one.
std::optional<std::filesystem::path> newest_package(const std::string& folder) {
  std::optional<std::filesystem::path> newest;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with("prunella-agent_") || !name.ends_with(".deb")) continue;
    if (!newest || newest->filename() < entry.path().filename()) newest = entry.path();
  }
  return newest;
}

constexpr std::size_t kPackageBytesMax = 64 << 20;

}  // namespace

HttpResponse Service::agent_package() const {
  auto path = options_.packages.empty() ? std::nullopt : newest_package(options_.packages);
  if (!path) return problem(not_found("this control plane has no agent package: build it with packaging/build and name its folder in prunellad.json (packages)"));
  auto bytes = read_file(path->string(), kPackageBytesMax);
  if (!bytes) return problem(bytes.error());
  HttpResponse response;
  response.headers.add("Content-Type", "application/vnd.debian.binary-package");
  response.body = *std::move(bytes);
  return response;
}

HttpResponse Service::installer() const {
  HttpResponse package = agent_package();
  if (package.status != 200) return package;
  HttpResponse response;
  response.headers.add("Content-Type", "text/x-shellscript");
  response.body = install_script(sha256(package.body));
  return response;
}

}  // namespace prunella::control
