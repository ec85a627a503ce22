#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/http/http.h"
#include "base/result.h"

/// HTTP/1.1 messages as bytes: Beast's parser behind plain types, so that one file pays its compile time.
namespace prunella::wire {

struct RequestLimits {
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t header_fields_max = 100;
};

/// Why a request was refused, as the status to answer with.
struct Refusal {
  int status = 400;
  std::string detail;
};

/// Reads one request out of a growing buffer. Not reusable: one parser a request.
class RequestParser {
 public:
  enum class State {
    kNeedsMore,   ///< all that could be used was used: append bytes to the rest and call again
    kHeaderDone,  ///< request() has everything but the body; call set_body_bytes_max(), then go on
    kDone,
    kRefused,     ///< refusal() says why; the connection must be closed afterwards, since the next request can't be found
  };

  explicit RequestParser(RequestLimits limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;

  /// Uses bytes from the front of `buffer` and removes them. Bytes after the request stay (pipelining).
  State put(std::string& buffer);
  /// @return kRefused (413) when the announced length is above the limit already.
  State set_body_bytes_max(std::size_t bytes_max);

  const HttpRequest& request() const { return request_; }
  HttpRequest take() { return std::move(request_); }
  const Refusal& refusal() const { return refusal_; }
  bool keep_alive() const { return keep_alive_; }
  bool is_http_1_0() const { return is_http_1_0_; }
  bool wants_continue() const { return wants_continue_; }
  /// True as soon as a byte of the request was used or seen.
  bool has_started() const { return has_started_; }
  /// The announced Content-Length; nullopt when there's none (no body, or chunked).
  std::optional<std::size_t> body_bytes() const { return body_bytes_; }

 private:
  struct Impl;
  State finish_header();
  State refuse(int status, std::string detail);

  std::unique_ptr<Impl> impl_;
  RequestLimits limits_;
  HttpRequest request_;
  Refusal refusal_;
  std::size_t body_bytes_max_ = 0;
  bool header_done_ = false;
  bool keep_alive_ = false;
  bool is_http_1_0_ = false;
  bool wants_continue_ = false;
  bool has_started_ = false;
  std::optional<std::size_t> body_bytes_;
};

/// Reads one response. For the client.
class ResponseParser {
 public:
  enum class State { kNeedsMore, kHeaderDone, kDone };
  enum class Body { kAsStated, kNone };  ///< kNone: the answer to HEAD

  ResponseParser(Body body, std::size_t header_bytes_max);
  ~ResponseParser();

  /// Uses bytes from the front of `buffer` and removes them. Says kHeaderDone once.
  /// @error kInvalidInput  the bytes are no HTTP response.
  /// @error kExhausted     the header is too large.
  Result<State> put(std::string& buffer);
  /// The peer closed: the end of a body without a stated length.
  /// @error kUnavailable  the response was cut off.
  Status put_end();

  const HttpResponse& response() const { return response_; }
  /// Body bytes since the last call.
  std::string take_body();
  bool keep_alive() const { return keep_alive_; }
  bool has_started() const { return has_started_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  HttpResponse response_;
  bool header_done_ = false;
  bool keep_alive_ = false;
  bool has_started_ = false;
};

enum class KeepAlive { kNo, kYes };
/// How a response's body goes out.
enum class Framing { kLength, kHeadOnly, kChunked, kUntilClose };

/// The header of a response, and with Framing::kLength its body.
/// @error kInvalidInput  a header name or value that can't be on the wire (response splitting), or a status outside 200 to 599.
Result<std::string> to_wire(const HttpResponse& response, Framing framing, KeepAlive keep_alive, std::string_view date);
/// @error kInvalidInput  as above, or a method or target that can't be on the wire.
Result<std::string> to_wire(const HttpRequest& request, std::string_view host);
/// One chunk of a chunked body. `bytes` must not be empty, since an empty chunk is the end.
std::string to_chunk(std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

/// "Sun, 06 Nov 1994 08:49:37 GMT". Source: RFC 9110 section 5.6.7.
std::string to_http_date(long long seconds_since_epoch);

/// A whole request from bytes that hold exactly one; for tests and fuzzing.
/// @error kInvalidInput  refused, incomplete, or with bytes after it.
Result<HttpRequest> parse_request(std::string_view bytes, RequestLimits limits = {}, std::size_t body_bytes_max = 1 << 20);
/// A whole response from bytes; the end of the bytes is the end of the connection.
Result<HttpResponse> parse_response(std::string_view bytes, std::size_t header_bytes_max = 16 * 1024);

}  // namespace prunella::wire
