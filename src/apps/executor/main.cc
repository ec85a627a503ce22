#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "adapters/executor_host/files.h"
#include "adapters/executor_host/health.h"
#include "adapters/executor_host/processes.h"
#include "adapters/executor_host/units.h"
#include "apps/executor/config.h"
#include "apps/executor/seccomp.h"
#include "apps/executor/socket.h"
#include "base/display.h"
#include "loop/executor_core.h"

namespace prunella {
namespace {

std::atomic<bool> stopping = false;
void on_signal(int) { stopping = true; }

/// One line a message; journald adds the time.
void note(const std::string& text) { std::fprintf(stderr, "%s\n", display_text(text, 4000).c_str()); }

struct Arguments {
  std::string verb = "serve";
  std::string root = "/";
  std::string config = "/etc/prunella/executor.json";
  std::string trust = "/etc/prunella/trust.json";
  std::optional<std::string> socket;
};

constexpr std::string_view kUsage =
    "prunella-executor [serve] [--config FILE] [--trust FILE] [--socket PATH] [--root DIR]\n"
    "    Carries out signed orders on this host. Started by systemd; it needs root.\n"
    "    --root DIR works on a tree that isn't booted, for crash tests.\n"
    "prunella-executor freeze    From now on no order and no standing rule is carried out. A run that acts comes to its end.\n"
    "prunella-executor unfreeze  Ends that.\n"
    "prunella-executor status    Prints what the running executor says of itself, as JSON.\n";

Result<Arguments> read_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    auto value = [&](std::string& into) {
      if (i + 1 < argc) into = argv[++i];
      return i < argc;
    };
    if (word == "serve" || word == "freeze" || word == "unfreeze" || word == "status" || word == "--help")
      arguments.verb = word;
    else if (word == "--config" && i + 1 < argc)
      value(arguments.config);
    else if (word == "--trust" && i + 1 < argc)
      value(arguments.trust);
    else if (word == "--root" && i + 1 < argc)
      value(arguments.root);
    else if (word == "--socket" && i + 1 < argc)
      value(arguments.socket.emplace());
    else
      return invalid_input("unknown argument " + quoted(word) + "; `prunella-executor --help` lists them");
  }
  return arguments;
}

/// A file that root alone may change, as JSON. A missing one is an error: the caller decides what that means.
template <class T>
Result<T> read_settings(const HostRoot& root, const std::string& path) {
  auto fd = root.open_at(path, O_RDONLY | O_NOCTTY);
  if (!fd) return std::move(fd).error();
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0 || info.st_uid != 0 || (info.st_mode & 022) != 0)
    return denied(path + " must belong to root and be writable by nobody else");
  auto text = read_fd(fd->get(), 1 << 20);
  if (!text) return std::move(text).error().during(path);
  auto settings = from_json_text<T>(*text);
  if (!settings) return std::move(settings).error().during(path);
  return settings;
}

/// Nothing of whoever started us reaches what we start: no variables, no descriptors, no working directory, no masks.
std::optional<Fd> shed_inheritance() {
  std::optional<Fd> passed;
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (pid && count && parse_int(pid).value_or(0) == ::getpid() && std::string_view(count) == "1") passed.emplace(3);  // sd_listen_fds(3)
  ::syscall(SYS_close_range, passed ? 4u : 3u, ~0u, 0u);
  if (passed) ::fcntl(3, F_SETFD, FD_CLOEXEC);
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) std::exit(1);
  ::clearenv();
  ::umask(077);
  if (::chdir("/") != 0) std::exit(1);
  rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // what is in memory here is what root is about to do
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: waiting ends
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  return passed;
}

class KernelRandom : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::size_t done = 0; done < out.size();) {
      ssize_t got = ::getrandom(out.data() + done, out.size() - done, 0);
      if (got > 0) done += static_cast<std::size_t>(got);
    }
  }
};

class HostTimer : public Timer {
 public:
  void wait(Duration at_most) override {
    timespec span{at_most.count() / 1000, (at_most.count() % 1000) * 1'000'000};
    ::nanosleep(&span, nullptr);
  }
};

std::string frozen_path(const ExecutorPaths& paths) { return paths.state + "/frozen"; }

/// Unknown is frozen: only a file that isn't there means no.
bool is_frozen(const HostRoot& root, const ExecutorPaths& paths) {
  auto fd = root.open_at(frozen_path(paths), O_PATH);
  return fd || fd.error().kind() != ErrorKind::kNotFound;
}

int freeze(const HostRoot& root, const ExecutorPaths& paths, bool on) {
  Status done;
  if (on) {
    done = replace_file(root, frozen_path(paths), "");
  } else if (auto parent = root.open_parent(frozen_path(paths))) {
    if (::unlinkat(parent->get(), "frozen", 0) != 0 && errno != ENOENT) done = system_error(frozen_path(paths), errno);
  }
  if (!done) {
    note(done.error().text());
    return 1;
  }
  std::printf("%s\n", on ? "frozen: no order and no standing rule is carried out" : "not frozen");
  return 0;
}

