#include "adapters/http/wire.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstdio>
#include <ctime>
#include <limits>

#include "base/text.h"

namespace prunella::wire {
namespace {

namespace beast = boost::beast::http;
using boost::system::error_code;
using beast_view = boost::beast::string_view;

std::string_view view(beast_view text) { return {text.data(), text.size()}; }

/// Beast's parser, writing straight into our values. It is derived from basic_parser and not from parser<Body>, since that is
/// a quarter of the compile time, and since trailer fields must not be merged into the header (RFC 9110 section 6.5.1).
template <bool is_request>
class Sink : public beast::basic_parser<is_request> {
 public:
  std::string method, target, body;
  Headers headers;
  std::size_t fields_max = std::numeric_limits<std::size_t>::max();
  bool too_many_fields = false;
  int status = 0;
  int version = 0;

 private:
  void on_request_impl(beast::verb, beast_view method_text, beast_view target_text, int number, error_code&) override {
    method = view(method_text);
    target = view(target_text);
    version = number;
  }
  void on_response_impl(int code, beast_view, int number, error_code&) override {
    status = code;
    version = number;
  }
  void on_field_impl(beast::field, beast_view name, beast_view value, error_code& error) override {
    if (this->is_header_done()) return;  // a trailer
    if (headers.size() == fields_max) {
      too_many_fields = true;
      error = beast::error::header_limit;
      return;
    }
    headers.add(std::string(view(name)), std::string(view(value)));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast_view bytes, error_code&) override {
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast_view bytes, error_code&) override {
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}
};

/// Feeds `buffer` piece by piece until the parser wants more, the header ends, or the message ends.
template <bool is_request>
error_code feed(Sink<is_request>& sink, std::string& buffer) {
  std::size_t used = 0;
  error_code error;
  bool header_was_done = sink.is_header_done();
  while (!sink.is_done() && used < buffer.size()) {
    used += sink.put(boost::asio::const_buffer(buffer.data() + used, buffer.size() - used), error);
    if (error) break;
    if (!header_was_done && sink.is_header_done()) break;
  }
  buffer.erase(0, used);
  return error;
}

Status check_fields(const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (!is_header_name(name)) return invalid_input(quoted(name) + " is not a header name");
    if (!is_header_value(value)) return invalid_input("the value of header " + name + " has a control byte: " + quoted(value));
  }
  return {};
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

struct RequestParser::Impl : Sink<true> {};

RequestParser::RequestParser(RequestLimits limits) : impl_(std::make_unique<Impl>()), limits_(limits) {
  impl_->header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  impl_->body_limit(boost::none);
  impl_->fields_max = limits.header_fields_max;
}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;

RequestParser::State RequestParser::refuse(int status, std::string detail) {
  refusal_ = {status, std::move(detail)};
  keep_alive_ = false;
  return State::kRefused;
}

RequestParser::State RequestParser::put(std::string& buffer) {
  if (!has_started_) {
    // An empty line before the request line is ignored, as RFC 9112 section 2.2 asks for.
    while (buffer.starts_with("\r\n")) buffer.erase(0, 2);
  }
  has_started_ = has_started_ || !buffer.empty();
  error_code error = feed(*impl_, buffer);
  if (error && error != beast::error::need_more) {
    if (impl_->too_many_fields)
      return refuse(431, "more than " + std::to_string(limits_.header_fields_max) + " header fields");
    if (error == beast::error::header_limit)
      return refuse(431, "the request line or the header is longer than " + std::to_string(limits_.header_bytes_max) + " bytes");
    if (error == beast::error::body_limit)
      return refuse(413, "the body is longer than " + std::to_string(body_bytes_max_) + " bytes, the most this path takes");
    if (error == beast::error::bad_version) return refuse(400, "the request line does not end in HTTP/1.1 or HTTP/1.0");
    return refuse(400, "malformed request: " + error.message());
  }
  if (!impl_->is_header_done()) return State::kNeedsMore;
  if (!header_done_) return finish_header();
  if (impl_->is_done()) {
    request_.body = std::move(impl_->body);
    return State::kDone;
  }
  if (buffer.size() > limits_.header_bytes_max)
    return refuse(431, "a chunk's header or the trailer is longer than " + std::to_string(limits_.header_bytes_max) + " bytes");
  return State::kNeedsMore;
}

RequestParser::State RequestParser::finish_header() {
  header_done_ = true;
  is_http_1_0_ = impl_->version == 10;
  keep_alive_ = impl_->keep_alive();
  request_.method = std::move(impl_->method);
  request_.target = std::move(impl_->target);
  request_.headers = std::move(impl_->headers);
  if (auto length = impl_->content_length()) body_bytes_ = static_cast<std::size_t>(*length);
  const Headers& headers = request_.headers;
  // Two readers of one connection must see the same messages: whatever leaves a choice is refused (RFC 9112 sections 3.2, 6.1).
  if (const std::string* coding = headers.find("Transfer-Encoding")) {
    if (headers.count("Transfer-Encoding") != 1 || !equal_ignoring_case(*coding, "chunked"))
      return refuse(501, "Transfer-Encoding " + quoted(*coding) + " is not understood: only 'chunked' is");
    if (is_http_1_0_) return refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
  }
  if (headers.count("Content-Length") > 1) return refuse(400, "more than one Content-Length");
  std::size_t hosts = headers.count("Host");
  if (hosts > 1 || (hosts == 0 && !is_http_1_0_)) return refuse(400, std::to_string(hosts) + " Host fields: exactly one is needed");
  if (request_.method == "CONNECT" || request_.method == "TRACE")
    return refuse(501, "the method " + request_.method + " is not supported");
  if (auto split = split_target(request_); !split) return refuse(400, split.error().text());
  const std::string* expect = headers.find("Expect");
  wants_continue_ = expect && equal_ignoring_case(*expect, "100-continue") && !is_http_1_0_ && !impl_->is_done();
  return State::kHeaderDone;
}

RequestParser::State RequestParser::set_body_bytes_max(std::size_t bytes_max) {
  body_bytes_max_ = bytes_max;
  impl_->body_limit(bytes_max);
  if (body_bytes_ && *body_bytes_ > bytes_max)
    return refuse(413, "the body has " + std::to_string(*body_bytes_) + " bytes; this path takes up to " +
                           std::to_string(bytes_max));
  return impl_->is_done() ? State::kDone : State::kNeedsMore;
}

struct ResponseParser::Impl : Sink<false> {};

ResponseParser::ResponseParser(Body body, std::size_t header_bytes_max) : impl_(std::make_unique<Impl>()) {
  impl_->header_limit(static_cast<std::uint32_t>(header_bytes_max));
  impl_->body_limit(boost::none);  // the client counts what it takes
  impl_->fields_max = 200;
  if (body == Body::kNone) impl_->skip(true);
}
ResponseParser::~ResponseParser() = default;

Result<ResponseParser::State> ResponseParser::put(std::string& buffer) {
  has_started_ = has_started_ || !buffer.empty();
  error_code error = feed(*impl_, buffer);
  if (error == beast::error::header_limit) return exhausted("the answer's header is too large");
  if (error && error != beast::error::need_more) return invalid_input("the answer is not HTTP: " + error.message());
  if (!impl_->is_header_done()) return State::kNeedsMore;
  if (!header_done_) {
    header_done_ = true;
    keep_alive_ = impl_->keep_alive();
    response_.status = impl_->status;
    response_.headers = std::move(impl_->headers);
    return State::kHeaderDone;
  }
  if (impl_->is_done()) return State::kDone;
  constexpr std::size_t kChunkHeaderBytesMax = 16 * 1024;
  if (buffer.size() > kChunkHeaderBytesMax) return exhausted("a chunk's header in the answer is too large");
  return State::kNeedsMore;
}

Status ResponseParser::put_end() {
  error_code error = beast::error::partial_message;
  if (impl_->got_some()) impl_->put_eof(error);
  if (error) return unavailable("the connection ended in the middle of the answer");
  return {};
}

std::string ResponseParser::take_body() { return std::exchange(impl_->body, {}); }

Result<std::string> to_wire(const HttpResponse& response, Framing framing, KeepAlive keep_alive, std::string_view date) {
  if (response.status < 200 || response.status > 599)
    return invalid_input(std::to_string(response.status) + " is not the status of a final answer (200 to 599)");
  if (auto fields = check_fields(response.headers); !fields) return std::move(fields).error();
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " " + std::string(reason_phrase(response.status)) + "\r\n";
  out.reserve(512 + (framing == Framing::kLength ? response.body.size() : 0));
  append_field(out, "Date", date);
  for (const auto& [name, value] : response.headers) append_field(out, name, value);
  bool may_have_body = response.status != 204 && response.status != 304;  // RFC 9110 section 6.4.1
  switch (framing) {
    case Framing::kLength:
    case Framing::kHeadOnly:
      if (may_have_body) append_field(out, "Content-Length", std::to_string(response.body.size()));
      break;
    case Framing::kChunked: append_field(out, "Transfer-Encoding", "chunked"); break;
    case Framing::kUntilClose: break;
  }
  if (keep_alive == KeepAlive::kNo) append_field(out, "Connection", "close");
  out += "\r\n";
  if (framing == Framing::kLength && may_have_body) out += response.body;
  return out;
}

Result<std::string> to_wire(const HttpRequest& request, std::string_view host) {
  if (!is_header_name(request.method)) return invalid_input(quoted(request.method) + " is not a method");
  bool target_is_good = request.target.starts_with('/') && std::none_of(request.target.begin(), request.target.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f;
  });
  if (!target_is_good)
    return invalid_input("the target " + quoted(request.target) + " must begin with '/' and be percent-encoded");
  if (auto fields = check_fields(request.headers); !fields) return std::move(fields).error();
  std::string out = request.method + " " + request.target + " HTTP/1.1\r\n";
  append_field(out, "Host", host);
  for (const auto& [name, value] : request.headers) append_field(out, name, value);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH")
    append_field(out, "Content-Length", std::to_string(request.body.size()));
  out += "\r\n";
  out += request.body;
  return out;
}

std::string to_chunk(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string size;
  for (std::size_t n = bytes.size(); n > 0; n /= 16) size.insert(size.begin(), kDigits[n % 16]);
  std::string out;
  out.reserve(size.size() + bytes.size() + 4);
  out.append(size).append("\r\n").append(bytes).append("\r\n");
  return out;
}

std::string to_http_date(long long seconds) {
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::time_t time = static_cast<std::time_t>(seconds);
  std::tm day{};
  gmtime_r(&time, &day);
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[day.tm_wday % 7], day.tm_mday,
                kMonths[day.tm_mon % 12], day.tm_year + 1900, day.tm_hour, day.tm_min, day.tm_sec);
  return text;
}

