#include "loop/agent_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <queue>

#include "loop/agent_sections.h"
#include "model/envelope.h"
#include "../tests/support/seeded_random.h"

namespace prunella::agent {
namespace {

using std::chrono::seconds;

PrivateKey key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return PrivateKey(seed);
}

constexpr std::uint8_t kOperator = 1, kDirector = 2;

CoreSetup setup_of(std::string instance = "i1") {
  CoreSetup setup;
  setup.trust = {HostId("web-1"), "example", {key_of(kOperator).public_key()}, 1};
  setup.instance = std::move(instance);
  setup.agent_version = "0.1";
  return setup;
}

Envelope policy_of(std::uint64_t serial, std::vector<StandingRule> standing = {}) {
  ExecutorPolicy policy;
  policy.serial = serial;
  policy.organisation = "example";
  policy.issued = Instant{};
  policy.expires = Instant{} + std::chrono::hours(24 * 365);
  policy.directors = {key_of(kDirector).public_key()};
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 0}};
  policy.standing = std::move(standing);
  policy.budget = {100, 100};
  return sign_envelope(kExecutorPolicyType, to_canonical_text(policy), key_of(kOperator));
}

Order order_of(std::uint64_t sequence, const RunId& run) {
  Order order;
  order.id = OrderId(sha256(run.text()).hex().substr(0, 32));
  order.host = HostId("web-1");
  order.sequence = sequence;
  order.run = run;
  order.issued = Instant{};
  order.expires = Instant{} + std::chrono::hours(24 * 365);
  order.rollout.id = PlanId("PLN-1");
  order.plan.host = order.host;
  order.plan.purpose = "security updates";
  order.plan.deadline = Duration(600'000);
  Action action;
  action.transaction = PackageTransaction{};
  std::string version = "1." + std::to_string(sequence);
  action.transaction->changes.push_back(
      {{"libssl3", "amd64"}, "1.0-1", DebFile{"1.0-1", sha256("old"), 10}, {version, sha256(version), 11}});
  order.plan.actions.push_back(action);
  return order;
}
Envelope signed_order(const Order& order, std::uint8_t key = kDirector) { return sign_envelope(kOrderType, to_canonical_text(order), key_of(key)); }

RunOutcome outcome_of(const RunId& run, RunState state = RunState::kVerified) {
  RunOutcome outcome;
  outcome.run = run;
  outcome.host = HostId("web-1");
  outcome.cause = "order";
  outcome.state = state;
  return outcome;
}

Package package_of(std::string name, std::string version) {
  return {{std::move(name), "amd64"}, version, "src", version, PackageState::kInstalled, false, PackageSelection::kInstall};
}

template <class T>
std::vector<T> all(const Effects& effects) {
  std::vector<T> found;
  for (const Effect& effect : effects)
    if (const T* one = std::get_if<T>(&effect)) found.push_back(*one);
  return found;
}
template <class T>
bool has(const Effects& effects) {
  return !all<T>(effects).empty();
}
Report report_in(const Effects& effects) {
  auto reports = all<SendReport>(effects);
  check(reports.size() == 1, "one report");
  auto report = from_json_text<Report>(reports[0].body, {.bytes_max = kReportBytesMax});
  check(report.has_value(), report ? "" : report.error().text().c_str());
  check(report->events.size() == reports[0].events, "the number of events is right");
  return *report;
}

/// A core with a hand on its clock.
class CoreTest : public ::testing::Test {
 protected:
  Effects feed(Input input) { return core->handle(std::move(input), now()); }
  Now now() const { return {Instant{} + steady, Monotonic{} + steady}; }
  void pass(Duration time) { steady += time; }
  void restart(Memory memory = {}, std::optional<Envelope> policy = std::nullopt, CoreSetup setup = setup_of()) {
    core.emplace(std::move(setup), std::move(memory), std::move(policy), random, now());
  }
  ReportAnswer answer(std::map<std::string, std::uint64_t> received = {}, std::vector<std::string> resync = {}) {
    ReportAnswer a;
    a.now = now().wall;
    a.received = std::move(received);
    a.resync = std::move(resync);
    a.heartbeat_seconds = 30;
    return a;
  }
  ExecutorAnswered executor(std::uint64_t sequence = 0, std::vector<RunOutcome> outcomes = {}, std::optional<std::string> busy = {},
                            std::optional<std::uint64_t> policy = 1) {
    ExecutorFacts facts{"0.1", policy, now().wall + std::chrono::hours(1), sequence, std::move(busy), false};
    return {facts, std::move(outcomes)};
  }
  SectionSensed packages(std::vector<Package> list, bool pending = false) {
    return {sensed(PackageFacts{std::move(list), pending}, now().wall)};
  }
  SectionSensed units(std::string active) {
    UnitFacts facts;
    facts.units = {{"nginx.service", "loaded", std::move(active), "x", std::nullopt, std::nullopt, std::nullopt}};
    facts.system = "running";
    return {sensed(facts, now().wall)};
  }

  testing::SeededRandom random{7};
  Duration steady = seconds(1000);
  std::optional<Core> core;
};

TEST_F(CoreTest, SaysHelloAsksTheExecutorAndThenFetchesAfterItsSequence) {
  restart();
  Effects first = feed(Tick{});
  EXPECT_EQ(report_in(first).events.size(), 0u);
  EXPECT_TRUE(has<AskExecutor>(first));
  EXPECT_FALSE(has<FetchDirections>(first));
  Effects second = feed(executor(7));
  ASSERT_EQ(all<FetchDirections>(second).size(), 1u);
  EXPECT_EQ(all<FetchDirections>(second)[0].after, 7u);
}

TEST_F(CoreTest, WithoutAControlPlaneItReportsAndFetchesNothing) {
  CoreSetup alone = setup_of();
  alone.has_control_plane = false;
  restart({}, std::nullopt, alone);
  Effects effects = feed(executor());
  EXPECT_FALSE(has<SendReport>(effects));
  EXPECT_FALSE(has<FetchDirections>(effects));
}

TEST_F(CoreTest, SendsAChangedSectionAtOnceAndAnUnchangedOneNever) {
  restart();
  feed(Tick{});
  feed(ReportAnswered{answer()});
  Report report = report_in(feed(packages({package_of("aa", "1")})));
  ASSERT_EQ(report.events.size(), 1u);
  EXPECT_EQ(report.events[0].type, kEventSection);
  EXPECT_EQ(report.events[0].id, "i1-packages-1");
  EXPECT_EQ(report.events[0].sequence, 1u);
  EXPECT_FALSE(has<SendReport>(feed(ReportAnswered{answer({{"packages", 1}})})));
  pass(seconds(5));
  EXPECT_FALSE(has<SendReport>(feed(packages({package_of("aa", "1")}))));
}

TEST_F(CoreTest, BeatsItsHeartWhenNothingHappens) {
  restart();
  feed(Tick{});
  feed(executor());
  Effects after = feed(ReportAnswered{answer()});
  if (has<SendReport>(after)) feed(ReportAnswered{answer({{"executor", 1}})});
  EXPECT_LE(core->wake(), now().steady + seconds(30));
  pass(seconds(29));
  EXPECT_FALSE(has<SendReport>(feed(Tick{})));
  pass(seconds(1));
  EXPECT_EQ(report_in(feed(Tick{})).events.size(), 0u);
}

TEST_F(CoreTest, SendsPackagesAsADeltaWhoseDigestIsThatOfTheWholeList) {
  restart();
  feed(packages({package_of("aa", "1"), package_of("bb", "1"), package_of("cc", "1"), package_of("dd", "1")}));
  feed(ReportAnswered{answer({{"packages", 1}})});
  Report report = report_in(feed(packages({package_of("aa", "1"), package_of("bb", "2"), package_of("dd", "1"), package_of("ee", "1")})));
  ASSERT_EQ(report.events[0].type, kEventPackagesDelta);
  auto delta = from_json<PackagesDelta>(report.events[0].data);
  ASSERT_TRUE(delta) << delta.error().text();
  EXPECT_EQ(delta->changed.size(), 2u);
  EXPECT_EQ(delta->gone, (std::vector<PackageName>{{"cc", "amd64"}}));
  EXPECT_EQ(delta->digest, sha256(to_canonical_text(*core->facts().packages->value)));
}

TEST_F(CoreTest, SendsThePackagesWholeWhenAskedAndAfterTheyWereUnknown) {
  restart();
  feed(packages({package_of("aa", "1"), package_of("bb", "1"), package_of("cc", "1")}));
  Effects asked = feed(ReportAnswered{answer({{"packages", 1}}, {"packages", "no-such-section"})});
  EXPECT_EQ(report_in(asked).events[0].type, kEventSection);
  feed(ReportAnswered{answer({{"packages", 2}})});
  Report unknown = report_in(feed(SectionSensed{not_sensed<PackageFacts>("dpkg's status can't be read", now().wall)}));
  EXPECT_EQ(unknown.events[0].type, kEventSection);
  feed(ReportAnswered{answer({{"packages", 3}})});
  EXPECT_EQ(report_in(feed(packages({package_of("aa", "1"), package_of("bb", "1"), package_of("cc", "1")}))).events[0].type, kEventSection);
}

TEST_F(CoreTest, SendsTheSameEventAgainWithTheSameNumberAndTheNewestValueAfterIt) {
  restart();
  Report lost = report_in(feed(units("active")));
  feed(units("failed"));
  feed(units("inactive"));
  feed(ReportFailed{unavailable("connection refused")});
  pass(kReconnectMax);
  Report again = report_in(feed(Tick{}));
  EXPECT_EQ(again.events, lost.events);
  Report next = report_in(feed(ReportAnswered{answer({{"units", 1}})}));
  ASSERT_EQ(next.events.size(), 1u);
  EXPECT_EQ(next.events[0].sequence, 2u);
  EXPECT_EQ(from_json<Sensed<UnitFacts>>(next.events[0].data)->value->units[0].active, "inactive");
}

TEST_F(CoreTest, WaitsLongerAfterEachFailureButNeverLongerThanTheMaximum) {
  restart();
  feed(Tick{});
  for (int i = 0; i < 20; ++i) {
    feed(ReportFailed{unavailable("no route to host")});
    Monotonic wake = core->wake();
    EXPECT_GE(wake, now().steady);
    EXPECT_LE(wake, now().steady + kReconnectMax);
    pass(kReconnectMax);
    EXPECT_TRUE(has<SendReport>(feed(Tick{})));
  }
}

TEST(AgentBackoff, JittersOverTheWholeRange) {
  testing::SeededRandom random(3);
  Backoff backoff;
  for (int i = 0; i < 10; ++i) backoff.failed(random);
  Duration least = kReconnectMax, most{};
  for (int i = 0; i < 500; ++i) {
    Duration delay = backoff.failed(random);
    EXPECT_GE(delay, kReconnectMin);
    EXPECT_LE(delay, kReconnectMax);
    least = std::min(least, delay), most = std::max(most, delay);
  }
  EXPECT_LT(least, kReconnectMax / 20);
  EXPECT_GT(most, kReconnectMax / 20 * 19);
}

TEST_F(CoreTest, ResyncsASectionThatTheControlPlaneForgot) {
  restart();
  feed(units("active"));
  feed(ReportAnswered{answer({{"units", 1}})});
  pass(seconds(30));
  feed(Tick{});
  Report again = report_in(feed(ReportAnswered{answer()}));
  EXPECT_EQ(again.events[0].source, "units");
  EXPECT_EQ(again.events[0].sequence, 2u);
}

TEST_F(CoreTest, DoesNotBelieveAnAcknowledgementOfWhatItNeverSent) {
  restart();
  feed(units("active"));
  Effects effects = feed(ReportAnswered{answer({{"units", 99}})});
  EXPECT_FALSE(has<SendReport>(effects));  // nothing was acknowledged: it waits, then sends again
  pass(kReconnectMax);
  EXPECT_EQ(report_in(feed(Tick{})).events[0].sequence, 1u);
}

TEST_F(CoreTest, FindsTheEventThatIsRefusedAndGoesOnWithoutIt) {
  restart();
  feed(Tick{});
  feed(units("active"));
  feed(packages({package_of("aa", "1")}));
  feed(Ended{outcome_of(RunId("RUN-1"))});
  Effects effects = feed(ReportAnswered{answer()});
  std::map<std::string, std::uint64_t> stored;
  int refusals = 0;
  for (int i = 0; i < 20; ++i) {
    if (!has<SendReport>(effects)) {
      pass(kReconnectMax);
      effects = feed(Tick{});
    }
    Report report = report_in(effects);
    bool bad = std::ranges::any_of(report.events, [](const Event& e) { return e.source == "units"; });
    if (bad) {
      ++refusals;
      effects = feed(ReportFailed{invalid_input("the section units is malformed")});
      continue;
    }
    for (const Event& event : report.events) stored[event.source] = event.sequence;
    effects = feed(ReportAnswered{answer(stored)});
    if (stored.contains("runs") && stored.contains("packages") && core->link().dropped == 1) break;
  }
  EXPECT_TRUE(stored.contains("runs"));
  EXPECT_TRUE(stored.contains("packages"));
  EXPECT_EQ(core->link().dropped, 1u);
  EXPECT_GE(refusals, 1);
}

TEST_F(CoreTest, ShedsOldStepsButNoEndAndCountsThem) {
  restart();
  feed(Tick{});
  std::size_t runs = kProgressUnsentMax + 10;
  for (std::size_t i = 0; i < runs; ++i) feed(Progressed{{RunId("RUN-" + std::to_string(i)), RunState::kActing, now().wall, "x", std::nullopt}});
  feed(Progressed{{RunId("RUN-e"), RunState::kVerified, now().wall, "x", std::nullopt}});
  for (std::size_t i = 0; i < runs; ++i) feed(Progressed{{RunId("RUNB-" + std::to_string(i)), RunState::kActing, now().wall, "x", std::nullopt}});
  EXPECT_EQ(core->link().dropped, runs * 2 - kProgressUnsentMax);
  Report report = report_in(feed(ReportAnswered{answer()}));
  EXPECT_EQ(report.dropped, core->link().dropped);
  EXPECT_EQ(report.events.size(), kProgressUnsentMax + 1);
  EXPECT_EQ(report.events.front().data.find("state")->as_string()[0], "verified");
  for (std::size_t i = 0; i < report.events.size(); ++i) EXPECT_EQ(report.events[i].sequence, i + 1);
}

TEST_F(CoreTest, NewerStepOfTheSameStateTakesThePlaceOfAnUnsentOne) {
  restart();
  feed(Tick{});
  for (std::uint32_t percent : {10u, 50u, 90u}) feed(Progressed{{RunId("RUN-1"), RunState::kStaging, now().wall, "x", percent}});
  feed(Progressed{{RunId("RUN-1"), RunState::kActing, now().wall, "x", 5u}});
  Report report = report_in(feed(ReportAnswered{answer()}));
  ASSERT_EQ(report.events.size(), 2u);
  EXPECT_EQ(*report.events[0].data.find("percent")->as_int(), 90);
}

TEST_F(CoreTest, NeverPutsMoreEventsIntoAReportThanAllowed) {
  restart();
  feed(Tick{});
  for (std::size_t i = 0; i < kOutcomesHeldMax; ++i) feed(Ended{outcome_of(RunId("RUN-" + std::to_string(i)))});
  for (std::size_t i = 0; i < 300; ++i) feed(Progressed{{RunId("RUN-" + std::to_string(i)), RunState::kVerified, now().wall, "x", std::nullopt}});
  Report report = report_in(feed(ReportAnswered{answer()}));
  EXPECT_EQ(report.events.size(), kReportEventsMax);
  Report rest = report_in(feed(ReportAnswered{answer({{"runs", kReportEventsMax}})}));
  EXPECT_EQ(rest.events.front().sequence, kReportEventsMax + 1);
}

TEST_F(CoreTest, KeepsAnOutcomeUntilItIsAcknowledgedAndThenLetsTheExecutorForgetIt) {
  restart();
  feed(executor());
  Effects ended = feed(Ended{outcome_of(RunId("RUN-1"))});
  EXPECT_TRUE(has<RefreshSection>(ended));
  feed(executor(1, {outcome_of(RunId("RUN-1"))}));
  Effects sent = feed(ReportAnswered{answer({{"executor", 1}})});
  Report report = report_in(sent);
  EXPECT_EQ(std::ranges::count(report.events, std::string(kEventOutcome), &Event::type), 1);
  Effects acknowledged = feed(ReportAnswered{answer({{"runs", 1}, {"executor", 2}})});
  ASSERT_EQ(all<ForgetOutcome>(acknowledged).size(), 1u);
  // The executor did not hear it: it is told again, and nothing is reported twice.
  Effects listed = feed(executor(1, {outcome_of(RunId("RUN-1"))}));
  EXPECT_EQ(all<ForgetOutcome>(listed).size(), 1u);
  if (has<SendReport>(listed)) {
    for (const Event& event : report_in(listed).events) EXPECT_NE(event.type, kEventOutcome);
  }
}

TEST_F(CoreTest, TellsWhatARefusedRunDidAfterAllBeforeTheExecutorForgetsIt) {
  restart();
  RunOutcome refused = outcome_of(RunId("RUN-1"));
  refused.state = RunState::kRefused;
  refused.refusal = Refusal::kNotStaged;
  ASSERT_TRUE(has<SendReport>(feed(executor(0, {refused}))));
  Effects acknowledged = feed(ReportAnswered{answer({{"runs", 1}, {"executor", 1}})});
  EXPECT_FALSE(has<ForgetOutcome>(acknowledged)) << "the executor may have another outcome of this run by now";
  ASSERT_TRUE(has<AskExecutor>(acknowledged));

  Effects listed = feed(executor(1, {outcome_of(RunId("RUN-1"))}));  // a copy of the order came, and it was carried out
  EXPECT_FALSE(has<ForgetOutcome>(listed));
  Report report = report_in(listed);
  auto told = std::ranges::find(report.events, std::string(kEventOutcome), &Event::type);
  ASSERT_NE(told, report.events.end());
  EXPECT_EQ(from_json<RunOutcome>(told->data)->state, RunState::kVerified);
  EXPECT_EQ(all<ForgetOutcome>(feed(ReportAnswered{answer({{"runs", 2}, {"executor", 1}})})).size(), 1u);
}

TEST_F(CoreTest, LeavesOutcomesThatFindNoRoomWithTheExecutorAndAsksForThemLater) {
  restart();
  std::vector<RunOutcome> many;
  for (std::size_t i = 0; i < kOutcomesHeldMax + 5; ++i) many.push_back(outcome_of(RunId("RUN-" + std::to_string(1000 + i))));
  Effects effects = feed(executor(0, many));
  Report report = report_in(effects);
  std::set<std::string> seen;
  for (int round = 0; round < 4; ++round) {
    std::uint64_t last = 0;
    for (const Event& event : report.events)
      if (event.type == kEventOutcome) {
        EXPECT_TRUE(seen.insert(*event.data.find("run")->as_string()).second);
        last = event.sequence;
      }
    if (last == 0) break;
    effects = feed(ReportAnswered{answer({{"runs", last}, {"executor", 1}})});
    for (const ForgetOutcome& forget : all<ForgetOutcome>(effects)) std::erase_if(many, [&](const RunOutcome& o) { return o.run == forget.run; });
    if (!has<AskExecutor>(effects)) break;
    effects = feed(executor(0, many));
    if (!has<SendReport>(effects)) break;
    report = report_in(effects);
  }
  EXPECT_EQ(seen.size(), kOutcomesHeldMax + 5);
}

TEST_F(CoreTest, ForgetsOutcomesOfAHostThatItNoLongerIs) {
  restart();
  RunOutcome other = outcome_of(RunId("RUN-1"));
  other.host = HostId("old-name");
  Effects effects = feed(executor(0, {other}));
  EXPECT_EQ(all<ForgetOutcome>(effects).size(), 1u);
  EXPECT_EQ(core->link().outcomes_held, 0u);
}

/// Brings a core to where an order with files was received.
class OrderTest : public CoreTest {
 protected:
  void SetUp() override {
    restart({}, policy_of(1));
    feed(executor());
  }
  Directions with(std::vector<Envelope> orders) {
    Directions directions;
    directions.orders = std::move(orders);
    return directions;
  }
};

TEST_F(OrderTest, StagesEachFileOnceThenHandsTheOrderOver) {
  Effects taken = feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  auto stage = all<StageFiles>(taken);
  ASSERT_EQ(stage.size(), 1u);
  EXPECT_EQ(stage[0].files.size(), 2u);
  EXPECT_FALSE(has<HandOrder>(taken));
  EXPECT_EQ(all<FetchDirections>(taken)[0].after, 1u);
  Effects staged = feed(Staged{RunId("RUN-1")});
  EXPECT_EQ(all<HandOrder>(staged).size(), 1u);
  Effects ended = feed(Ended{outcome_of(RunId("RUN-1"))});
  EXPECT_EQ(all<DropStage>(ended).size(), 1u);
  EXPECT_TRUE(has<AskExecutor>(ended));
}

TEST_F(OrderTest, IgnoresAnOrderThatItHasAlready) {
  Envelope order = signed_order(order_of(1, RunId("RUN-1")));
  feed(DirectionsReceived{with({order})});
  Effects again = feed(DirectionsReceived{with({order})});
  EXPECT_FALSE(has<StageFiles>(again));
  EXPECT_FALSE(has<FetchDirections>(again));  // and doesn't ask again at once
  EXPECT_EQ(core->link().orders_held, 1u);
}

TEST_F(OrderTest, IgnoresAnOrderThatTheExecutorTookBeforeTheRestart) {
  restart({}, policy_of(1));
  feed(executor(5));
  EXPECT_FALSE(has<StageFiles>(feed(DirectionsReceived{with({signed_order(order_of(5, RunId("RUN-5")))})})));
}

TEST_F(OrderTest, RefusesByItselfWhatCannotBeStagedAndKeepsThatOverARestart) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1"))), signed_order(order_of(2, RunId("RUN-2")))})});
  EXPECT_TRUE(has<AskExecutor>(feed(StagingFailed{RunId("RUN-1"), "no archive has libssl3 1.1"})));
  Effects failed = feed(executor());
  auto remember = all<Remember>(failed);
  ASSERT_EQ(remember.size(), 1u);
  EXPECT_EQ(remember[0].memory.refused_sequence, 1u);
  EXPECT_EQ(all<StageFiles>(failed).at(0).run, RunId("RUN-2"));  // the next one goes on
  restart(remember[0].memory, policy_of(1));
  Effects effects = feed(executor());
  EXPECT_EQ(all<FetchDirections>(effects)[0].after, 1u);
  Report report = report_in(effects);
  auto outcome = std::ranges::find(report.events, std::string(kEventOutcome), &Event::type);
  ASSERT_NE(outcome, report.events.end());
  EXPECT_EQ(from_json<RunOutcome>(outcome->data)->refusal, Refusal::kNotStaged);
  Effects acknowledged = feed(ReportAnswered{answer({{"runs", 1}, {"executor", 1}})});
  EXPECT_TRUE(all<Remember>(acknowledged).at(0).memory.outcomes.empty());
}

