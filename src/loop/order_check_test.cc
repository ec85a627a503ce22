#include "loop/order_check.h"

#include <gtest/gtest.h>

#include "../tests/support/signed_orders.h"

namespace prunella {
namespace {

using testing_orders::kNow;
using testing_orders::SignedWorld;

std::string word(const OrderVerdict& verdict) {
  if (std::holds_alternative<AcceptedOrder>(verdict)) return "accepted";
  return std::string(to_text(std::get<RefusedOrder>(verdict).code));
}

TEST(OrderCheck, AcceptsTheGoodOrder) {
  SignedWorld world;
  auto verdict = check_order(world.signed_order(world.order()), world.context());
  ASSERT_TRUE(std::holds_alternative<AcceptedOrder>(verdict)) << std::get<RefusedOrder>(verdict).text;
  EXPECT_EQ(std::get<AcceptedOrder>(verdict).approvers, std::vector<std::string>({"ada", "bob"}));
}

TEST(OrderCheck, RefusesEachTamperedFieldForItsOwnReason) {
  struct Case {
    std::string_view what;
    std::function<void(SignedWorld&, Order&)> tamper;  ///< signed by the director afterwards
    Refusal refusal;
    std::string_view says;
  };
  const std::vector<Case> cases = {
      {"version", [](SignedWorld&, Order& o) { o.version = 2; }, Refusal::kMalformed, "version 2"},
      {"id", [](SignedWorld&, Order& o) { o.id = OrderId("x"); }, Refusal::kMalformed, "32 hexadecimal"},
      {"host", [](SignedWorld&, Order& o) { o.host = HostId("web-2"); }, Refusal::kWrongHost, "the order is for web-2"},
      {"plan.host", [](SignedWorld&, Order& o) { o.plan.host = HostId("web-2"); }, Refusal::kWrongHost, "the plan is for web-2"},
      {"sequence 0", [](SignedWorld&, Order& o) { o.sequence = 0; }, Refusal::kMalformed, "sequence 0"},
      {"sequence used", [](SignedWorld& w, Order& o) { w.memory.last_sequence = o.sequence; }, Refusal::kReplayed, "was used"},
      {"sequence below", [](SignedWorld& w, Order& o) { w.memory.last_sequence = o.sequence + 1; }, Refusal::kReplayed, "was used"},
      {"epoch", [](SignedWorld& w, Order& o) { w.memory.highest_epoch = o.epoch + 1; }, Refusal::kStaleEpoch, "epoch"},
      {"issued later", [](SignedWorld&, Order& o) { o.issued = kNow + std::chrono::minutes(6), o.expires = o.issued + std::chrono::minutes(1); }, Refusal::kNotYetValid, "issued"},
      {"expired", [](SignedWorld&, Order& o) { o.issued = kNow - std::chrono::minutes(10), o.expires = kNow; }, Refusal::kExpired, "expired"},
      {"lives too long", [](SignedWorld&, Order& o) { o.expires = o.issued + kOrderLifetimeMax + Duration(1); }, Refusal::kMalformed, "would live"},
      {"expires before issue", [](SignedWorld&, Order& o) { o.expires = o.issued; }, Refusal::kMalformed, "not after"},
      {"rollout.id", [](SignedWorld&, Order& o) { o.rollout.id = PlanId("PLN-other"); }, Refusal::kNotApproved, "another plan"},
      {"rollout.version", [](SignedWorld&, Order& o) { o.rollout.version = 2; }, Refusal::kMalformed, "the rollout"},
      {"rollout.purpose", [](SignedWorld&, Order& o) { o.rollout.purpose = "x"; }, Refusal::kNotApproved, "another plan"},
      {"rollout.selector", [](SignedWorld&, Order& o) { o.rollout.selector = "*"; }, Refusal::kNotApproved, "another plan"},
      {"rollout.wave_ends", [](SignedWorld&, Order& o) { o.rollout.wave_ends = {3}; }, Refusal::kNotApproved, "another plan"},
      {"rollout.wave_ends empty", [](SignedWorld&, Order& o) { o.rollout.wave_ends = {}; }, Refusal::kMalformed, "without hosts"},
      {"rollout.host_count", [](SignedWorld&, Order& o) { o.rollout.host_count = 4, o.rollout.wave_ends = {1, 4}; }, Refusal::kNotApproved, "another plan"},
      {"rollout.merkle_root", [](SignedWorld&, Order& o) { o.rollout.merkle_root = sha256("x"); }, Refusal::kPlanNotInRollout, "isn't number"},
      {"rollout.failures", [](SignedWorld&, Order& o) { o.rollout.failures_percent_max = 100; }, Refusal::kNotApproved, "another plan"},
      {"rollout.soak", [](SignedWorld&, Order& o) { o.rollout.soak_reports += 1; }, Refusal::kNotApproved, "another plan"},
      {"index", [](SignedWorld&, Order& o) { o.index = 2; }, Refusal::kPlanNotInRollout, "number 2"},
      {"proof", [](SignedWorld&, Order& o) { o.proof[0].bytes[0] ^= 1; }, Refusal::kPlanNotInRollout, "isn't number"},
      {"proof missing", [](SignedWorld&, Order& o) { o.proof.clear(); }, Refusal::kPlanNotInRollout, "isn't number"},
      {"proof too long", [](SignedWorld&, Order& o) { o.proof.assign(65, sha256("x")); }, Refusal::kPlanNotInRollout, "isn't number"},
      {"plan version", [](SignedWorld&, Order& o) { o.plan.version = 9; }, Refusal::kMalformed, "the plan"},
      {"plan package", [](SignedWorld&, Order& o) { o.plan.actions[0].transaction->changes[0].package.name = "sudo"; }, Refusal::kPlanNotInRollout, "isn't number"},
      {"plan to digest", [](SignedWorld&, Order& o) { o.plan.actions[0].transaction->changes[0].to.sha256.bytes[0] ^= 1; }, Refusal::kPlanNotInRollout, "isn't number"},
      {"plan removals", [](SignedWorld&, Order& o) { o.plan.removals = {"sudo"}; }, Refusal::kMalformed, "removals"},
      {"plan deadline", [](SignedWorld&, Order& o) { o.plan.deadline = Duration(1); }, Refusal::kMalformed, "deadline"},
      {"no approvals", [](SignedWorld&, Order& o) { o.approvals.clear(); }, Refusal::kNotApproved, "0 different"},
      {"one approval", [](SignedWorld&, Order& o) { o.approvals.pop_back(); }, Refusal::kNotApproved, "1 different"},
      {"one approver twice", [](SignedWorld&, Order& o) { o.approvals[1] = o.approvals[0]; }, Refusal::kNotApproved, "1 different"},
      {"too many approvals", [](SignedWorld&, Order& o) { o.approvals.assign(17, o.approvals[0]); }, Refusal::kMalformed, "17 approvals"},
      {"approval by the director", [](SignedWorld& w, Order& o) { o.approvals[1] = w.approval(o, "bob", w.director); }, Refusal::kNotApproved, "no approver"},
      {"approval in another's name", [](SignedWorld& w, Order& o) { o.approvals[1] = w.approval(o, "bob", w.ada); }, Refusal::kNotApproved, "in the name of"},
      {"approval expired", [](SignedWorld& w, Order& o) { o.approvals[1] = w.approval(o, "bob", w.bob, kNow - Duration(2), kNow); }, Refusal::kNotApproved, "expired"},
      {"approval of the future", [](SignedWorld& w, Order& o) { o.approvals[1] = w.approval(o, "bob", w.bob, kNow + std::chrono::hours(1), kNow + std::chrono::hours(2)); }, Refusal::kNotApproved, "future"},
      {"package no rule names", [](SignedWorld& w, Order& o) { w.set_package(o, "nano"); }, Refusal::kNotAllowed, "package nano"},
      {"own package", [](SignedWorld& w, Order& o) { w.set_package(o, "prunella-executor"); }, Refusal::kProtected, "protected"},
      {"protected unit", [](SignedWorld& w, Order& o) { w.set_restarts(o, {"ssh.service"}); }, Refusal::kProtected, "never restarted"},
      {"unit no rule names", [](SignedWorld& w, Order& o) { w.set_restarts(o, {"redis.service"}); }, Refusal::kNotAllowed, "unit redis.service"},
      {"budget", [](SignedWorld& w, Order&) { w.memory.spent.assign(2, {ActionKind::kPackageTransaction, kNow - Duration(1), {}}); }, Refusal::kBudget, "in the last hour"},
      {"budget in the future", [](SignedWorld& w, Order&) { w.memory.spent.assign(2, {ActionKind::kPackageTransaction, kNow + std::chrono::hours(9), {}}); }, Refusal::kBudget, "in the last hour"},
      {"outcomes", [](SignedWorld& w, Order&) { w.outcomes_waiting = kOutcomesMax; }, Refusal::kUnavailable, "outcomes wait"},
      {"frozen", [](SignedWorld& w, Order&) { w.frozen = true; }, Refusal::kFrozen, "unfreeze"},
      {"busy", [](SignedWorld& w, Order&) { w.busy = RunId("RUN-9"); }, Refusal::kBusy, "RUN-9"},
      {"no policy", [](SignedWorld& w, Order&) { w.has_policy = false; }, Refusal::kNoPolicy, "no signed policy"},
      {"old policy", [](SignedWorld& w, Order&) { w.policy.expires = kNow; }, Refusal::kNoPolicy, "expired"},
  };
  for (const Case& one : cases) {
    SignedWorld world;
    Order order = world.order();
    one.tamper(world, order);
    auto verdict = check_order(world.signed_order(order), world.context());
    ASSERT_TRUE(std::holds_alternative<RefusedOrder>(verdict)) << one.what;
    const auto& refused = std::get<RefusedOrder>(verdict);
    EXPECT_EQ(to_text(refused.code), to_text(one.refusal)) << one.what << ": " << refused.text;
    EXPECT_NE(refused.text.find(one.says), std::string::npos) << one.what << ": " << refused.text;
  }
}

TEST(OrderCheck, RefusesWhatTheDirectorDidNotSign) {
  SignedWorld world;
  Order order = world.order();
  for (const PrivateKey* key : {&world.ada, &world.operator_one})
    EXPECT_EQ(word(check_order(sign_envelope(kOrderType, to_canonical_text(order), *key), world.context())), "bad-signature");
  EXPECT_EQ(word(check_order(sign_envelope(kApprovalType, to_canonical_text(order), world.director), world.context())), "malformed");
  EXPECT_EQ(word(check_order_bytes("{}", world.context())), "malformed");
  EXPECT_EQ(word(check_order_bytes(std::string(8u << 20, ' '), world.context())), "too-large");
}

TEST(OrderCheck, RefusesEveryFlippedBitOfAnEnvelope) {
  SignedWorld world;
  std::string good = to_canonical_text(world.signed_order(world.order()));
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 7)));
    EXPECT_NE(word(check_order_bytes(bad, world.context())), "accepted") << at;
  }
}

