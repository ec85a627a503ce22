#include "adapters/systemd/unit_bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <systemd/sd-bus.h>

#include "../tests/support/fake_systemd.h"

namespace prunella {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StillClock : public Clock {
 public:
  Instant now() override { return {}; }
  Monotonic steady() override { return at; }
  Monotonic at{};
};

// systemd, with some units.
struct Systemd : testing::FakeSystemd {
  Systemd()
      : FakeSystemd({{"web.service", "loaded", "active", "running"},
                     {"broken.service", "loaded", "failed", "failed"},
                     {"gone.service", "not-found", "inactive", "dead"},
                     {"dev-vda.device", "loaded", "active", "plugged"},
                     {"apt.timer", "loaded", "active", "waiting"}}) {}

  UnitBus::Opener opener() {
    return [this](sd_bus** bus) {
      sd_bus_new(bus);
      sd_bus_set_address(*bus, ("unix:path=" + path()).c_str());
      return sd_bus_start(*bus);
    };
  }
};

// Waits for the bus as the agent does, at most ten seconds.
UnitNews next_news(UnitBus& bus) {
  for (int round = 0; round < 100; ++round) {
    pollfd polled{bus.fd(), bus.events(), 0};
    ::poll(&polled, 1, 100);
    auto news = bus.process();
    if (!news || !news->empty()) return news ? *news : UnitNews();
  }
  return {};
}

TEST(UnitBus, ListsUnitsWithTheDetailsOfServices) {
  Systemd fake;
  StillClock clock;
  UnitBus bus(clock, fake.opener());

  auto facts = bus.units();

  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(facts->system, "degraded");
  ASSERT_EQ(facts->units.size(), 3u);
  EXPECT_EQ(facts->units[0].name, "apt.timer");
  EXPECT_FALSE(facts->units[0].result.has_value());
  EXPECT_EQ(facts->units[1], (Unit{"broken.service", "loaded", "failed", "failed", "exit-code", 5u, "0102030405060708090a0b0c0d0e0fff"}));
  EXPECT_EQ(facts->units[2].result, "success");
}

TEST(UnitBus, AsksForDetailsAgainOnlyAfterAChange) {
  Systemd fake;
  StillClock clock;
  UnitBus bus(clock, fake.opener());
  ASSERT_TRUE(bus.units());
  EXPECT_TRUE(next_news(bus).everything) << "the connection is new";
  int first = fake.asked;

  ASSERT_TRUE(bus.units());
  int unchanged = fake.asked;
  fake.send_change("web.service");
  UnitNews news = next_news(bus);
  ASSERT_TRUE(bus.units());

  EXPECT_EQ(unchanged, first);
  EXPECT_THAT(news.changed, ElementsAre("web.service"));
  EXPECT_EQ(fake.asked, first + 3);
}

TEST(UnitBus, AsksAgainAboutAServiceThatChangedWhileItWasAskedAbout) {
  Systemd fake;
  StillClock clock;
  UnitBus bus(clock, fake.opener());
  ASSERT_TRUE(bus.units());
  (void)next_news(bus);
  fake.send_change("web.service");
  (void)next_news(bus);
  int before = fake.asked;
  fake.changes_when_asked = true;

  ASSERT_TRUE(bus.units());

  EXPECT_EQ(fake.asked, before + 3);
  EXPECT_EQ(bus.wait(), Duration(0)) << "there is news already, and nothing more will make the connection readable";
  EXPECT_THAT(next_news(bus).changed, ElementsAre("web.service"));
  ASSERT_TRUE(bus.units());
  EXPECT_EQ(fake.asked, before + 6);
}

TEST(UnitBus, LooksAtEverythingAfterAReload) {
  Systemd fake;
  StillClock clock;
  UnitBus bus(clock, fake.opener());
  ASSERT_TRUE(bus.units());
  (void)next_news(bus);

  fake.send_reload();

  EXPECT_TRUE(next_news(bus).everything);
}

TEST(UnitBus, SaysWhyThereIsNoBusAndTriesLaterEachTime) {
  StillClock clock;
  int tries = 0;
  UnitBus bus(clock, [&](sd_bus**) {
    ++tries;
    return -ENOENT;
  });

  auto first = bus.units();
  auto at_once = bus.units();
  Duration wait = bus.wait();
  clock.at += wait;
  auto later = bus.process();

  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(first.error().text(), HasSubstr("the system bus can't be reached: No such file or directory"));
  ASSERT_FALSE(at_once);
  EXPECT_EQ(at_once.error().text(), first.error().text());
  ASSERT_FALSE(later);
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(wait, std::chrono::seconds(1));
  EXPECT_EQ(bus.wait(), std::chrono::seconds(2));
  EXPECT_EQ(bus.fd(), -1);
}

TEST(UnitBus, NoticesThatTheConnectionEnded) {
  Systemd fake;
  StillClock clock;
  UnitBus bus(clock, fake.opener());
  ASSERT_TRUE(bus.units());

  fake.stop();
  auto facts = bus.units();

  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(bus.fd(), -1);
}

}  // namespace
}  // namespace prunella
