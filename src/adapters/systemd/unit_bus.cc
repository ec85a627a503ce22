#include "adapters/systemd/unit_bus.h"

#include <poll.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "observe/units.h"

namespace prunella {

namespace {

using namespace std::chrono_literals;

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnitPath = "/org/freedesktop/systemd1/unit";
constexpr std::uint64_t kCallTimeUs = 5'000'000;

inline constexpr Duration kBackoffFirst = 1s;
inline constexpr Duration kBackoffMax = 60s;
inline constexpr Duration kWaitMax = 5min;
// 1,000: a reload of systemd sends one message a unit; more is taken by the next call.
inline constexpr int kMessagesPerCallMax = 1000;

std::string error_words(int code) {
  char buffer[128];
  return strerror_r(code < 0 ? -code : code, buffer, sizeof buffer);
}

// The pieces of libsystemd that must be given back.
struct Message {
  sd_bus_message* get = nullptr;
  ~Message() { sd_bus_message_unref(get); }
};
struct BusError {
  sd_bus_error get = SD_BUS_ERROR_NULL;
  ~BusError() { sd_bus_error_free(&get); }
  std::string text(int code) const { return get.message ? get.message : error_words(code); }
};

std::optional<std::string> unit_of_path(const char* path) {
  char* name = nullptr;
  if (!path || sd_bus_path_decode(path, kUnitPath, &name) <= 0) return std::nullopt;
  std::string text(name);
  free(name);
  return text;
}

bool is_service(const std::string& name) { return name.ends_with(".service"); }

}  // namespace

struct UnitBus::Connection {
  sd_bus* bus = nullptr;
  UnitNews* news = nullptr;
  std::map<std::string, Unit>* details = nullptr;

  ~Connection() {
    if (bus) sd_bus_close_unref(bus);
  }

  void changed(const std::string& name) {
    details->erase(name);
    if (news->everything || !is_sensed_unit(name)) return;
    // Beyond what a host has, names are not worth keeping: everything is looked at instead.
    if (news->changed.size() >= kUnitsMax) news->everything = true;
    else news->changed.insert(name);
  }

  static int on_properties(sd_bus_message* message, void* self, sd_bus_error*) {
    if (auto name = unit_of_path(sd_bus_message_get_path(message))) static_cast<Connection*>(self)->changed(*name);
    return 0;
  }
  // UnitNew and UnitRemoved: the unit's name comes first.
  static int on_unit(sd_bus_message* message, void* self, sd_bus_error*) {
    const char* name = nullptr;
    if (sd_bus_message_read(message, "s", &name) > 0 && name) static_cast<Connection*>(self)->changed(name);
    return 0;
  }
  // JobRemoved(u id, o job, s unit, s result)
  static int on_job(sd_bus_message* message, void* self, sd_bus_error*) {
    std::uint32_t id = 0;
    const char *job = nullptr, *unit = nullptr, *result = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) > 0 && unit) static_cast<Connection*>(self)->changed(unit);
    return 0;
  }
  static int on_reload(sd_bus_message*, void* self, sd_bus_error*) {
    static_cast<Connection*>(self)->details->clear();
    static_cast<Connection*>(self)->news->everything = true;
    return 0;
  }

  int watch() {
    struct Match {
      const char* rule;
      sd_bus_message_handler_t handler;
    };
    const Match matches[] = {
        {"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
         "path_namespace='/org/freedesktop/systemd1/unit'",
         on_properties},
        {"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='UnitNew'", on_unit},
        {"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='UnitRemoved'", on_unit},
        {"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'", on_job},
        {"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='Reloading'", on_reload},
        // systemd was executed anew: it has forgotten who subscribed.
        {"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
         "arg0='org.freedesktop.systemd1'",
         on_reload},
    };
    for (const Match& match : matches) {
      std::string rule = match.rule;
      // Without a bus in between (tests) messages carry no sender.
      if (sd_bus_is_bus_client(bus) == 0)
        if (std::size_t at = rule.find("sender='"); at != std::string::npos) rule.erase(at, rule.find("',", at) + 2 - at);
      if (int code = sd_bus_add_match(bus, nullptr, rule.c_str(), match.handler, this); code < 0) return code;
    }
    return 0;
  }
};

UnitBus::UnitBus(Clock& clock, Opener opener) : clock_(clock), opener_(std::move(opener)) {
  if (!opener_) opener_ = [](sd_bus** bus) { return sd_bus_open_system(bus); };
}

UnitBus::~UnitBus() = default;

// Forgets the connection and says when to try again: after 1 s, then twice as long each time, at most a minute.
Error UnitBus::lost(std::string what, int code) {
  reason_ = std::move(what) + ": " + error_words(code);
  connection_.reset();
  details_.clear();
  backoff_ = backoff_ == Duration::zero() ? kBackoffFirst : std::min(backoff_ * 2, kBackoffMax);
  next_try_ = clock_.steady() + backoff_;
  return unavailable(reason_);
}

Status UnitBus::connect() {
  if (connection_) return {};
  if (next_try_ && clock_.steady() < *next_try_) return unavailable(reason_);
  auto connection = std::make_unique<Connection>();
  connection->news = &news_;
  connection->details = &details_;
  if (int code = opener_(&connection->bus); code < 0) return lost("the system bus can't be reached", code);
  sd_bus_set_method_call_timeout(connection->bus, kCallTimeUs);
  if (int code = connection->watch(); code < 0) return lost("the system bus takes no matches", code);
  BusError error;
  int code = sd_bus_call_method(connection->bus, kSystemd, kManagerPath, kManager, "Subscribe", &error.get, nullptr, nullptr);
  if (code < 0) return lost("systemd does not answer on the system bus (" + error.text(code) + ")", code);
  connection_ = std::move(connection);
  next_try_.reset();
  backoff_ = Duration::zero();
  news_.everything = true;
  return {};
}

