#include "apps/agent/link.h"

#include <unistd.h>

#include <cstdio>

#include "adapters/http/problem.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/log.h"
#include "loop/agent_core.h"

namespace prunella::agent {

namespace {

/// What a refused report means to the core: only content that stays wrong is kInvalidInput.
Error report_error(const HttpResponse& response) {
  Error error = to_error(response);
  if (response.status == 413 || response.status == 422) return invalid_input(error.text());
  if (response.status == 400) return error;
  if (error.kind() == ErrorKind::kInvalidInput) return unavailable(error.text());  // another 4xx: of the connection, not of the events
  return error;
}

HttpRequest post(std::string target, std::string body) {
  HttpRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers = {{"Content-Type", "application/json"}};
  request.body = std::move(body);
  return request;
}

template <class T>
Result<T> read_answer(const Result<HttpResponse>& response, std::size_t bytes_max) {
  if (!response) return response.error();
  if (response->status != 200) return to_error(*response);
  auto value = from_json_text<T>(response->body, {.bytes_max = bytes_max}, UnknownKeys::kIgnore);
  // An answer that can't be read is the control plane's fault; the same question may go well later.
  if (!value) return unavailable("the control plane's answer can't be read: " + value.error().text());
  return value;
}

}  // namespace

Result<std::unique_ptr<Link>> Link::open(const AgentConfig& config, const Places& places, Inbox& inbox) {
  std::unique_ptr<Link> link(new Link(places, inbox));
  auto current = read_identity(places.identity());
  auto fresh = read_identity(places.identity_new());
  if (!current && !fresh) return std::move(current).error();
  if (fresh) {
    // A renewal that was not yet seen to work when the agent ended.
    link->identity_ = *std::move(fresh);
    if (current) link->before_ = *std::move(current);
    link->new_identity_works_ = false;
  } else {
    link->identity_ = *std::move(current);
  }
  auto info = parse_certificate(link->identity_.certificate_pem);
  if (!info) return std::move(info).error().during(places.identity());
  link->certificate_ = *std::move(info);
  auto address = parse_server(config.server);
  if (!address) return std::move(address).error();
  HttpClientOptions options;
  options.host = address->host;
  options.port = address->port;
  options.ca_pem = config.ca_pem;
  options.certificate_pem = link->identity_.certificate_pem;
  options.key_pem = link->identity_.key_pem;
  options.request_timeout = kReportTimeout;
  options.body_bytes_max = 1 << 20;
  auto reports = HttpClient::make(options);
  if (!reports) return std::move(reports).error();
  options.request_timeout = kDirectionsWait + kPollMargin;
  options.body_bytes_max = kDirectionsBytesMax;
  auto directions = HttpClient::make(options);
  if (!directions) return std::move(directions).error();
  link->report_client_ = *std::move(reports);
  link->directions_client_ = *std::move(directions);
  link->report_thread_ = std::thread([raw = link.get()] { raw->report_loop(); });
  link->directions_thread_ = std::thread([raw = link.get()] { raw->directions_loop(); });
  return link;
}

Link::~Link() {
  reports_.close();
  fetches_.close();
  report_client_->cancel();
  directions_client_->cancel();
  report_thread_.join();
  directions_thread_.join();
}

void Link::carry_out(SendReport effect) { check(reports_.try_push(std::move(effect)), "one report at a time"); }
void Link::carry_out(FetchDirections effect) { check(fetches_.try_push(effect), "one fetch at a time"); }

CertificateInfo Link::certificate() const {
  std::lock_guard lock(mutex_);
  return certificate_;
}

Status Link::use(HttpClient& client, std::uint64_t& seen) {
  Identity identity;
  {
    std::lock_guard lock(mutex_);
    if (certificate_.not_after <= SystemClock().now())
      return expired("this host's certificate expired at " + to_rfc3339(certificate_.not_after) + ": run `prunella-agent enroll` with a new token");
    if (seen == identity_number_) return {};
    identity = identity_;
    seen = identity_number_;
  }
  return client.use_certificate(identity.certificate_pem, identity.key_pem);
}

void Link::report_loop() {
  while (auto effect = reports_.pop()) {
    Status ready = use(*report_client_, report_identity_);
    if (!ready) {
      inbox_.put(ReportFailed{ready.error()});
      continue;
    }
    auto response = report_client_->send(post("/agent/v1/report", std::move(effect->body)));
    settle(response ? Status() : Status(response.error()));
    if (response && response->status != 200) {
      inbox_.put(ReportFailed{report_error(*response)});
      continue;
    }
    auto answer = read_answer<ReportAnswer>(response, 1 << 20);
    if (!answer) {
      inbox_.put(ReportFailed{answer.error()});
      continue;
    }
    inbox_.put(ReportAnswered{*std::move(answer)});
    renew_if_due();
  }
}

void Link::directions_loop() {
  while (auto effect = fetches_.pop()) {
    Status ready = use(*directions_client_, directions_identity_);
    if (!ready) {
      inbox_.put(DirectionsFailed{ready.error()});
      continue;
    }
    HttpRequest request;
    request.target = "/agent/v1/orders?after=" + std::to_string(effect->after) + "&policy=" + std::to_string(effect->policy) +
                     "&wait_ms=" + std::to_string(effect->wait.count());
    auto answer = read_answer<Directions>(directions_client_->send(request), kDirectionsBytesMax);
    if (answer)
      inbox_.put(DirectionsReceived{*std::move(answer)});
    else
      inbox_.put(DirectionsFailed{answer.error()});
  }
}

void Link::settle(const Status& sent) {
  if (new_identity_works_) return;
  std::lock_guard lock(mutex_);
  if (sent) {
    new_identity_works_ = true;
    before_.reset();
    if (::rename(places_.identity_new().c_str(), places_.identity().c_str()) != 0) log(LogLevel::kWarning, "the renewed certificate could not be put in place; it is tried again at the next start");
    return;
  }
  if (sent.error().kind() != ErrorKind::kDenied || !before_) return;
  auto info = parse_certificate(before_->certificate_pem);
  if (!info || info->not_after <= SystemClock().now()) return;
  // TLS refused the new one: back to the one that worked. The next renewal makes another.
  log(LogLevel::kWarning, "the renewed certificate is refused (" + sent.error().text() + "): using the one before");
  identity_ = *std::move(before_);
  before_.reset();
  certificate_ = *std::move(info);
  ++identity_number_;
  new_identity_works_ = true;
  ::unlink(places_.identity_new().c_str());
}

void Link::renew_if_due() {
  SystemClock clock;
  {
    std::lock_guard lock(mutex_);
    if (!new_identity_works_ || clock.now() < half_life(certificate_) || clock.steady() < renew_not_before_) return;
  }
  // A quarter of jitter, so that hosts enrolled together don't renew together for ever.
  renew_not_before_ = clock.steady() + kRenewRetry + Duration(SystemRandom().below(static_cast<std::uint64_t>(kRenewRetry.count() / 4)));
  Status renewed = renew();
  log(renewed ? LogLevel::kInfo : LogLevel::kWarning,
      renewed ? "certificate renewed, valid until " + to_rfc3339(certificate().not_after) : "the certificate could not be renewed: " + renewed.error().text());
}

Status Link::renew() {
  auto made = make_host_key();
  if (!made) return std::move(made).error();
  auto answer = read_answer<RenewAnswer>(report_client_->send(post("/agent/v1/renew", to_canonical_text(RenewRequest{made->request_pem}))), 64 * 1024);
  if (!answer) return std::move(answer).error();
  Identity fresh{made->key_pem, answer->certificate_pem};
  auto info = parse_certificate(fresh.certificate_pem);
  if (!info) return std::move(info).error();
  // Checks that key and certificate belong together, before anything is written.
  if (auto used = report_client_->use_certificate(fresh.certificate_pem, fresh.key_pem); !used) {
    std::lock_guard lock(mutex_);
    (void)report_client_->use_certificate(identity_.certificate_pem, identity_.key_pem);
    return used;
  }
  if (auto written = write_identity(places_.identity_new(), fresh); !written) {
    std::lock_guard lock(mutex_);
    (void)report_client_->use_certificate(identity_.certificate_pem, identity_.key_pem);
    return written;
  }
  std::lock_guard lock(mutex_);
  before_ = std::move(identity_);
  identity_ = std::move(fresh);
  certificate_ = *std::move(info);
  report_identity_ = ++identity_number_;
  new_identity_works_ = false;
  return {};
}

}  // namespace prunella::agent
