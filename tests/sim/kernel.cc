#include "kernel.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/encoding.h"

namespace prunella::sim {

namespace {

// Touched pages only count; a transaction with OpenSSL and JSON needs some 40 kB, a sanitizer several times that.
constexpr std::size_t kStackBytes = 1 << 20;
// Stacks are used again by the next fiber: mapping one costs more than a short simulation's share.
std::vector<void*>& free_stacks() {
  static std::vector<void*> stacks;
  return stacks;
}

}  // namespace

void EventLog::line(Monotonic at, const std::string& text) {
  std::string whole = std::to_string(at.time_since_epoch().count()) + " " + text + "\n";
  hash_.add(as_bytes(whole));
  ++lines_;
  if (print_) std::fwrite(whole.data(), 1, whole.size(), stdout);
}

void Scheduler::at(Monotonic when, std::function<void()> work) {
  heap_.push_back({std::max(when, now_), tie_.next() & 0xff, ++events_, std::move(work)});
  std::push_heap(heap_.begin(), heap_.end());
}

void Scheduler::run(Monotonic end, const std::function<bool()>& done) {
  while (!heap_.empty() && heap_.front().when <= end) {
    std::pop_heap(heap_.begin(), heap_.end());
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.when;
    event.work();
    if (done && done()) return;
  }
  if (!done || !done()) now_ = std::max(now_, end);
}

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {
  if (free_stacks().empty()) {
    void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(stack != MAP_FAILED, "memory for a fiber's stack");
    free_stacks().push_back(stack);
  }
  stack_ = free_stacks().back();
  free_stacks().pop_back();
}

Fiber::~Fiber() {
  if (started_ && !done_) kill();
  free_stacks().push_back(stack_);
}

void Fiber::enter(unsigned low, unsigned high) {
  auto address = static_cast<std::uintptr_t>(low) | (static_cast<std::uintptr_t>(high) << 32);
  reinterpret_cast<Fiber*>(address)->run();
}

void Fiber::run() {
  try {
    body_();
  } catch (const Killed&) {
  } catch (...) {
    error_ = std::current_exception();
  }
  done_ = true;
  ::swapcontext(&own_, &caller_);
}

void Fiber::resume() {
  check(!running_ && !done_, "a fiber that waits");
  running_ = true;
  if (!started_) {
    started_ = true;
    ::getcontext(&own_);
    own_.uc_stack.ss_sp = stack_;
    own_.uc_stack.ss_size = kStackBytes;
    own_.uc_link = nullptr;
    auto address = reinterpret_cast<std::uintptr_t>(this);
    ::makecontext(&own_, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(address), static_cast<unsigned>(address >> 32));
  }
  ::swapcontext(&caller_, &own_);
  running_ = false;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Fiber::kill() {
  if (!started_ || done_) {
    done_ = true;
    return;
  }
  killed_ = true;
  resume();
}

void Fiber::yield() {
  ::swapcontext(&own_, &caller_);
  if (killed_) throw Killed{};
}

}  // namespace prunella::sim
