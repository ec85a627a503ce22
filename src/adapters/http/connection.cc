#include "adapters/http/connection.h"

#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "adapters/http/problem.h"
#include "adapters/http/wire.h"
#include "base/text.h"

// How it works. Each thread runs one Loop (an io_context), and a connection lives on one Loop from its accept to its end, so that
// nothing of a connection needs a lock. A connection is one coroutine, serve(), which calls the steps below in turn. It sleeps in
// one place only, ready(): until the socket is readable or writable, or until somebody wakes it by cancelling that wait after
// setting a flag (the deadline passed, an answer came, the server stops). So every step asks the flags again after ready().
//
// Coroutines are named functions that take values: GCC 12 miscompiles capturing lambdas as coroutines.

namespace prunella {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kRefusalsMax = 64;             // connections above the limit that still get a polite 503
constexpr std::size_t kPipelinedBytesMax = 64 * 1024;  // read ahead while a request waits for its answer; then TCP holds the rest
constexpr std::size_t kRateMin = 16 * 1024;          // bytes a second below which a transfer is too slow
constexpr std::size_t kLingerBytesMax = 256 * 1024;  // thrown away after a refusal so that the client can read it
constexpr Duration kLinger = std::chrono::seconds(1);

Duration time_for(std::size_t bytes, Duration base) { return base + std::chrono::milliseconds(bytes * 1000 / kRateMin); }

}  // namespace

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(CorePtr core_in, std::shared_ptr<Loop> loop_in, tcp::socket socket_in, std::shared_ptr<const tls::Context> context,
             std::uint64_t id_in)
      : core(std::move(core_in)),
        loop(std::move(loop_in)),
        socket(std::move(socket_in)),
        timer(loop->context),
        session(std::move(context), socket.native_handle()),
        id(id_in) {}
  ~Connection() {
    loop->connections.erase(id);
    std::lock_guard lock(core->mutex);
    --core->active;
    core->changed.notify_all();
  }

  /// From now on ready() fails when `after` has passed.
  void set_deadline(Duration after) {
    is_late = false;
    deadline = SteadyClock::now() + after;
    if (!is_armed || *deadline < armed_for) arm(*deadline);
  }
  void clear_deadline() {
    is_late = false;
    deadline.reset();
  }
  /// Ends a pending ready(); its caller looks at the flags again.
  void wake() {
    error_code ignored;
    socket.cancel(ignored);
  }
  void abort() {
    is_aborted = true;
    wake();
  }
  void drain() {
    is_draining = true;
    wake();
  }
  bool must_end() const { return is_late || is_aborted; }

  const CorePtr core;
  const std::shared_ptr<Loop> loop;
  tcp::socket socket;
  asio::steady_timer timer;
  tls::Session session;
  const std::uint64_t id;
  Peer peer;
  std::string input;  // read and not used yet
  std::uint64_t requests = 0;
  bool is_over_limit = false;
  bool is_late = false;
  bool is_aborted = false;
  bool is_draining = false;
  bool is_idle = false;
  bool needs_linger = false;

 private:
  // Most deadlines are moved before they pass, so the timer isn't touched for a later one: when it fires early it's set again.
  void arm(SteadyClock::time_point at) {
    is_armed = true;
    armed_for = at;
    timer.expires_at(at);
    timer.async_wait([weak = weak_from_this()](error_code error) {
      if (error) return;
      if (auto self = weak.lock()) self->on_timer();
    });
  }
  void on_timer() {
    is_armed = false;
    if (!deadline) return;
    if (SteadyClock::now() < *deadline) return arm(*deadline);
    is_late = true;
    deadline.reset();
    wake();
  }

  std::optional<SteadyClock::time_point> deadline;
  SteadyClock::time_point armed_for;
  bool is_armed = false;
};

using ConnectionPtr = std::shared_ptr<Connection>;

// The lambdas hold the loop by address: the queue is the loop's own, and an owner in it would keep the loop alive for ever.

void Loop::wake(std::uint64_t id) {
  asio::dispatch(context, [this, id] {
    auto found = connections.find(id);
    if (found != connections.end()) found->second->wake();
  });
}

void Loop::abort(std::uint64_t id) {
  asio::dispatch(context, [this, id] {
    auto found = connections.find(id);
    if (found != connections.end()) found->second->abort();
  });
}

