#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control_process.h"

namespace prunella::sim {

/// A person's name and keys.
struct Person {
  std::string name;
  PrivateKey key;
};

/// Those who plan, approve and steer, in good time or late, and who ask again when nobody answers.
class People {
 public:
  struct Keys {
    PrivateKey director, recorder, offline;  ///< the last one signs policies
    std::vector<Person> approvers;
  };
  People(ExecutorProcess::Surroundings around, std::uint64_t seed, const Keys& keys, ControlProcess& control, std::uint32_t approvals_needed);

  Envelope policy(std::uint64_t serial, bool narrow);
  void install_policy(std::uint64_t serial, bool narrow);
  /// Campaigns begin, one after the other; the last one ends with the faults.
  void begin(Duration delay);
  /// From now on everyone does his part at once.
  void mend();
  bool is_done() const { return campaign_ >= kCampaigns || (mending_ && !active_); }
  Envelope approval(const RolloutPlan& plan, const Person& person, Duration lifetime);
  /// What an eavesdropper has: approvals of plans, with the plans.
  struct Seen {
    PlanView plan;
    std::vector<Envelope> approvals;
  };
  const std::vector<Seen>& seen() const { return seen_; }
  const std::vector<Envelope>& policies() const { return policies_; }
  const Keys& keys() const { return keys_; }
  std::uint64_t rollouts_started = 0;

 private:
  static constexpr int kCampaigns = 2;
  static constexpr Duration kAgain = std::chrono::seconds(15);
  void plan();
  void start();
  void approve(std::size_t person);
  void steer();
  void watch();
  void campaign_over(const std::string& why);
  template <class F>
  void later(Duration delay, F work) {
    around_.scheduler.after(delay, [this, campaign = campaign_, work = std::move(work)] {
      if (campaign == campaign_) work();
    });
  }
  void say(const std::string& text) { around_.log.line(around_.scheduler.now(), "people: " + text); }

  ExecutorProcess::Surroundings around_;
  Dice dice_;
  const Keys& keys_;
  ControlProcess& control_;
  std::uint32_t approvals_needed_;
  int campaign_ = 0;
  bool active_ = false, mending_ = false;
  std::optional<PlanView> plan_;
  std::optional<RolloutId> rollout_;
  std::vector<bool> willing_, signed_;
  std::vector<Seen> seen_;
  std::vector<Envelope> policies_;
};

}  // namespace prunella::sim