TEST_F(OrderTest, HandsOverWithoutFilesWhatTheExecutorWouldRefuseAnyway) {
  Order foreign = order_of(1, RunId("RUN-1"));
  foreign.host = HostId("other");
  EXPECT_TRUE(has<HandOrder>(feed(DirectionsReceived{with({signed_order(foreign)})})));
  feed(Ended{outcome_of(RunId("RUN-1"), RunState::kRefused)});
  feed(executor());
  EXPECT_TRUE(has<HandOrder>(feed(DirectionsReceived{with({signed_order(order_of(2, RunId("RUN-2")), kOperator)})})));
}

TEST_F(OrderTest, KeepsTheExecutorsRefusalOverARestartSinceTheExecutorDoesNot) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(Staged{RunId("RUN-1")});
  RunOutcome refused = outcome_of(RunId("RUN-1"), RunState::kRefused);
  refused.refusal = Refusal::kBudget;
  Effects ended = feed(Ended{refused});
  ASSERT_EQ(all<Remember>(ended).size(), 1u);
  restart(all<Remember>(ended)[0].memory, policy_of(1));
  Effects effects = feed(executor(0));
  EXPECT_EQ(all<FetchDirections>(effects)[0].after, 1u);
  EXPECT_EQ(core->link().outcomes_held, 1u);
}

