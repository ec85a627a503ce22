#include "apps/agent/executor_client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "adapters/linux/descriptor.h"
#include "adapters/linux/system_clock.h"
#include "base/text.h"

namespace prunella::agent {

ExecutorClient::ExecutorClient(std::string socket) : socket_(std::move(socket)), cancelled_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  check(cancelled_ >= 0, "a descriptor at the start");
}
ExecutorClient::~ExecutorClient() { ::close(cancelled_); }

void ExecutorClient::cancel() {
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(cancelled_, &one, sizeof one);
}

namespace {

/// Waits until `fd` can be used. @error kUnavailable  the time is over, or the client was cancelled.
Status wait_for(int fd, short events, int cancelled, Monotonic deadline) {
  for (;;) {
    Duration left = std::chrono::duration_cast<Duration>(deadline - SystemClock().steady());
    if (left <= Duration(0)) return unavailable("the executor did not answer in time; it may be at work");
    pollfd fds[2] = {{fd, events, 0}, {cancelled, POLLIN, 0}};
    int ready = ::poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 3'600'000)));
    if (ready < 0 && errno != EINTR) return unavailable(std::string("poll: ") + std::strerror(errno));
    if (ready > 0 && fds[1].revents != 0) return unavailable("the agent is stopping");
    if (ready > 0 && fds[0].revents != 0) return {};
  }
}

Result<Descriptor> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return invalid_input("the socket's path " + quoted(path) + " is longer than " + std::to_string(sizeof address.sun_path - 1));
  path.copy(address.sun_path, path.size());
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) return unavailable(std::string("socket: ") + std::strerror(errno));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  // EAGAIN: its backlog is full (unix(7)).
  return unavailable("no executor at " + path + ": " + (errno == EAGAIN ? "it is at work and its queue is full" : std::strerror(errno)));
}

std::string frame(std::string_view json) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((json.size() >> shift) & 0xff);
  out += json;
  return out;
}

}  // namespace

Result<RunOutcome> ExecutorClient::exchange(const ExecutorRequest& request, Duration patience, const std::function<bool(ExecutorAnswer&)>& take) {
  Monotonic deadline = SystemClock().steady() + patience;
  auto fd = connect_to(socket_);
  if (!fd) return std::move(fd).error();
  std::string out = frame(to_canonical_text(request));
  for (std::string_view rest = out; !rest.empty();) {
    ssize_t sent = ::send(fd->get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return unavailable(std::string("writing to the executor: ") + std::strerror(errno));
    if (auto ready = wait_for(fd->get(), POLLOUT, cancelled_, deadline); !ready) return std::move(ready).error();
  }
  out.clear();
  out.shrink_to_fit();
  std::string buffer;
  char piece[16 * 1024];
  for (;;) {
    if (buffer.size() >= 4) {
      std::size_t size = 0;
      for (std::size_t i = 0; i < 4; ++i) size = (size << 8) | static_cast<unsigned char>(buffer[i]);
      if (size > kExecutorMessageMax) return invalid_input("an answer of " + std::to_string(size) + " bytes, at most " + std::to_string(kExecutorMessageMax));
      if (buffer.size() >= 4 + size) {
        auto answer = from_json_text<ExecutorAnswer>(std::string_view(buffer).substr(4, size), {.bytes_max = kExecutorMessageMax});
        if (!answer) return std::move(answer).error().during("the executor's answer");
        buffer.erase(0, 4 + size);
        if (answer->error) return invalid_input(*answer->error);
        if (take(*answer)) return answer->outcome.value_or(RunOutcome{});
        continue;
      }
    }
    if (auto ready = wait_for(fd->get(), POLLIN, cancelled_, deadline); !ready) return std::move(ready).error();
    ssize_t got = ::recv(fd->get(), piece, sizeof piece, 0);
    if (got == 0) return unavailable("the executor closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR) return unavailable(std::string("reading from the executor: ") + std::strerror(errno));
    if (got > 0) buffer.append(piece, static_cast<std::size_t>(got));
  }
}

Result<ExecutorAnswer> ExecutorClient::ask(const ExecutorRequest& request) {
  ExecutorAnswer given;
  auto done = exchange(request, kExecutorAnswerWait, [&](ExecutorAnswer& answer) {
    given = std::move(answer);
    return true;
  });
  if (!done) return std::move(done).error();
  return given;
}

Result<RunOutcome> ExecutorClient::follow(const ExecutorRequest& request, const std::function<void(RunProgress)>& progress) {
  return exchange(request, kExecutorRunWait, [&](ExecutorAnswer& answer) {
    if (answer.progress) progress(*std::move(answer.progress));
    return answer.outcome.has_value();
  });
}

}  // namespace prunella::agent
