#include "adapters/systemd/unit_bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <atomic>
#include <thread>

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

// Answers as systemd does, over a socket pair without a bus in between. It runs in its own thread until the other end closes.
class FakeSystemd {
 public:
  FakeSystemd() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    client_ = ends[0];
    thread_ = std::jthread([this, server = ends[1]](std::stop_token stop) { serve(server, stop); });
  }

  UnitBus::Opener opener() {
    return [this](sd_bus** bus) {
      if (client_ < 0) return -ECONNREFUSED;
      sd_bus_new(bus);
      sd_bus_set_fd(*bus, client_, client_);
      client_ = -1;
      sd_bus_set_anonymous(*bus, 1);
      return sd_bus_start(*bus);
    };
  }
  void send_change(const char* path) {
    pending_path_ = path;
    change_ = true;
  }
  void send_reload() { reload_ = true; }
  void stop() { thread_.request_stop(), thread_.join(); }
  std::atomic<int> details_asked = 0;

 private:
  static int on_call(sd_bus_message* call, void* self, sd_bus_error*) {
    auto& fake = *static_cast<FakeSystemd*>(self);
    if (sd_bus_message_is_method_call(call, "org.freedesktop.systemd1.Manager", "Subscribe")) return sd_bus_reply_method_return(call, "");
    if (sd_bus_message_is_method_call(call, "org.freedesktop.systemd1.Manager", "ListUnits")) return list(call);
    if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get")) return 0;
    const char *interface, *name;
    sd_bus_message_read(call, "ss", &interface, &name);
    std::string property = name;
    if (property == "SystemState") return sd_bus_reply_method_return(call, "v", "s", "degraded");
    ++fake.details_asked;
    bool failed = std::string(sd_bus_message_get_path(call)).find("broken") != std::string::npos;
    if (property == "Result") return sd_bus_reply_method_return(call, "v", "s", failed ? "exit-code" : "success");
    if (property == "NRestarts") return sd_bus_reply_method_return(call, "v", "u", failed ? 5u : 0u);
    if (property == "InvocationID")
      return sd_bus_reply_method_return(call, "v", "ay", 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255);
    return 0;
  }

  static int list(sd_bus_message* call) {
    struct Row {
      const char *name, *load, *active, *sub, *path;
    };
    const Row rows[] = {{"web.service", "loaded", "active", "running", "/org/freedesktop/systemd1/unit/web_2eservice"},
                        {"broken.service", "loaded", "failed", "failed", "/org/freedesktop/systemd1/unit/broken_2eservice"},
                        {"gone.service", "not-found", "inactive", "dead", "/org/freedesktop/systemd1/unit/gone_2eservice"},
                        {"dev-vda.device", "loaded", "active", "plugged", "/org/freedesktop/systemd1/unit/dev_2dvda_2edevice"},
                        {"apt.timer", "loaded", "active", "waiting", "/org/freedesktop/systemd1/unit/apt_2etimer"}};
    sd_bus_message* reply = nullptr;
    sd_bus_message_new_method_return(call, &reply);
    sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
    for (const Row& row : rows)
      sd_bus_message_append(reply, "(ssssssouso)", row.name, "text", row.load, row.active, row.sub, "", row.path, 0u, "", "/");
    sd_bus_message_close_container(reply);
    int code = sd_bus_send(nullptr, reply, nullptr);
    sd_bus_message_unref(reply);
    return code < 0 ? code : 1;
  }

  void serve(int fd, std::stop_token stop) {
    sd_bus* bus = nullptr;
    sd_bus_new(&bus);
    sd_bus_set_fd(bus, fd, fd);
    sd_id128_t id = {};
    sd_bus_set_server(bus, 1, id);
    sd_bus_set_anonymous(bus, 1);
    sd_bus_add_filter(bus, nullptr, on_call, this);
    sd_bus_start(bus);
    while (!stop.stop_requested()) {
      if (change_.exchange(false))
        sd_bus_emit_signal(bus, pending_path_.load(), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                           "org.freedesktop.systemd1.Unit", 0, 0);
      if (reload_.exchange(false)) sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Reloading", "b", 0);
      int code = sd_bus_process(bus, nullptr);
      if (code < 0) break;
      if (code == 0) sd_bus_wait(bus, 5'000);  // 5 ms
    }
    sd_bus_flush_close_unref(bus);
  }

  int client_ = -1;
  std::atomic<bool> change_ = false, reload_ = false;
  std::atomic<const char*> pending_path_ = nullptr;
  std::jthread thread_;
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
  FakeSystemd fake;
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
  FakeSystemd fake;
  StillClock clock;
  UnitBus bus(clock, fake.opener());
  ASSERT_TRUE(bus.units());
  EXPECT_TRUE(next_news(bus).everything) << "the connection is new";
  int first = fake.details_asked;

  ASSERT_TRUE(bus.units());
  int unchanged = fake.details_asked;
  fake.send_change("/org/freedesktop/systemd1/unit/web_2eservice");
  UnitNews news = next_news(bus);
  ASSERT_TRUE(bus.units());

  EXPECT_EQ(unchanged, first);
  EXPECT_THAT(news.changed, ElementsAre("web.service"));
  EXPECT_EQ(fake.details_asked, first + 3);
}

TEST(UnitBus, LooksAtEverythingAfterAReload) {
  FakeSystemd fake;
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
  FakeSystemd fake;
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
