// One request of the public API, from its target to its answer: "METHOD TARGET" on the first line, the body behind it. Hostile query
// strings, cursors, selectors and bodies get an answer of 4xx that says why, and the store stays as it was.
#include "adapters/http/problem.h"
#include "apps/control/routes.h"
#include "control_world.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;

/// "!approval JSON" and "!policy JSON": the envelope that a right key makes of it, so that what lies behind the signature is reached.
std::string body_of(const ControlWorld& world, std::string_view text) {
  for (auto [mark, type, key] : {std::tuple(std::string_view("!approval "), kApprovalType, &world.keys.ada), std::tuple(std::string_view("!policy "), kExecutorPolicyType, &world.keys.operators)})
    if (text.starts_with(mark)) return to_canonical_text(sign_envelope(type, text.substr(mark.size()), *key));
  return std::string(text);
}

std::int64_t last_entry(const ControlWorld& world) { return ControlWorld::must(last_audit_entry(*world.store)).value().sequence; }

void check_answer(const ControlWorld& world, const HttpRequest& request, const HttpResponse& response) {
  constexpr std::size_t kAnswerMax = 4 << 20;  // this world is small
  check(response.body.size() <= kAnswerMax, "an answer is bounded");
  for (const Headers::Field& field : response.headers) check(is_header_name(field.name) && is_header_value(field.value), "a header is one");
  if (response.status >= 400) {
    check(response.status < 500, "no request breaks the control plane");
    Error error = to_error(response);
    check_error(error);
    check(parse_json(response.body).has_value(), "a problem is JSON");
    check(world.changes().empty(), "a refused request leaves the store as it was");
    return;
  }
  if (request.method == "GET") check(world.changes().empty(), "a request that asks changes nothing");
  const std::string* type = response.headers.find("Content-Type");
  if (type && *type == "application/json") check(parse_json(response.body, {.bytes_max = kAnswerMax}).has_value(), "an answer is JSON");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ControlWorld& world = control_world();
  std::string text = world.fill_in(text_of(data, size));
  std::size_t line = text.find('\n'), blank = text.find(' ');
  if (blank == std::string::npos || (line != std::string::npos && line < blank)) return 0;
  HttpRequest request;
  request.method = text.substr(0, blank);
  request.target = text.substr(blank + 1, line == std::string::npos ? line : line - blank - 1);
  if (line != std::string::npos) request.body = body_of(world, std::string_view(text).substr(line + 1));
  if (auto split = split_target(request); !split) {
    check_error(split.error());
    return 0;
  }
  auto found = control::find_route(request);
  if (!found.route) {
    check(found.refusal.status == 404 || found.refusal.status == 405, "a path that nobody serves is said to be so");
    check_error(to_error(found.refusal));
    return 0;
  }
  world.rewind();
  static const control::Advertised server{"https://control.example:8443", "pin"};
  control::Call call{*world.plane, world.admin, request, found.path, world.now, server};
  std::int64_t before = last_entry(world);
  check_answer(world, request, found.route->handle(call));
  if (request.method == "GET") check(last_entry(world) == before, "a request that asks adds nothing to the audit log either");
  // A token that may nothing gets nothing.
  world.rewind();
  Caller nobody{"token:nobody", "n", {}};
  control::Call refused{*world.plane, nobody, request, found.path, world.now, server};
  HttpResponse response = found.route->handle(refused);
  check(response.status >= 400, "without a scope nothing is served");
  check_answer(world, request, response);
  return 0;
}
