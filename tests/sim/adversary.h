#pragma once

#include <functional>
#include <string>
#include <vector>

#include "people.h"

namespace prunella::sim {

/// Somebody who has the director's online key, reads every message and speaks to executors as their agents do; by the seed also one
/// approver's key, and the control plane's database. Nothing of that may do more than the signed policies allow (TRUST.md T2, T4,
/// T14).
class Adversary {
 public:
  Adversary(ExecutorProcess::Surroundings around, std::uint64_t seed, const People& people, ControlProcess& control, std::function<ExecutorProcess&(std::size_t)> executor,
            std::vector<HostId> hosts);
  /// What it wrote into the database is found and taken away.
  void found_out();
  /// One attempt.
  void strike();
  std::uint64_t attempts = 0;

 private:
  struct Captured {
    Envelope envelope;
    Order order;
  };
  void replay();
  void forge();
  void forge_rows();
  std::optional<Captured> captured(std::optional<std::size_t> host);
  Order fresh(std::size_t host, const Order& like);
  /// An order for a rollout of the adversary's own, over `plan`, with what approvals there are.
  Order own_rollout(std::size_t host, Plan plan, int times_signed, Duration approval_lifetime);
  Plan restart_plan(std::size_t host, const std::string& unit);
  void send(std::size_t host, const Order& order, bool with_director_key, const std::string& what);

  ExecutorProcess::Surroundings around_;
  Dice dice_;
  const People& people_;
  ControlProcess& control_;
  std::function<ExecutorProcess&(std::size_t)> executor_;
  std::vector<HostId> hosts_;
};

}  // namespace prunella::sim
