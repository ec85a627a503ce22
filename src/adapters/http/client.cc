#include "adapters/http/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "adapters/http/problem.h"
#include "adapters/http/tls.h"
#include "adapters/http/wire.h"
#include "base/text.h"

namespace prunella {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Deadline = SteadyClock::time_point;

constexpr std::size_t kReadBytes = 16 * 1024;   // one TLS record
constexpr int kInterimAnswersMax = 8;           // 1xx before the real one
constexpr int kAddressesMax = 16;               // of one host name

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

bool is_repeatable(std::string_view method) {
  constexpr std::string_view kIdempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
  return std::find(std::begin(kIdempotent), std::end(kIdempotent), method) != std::end(kIdempotent);
}

Error cancelled() { return unavailable("cancelled"); }

/// A failure that tells whether the server may have seen the request.
struct Attempt {
  std::optional<Error> error;
  bool connection_was_old = false;
  bool was_sent = false;      ///< at least one byte of the request
  bool answer_began = false;
};

}  // namespace

struct HttpClient::Impl {
  HttpClientOptions options;
  std::shared_ptr<const tls::Context> context;
  Descriptor cancel_event;
  std::atomic<bool> is_cancelled{false};
  Descriptor socket;
  std::unique_ptr<tls::Session> session;
  std::string input;
  bool was_used = false;

  std::string peer_text() const { return options.host + " port " + std::to_string(options.port); }
  const std::string& certificate_name() const { return options.name.empty() ? options.host : options.name; }

  void disconnect() {
    if (session) session->say_goodbye();
    session.reset();
    socket = Descriptor();
    input.clear();
    input.shrink_to_fit();
    was_used = false;
  }

  void drain_cancel_event() const {
    std::uint64_t count = 0;
    (void)!::read(cancel_event.get(), &count, sizeof count);
  }
  Error tls_error() const;
  Status wait(short events, Deadline deadline, std::string_view doing) const;
  Status connect();
  Status connect_tcp(Deadline deadline);
  Status try_address(const addrinfo& address, Deadline deadline);
  Status handshake(Deadline deadline);
  bool is_still_open();
  Status write_all(std::string_view bytes, Deadline deadline, Attempt& attempt);
  Status read_some(Deadline deadline, bool& is_end, std::string_view doing);
  Attempt exchange(const HttpRequest& request, std::string_view wire_bytes, const std::function<Status(const HttpResponse&)>& on_head,
                   const std::function<Result<bool>(std::string)>& on_body, std::optional<Duration> idle_timeout);
  Status run(const HttpRequest& request, const std::function<Status(const HttpResponse&)>& on_head,
             const std::function<Result<bool>(std::string)>& on_body, std::optional<Duration> idle_timeout);
};

Error HttpClient::Impl::tls_error() const {
  const tls::Failure& failure = session->failure();
  std::string text = peer_text() + ": " + failure.reason;
  switch (failure.kind) {
    case TlsFailureKind::kClosed:
    case TlsFailureKind::kTimeout: return unavailable(std::move(text));
    case TlsFailureKind::kPeerRefused:
      // A server that is full or going down says "internal error"; that's for later, not a no.
      return failure.reason.find("internal error") != std::string::npos ? unavailable(std::move(text)) : denied(std::move(text));
    case TlsFailureKind::kExpired:
    case TlsFailureKind::kNotYetValid:
    case TlsFailureKind::kUnknownCa:
    case TlsFailureKind::kWrongPurpose:
    case TlsFailureKind::kWrongName:
    case TlsFailureKind::kWrongPin:
    case TlsFailureKind::kBadCertificate:
    case TlsFailureKind::kProtocol:
    case TlsFailureKind::kOther: return denied(std::move(text));
  }
  return denied(std::move(text));
}

