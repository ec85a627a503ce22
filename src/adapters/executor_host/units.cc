#include "adapters/executor_host/units.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "adapters/executor_host/host_root.h"
#include "base/encoding.h"
#include "base/text.h"
#include "model/plan.h"
#include "observe/systemd_bus.h"

namespace prunella {

namespace {

constexpr std::string_view kManagerPath = "/org/freedesktop/systemd1";
constexpr std::string_view kManager = "org.freedesktop.systemd1.Manager";
constexpr std::string_view kUnit = "org.freedesktop.systemd1.Unit";
// 2 s: while systemd executes itself anew, nobody listens.
constexpr Duration kConnectMax = std::chrono::seconds(2);
// 128 questions on their way: enough that systemd never waits for us, and far below what its queue holds.
constexpr std::size_t kAskedMax = 128;

/// A connection to systemd, open, for one question: all that it asks must be answered within `answer_max`.
class Connection {
 public:
  static Result<Connection> open(const std::string& path, Duration answer_max) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return invalid_input("the socket's path " + quoted(path) + " is too long");
    path.copy(address.sun_path, path.size());
    Connection connection;
    connection.answered_by_ = connection.clock_.steady() + answer_max;
    Monotonic until = connection.clock_.steady() + kConnectMax;
    while (true) {
      connection.fd_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (!connection.fd_) return system_error("a socket to systemd", errno);
      // One that doesn't read must not hold us up either.
      timeval patience{answer_max.count() / 1000, answer_max.count() % 1000 * 1000};
      ::setsockopt(connection.fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      if (::connect(connection.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) break;
      if ((errno != ECONNREFUSED && errno != EINTR) || connection.clock_.steady() >= until) return unavailable(system_error("connecting to systemd at " + path, errno).text());
      ::poll(nullptr, 0, 20);
    }
    if (auto agreed = connection.authenticate(); !agreed) return std::move(agreed).error();
    return connection;
  }

  /// Sends a call. @return its serial.
  Result<std::uint32_t> send(std::string_view path, std::string_view interface, std::string_view member, std::string_view signature, std::string body) {
    DbusMessage call;
    call.serial = ++serial_;
    call.path = path, call.interface = interface, call.member = member, call.signature = signature;
    call.body = std::move(body);
    if (auto sent = send_bytes(to_bytes(call)); !sent) return std::move(sent).error();
    return call.serial;
  }

  /// The next message. @error kUnavailable  none came until then, or systemd closed the connection.
  Result<DbusMessage> next(Monotonic until) {
    while (true) {
      auto message = take_dbus_message(received_, at_);
      if (!message) return std::move(message).error().during("systemd's answer");
      if (*message) return **std::move(message);
      if (auto got = receive(until); !got) return std::move(got).error();
    }
  }

  /// The answer to the call with this serial; ends of jobs that are told before it go to `ended`. @error kUnavailable  also an error as answer
  Result<DbusMessage> answer(std::uint32_t serial, Monotonic until, std::vector<DbusMessage>* ended = nullptr) {
    while (true) {
      auto message = next(until);
      if (!message) return message;
      if (message->kind == DbusKind::kSignal && message->member == "JobRemoved" && ended) ended->push_back(*std::move(message));
      else if (message->reply_to == serial && message->kind == DbusKind::kReturn) return message;
      else if (message->reply_to == serial && message->kind == DbusKind::kError) return unavailable(error_text(*message));
    }
  }

  static std::string error_text(const DbusMessage& message) {
    DbusReader body(message.body);
    std::string text(message.signature.starts_with('s') ? body.text() : std::string_view());
    return "systemd says " + quoted(text.empty() ? message.error : text);
  }

  Monotonic answered_by() const { return answered_by_; }

 private:
  /// The kernel tells systemd who we are; the name is only the form (D-Bus Specification, "Authentication Protocol", EXTERNAL).
  /// BEGIN goes with it, and not after the answer: systemd forgets a call that it reads in one go with BEGIN until the next one comes.
  Status authenticate() {
    std::string name = to_hex(as_bytes(std::to_string(::geteuid())));
    if (auto sent = send_bytes(std::string("\0AUTH EXTERNAL ", 15) + name + "\r\nBEGIN\r\n"); !sent) return sent;
    std::size_t end = 0;
    while ((end = received_.find("\r\n")) == std::string::npos) {
      if (received_.size() > 512) return unavailable("systemd's greeting is no D-Bus");
      if (auto got = receive(answered_by_); !got) return got;
    }
    if (!received_.starts_with("OK ")) return unavailable("systemd refuses the connection: " + quoted(received_.substr(0, end)));
    received_.clear();
    return {};
  }

  Status send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return system_error("asking systemd", errno);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
  }

