// A host's report as the control plane takes it: bytes of a host that may be anyone's by now. The first byte says whether the bytes are
// the whole report or the event in one that is in order.
#include "control_world.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;

void take(ControlWorld& world, const Report& report) {
  auto answer = world.plane->receive(world.host, report, world.now);
  if (!answer) {
    check_error(answer.error());
    check(answer.error().kind() != ErrorKind::kCorrupt && answer.error().kind() != ErrorKind::kUnavailable, "a bad report is the host's fault, not ours");
    check(world.changes().empty(), "a refused report leaves the store as it was");
    return;
  }
  check(answer->resync.size() <= kReportEventsMax + 32, "what is asked for again is bounded");
  std::string written = to_canonical_text(*answer);
  check(from_json_text<ReportAnswer>(written).has_value(), "the agent can read the answer");
  // An answer may be lost: the same report again is taken and changes nothing.
  auto again = world.plane->receive(world.host, report, world.now);
  check(again.has_value() && again->received == answer->received, "a report that comes twice counts once");
  for (const auto& [source, sequence] : answer->received)
    for (const Event& event : report.events)
      check(event.source != source || event.sequence <= sequence || event.sequence > static_cast<std::uint64_t>(INT64_MAX), "what was taken is acknowledged");
  // Whatever a host said, people can still ask about it.
  check(world.plane->status(world.admin, world.now).has_value(), "the fleet's status is told");
  check(world.plane->host(world.admin, world.host, world.now).has_value(), "the host is shown");
  check(world.plane->why(world.admin, world.host, std::nullopt, world.now).has_value(), "the host is explained");
  check(world.plane->tick(world.now + std::chrono::seconds(1)).has_value(), "the control plane goes on");
  PlanRequest request;
  request.selector = "all";
  auto plan = world.plane->make_plan(world.admin, request, world.now);
  if (plan) check(check_rollout_plan(plan->rollout).has_value(), "a plan that is made is one");
  else check(plan.error().kind() != ErrorKind::kCorrupt && plan.error().kind() != ErrorKind::kUnavailable, "a plan isn't made for a reason");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  ControlWorld& world = control_world();
  std::string text = world.fill_in(text_of(data + 1, size - 1));
  world.rewind();
  if (data[0] % 2 == 0) {
    auto report = read_back<Report>(text, {.bytes_max = kReportBytesMax, .depth_max = 32}, UnknownKeys::kIgnore);
    if (report) take(world, *report);
    return 0;
  }
  // "SOURCE TYPE {data}": the event that is next of its source.
  std::size_t first = text.find(' '), second = first == std::string::npos ? first : text.find(' ', first + 1);
  if (second == std::string::npos) return 0;
  auto json = parse_json(std::string_view(text).substr(second + 1));
  if (!json) return 0;
  Event event;
  event.id = "one-x-1";
  event.source = text.substr(0, first);
  event.type = text.substr(first + 1, second - first - 1);
  event.time = world.now;
  event.data = *std::move(json);
  Report report{"one", world.now, "0", {}, 0};
  event.sequence = parse_word<Section>(event.source) ? 2 : 1;  // the world's host has told each section once
  report.events.push_back(event);
  take(world, report);
  return 0;
}