TEST_F(OrderTest, TakesARefusalThatNamesNoRunForTheOrderThatItHandedOver) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(Staged{RunId("RUN-1")});
  RunOutcome nameless = outcome_of(RunId("RUN-unknown"), RunState::kRefused);
  nameless.order.reset();
  nameless.cause = "order";
  nameless.refusal = Refusal::kNoPolicy;
  Effects ended = feed(Ended{nameless});
  ASSERT_EQ(all<Remember>(ended).size(), 1u);
  EXPECT_EQ(all<Remember>(ended)[0].memory.outcomes.at(0).run, RunId("RUN-1"));
  EXPECT_EQ(core->link().orders_held, 0u);
  EXPECT_TRUE(has<AskExecutor>(ended));
}

TEST_F(OrderTest, AsksTheExecutorNothingWhileItWorks) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(Staged{RunId("RUN-1")});
  pass(kExecutorAskEvery * 3);
  EXPECT_FALSE(has<AskExecutor>(feed(Tick{})));
}

TEST_F(OrderTest, AsksForTheOutcomeWhenTheConnectionBroke) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(Staged{RunId("RUN-1")});
  feed(OrderLost{RunId("RUN-1"), "broken pipe"});
  pass(kExecutorRetryMax);
  EXPECT_TRUE(has<AskExecutor>(feed(Tick{})));
  Effects busy = feed(executor(1, {}, "RUN-1"));
  EXPECT_FALSE(has<HandOrder>(busy));
  pass(kAskWhileBusy);
  EXPECT_TRUE(has<AskExecutor>(feed(Tick{})));
  Effects over = feed(executor(1, {outcome_of(RunId("RUN-1"))}));
  EXPECT_TRUE(has<DropStage>(over));
  EXPECT_FALSE(has<HandOrder>(over));
  EXPECT_EQ(core->link().outcomes_held, 1u);
}

