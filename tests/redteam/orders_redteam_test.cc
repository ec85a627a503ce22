#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "../tests/support/seeded_random.h"
#include "../tests/support/signed_orders.h"

/// 10,000 orders by someone who owns the control plane: its online director key, every order and approval that ever went over the
/// wire, and the freedom to forge, alter, replay, delay and reorder them. What is accepted must be what the operators' policy and
/// the approvers' signatures allow, judged here by a second, dumber set of rules that shares no code with the checks.
namespace prunella {
namespace {

using testing_orders::kNow;
using testing_orders::SignedWorld;

constexpr int kOrders = 10'000;

struct Attack {
  SignedWorld world;
  testing::SeededRandom random;
  std::vector<Order> captured;                 ///< genuine orders, with genuine approvals
  std::set<std::string> approved;              ///< rollout digests that both approvers really signed
  std::map<std::string, int> refusals;
  std::set<std::uint64_t> used_sequences;
  std::vector<Instant> package_acts, restart_acts;

  explicit Attack(std::uint64_t seed) : random(seed) {
    for (std::string package : {"libssl3", "openssl", "libc6"}) {
      Order order = world.order();
      order.rollout.id = PlanId("PLN-" + package);
      order.plan = SignedWorld::plan_of(package);
      world.seal(order);
      order.approvals = {world.approval(order, "ada", world.ada, kNow, kNow + std::chrono::hours(24)), world.approval(order, "bob", world.bob, kNow, kNow + std::chrono::hours(24))};
      approved.insert(digest_of(order.rollout).hex());
      captured.push_back(order);
    }
    // One that is approved by people and still outside the policy: people make mistakes, the policy stands.
    Order outside = world.order();
    outside.rollout.id = PlanId("PLN-outside");
    outside.plan = SignedWorld::plan_of("nano");
    world.seal(outside);
    captured.push_back(outside);
  }

  std::uint64_t pick(std::uint64_t bound) { return random.below(bound); }

  Plan hostile_plan() {
    static const std::vector<std::string> packages = {"sudo", "libssl3", "prunella-executor", "openssl", "nano", "libpam-evil", "--force-all", "linux-image-amd64"};
    static const std::vector<std::string> units = {"ssh.service", "app-1.service", "nginx.service", "auditd.service", "prunella-agent.service",
                                                   "multi-user.target", "systemd-logind.service", "-x.service", "app-2.service", "redis.service"};
    Plan plan = SignedWorld::plan_of(packages[pick(packages.size())]);
    switch (pick(6)) {
      case 0:
        plan.actions[0].kind = ActionKind::kServiceRestart;
        plan.actions[0].transaction.reset();
        plan.actions[0].restart = ServiceRestart{units[pick(units.size())], "x"};
        break;
      case 1: plan.actions[0].transaction->restarts = {units[pick(units.size())]}; break;
      case 2: plan.removals = {"sudo"}; break;
      case 3: plan.actions[0].transaction->changes[0].from.reset(), plan.irreversible = "x"; break;
      case 4:
        plan.actions[0].kind = ActionKind::kDpkgRepair;
        plan.actions[0].transaction.reset();
        plan.actions[0].repair = DpkgRepair{};
        break;
      default: plan.actions[0].transaction->changes[0].to.sha256 = sha256("evil"); break;
    }
    return plan;
  }

