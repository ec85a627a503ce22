#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "disk.h"
#include "faults.h"
#include "kernel.h"
#include "model/link.h"
#include "model/order.h"
#include "model_host.h"
#include "oracle.h"

namespace prunella::sim {

/// One connection to an executor with one request on it.
struct ExecutorCall {
  ExecutorRequest request;
  std::function<void(const ExecutorAnswer&)> answer;  ///< each
  std::function<void(std::string why)> broke;         ///< the connection, before the last answer
};

/// The executor's program: the real ExecutorCore and Journal on a stack of their own, which ends when it is killed and is started
/// again by its service manager.
class ExecutorProcess : public Running {
 public:
  struct Surroundings {
    Scheduler& scheduler;
    EventLog& log;
    const Faults& faults;
    const bool& faults_on;
    Oracle& oracle;
  };
  ExecutorProcess(std::size_t number, Surroundings around, HostTrust trust, std::uint64_t seed, HostEvents& events, ModelHost::Setting setting);
  ~ExecutorProcess() override;

  void start_in(Duration delay);
  void kill(const std::string& why);
  /// The host's power goes: what wasn't synced may be lost.
  void lose_power();
  void connect(ExecutorCall call);
  bool is_up() const { return up_; }
  bool is_idle() const { return idle_; }

  void point(std::string_view where) override;
  void pause(Duration time) override;

  ModelHost& model() { return model_; }
  SimJournal& journal() { return journal_file_; }
  SimPolicyStore& policies() { return policy_store_; }
  bool frozen = false;
  std::uint64_t deaths = 0;

 private:
  void body();
  void serve();
  void go_on();
  void wake(std::uint64_t life, Duration in);
  void ended(const std::string& why);
  void say(const std::string& text);

  std::size_t number_;
  Surroundings around_;
  HostTrust trust_;
  Dice dice_, own_random_;
  HostEvents& events_;
  ModelHost model_;
  SimJournal journal_file_;
  SimRunFiles run_files_;
  SimPolicyStore policy_store_;
  std::unique_ptr<Fiber> fiber_;
  std::uint64_t life_ = 0;
  bool up_ = false, idle_ = false, power_ = true, power_cut_ = false;
  std::deque<ExecutorCall> waiting_;
  std::optional<ExecutorCall> current_;
  std::string death_;
};

}  // namespace prunella::sim