TEST_F(OrderTest, HandsTheOrderOverAgainWhenTheExecutorNeverGotIt) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(Staged{RunId("RUN-1")});
  feed(OrderLost{RunId("RUN-1"), "no such file"});
  pass(kExecutorRetryMax);
  feed(Tick{});
  EXPECT_TRUE(has<HandOrder>(feed(executor(0))));
  // It had got it after all: the refusal of the second copy says nothing about the run.
  Effects replayed = feed(Ended{[] {
    RunOutcome outcome = outcome_of(RunId("RUN-1"), RunState::kRefused);
    outcome.refusal = Refusal::kReplayed;
    return outcome;
  }()});
  EXPECT_EQ(core->link().outcomes_held, 0u);
  EXPECT_TRUE(has<AskExecutor>(replayed));
  feed(executor(1, {outcome_of(RunId("RUN-1"))}));
  EXPECT_EQ(core->link().outcomes_held, 1u);
}

TEST_F(OrderTest, DoesNotRefuseForLackOfFilesWhatAnEarlierStartHandedOver) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(StagingFailed{RunId("RUN-1"), "no archive has it"});
  EXPECT_FALSE(has<Remember>(feed(executor(1, {}, "RUN-1"))));
  pass(kAskWhileBusy);
  feed(Tick{});
  EXPECT_FALSE(has<Remember>(feed(executor(1, {outcome_of(RunId("RUN-1"))}))));
  EXPECT_EQ(core->link().outcomes_held, 1u);
  EXPECT_EQ(core->link().orders_held, 0u);
}