int print_status(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::string request = frame_message(to_canonical_text(ExecutorRequest{}));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    note(system_error("connecting to " + path, errno).text());
    return 1;
  }
  std::string buffer;
  if (!write_fd(fd.get(), request)) return 1;
  char piece[4096];
  for (ssize_t got; (got = ::read(fd.get(), piece, sizeof piece)) > 0;) {
    buffer.append(piece, static_cast<std::size_t>(got));
    auto message = take_message(buffer, kExecutorMessageMax);
    if (!message) return 1;
    if (!*message) continue;
    auto answer = parse_json(**message);
    if (!answer) return 1;
    std::printf("%s\n", to_pretty(*answer).c_str());
    return 0;
  }
  return 1;
}

int serve(const Arguments& arguments, const HostRoot& root, const ExecutorConfig& config, const ExecutorPaths& paths, std::optional<Fd> passed) {
  auto fail = [](const Error& error) {
    note(error.text());
    return 1;
  };
  auto trust = read_settings<HostTrust>(root, arguments.trust);
  if (!trust) return fail(trust.error());
  auto owned = prepare_state(root, paths);
  if (!owned) return fail(owned.error());
  DpkgTool dpkg(root, paths);
  if (auto prepared = dpkg.prepare(); !prepared) return fail(prepared.error());

  auto agent = account_of(root, config.agent_user.value_or("prunella-agent"));
  if (!agent) note(agent.error().text() + ": only root may connect");
  Account peer = agent.value_or(Account{});
  if (!passed) {
    auto listening = ExecutorSocket::listen_at(arguments.socket.value_or(config.socket.value_or("/run/prunella/executor.sock")), peer.gid);
    if (!listening) return fail(listening.error());
    passed = *std::move(listening);
  }
  if (auto confined = confine(); !confined) return fail(confined.error());

  HostClock clock;
  HostTimer timer;
  HostStage stage(root, paths, dpkg);
  HostFiles files(root, paths);
  SystemdTool systemd;
  NoUnits no_units;
  ProcTool proc(root);
  NoProcesses no_processes;
  HealthCommand command;
  command.argv = config.health_command.value_or(std::vector<std::string>{});
  if (config.health_user) command.user = *config.health_user;
  if (config.health_timeout) command.timeout = *config.health_timeout;
  HostHealth health(root, command);
  HostRunFiles runs(root, paths);
  HostJournalFile file(root, paths);
  HostPolicyStore policies(root, paths);
  KernelRandom random;
  UnitTool& units = root.offline() ? static_cast<UnitTool&>(no_units) : systemd;
  ProcessTool& processes = root.offline() ? static_cast<ProcessTool&>(no_processes) : proc;

  auto journal = Journal::open(file, clock.now());
  if (!journal) return fail(journal.error());
  HostTools tools{clock, timer, dpkg, stage, files, units, processes, health, runs};
  ExecutorCore core(tools, *journal, policies, random, {*trust, PRUNELLA_VERSION}, [&] { return is_frozen(root, paths); });
  auto say = [](const RunOutcome& outcome) { note(outcome.run.text() + " ended " + std::string(to_text(outcome.state)) + ": " + outcome.reason); };
  if (auto outcome = core.start(note)) say(*outcome);
  note("prunella-executor " PRUNELLA_VERSION " is ready");

  ExecutorSocket socket(*std::move(passed), peer.uid, note);
  socket.serve(
      [&](const ExecutorRequest& request, const ExecutorSocket::Send& send) {
        core.handle(request, [&](const ExecutorAnswer& answer) {
          if (answer.outcome) say(*answer.outcome);
          send(answer);
        });
      },
      [&] { return stopping.load() || journal->broken(); });
  if (!journal->broken()) return 0;
  // What the disk holds is uncertain: only a new start, which reads it, knows.
  note("the journal can't be written any more; ending, so that the next start recovers");
  return 1;
}

int run(int argc, char** argv) {
  auto passed = shed_inheritance();
  auto arguments = read_arguments(argc, argv);
  if (!arguments) {
    note(arguments.error().text());
    return 2;
  }
  if (arguments->verb == "--help") {
    std::printf("%s", std::string(kUsage).c_str());
    return 0;
  }
  auto root = HostRoot::open(arguments->root);
  if (!root) {
    note(root.error().text());
    return 1;
  }
  auto config = read_settings<ExecutorConfig>(*root, arguments->config);
  if (!config && config.error().kind() != ErrorKind::kNotFound) {
    note(config.error().text());
    return 1;
  }
  if (config)
    if (auto checked = check_executor_config(*config); !checked) {
      note(arguments->config + ": " + checked.error().text());
      return 1;
    }
  ExecutorConfig settings = config.value_or(ExecutorConfig{});
  ExecutorPaths paths;
  if (settings.state) paths.state = *settings.state;
  if (settings.agent_stage) paths.agent_stage = *settings.agent_stage;
  if (arguments->verb == "status") return print_status(arguments->socket.value_or(settings.socket.value_or("/run/prunella/executor.sock")));
  if (::geteuid() != 0) {
    note("prunella-executor needs root, this is user " + std::to_string(::geteuid()));
    return 1;
  }
  if (arguments->verb == "serve") return serve(*arguments, *root, settings, paths, std::move(passed));
  return freeze(*root, paths, arguments->verb == "freeze");
}

}  // namespace
}  // namespace prunella

int main(int argc, char** argv) { return prunella::run(argc, argv); }
