#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "adapters/http/server.h"

// Only for this room's own .cc files.

namespace prunella {

struct Counters {
  std::atomic<std::uint64_t> accepted{0}, refused{0}, tls_failures{0}, requests{0}, malformed{0}, timed_out{0}, unanswered{0},
      streams_cut_off{0}, accept_errors{0};
  std::atomic<std::uint64_t> waiting_now{0}, streams_now{0};
};

/// How the handler's side reaches a connection's thread: by number, so that nobody but that thread ever owns a connection.
class Waker {
 public:
  virtual ~Waker() = default;
  /// The connection `id` looks at its exchange again. Nothing happens when it's gone.
  virtual void wake(std::uint64_t id) = 0;
  /// The connection `id` ends now.
  virtual void abort(std::uint64_t id) = 0;
};

/// One answer in the making: what the handler's side and the connection's side share.
struct Exchange {
  Exchange(std::shared_ptr<Waker> waker_in, std::shared_ptr<Counters> counters_in, std::uint64_t id, std::size_t buffer_max)
      : waker(std::move(waker_in)), counters(std::move(counters_in)), connection_id(id), stream_buffer_bytes_max(buffer_max) {}

  const std::shared_ptr<Waker> waker;  // shared: a Responder may outlive the server, and then wakes nobody
  const std::shared_ptr<Counters> counters;
  const std::uint64_t connection_id;
  const std::size_t stream_buffer_bytes_max;

  std::mutex mutex;  // guards all below; never held while waking
  std::optional<HttpResponse> response;
  bool is_answered = false;
  bool is_gone = false;
  bool is_stream = false;
  std::string pending;  // of the stream, waiting for the connection to take it
  bool is_closed = false;
  bool is_cut_off = false;
};
using ExchangePtr = std::shared_ptr<Exchange>;

/// 503 with Retry-After.
HttpResponse busy(std::string_view why);

bool has_answer(Exchange& exchange);
/// Nobody will read the answer any more.
void mark_gone(Exchange& exchange);

enum class StreamState { kOpen, kClosed, kCutOff };
StreamState take_pending(Exchange& exchange, std::string& into);

/// Makes Responders; the public header keeps their insides to friends.
struct ServerParts {
  static Responder make_responder(ExchangePtr exchange);
};

}  // namespace prunella
