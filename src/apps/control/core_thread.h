#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace prunella::control {

/// The one thread that owns the control plane's state. Others hand it work through a bounded queue; between two pieces, and at
/// least every `tick_interval`, it runs `tick`.
class CoreThread {
 public:
  using Work = std::function<void()>;
  /// 4,096 requests wait at most: at a millisecond each that is what a client's patience covers. Beyond it they get 503.
  static constexpr std::size_t kQueueMax = 4096;

  CoreThread(std::chrono::milliseconds tick_interval, Work tick) : tick_interval_(tick_interval), tick_(std::move(tick)), thread_([this](std::stop_token stop) { run(stop); }) {}
  ~CoreThread() { stop(); }

  /// False when the queue is full: `work` was not taken. Any thread.
  bool post(Work work) {
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() >= kQueueMax) return ++shed_, false;
      queue_.push_back(std::move(work));
    }
    wake_.notify_one();
    return true;
  }
  void stop() {
    thread_.request_stop();
    wake_.notify_all();
    if (thread_.joinable() && thread_.get_id() != std::this_thread::get_id()) thread_.join();
  }
  std::size_t waiting() {
    std::lock_guard lock(mutex_);
    return queue_.size();
  }
  std::uint64_t shed() {
    std::lock_guard lock(mutex_);
    return shed_;
  }

 private:
  void run(const std::stop_token& stop) {
    auto next_tick = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
      Work work;
      {
        std::unique_lock lock(mutex_);
        wake_.wait_until(lock, next_tick, [&] { return stop.stop_requested() || !queue_.empty(); });
        if (!queue_.empty()) {
          work = std::move(queue_.front());
          queue_.pop_front();
        }
      }
      if (work) work();
      if (std::chrono::steady_clock::now() >= next_tick) {
        tick_();
        next_tick = std::chrono::steady_clock::now() + tick_interval_;
      }
    }
  }

  std::chrono::milliseconds tick_interval_;
  Work tick_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> queue_;   // guarded by mutex_
  std::uint64_t shed_ = 0;   // guarded by mutex_
  std::jthread thread_;      // last: it starts when all else is there
};

}  // namespace prunella::control
