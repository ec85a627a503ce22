#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

namespace prunella::agent {

/// Values on their way from any thread to one. Full: try_push says no, and the caller decides what becomes of the value.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t size_max) : size_max_(size_max) {}

  /// @return false when it is full or closed.
  bool try_push(T value) {
    {
      std::lock_guard lock(mutex_);
      if (closed_ || values_.size() >= size_max_) return false;
      values_.push_back(std::move(value));
    }
    changed_.notify_all();
    return true;
  }
  /// Waits for room. @return false when it is closed.
  bool push(T value) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return closed_ || values_.size() < size_max_; });
      if (closed_) return false;
      values_.push_back(std::move(value));
    }
    changed_.notify_all();
    return true;
  }
  /// Waits for a value. @return nothing when it is closed.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !values_.empty(); });
    return take(lock);
  }
  /// @return nothing when it is empty or closed.
  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    return take(lock);
  }
  /// Whoever waits stops waiting; what is in it is dropped.
  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      values_.clear();
    }
    changed_.notify_all();
  }

 private:
  std::optional<T> take(std::unique_lock<std::mutex>& lock) {
    if (closed_ || values_.empty()) return std::nullopt;
    std::optional<T> value = std::move(values_.front());
    values_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return value;
  }

  const std::size_t size_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
  bool closed_ = false;
};

}  // namespace prunella::agent
