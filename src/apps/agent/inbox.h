#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include "adapters/linux/descriptor.h"
#include "apps/agent/bounded_queue.h"
#include "loop/agent_values.h"

namespace prunella::agent {

/// 1,024 inputs: a sensor that is faster than the core waits, and nothing is lost.
inline constexpr std::size_t kInboxMax = 1024;

/// The core's inputs, and a descriptor that poll(2) sees when there are some.
class Inbox {
 public:
  Inbox() : queue_(kInboxMax), event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { check(event_.is_open(), "a descriptor at the start"); }

  /// Waits for room. Any thread but the core's own.
  void put(Input input) {
    if (!queue_.push(std::move(input))) return;
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(event_.get(), &one, sizeof one);  // full means that it is readable already
  }
  std::optional<Input> take() { return queue_.try_pop(); }
  int fd() const { return event_.get(); }
  void clear_event() {
    std::uint64_t count = 0;
    [[maybe_unused]] ssize_t got = ::read(event_.get(), &count, sizeof count);
  }
  void close() { queue_.close(); }

 private:
  BoundedQueue<Input> queue_;
  Descriptor event_;
};

}  // namespace prunella::agent
