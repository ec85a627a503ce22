#include "adapters/http/exchange.h"

#include <utility>

#include "adapters/http/problem.h"

namespace prunella {

HttpResponse busy(std::string_view why) {
  constexpr const char* kRetryAfterSeconds = "5";
  HttpResponse response = problem(503, why);
  response.headers.add("Retry-After", kRetryAfterSeconds);
  return response;
}

bool has_answer(Exchange& exchange) {
  std::lock_guard lock(exchange.mutex);
  return exchange.is_answered;
}

void mark_gone(Exchange& exchange) {
  std::lock_guard lock(exchange.mutex);
  exchange.is_gone = true;
  exchange.pending.clear();
  exchange.pending.shrink_to_fit();
}

StreamState take_pending(Exchange& exchange, std::string& into) {
  std::lock_guard lock(exchange.mutex);
  into = std::exchange(exchange.pending, {});
  if (exchange.is_cut_off) return StreamState::kCutOff;
  return exchange.is_closed ? StreamState::kClosed : StreamState::kOpen;
}

struct Responder::Handle {
  explicit Handle(ExchangePtr exchange_in) : exchange(std::move(exchange_in)) {}
  ~Handle() {
    {
      std::lock_guard lock(exchange->mutex);
      if (exchange->is_answered || exchange->is_gone) return;
      exchange->is_answered = true;
      exchange->response = busy("the request was given up without an answer: try again");
    }
    ++exchange->counters->unanswered;
    exchange->waker->wake(exchange->connection_id);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  const ExchangePtr exchange;
};

struct StreamWriter::Handle {
  explicit Handle(ExchangePtr exchange_in) : exchange(std::move(exchange_in)) {}
  ~Handle() { close(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void close() {
    if (!exchange) return;
    {
      std::lock_guard lock(exchange->mutex);
      if (exchange->is_closed) return;
      exchange->is_closed = true;
    }
    exchange->waker->wake(exchange->connection_id);
  }

  const ExchangePtr exchange;  // nullptr: never was open
};

Responder ServerParts::make_responder(ExchangePtr exchange) {
  return Responder(std::make_shared<Responder::Handle>(std::move(exchange)));
}

bool Responder::answer(HttpResponse response) const {
  Exchange& exchange = *handle_->exchange;
  {
    std::lock_guard lock(exchange.mutex);
    if (exchange.is_answered || exchange.is_gone) return false;
    exchange.is_answered = true;
    exchange.response = std::move(response);
  }
  exchange.waker->wake(exchange.connection_id);
  return true;
}

StreamWriter Responder::start_stream(HttpResponse head) const {
  const ExchangePtr& exchange = handle_->exchange;
  {
    std::lock_guard lock(exchange->mutex);
    if (exchange->is_answered || exchange->is_gone) return StreamWriter(std::make_shared<StreamWriter::Handle>(nullptr));
    exchange->is_answered = true;
    exchange->is_stream = true;
    exchange->pending = std::exchange(head.body, {});
    exchange->response = std::move(head);
  }
  exchange->waker->wake(exchange->connection_id);
  return StreamWriter(std::make_shared<StreamWriter::Handle>(exchange));
}

bool Responder::is_gone() const {
  std::lock_guard lock(handle_->exchange->mutex);
  return handle_->exchange->is_gone;
}

bool StreamWriter::write(std::string_view bytes) const {
  if (!handle_->exchange) return false;
  Exchange& exchange = *handle_->exchange;
  bool fits = false;
  {
    std::lock_guard lock(exchange.mutex);
    if (exchange.is_gone || exchange.is_closed || exchange.is_cut_off) return false;
    fits = exchange.pending.size() + bytes.size() <= exchange.stream_buffer_bytes_max;
    if (fits) {
      bool was_empty = exchange.pending.empty();
      exchange.pending += bytes;
      if (!was_empty) return true;  // it was woken for what is there already
    } else {
      exchange.is_cut_off = true;
      exchange.pending.clear();
    }
  }
  if (fits) {
    exchange.waker->wake(exchange.connection_id);
  } else {
    ++exchange.counters->streams_cut_off;
    exchange.waker->abort(exchange.connection_id);
  }
  return fits;
}

void StreamWriter::close() const { handle_->close(); }

bool StreamWriter::is_open() const {
  if (!handle_->exchange) return false;
  std::lock_guard lock(handle_->exchange->mutex);
  return !handle_->exchange->is_gone && !handle_->exchange->is_closed && !handle_->exchange->is_cut_off;
}

}  // namespace prunella
