#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "adapters/executor_host/host_root.h"
#include "model/link.h"

namespace prunella {

/// The frame of a message: four bytes of length, big-endian, and that many bytes of JSON.
std::string frame_message(std::string_view json);
/// Takes a whole message out of `buffer`; nothing while it isn't whole. @error kExhausted  it would have more than `bytes_max`.
Result<std::optional<std::string>> take_message(std::string& buffer, std::size_t bytes_max);
/// A request by its JSON. @error kInvalidInput, kExhausted
Result<ExecutorRequest> read_request(std::string_view json);

/// 8: the agent keeps one connection, root may ask for the status beside it.
inline constexpr std::size_t kConnectionsMax = 8;

/// The executor's socket. One thread: while a request is worked on, the others wait.
class ExecutorSocket {
 public:
  using Send = std::function<void(const ExecutorAnswer&)>;
  using Handle = std::function<void(const ExecutorRequest&, const Send&)>;

  /// `agent`: the user that may connect besides root. `listening`: a socket that systemd passed, or one from listen_at().
  ExecutorSocket(Fd listening, std::uint32_t agent, std::function<void(std::string)> note) : listening_(std::move(listening)), agent_(agent), note_(std::move(note)) {}
  /// Makes the socket, mode 0660, owned by root and `group`. @error kUnavailable
  static Result<Fd> listen_at(const std::string& path, std::uint32_t group);

  /// Serves until `stop` is true; signals end the waiting.
  void serve(const Handle& handle, const std::function<bool()>& stop);

 private:
  struct Peer {
    Fd fd;
    std::string buffer;
  };
  void accept_one();
  bool read_some(Peer& peer);
  bool answer_all(Peer& peer, const Handle& handle);

  Fd listening_;
  std::uint32_t agent_;
  std::function<void(std::string)> note_;
  std::map<int, Peer> peers_;
};

}  // namespace prunella