int UnitBus::fd() const { return connection_ ? sd_bus_get_fd(connection_->bus) : -1; }

short UnitBus::events() const {
  if (!connection_) return 0;
  int events = sd_bus_get_events(connection_->bus);
  return events < 0 ? POLLIN : static_cast<short>(events);
}

Duration UnitBus::wait() const {
  if (!connection_) {
    if (!next_try_) return Duration::zero();
    return std::clamp<Duration>(*next_try_ - clock_.steady(), Duration::zero(), kWaitMax);
  }
  std::uint64_t until_us = 0;
  if (sd_bus_get_timeout(connection_->bus, &until_us) < 0 || until_us == UINT64_MAX) return kWaitMax;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  std::uint64_t now_us = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  if (until_us <= now_us) return Duration::zero();
  return std::min<Duration>(Duration(static_cast<Duration::rep>((until_us - now_us) / 1000 + 1)), kWaitMax);
}

Status UnitBus::take_messages() {
  for (int messages = 0; messages < kMessagesPerCallMax; ++messages) {
    int code = sd_bus_process(connection_->bus, nullptr);
    if (code < 0) return lost("the connection to the system bus ended", code);
    if (code == 0) break;
  }
  return {};
}

Result<UnitNews> UnitBus::process() {
  if (auto connected = connect(); !connected) return std::move(connected).error();
  if (auto taken = take_messages(); !taken) return std::move(taken).error();
  return std::exchange(news_, {});
}

Result<Unit> UnitBus::with_details(Unit unit, const std::string& path) {
  auto known = details_.find(unit.name);
  if (known != details_.end() && known->second.active == unit.active && known->second.sub == unit.sub && known->second.load == unit.load)
    return known->second;
  sd_bus* bus = connection_->bus;
  BusError error;
  char* result = nullptr;
  int code = sd_bus_get_property_string(bus, kSystemd, path.c_str(), "org.freedesktop.systemd1.Service", "Result", &error.get, &result);
  if (code >= 0) unit.result = result;
  free(result);
  std::uint32_t restarts = 0;
  BusError restart_error;
  if (code >= 0) {
    code = sd_bus_get_property_trivial(bus, kSystemd, path.c_str(), "org.freedesktop.systemd1.Service", "NRestarts", &restart_error.get, 'u', &restarts);
    if (code >= 0) unit.restarts = restarts;
  }
  if (code >= 0) {
    Message reply;
    BusError id_error;
    code = sd_bus_get_property(bus, kSystemd, path.c_str(), "org.freedesktop.systemd1.Unit", "InvocationID", &id_error.get, &reply.get, "ay");
    const void* bytes = nullptr;
    std::size_t size = 0;
    if (code >= 0 && (code = sd_bus_message_read_array(reply.get, 'y', &bytes, &size)) >= 0) {
      const auto* first = static_cast<const unsigned char*>(bytes);
      std::string text = invocation_text(std::vector<unsigned char>(first, first + size));
      if (!text.empty()) unit.invocation = std::move(text);
    }
  }
  // A unit may go while we ask; a connection that ended is another matter.
  if (code == -ENOTCONN || code == -ECONNRESET || code == -ETIMEDOUT) return lost("asking systemd about " + unit.name, code);
  if (code >= 0) details_[unit.name] = unit;
  return unit;
}

Result<UnitFacts> UnitBus::units() {
  if (auto connected = connect(); !connected) return std::move(connected).error();
  // What has come and was not taken yet makes details stale: a service that was started anew looks the same in the list.
  if (auto taken = take_messages(); !taken) return std::move(taken).error();
  UnitFacts facts;
  BusError error;
  char* state = nullptr;
  int code = sd_bus_get_property_string(connection_->bus, kSystemd, kManagerPath, kManager, "SystemState", &error.get, &state);
  if (code < 0) return lost("systemd does not tell its state (" + error.text(code) + ")", code);
  facts.system = state;
  free(state);

  Message reply;
  BusError list_error;
  code = sd_bus_call_method(connection_->bus, kSystemd, kManagerPath, kManager, "ListUnits", &list_error.get, &reply.get, nullptr);
  if (code < 0) return lost("systemd does not list its units (" + list_error.text(code) + ")", code);
  code = sd_bus_message_enter_container(reply.get, 'a', "(ssssssouso)");
  std::vector<std::pair<Unit, std::string>> listed;
  while (code >= 0) {
    const char *name, *description, *load, *active, *sub, *follows, *path, *job_type, *job_path;
    std::uint32_t job;
    code = sd_bus_message_read(reply.get, "(ssssssouso)", &name, &description, &load, &active, &sub, &follows, &path, &job, &job_type, &job_path);
    if (code <= 0) break;
    if (!is_sensed_unit(name)) continue;
    // Names that others only mention are no units of this host.
    if (std::strcmp(load, "not-found") == 0 && std::strcmp(active, "inactive") == 0) continue;
    if (listed.size() == kUnitsMax) return exhausted("more than " + std::to_string(kUnitsMax) + " units");
    Unit unit;
    unit.name = name, unit.load = load, unit.active = active, unit.sub = sub;
    listed.emplace_back(std::move(unit), path);
  }
  if (code < 0) return lost("systemd's list of units can't be read", code);
  for (auto& [unit, path] : listed) {
    if (!is_service(unit.name)) {
      facts.units.push_back(std::move(unit));
      continue;
    }
    auto detailed = with_details(std::move(unit), path);
    if (!detailed) return std::move(detailed).error();
    facts.units.push_back(*std::move(detailed));
  }
  std::ranges::sort(facts.units, {}, &Unit::name);
  return facts;
}

}  // namespace prunella
