#include "faults.h"

namespace prunella::sim {

std::vector<std::pair<std::string, bool*>> Faults::classes() {
  return {{"executor-crash", &executor_crash}, {"agent-crash", &agent_crash},       {"control-crash", &control_crash},
          {"power-loss", &power_loss},         {"sync-error", &sync_error},         {"disk-full", &disk_full},
          {"slow-network", &slow_network},     {"request-loss", &request_loss},     {"answer-loss", &answer_loss},
          {"duplication", &duplication},       {"partition", &partition},           {"control-down", &control_down},
          {"clock-skew", &clock_skew},         {"clock-jump", &clock_jump},         {"control-clock-jump", &control_clock_jump},
          {"bad-patch", &bad_patch},           {"foreign-apt", &foreign_apt},       {"admin-edits", &admin_edits},
          {"archive-away", &archive_away},     {"bad-download", &bad_download},     {"slow-people", &slow_people},
          {"unit-trouble", &unit_trouble},     {"frozen", &frozen},                 {"new-policy", &new_policy},
          {"forged-orders", &forged_orders},   {"stolen-approver", &stolen_approver}, {"replays", &replays},
          {"forged-database", &forged_database}};
}

std::string Faults::text() {
  std::string text;
  for (const auto& [name, on] : classes())
    if (*on) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "none" : text;
}

Faults draw_faults(Dice& dice) {
  Faults faults;
  // With half of all classes on, few fleets come beyond their first waves; with few on, whole fleets are patched under them.
  constexpr double kDensities[] = {0.06, 0.2, 0.5};
  const double density = kDensities[dice.below(3)];
  for (const auto& [name, on] : faults.classes()) *on = dice.chance(density);
  // A jump of the control plane's own clock ends most rollouts, so that little else would be seen: one seed in eight.
  faults.control_clock_jump = faults.control_clock_jump && dice.chance(0.25);
  // A run has some 150 steps: from nearly none to several deaths in each.
  constexpr double kCrashRates[] = {0.001, 0.004, 0.015, 0.04};
  faults.crash_rate = kCrashRates[dice.below(4)];
  constexpr double kSyncErrorRates[] = {0.002, 0.01, 0.05};
  faults.sync_error_rate = kSyncErrorRates[dice.below(3)];
  constexpr double kLossRates[] = {0.02, 0.1, 0.3};
  faults.loss_rate = kLossRates[dice.below(3)];
  return faults;
}

}  // namespace prunella::sim