Result<HttpRequest> parse_request(std::string_view bytes, RequestLimits limits, std::size_t body_bytes_max) {
  RequestParser parser(limits);
  std::string buffer(bytes);
  auto state = parser.put(buffer);
  if (state == RequestParser::State::kHeaderDone) state = parser.set_body_bytes_max(body_bytes_max);
  if (state == RequestParser::State::kNeedsMore) state = parser.put(buffer);
  if (state == RequestParser::State::kDone && buffer.empty()) return parser.take();
  if (state == RequestParser::State::kRefused) return invalid_input(parser.refusal().detail);
  return invalid_input(buffer.empty() ? "the request is not complete" : "there are bytes after the request");
}

Result<HttpResponse> parse_response(std::string_view bytes, std::size_t header_bytes_max) {
  ResponseParser parser(ResponseParser::Body::kAsStated, header_bytes_max);
  std::string buffer(bytes);
  auto state = parser.put(buffer);
  if (!state) return std::move(state).error();
  if (*state == ResponseParser::State::kHeaderDone) {
    state = parser.put(buffer);
    if (!state) return std::move(state).error();
  }
  if (*state != ResponseParser::State::kDone) {
    if (auto end = parser.put_end(); !end) return std::move(end).error();
  }
  HttpResponse response = parser.response();
  response.body = parser.take_body();
  return response;
}

}  // namespace prunella::wire