Status HttpClient::Impl::wait(short events, Deadline deadline, std::string_view doing) const {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
    if (left <= 0) return unavailable(std::string(doing) + " " + peer_text() + " took too long");
    pollfd waited[2] = {{socket.get(), events, 0}, {cancel_event.get(), POLLIN, 0}};
    int count = ::poll(waited, 2, static_cast<int>(std::min<long long>(left, 60'000)));
    if (count < 0 && errno != EINTR) return unavailable(std::string("poll: ") + std::strerror(errno));
    if (is_cancelled) return cancelled();
    if (count > 0 && waited[1].revents != 0) drain_cancel_event();  // left over from a cancel() that resume() overtook
    if (count > 0 && waited[0].revents != 0) return {};
  }
}

Status HttpClient::Impl::try_address(const addrinfo& address, Deadline deadline) {
  socket = Descriptor(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return unavailable(std::string("making a socket: ") + std::strerror(errno));
  int yes = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);  // finds a dead NAT entry under a long poll
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return {};
  if (errno != EINPROGRESS) return unavailable("connecting to " + peer_text() + ": " + std::strerror(errno));
  if (auto ready = wait(POLLOUT, deadline, "connecting to"); !ready) return ready;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return unavailable("connecting to " + peer_text() + ": " + std::strerror(error));
  return {};
}

Status HttpClient::Impl::connect_tcp(Deadline deadline) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  std::string port = std::to_string(options.port);
  addrinfo* found = nullptr;
  int error = ::getaddrinfo(options.host.c_str(), port.c_str(), &hints, &found);
  if (error == EAI_NONAME) {
    // Not an address. The resolver has time-outs of its own (resolv.conf) and can't be cancelled.
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
    error = ::getaddrinfo(options.host.c_str(), port.c_str(), &hints, &found);
  }
  if (error != 0) return unavailable("resolving " + quoted(options.host) + ": " + ::gai_strerror(error));
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  Status last = unavailable("resolving " + quoted(options.host) + " gave no address");
  int tried = 0;
  for (const addrinfo* address = found; address && tried < kAddressesMax; address = address->ai_next, ++tried) {
    last = try_address(*address, deadline);
    if (last || is_cancelled) return last;
  }
  return last;
}

Status HttpClient::Impl::handshake(Deadline deadline) {
  session = std::make_unique<tls::Session>(context, socket.get(), certificate_name());
  for (;;) {
    tls::Step step = session->handshake();
    if (step == tls::Step::kDone) return {};
    if (step == tls::Step::kClosed || step == tls::Step::kFailed) return tls_error();
    short events = step == tls::Step::kWantWrite ? POLLOUT : POLLIN;
    if (auto ready = wait(events, deadline, "TLS with"); !ready) return ready;
  }
}

Status HttpClient::Impl::connect() {
  Deadline deadline = SteadyClock::now() + options.connect_timeout;
  if (is_cancelled) return cancelled();
  Status connected = connect_tcp(deadline);
  if (connected) connected = handshake(deadline);
  if (!connected) disconnect();
  return connected;
}

/// A kept connection that the server closed is readable: it has an end or a goodbye. Anything else there is unasked for.
bool HttpClient::Impl::is_still_open() {
  if (!session) return false;
  std::array<char, 1> byte;
  std::size_t count = 0;
  return input.empty() && session->read(byte, count) == tls::Step::kWantRead;
}

Status HttpClient::Impl::write_all(std::string_view bytes, Deadline deadline, Attempt& attempt) {
  while (!bytes.empty()) {
    std::size_t count = 0;
    tls::Step step = session->write(bytes, count);
    if (step == tls::Step::kDone) {
      attempt.was_sent = true;
      bytes.remove_prefix(count);
      continue;
    }
    if (step == tls::Step::kClosed || step == tls::Step::kFailed) return tls_error();
    short events = step == tls::Step::kWantWrite ? POLLOUT : POLLIN;
    if (auto ready = wait(events, deadline, "sending to"); !ready) return ready;
  }
  return {};
}

Status HttpClient::Impl::read_some(Deadline deadline, bool& is_end, std::string_view doing) {
  std::array<char, kReadBytes> bytes;
  for (;;) {
    std::size_t count = 0;
    tls::Step step = session->read(bytes, count);
    if (step == tls::Step::kDone) {
      input.append(bytes.data(), count);
      return {};
    }
    if (step == tls::Step::kFailed) return tls_error();
    if (step == tls::Step::kClosed) {
      is_end = true;
      return {};
    }
    short events = step == tls::Step::kWantWrite ? POLLOUT : POLLIN;
    if (auto ready = wait(events, deadline, doing); !ready) return ready;
  }
}

/// One try on one connection. Whatever goes wrong, the connection is closed.
Attempt HttpClient::Impl::exchange(const HttpRequest& request, std::string_view wire_bytes,
                                   const std::function<Status(const HttpResponse&)>& on_head,
                                   const std::function<Result<bool>(std::string)>& on_body,
                                   std::optional<Duration> idle_timeout) {
  using State = wire::ResponseParser::State;
  Attempt attempt;
  auto fail = [&](Error error) {
    attempt.error = std::move(error);
    disconnect();
    return attempt;
  };
  if (session && !is_still_open()) disconnect();
  if (!session) {
    if (auto connected = connect(); !connected) return fail(std::move(connected).error());
  }
  attempt.connection_was_old = was_used;
  was_used = true;
  Deadline deadline = SteadyClock::now() + options.request_timeout;
  if (auto written = write_all(wire_bytes, deadline, attempt); !written) {
    if (written.error().kind() != ErrorKind::kUnavailable || is_cancelled) return fail(std::move(written).error());
    // The server may have answered before it closed (413, or an alert about our certificate): read what it said.
  }
  auto body = request.method == "HEAD" ? wire::ResponseParser::Body::kNone : wire::ResponseParser::Body::kAsStated;
  std::optional<wire::ResponseParser> parser(std::in_place, body, options.header_bytes_max);
  int interim_answers = 0;
  bool is_end = false;
  bool has_head = false;
  for (;;) {
    auto state = parser->put(input);
    if (!state) return fail(std::move(state).error().during(peer_text()));
    attempt.answer_began = attempt.answer_began || parser->has_started();
    if (*state == State::kHeaderDone) {
      if (parser->response().status / 100 == 1) {
        if (++interim_answers > kInterimAnswersMax) return fail(invalid_input(peer_text() + ": too many interim answers"));
        parser.emplace(body, options.header_bytes_max);
        continue;
      }
      has_head = true;
      if (idle_timeout) deadline = SteadyClock::now() + *idle_timeout;
      if (auto good = on_head(parser->response()); !good) return fail(std::move(good).error());
      state = parser->put(input);
      if (!state) return fail(std::move(state).error().during(peer_text()));
    }
    if (is_end && *state != State::kDone) {
      if (!attempt.answer_began) return fail(tls_error());
      if (auto ended = parser->put_end(); !ended) return fail(std::move(ended).error().during(peer_text()));
      state = State::kDone;
    }
    if (has_head) {
      std::string piece = parser->take_body();
      if (!piece.empty()) {
        if (idle_timeout) deadline = SteadyClock::now() + *idle_timeout;
        auto go_on = on_body(std::move(piece));
        if (!go_on) return fail(std::move(go_on).error());
        if (!*go_on) {
          disconnect();
          return attempt;
        }
      }
    }
    if (*state == State::kDone) break;
    if (auto read = read_some(deadline, is_end, "waiting for an answer of"); !read) return fail(std::move(read).error());
  }
  if (!parser->keep_alive() || is_end || !input.empty()) disconnect();
  return attempt;
}

Status HttpClient::Impl::run(const HttpRequest& request, const std::function<Status(const HttpResponse&)>& on_head,
                             const std::function<Result<bool>(std::string)>& on_body, std::optional<Duration> idle_timeout) {
  std::string host = certificate_name().find(':') == std::string::npos ? certificate_name() : "[" + certificate_name() + "]";
  auto bytes = wire::to_wire(request, host + ":" + std::to_string(options.port));
  if (!bytes) return std::move(bytes).error();
  if (is_cancelled) return cancelled();
  Attempt attempt = exchange(request, *bytes, on_head, on_body, idle_timeout);
  bool may_repeat = attempt.error && attempt.error->kind() == ErrorKind::kUnavailable && attempt.connection_was_old &&
                    !attempt.answer_began && !is_cancelled && (is_repeatable(request.method) || !attempt.was_sent);
  if (may_repeat) attempt = exchange(request, *bytes, on_head, on_body, idle_timeout);
  if (attempt.error) return *std::move(attempt.error);
  return {};
}

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() { impl_->disconnect(); }

Result<std::unique_ptr<HttpClient>> HttpClient::make(HttpClientOptions options) {
  if (options.host.empty() || options.port == 0) return invalid_input("a client needs a host and a port from 1 to 65535");
  auto context =
      tls::Context::make_client({options.ca_pem, options.pinned_sha256, options.certificate_pem, options.key_pem});
  if (!context) return std::move(context).error();
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->context = *std::move(context);
  impl->cancel_event = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!impl->cancel_event.is_open()) return unavailable(std::string("making an eventfd: ") + std::strerror(errno));
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(impl)));
}

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
  HttpResponse response;
  auto on_head = [&](const HttpResponse& head) -> Status {
    response = head;
    response.body.clear();
    return {};
  };
  auto on_body = [&](std::string piece) -> Result<bool> {
    if (response.body.size() + piece.size() > impl_->options.body_bytes_max)
      return exhausted("the answer of " + impl_->peer_text() + " is longer than " + std::to_string(impl_->options.body_bytes_max) +
                       " bytes");
    response.body += piece;
    return true;
  };
  if (auto done = impl_->run(request, on_head, on_body, std::nullopt); !done) return std::move(done).error();
  return response;
}