TEST_F(OrderTest, ReportsTheRefusalOfAReplayWhenNoOtherOutcomeIsFound) {
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  feed(Staged{RunId("RUN-1")});
  RunOutcome replayed = outcome_of(RunId("RUN-1"), RunState::kRefused);
  replayed.refusal = Refusal::kReplayed;
  feed(Ended{replayed});
  for (int i = 0; i < 20 && core->link().orders_held > 0; ++i) {
    feed(executor(1));
    pass(kExecutorRetryMax);
    feed(Tick{});
  }
  EXPECT_EQ(core->link().outcomes_held, 1u);
}

TEST_F(OrderTest, WaitsWhileTheExecutorIsAwayAndIsNoBusyLoop) {
  restart({}, policy_of(1));
  feed(ExecutorLost{"no such file"});
  feed(DirectionsReceived{with({signed_order(order_of(1, RunId("RUN-1")))})});
  EXPECT_GE(core->wake(), now().steady);
  int asked = 0;
  for (int i = 0; i < 100; ++i) {
    Monotonic wake = core->wake();
    steady = std::max(steady, wake.time_since_epoch());
    Effects effects = feed(Tick{});
    EXPECT_FALSE(has<HandOrder>(effects));
    if (has<AskExecutor>(effects)) {
      ++asked;
      feed(ExecutorLost{"no such file"});
    }
    if (has<SendReport>(effects)) feed(ReportAnswered{answer()});
  }
  EXPECT_GT(asked, 10);
  EXPECT_GT(steady, seconds(1100));
  pass(kExecutorRetryMax);
  feed(Tick{});
  EXPECT_TRUE(has<StageFiles>(feed(executor())));
}

TEST_F(CoreTest, InstallsANewPolicyOnceAndKeepsIt) {
  restart();
  feed(executor(0, {}, {}, std::nullopt));
  Directions directions;
  directions.policy = policy_of(3);
  Effects effects = feed(DirectionsReceived{directions});
  EXPECT_EQ(all<KeepPolicy>(effects).size(), 1u);
  EXPECT_EQ(all<InstallPolicy>(effects).at(0).serial, 3u);
  EXPECT_EQ(all<FetchDirections>(effects).at(0).policy, 3u);
  EXPECT_TRUE(has<AskExecutor>(feed(PolicyInstalled{3})));
  EXPECT_FALSE(has<InstallPolicy>(feed(executor(0, {}, {}, 3))));
  // An executor that lost its policy gets the kept one, without the control plane.
  pass(kPolicyRetry);
  feed(Tick{});
  EXPECT_TRUE(has<InstallPolicy>(feed(executor(0, {}, {}, std::nullopt))));
}

TEST_F(CoreTest, RefusesAPolicyThatItsOperatorsDidNotSignAndSaysSoOnce) {
  restart();
  feed(executor());
  Directions directions;
  ExecutorPolicy forged = *from_json_text<ExecutorPolicy>(as_text(*from_base64(policy_of(9).payload)));
  directions.policy = sign_envelope(kExecutorPolicyType, to_canonical_text(forged), key_of(kDirector));
  Effects effects = feed(DirectionsReceived{directions});
  EXPECT_FALSE(has<InstallPolicy>(effects));
  EXPECT_FALSE(core->policy());
  EXPECT_EQ(all<Say>(effects).size(), 1u);
  pass(kReconnectMax);
  Effects next = feed(Tick{});
  ASSERT_EQ(all<FetchDirections>(next).size(), 1u);
  EXPECT_EQ(all<FetchDirections>(next)[0].policy, 9u);  // so that it isn't sent again at once
  EXPECT_TRUE(all<Say>(feed(DirectionsReceived{directions})).empty());
}

