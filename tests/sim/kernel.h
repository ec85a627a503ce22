#pragma once

#include <ucontext.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <queue>
#include <string>
#include <vector>

#include "../support/killed.h"
#include "../support/seeded_random.h"
#include "base/digest.h"
#include "base/time.h"

/// What the simulator stands on: virtual time, programs that can wait in the middle of a function, a log whose digest names a run.
namespace prunella::sim {

using testing::Killed;

/// An invariant doesn't hold: the run of this seed ends here.
struct Violation {
  std::string invariant;  ///< "I2 intent-before-effect"
  std::string text;
};

/// Everything that happens, one line an event. Equal seeds give equal digests.
class EventLog {
 public:
  explicit EventLog(bool print) : print_(print) {}
  void line(Monotonic at, const std::string& text);
  std::uint64_t lines() const { return lines_; }
  Digest digest() { return hash_.finish(); }

 private:
  Sha256 hash_;
  std::uint64_t lines_ = 0;
  bool print_;
};

/// Draws from one seed. Each actor has a stream of its own, so that one more draw here changes nothing there.
class Dice : public testing::SeededRandom {
 public:
  explicit Dice(std::uint64_t seed) : SeededRandom(seed) {}
  bool chance(double probability) { return static_cast<double>(next() >> 11) < probability * 9007199254740992.0; }
  /// From `low` to `high`, both possible.
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1))); }
  Duration wait(Duration low, Duration high) { return Duration(between(low.count(), high.count())); }
};

/// Events in virtual time; those of one moment come in an order that the seed decides.
class Scheduler {
 public:
  explicit Scheduler(std::uint64_t seed) : tie_(seed) {}
  Monotonic now() const { return now_; }
  void at(Monotonic when, std::function<void()> work);
  void after(Duration delay, std::function<void()> work) { at(now_ + delay, std::move(work)); }
  /// Runs events until none is left before `end`, or until `done` says so (asked after each).
  void run(Monotonic end, const std::function<bool()>& done);
  std::uint64_t events() const { return events_; }

 private:
  struct Event {
    Monotonic when;
    std::uint64_t tie;
    std::uint64_t number;
    std::function<void()> work;
    bool operator<(const Event& other) const {  // the priority queue gives the greatest first
      if (when != other.when) return when > other.when;
      if (tie != other.tie) return tie > other.tie;
      return number > other.number;
    }
  };
  std::vector<Event> heap_;
  Monotonic now_{};
  Dice tie_;
  std::uint64_t events_ = 0;
};

/// A program of its own stack on the one thread: it waits in the middle of a function while others go on.
class Fiber {
 public:
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  /// Runs until the body yields or ends. What the body throws, but for Killed, is thrown here.
  void resume();
  /// Ends the body: Killed comes out of the yield() in which it waits.
  void kill();
  bool done() const { return done_; }
  bool running() const { return running_; }
  /// From within the body.
  void yield();

 private:
  static void enter(unsigned low, unsigned high);
  void run();
  std::function<void()> body_;
  ucontext_t own_{}, caller_{};
  void* stack_ = nullptr;
  std::exception_ptr error_;
  bool done_ = false, started_ = false, running_ = false, killed_ = false;
};

}  // namespace prunella::sim
