#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "executor_process.h"
#include "loop/agent_core.h"

namespace prunella::sim {

/// What carries an agent's messages to the control plane and the answers back. Each answer comes at most once, or never.
class Uplink {
 public:
  virtual ~Uplink() = default;
  virtual void report(std::size_t host, std::string body, std::function<void(Result<ReportAnswer>)> answer) = 0;
  virtual void directions(std::size_t host, agent::FetchDirections fetch, std::function<void(Result<Directions>)> answer) = 0;
};

/// The agent's program: the real agent::Core, and around it what the real one's threads do.
class AgentProcess {
 public:
  AgentProcess(std::size_t number, ExecutorProcess::Surroundings around, HostTrust trust, std::uint64_t seed, HostEvents& events, ExecutorProcess& executor, Uplink& uplink);

  void start_in(Duration delay);
  void kill(const std::string& why);
  bool is_up() const { return core_ != nullptr; }
  /// Something of the host changed: it is looked at soon.
  void changed(Section section);
  /// The host's own memory of facts, for comparing at the end; nullptr while it is down.
  const HostFacts* facts() const { return core_ ? &core_->facts() : nullptr; }
  std::optional<agent::Core::Link> link() const;

 private:
  void feed(agent::Input input);
  void carry_out(agent::Effect& effect);
  void look(Section section);
  void look_in(Section section, Duration delay);
  void schedule_tick();
  void check_everything();
  void to_executor(ExecutorRequest request, std::function<bool(const ExecutorAnswer&)> answer, std::function<void(std::string)> broke);
  void next_for_executor();
  void stage(agent::StageFiles& effect);
  agent::Now now() const { return {executor_.model().now(), around_.scheduler.now()}; }
  template <class F>
  void later(Duration delay, F work) {
    around_.scheduler.after(delay, [this, life = life_, work = std::move(work)]() mutable {
      if (core_ && life == life_) work();
    });
  }

  std::size_t number_;
  ExecutorProcess::Surroundings around_;
  HostTrust trust_;
  Dice dice_;
  HostEvents& events_;
  ExecutorProcess& executor_;
  Uplink& uplink_;

  // on its disk
  agent::Memory memory_;
  std::optional<Envelope> kept_policy_;

  std::unique_ptr<Dice> random_;
  std::unique_ptr<agent::Core> core_;
  std::uint64_t life_ = 0;
  Monotonic tick_at_ = Monotonic::max();
  std::set<Section> looks_;
  // What is to be asked of the executor, one after the other as on the real agent's thread for it.
  struct Work {
    ExecutorRequest request;
    std::function<bool(const ExecutorAnswer&)> answer;  ///< true: that was the last
    std::function<void(std::string)> broke;
  };
  std::deque<Work> work_;
  bool working_ = false;
};

}  // namespace prunella::sim
