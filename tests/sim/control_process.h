#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "../support/mortal_store.h"
#include "adapters/sqlite/sqlite.h"
#include "executor_process.h"
#include "loop/agent_core.h"
#include "loop/control_plane.h"

namespace prunella::sim {

inline constexpr Duration kHeartbeat = std::chrono::seconds(30);
inline constexpr Duration kStaleAfter = std::chrono::seconds(90);
/// A second in the product; what depends on it (orders that expire, waves that are late) is in minutes.
inline constexpr Duration kTick = std::chrono::seconds(5);

/// The control plane's program: the real ControlPlane over a real SQLite in memory, which can be killed before any use of its store.
class ControlProcess {
 public:
  ControlProcess(ExecutorProcess::Surroundings around, std::uint64_t seed, const PrivateKey& director, const PrivateKey& recorder);

  /// Before the clock runs.
  HostId enroll(const std::string& name, bool canary);
  void start_in(Duration delay);
  void kill(const std::string& why, std::optional<Duration> away);
  /// It will die at the n-th use of its store from now on.
  void doom(std::size_t operation, bool after_commit) { store_->kill_at(operation, after_commit); }
  void live_on() { store_->live_on(); }
  bool is_up() const { return plane_ != nullptr; }
  Instant now() const { return ModelHost::kEpoch + around_.scheduler.now().time_since_epoch() + skew; }

  void receive(std::size_t host, const std::string& body, std::function<void(Result<ReportAnswer>)> answer);
  void directions(std::size_t host, const agent::FetchDirections& fetch, std::function<void(Result<Directions>)> answer);

  /// Asks the control plane as a person does. @return nothing: it is away, or died over it, and may have done it.
  template <class F>
  auto ask(F&& question) -> std::optional<std::invoke_result_t<F&, ControlPlane&, Instant>> {
    if (!plane_) return std::nullopt;
    try {
      auto answer = question(*plane_, now());
      settle();
      return answer;
    } catch (const Killed&) {
      died("killed in its store");
      return std::nullopt;
    }
  }

  SqlConnection& database() { return *sqlite_; }
  FleetStore& truth() { return *truth_; }
  void check_shown();
  std::size_t number_of(const HostId& host) const;
  const std::vector<Envelope>& captured() const { return captured_; }

  Duration skew{};
  Caller admin{"token:test", "t", {Scope::kAdmin}};
  std::uint64_t deaths = 0, reports = 0;
  std::function<void(const RolloutId&)> on_rollout;

 private:
  struct Poll {
    std::size_t host = 0;
    agent::FetchDirections fetch;
    Monotonic until{};
    std::function<void(Result<Directions>)> answer;
  };
  void started();
  void died(const std::string& why, std::optional<Duration> away = std::nullopt);
  void tick();
  void settle();
  void look_at_all();
  void look_at_orders(std::size_t host);
  void look_at_run(const RunId& run);
  void look_at_rollout(const RolloutId& rollout);
  bool answer(Poll& poll);
  void say(const std::string& text) { around_.log.line(around_.scheduler.now(), "control: " + text); }

  ExecutorProcess::Surroundings around_;
  Dice dice_, random_;
  const PrivateKey& director_;
  const PrivateKey& recorder_;
  testing::PaperIssuer issuer_;
  std::unique_ptr<SqliteConnection> sqlite_;
  std::unique_ptr<testing::MortalStore> store_;
  std::unique_ptr<FleetStore> truth_;  // on the database itself, past the one that dies
  std::unique_ptr<ControlPlane> plane_;
  std::uint64_t life_ = 0;
  std::vector<ChangeNotice> notices_;
  std::vector<Poll> polls_;
  std::vector<HostId> hosts_;
  std::map<HostId, std::size_t> numbers_;
  std::vector<std::uint64_t> orders_seen_;
  std::map<RunId, RunState> outcomes_seen_;
  std::set<RolloutId> rollouts_seen_;
  std::vector<Envelope> captured_;
};

}  // namespace prunella::sim
