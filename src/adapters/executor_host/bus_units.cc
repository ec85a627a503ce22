#include "adapters/executor_host/bus_units.h"

#include <systemd/sd-bus.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "adapters/executor_host/host_root.h"
#include "adapters/executor_host/units.h"
#include "base/encoding.h"
#include "model/plan.h"

namespace prunella {

namespace {

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnitInterface = "org.freedesktop.systemd1.Unit";
// 30 s: systemd answers at once, unless it is executed anew or waits for a slow generator.
constexpr Duration kAnswerMax = std::chrono::seconds(30);
// 256 questions on their way: enough that systemd never waits for us, and far below what its queue holds.
constexpr std::size_t kAskedMax = 256;

std::uint64_t microseconds(Duration span) { return static_cast<std::uint64_t>(std::max<std::int64_t>(span.count(), 0)) * 1000; }

struct Bus {
  sd_bus* get = nullptr;
  ~Bus() {
    if (get) sd_bus_close_unref(get);
  }
};
struct Message {
  sd_bus_message* get = nullptr;
  ~Message() { sd_bus_message_unref(get); }
};
struct Slot {
  sd_bus_slot* get = nullptr;
  ~Slot() { sd_bus_slot_unref(get); }
};
struct BusError {
  sd_bus_error get = SD_BUS_ERROR_NULL;
  ~BusError() { sd_bus_error_free(&get); }
  std::string text(int code) const { return get.message ? get.message : std::strerror(-code); }
};

int open_systemd(sd_bus** bus) {
  if (sd_bus_new(bus) >= 0) {
    // systemctl(1) of root does the same: there is no bus in between, and it works while dbus.service is down.
    if (sd_bus_set_address(*bus, "unix:path=/run/systemd/private") >= 0 && sd_bus_start(*bus) >= 0) return 0;
    *bus = sd_bus_unref(*bus);
  }
  return sd_bus_open_system(bus);
}

Error failed(const std::string& what, int code, const BusError* error = nullptr) {
  return unavailable(what + ": " + (error ? error->text(code) : std::string(std::strerror(-code))));
}

/// One property that is asked for; the answer is put into its unit.
struct Question {
  enum Property { kResult, kRestarts, kInvocation, kType, kTriggeredBy };
  Property property = kResult;
  UnitState* state = nullptr;
  std::set<std::string>* triggers = nullptr;
  std::size_t* open = nullptr;
  int* broken = nullptr;
};

int read_answer(sd_bus_message* reply, const Question& question) {
  switch (question.property) {
    case Question::kResult: {
      const char* text = nullptr;
      int code = sd_bus_message_read(reply, "v", "s", &text);
      if (code >= 0 && *text != '\0') question.state->unit.result = text;
      return code;
    }
    case Question::kRestarts: {
      std::uint32_t count = 0;
      int code = sd_bus_message_read(reply, "v", "u", &count);
      if (code >= 0) question.state->unit.restarts = count;
      return code;
    }
    case Question::kInvocation: {
      if (int code = sd_bus_message_enter_container(reply, 'v', "ay"); code < 0) return code;
      const void* bytes = nullptr;
      std::size_t size = 0;
      int code = sd_bus_message_read_array(reply, 'y', &bytes, &size);
      if (code < 0 || size == 0) return code;
      BytesView view(static_cast<const std::uint8_t*>(bytes), size);
      // A unit that was never started has none, which systemd says by zeros.
      if (std::ranges::any_of(view, [](std::uint8_t byte) { return byte != 0; })) question.state->unit.invocation = to_hex(view);
      return code;
    }
    case Question::kType: {
      const char* text = nullptr;
      int code = sd_bus_message_read(reply, "v", "s", &text);
      if (code >= 0) question.state->on_demand = std::strcmp(text, "dbus") == 0;  // polkit, hostnamed and their kind end when idle
      return code;
    }
    case Question::kTriggeredBy: {
      if (int code = sd_bus_message_enter_container(reply, 'v', "as"); code < 0) return code;
      if (int code = sd_bus_message_enter_container(reply, 'a', "s"); code < 0) return code;
      const char* name = nullptr;
      int code = 0;
      while ((code = sd_bus_message_read(reply, "s", &name)) > 0) question.triggers->insert(name);
      return code;
    }
  }
  return -EINVAL;
}

int on_answer(sd_bus_message* reply, void* data, sd_bus_error*) {
  const auto& question = *static_cast<Question*>(data);
  --*question.open;
  int error = sd_bus_message_get_errno(reply);
  // A unit may go while we ask, and not every kind has every property; a connection that broke is another matter.
  if (error == ECONNRESET || error == ENOTCONN || error == ETIMEDOUT) *question.broken = -error;
  if (error != 0 || sd_bus_message_is_method_error(reply, nullptr)) return 0;
  if (int code = read_answer(reply, question); code < 0) *question.broken = code;
  return 0;
}

/// Reads what systemd says of some units, with many questions on their way at a time.
class Details {
 public:
  explicit Details(sd_bus* bus) : bus_(bus) {}