TEST(OrderCheck, RefusesUnknownAndDoubleFields) {
  SignedWorld world;
  std::string text = to_canonical_text(world.order());
  for (std::string with : {R"({"force":true,)", R"({"sequence":9,)"}) {
    std::string more = with + text.substr(1);
    EXPECT_EQ(word(check_order(sign_envelope(kOrderType, more, world.director), world.context())), "malformed");
  }
}

TEST(OrderCheck, HoldsTheClockAgainstTheLastSignedTime) {
  SignedWorld world;
  Envelope envelope = world.signed_order(world.order());
  world.memory.time_floor = kNow + std::chrono::hours(1);  // something newer was verified, so the clock was set back
  EXPECT_EQ(word(check_order(envelope, world.context())), "expired");
  world.memory.time_floor = {};
  world.now = kNow + std::chrono::hours(24 * 3650);
  EXPECT_EQ(word(check_order(envelope, world.context())), "no-policy");
  world.now = kNow - std::chrono::hours(24 * 3650);
  EXPECT_EQ(word(check_order(envelope, world.context())), "not-yet-valid");
}

TEST(PolicyCheck, TakesOnlyANewerPolicyThatEnoughOperatorsSigned) {
  SignedWorld world;
  world.trust.threshold = 2;
  Envelope one = sign_envelope(kExecutorPolicyType, to_canonical_text(world.policy), world.operator_one);
  EXPECT_EQ(check_policy_envelope(one, world.trust, 0, kNow).error().kind(), ErrorKind::kDenied);
  Envelope two = one;
  ASSERT_TRUE(add_signature(two, world.operator_two));
  ASSERT_TRUE(check_policy_envelope(two, world.trust, 0, kNow));
  EXPECT_EQ(check_policy_envelope(two, world.trust, world.policy.serial, kNow).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(check_policy_envelope(two, world.trust, 0, world.policy.expires).error().kind(), ErrorKind::kExpired);
  EXPECT_EQ(check_policy_envelope(two, world.trust, 0, world.policy.issued - std::chrono::hours(1)).error().kind(), ErrorKind::kInvalidInput);
  world.trust.organisation = "other";
  EXPECT_EQ(check_policy_envelope(two, world.trust, 0, kNow).error().kind(), ErrorKind::kDenied);
  world.trust.operators.clear();
  EXPECT_EQ(check_policy_envelope(two, world.trust, 0, kNow).error().kind(), ErrorKind::kDenied);
}

TEST(Budget, CountsTheLastHourAndOnlyWhatIsAskedFor) {
  ExecutorBudget budget{1, 0};
  SignedWorld world;
  Plan plan = world.order().plan;
  EXPECT_FALSE(over_budget(budget, {}, plan, kNow));
  EXPECT_TRUE(over_budget(budget, {{ActionKind::kDpkgRepair, kNow - std::chrono::minutes(59), {}}}, plan, kNow));
  EXPECT_FALSE(over_budget(budget, {{ActionKind::kPackageTransaction, kNow - std::chrono::hours(1), {}}}, plan, kNow));
  EXPECT_FALSE(over_budget(budget, {{ActionKind::kServiceRestart, kNow, "a.service"}}, plan, kNow));
}

}  // namespace
}  // namespace prunella
