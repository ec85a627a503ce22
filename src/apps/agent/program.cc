#include "apps/agent/program.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "adapters/linux/files.h"
#include "adapters/linux/notify.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/apt_worker.h"
#include "apps/agent/hands.h"
#include "apps/agent/inbox.h"
#include "apps/agent/link.h"
#include "apps/agent/log.h"
#include "apps/agent/observer.h"
#include "apps/agent/status.h"
#include "apps/agent/stoppable_programs.h"
#include "apps/agent/trim.h"
#include "loop/agent_core.h"
#include "match/findings.h"

namespace prunella::agent {

namespace {

/// A peer that doesn't read its status for this long doesn't get it.
constexpr timeval kStatusPatience{2, 0};
constexpr std::size_t kMemoryBytesMax = 4 << 20;
/// After the last section that came: start and upgrades bring many, one after the other.
constexpr Duration kTrimAfter = std::chrono::seconds(20);

Now now() {
  SystemClock clock;
  return {clock.now(), clock.steady()};
}

/// A document of the state directory; nothing when there is none, or when it can't be used (which is said).
template <class T>
std::optional<T> read_state(const std::string& path) {
  auto text = read_file(path, kMemoryBytesMax);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  Result<T> value = text ? from_json_text<T>(*text, {.bytes_max = kMemoryBytesMax}) : Result<T>(text.error());
  if (!value) {
    log(LogLevel::kWarning, path + " is not used: " + value.error().text());
    return std::nullopt;
  }
  return *std::move(value);
}

class Agent {
 public:
  Agent(const AgentConfig& config, const Places& places)
      : config_(config),
        places_(places),
        started_(now().wall),
        core_({config.trust(), random_id_text(random_, 16), PRUNELLA_VERSION, true}, read_state<Memory>(places.memory()).value_or(Memory{}),
              read_state<Envelope>(places.policy()), random_, now()),
        apt_(config, places, programs_, inbox_),
        hands_(places.executor_socket, config.host, inbox_, look_at_processes_once),
        observer_(config.full_check_every.value_or(kFullCheckDefault), inbox_, hands_, apt_) {}

  ~Agent() {
    inbox_.close();
    apt_.stop();
    programs_.stop();
  }

  Status run(int signals, int status_socket) {
    auto link = Link::open(config_, places_, inbox_);
    if (!link) return std::move(link).error();
    link_ = *std::move(link);
    log(LogLevel::kInfo, std::string("version ") + PRUNELLA_VERSION + ", host " + config_.host.text() + ", control plane " + config_.server);
    notify_systemd("READY=1");
    feed(Tick{});
    for (;;) {
      Monotonic steady = now().steady;
      Monotonic wake = std::min({core_.wake(), next_watchdog(steady), trim_at_.value_or(Monotonic::max())});
      Duration wait = std::chrono::duration_cast<Duration>(wake - steady);
      pollfd fds[3] = {{inbox_.fd(), POLLIN, 0}, {signals, POLLIN, 0}, {status_socket, POLLIN, 0}};
      ::poll(fds, 3, static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, 3'600'000)));
      if (fds[1].revents != 0) break;
      if (fds[2].revents != 0) answer_status(status_socket);
      if (fds[0].revents != 0) inbox_.clear_event();
      while (auto input = inbox_.take()) feed(*std::move(input));
      if (now().steady >= core_.wake()) feed(Tick{});
      if (trim_at_ && now().steady >= *trim_at_) {
        trim_at_.reset();
        give_memory_back();
      }
    }
    log(LogLevel::kInfo, "stopping");
    notify_systemd("STOPPING=1");
    return {};
  }

 private:
  void feed(Input input) {
    if (std::holds_alternative<SectionSensed>(input)) trim_at_ = now().steady + kTrimAfter;
    for (Effect& effect : core_.handle(std::move(input), now())) std::visit([this](auto& one) { carry_out(one); }, effect);
    observer_.hold(core_.is_order_being_done());
  }

  void carry_out(SendReport& effect) { link_->carry_out(std::move(effect)); }
  void carry_out(FetchDirections& effect) { link_->carry_out(effect); }
  void carry_out(StageFiles& effect) { apt_.carry_out(std::move(effect)); }
  void carry_out(DropStage& effect) { apt_.carry_out(std::move(effect)); }
  void carry_out(HandOrder& effect) { hands_.carry_out(std::move(effect)); }
  void carry_out(AskExecutor& effect) { hands_.carry_out(effect); }
  void carry_out(ForgetOutcome& effect) { hands_.carry_out(std::move(effect)); }
  void carry_out(InstallPolicy& effect) { hands_.carry_out(std::move(effect)); }
  void carry_out(RequestStanding& effect) { hands_.carry_out(std::move(effect)); }
  void carry_out(RefreshSection& effect) { observer_.refresh(effect.section); }
  void carry_out(Remember& effect) { keep(places_.memory(), to_canonical_text(effect.memory)); }
  void carry_out(KeepPolicy& effect) { keep(places_.policy(), to_canonical_text(effect.policy)); }
  void carry_out(Say& effect) { log(effect.level == Say::Level::kInfo ? LogLevel::kInfo : LogLevel::kWarning, effect.text); }