void Loop::drain_all() {
  asio::post(context, [this] {
    for (auto& [id, connection] : connections) connection->drain();
  });
}

void Loop::abort_all() {
  asio::post(context, [this] {
    for (auto& [id, connection] : connections) connection->abort();
  });
}

void Core::report(const TlsFailure& failure) {
  ++counters->tls_failures;
  if (options.on_tls_failure) options.on_tls_failure(failure);
}

std::size_t Core::body_bytes_max(std::string_view path) const {
  const HttpServerOptions::PathLimit* best = nullptr;
  for (const auto& limit : options.path_limits)
    if (path.starts_with(limit.prefix) && (!best || best->prefix.size() < limit.prefix.size())) best = &limit;
  return best ? best->body_bytes_max : options.body_bytes_max;
}

namespace {

std::string_view http_date(Loop& loop) {
  long long now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  if (now != loop.date_second) {
    loop.date_second = now;
    loop.date = wire::to_http_date(now);
  }
  return loop.date;
}

/// Waits for the socket. False when the connection must end: its deadline passed, or the server ends it.
asio::awaitable<bool> ready(ConnectionPtr c, tcp::socket::wait_type direction) {
  if (c->must_end()) co_return false;
  error_code ignored;
  co_await c->socket.async_wait(direction, asio::redirect_error(asio::use_awaitable, ignored));
  co_return !c->must_end();
}

tcp::socket::wait_type direction_of(tls::Step step) {
  return step == tls::Step::kWantWrite ? tcp::socket::wait_write : tcp::socket::wait_read;
}

asio::awaitable<bool> handshake(ConnectionPtr c) {
  c->set_deadline(c->core->options.handshake_timeout);
  tls::Failure failure;
  for (;;) {
    tls::Step step = c->session.handshake();
    if (step == tls::Step::kDone) {
      c->peer.certificate = c->session.peer();
      co_return true;
    }
    if (step == tls::Step::kClosed || step == tls::Step::kFailed) {
      failure = c->session.failure();
      break;
    }
    bool go_on = co_await ready(c, direction_of(step));
    if (!go_on) {
      failure.kind = c->is_late ? TlsFailureKind::kTimeout : TlsFailureKind::kClosed;
      failure.reason = c->is_late ? "the handshake took longer than " + to_text(c->core->options.handshake_timeout)
                                  : "the server is stopping";
      break;
    }
  }
  // The alert is on its way, but the client may have sent its request already: closing now would reset the connection, and the
  // reset can overtake the alert.
  c->needs_linger = failure.kind != TlsFailureKind::kClosed && failure.kind != TlsFailureKind::kTimeout;
  c->core->report({failure.kind, failure.reason, c->peer.address, failure.subject, failure.sha256});
  co_return false;
}

enum class Pumped { kBytes, kNothing, kClosed };

/// Reads what is there into the connection's input, without waiting. `want` is what to wait for after kNothing.
Pumped pump(Connection& c, tcp::socket::wait_type& want) {
  std::size_t count = 0;
  tls::Step step = c.session.read(c.loop->scratch, count);
  switch (step) {
    case tls::Step::kDone: c.input.append(c.loop->scratch.data(), count); return Pumped::kBytes;
    case tls::Step::kWantRead:
    case tls::Step::kWantWrite: want = direction_of(step); return Pumped::kNothing;
    case tls::Step::kClosed:
    case tls::Step::kFailed: return Pumped::kClosed;
  }
  return Pumped::kClosed;
}

/// Writes all of `bytes`. False when the client is gone or too slow.
asio::awaitable<bool> send(ConnectionPtr c, std::string bytes) {
  c->set_deadline(time_for(bytes.size(), c->core->options.request_timeout));
  std::string_view rest = bytes;
  while (!rest.empty()) {
    std::size_t count = 0;
    tls::Step step = c->session.write(rest, count);
    if (step == tls::Step::kDone) {
      rest.remove_prefix(count);
      continue;
    }
    if (step == tls::Step::kClosed || step == tls::Step::kFailed) co_return false;
    bool go_on = co_await ready(c, direction_of(step));
    if (!go_on) co_return false;
  }
  c->clear_deadline();
  co_return true;
}

struct Manner {
  bool is_head = false;
  bool is_http_1_0 = false;
  bool keep_alive = true;
};

/// Sends a whole answer. False when the connection must end, which `manner` may also say.
asio::awaitable<bool> send_response(ConnectionPtr c, HttpResponse response, Manner manner) {
  auto keep = manner.keep_alive ? wire::KeepAlive::kYes : wire::KeepAlive::kNo;
  auto framing = manner.is_head ? wire::Framing::kHeadOnly : wire::Framing::kLength;
  auto bytes = wire::to_wire(response, framing, keep, http_date(*c->loop));
  if (!bytes) {
    HttpResponse broken = problem(500, "the server made an answer that can't be sent: " + bytes.error().text());
    bytes = wire::to_wire(broken, framing, keep, http_date(*c->loop));
  }
  std::string out = std::move(bytes).value();
  bool sent = co_await send(c, std::move(out));
  co_return sent && manner.keep_alive;
}

/// Sends a refusal after which the connection ends, since the rest of the input can't be trusted or isn't wanted.
asio::awaitable<void> refuse(ConnectionPtr c, HttpResponse response, bool is_head) {
  c->needs_linger = true;
  Manner manner;
  manner.is_head = is_head;
  manner.keep_alive = false;
  (void)co_await send_response(c, std::move(response), manner);
}

/// Reads a request and has sent the refusal itself when there's none to serve. Nullopt ends the connection.
asio::awaitable<std::optional<wire::RequestParser>> read_request(ConnectionPtr c) {
  using State = wire::RequestParser::State;
  const HttpServerOptions& options = c->core->options;
  std::optional<wire::RequestParser> parser;
  parser.emplace(wire::RequestLimits{options.header_bytes_max, options.header_fields_max});
  bool has_started = false;
  tcp::socket::wait_type want = tcp::socket::wait_read;
  c->is_idle = true;
  c->set_deadline(c->requests == 0 ? options.request_timeout : options.idle_timeout);
  for (;;) {
    State state = c->input.empty() ? State::kNeedsMore : parser->put(c->input);
    if (!has_started && parser->has_started()) {
      has_started = true;
      c->is_idle = false;
      c->set_deadline(options.request_timeout);
    }
    if (state == State::kHeaderDone) {
      if (c->is_over_limit) {
        ++c->core->counters->refused;
        HttpResponse response =
            busy("all " + std::to_string(options.connections_max) + " connections of this server are in use: try again");
        co_await refuse(c, std::move(response), parser->request().method == "HEAD");
        co_return std::nullopt;
      }
      std::size_t body_bytes_max = c->core->body_bytes_max(parser->request().path);
      state = parser->set_body_bytes_max(body_bytes_max);
      if (state != State::kRefused) c->set_deadline(time_for(parser->body_bytes().value_or(body_bytes_max), options.request_timeout));
      if (state == State::kNeedsMore && parser->wants_continue() && c->input.empty()) {
        std::string go_on("HTTP/1.1 100 Continue\r\n\r\n");
        bool sent = co_await send(c, std::move(go_on));
        if (!sent) co_return std::nullopt;
        c->set_deadline(time_for(parser->body_bytes().value_or(body_bytes_max), options.request_timeout));
      }
      if (state == State::kNeedsMore && !c->input.empty()) continue;
    }
    if (state == State::kDone) {
      c->clear_deadline();
      co_return std::move(parser);
    }
    if (state == State::kRefused) {
      ++c->core->counters->malformed;
      HttpResponse response = problem(parser->refusal().status, parser->refusal().detail);
      co_await refuse(c, std::move(response), parser->request().method == "HEAD");
      co_return std::nullopt;
    }
    Pumped pumped = pump(*c, want);
    if (pumped == Pumped::kClosed) co_return std::nullopt;
    if (pumped == Pumped::kBytes) continue;
    if (c->is_idle && c->is_draining) co_return std::nullopt;
    if (c->input.empty()) c->input.shrink_to_fit();
    bool go_on = co_await ready(c, want);
    if (!go_on) {
      bool was_late = c->is_late && has_started;
      if (!was_late) co_return std::nullopt;
      ++c->core->counters->timed_out;
      HttpResponse response = problem(408, "the request was not complete in time");
      co_await refuse(c, std::move(response), parser->request().method == "HEAD");
      co_return std::nullopt;
    }
  }
}

/// Watches the client while somebody else works for it. False when it's gone or the connection must end.
asio::awaitable<bool> watch(ConnectionPtr c) {
  tcp::socket::wait_type want = tcp::socket::wait_read;
  while (c->input.size() < kPipelinedBytesMax) {
    Pumped pumped = pump(*c, want);
    if (pumped == Pumped::kClosed) co_return false;
    if (pumped == Pumped::kNothing) break;
  }
  if (c->input.size() >= kPipelinedBytesMax) want = tcp::socket::wait_error;
  bool go_on = co_await ready(c, want);
  co_return go_on;
}

/// Sends a stream's pieces as they come, until its writer closes it. False ends the connection.
asio::awaitable<bool> send_stream(ConnectionPtr c, ExchangePtr exchange, HttpResponse head, Manner manner) {
  bool is_chunked = !manner.is_http_1_0;
  if (manner.is_http_1_0) manner.keep_alive = false;
  auto bytes = wire::to_wire(head, is_chunked ? wire::Framing::kChunked : wire::Framing::kUntilClose,
                             manner.keep_alive ? wire::KeepAlive::kYes : wire::KeepAlive::kNo, http_date(*c->loop));
  if (!bytes) {
    HttpResponse broken = problem(500, "the server made an answer that can't be sent: " + bytes.error().text());
    bool go_on = co_await send_response(c, std::move(broken), manner);
    co_return go_on;
  }
  std::string out = std::move(bytes).value();
  bool sent = co_await send(c, std::move(out));
  while (sent && !manner.is_head) {
    std::string piece;
    StreamState state = take_pending(*exchange, piece);
    if (state == StreamState::kCutOff) co_return false;
    if (!piece.empty()) {
      std::string framed = is_chunked ? wire::to_chunk(piece) : std::move(piece);
      sent = co_await send(c, std::move(framed));
      continue;
    }
    if (state == StreamState::kClosed || c->is_draining) break;
    sent = co_await watch(c);
  }
  if (!sent) co_return false;
  if (is_chunked && !manner.is_head) {
    std::string last(wire::kLastChunk);
    sent = co_await send(c, std::move(last));
  }
  co_return sent && manner.keep_alive;
}

/// A certificate that was good in the handshake can end while the connection lives.
bool certificate_has_ended(const Peer& peer) {
  if (!peer.certificate) return false;
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) > peer.certificate->not_after;
}

