#include "adapters/executor_host/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "adapters/executor_host/host_root.h"

namespace prunella {
namespace {

using ::testing::HasSubstr;

struct Row {
  const char* name;
  const char* load;
  const char* active;
  const char* type;       ///< of a service
  const char* triggered;  ///< by that unit, or ""
};
constexpr Row kRows[] = {{"web.service", "loaded", "active", "simple", ""},
                         {"broken.service", "loaded", "failed", "simple", ""},
                         {"ssh.service", "loaded", "inactive", "notify", "ssh.socket"},
                         {"ssh.socket", "loaded", "active", "", ""},
                         {"polkit.service", "loaded", "inactive", "dbus", ""},
                         {"idle.service", "loaded", "inactive", "simple", "idle.timer"},
                         {"idle.timer", "loaded", "inactive", "", ""}};

// Answers as systemd does on its own socket, by another implementation of D-Bus than ours. Each connection is served by a thread of
// its own, until the other end closes.
class FakeSystemd {
 public:
  FakeSystemd() {
    char name[] = "/tmp/prunella-systemd-XXXXXX";
    directory_ = ::mkdtemp(name);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    listening_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_.get(), 8), 0);
    accepting_ = std::jthread([this] {
      for (int fd; (fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
        serving_.emplace_back([this, fd](std::stop_token stop) { serve(fd, stop); });
    });
  }
  ~FakeSystemd() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    accepting_.join();
    serving_.clear();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/private"; }
  std::string job_result = "done";  ///< "": the job never ends
  std::atomic<bool> list_fails = false;
  std::atomic<bool> only_signals = false;  ///< calls are heard, and never answered
  std::atomic<int> restarted = 0;
  std::atomic<int> asked = 0;  ///< for properties

 private:
  static int on_call(sd_bus_message* call, void* self, sd_bus_error*) {
    auto& fake = *static_cast<FakeSystemd*>(self);
    if (fake.only_signals) return 1;
    const char* manager = "org.freedesktop.systemd1.Manager";
    if (sd_bus_message_is_method_call(call, manager, "RestartUnit")) return fake.restart(call);
    if (fake.list_fails) return -ECONNRESET;
    if (sd_bus_message_is_method_call(call, manager, "ListUnitsByPatterns")) return list(call);
    if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get")) return ++fake.asked, property(call);
    return 0;
  }

  int restart(sd_bus_message* call) {
    const char *unit, *mode;
    sd_bus_message_read(call, "ss", &unit, &mode);
    if (std::strcmp(unit, "web.service") != 0) return sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not found.", unit);
    ++restarted;
    sd_bus* bus = sd_bus_message_get_bus(call);
    // The end of another job, and of ours before its path is told: both orders happen.
    auto removed = [&](std::uint32_t id, const char* path, const char* result) {
      sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", id, path, unit, result);
    };
    removed(6, "/org/freedesktop/systemd1/job/6", "failed");
    if (!job_result.empty()) removed(7, "/org/freedesktop/systemd1/job/7", job_result.c_str());
    return sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/7");
  }

  static int property(sd_bus_message* call) {
    const char *interface, *text;
    sd_bus_message_read(call, "ss", &interface, &text);
    char* name = nullptr;
    sd_bus_path_decode(sd_bus_message_get_path(call), "/org/freedesktop/systemd1/unit", &name);
    std::string unit = name, wanted = text;
    free(name);
    const Row& row = *std::ranges::find(kRows, unit, &Row::name);
    // One that went while it was asked about: no reason to know nothing of the rest.
    if (unit == "idle.timer") return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_OBJECT, "no such unit");
    bool failed = unit == "broken.service";
    if (wanted == "Result") return sd_bus_reply_method_return(call, "v", "s", failed ? "exit-code" : "success");
    if (wanted == "NRestarts") return sd_bus_reply_method_return(call, "v", "u", failed ? 5u : 0u);
    if (wanted == "Type") return sd_bus_reply_method_return(call, "v", "s", row.type);
    if (wanted == "TriggeredBy")
      return *row.triggered == '\0' ? sd_bus_reply_method_return(call, "v", "as", 0) : sd_bus_reply_method_return(call, "v", "as", 1, row.triggered);
    if (wanted != "InvocationID") return 0;
    if (std::strcmp(row.active, "inactive") == 0)
      return sd_bus_reply_method_return(call, "v", "ay", 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return sd_bus_reply_method_return(call, "v", "ay", 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255);
  }

  static int list(sd_bus_message* call) {
    sd_bus_message* reply = nullptr;
    sd_bus_message_new_method_return(call, &reply);
    sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
    for (const Row& row : kRows) {
      char* path = nullptr;
      sd_bus_path_encode("/org/freedesktop/systemd1/unit", row.name, &path);
      sd_bus_message_append(reply, "(ssssssouso)", row.name, "text", row.load, row.active, "sub", "", path, 0u, "", "/");
      free(path);
    }
    sd_bus_message_close_container(reply);
    int code = sd_bus_send(nullptr, reply, nullptr);
    sd_bus_message_unref(reply);
    return code < 0 ? code : 1;
  }

  void serve(int fd, std::stop_token stop) {
    sd_bus* bus = nullptr;
    sd_bus_new(&bus);
    sd_bus_set_fd(bus, fd, fd);
    sd_bus_set_server(bus, 1, sd_id128_t{});
    sd_bus_add_filter(bus, nullptr, on_call, this);
    sd_bus_start(bus);
    while (!stop.stop_requested()) {
      int code = sd_bus_process(bus, nullptr);
      if (code < 0) break;
      if (only_signals && sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "UnitNew", "so", "a.service", "/a") < 0) break;
      if (code == 0) sd_bus_wait(bus, 5'000);
    }
    sd_bus_close_unref(bus);
  }

  std::string directory_;
  Fd listening_;
  std::vector<std::jthread> serving_;  // only by the thread that accepts, and after its end
  std::jthread accepting_;
};

ToolWatch watch_for(Duration span) {
  ToolWatch watch;
  watch.deadline = HostClock().steady() + span;
  return watch;
}

TEST(SystemdTool, ListsUnitsWithTheirDetailsByName) {
  FakeSystemd systemd;
  SystemdTool tool(systemd.path());

  auto units = tool.list();

  ASSERT_TRUE(units) << units.error().text();
  std::map<std::string, UnitState> by_name;
  for (const UnitState& state : *units) by_name[state.unit.name] = state;
  ASSERT_EQ(by_name.size(), std::size(kRows));
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
  FakeSystemd systemd;
  SystemdTool tool(systemd.path());

  auto units = tool.states({"web.service"});

  ASSERT_TRUE(units) << units.error().text();
  ASSERT_EQ(units->size(), std::size(kRows));
  for (const UnitState& state : *units) {
    EXPECT_FALSE(state.unit.active.empty());
    EXPECT_EQ(state.unit.invocation.has_value(), state.unit.name == "web.service") << state.unit.name;
  }
  EXPECT_EQ(systemd.asked, 1);
}

TEST(SystemdTool, WaitsForItsOwnJob) {
  FakeSystemd systemd;
  SystemdTool tool(systemd.path());

  auto done = tool.restart("web.service", watch_for(std::chrono::seconds(20)));

  EXPECT_TRUE(done) << done.error().text();
  EXPECT_EQ(systemd.restarted, 1);
}

TEST(SystemdTool, TellsHowAJobFailed) {
  FakeSystemd systemd;
  systemd.job_result = "failed";
  SystemdTool tool(systemd.path());

  auto done = tool.restart("web.service", watch_for(std::chrono::seconds(20)));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(done.error().text(), HasSubstr("'failed'"));
}

TEST(SystemdTool, GivesUpAJobAtTheDeadline) {
  FakeSystemd systemd;
  systemd.job_result = "";
  SystemdTool tool(systemd.path());

  auto done = tool.restart("web.service", watch_for(Duration(50)));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(done.error().text(), HasSubstr("may go on"));
}

TEST(SystemdTool, RefusesWhatSystemdRefusesAndWhatIsNoUnit) {
  FakeSystemd systemd;
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
  FakeSystemd systemd;
  systemd.only_signals = true;
  SystemdTool tool(systemd.path(), Duration(200));

  auto units = tool.list();

  ASSERT_FALSE(units);
  EXPECT_EQ(units.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(units.error().text(), HasSubstr("did not answer in time"));
}

TEST(SystemdTool, AnErrorInsteadOfAListIsUnavailable) {
  FakeSystemd systemd;
  systemd.list_fails = true;
  SystemdTool tool(systemd.path());

  auto units = tool.list();

  ASSERT_FALSE(units);
  EXPECT_EQ(units.error().kind(), ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace prunella