  Status receive(Monotonic until) {
    received_.erase(0, at_);
    at_ = 0;
    while (true) {
      auto left = std::chrono::duration_cast<Duration>(until - clock_.steady());
      if (left <= Duration(0)) return unavailable("systemd did not answer in time");
      pollfd wait{fd_.get(), POLLIN, 0};
      // One more, since what is left was cut to whole milliseconds.
      if (::poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left.count() + 1, 60'000))) <= 0) continue;
      char piece[65536];
      ssize_t got = ::recv(fd_.get(), piece, sizeof piece, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("systemd's answer", errno);
      if (got == 0) return unavailable("systemd closed the connection");
      received_.append(piece, static_cast<std::size_t>(got));
      return {};
    }
  }

  HostClock clock_;
  Monotonic answered_by_{};
  Fd fd_;
  std::uint32_t serial_ = 0;
  std::string received_;
  std::size_t at_ = 0;  ///< what is before it was read
};

/// Every loaded service, socket, timer and path, as ListUnitsByPatterns gives them.
Result<std::vector<ListedUnit>> list_units(Connection& systemd) {
  DbusWriter patterns;
  patterns.texts({});  // in any state
  patterns.texts({"*.service", "*.socket", "*.timer", "*.path"});
  auto serial = systemd.send(kManagerPath, kManager, "ListUnitsByPatterns", "asas", patterns.take());
  if (!serial) return std::move(serial).error();
  auto answer = systemd.answer(*serial, systemd.answered_by());
  if (!answer) return std::move(answer).error().during("systemd's list of units");
  return parse_unit_list(*answer);
}

/// A property of a unit that is to be asked for.
struct Question {
  ListedUnit* unit;
  UnitProperty property;
  std::string interface;
  std::string_view name;
};

void ask_invocation(ListedUnit& unit, std::vector<Question>& questions) {
  questions.push_back({&unit, UnitProperty::kInvocation, std::string(kUnit), "InvocationID"});
}

std::vector<Question> every_question(std::vector<ListedUnit>& units) {
  std::vector<Question> questions;
  for (ListedUnit& unit : units) {
    const std::string& name = unit.state.unit.name;
    bool service = name.ends_with(".service");
    std::string kind = "org.freedesktop.systemd1." + std::string(service ? "Service" : name.ends_with(".socket") ? "Socket" : name.ends_with(".timer") ? "Timer" : "Path");
    ask_invocation(unit, questions);
    questions.push_back({&unit, UnitProperty::kResult, kind, "Result"});
    if (!service) continue;
    questions.push_back({&unit, UnitProperty::kTriggeredBy, std::string(kUnit), "TriggeredBy"});
    questions.push_back({&unit, UnitProperty::kRestarts, kind, "NRestarts"});
    questions.push_back({&unit, UnitProperty::kType, kind, "Type"});
  }
  return questions;
}

/// Asks with many questions on their way at a time.
Status ask(Connection& systemd, const std::vector<Question>& questions) {
  std::map<std::uint32_t, const Question*> open;
  for (std::size_t next = 0; next < questions.size() || !open.empty();) {
    if (next < questions.size() && open.size() < kAskedMax) {
      const Question& question = questions[next++];
      DbusWriter which;
      which.text(question.interface);
      which.text(question.name);
      auto serial = systemd.send(question.unit->path, "org.freedesktop.DBus.Properties", "Get", "ss", which.take());
      if (!serial) return std::move(serial).error().during("asking systemd about its units");
      open.emplace(*serial, &question);
      continue;
    }
    auto message = systemd.next(systemd.answered_by());
    if (!message) return std::move(message).error().during("asking systemd about its units");
    auto it = open.find(message->reply_to.value_or(0));
    if (it == open.end()) continue;
    // A unit may go while we ask: then its answer is an error, and what it was when the list was made stays.
    if (message->kind == DbusKind::kReturn)
      if (auto read = read_unit_property(it->second->property, *message, *it->second->unit); !read) return read;
    open.erase(it);
  }
  return {};
}

}  // namespace

Result<std::vector<UnitState>> SystemdTool::list() {
  auto systemd = Connection::open(socket_, answer_max_);
  if (!systemd) return std::move(systemd).error();
  auto units = list_units(*systemd);
  if (!units) return std::move(units).error();
  if (auto asked = ask(*systemd, every_question(*units)); !asked) return std::move(asked).error();
  return states_of(*std::move(units));
}

Result<std::vector<UnitState>> SystemdTool::states(const std::vector<std::string>& named) {
  auto systemd = Connection::open(socket_, answer_max_);
  if (!systemd) return std::move(systemd).error();
  auto units = list_units(*systemd);
  if (!units) return std::move(units).error();
  std::vector<Question> questions;
  for (ListedUnit& unit : *units)
    if (std::ranges::find(named, unit.state.unit.name) != named.end()) ask_invocation(unit, questions);
  if (auto asked = ask(*systemd, questions); !asked) return std::move(asked).error();
  return states_of(*std::move(units));
}

Status SystemdTool::restart(const std::string& unit, const ToolWatch& watch) {
  if (auto named = check_unit_name(unit); !named) return named;
  auto systemd = Connection::open(socket_, answer_max_);
  if (!systemd) return std::move(systemd).error();
  DbusWriter what;
  what.text(unit);
  what.text("replace");  // as systemctl does: it takes the place of a conflicting job that waits
  auto serial = systemd->send(kManagerPath, kManager, "RestartUnit", "ss", what.take());
  if (!serial) return std::move(serial).error();
  // A connection of systemd's own socket is told of every job without asking; one may end before its path is known.
  std::vector<DbusMessage> ended;
  auto answer = systemd->answer(*serial, std::min(watch.deadline, systemd->answered_by()), &ended);
  if (!answer) return std::move(answer).error().during("restarting " + unit);
  DbusReader body(answer->body);
  std::string job(answer->signature == "o" ? body.text() : std::string_view());
  if (job.empty()) return unavailable("systemd's answer to restarting " + unit + " can't be read; the restart may go on");
  std::optional<std::string> result;
  for (const DbusMessage& signal : ended)
    if (!result) result = job_result(signal, job);
  while (!result) {
    auto message = systemd->next(watch.deadline);
    if (!message) return unavailable("waiting for the restart of " + unit + ", which may go on: " + message.error().text());
    result = job_result(*message, job);
  }
  if (*result == "done" || *result == "skipped") return {};
  std::string said = "the restart of " + unit + " ended with " + quoted(*result);
  if (watch.output) watch.output(said);
  return unavailable(said);
}

}  // namespace prunella
