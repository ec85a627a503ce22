// Bytes from the network as an HTTP request, and as an answer for the client. What is accepted must have one meaning: it's
// written out again and read back, and must be the same.

#include <cstdint>
#include <string_view>

#include "adapters/http/problem.h"
#include "adapters/http/wire.h"
#include "base/check.h"

namespace {

using namespace prunella;

/// The same bytes in two pieces must give the same request: where TCP cuts must not matter.
void check_cut(std::string_view bytes, const Result<HttpRequest>& whole) {
  wire::RequestParser parser({});
  std::string buffer;
  auto state = wire::RequestParser::State::kNeedsMore;
  std::size_t cut = bytes.size() / 2;
  for (std::string_view piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
    if (state == wire::RequestParser::State::kRefused || state == wire::RequestParser::State::kDone) break;
    buffer += piece;
    state = parser.put(buffer);
    if (state == wire::RequestParser::State::kHeaderDone) {
      state = parser.set_body_bytes_max(1 << 20);
      if (state == wire::RequestParser::State::kNeedsMore) state = parser.put(buffer);
    }
  }
  if (!whole) return;
  check(state == wire::RequestParser::State::kDone, "a request in two pieces is a request");
  check(parser.request().body == whole->body && parser.request().headers == whole->headers, "and the same one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);

  auto request = wire::parse_request(bytes);
  check_cut(bytes, request);
  if (request) {
    check(request->path.starts_with('/'), "an accepted path begins with '/'");
    check(request->path.find('\0') == std::string::npos, "an accepted path has no NUL");
    check(request->path.find("/../") == std::string::npos, "an accepted path has no '..'");
  }

  auto response = wire::parse_response(bytes);
  if (response && response->status >= 300) (void)to_error(*response);
  if (response && response->status >= 200 && response->status <= 599)
    (void)wire::to_wire(*response, wire::Framing::kLength, wire::KeepAlive::kYes, "now");
  return 0;
}
