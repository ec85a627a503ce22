#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "adapters/http/http.h"
#include "base/result.h"
#include "base/time.h"

namespace prunella {

struct HttpClientOptions {
  std::string host;  ///< DNS name or address; the server's certificate must name it
  std::uint16_t port = 0;
  std::string name;  ///< what the certificate must name instead of `host` (a tunnel, a load balancer); empty: `host`

  /// How the server is known: by a CA, or by the SHA-256 (64 hexadecimal digits) of its certificate or of a certificate above it
  /// in the chain that it sends. With a pin the CA isn't looked at; name and time still are.
  std::string ca_pem;
  std::string pinned_sha256;

  std::string certificate_pem;  ///< the client's; empty: none
  std::string key_pem;

  Duration connect_timeout = std::chrono::seconds(10);   ///< TCP and TLS together, over all addresses of `host`
  Duration request_timeout = std::chrono::seconds(60);   ///< for sending and the whole answer; above a long poll's hold
  Duration stream_idle_timeout = std::chrono::seconds(60);  ///< a stream that is silent for longer counts as lost
  std::size_t body_bytes_max = 16 << 20;
  std::size_t header_bytes_max = 32 * 1024;
};

/// One HTTP/1.1 connection over TLS 1.3, kept and opened again when needed. Blocking, for one thread at a time; only cancel() may
/// come from others. Sockets with poll() and no event loop, so that an agent stays small.
///
/// What its errors mean:
///   kUnavailable  no connection (refused, timed out, reset, no such host), no answer in time, or cancelled. Of a request that
///                 changes something: it may have happened.
///   kDenied       TLS refused: the server's certificate by us, or ours by the server. The text has OpenSSL's reason or the alert.
///   kInvalidInput the request or the options can't be used, or the answer is no HTTP.
///   kExhausted    the answer is above a limit.
/// An answer of 400 or above is no error of send().
class HttpClient {
 public:
  /// Reads keys and certificates; doesn't connect.
  /// @error kInvalidInput  no host, PEM that can't be read, neither CA nor pin.
  static Result<std::unique_ptr<HttpClient>> make(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// A request on a kept connection that the server had closed is sent once more on a new one, if it's GET, HEAD, PUT, DELETE or
  /// OPTIONS (RFC 9110 section 9.2.2); a POST only when not one byte of it was sent.
  Result<HttpResponse> send(const HttpRequest& request);

  /// Sends and hands over the body piece by piece, until it ends (good), `on_bytes` returns false (good), or it fails. The pieces
  /// are as they come, not events.
  /// @error  as above; an answer of 300 and above as to_error() of problem.h gives it.
  Status stream(const HttpRequest& request, const std::function<bool(std::string_view)>& on_bytes);

  /// Makes the call in progress and all later ones fail with kUnavailable "cancelled", until resume(). Any thread.
  void cancel();
  void resume();
  bool is_cancelled() const;

  /// Closes the connection; the next call opens a new one.
  void disconnect();
  /// Uses another certificate from the next connection on, and closes this one: for renewal.
  /// @error kInvalidInput  as make(); the old one stays.
  Status use_certificate(std::string certificate_pem, std::string key_pem);

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace prunella
