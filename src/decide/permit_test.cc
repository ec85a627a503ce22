#include "decide/permit.h"

#include <gtest/gtest.h>

namespace prunella {
namespace {

Plan upgrade_of(std::string package, std::vector<std::string> restarts = {}) {
  Plan plan;
  plan.host = HostId("web-1");
  plan.deadline = Duration(600'000);
  Action action;
  action.kind = ActionKind::kPackageTransaction;
  action.transaction = PackageTransaction{};
  action.transaction->changes.push_back({{std::move(package), "amd64"}, "1-1", DebFile{"1-1", sha256("old"), 1}, {"1-2", sha256("new"), 1}});
  action.transaction->restarts = std::move(restarts);
  plan.actions.push_back(action);
  return plan;
}

Plan restart_of(std::string unit) {
  Plan plan;
  Action action;
  action.kind = ActionKind::kServiceRestart;
  action.restart = ServiceRestart{std::move(unit), "test"};
  plan.actions.push_back(action);
  return plan;
}

ExecutorPolicy open_policy(std::uint32_t approvals = 1) {
  ExecutorPolicy policy;
  policy.serial = 3;
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, approvals},
                  {ActionKind::kDpkgRepair, {"*"}, {}, approvals},
                  {ActionKind::kServiceRestart, {}, {"*"}, approvals}};
  return policy;
}

TEST(Permit, AllowsWhatARuleCoversWithEnoughApprovals) {
  EXPECT_FALSE(permit(open_policy(2), upgrade_of("libssl3", {"nginx.service"}), 2));
  EXPECT_EQ(permit(open_policy(2), upgrade_of("libssl3"), 1)->code, Refusal::kNotApproved);
}

TEST(Permit, DeniesEverythingUnderAPolicyWithoutRules) {
  EXPECT_EQ(permit(ExecutorPolicy{}, upgrade_of("libssl3"), 9)->code, Refusal::kNotAllowed);
  EXPECT_EQ(permit(open_policy(), Plan{}, 9)->code, Refusal::kNotAllowed);
}

TEST(Permit, ProtectsTheListedUnitsFromAnyOrder) {
  for (std::string unit : {"ssh.service", "sshd.service", "ssh@7.service", "ssh.socket", "systemd-journald.service", "systemd-logind.service",
                           "dbus.service", "dbus.socket", "prunella-agent.service", "prunella-executor.service", "auditd.service",
                           "apparmor.service", "multi-user.target", "var.mount", "user@1000.service", "docker.service", "nftables.service"}) {
    EXPECT_EQ(permit(open_policy(0), restart_of(unit), 9)->code, Refusal::kProtected) << unit;
    EXPECT_EQ(permit(open_policy(0), upgrade_of("libssl3", {unit}), 9)->code, Refusal::kProtected) << unit;
  }
  EXPECT_FALSE(permit(open_policy(0), restart_of("nginx.service"), 0));
}

TEST(Permit, ProtectsOurOwnPackages) {
  EXPECT_EQ(permit(open_policy(0), upgrade_of("prunella-executor"), 9)->code, Refusal::kProtected);
}

TEST(Permit, ObeysThePolicysNeverLists) {
  auto policy = open_policy(0);
  policy.never_packages = {"postgresql-*"};
  policy.never_units = {"postgresql@*"};
  EXPECT_EQ(permit(policy, upgrade_of("postgresql-15"), 9)->code, Refusal::kProtected);
  EXPECT_EQ(permit(policy, upgrade_of("libssl3", {"postgresql@15-main.service"}), 9)->code, Refusal::kProtected);
  EXPECT_FALSE(permit(policy, upgrade_of("libssl3"), 0));
}

TEST(Permit, NeedsOneRuleThatCoversAllOfAnAction) {
  ExecutorPolicy policy;
  policy.rules = {{ActionKind::kPackageTransaction, {"libssl*"}, {"nginx.service"}, 1}, {ActionKind::kPackageTransaction, {"openssl"}, {"*"}, 1}};
  EXPECT_FALSE(permit(policy, upgrade_of("libssl3", {"nginx.service"}), 1));
  auto denial = permit(policy, upgrade_of("libssl3", {"redis.service"}), 1);
  ASSERT_TRUE(denial);
  EXPECT_EQ(denial->code, Refusal::kNotAllowed);
  EXPECT_EQ(permit(policy, restart_of("nginx.service"), 1)->code, Refusal::kNotAllowed);
}

TEST(Permit, TakesTheRuleWithTheFewestApprovals) {
  ExecutorPolicy policy;
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 2}, {ActionKind::kPackageTransaction, {"tzdata"}, {"*"}, 0}};
  EXPECT_EQ(approvals_needed(policy, upgrade_of("tzdata")).approvals, 0u);
  EXPECT_EQ(approvals_needed(policy, upgrade_of("libssl3")).approvals, 2u);
}

TEST(Permit, NeedsAnApprovalWhereThereIsNoWayBack) {
  auto plan = upgrade_of("tzdata");
  plan.actions[0].transaction->changes[0].from.reset();
  EXPECT_EQ(permit(open_policy(0), plan, 1)->code, Refusal::kNotAllowed);  // it doesn't say so
  plan.irreversible = "the old file of tzdata can't be had any more";
  EXPECT_EQ(permit(open_policy(0), plan, 0)->code, Refusal::kNotApproved);
  EXPECT_FALSE(permit(open_policy(0), plan, 1));
}

TEST(PermitStanding, KeepsToItsUnitsAndItsCooldown) {
  ExecutorPolicy policy;
  policy.standing = {{StandingTrigger::kUnitFailed, {"app-*.service", "*"}, Duration(60'000)}};
  EXPECT_FALSE(permit_standing(policy, StandingTrigger::kUnitFailed, "app-1.service", std::nullopt));
  EXPECT_FALSE(permit_standing(policy, StandingTrigger::kUnitFailed, "app-1.service", Duration(60'000)));
  EXPECT_EQ(permit_standing(policy, StandingTrigger::kUnitFailed, "app-1.service", Duration(59'999))->code, Refusal::kBudget);
  EXPECT_EQ(permit_standing(policy, StandingTrigger::kRestartNeeded, "app-1.service", std::nullopt)->code, Refusal::kNotAllowed);
  EXPECT_EQ(permit_standing(policy, StandingTrigger::kUnitFailed, "ssh.service", std::nullopt)->code, Refusal::kProtected);
}

}  // namespace
}  // namespace prunella
