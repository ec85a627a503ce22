#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "model/link.h"

namespace prunella::agent {

/// A question that needs no work. Longer means that the executor is at work for another connection: it does one thing at a time.
inline constexpr Duration kExecutorAnswerWait = std::chrono::seconds(10);
/// A run ends before its deadline, which is 24 h at most (check_plan); then an hour for a revert that hangs.
inline constexpr Duration kExecutorRunWait = std::chrono::hours(25);

/// Asks the executor over its socket, one connection a request. Blocking; cancel() ends a wait, from any thread.
class ExecutorClient {
 public:
  explicit ExecutorClient(std::string socket);
  ~ExecutorClient();
  ExecutorClient(const ExecutorClient&) = delete;
  ExecutorClient& operator=(const ExecutorClient&) = delete;

  /// The one answer to a request that isn't about a run.
  /// @error kUnavailable  no executor, no answer in time, or the connection broke.
  /// @error kInvalidInput the executor's own `error`, or an answer that is none.
  Result<ExecutorAnswer> ask(const ExecutorRequest& request);
  /// Follows a run to its outcome. @error as above; of kUnavailable: the executor may have taken the order.
  Result<RunOutcome> follow(const ExecutorRequest& request, const std::function<void(RunProgress)>& progress);

  void cancel();

 private:
  Result<RunOutcome> exchange(const ExecutorRequest& request, Duration patience, const std::function<bool(ExecutorAnswer&)>& take);

  std::string socket_;
  int cancelled_ = -1;  // eventfd: readable once cancelled
};

}  // namespace prunella::agent