  void keep(const std::string& path, const std::string& text) {
    // Without it a refusal may be told twice after a restart, or an older policy be used: said, and gone on.
    if (auto written = write_file_atomically(path, text + "\n", 0600); !written) log(LogLevel::kWarning, path + ": " + written.error().text());
  }

  /// When systemd wants to hear of us; far away when it doesn't.
  Monotonic next_watchdog(Monotonic steady) {
    static const std::uint64_t period_us = [] {
      const char* text = std::getenv("WATCHDOG_USEC");
      return text ? parse_uint(text).value_or(0) : 0;
    }();
    if (period_us == 0) return Monotonic::max();
    if (steady >= watchdog_at_) {
      notify_systemd("WATCHDOG=1");
      watchdog_at_ = steady + Duration(period_us / 2000);  // half of it, as sd_watchdog_enabled(3) advises
    }
    return watchdog_at_;
  }

  void answer_status(int listening) {
    Descriptor peer(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer.is_open()) return;
    ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &kStatusPatience, sizeof kStatusPatience);
    std::string text = to_canonical_text(status());
    for (std::string_view rest = text; !rest.empty();) {
      ssize_t sent = ::send(peer.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    ::malloc_trim(0);
  }

  StatusView status() const {
    Core::Link link = core_.link();
    StatusView view;
    view.version = PRUNELLA_VERSION;
    view.host = config_.host;
    view.server = config_.server;
    view.instance = core_.instance();
    view.now = now().wall;
    view.since = started_;
    view.connected = link.last_answer && !link.report_error;
    view.last_answer = link.last_answer;
    view.clock_ahead = link.clock_ahead;
    view.report_error = link.report_error;
    view.directions_error = link.directions_error;
    view.executor_error = link.executor_error;
    view.certificate_expires = link_->certificate().not_after;
    if (core_.policy()) view.policy_serial = core_.policy()->serial;
    view.order_sequence = link.order_sequence;
    view.orders_held = link.orders_held;
    view.outcomes_held = link.outcomes_held;
    view.dropped = link.dropped;
    view.findings = findings_of(config_.host, core_.facts(), view.now);
    view.posture = posture_of(view.findings, view.now, view.now);
    view.sections = section_views(core_.facts());
    return view;
  }

  AgentConfig config_;
  Places places_;
  Instant started_;
  SystemRandom random_;
  Core core_;
  StoppablePrograms programs_;
  Inbox inbox_;
  // Each has a thread that puts into the inbox; they end in the opposite order.
  AptWorker apt_;
  Hands hands_;
  Observer observer_;
  std::unique_ptr<Link> link_;
  Monotonic watchdog_at_{};
  std::optional<Monotonic> trim_at_;  // when memory is given back
};

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return invalid_input("the socket's path " + quoted(path) + " is longer than " + std::to_string(sizeof address.sun_path - 1) + " bytes (unix(7))");
  path.copy(address.sun_path, path.size());
  return address;
}

}  // namespace

Result<Descriptor> listen_on(const std::string& path) {
  auto address = socket_address(path);
  if (!address) return std::move(address).error();
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(path.c_str());
  mode_t before = ::umask(0117);
  int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  int number = errno;
  ::umask(before);
  if (bound != 0) return unavailable("listening on " + path + ": " + std::strerror(number));
  if (::listen(fd.get(), 8) != 0) return unavailable("listening on " + path + ": " + std::strerror(errno));
  return fd;
}

Result<std::string> ask_status(const std::string& socket) {
  auto address = socket_address(socket);
  if (!address) return std::move(address).error();
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return unavailable("no agent answers at " + socket + ": " + std::strerror(errno));
  timeval patience{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string text;
  char piece[16 * 1024];
  for (;;) {
    ssize_t got = ::recv(fd.get(), piece, sizeof piece, 0);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unavailable("reading from " + socket + ": " + std::strerror(errno));
    text.append(piece, static_cast<std::size_t>(got));
    if (text.size() > kStatusBytesMax) return exhausted("the status is larger than " + bytes_text(kStatusBytesMax));
  }
}

Status run_agent(const AgentConfig& config, const Places& places) {
  // One arena: glibc otherwise makes one for each thread, and each keeps what its thread once needed.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  // Before any thread starts, so that all of them inherit it.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Descriptor signals(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  auto listening = listen_on(places.status_socket);
  if (!listening) return std::move(listening).error();
  Descriptor status_socket = *std::move(listening);
  Status ran = Agent(config, places).run(signals.get(), status_socket.get());
  ::unlink(places.status_socket.c_str());
  return ran;
}

}  // namespace prunella::agent
