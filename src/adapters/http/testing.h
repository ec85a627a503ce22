#pragma once

// Only for this room's tests.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "adapters/http/ca.h"
#include "adapters/http/server.h"
#include "../tests/support/seeded_random.h"

namespace prunella::testing_http {

using testing::SeededRandom;

inline Instant wall_now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

/// An authority with what it issues.
struct Authority {
  explicit Authority(std::uint64_t seed = 1)
      : random(seed),
        pem(make_authority("Test CA " + std::to_string(seed), wall_now(), kAuthorityLifetime, random).value()),
        ca(CertificateAuthority::load(pem).value()) {}

  KeyAndCertificate server(std::vector<std::string> addresses = {"127.0.0.1", "::1"}) {
    return ca.issue_server({{"localhost"}, std::move(addresses)}, wall_now(), std::chrono::hours(24), random).value();
  }
  KeyAndCertificate client(const std::string& name, Instant at = wall_now(), Duration lifetime = kHostLifetime) {
    KeyAndRequest host = make_host_key().value();
    return {host.key_pem, ca.issue_client(host.request_pem, name, at, lifetime, random).value()};
  }

  SeededRandom random;
  KeyAndCertificate pem;
  CertificateAuthority ca;
};

/// Things that other threads hand over, to be waited for.
template <class T>
class Inbox {
 public:
  void put(T thing) {
    std::lock_guard lock(mutex_);
    things_.push_back(std::move(thing));
    changed_.notify_all();
  }
  /// The next one; nullopt when none comes in time.
  std::optional<T> take(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [&] { return !things_.empty(); })) return std::nullopt;
    T thing = std::move(things_.front());
    things_.erase(things_.begin());
    return thing;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> things_;
};

/// True as soon as `holds()`; false when it doesn't within 20 seconds. For figures, which no event announces.
template <class F>
bool eventually(F holds) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace prunella::testing_http
