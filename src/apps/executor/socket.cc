#include "apps/executor/socket.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/text.h"

namespace prunella {

namespace {

/// A peer that doesn't read must not hold up a transaction: after this its answers are dropped, the journal has the outcome.
constexpr timeval kSendTimeout{5, 0};

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

std::string frame_message(std::string_view json) {
  std::string frame;
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>((json.size() >> shift) & 0xff);
  frame += json;
  return frame;
}

Result<std::optional<std::string>> take_message(std::string& buffer, std::size_t bytes_max) {
  if (buffer.size() < 4) return std::optional<std::string>();
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = (size << 8) | static_cast<unsigned char>(buffer[i]);
  if (size > bytes_max) return exhausted("a message of " + std::to_string(size) + " bytes, at most " + std::to_string(bytes_max));
  if (buffer.size() < 4 + size) return std::optional<std::string>();
  std::optional<std::string> message = buffer.substr(4, size);
  buffer.erase(0, 4 + size);
  return message;
}

Result<ExecutorRequest> read_request(std::string_view json) { return from_json_text<ExecutorRequest>(json, {kExecutorMessageMax, 32}); }

Result<Fd> ExecutorSocket::listen_at(const std::string& path, std::uint32_t group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return invalid_input("the socket's path " + quoted(path) + " is too long");
  path.copy(address.sun_path, path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return system_error("making the socket", errno);
  ::unlink(path.c_str());
  mode_t before = ::umask(0117);
  int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::umask(before);
  if (bound != 0 || ::listen(fd.get(), kConnectionsMax) != 0) return system_error("listening at " + path, errno);
  if (::chown(path.c_str(), 0, group) != 0) return system_error("the owner of " + path, errno);
  return fd;
}

void ExecutorSocket::accept_one() {
  Fd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  // Who connected, as the kernel saw it then; the socket's mode alone would trust whoever passed the descriptor on.
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != 0 && peer.uid != agent_)) {
    note_("refused a connection of user " + std::to_string(peer.uid) + " (pid " + std::to_string(peer.pid) + ")");
    return;
  }
  if (peers_.size() >= kConnectionsMax) {
    note_("refused a connection: " + std::to_string(kConnectionsMax) + " are open");
    return;
  }
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
  int number = fd.get();
  peers_.emplace(number, Peer{std::move(fd), {}});
}

bool ExecutorSocket::read_some(Peer& peer) {
  char piece[65536];
  ssize_t got = ::recv(peer.fd.get(), piece, sizeof piece, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  peer.buffer.append(piece, static_cast<std::size_t>(got));
  return true;
}

bool ExecutorSocket::answer_all(Peer& peer, const Handle& handle) {
  bool open = true;
  auto send = [&](const ExecutorAnswer& answer) {
    if (open) open = send_all(peer.fd.get(), frame_message(to_canonical_text(answer)));
  };
  while (open) {
    auto message = take_message(peer.buffer, kExecutorMessageMax);
    if (message && !*message) return true;
    auto request = message ? read_request(**message) : Result<ExecutorRequest>(message.error());
    if (!request) {
      ExecutorAnswer answer;
      answer.error = request.error().text();
      send(answer);
      note_("a request was wrong: " + request.error().text());
      return false;
    }
    handle(*request, send);
  }
  return false;
}

void ExecutorSocket::serve(const Handle& handle, const std::function<bool()>& stop) {
  // A signal that came between asking stop() and waiting would be slept over: only while waiting does it arrive (ppoll(2)).
  sigset_t ending, before;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  for (;;) {
    std::vector<pollfd> waits = {{listening_.get(), POLLIN, 0}};
    for (const auto& [number, peer] : peers_) waits.push_back({number, POLLIN, 0});
    ::sigprocmask(SIG_BLOCK, &ending, &before);
    bool is_over = stop();
    bool is_woken = !is_over && ::ppoll(waits.data(), waits.size(), nullptr, &before) >= 0;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (is_over) return;
    if (!is_woken) continue;
    if (waits[0].revents) accept_one();
    for (std::size_t i = 1; i < waits.size(); ++i) {
      if (!waits[i].revents) continue;
      Peer& peer = peers_.at(waits[i].fd);
      bool keep = read_some(peer) && answer_all(peer, handle);
      if (!keep) peers_.erase(waits[i].fd);
      ::malloc_trim(0);  // a plan of 2,000 packages is read once a month; its memory is not kept for the next one
      if (stop()) return;
    }
  }
}

}  // namespace prunella