void call_handler(Connection& c, HttpRequest request, const ExchangePtr& exchange) {
  Responder responder = ServerParts::make_responder(exchange);
  try {
    c.core->handler(std::move(request), c.peer, responder);
  } catch (const std::exception& thrown) {
    responder.answer(problem(500, std::string("the handler failed: ") + thrown.what()));
  }
}

/// Waits for the handler's answer and sends it. False ends the connection.
asio::awaitable<bool> answer(ConnectionPtr c, ExchangePtr exchange, Manner manner) {
  c->set_deadline(c->core->options.answer_timeout);
  while (!has_answer(*exchange)) {
    bool go_on = co_await watch(c);
    if (go_on) continue;
    bool was_late = c->is_late;
    mark_gone(*exchange);
    if (!was_late) co_return false;
    ++c->core->counters->unanswered;
    HttpResponse response = busy("the server did not find an answer in time: try again");
    co_await refuse(c, std::move(response), manner.is_head);
    co_return false;
  }
  c->clear_deadline();
  std::optional<HttpResponse> response;
  bool is_stream = false;
  {
    std::lock_guard lock(exchange->mutex);
    response = std::exchange(exchange->response, std::nullopt);
    is_stream = exchange->is_stream;
  }
  if (c->is_draining) manner.keep_alive = false;
  HttpResponse taken = std::move(response).value();
  bool go_on = false;
  if (is_stream) {
    ++c->core->counters->streams_now;
    go_on = co_await send_stream(c, exchange, std::move(taken), manner);
    --c->core->counters->streams_now;
  } else {
    go_on = co_await send_response(c, std::move(taken), manner);
  }
  mark_gone(*exchange);
  co_return go_on;
}