  Order forge() {
    Order order = captured[pick(captured.size())];
    order.sequence = pick(3) ? world.memory.last_sequence + 1 + pick(3) : pick(world.memory.last_sequence + 2);
    order.epoch = world.memory.highest_epoch + pick(3) - std::min<std::uint64_t>(1, world.memory.highest_epoch);
    order.id = OrderId(sha256(std::to_string(random.next())).hex().substr(0, 32));
    order.issued = world.now - Duration(static_cast<std::int64_t>(pick(1'200'000))) + Duration(static_cast<std::int64_t>(pick(600'000)));
    order.expires = order.issued + Duration(static_cast<std::int64_t>(pick(1'200'000)));
    switch (pick(8)) {
      case 0: break;  // a genuine plan in a new envelope
      case 1: order.plan = hostile_plan(); break;  // approvals and proof of another plan
      case 2: {  // a rollout of the attacker's own, with approvals that were made for another
        auto approvals = order.approvals;
        order.plan = hostile_plan();
        world.seal(order);
        order.approvals = approvals;
        break;
      }
      case 3: {  // approvals signed with the key that the attacker has
        order.plan = hostile_plan();
        world.seal(order);
        order.approvals = {world.approval(order, "ada", world.director), world.approval(order, "bob", world.director)};
        break;
      }
      case 4: {  // no approvals at all: what the policy gives for nothing
        order.plan = hostile_plan();
        world.seal(order);
        order.approvals.clear();
        break;
      }
      case 5: order.approvals.assign(2, order.approvals[pick(2)]); break;
      case 6: order.host = HostId("web-2"); break;
      case 7: order.rollout.wave_ends = {3}; break;
    }
    return order;
  }

  std::string send_text(const Order& order) {
    const PrivateKey& key = pick(20) == 0 ? world.ada : world.director;
    std::string text = to_canonical_text(sign_envelope(kOrderType, to_canonical_text(order), key));
    if (pick(10) == 0) text[pick(text.size())] = static_cast<char>(pick(256));
    return text;
  }

  void expect_allowed(const AcceptedOrder& accepted) {
    const Order& order = accepted.order;
    ASSERT_EQ(order.host.text(), "web-1");
    ASSERT_EQ(order.plan.host.text(), "web-1");
    ASSERT_TRUE(used_sequences.insert(order.sequence).second) << "sequence " << order.sequence << " acts twice";
    ASSERT_GT(order.sequence, world.memory.last_sequence);
    ASSERT_GE(order.epoch, world.memory.highest_epoch);
    ASSERT_LT(world.now, order.expires);
    bool approved_by_people = approved.contains(digest_of(order.rollout).hex());
    for (const Action& action : order.plan.actions) {
      if (action.kind == ActionKind::kServiceRestart) {
        ASSERT_TRUE(action.restart->unit.starts_with("app-")) << action.restart->unit;
        continue;
      }
      ASSERT_EQ(action.kind, ActionKind::kPackageTransaction);
      ASSERT_TRUE(approved_by_people) << "a package plan that nobody approved";
      for (const PackageChange& change : action.transaction->changes) {
        ASSERT_TRUE(change.package.name.starts_with("lib") || change.package.name == "openssl") << change.package.name;
        ASSERT_EQ(change.to.sha256, sha256("new"));  // the file that the people saw
      }
      ASSERT_EQ(action.transaction->restarts, std::vector<std::string>({"nginx.service"}));
    }
    for (const Action& action : order.plan.actions) (action.kind == ActionKind::kServiceRestart ? restart_acts : package_acts).push_back(world.now);
    auto last_hour = [&](const std::vector<Instant>& acts) { return std::ranges::count_if(acts, [&](Instant at) { return at > world.now - std::chrono::hours(1); }); };
    ASSERT_LE(last_hour(package_acts), 2);
    ASSERT_LE(last_hour(restart_acts), 5);
  }

  /// What the journal does with an accepted order.
  void remember(const AcceptedOrder& accepted) {
    AcceptedRun run;
    run.run = accepted.order.run;
    run.host = accepted.order.host;
    run.sequence = accepted.order.sequence;
    run.epoch = accepted.order.epoch;
    run.issued = accepted.order.issued;
    run.plan = accepted.order.plan;
    JournalRecord record;
    record.at = world.now;
    record.accepted = run;
    JournalState state;
    state.memory = world.memory;
    ASSERT_TRUE(apply_record(record, state));
    world.memory = state.memory;
  }
};

class RedTeam : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(RedTeam, ActsOutsideThePolicyNeverAndTwiceNever) {
  Attack attack(GetParam());
  std::vector<std::string> sent;
  int accepted = 0, replays = 0;
  for (int i = 0; i < kOrders; ++i) {
    // Time goes on, and sometimes the attacker owns the time server too.
    attack.world.now += Duration(static_cast<std::int64_t>(attack.pick(2'000)));
    Instant honest = attack.world.now;
    if (attack.pick(50) == 0) attack.world.now -= std::chrono::hours(static_cast<int>(attack.pick(87'600)));
    bool replay = !sent.empty() && attack.pick(4) == 0;
    std::string text = replay ? sent[attack.pick(sent.size())] : attack.send_text(attack.forge());
    if (!replay) sent.push_back(text);
    replays += replay;

    OrderVerdict verdict = check_order_bytes(text, attack.world.context());

    if (const auto* refused = std::get_if<RefusedOrder>(&verdict)) {
      ++attack.refusals[std::string(to_text(refused->code))];
      EXPECT_FALSE(refused->text.empty());
    } else {
      ++accepted;
      ASSERT_NO_FATAL_FAILURE(attack.expect_allowed(std::get<AcceptedOrder>(verdict)));
      ASSERT_NO_FATAL_FAILURE(attack.remember(std::get<AcceptedOrder>(verdict)));
    }
    attack.world.now = honest;
  }
  // The attack must have teeth: some orders pass (they're within the policy), and most checks had work.
  EXPECT_GT(accepted, 10);
  EXPECT_GT(replays, 1000);
  for (std::string code : {"malformed", "bad-signature", "wrong-host", "expired", "not-yet-valid", "replayed", "stale-epoch", "plan-not-in-rollout", "not-approved",
                           "not-allowed", "protected", "budget"})
    EXPECT_GT(attack.refusals[code], 0) << code;
  std::string counts = "accepted " + std::to_string(accepted);
  for (const auto& [code, count] : attack.refusals) counts += ", " + code + " " + std::to_string(count);
  RecordProperty("orders", counts);
  std::printf("%d orders, %d of them replays: %s\n", kOrders, replays, counts.c_str());
}
INSTANTIATE_TEST_SUITE_P(Seeds, RedTeam, ::testing::Values(1));

}  // namespace
}  // namespace prunella
