// What the agent reads of its control plane and its executor. The first byte says which answer it is; those that the core takes are
// given to it, since what an answer may do there is as open as its text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "loop/agent_core.h"
#include "../support/counting_random.h"

namespace {

using namespace prunella;
using namespace prunella::agent;

Now at(int second) { return {Instant{std::chrono::seconds(1'700'000'000 + second)}, Monotonic{std::chrono::seconds(1000 + second)}}; }

void check_effects(const Effects& effects) {
  for (const Effect& effect : effects) {
    const auto* report = std::get_if<SendReport>(&effect);
    // Whatever came in, what goes out can be read.
    if (report) check(from_json_text<Report>(report->body, {.bytes_max = kReportBytesMax * 2}).has_value(), "a report is one");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  testing::CountingRandom random;
  CoreSetup setup;
  setup.trust = {HostId("web-1"), "example", {PublicKey{}}, 1};
  setup.instance = "i1";
  setup.agent_version = "0";
  Core core(setup, {}, std::nullopt, random, at(0));
  auto feed = [&](Input input, int second) { check_effects(core.handle(std::move(input), at(second))); };
  feed(SectionSensed{sensed(PackageFacts{}, at(0).wall)}, 0);
  switch (data[0] % 6) {
    case 0:
      if (auto answer = from_json_text<ReportAnswer>(text, {}, UnknownKeys::kIgnore)) {
        feed(ReportAnswered{*answer}, 1);
        feed(Tick{}, 200);
        feed(ReportAnswered{*std::move(answer)}, 201);
      }
      break;
    case 1:
      if (auto directions = from_json_text<Directions>(text, {}, UnknownKeys::kIgnore)) {
        feed(ExecutorAnswered{}, 1);
        feed(DirectionsReceived{*directions}, 2);
        feed(DirectionsReceived{*std::move(directions)}, 3);
        feed(Tick{}, 200);
      }
      break;
    case 2:
      if (auto answer = from_json_text<ExecutorAnswer>(text)) {
        ExecutorAnswered given;
        if (answer->status) given.facts = *answer->status;
        if (answer->outcomes) given.outcomes = *answer->outcomes;
        feed(std::move(given), 1);
        if (answer->progress) feed(Progressed{*answer->progress}, 2);
        if (answer->outcome) feed(Ended{*answer->outcome}, 3);
        if (answer->processes) feed(SectionSensed{sensed(*answer->processes, at(4).wall)}, 4);
        feed(ReportFailed{invalid_input(std::string(text.substr(0, 200)))}, 5);
        feed(Tick{}, 200);
      }
      break;
    case 3: (void)from_json_text<EnrollAnswer>(text, {}, UnknownKeys::kIgnore); break;
    case 4: (void)from_json_text<RenewAnswer>(text, {}, UnknownKeys::kIgnore); break;
    case 5:
      // An order as it comes in an envelope: what it says is read before anyone has checked who signed it.
      feed(ExecutorAnswered{}, 1);
      {
        Directions directions;
        Envelope envelope;
        envelope.payload_type = std::string(kOrderType);
        envelope.payload = to_base64(as_bytes(text));
        directions.orders = {envelope, envelope};
        directions.policy = envelope;
        feed(DirectionsReceived{std::move(directions)}, 2);
        feed(Tick{}, 200);
      }
      break;
  }
  return 0;
}