TEST_F(CoreTest, NeverGoesBackToAnOlderPolicy) {
  restart({}, policy_of(5));
  feed(executor(0, {}, {}, 5));
  Directions directions;
  directions.policy = policy_of(4);
  EXPECT_FALSE(has<KeepPolicy>(feed(DirectionsReceived{directions})));
  EXPECT_EQ(core->policy()->serial, 5u);
}

TEST_F(CoreTest, PassesRefreshRequestsOnAndDoesNotFetchInABusyLoop) {
  restart();
  feed(executor());
  Directions directions;
  directions.refresh = {"updates", "something-newer"};
  Effects effects = feed(DirectionsReceived{directions});
  ASSERT_EQ(all<RefreshSection>(effects).size(), 1u);
  EXPECT_EQ(all<RefreshSection>(effects)[0].section, Section::kUpdates);
  EXPECT_FALSE(has<FetchDirections>(effects));
  pass(kDirectionsMinInterval);
  EXPECT_TRUE(has<FetchDirections>(feed(Tick{})));
}

TEST_F(CoreTest, ActsOnAStandingRuleAtOnceAlsoWhileTheControlPlaneIsAway) {
  restart({}, policy_of(1, {{StandingTrigger::kUnitFailed, {"nginx.service"}, seconds(60)}}));
  feed(executor());
  feed(ReportFailed{unavailable("down")});
  feed(DirectionsFailed{unavailable("down")});
  feed(units("active"));
  Effects failed = feed(units("failed"));
  ASSERT_EQ(all<RequestStanding>(failed).size(), 1u);
  EXPECT_EQ(all<RequestStanding>(failed)[0].unit, "nginx.service");
  feed(Ended{outcome_of(RunId("RUN-s"))});
  feed(StandingAnswered{StandingTrigger::kUnitFailed, "nginx.service", std::nullopt});
  // Still failed: not again before the cooldown has passed.
  Effects soon = feed(executor());
  EXPECT_FALSE(has<RequestStanding>(soon));
  bool again = false;
  for (int i = 0; i < 60 && !again; ++i) {
    pass(seconds(5));
    Effects effects = feed(Tick{});
    again = has<RequestStanding>(effects);
    if (has<AskExecutor>(effects)) again = has<RequestStanding>(feed(executor())) || again;
    if (again) {
      EXPECT_GE(i, 11);
    }
  }
  EXPECT_TRUE(again);
}

TEST_F(CoreTest, TellsOnceWhyItDoesNotHealAUnit) {
  restart({}, policy_of(1));
  feed(executor());
  Effects failed = feed(units("failed"));
  EXPECT_FALSE(has<RequestStanding>(failed));
  EXPECT_EQ(all<Say>(failed).size(), 1u);
  SectionSensed other = units("failed");
  std::get<Sensed<UnitFacts>>(other.value).value->system = "degraded";
  EXPECT_TRUE(all<Say>(feed(other)).empty());
}

TEST_F(CoreTest, WaitsBeforeItRestartsWhatAnUpgradeByHandMayRestartItself) {
  restart({}, policy_of(1, {{StandingTrigger::kRestartNeeded, {"*"}, seconds(60)}}));
  feed(executor());
  feed(packages({package_of("aa", "1")}));
  ProcessFacts processes;
  processes.stale.push_back({12, 34, "nginx", "nginx.service", false, {"/usr/lib/x.so"}});
  EXPECT_FALSE(has<RequestStanding>(feed(SectionSensed{sensed(processes, now().wall)})));
  pass(kRestartSettle);
  Effects effects = feed(Tick{});
  if (has<AskExecutor>(effects)) effects = feed(executor());
  EXPECT_TRUE(has<RequestStanding>(effects));
}

TEST(AgentSections, DigestAndTextAreThoseOfTheCanonicalJson) {
  PackageFacts facts;
  for (int i = 0; i < 5; ++i) {
    HostFacts host;
    host.packages = sensed(facts, Instant{} + Duration(i));
    EXPECT_EQ(digest_of(facts), sha256(to_canonical_text(facts)));
    EXPECT_EQ(*section_data(host, Section::kPackages), to_canonical_text(*host.packages));
    facts.packages.push_back(package_of("p\"" + std::to_string(i), "1"));
    facts.updates_pending = i % 2 == 1;
  }
}

TEST(AgentSections, AnyTwoListsAreJoinedByTheirDelta) {
  testing::SeededRandom random(11);
  auto list = [&] {
    PackageFacts facts;
    for (char c = 'a'; c <= 'z'; ++c)
      if (random.below(4) > 0) facts.packages.push_back(package_of(std::string(2, c), std::to_string(random.below(10) / 9)));
    facts.updates_pending = random.below(2) == 0;
    return facts;
  };
  int deltas = 0;
  for (int i = 0; i < 300; ++i) {
    PackageFacts from = list(), to = list();
    auto text = packages_delta_data(from, to, Instant{});
    if (!text) continue;
    ++deltas;
    auto delta = from_json_text<PackagesDelta>(*text);
    ASSERT_TRUE(delta) << delta.error().text();
    ASSERT_TRUE(apply_delta(from, *delta));
    EXPECT_EQ(from, to);
  }
  EXPECT_GT(deltas, 100);
  PackagesDelta wrong;
  PackageFacts facts;
  EXPECT_EQ(apply_delta(facts, wrong).error().kind(), ErrorKind::kConflict);
}

// --- the whole link under faults

