// A stranger's request to join: the token's text and everything beside it. Only a token that is open makes a host, once, and a refusal
// leaves nothing but its entry in the audit log.
#include "control_world.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  using namespace prunella::fuzz;
  ControlWorld& world = control_world();
  std::string text = world.fill_in(text_of(data, size));
  world.rewind();
  auto request = read_back<EnrollRequest>(text);
  if (!request) {
    // The bytes as a token themselves: of the API, and of a host.
    auto caller = world.plane->caller_of(text, world.now);
    check(!caller, "no text that isn't a token opens the API");
    check(caller.error().kind() == ErrorKind::kDenied, "a wrong token is a wrong token");
    check_error(caller.error());
    request = EnrollRequest{text, "web-3", "csr", "0"};
  }
  auto answer = world.plane->enroll(*request, "192.0.2.9", world.now);
  bool is_open = request->token == world.enrolment_token || (request->token == world.named_token && request->hostname == "only-this");
  if (!answer) {
    check_error(answer.error());
    check(answer.error().kind() == ErrorKind::kDenied || answer.error().kind() == ErrorKind::kInvalidInput, "a refusal is the stranger's fault");
    check(answer.error().text().find(world.enrolment_token) == std::string::npos, "no secret is told");
    check(world.changes().empty(), "a refused stranger leaves the store as it was");
    return 0;
  }
  check(is_open, "only an open token makes a host");
  check(answer->host.text().size() <= 64 && check_name("a host", answer->host.text()).has_value(), "a host's id fits its certificate");
  auto second = world.plane->enroll(*request, "192.0.2.9", world.now);
  check(!second && second.error().kind() == ErrorKind::kDenied, "a token works once");
  check(world.plane->host(world.admin, answer->host, world.now).has_value(), "the new host is shown");
  return 0;
}
