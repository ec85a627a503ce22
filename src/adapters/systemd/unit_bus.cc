#include "adapters/systemd/unit_bus.h"

#include <poll.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <set>
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
// 100 services, three questions each, on their way together: far below what a bus lets wait.
inline constexpr std::size_t kServicesAtOnce = 100;
// 1,000: a reload of systemd sends one message a unit; more is taken by the next call.
inline constexpr int kMessagesPerCallMax = 1000;

std::string error_words(int code) {
  char buffer[128];
  return strerror_r(code < 0 ? -code : code, buffer, sizeof buffer);
}

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

bool is_lost(int code) { return code == -ENOTCONN || code == -ECONNRESET || code == -ETIMEDOUT; }

// Questions to systemd that are all on their way before the first answer is waited for: one after the other, each costs a turn through
// the bus, and a failed unit waits for all of them. Signals that come meanwhile go to their handlers.
class Questions {
 public:
  using Take = std::function<int(sd_bus_message*)>;  // below zero: it can't be read

  explicit Questions(sd_bus* bus) : bus_(bus) {}
  ~Questions() {
    for (Question& question : asked_) sd_bus_slot_unref(question.slot);
  }
  Questions(const Questions&) = delete;
  Questions& operator=(const Questions&) = delete;

  void property(const char* path, const char* interface, const char* name, Take take) {
    Question& question = open(std::move(take));
    sent(sd_bus_call_method_async(bus_, &question.slot, kSystemd, path, "org.freedesktop.DBus.Properties", "Get", on_answer, &question, "ss", interface, name));
  }
  void call(const char* path, const char* interface, const char* member, Take take) {
    Question& question = open(std::move(take));
    sent(sd_bus_call_method_async(bus_, &question.slot, kSystemd, path, interface, member, on_answer, &question, nullptr));
  }

  // Until each is answered. @return below zero: the connection is lost
  int wait() {
    while (open_ > 0 && !is_lost(code_)) {
      int code = sd_bus_process(bus_, nullptr);
      if (code == 0) code = sd_bus_wait(bus_, UINT64_MAX);  // each question ends with an error after kCallTimeUs
      if (code < 0 && code != -EINTR) return code;
    }
    return is_lost(code_) ? code_ : 0;
  }
  // The first that went wrong: below zero, and why.
  int code() const { return code_; }
  const std::string& why() const { return why_; }

 private:
  struct Question {
    Questions* all;
    Take take;
    sd_bus_slot* slot = nullptr;
  };

  Question& open(Take take) {
    ++open_;
    return asked_.emplace_back(Question{this, std::move(take)});
  }
  void sent(int code) {
    if (code >= 0) return;
    --open_;
    failed(code, error_words(code));
  }
  void failed(int code, std::string why) {
    if (code_ < 0 && !is_lost(code)) return;
    code_ = code, why_ = std::move(why);
  }
  static int on_answer(sd_bus_message* answer, void* userdata, sd_bus_error*) {
    auto& question = *static_cast<Question*>(userdata);
    --question.all->open_;
    if (const sd_bus_error* error = sd_bus_message_get_error(answer)) {
      int code = -sd_bus_error_get_errno(error);
      question.all->failed(code < 0 ? code : -EIO, error->message ? error->message : error_words(code));
    } else if (int code = question.take(answer); code < 0) {
      question.all->failed(code, error_words(code));
    }
    return 0;
  }

  sd_bus* bus_;
  std::deque<Question> asked_;  // sd-bus keeps pointers to them
  int open_ = 0;
  int code_ = 0;
  std::string why_;
};

int read_text(sd_bus_message* answer, std::string& out) {
  const char* text = nullptr;
  int code = sd_bus_message_read(answer, "v", "s", &text);
  if (code >= 0 && text) out = text;
  return code;
}

int read_invocation(sd_bus_message* answer, std::optional<std::string>& out) {
  const void* bytes = nullptr;
  std::size_t size = 0;
  int code = sd_bus_message_enter_container(answer, 'v', "ay");
  if (code >= 0) code = sd_bus_message_read_array(answer, 'y', &bytes, &size);
  if (code < 0) return code;
  const auto* first = static_cast<const unsigned char*>(bytes);
  std::string text = invocation_text(std::vector<unsigned char>(first, first + size));
  if (!text.empty()) out = std::move(text);
  return 0;
}

}  // namespace

struct UnitBus::Connection {
  sd_bus* bus = nullptr;
  UnitNews* news = nullptr;
  std::map<std::string, Unit>* details = nullptr;
  // What changed since questions about details went out: their answers may be of before and after.
  struct Touched {
    std::set<std::string> units;
    bool all = false;
  };
  Touched* touched = nullptr;