  /// `state` and `triggers` must stay where they are until finish().
  Status ask(UnitState& state, std::set<std::string>& triggers, const std::string& path) {
    const std::string& name = state.unit.name;
    const char* own = name.ends_with(".service")  ? "org.freedesktop.systemd1.Service"
                      : name.ends_with(".socket") ? "org.freedesktop.systemd1.Socket"
                      : name.ends_with(".timer")  ? "org.freedesktop.systemd1.Timer"
                                                  : "org.freedesktop.systemd1.Path";
    struct Wanted {
      const char* interface;
      const char* name;
      Question::Property property;
      bool services_only;
    };
    const Wanted wanted[] = {{kUnitInterface, "InvocationID", Question::kInvocation, false},
                             {kUnitInterface, "TriggeredBy", Question::kTriggeredBy, true},
                             {own, "Result", Question::kResult, false},
                             {own, "NRestarts", Question::kRestarts, true},
                             {own, "Type", Question::kType, true}};
    for (const Wanted& one : wanted) {
      if (one.services_only && !name.ends_with(".service")) continue;
      while (open_ >= kAskedMax)
        if (auto taken = take(); !taken) return taken;
      questions_.push_back({one.property, &state, &triggers, &open_, &broken_});
      int code = sd_bus_call_method_async(bus_, nullptr, kSystemd, path.c_str(), "org.freedesktop.DBus.Properties", "Get", on_answer,
                                          &questions_.back(), "ss", one.interface, one.name);
      if (code < 0) return failed("asking systemd about " + name, code);
      ++open_;
    }
    return {};
  }

  Status finish() {
    while (open_ > 0)
      if (auto taken = take(); !taken) return taken;
    return {};
  }

 private:
  Status take() {
    int code = sd_bus_process(bus_, nullptr);
    if (code == 0) code = sd_bus_wait(bus_, microseconds(kAnswerMax));
    if (code == -EINTR) return {};
    if (code < 0) return failed("asking systemd about its units", code);
    if (broken_ < 0) return failed("asking systemd about its units", broken_);  // also a question that timed out
    return {};
  }

  sd_bus* bus_;
  std::deque<Question> questions_;  // their addresses are the callbacks' data
  std::size_t open_ = 0;
  int broken_ = 0;
};

struct Found {
  std::vector<UnitState> units;
  std::vector<std::set<std::string>> triggers;  ///< of each unit: what brings it back
};

/// `method` is ListUnitsByPatterns or ListUnitsByNames (org.freedesktop.systemd1(5)).
Result<Found> read_units(sd_bus* bus, const char* method, const std::vector<std::string>& names) {
  Message call, reply;
  BusError error;
  int code = sd_bus_message_new_method_call(bus, &call.get, kSystemd, kManagerPath, kManager, method);
  if (code >= 0 && std::strcmp(method, "ListUnitsByPatterns") == 0) code = sd_bus_message_append_strv(call.get, nullptr);  // in any state
  if (code >= 0) code = sd_bus_message_open_container(call.get, 'a', "s");
  for (const std::string& name : names)
    if (code >= 0) code = sd_bus_message_append(call.get, "s", name.c_str());
  if (code >= 0) code = sd_bus_message_close_container(call.get);
  if (code >= 0) code = sd_bus_call(bus, call.get, microseconds(kAnswerMax), &error.get, &reply.get);
  if (code < 0) return failed("systemd does not list its units", code, &error);
  code = sd_bus_message_enter_container(reply.get, 'a', "(ssssssouso)");
  Found found;
  std::vector<std::string> paths;
  while (code >= 0) {
    const char *name, *description, *load, *active, *sub, *follows, *path, *job_type, *job_path;
    std::uint32_t job;
    code = sd_bus_message_read(reply.get, "(ssssssouso)", &name, &description, &load, &active, &sub, &follows, &path, &job, &job_type, &job_path);
    if (code <= 0) break;
    if (found.units.size() == kUnitStatesMax) return exhausted("more than " + std::to_string(kUnitStatesMax) + " units");
    UnitState& state = found.units.emplace_back();
    state.unit.name = name, state.unit.load = load, state.unit.active = active, state.unit.sub = sub;
    paths.emplace_back(path);
  }
  if (code < 0) return failed("systemd's list of units can't be read", code);
  found.triggers.resize(found.units.size());
  Details details(bus);
  for (std::size_t i = 0; i < found.units.size(); ++i)
    if (auto asked = details.ask(found.units[i], found.triggers[i], paths[i]); !asked) return std::move(asked).error();
  if (auto finished = details.finish(); !finished) return std::move(finished).error();
  return found;
}

/// What a job that is waited for became.
struct Job {
  std::string path;
  std::map<std::string, std::string> ended;  ///< also other jobs': one may end before its path is known
};

// JobRemoved(u id, o job, s unit, s result)
int on_job_removed(sd_bus_message* message, void* data, sd_bus_error*) {
  std::uint32_t id = 0;
  const char *job = nullptr, *unit = nullptr, *result = nullptr;
  if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) > 0) static_cast<Job*>(data)->ended[job] = result;
  return 0;
}

}  // namespace

