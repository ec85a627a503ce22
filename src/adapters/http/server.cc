#include "adapters/http/server.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <system_error>

#include "adapters/http/connection.h"
#include "base/text.h"

namespace prunella {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr Duration kAcceptPause = std::chrono::milliseconds(50);  // after running out of descriptors
constexpr int kListenBacklog = 1024;
constexpr std::size_t kThreadsMax = 64;

asio::awaitable<void> accept_connections(CorePtr core, std::shared_ptr<tcp::acceptor> acceptor) {
  std::uint64_t id = 0;
  while (!core->is_stopping) {
    const std::shared_ptr<Loop>& loop = core->loops[id % core->loops.size()];
    tcp::socket socket(loop->context);
    error_code error;
    co_await acceptor->async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (core->is_stopping) break;
    if (error) {
      // No descriptors left, or the client went away between its SYN and our accept(). The others must not suffer a busy loop.
      ++core->counters->accept_errors;
      asio::steady_timer pause(core->loops[0]->context, kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    admit(core, loop, std::move(socket), ++id);
  }
}

}  // namespace

struct HttpServer::Impl {
  CorePtr core = std::make_shared<Core>();
  std::shared_ptr<tcp::acceptor> acceptor;
  std::uint16_t port = 0;
  std::mutex stop_mutex;
  bool is_stopped = false;

  Status listen();
  Status run();
};

Status HttpServer::Impl::listen() {
  const HttpServerOptions& options = core->options;
  error_code error;
  auto address = asio::ip::make_address(options.address, error);
  if (error) return invalid_input(quoted(options.address) + " is not an IPv4 or IPv6 address to listen on");
  tcp::endpoint endpoint(address, options.port);
  acceptor = std::make_shared<tcp::acceptor>(core->loops[0]->context);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && address.is_v6() && address.is_unspecified()) acceptor->set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(kListenBacklog, error);
  if (error)
    return unavailable("listening on " + options.address + " port " + std::to_string(options.port) + ": " + error.message());
  port = acceptor->local_endpoint(error).port();
  return {};
}

Status HttpServer::Impl::run() {
  asio::co_spawn(core->loops[0]->context, accept_connections(core, acceptor), asio::detached);
  for (auto& loop : core->loops) {
    try {
      loop->thread = std::thread([raw = loop.get()] { raw->context.run(); });
    } catch (const std::system_error& thrown) {
      return unavailable(std::string("starting a server thread: ") + thrown.what());
    }
  }
  return {};
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, HttpHandler handler) {
  check(static_cast<bool>(handler), "a server needs a handler");
  if (options.threads < 1 || options.threads > kThreadsMax)
    return invalid_input(std::to_string(options.threads) + " server threads: 1 to " + std::to_string(kThreadsMax) + " are possible");
  auto context = tls::Context::make_server({options.certificate_pem, options.key_pem, options.client_ca_pem});
  if (!context) return std::move(context).error();
  std::unique_ptr<HttpServer> server(new HttpServer(std::make_unique<Impl>()));
  Impl& impl = *server->impl_;
  impl.core->options = std::move(options);
  impl.core->handler = std::move(handler);
  impl.core->tls_context = *std::move(context);
  for (std::size_t i = 0; i < impl.core->options.threads; ++i) impl.core->loops.push_back(std::make_shared<Loop>());
  if (auto listening = impl.listen(); !listening) return std::move(listening).error();
  if (auto running = impl.run(); !running) return std::move(running).error();
  return server;
}

std::uint16_t HttpServer::port() const { return impl_->port; }

HttpServerFigures HttpServer::figures() const {
  const Counters& counters = *impl_->core->counters;
  HttpServerFigures figures;
  figures.accepted = counters.accepted;
  figures.refused = counters.refused;
  figures.tls_failures = counters.tls_failures;
  figures.requests = counters.requests;
  figures.malformed = counters.malformed;
  figures.timed_out = counters.timed_out;
  figures.unanswered = counters.unanswered;
  figures.waiting_now = counters.waiting_now;
  figures.streams_now = counters.streams_now;
  figures.streams_cut_off = counters.streams_cut_off;
  figures.accept_errors = counters.accept_errors;
  std::lock_guard lock(impl_->core->mutex);
  figures.connections_now = impl_->core->active;
  return figures;
}

Status HttpServer::reload_certificate(const std::string& certificate_pem, const std::string& key_pem) {
  auto context = tls::Context::make_server({certificate_pem, key_pem, impl_->core->options.client_ca_pem});
  if (!context) return std::move(context).error();
  std::lock_guard lock(impl_->core->mutex);
  impl_->core->tls_context = *std::move(context);
  return {};
}

void HttpServer::stop() {
  std::lock_guard stopping(impl_->stop_mutex);
  if (impl_->is_stopped) return;
  impl_->is_stopped = true;
  Core& core = *impl_->core;
  core.is_stopping = true;
  if (impl_->acceptor) {
    asio::post(core.loops[0]->context, [acceptor = impl_->acceptor.get()] {
      error_code ignored;
      acceptor->close(ignored);
    });
  }
  for (auto& loop : core.loops) loop->drain_all();
  bool is_running = !core.loops.empty() && core.loops.back()->thread.joinable();
  if (is_running) {
    auto is_empty = [&core] { return core.active == 0; };
    std::unique_lock lock(core.mutex);
    if (!core.changed.wait_for(lock, core.options.drain_timeout, is_empty)) {
      lock.unlock();
      for (auto& loop : core.loops) loop->abort_all();
      lock.lock();
      core.changed.wait(lock, is_empty);
    }
  }
  for (auto& loop : core.loops) {
    loop->work.reset();
    // The acceptor's coroutine ends by itself; a timer of a connection that is gone must not hold us.
    if (!is_running) loop->context.stop();
    if (loop->thread.joinable()) loop->thread.join();
  }
}

}  // namespace prunella
