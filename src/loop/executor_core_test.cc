#include "loop/executor_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../tests/support/model_host.h"
#include "../tests/support/seeded_random.h"
#include "../tests/support/signed_orders.h"

namespace prunella {
namespace {

using ::testing::ElementsAre;
using testing::ModelHost;

/// An executor on a host with a service that failed, under a policy with a standing rule for it.
class ExecutorCoreTest : public ::testing::Test {
 protected:
  ExecutorCoreTest() {
    host_.wall = testing_orders::kNow;
    world_.policy.standing = {{StandingTrigger::kUnitFailed, {"app-*.service"}, std::chrono::minutes(5)}};
    world_.trust.threshold = 2;
    Envelope envelope = sign_envelope(kExecutorPolicyType, to_canonical_text(world_.policy), world_.operator_one);
    envelope.signatures.push_back(sign_envelope(kExecutorPolicyType, to_canonical_text(world_.policy), world_.operator_two).signatures.front());
    policies_.text = to_canonical_text(envelope);
    host_.unit_list = {unit("app-web.service", "failed"), unit("nginx.service", "active")};
    start();
  }

  static UnitState unit(const std::string& name, const std::string& active) {
    UnitState state;
    state.unit.name = name;
    state.unit.load = "loaded";
    state.unit.active = active;
    state.unit.sub = active == "active" ? "running" : active;
    state.unit.invocation = "invocation-1";
    return state;
  }

  /// As a new start of the program: it knows what its journal says.
  void start() {
    journal_.emplace(*Journal::open(host_, host_.wall));
    core_ = std::make_unique<ExecutorCore>(HostTools{host_, host_, host_, host_, host_, host_, host_, host_, host_}, *journal_, policies_, random_,
                                           ExecutorCore::Settings{world_.trust, "1"}, [this] { return frozen_; });
    core_->start([](const std::string&) {});
  }

  RunOutcome ask(const ExecutorRequest& request) {
    std::optional<RunOutcome> outcome;
    core_->handle(request, [&](const ExecutorAnswer& answer) {
      if (answer.outcome) outcome = answer.outcome;
      if (answer.error) ADD_FAILURE() << *answer.error;
    });
    return outcome.value_or(RunOutcome{});
  }
  RunOutcome restart_failed(const std::string& unit) {
    ExecutorRequest request;
    request.verb = ExecutorVerb::kStanding;
    request.trigger = StandingTrigger::kUnitFailed;
    request.unit = unit;
    return ask(request);
  }
  RunOutcome give(const Order& order) {
    ExecutorRequest request;
    request.verb = ExecutorVerb::kOrder;
    request.envelope = world_.signed_order(order);
    return ask(request);
  }

  testing_orders::SignedWorld world_;
  ModelHost host_;
  testing::ModelPolicyStore policies_;
  testing::SeededRandom random_{1};
  bool frozen_ = false;
  std::optional<Journal> journal_;
  std::unique_ptr<ExecutorCore> core_;
};

TEST_F(ExecutorCoreTest, AStandingRestartNeedsOneWriteOfTheJournalBeforeItActs) {
  long before = host_.syncs;

  RunOutcome outcome = restart_failed("app-web.service");

  EXPECT_EQ(outcome.state, RunState::kVerified) << outcome.reason;
  EXPECT_THAT(host_.restarts, ElementsAre("app-web.service"));
  EXPECT_THAT(host_.syncs_at_restart, ElementsAre(before + 1));
}

TEST_F(ExecutorCoreTest, AUnitThatDidNotFailIsLeftAloneWhateverTheAgentSays) {
  host_.unit_list[0].unit.active = "active";

  RunOutcome outcome = restart_failed("app-web.service");

  EXPECT_EQ(outcome.refusal, Refusal::kWorldMoved);
  EXPECT_THAT(host_.restarts, ElementsAre());
}

TEST_F(ExecutorCoreTest, AnOrderThatWasRefusedForTheMomentIsRefusedForEver) {
  Order order = world_.order();
  order.sequence = 1;
  frozen_ = true;
  ASSERT_EQ(give(order).refusal, Refusal::kFrozen);
  frozen_ = false;

  EXPECT_EQ(give(order).refusal, Refusal::kReplayed);
  start();
  EXPECT_EQ(give(order).refusal, Refusal::kReplayed);
}

TEST_F(ExecutorCoreTest, AnOrderThatNobodyApprovedUsesUpNoNumber) {
  Order forged = world_.order();
  forged.sequence = 1000;
  forged.approvals.clear();
  ASSERT_EQ(give(forged).refusal, Refusal::kNotApproved);

  EXPECT_EQ(core_->facts().last_sequence, 0u);
}

TEST_F(ExecutorCoreTest, ARefusalThatMayBeForgottenIsNotTold) {
  Order order = world_.order();
  frozen_ = true;
  host_.journal_fails = true;

  RunOutcome outcome = give(order);

  EXPECT_FALSE(outcome.refusal) << "only the next start knows what the journal holds";
  EXPECT_TRUE(journal_->broken());
}

}  // namespace
}  // namespace prunella
