#pragma once

#include <functional>
#include <optional>
#include <thread>
#include <variant>

#include "apps/agent/executor_client.h"
#include "apps/agent/inbox.h"

namespace prunella::agent {

/// Look at the processes with the executor's eyes, since only root may see everyone's.
struct ObserveProcesses {};

/// Carries out what is for the executor, one request after the other, on a thread of its own. Answers go to the inbox.
class Hands {
 public:
  /// `without_executor` looks at the processes as far as this user may, when there is no executor to do it.
  Hands(std::string socket, HostId host, Inbox& inbox, std::function<Sensed<ProcessFacts>(std::string reason)> without_executor);
  ~Hands();

  /// Never waits: when too much waits already, the answer is that the executor was not reached.
  void carry_out(HandOrder effect);
  void carry_out(AskExecutor effect);
  void carry_out(ForgetOutcome effect);
  void carry_out(InstallPolicy effect);
  void carry_out(RequestStanding effect);
  void carry_out(ObserveProcesses effect);

 private:
  using Work = std::variant<HandOrder, AskExecutor, ForgetOutcome, InstallPolicy, RequestStanding, ObserveProcesses>;
  /// 256: an acknowledgement may bring 64 outcomes to forget.
  static constexpr std::size_t kWorkMax = 256;

  void work();
  void do_one(HandOrder& work);
  void do_one(AskExecutor& work);
  void do_one(ForgetOutcome& work);
  void do_one(InstallPolicy& work);
  void do_one(RequestStanding& work);
  void do_one(ObserveProcesses& work);

  ExecutorClient client_;
  HostId host_;
  Inbox& inbox_;
  std::function<Sensed<ProcessFacts>(std::string)> without_executor_;
  BoundedQueue<Work> queue_{kWorkMax};
  std::thread thread_;
};

}  // namespace prunella::agent
