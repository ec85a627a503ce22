#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "adapters/http/ca.h"
#include "adapters/http/server.h"
#include "base/result.h"

/// TLS 1.3 over a non-blocking socket, for server and client alike: this room's own stream, without an event loop in it.
///
/// OpenSSL works on the socket itself and not, as asio::ssl does, through a pair of memory buffers: those cost some 70 KB a
/// connection and would undo SSL_MODE_RELEASE_BUFFERS, with which an idle connection needs about 18 KB.
namespace prunella::tls {

/// What a step of a session came to.
enum class Step {
  kDone,
  kWantRead,   ///< wait until the socket is readable, then repeat the call
  kWantWrite,  ///< wait until it is writable, then repeat the call
  kClosed,     ///< the peer closed, in order or not; failure() says how
  kFailed,     ///< failure() says why; nothing more can be sent or read
};

struct Failure {
  TlsFailureKind kind = TlsFailureKind::kOther;
  std::string reason;
  std::string subject;  ///< common name of the certificate that the other side showed, when it showed one
  std::string sha256;   ///< of that certificate
};

struct ServerSettings {
  std::string certificate_pem;  ///< the server's certificate, then its chain
  std::string key_pem;
  std::string client_ca_pem;  ///< empty: clients aren't asked for a certificate
};

struct ClientSettings {
  std::string ca_pem;           ///< trust anchors; empty only with a pin
  std::string pinned_sha256;    ///< of the server's certificate or of one above it in the chain that it sends; empty: no pin
  std::string certificate_pem;  ///< empty: no client certificate
  std::string key_pem;
};

/// Keys and trust of one side, shared by its sessions.
class Context {
 public:
  /// @error kInvalidInput  PEM that can't be read, a key of another certificate, neither CA nor pin.
  static Result<std::shared_ptr<const Context>> make_server(const ServerSettings& settings);
  static Result<std::shared_ptr<const Context>> make_client(const ClientSettings& settings);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

 private:
  friend class Session;
  friend struct Callbacks;
  Context() = default;
  void* context_ = nullptr;  // SSL_CTX
  std::string pinned_sha256_;
  bool is_server_ = false;
};

class Session {
 public:
  /// A session over `socket`, which must be non-blocking and stays the caller's. `host` is what the server's certificate must
  /// name (DNS name or address); only for a client.
  Session(std::shared_ptr<const Context> context, int socket, std::string_view host = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Step handshake();
  /// `count` bytes were read into `into`; kDone means at least one.
  Step read(std::span<char> into, std::size_t& count);
  /// `count` bytes of `bytes` were taken; the rest has to be offered again. After kClosed what the other side sent before it
  /// closed can still be read.
  Step write(std::string_view bytes, std::size_t& count);
  /// Says goodbye (close_notify) if the socket takes it; never waits.
  void say_goodbye();

  /// The certificate that the other side proved; nullopt when it showed none.
  std::optional<CertificateInfo> peer() const;
  const Failure& failure() const { return failure_; }

 private:
  friend struct Callbacks;
  enum class Direction { kBoth, kOutOnly };
  Step step_of(int result, Direction broken);

  std::shared_ptr<const Context> context_;
  void* ssl_ = nullptr;  // SSL
  Failure failure_;
  bool certificate_refused_ = false;
  bool is_broken_ = false;
};

}  // namespace prunella::tls
