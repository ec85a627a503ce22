#include "apps/cli/progress.h"

#include <gtest/gtest.h>

#include "apps/cli/golden.h"
#include "apps/cli/watch.h"
#include "base/text.h"

namespace prunella::cli {
namespace {

const Instant kStart = *parse_rfc3339("2026-11-24T10:00:00.000Z");

Instant at(int seconds) { return kStart + std::chrono::seconds(seconds); }

/// Seven hosts: a canary, then two, then four.
RolloutView seven_hosts() {
  RolloutView view;
  view.rollout.id = RolloutId("ROL-1");
  view.rollout.plan.id = PlanId("PLN-1");
  view.rollout.plan.purpose = "security updates";
  view.rollout.plan.host_count = 7;
  view.rollout.plan.wave_ends = {1, 3, 7};
  view.rollout.state = RolloutState::kRunning;
  view.rollout.wave_started = kStart;
  for (std::uint64_t i = 0; i < 7; ++i) {
    RolloutHost host;
    host.host = HostId("web-" + std::to_string(i));
    host.index = i;
    view.rollout.hosts.push_back(host);
  }
  return view;
}

void order(RolloutView& view, std::size_t index, int seconds) {
  view.rollout.hosts[index].state = RolloutHostState::kOrdered;
  view.rollout.hosts[index].run = RunId("RUN-" + std::to_string(index));
  view.rollout.hosts[index].ordered_at = at(seconds);
}

void end(RolloutView& view, std::size_t index, RolloutHostState state, std::string reason = "") {
  view.rollout.hosts[index].state = state;
  view.rollout.hosts[index].reason = std::move(reason);
}

std::string picture(const Display& display) { return join(bars(display, 100, false), "\n") + "\n"; }

TEST(Progress, CountsDoneInFlightAndCannot) {
  RolloutView view = seven_hosts();
  end(view, 0, RolloutHostState::kVerified);
  order(view, 1, 0);
  end(view, 2, RolloutHostState::kSkipped, "the host is late");
  end(view, 3, RolloutHostState::kReverted, "nginx.service failed");
  end(view, 4, RolloutHostState::kRefused, "another version by now");
  view.rollout.hosts[4].refusal = Refusal::kWorldMoved;

  Display display = reduce({}, view, at(1));

  Counts wanted{.total = 7, .done = 1, .in_flight = 1, .failed = 1, .cannot = 3, .waiting = 2};
  EXPECT_EQ(display.all, wanted);
  EXPECT_EQ(display.waves[0].counts.done, 1u);
  EXPECT_EQ(display.waves[1].counts.cannot, 1u);
  EXPECT_EQ(display.failures.size(), 3u);
}

TEST(Progress, TakesARunsStepOfItsOwnRolloutOnly) {
  RolloutView view = seven_hosts();
  order(view, 0, 0);
  Display display = reduce({}, view, at(0));

  display = reduce(display, RunProgress{RunId("RUN-0"), RunState::kActing, at(1), "unpacking openssl", 60}, at(1));
  display = reduce(display, RunProgress{RunId("RUN-other"), RunState::kReverting, at(2), "", {}}, at(2));

  ASSERT_EQ(display.working.size(), 1u);
  EXPECT_EQ(display.working[0].state, RunState::kActing);
  EXPECT_EQ(display.working[0].percent, 60u);
}

TEST(Progress, GivesNoEtaUnderFiveFinishedHosts) {
  RolloutView view = seven_hosts();
  view.rollout.plan.wave_ends = {7};
  for (std::size_t i = 0; i < 7; ++i) order(view, i, 0);
  Display display = reduce({}, view, at(0));
  for (std::size_t i = 0; i < 4; ++i) end(view, i, RolloutHostState::kVerified);
  display = reduce(display, view, at(60));
  EXPECT_FALSE(display.eta);
  EXPECT_FALSE(display.per_minute);

  end(view, 4, RolloutHostState::kVerified);
  display = reduce(display, view, at(100));
  display = reduce(display, Tick{}, at(120));

  // Two hosts are in flight at once, so it takes what a median host takes (60 s): 45 to 90 s.
  ASSERT_TRUE(display.eta);
  EXPECT_EQ(display.eta->first, std::chrono::seconds(45));
  EXPECT_EQ(display.eta->second, std::chrono::seconds(90));
  ASSERT_TRUE(display.per_minute);
  EXPECT_NEAR(*display.per_minute, 5.0, 0.01);
}

TEST(Progress, SaysWhatItWaitsForAfterTenSilentSeconds) {
  RolloutView view = seven_hosts();
  order(view, 0, 0);
  Display display = reduce({}, view, at(0));
  display = reduce(display, RunProgress{RunId("RUN-0"), RunState::kStaging, at(1), "waiting for the lock held by apt-get (pid 812)", {}}, at(1));

  EXPECT_FALSE(reduce(display, Tick{}, at(11)).waits_for);
  display = reduce(display, view, at(12));
  display = reduce(display, Tick{}, at(30));
  EXPECT_TRUE(display.waits_for);
  display = reduce(display, RunProgress{RunId("RUN-0"), RunState::kActing, at(31), "unpacking", {}}, at(31));
  EXPECT_FALSE(display.waits_for);
}

TEST(Progress, SaysWhichHealthReportsAndWhichHostsItWaitsFor) {
  RolloutView view = seven_hosts();
  view.rollout.plan.soak_reports = 3;
  view.rollout.reason = "approved";
  end(view, 0, RolloutHostState::kVerified);
  view.rollout.hosts[0].healthy_reports = 1;
  Display display = reduce(reduce({}, view, at(0)), Tick{}, at(20));
  EXPECT_EQ(*display.waits_for, "healthy reports of 1 host (web-0: 1 of 3)");

  view = seven_hosts();
  view.rollout.hosts[0].reason = "waits: the host has policy serial 1, the one in force is 2";
  display = reduce(reduce({}, view, at(0)), Tick{}, at(20));
  EXPECT_EQ(*display.waits_for, "web-0: waits: the host has policy serial 1, the one in force is 2");
}

TEST(Progress, KnowsNothingOfHostsThatEndedBeforeTheWatch) {
  RolloutView view = seven_hosts();
  for (std::size_t i = 0; i < 6; ++i) {
    order(view, i, -3600);
    end(view, i, RolloutHostState::kVerified);
  }

  Display display = reduce({}, view, at(0));
  display = reduce(display, Tick{}, at(30));

  EXPECT_TRUE(display.took.empty());
  EXPECT_FALSE(display.eta);
  EXPECT_FALSE(display.per_minute);
}

TEST(Progress, LooksAsTheGoldenPictures) {
  RolloutView view = seven_hosts();
  std::string text;
  order(view, 0, 0);
  Display display = reduce({}, view, at(0));
  display = reduce(display, RunProgress{RunId("RUN-0"), RunState::kActing, at(3), "unpacking \x1b[31mopenssl", 60}, at(3));
  text += picture(display) + "\n" + progress_line(display, at(3)) + "\n" + to_canonical(progress_json(display, at(3))) + "\n\n";

  end(view, 0, RolloutHostState::kVerified);
  order(view, 1, 20);
  order(view, 2, 20);
  view.rollout.wave = 1;
  display = reduce(display, view, at(20));
  display = reduce(display, Tick{}, at(40));
  text += picture(display) + "\n" + progress_line(display, at(40)) + "\n\n";

  end(view, 1, RolloutHostState::kReverted, "nginx.service isn't active: exit-code");
  end(view, 2, RolloutHostState::kVerified);
  view.rollout.state = RolloutState::kStopped;
  view.rollout.reason = "33 % of the finished hosts failed, at most 5 % may";
  display = reduce(display, view, at(50));
  text += picture(display) + "\n" + progress_line(display, at(50)) + "\n" + end_text(display) + "\n";

  EXPECT_TRUE(display.ended);
  expect_golden("progress", text);
}

TEST(Progress, CutsLinesToTheTerminalsWidth) {
  RolloutView view = seven_hosts();
  order(view, 0, 0);
  Display display = reduce({}, view, at(0));
  display = reduce(display, RunProgress{RunId("RUN-0"), RunState::kActing, at(3), std::string(300, 'x'), {}}, at(3));

  for (const std::string& line : bars(display, 60, false)) EXPECT_LE(line.size(), 60u) << line;
}

TEST(SseReader, GivesTheDataOfEventsInAnyPieces) {
  std::string stream = ": hello\n\nevent: change\ndata: {\"a\":1}\n\ndata: two\r\ndata: lines\r\n\r\ndata:bare\n\n: ping\n\n";
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    SseReader reader;
    std::vector<std::string> got;
    for (std::size_t from = 0; from < stream.size(); from += piece)
      for (std::string& data : reader.add(std::string_view(stream).substr(from, piece))) got.push_back(std::move(data));
    EXPECT_EQ(got, (std::vector<std::string>{"{\"a\":1}", "two\nlines", "bare"})) << piece;
  }
}

TEST(SseReader, DropsAnEventThatIsTooLongAndGoesOn) {
  SseReader reader;
  EXPECT_TRUE(reader.add("data: " + std::string(100'000, 'x') + "\n\n").empty());
  EXPECT_EQ(reader.add("data: small\n\n"), std::vector<std::string>{"small"});
}

}  // namespace
}  // namespace prunella::cli