/// A control plane that keeps to model/link.h, a host, an executor, and a network that loses, delays and repeats, in virtual time.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    core_random_.emplace(seed + 1);
    start_agent();
  }

  void run() {
    for (faults_ = true; steady_ < kStormy;) step();
    faults_ = false;
    for (Duration end = steady_ + kCalm; steady_ < end;) step();
    expect_all_settled();
  }

 private:
  static constexpr Duration kStormy = std::chrono::minutes(40);
  static constexpr Duration kCalm = std::chrono::minutes(40);

  // control plane
  struct Source {
    std::uint64_t last = 0;
    bool resync = false;
  };
  std::string server_instance_;
  std::map<std::string, Source> server_sources_;
  HostFacts server_facts_;
  std::map<RunId, RunOutcome> server_outcomes_;
  std::vector<std::pair<std::uint64_t, Envelope>> orders_;
  std::set<RunId> ordered_;

  // host
  PackageFacts packages_;
  UnitFacts units_;

  // executor, with what it has on disk
  std::uint64_t executor_sequence_ = 0;
  std::vector<RunOutcome> executor_outcomes_;
  std::optional<RunId> busy_;
  std::map<RunId, int> executed_;
  bool executor_up_ = true;
  int accepting_ = 0;  // a request that it has read and not yet acted on; it reads no other meanwhile

  // agent, with what it has on disk
  Memory memory_;
  std::uint64_t generation_ = 0;
  std::optional<Core> core_;
  std::optional<testing::SeededRandom> core_random_;

  testing::SeededRandom random_;
  Duration steady_ = seconds(10);
  bool faults_ = false;
  struct Event {
    Duration at{};
    std::uint64_t order = 0;
    std::function<void()> act;
    bool operator<(const Event& other) const { return std::pair(at, order) > std::pair(other.at, other.order); }
  };
  std::priority_queue<Event> queue_;
  std::uint64_t order_next_ = 0;

  bool chance(std::uint64_t percent) { return faults_ && random_.below(100) < percent; }
  Now now() const { return {Instant{} + steady_, Monotonic{} + steady_}; }
  void later(Duration delay, std::function<void()> act) { queue_.push({steady_ + delay, order_next_++, std::move(act)}); }
  Duration some(std::uint64_t most_ms) { return Duration(1 + random_.below(most_ms)); }

  void feed(Input input) {
    if (!core_) return;
    for (Effect& effect : core_->handle(std::move(input), now())) std::visit([&](auto& one) { carry_out(one); }, effect);
  }
  /// Feeds it to the agent that asked, if that one still lives.
  void answer(Duration delay, Input input) {
    later(delay, [this, generation = generation_, input = std::move(input)] {
      if (generation == generation_) feed(input);
    });
  }

  void start_agent() {
    ++generation_;
    core_.emplace(setup_of("g" + std::to_string(generation_)), memory_, policy_of(1), *core_random_, now());
    feed(SectionSensed{sensed(packages_, now().wall)});
    feed(SectionSensed{sensed(units_, now().wall)});
  }

  void step() {
    Duration wake = core_ ? core_->wake().time_since_epoch() : steady_ + seconds(1);
    Duration next = std::min(wake, steady_ + seconds(1));
    if (!queue_.empty()) next = std::min(next, queue_.top().at);
    ASSERT_GE(next + kReconnectMin, steady_) << "the agent wants to be woken in the past";
    steady_ = std::max(steady_ + Duration(1), next);
    while (!queue_.empty() && queue_.top().at <= steady_) {
      auto act = queue_.top().act;
      queue_.pop();
      act();
    }
    feed(Tick{});
    if (!faults_) return;
    if (random_.below(20) == 0) change_host();
    if (random_.below(300) == 0) start_agent();
    if (random_.below(400) == 0) crash_executor();
    if (random_.below(150) == 0) {
      RunId run("RUN-" + std::to_string(orders_.size() + 1));
      orders_.emplace_back(orders_.size() + 1, signed_order(order_of(orders_.size() + 1, run)));
      ordered_.insert(run);
    }
  }

  void change_host() {
    if (random_.below(3) == 0) {
      units_.system = "state " + std::to_string(random_.below(1000));
      feed(SectionSensed{sensed(units_, now().wall)});
      return;
    }
    std::string name = "p" + std::to_string(random_.below(60) + 10);
    std::erase_if(packages_.packages, [&](const Package& p) { return p.package.name == name; });
    if (random_.below(4) > 0) packages_.packages.push_back(package_of(name, std::to_string(random_.below(1000))));
    std::ranges::sort(packages_.packages, {}, &Package::package);
    feed(SectionSensed{random_.below(10) == 0 ? SectionValue(not_sensed<PackageFacts>("locked", now().wall)) : SectionValue(sensed(packages_, now().wall))});
    feed(SectionSensed{sensed(packages_, now().wall)});
  }

  // --- what the agent wants done

  void carry_out(SendReport& effect) {
    auto report = from_json_text<Report>(effect.body, {.bytes_max = kReportBytesMax});
    ASSERT_TRUE(report) << report.error().text();
    if (chance(15)) return answer(some(5000), ReportFailed{unavailable("lost on the way")});
    if (chance(5)) later(some(120'000), [this, copy = *report] { take_report(copy); });  // a copy that comes much later
    bool answer_lost = chance(15);
    later(some(100), [this, generation = generation_, answer_lost, copy = *report] {
      ReportAnswer given = take_report(copy);
      if (generation != generation_) return;
      if (answer_lost)
        answer(some(5000), ReportFailed{unavailable("the answer was lost")});
      else
        answer(some(100), ReportAnswered{given});
    });
  }
  void carry_out(FetchDirections& effect) {
    if (chance(15)) return answer(some(5000), DirectionsFailed{unavailable("lost")});
    poll(effect.after, steady_ + seconds(20), generation_);
  }
  void poll(std::uint64_t after, Duration until, std::uint64_t generation) {
    Directions directions;
    for (const auto& [sequence, envelope] : orders_)
      if (sequence > after || chance(5)) directions.orders.push_back(envelope);
    if (directions.orders.empty() && steady_ < until) return later(seconds(1), [=, this] { poll(after, until, generation); });
    if (generation != generation_) return;
    if (chance(10)) return answer(some(1000), DirectionsFailed{unavailable("the answer was lost")});
    if (chance(10)) directions.refresh.push_back("units");
    answer(some(50), DirectionsReceived{directions});
  }
  void carry_out(StageFiles& effect) {
    EXPECT_EQ(effect.files.size(), 2u);
    if (chance(20)) return answer(some(3000), StagingFailed{effect.run, "no archive has it"});
    answer(some(3000), Staged{effect.run});
  }
  void carry_out(HandOrder& effect) {
    if (!executor_up_ || accepting_ > 0 || chance(10)) return answer(some(10), OrderLost{effect.run, "connection refused"});
    Order order = *from_json_text<Order>(as_text(*from_base64(effect.order.payload)));
    RunOutcome refused = outcome_of(order.run, RunState::kRefused);
    refused.order = order.id;
    if (order.sequence <= executor_sequence_ || busy_) {
      refused.refusal = order.sequence <= executor_sequence_ ? Refusal::kReplayed : Refusal::kBusy;
      return answer(some(10), Ended{refused});
    }
    if (chance(15)) {
      refused.refusal = Refusal::kExpired;  // the sequence isn't used, and the executor keeps no outcome
      return chance(30) ? answer(some(10), OrderLost{effect.run, "reset"}) : answer(some(10), Ended{refused});
    }
    bool slow_accept = chance(10);  // the connection breaks before the order is taken, and it is taken all the same
    ++accepting_;
    later(slow_accept ? some(20'000) : Duration(1), [this, order, slow_accept, generation = generation_] {
      --accepting_;
      if (!executor_up_ || order.sequence <= executor_sequence_ || busy_) {
        if (generation == generation_ && !slow_accept) feed(OrderLost{order.run, "reset"});
        return;
      }
      executor_sequence_ = order.sequence;
      busy_ = order.run;
      bool connection_lost = slow_accept || chance(20);
      if (connection_lost && !slow_accept && generation == generation_) feed(OrderLost{order.run, "reset"});
      if (!connection_lost) {
        later(some(1000), [=, this] {
          if (generation == generation_) feed(Progressed{{order.run, RunState::kActing, now().wall, "unpacking", 50u}});
        });
      }
      later(some(30'000) + seconds(2), [=, this] {
        ++executed_[order.run];
        busy_.reset();
        RunOutcome outcome = outcome_of(order.run);
        outcome.order = order.id;
        executor_outcomes_.push_back(outcome);
        if (!connection_lost && generation == generation_) feed(Ended{outcome});
      });
    });
    if (slow_accept) answer(some(10), OrderLost{effect.run, "reset"});
  }
  void carry_out(AskExecutor&) {
    if (!executor_up_ || accepting_ > 0 || chance(10)) return answer(some(10), ExecutorLost{"connection refused"});
    ExecutorFacts facts{"0.1", 1, std::nullopt, executor_sequence_, busy_ ? std::optional(busy_->text()) : std::nullopt, false};
    answer(some(10), ExecutorAnswered{facts, executor_outcomes_});
  }
  void carry_out(ForgetOutcome& effect) {
    if (!executor_up_ || chance(20)) return;
    std::erase_if(executor_outcomes_, [&](const RunOutcome& outcome) { return outcome.run == effect.run; });
  }
  void crash_executor() {
    executor_up_ = false;
    later(some(20'000), [this] { executor_up_ = true; });
  }
  void carry_out(InstallPolicy& effect) { answer(some(10), PolicyInstalled{effect.serial}); }
  void carry_out(KeepPolicy&) {}
  void carry_out(RequestStanding&) { ADD_FAILURE() << "there is no standing rule"; }
  void carry_out(RefreshSection& effect) {
    if (effect.section != Section::kUnits) return;
    later(some(100), [this] { feed(SectionSensed{sensed(units_, now().wall)}); });
  }
  void carry_out(Remember& effect) { memory_ = effect.memory; }
  void carry_out(DropStage&) {}
  void carry_out(Say&) {}

  // --- the control plane

  ReportAnswer take_report(const Report& report) {
    if (report.instance != server_instance_) {
      server_instance_ = report.instance;
      server_sources_.clear();
    }
    for (const prunella::Event& event : report.events) take_event(event);
    ReportAnswer answer;
    answer.now = now().wall;
    answer.heartbeat_seconds = 30;
    for (const auto& [name, source] : server_sources_) {
      answer.received[name] = source.last;
      if (source.resync) answer.resync.push_back(name);
    }
    return answer;
  }
  void take_event(const prunella::Event& event) {
    Source& source = server_sources_[event.source];
    if (event.sequence <= source.last) return;
    bool gap = event.sequence != source.last + 1;
    source.last = event.sequence;
    if (event.type == kEventSection) {
      source.resync = false;
      if (event.source == "packages") server_facts_.packages = *from_json<Sensed<PackageFacts>>(event.data);
      if (event.source == "units") server_facts_.units = *from_json<Sensed<UnitFacts>>(event.data);
      return;
    }
    if (event.type == kEventPackagesDelta) {
      auto delta = from_json<PackagesDelta>(event.data);
      ASSERT_TRUE(delta) << delta.error().text();
      if (gap || !server_facts_.packages || !server_facts_.packages->value || !apply_delta(*server_facts_.packages->value, *delta)) source.resync = true;
      return;
    }
    if (event.type != kEventOutcome) return;
    auto outcome = from_json<RunOutcome>(event.data);
    ASSERT_TRUE(outcome) << outcome.error().text();
    auto [place, is_new] = server_outcomes_.emplace(outcome->run, *outcome);
    EXPECT_TRUE(is_new || place->second == *outcome) << "two different ends of " << outcome->run.text();
  }

  void expect_all_settled() {
    ASSERT_TRUE(server_facts_.packages && server_facts_.packages->value);
    EXPECT_EQ(*server_facts_.packages->value, packages_);
    EXPECT_EQ(*server_facts_.units->value, units_);
    EXPECT_EQ(server_outcomes_.size(), ordered_.size());
    for (const auto& [run, outcome] : server_outcomes_) {
      int times = executed_.contains(run) ? executed_[run] : 0;
      EXPECT_EQ(times, outcome.state == RunState::kVerified ? 1 : 0) << run.text();
    }
    EXPECT_TRUE(executor_outcomes_.empty());
    EXPECT_TRUE(memory_.outcomes.empty());
    EXPECT_EQ(core_->link().outcomes_held, 0u);
    EXPECT_EQ(core_->link().orders_held, 0u);
    // Otherwise this world tested nothing.
    EXPECT_GT(generation_, 1u);
    EXPECT_GT(ordered_.size(), 1u);
    EXPECT_FALSE(executed_.empty());
  }
};

TEST(AgentCore, UnderAnyFaultsTheControlPlaneEndsWithTheHostsFactsAndEachOutcomeOnce) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World(seed * 1000).run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace prunella::agent