/// One request and its answer. False ends the connection.
asio::awaitable<bool> serve_one(ConnectionPtr c) {
  std::optional<wire::RequestParser> parser = co_await read_request(c);
  if (!parser) co_return false;
  ++c->core->counters->requests;
  ++c->requests;
  Manner manner;
  manner.is_head = parser->request().method == "HEAD";
  manner.is_http_1_0 = parser->is_http_1_0();
  manner.keep_alive = parser->keep_alive() && !manner.is_http_1_0;
  if (certificate_has_ended(c->peer)) {
    std::string text = "the client certificate of " + quoted(c->peer.certificate->common_name) + " expired at " +
                       to_rfc3339(c->peer.certificate->not_after) + " while the connection was open";
    c->core->report({TlsFailureKind::kExpired, text, c->peer.address, c->peer.certificate->common_name, c->peer.certificate->sha256});
    HttpResponse response = problem(403, text);
    co_await refuse(c, std::move(response), manner.is_head);
    co_return false;
  }
  auto exchange = std::make_shared<Exchange>(c->loop, c->core->counters, c->id, c->core->options.stream_buffer_bytes_max);
  HttpRequest request = parser->take();
  parser.reset();
  ++c->core->counters->waiting_now;
  call_handler(*c, std::move(request), exchange);
  bool go_on = co_await answer(c, exchange, manner);
  --c->core->counters->waiting_now;
  // A client that pipelines without end must not keep the others of this loop waiting.
  if (go_on && !c->input.empty()) co_await asio::post(c->loop->context, asio::use_awaitable);
  co_return go_on;
}

