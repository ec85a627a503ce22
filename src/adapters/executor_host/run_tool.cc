#include "adapters/executor_host/run_tool.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace prunella {

namespace {

Monotonic steady_now() { return HostClock().steady(); }

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<Fd> open_program(const HostRoot& root, const ToolCall& call) {
  auto fd = root.open_at(call.program, O_PATH);
  if (!fd) return std::move(fd).error().during("opening the program");
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return system_error(call.program, errno);
  if (!S_ISREG(info.st_mode) || info.st_uid != 0 || (info.st_mode & 022) != 0)
    return denied(call.program + " isn't a file that only root may change");
  if (call.script && ::fcntl(fd->get(), F_SETFD, 0) != 0) return system_error(call.program, errno);
  return fd;
}

/// The child's way to the program. Only calls that are safe after fork(2) in one thread; it never returns.
[[noreturn]] void become(const HostRoot& root, const ToolCall& call, int program, int out, int err, int status, char* const* argv, char* const* envp) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number : {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::signal(number, SIG_DFL);
  bool good = true;
  if (root.offline()) good = ::fchdir(root.fd()) == 0 && ::chroot(".") == 0;
  good = good && ::chdir("/") == 0;
  ::umask(022);
  int null = ::open("/dev/null", O_RDWR);
  good = good && null >= 0 && ::dup2(null, 0) == 0 && ::dup2(out, 1) == 1 && ::dup2(err, 2) == 2;
  // Descriptor 3 may be the program's own: move that out of the way first.
  int high = ::fcntl(program, call.script ? F_DUPFD : F_DUPFD_CLOEXEC, 10);
  good = good && high >= 10;
  if (status >= 0) good = good && ::dup2(status, 3) == 3;
  ::syscall(SYS_close_range, status >= 0 ? 4u : 3u, static_cast<unsigned>(high - 1), 0u);
  ::syscall(SYS_close_range, static_cast<unsigned>(high + 1), ~0u, 0u);
  if (call.uid) good = good && ::setgroups(0, nullptr) == 0 && ::setresgid(call.gid, call.gid, call.gid) == 0 && ::setresuid(*call.uid, *call.uid, *call.uid) == 0;
  if (good) ::syscall(SYS_execveat, high, "", argv, envp, AT_EMPTY_PATH);
  ::_exit(127);
}

/// Cuts a stream into lines.
class Lines {
 public:
  explicit Lines(const std::function<void(std::string)>& to) : to_(to) {}
  void add(std::string_view bytes) {
    for (char c : bytes) {
      if (c == '\n' || c == '\r')
        flush();
      else if (text_.size() < kToolLineMax)
        text_ += c;
    }
  }
  void flush() {
    if (!text_.empty() && to_) to_(std::exchange(text_, {}));
    text_.clear();
  }

 private:
  const std::function<void(std::string)>& to_;
  std::string text_;
};

struct Stream {
  Fd fd;
  std::function<Status(std::string_view)> take;
};

}  // namespace

Result<int> run_tool(const HostRoot& root, const ToolCall& call) {
  auto program = open_program(root, call);
  if (!program) return std::move(program).error();
  auto out = make_pipe(), err = make_pipe(), status = make_pipe();
  if (!out || !err || !status) return unavailable("making pipes for " + call.program);

  std::vector<std::string> environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", std::string(kToolMark)};
  environment.insert(environment.end(), call.environment.begin(), call.environment.end());
  std::string name = last_part(call.program);
  std::vector<char*> argv = {name.data()}, envp;
  for (const std::string& argument : call.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  for (std::string& variable : environment) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  pid_t executor = ::getpid();
  pid_t child = ::fork();
  if (child < 0) return system_error("starting " + call.program, errno);
  if (child == 0) {
    if (::getppid() != executor) ::_exit(127);
    become(root, call, program->get(), out->write.get(), call.raw ? err->write.get() : out->write.get(), call.status_line ? status->write.get() : -1, argv.data(), envp.data());
  }
  out->write = Fd();
  err->write = Fd();
  status->write = Fd();

  Lines out_lines(call.line), err_lines(call.line), status_lines(call.status_line);
  auto lines = [](Lines& to) {
    return [&to](std::string_view bytes) -> Status {
      to.add(bytes);
      return {};
    };
  };
  std::vector<Stream> streams;
  streams.push_back({std::move(out->read), call.raw ? std::function<Status(std::string_view)>([&](std::string_view bytes) { return call.raw(as_bytes(bytes)); }) : lines(out_lines)});
  streams.push_back({std::move(err->read), lines(err_lines)});
  streams.push_back({std::move(status->read), lines(status_lines)});

  std::optional<Error> stopped;
  Monotonic kill_at = call.deadline;
  int ended_status = 0;
  bool ended = false, termed = false;
  Fd watched(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  // A daemon that a maintainer script left behind may hold the pipes open: the program's own end decides, not theirs.
  while (!ended) {
    std::vector<pollfd> waits = {{watched.get(), POLLIN, 0}};
    for (Stream& stream : streams) waits.push_back({stream.fd.get(), POLLIN, 0});
    auto left = std::chrono::duration_cast<Duration>(kill_at - steady_now()).count();
    ::poll(waits.data(), waits.size(), static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (!streams[i].fd || !(waits[i + 1].revents & (POLLIN | POLLHUP | POLLERR))) continue;
      char buffer[65536];
      ssize_t got = ::read(streams[i].fd.get(), buffer, sizeof buffer);
      if (got <= 0) {
        streams[i].fd = Fd();
      } else if (auto taken = streams[i].take({buffer, static_cast<std::size_t>(got)}); !taken && !stopped) {
        stopped = taken.error();
        ::kill(-child, SIGKILL);
      }
    }
    ended = ::waitpid(child, &ended_status, WNOHANG) == child;
    if (!ended && steady_now() >= kill_at) {
      if (!stopped) stopped = unavailable(name + " was ended: its deadline came");
      ::kill(-child, termed ? SIGKILL : SIGTERM);
      kill_at = steady_now() + kTermGrace;
      termed = true;
    }
  }
  for (Stream& stream : streams) {  // what was written right before the end
    if (!stream.fd || ::fcntl(stream.fd.get(), F_SETFL, O_NONBLOCK) != 0) continue;
    char buffer[65536];
    for (ssize_t got; !stopped && (got = ::read(stream.fd.get(), buffer, sizeof buffer)) > 0;)
      if (auto taken = stream.take({buffer, static_cast<std::size_t>(got)}); !taken) stopped = taken.error();
  }
  out_lines.flush();
  err_lines.flush();
  status_lines.flush();
  if (stopped) return *stopped;
  return WIFEXITED(ended_status) ? WEXITSTATUS(ended_status) : 128 + WTERMSIG(ended_status);
}

}  // namespace prunella
