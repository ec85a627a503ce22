#pragma once

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <condition_variable>
#include <thread>
#include <unordered_map>
#include <vector>

#include "adapters/http/exchange.h"
#include "adapters/http/tls.h"

// Only for connection.cc and server.cc: it shows Asio.

namespace prunella {

inline constexpr std::size_t kReadBytes = 16 * 1024;  // one TLS record

class Connection;

/// One thread's event loop with the connections that live on it.
struct Loop : Waker {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  std::unordered_map<std::uint64_t, Connection*> connections;  // only on this loop's thread
  std::array<char, kReadBytes> scratch;                         // the same; nothing in it survives a suspension
  long long date_second = 0;
  std::string date;
  std::thread thread;

  void wake(std::uint64_t id) override;
  void abort(std::uint64_t id) override;
  /// All connections end when what they are at is done; or at once.
  void drain_all();
  void abort_all();
};

/// What the whole server shares.
struct Core {
  HttpServerOptions options;
  HttpHandler handler;
  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  std::vector<std::shared_ptr<Loop>> loops;
  std::atomic<bool> is_stopping{false};

  std::mutex mutex;  // guards the three below
  std::condition_variable changed;
  std::shared_ptr<const tls::Context> tls_context;
  std::size_t active = 0;

  void report(const TlsFailure& failure);
  std::size_t body_bytes_max(std::string_view path) const;
};
using CorePtr = std::shared_ptr<Core>;

/// Takes over a socket that was accepted: serves it on `loop`, or refuses it when the server is full.
void admit(const CorePtr& core, const std::shared_ptr<Loop>& loop, boost::asio::ip::tcp::socket socket, std::uint64_t id);

}  // namespace prunella
