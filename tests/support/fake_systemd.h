#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace prunella::testing {

/// Answers about its units as systemd does, on a socket of its own, by libsystemd: another implementation of D-Bus than the
/// executor's. Each connection is served by a thread of its own until either end closes.
class FakeSystemd {
 public:
  struct Unit {
    const char* name;
    const char* load;
    const char* active;
    const char* sub;
    const char* type = "";       ///< of a service
    const char* triggered = "";  ///< by that unit
    bool went = false;           ///< after the list was made
  };

  explicit FakeSystemd(std::vector<Unit> units) : units_(std::move(units)) {
    char name[] = "/tmp/prunella-systemd-XXXXXX";
    directory_ = ::mkdtemp(name);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(listening_, 8) != 0) std::abort();
    accepting_ = std::jthread([this] {
      for (int fd; (fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
        serving_.emplace_back([this, fd](std::stop_token stop) { serve(fd, stop); });
    });
  }
  ~FakeSystemd() {
    stop();
    ::close(listening_);
    std::filesystem::remove_all(directory_);
  }
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;

  std::string path() const { return directory_ + "/private"; }
  const std::vector<Unit>& units() const { return units_; }
  /// Ends all connections and takes no more.
  void stop() {
    if (!accepting_.joinable()) return;
    ::shutdown(listening_, SHUT_RDWR);
    accepting_.join();
    serving_.clear();
  }
  void send_change(const std::string& unit) {
    std::lock_guard lock(mutex_);
    changed_.push_back(unit);
  }
  void send_reload() { reload_ = true; }

  std::string job_result = "done";         ///< "": the job never ends
  std::atomic<bool> list_fails = false;
  std::atomic<bool> changes_when_asked = false;  ///< the next unit whose properties are asked for changes just before the answer
  std::atomic<bool> only_signals = false;  ///< calls are heard, and never answered
  std::atomic<int> restarted = 0;
  std::atomic<int> asked = 0;              ///< for properties of units

 private:
  static constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
  static constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
  static constexpr const char* kUnitPaths = "/org/freedesktop/systemd1/unit";

  static std::string path_of(const std::string& unit) {
    char* path = nullptr;
    sd_bus_path_encode(kUnitPaths, unit.c_str(), &path);
    std::string out = path;
    std::free(path);
    return out;
  }

  static int on_call(sd_bus_message* call, void* self, sd_bus_error*) {
    auto& fake = *static_cast<FakeSystemd*>(self);
    if (fake.only_signals) return 1;
    auto is = [&](const char* member) { return sd_bus_message_is_method_call(call, kManager, member); };
    if (is("Subscribe")) return sd_bus_reply_method_return(call, "");
    if (is("RestartUnit")) return fake.restart(call);
    if (fake.list_fails) return -ECONNRESET;
    if (is("ListUnits") || is("ListUnitsByPatterns")) return fake.list(call);
    if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get")) return fake.property(call);
    return 0;
  }

  int restart(sd_bus_message* call) {
    const char *unit, *mode;
    sd_bus_message_read(call, "ss", &unit, &mode);
    if (std::ranges::find(units_, std::string_view(unit), &Unit::name) == units_.end())
      return sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not found.", unit);
    ++restarted;
    sd_bus* bus = sd_bus_message_get_bus(call);
    // The end of another job, and of ours before its path is told: both orders happen.
    auto removed = [&](std::uint32_t id, const char* path, const char* result) {
      sd_bus_emit_signal(bus, kManagerPath, kManager, "JobRemoved", "uoss", id, path, unit, result);
    };
    removed(6, "/org/freedesktop/systemd1/job/6", "failed");
    if (!job_result.empty()) removed(7, "/org/freedesktop/systemd1/job/7", job_result.c_str());
    return sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/7");
  }

  int property(sd_bus_message* call) {
    const char *interface, *text;
    sd_bus_message_read(call, "ss", &interface, &text);
    std::string wanted = text;
    if (wanted == "SystemState") return sd_bus_reply_method_return(call, "v", "s", "degraded");
    ++asked;
    auto unit = std::ranges::find(units_, std::string(sd_bus_message_get_path(call)), [](const Unit& one) { return path_of(one.name); });
    if (unit == units_.end() || unit->went) return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_OBJECT, "no such unit");
    if (changes_when_asked.exchange(false)) say_change(sd_bus_message_get_bus(call), unit->name);
    bool failed = std::strcmp(unit->active, "failed") == 0;
    if (wanted == "Result") return sd_bus_reply_method_return(call, "v", "s", failed ? "exit-code" : "success");
    if (wanted == "NRestarts") return sd_bus_reply_method_return(call, "v", "u", failed ? 5u : 0u);
    if (wanted == "Type") return sd_bus_reply_method_return(call, "v", "s", unit->type);
    if (wanted == "TriggeredBy")
      return *unit->triggered == '\0' ? sd_bus_reply_method_return(call, "v", "as", 0) : sd_bus_reply_method_return(call, "v", "as", 1, unit->triggered);
    if (wanted != "InvocationID") return 0;
    if (std::strcmp(unit->active, "inactive") == 0)
      return sd_bus_reply_method_return(call, "v", "ay", 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return sd_bus_reply_method_return(call, "v", "ay", 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255);
  }

  int list(sd_bus_message* call) {
    sd_bus_message* reply = nullptr;
    sd_bus_message_new_method_return(call, &reply);
    sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
    for (const Unit& unit : units_)
      sd_bus_message_append(reply, "(ssssssouso)", unit.name, "text", unit.load, unit.active, unit.sub, "", path_of(unit.name).c_str(), 0u, "", "/");
    sd_bus_message_close_container(reply);
    int code = sd_bus_send(nullptr, reply, nullptr);
    sd_bus_message_unref(reply);
    return code < 0 ? code : 1;
  }

  static int say_change(sd_bus* bus, const std::string& unit) {
    return sd_bus_emit_signal(bus, path_of(unit).c_str(), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", "org.freedesktop.systemd1.Unit", 0, 0);
  }

  /// @return below zero: the other end went
  int say_news(sd_bus* bus) {
    std::vector<std::string> changed;
    {
      std::lock_guard lock(mutex_);
      changed.swap(changed_);
    }
    int code = 0;
    for (const std::string& unit : changed) code = say_change(bus, unit);
    if (reload_.exchange(false)) code = sd_bus_emit_signal(bus, kManagerPath, kManager, "Reloading", "b", 0);
    if (only_signals) code = sd_bus_emit_signal(bus, kManagerPath, kManager, "UnitNew", "so", "a.service", "/a");
    return code;
  }

  void serve(int fd, std::stop_token stop) {
    sd_bus* bus = nullptr;
    sd_bus_new(&bus);
    sd_bus_set_fd(bus, fd, fd);
    sd_bus_set_server(bus, 1, sd_id128_t{});
    sd_bus_add_filter(bus, nullptr, on_call, this);
    sd_bus_start(bus);
    while (!stop.stop_requested() && say_news(bus) >= 0) {
      int code = sd_bus_process(bus, nullptr);
      if (code < 0) break;
      if (code == 0) sd_bus_wait(bus, 5'000);  // 5 ms
    }
    sd_bus_flush_close_unref(bus);
  }

  std::vector<Unit> units_;
  std::string directory_;
  int listening_ = -1;
  std::mutex mutex_;
  std::vector<std::string> changed_;   // guarded by mutex_
  std::atomic<bool> reload_ = false;
  std::vector<std::jthread> serving_;  // only by the thread that accepts, and after its end
  std::jthread accepting_;
};

}  // namespace prunella::testing
