#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/http/ca.h"
#include "adapters/http/http.h"
#include "base/result.h"
#include "base/time.h"

namespace prunella {

using ClientCertificate = CertificateInfo;

/// Who sent a request.
struct Peer {
  std::string address;  ///< IPv4 or IPv6, without the port
  /// Proved in the handshake: signed by the client CA, for client use, and in time. Absent when the client showed none; what
  /// that means is the handler's decision (absent must mean no for whatever a host may do).
  std::optional<ClientCertificate> certificate;
};

/// Why a TLS connection came to nothing, as far as code would act differently.
enum class TlsFailureKind {
  kExpired,       ///< the certificate's time is over
  kNotYetValid,   ///< its time has not begun (a clock is wrong)
  kUnknownCa,     ///< signed by somebody we don't trust, or by itself
  kWrongPurpose,  ///< a server's certificate used by a client, or the other way round
  kWrongName,     ///< the server's certificate doesn't name the host
  kWrongPin,      ///< no certificate in the chain has the pinned digest
  kBadCertificate,  ///< otherwise refused: bad signature, revoked, malformed
  kProtocol,      ///< no TLS 1.3, or no TLS at all
  kPeerRefused,   ///< the other side refused us and said so with an alert
  kTimeout,
  kClosed,        ///< the other side went away during the handshake
  kOther,
};
/// "expired certificate", "wrong CA", "wrong purpose", ... for logs and audit entries.
std::string_view to_text(TlsFailureKind kind);

struct TlsFailure {
  TlsFailureKind kind = TlsFailureKind::kOther;
  std::string reason;   ///< whole sentence with OpenSSL's words
  std::string address;  ///< of the client
  std::string subject;  ///< common name of the certificate shown; it is a claim that failed, not an identity
  std::string sha256;   ///< of that certificate; empty when none was shown
};

/// Sends one answer piece by piece: server-sent events, tails of logs. Copies write to the same stream. Any thread.
class StreamWriter {
 public:
  /// Queues bytes. False when the client is gone or was cut off, or after close(): stop then. A client that lets more than
  /// stream_buffer_bytes_max wait is cut off (and counted), since one slow reader must not hold the server's memory.
  bool write(std::string_view bytes) const;
  /// Ends the answer after what was written. The last copy going out of scope does the same.
  void close() const;
  bool is_open() const;

 private:
  friend class Responder;
  struct Handle;
  explicit StreamWriter(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

/// The right to answer one request, once, from any thread, now or much later. Copies are the same right. When the last copy goes
/// out of scope unused, the client gets 503.
class Responder {
 public:
  /// False when somebody answered before (nothing is sent then), or the client is known to be gone.
  bool answer(HttpResponse response) const;
  /// Begins an answer whose body follows. `head.body` is sent as the first piece. After an earlier answer the writer is closed.
  StreamWriter start_stream(HttpResponse head) const;
  /// The client went away or the server's patience (answer_timeout) ended: an answer would reach nobody.
  bool is_gone() const;

 private:
  friend class HttpServer;
  friend struct ServerParts;
  struct Handle;
  explicit Responder(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

/// Called on one of the server's threads for each request. It must not block: what takes time goes to another thread with the
/// Responder. It must not throw; what it throws becomes a 500.
using HttpHandler = std::function<void(HttpRequest request, const Peer& peer, Responder responder)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";  ///< IPv4 or IPv6; "::" listens on both
  std::uint16_t port = 0;             ///< 0: any that is free; port() tells
  std::string certificate_pem;        ///< the certificate, then its chain (a client that pins the CA needs it there)
  std::string key_pem;
  std::string client_ca_pem;  ///< who may vouch for clients; empty: clients are not asked

  std::size_t body_bytes_max = 1 << 20;
  struct PathLimit {
    std::string prefix;  ///< of the decoded path
    std::size_t body_bytes_max = 0;
  };
  std::vector<PathLimit> path_limits;  ///< the longest prefix counts
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t header_fields_max = 100;
  std::size_t stream_buffer_bytes_max = 256 * 1024;

  /// Above this, clients get 503 with Retry-After; above it and kRefusalsMax more, a TLS alert.
  std::size_t connections_max = 10'000;
  std::size_t threads = 1;

  Duration handshake_timeout = std::chrono::seconds(10);
  /// From a request's first byte to the end of its header; a body has this and its size at 16 KiB/s in addition. A client that
  /// trickles bytes gains nothing. The same bounds writing an answer.
  Duration request_timeout = std::chrono::seconds(15);
  Duration idle_timeout = std::chrono::seconds(90);     ///< between two requests
  Duration answer_timeout = std::chrono::seconds(150);  ///< for the handler; a long poll must answer before. Then 503
  Duration drain_timeout = std::chrono::seconds(5);     ///< how long stop() waits for answers in progress

  /// Called on a server thread for each client that failed in TLS; must not block.
  std::function<void(const TlsFailure&)> on_tls_failure;
};

/// Figures since the start, save the three that say "now".
struct HttpServerFigures {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;  ///< for connections_max
  std::uint64_t connections_now = 0;
  std::uint64_t tls_failures = 0;
  std::uint64_t requests = 0;
  std::uint64_t malformed = 0;         ///< answered 4xx or 501 before the handler saw them
  std::uint64_t timed_out = 0;         ///< requests not completed in time
  std::uint64_t unanswered = 0;        ///< 503 since the handler dropped the Responder or took too long
  std::uint64_t waiting_now = 0;       ///< requests with the handler
  std::uint64_t streams_now = 0;
  std::uint64_t streams_cut_off = 0;   ///< for reading too slowly
  std::uint64_t accept_errors = 0;     ///< no file descriptors, mostly
};

/// HTTP/1.1 over TLS 1.3. Keep-alive; pipelined requests are answered one after the other in their order.
class HttpServer {
 public:
  /// Listens and serves when it returns.
  /// @error kInvalidInput  address, certificate, key, CA or threads are wrong.
  /// @error kUnavailable   the port is taken, or no sockets or threads are to be had.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  HttpServerFigures figures() const;

  /// New connections get this certificate; those that exist go on with the old one. Any thread.
  /// @error kInvalidInput  the PEM is wrong; the old certificate stays.
  Status reload_certificate(const std::string& certificate_pem, const std::string& key_pem);

  /// Takes no more connections, ends idle ones and streams, waits up to drain_timeout for requests in progress, ends the rest.
  /// Idempotent. Not from a handler. Responders may outlive it; they then answer nobody.
  void stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace prunella