BusUnitTool::BusUnitTool() : BusUnitTool(open_systemd) {}

Result<std::vector<UnitState>> BusUnitTool::list() {
  Bus bus;
  if (int code = opener_(&bus.get); code < 0) return failed("connecting to systemd", code);
  auto found = read_units(bus.get, "ListUnitsByPatterns", {"*.service", "*.socket", "*.timer", "*.path"});
  if (!found) return std::move(found).error();
  // A socket, timer or path that is itself active brings its service back when it's needed.
  std::set<std::string> active;
  for (const UnitState& state : found->units)
    if (state.unit.active == "active") active.insert(state.unit.name);
  for (std::size_t i = 0; i < found->units.size(); ++i)
    if (std::ranges::any_of(found->triggers[i], [&](const std::string& name) { return active.contains(name); })) found->units[i].on_demand = true;
  std::ranges::sort(found->units, {}, [](const UnitState& state) -> const std::string& { return state.unit.name; });
  return std::move(found->units);
}

Result<std::optional<UnitState>> BusUnitTool::find(const std::string& unit) {
  if (auto named = check_unit_name(unit); !named) return std::move(named).error();
  Bus bus;
  if (int code = opener_(&bus.get); code < 0) return failed("connecting to systemd", code);
  auto found = read_units(bus.get, "ListUnitsByNames", {unit});
  if (!found) return std::move(found).error();
  // Asked for under another of its names, a unit comes with its own.
  if (found->units.empty() || found->units.front().unit.name != unit) return std::optional<UnitState>();
  UnitState state = std::move(found->units.front());
  if (const auto& triggers = found->triggers.front(); !state.on_demand && !triggers.empty()) {
    auto by = read_units(bus.get, "ListUnitsByNames", {triggers.begin(), triggers.end()});
    if (!by) return std::move(by).error();
    state.on_demand = std::ranges::any_of(by->units, [](const UnitState& other) { return other.unit.active == "active"; });
  }
  return std::optional(std::move(state));
}

Status BusUnitTool::restart(const std::string& unit, const ToolWatch& watch) {
  if (auto named = check_unit_name(unit); !named) return named;
  HostClock clock;
  Bus bus;
  if (int code = opener_(&bus.get); code < 0) return failed("connecting to systemd", code);
  Job job;
  Slot slot;
  // Before the job is queued, or its end could be missed. systemd's own socket needs no subscription; a bus does.
  int code = sd_bus_match_signal(bus.get, &slot.get, nullptr, kManagerPath, kManager, "JobRemoved", on_job_removed, &job);
  BusError error;
  if (code >= 0) code = sd_bus_call_method(bus.get, kSystemd, kManagerPath, kManager, "Subscribe", &error.get, nullptr, nullptr);
  if (code < 0) return failed("subscribing to systemd's jobs", code, &error);
  Message reply;
  BusError refused;
  code = sd_bus_call_method(bus.get, kSystemd, kManagerPath, kManager, "RestartUnit", &refused.get, &reply.get, "ss", unit.c_str(), "replace");
  const char* path = nullptr;
  if (code >= 0) code = sd_bus_message_read(reply.get, "o", &path);
  if (code < 0) return failed("systemd does not restart " + unit, code, &refused);
  job.path = path;
  while (!job.ended.contains(job.path)) {
    Duration left = std::chrono::duration_cast<Duration>(watch.deadline - clock.steady());
    if (left <= Duration(0)) return unavailable("the restart of " + unit + " didn't end in time; it may go on");
    code = sd_bus_process(bus.get, nullptr);
    if (code == 0) code = sd_bus_wait(bus.get, microseconds(left));
    if (code == -EINTR) continue;
    if (code < 0) return failed("waiting for the restart of " + unit + ", which may go on", code);
  }
  const std::string& result = job.ended[job.path];
  if (result == "done" || result == "skipped") return {};
  std::string said = "the restart of " + unit + " ended with '" + result + "'";
  if (watch.output) watch.output(said);
  return unavailable(said);
}

}  // namespace prunella
