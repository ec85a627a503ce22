#include "adapters/linux/programs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "adapters/linux/descriptor.h"
#include "adapters/linux/files.h"
#include "adapters/linux/system_clock.h"
#include "base/text.h"

namespace prunella {

namespace {

// 4 KiB: a status line is a sentence.
inline constexpr std::size_t kStatusLineMax = 4096;

struct Pipe {
  Descriptor read;
  Descriptor write;
};

// Both ends above the descriptors that the child gets, so that putting one in place never closes another.
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "making a pipe");
  Descriptor low_read(ends[0]), low_write(ends[1]);
  Pipe pipe{Descriptor(::fcntl(ends[0], F_DUPFD_CLOEXEC, 10)), Descriptor(::fcntl(ends[1], F_DUPFD_CLOEXEC, 10))};
  if (!pipe.read.is_open() || !pipe.write.is_open()) return system_error(errno, "making a pipe");
  if (::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0) return system_error(errno, "making a pipe");
  return pipe;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));  // posix_spawn only reads
  out.push_back(nullptr);
  return out;
}

// The file actions and attributes of one spawn, freed with it.
class Spawn {
 public:
  Spawn() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~Spawn() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  Result<pid_t> start(const ProgramCall& call, int out, int err, int status) {
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, out, 1);
    posix_spawn_file_actions_adddup2(&actions_, err, 2);
    if (status >= 0) posix_spawn_file_actions_adddup2(&actions_, status, 3);
    posix_spawn_file_actions_addclosefrom_np(&actions_, status >= 0 ? 4 : 3);
    posix_spawn_file_actions_addchdir_np(&actions_, call.directory.c_str());
    pid_t pid = -1;
    int failed = posix_spawn(&pid, call.arguments[0].c_str(), &actions_, &attributes_, pointers(call.arguments).data(),
                             pointers(call.environment).data());
    if (failed == ENOENT || failed == EACCES) return not_found(call.arguments[0] + " can't be run: " + (failed == ENOENT ? "it isn't there" : "no permission"));
    if (failed != 0) return unavailable("starting " + call.arguments[0] + ": " + system_error(failed, "posix_spawn").text());
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// A started program until it and its group are gone.
class Running {
 public:
  Running(const ProgramCall& call, pid_t pid) : call_(call), pid_(pid) {
    end_.fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  }
  ~Running() { reap(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  Result<ProgramResult> wait(Descriptor out, Descriptor err, Descriptor status) {
    out_ = std::move(out), err_ = std::move(err), status_ = std::move(status);
    if (end_.fd < 0) return unavailable("pidfd_open(2) failed; Linux 5.3 or newer is needed");
    SystemClock clock;
    Monotonic deadline = clock.steady() + call_.time_max;
    for (;;) {
      Duration left = deadline - clock.steady();
      if (left <= Duration::zero())
        return unavailable(call_.arguments[0] + " did not end within " + to_text(call_.time_max) + " and was killed");
      pollfd polled[] = {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}, {status_.get(), POLLIN, 0}, {end_.fd, POLLIN, 0}};
      // One minute: poll's limit is an int of milliseconds.
      int ready = ::poll(polled, 4, more_ ? 0 : static_cast<int>(std::min<Duration::rep>(left.count(), 60'000)));
      if (ready < 0 && errno != EINTR) return system_error(errno, "waiting for " + call_.arguments[0]);
      bool ended = (polled[3].revents & POLLIN) != 0;
      if (ended) ::kill(-pid_, SIGKILL);
      more_ = false;
      if (auto read = read_streams(); !read) return std::move(read).error();
      // What was written before the end is in the pipes when the end is seen: they are read until they are empty.
      if (result_.stopped_early || (ended && !more_)) {
        reap();
        return std::move(result_);
      }
    }
  }

 private:
  Status read_streams() {
    Status done = drain(out_, [&](std::string_view piece) { return take_output(piece); });
    if (!done) return done;
    done = drain(err_, [&](std::string_view piece) {
      result_.errors.append(piece.substr(0, call_.stderr_max - std::min(call_.stderr_max, result_.errors.size())));
      return Status();
    });
    if (!done) return done;
    return drain(status_, [&](std::string_view piece) {
      take_status(piece);
      return Status();
    });
  }

  template <class Take>
  Status drain(Descriptor& from, Take take) {
    // 16 pieces: a program that never stops writing must not keep the time limit from being seen.
    char buffer[32768];
    for (int piece = 0; from.is_open() && !result_.stopped_early; ++piece) {
      if (piece == 16) {
        more_ = true;
        return {};
      }
      ssize_t got = ::read(from.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return {};
      if (got <= 0) {
        from.close();
        return {};
      }
      if (auto taken = take(std::string_view(buffer, static_cast<std::size_t>(got))); !taken) return taken;
    }
    return {};
  }

  Status take_output(std::string_view piece) {
    if (call_.on_stdout) {
      result_.stopped_early = !call_.on_stdout(piece);
      return {};
    }
    if (result_.output.size() + piece.size() > call_.stdout_max)
      return exhausted(call_.arguments[0] + " wrote more than " + bytes_text(call_.stdout_max) + " and was killed");
    result_.output.append(piece);
    return {};
  }

  void take_status(std::string_view piece) {
    status_line_.append(piece);
    for (std::size_t end; (end = status_line_.find('\n')) != std::string::npos;) {
      call_.on_status_line(std::string_view(status_line_).substr(0, end));
      status_line_.erase(0, end + 1);
    }
    if (status_line_.size() > kStatusLineMax) status_line_.clear();
  }

  // The leader is still there, if only as a zombie, so that its group's number can't be another's.
  void reap() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    int how = 0;
    while (::waitpid(pid_, &how, 0) < 0 && errno == EINTR) {
    }
    if (!result_.stopped_early && WIFEXITED(how)) result_.exit_code = WEXITSTATUS(how);
    if (!result_.stopped_early && WIFSIGNALED(how)) result_.signal = WTERMSIG(how);
    pid_ = -1;
    if (end_.fd >= 0) ::close(end_.fd);
    end_.fd = -1;
  }

  const ProgramCall& call_;
  pid_t pid_;
  pollfd end_{-1, POLLIN, 0};
  Descriptor out_, err_, status_;
  std::string status_line_;
  bool more_ = false;  // a stream was not read to its end in this round
  ProgramResult result_;
};

}  // namespace

Result<ProgramResult> LinuxPrograms::run(const ProgramCall& call) {
  check(!call.arguments.empty() && call.arguments[0].starts_with('/'), "a program is named by its absolute path");
  check(call.time_max > Duration::zero(), "a program has a time limit");
  auto out = make_pipe();
  if (!out) return std::move(out).error();
  Pipe err, status;
  if (!call.merge_stderr) {
    auto made = make_pipe();
    if (!made) return std::move(made).error();
    err = *std::move(made);
  }
  if (call.on_status_line) {
    auto made = make_pipe();
    if (!made) return std::move(made).error();
    status = *std::move(made);
  }
  Spawn spawn;
  auto pid = spawn.start(call, out->write.get(), call.merge_stderr ? out->write.get() : err.write.get(), status.write.get());
  if (!pid) return std::move(pid).error();
  Running running(call, *pid);
  out->write.close();
  err.write.close();
  status.write.close();
  return running.wait(std::move(out->read), std::move(err.read), std::move(status.read));
}

}  // namespace prunella