Status HttpClient::stream(const HttpRequest& request, const std::function<bool(std::string_view)>& on_bytes) {
  constexpr std::size_t kProblemBytesMax = 64 * 1024;
  HttpResponse refusal;
  bool is_refusal = false;
  auto on_head = [&](const HttpResponse& head) -> Status {
    is_refusal = head.status >= 300;
    refusal = head;
    return {};
  };
  auto on_body = [&](std::string piece) -> Result<bool> {
    if (!is_refusal) return on_bytes(piece);
    refusal.body += piece;
    return refusal.body.size() <= kProblemBytesMax;
  };
  if (auto done = impl_->run(request, on_head, on_body, impl_->options.stream_idle_timeout); !done) return done;
  if (is_refusal) return to_error(refusal);
  return {};
}

void HttpClient::cancel() {
  impl_->is_cancelled = true;
  std::uint64_t one = 1;
  (void)!::write(impl_->cancel_event.get(), &one, sizeof one);
}

void HttpClient::resume() {
  impl_->is_cancelled = false;
  impl_->drain_cancel_event();
}

bool HttpClient::is_cancelled() const { return impl_->is_cancelled; }

void HttpClient::disconnect() { impl_->disconnect(); }

Status HttpClient::use_certificate(std::string certificate_pem, std::string key_pem) {
  auto context =
      tls::Context::make_client({impl_->options.ca_pem, impl_->options.pinned_sha256, certificate_pem, key_pem});
  if (!context) return std::move(context).error();
  impl_->context = *std::move(context);
  impl_->options.certificate_pem = std::move(certificate_pem);
  impl_->options.key_pem = std::move(key_pem);
  impl_->disconnect();
  return {};
}

}  // namespace prunella
