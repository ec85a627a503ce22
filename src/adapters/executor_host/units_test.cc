#include "adapters/executor_host/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "../tests/support/fake_systemd.h"
#include "adapters/executor_host/host_root.h"

namespace prunella {
namespace {

using ::testing::HasSubstr;

// systemd, with some units.
struct Systemd : testing::FakeSystemd {
  Systemd()
      : FakeSystemd({{"web.service", "loaded", "active", "running", "simple"},
                     {"broken.service", "loaded", "failed", "failed", "simple"},
                     {"ssh.service", "loaded", "inactive", "dead", "notify", "ssh.socket"},
                     {"ssh.socket", "loaded", "active", "listening"},
                     {"polkit.service", "loaded", "inactive", "dead", "dbus"},
                     {"idle.service", "loaded", "inactive", "dead", "simple", "idle.timer"},
                     {.name = "idle.timer", .load = "loaded", .active = "inactive", .sub = "dead", .went = true}}) {}
};

ToolWatch watch_for(Duration span) {
  ToolWatch watch;
  watch.deadline = HostClock().steady() + span;
  return watch;
}

TEST(SystemdTool, ListsUnitsWithTheirDetailsByName) {
  Systemd systemd;
  SystemdTool tool(systemd.path());

  auto units = tool.list();

  ASSERT_TRUE(units) << units.error().text();
  std::map<std::string, UnitState> by_name;
  for (const UnitState& state : *units) by_name[state.unit.name] = state;
  ASSERT_EQ(by_name.size(), systemd.units().size());
  EXPECT_TRUE(std::ranges::is_sorted(*units, {}, [](const UnitState& state) { return state.unit.name; }));
  EXPECT_EQ(by_name["web.service"].unit.invocation, "0102030405060708090a0b0c0d0e0fff");
  EXPECT_EQ(by_name["broken.service"].unit.result, "exit-code");
  EXPECT_EQ(by_name["broken.service"].unit.restarts, 5u);
  EXPECT_EQ(by_name["idle.service"].unit.invocation, std::nullopt);
  EXPECT_EQ(by_name["idle.timer"].unit.result, std::nullopt);
  EXPECT_FALSE(by_name["web.service"].on_demand);
  EXPECT_TRUE(by_name["ssh.service"].on_demand);
  EXPECT_TRUE(by_name["polkit.service"].on_demand);
  EXPECT_FALSE(by_name["idle.service"].on_demand) << "its timer is not active, so nothing brings it back";
}

TEST(SystemdTool, AsksOneThingOfTheUnitThatIsMeant) {
  Systemd systemd;
  SystemdTool tool(systemd.path());

  auto units = tool.states({"web.service"});

  ASSERT_TRUE(units) << units.error().text();
  ASSERT_EQ(units->size(), systemd.units().size());
  for (const UnitState& state : *units) {
    EXPECT_FALSE(state.unit.active.empty());
    EXPECT_EQ(state.unit.invocation.has_value(), state.unit.name == "web.service") << state.unit.name;
  }
  EXPECT_EQ(systemd.asked, 1);
}

TEST(SystemdTool, WaitsForItsOwnJob) {
  Systemd systemd;
  SystemdTool tool(systemd.path());

  auto done = tool.restart("web.service", watch_for(std::chrono::seconds(20)));

  EXPECT_TRUE(done) << done.error().text();
  EXPECT_EQ(systemd.restarted, 1);
}

TEST(SystemdTool, TellsHowAJobFailed) {
  Systemd systemd;
  systemd.job_result = "failed";
  SystemdTool tool(systemd.path());

  auto done = tool.restart("web.service", watch_for(std::chrono::seconds(20)));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(done.error().text(), HasSubstr("'failed'"));
}

TEST(SystemdTool, GivesUpAJobAtTheDeadline) {
  Systemd systemd;
  systemd.job_result = "";
  SystemdTool tool(systemd.path());

  auto done = tool.restart("web.service", watch_for(Duration(50)));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(done.error().text(), HasSubstr("may go on"));
}

TEST(SystemdTool, RefusesWhatSystemdRefusesAndWhatIsNoUnit) {
  Systemd systemd;
  SystemdTool tool(systemd.path());

  auto unknown = tool.restart("none.service", watch_for(std::chrono::seconds(20)));
  auto nonsense = tool.restart("--help", watch_for(std::chrono::seconds(20)));

  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().text(), HasSubstr("not found"));
  EXPECT_FALSE(nonsense);
  EXPECT_EQ(systemd.restarted, 0);
}

TEST(SystemdTool, ASystemdThatIsAwayIsSaidWithItsSocket) {
  SystemdTool tool("/nonexistent/private");

  auto units = tool.list();
  auto done = tool.restart("web.service", watch_for(std::chrono::seconds(20)));

  ASSERT_FALSE(units || done);
  EXPECT_EQ(units.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(units.error().text(), HasSubstr("/nonexistent/private"));
}

TEST(SystemdTool, DoesNotWaitForeverForAnAnswerHoweverMuchElseIsSaid) {
  Systemd systemd;
  systemd.only_signals = true;
  SystemdTool tool(systemd.path(), Duration(200));

  auto units = tool.list();

  ASSERT_FALSE(units);
  EXPECT_EQ(units.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(units.error().text(), HasSubstr("did not answer in time"));
}

TEST(SystemdTool, AnErrorInsteadOfAListIsUnavailable) {
  Systemd systemd;
  systemd.list_fails = true;
  SystemdTool tool(systemd.path());

  auto units = tool.list();

  ASSERT_FALSE(units);
  EXPECT_EQ(units.error().kind(), ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace prunella
