#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "apps/cli/exit_code.h"
#include "apps/cli/session.h"

namespace prunella::cli {

/// Takes server-sent events out of a stream that comes in any pieces. Source: WHATWG HTML, section 9.2.6.
class SseReader {
 public:
  /// The `data` of each event that `bytes` completes. Comments and fields of other names are left out; an event above kEventMax
  /// bytes is dropped.
  std::vector<std::string> add(std::string_view bytes);

 private:
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool too_long_ = false;
};

/// Reads GET /v1/events on a thread of its own, opens it again when it's lost, and hands over what changed. Only wakes: what is
/// shown is always read afresh, so a lost notice costs a few seconds and nothing else.
class EventFeed {
 public:
  explicit EventFeed(std::unique_ptr<ApiClient> client);
  ~EventFeed();
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;
  /// The next notice, or none when `wait` is over. When more than kNoticesMax wait, the oldest are dropped.
  std::optional<ChangeNotice> next(Duration wait);

 private:
  void read();

  std::unique_ptr<ApiClient> client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ChangeNotice> notices_;
  bool stopping_ = false;
  std::thread thread_;
};

/// Follows a rollout to its end, or to --timeout, or Ctrl-C. Bars on a terminal, a line when something changed and every 5 s
/// elsewhere, JSON lines with --json or --jsonl.
/// @return kOk succeeded, kPartly some hosts verified, kFailed none, kRunning the time is over, kInterrupted.
ExitCode watch_rollout(Session& session, const RolloutId& id);

/// Runs `show` again whenever something changed, until Ctrl-C or --timeout.
ExitCode watch_command(Session& session, const Invocation& invocation);

}  // namespace prunella::cli