/// Half-closes and throws away what the client still sends, so that it reads our last words before a reset could reach it.
asio::awaitable<void> linger(ConnectionPtr c) {
  ::shutdown(c->socket.native_handle(), SHUT_WR);
  c->is_aborted = false;
  c->set_deadline(kLinger);
  std::size_t thrown_away = 0;
  while (thrown_away < kLingerBytesMax) {
    ssize_t got = ::recv(c->socket.native_handle(), c->loop->scratch.data(), c->loop->scratch.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) break;
    if (got > 0) {
      thrown_away += static_cast<std::size_t>(got);
      continue;
    }
    if (c->is_draining) break;
    bool go_on = co_await ready(c, tcp::socket::wait_read);
    if (!go_on) break;
  }
}

asio::awaitable<void> serve(ConnectionPtr c) {
  c->loop->connections.emplace(c->id, c.get());
  if (c->core->is_stopping) co_return;
  bool go_on = co_await handshake(c);
  while (go_on) go_on = co_await serve_one(c);
  c->session.say_goodbye();
  if (c->needs_linger) co_await linger(c);
  error_code ignored;
  c->timer.cancel();
  c->socket.close(ignored);
}

/// Refuses before TLS: a fatal alert as plain record, which is legal before the keys are agreed (RFC 8446 sections 5.1, 6).
void refuse_with_alert(tcp::socket& socket) {
  constexpr unsigned char kAlert[] = {21, 3, 3, 0, 2, 2, 80};  // alert, TLS 1.2 record version, 2 bytes: fatal, internal_error
  (void)!::send(socket.native_handle(), kAlert, sizeof kAlert, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::string address_of(const tcp::socket& socket) {
  error_code error;
  auto address = socket.remote_endpoint(error).address();
  if (error) return "unknown";
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

}  // namespace

void admit(const CorePtr& core, const std::shared_ptr<Loop>& loop, tcp::socket socket, std::uint64_t id) {
  ++core->counters->accepted;
  bool is_over_limit = false;
  std::shared_ptr<const tls::Context> context;
  {
    std::lock_guard lock(core->mutex);
    if (core->active < core->options.connections_max + kRefusalsMax) {
      is_over_limit = core->active >= core->options.connections_max;
      context = core->tls_context;
      ++core->active;
    }
  }
  if (!context) {
    ++core->counters->refused;
    refuse_with_alert(socket);
    return;
  }
  error_code ignored;
  socket.native_non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  std::string address = address_of(socket);
  auto connection = std::make_shared<Connection>(core, loop, std::move(socket), std::move(context), id);
  connection->peer.address = std::move(address);
  connection->is_over_limit = is_over_limit;
  asio::co_spawn(loop->context, serve(std::move(connection)), asio::detached);
}

}  // namespace prunella