  ~Connection() {
    if (bus) sd_bus_close_unref(bus);
  }

  void changed(const std::string& name) {
    details->erase(name);
    if (touched) touched->units.insert(name);
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
    auto& connection = *static_cast<Connection*>(self);
    connection.details->clear();
    if (connection.touched) connection.touched->all = true;
    connection.news->everything = true;
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
  if (!news_.empty()) return Duration::zero();  // came while units were asked about
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

Status UnitBus::add_details(std::span<Listed> services) {
  Questions questions(connection_->bus);
  Connection::Touched touched;
  connection_->touched = &touched;
  for (Listed& one : services) {
    const char* service = "org.freedesktop.systemd1.Service";
    questions.property(one.path.c_str(), service, "Result", [&](sd_bus_message* answer) {
      std::string result;
      int code = read_text(answer, result);
      if (code >= 0) one.unit.result = std::move(result);
      return code;
    });
    questions.property(one.path.c_str(), service, "NRestarts", [&](sd_bus_message* answer) {
      std::uint32_t restarts = 0;
      int code = sd_bus_message_read(answer, "v", "u", &restarts);
      if (code >= 0) one.unit.restarts = restarts;
      return code;
    });
    questions.property(one.path.c_str(), "org.freedesktop.systemd1.Unit", "InvocationID", [&](sd_bus_message* answer) {
      one.answered = true;  // the last of the three
      return read_invocation(answer, one.unit.invocation);
    });
  }
  // A unit may go while we ask; a connection that ended is another matter.
  int code = questions.wait();
  connection_->touched = nullptr;
  if (code < 0) return lost("asking systemd about its services", code);
  for (const Listed& one : services)
    if (one.answered && one.unit.result && one.unit.restarts && !touched.all && !touched.units.contains(one.unit.name)) details_[one.unit.name] = one.unit;
  return {};
}

Result<UnitFacts> UnitBus::units() {
  if (auto connected = connect(); !connected) return std::move(connected).error();
  // What has come and was not taken yet makes details stale: a service that was started anew looks the same in the list.
  if (auto taken = take_messages(); !taken) return std::move(taken).error();
  UnitFacts facts;
  std::vector<Listed> listed;
  bool too_many = false;
  Questions questions(connection_->bus);
  questions.property(kManagerPath, kManager, "SystemState", [&](sd_bus_message* answer) { return read_text(answer, facts.system); });
  questions.call(kManagerPath, kManager, "ListUnits", [&](sd_bus_message* answer) {
    int code = sd_bus_message_enter_container(answer, 'a', "(ssssssouso)");
    while (code >= 0) {
      const char *name, *description, *load, *active, *sub, *follows, *path, *job_type, *job_path;
      std::uint32_t job;
      code = sd_bus_message_read(answer, "(ssssssouso)", &name, &description, &load, &active, &sub, &follows, &path, &job, &job_type, &job_path);
      if (code <= 0) break;
      if (!is_sensed_unit(name)) continue;
      // Names that others only mention are no units of this host.
      if (std::strcmp(load, "not-found") == 0 && std::strcmp(active, "inactive") == 0) continue;
      too_many = listed.size() == kUnitsMax;
      if (too_many) break;
      Unit unit;
      unit.name = name, unit.load = load, unit.active = active, unit.sub = sub;
      listed.push_back({std::move(unit), path});
    }
    return code;
  });
  if (int lost_code = questions.wait(); lost_code < 0) return lost("asking systemd for its units", lost_code);
  if (questions.code() < 0) return lost("systemd does not list its units (" + questions.why() + ")", questions.code());
  if (too_many) return exhausted("more than " + std::to_string(kUnitsMax) + " units");

  std::vector<Listed> services;
  for (Listed& one : listed) {
    auto known = details_.find(one.unit.name);
    if (!is_service(one.unit.name)) facts.units.push_back(std::move(one.unit));
    else if (known != details_.end() && known->second.active == one.unit.active && known->second.sub == one.unit.sub && known->second.load == one.unit.load) facts.units.push_back(known->second);
    else services.push_back(std::move(one));
  }
  for (std::size_t done = 0; done < services.size(); done += kServicesAtOnce) {
    std::span<Listed> some = std::span(services).subspan(done, std::min(kServicesAtOnce, services.size() - done));
    if (auto added = add_details(some); !added) return std::move(added).error();
  }
  for (Listed& one : services) facts.units.push_back(std::move(one.unit));
  std::ranges::sort(facts.units, {}, &Unit::name);
  return facts;
}

}  // namespace prunella
