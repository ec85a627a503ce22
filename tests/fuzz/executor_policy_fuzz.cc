// An executor policy: its bytes under a right signature, and whole envelopes with any. What is taken is what the operators signed,
// checked; what is shown of it to the person who signs can't deceive him.
#include <algorithm>

#include "../support/signed_orders.h"
#include "apps/cli/trust.h"
#include "properties.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;

void check_taken(const testing_orders::SignedWorld& world, const Result<ExecutorPolicy>& policy, std::uint64_t current, std::string_view bytes) {
  if (!policy) return check_error(policy.error());
  check(policy->serial > current, "a policy goes forward");
  check(policy->organisation == world.trust.organisation, "it's this organisation's");
  check(policy->expires > testing_orders::kNow, "it's in time");
  check(check_executor_policy(*policy).has_value(), "it's sound");
  check(!policy->directors.empty(), "somebody directs");
  auto read = from_json_text<ExecutorPolicy>(bytes);
  check(read && *read == *policy, "it's what was signed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const testing_orders::SignedWorld world;
  std::string_view text = text_of(data, size);

  auto policy = read_back<ExecutorPolicy>(text);
  if (policy) {
    if (auto checked = check_executor_policy(*policy); !checked) check_error(checked.error());
    std::string shown = cli::policy_text(*policy, testing_orders::kNow);
    check(is_terminal_safe(shown), "what is shown can't move the cursor or hide a line");
    check(shown.size() <= 64 * size + (64 << 10), "what is shown is bounded");
  }
  Envelope envelope = sign_envelope(kExecutorPolicyType, text, world.operator_one);
  for (std::uint64_t current : {std::uint64_t{0}, std::uint64_t{3}})
    check_taken(world, check_policy_envelope(envelope, world.trust, current, testing_orders::kNow), current, text);
  // The same bytes under signatures that don't count.
  check(!check_policy_envelope(sign_envelope(kExecutorPolicyType, text, world.director), world.trust, 0, testing_orders::kNow), "the director writes no policy");
  check(!check_policy_envelope(sign_envelope(kOrderType, text, world.operator_one), world.trust, 0, testing_orders::kNow), "an order is no policy");
  HostTrust two = world.trust;
  two.threshold = 2;
  check(!check_policy_envelope(envelope, two, 0, testing_orders::kNow), "one signature isn't two");
  Envelope doubled = envelope;
  doubled.signatures.push_back(envelope.signatures[0]);
  check(!check_policy_envelope(doubled, two, 0, testing_orders::kNow), "one signature twice isn't two");

  // The bytes as an envelope of somebody else's making.
  auto foreign = read_back<Envelope>(text);
  if (!foreign) return 0;
  auto opened = open_envelope(*foreign, kExecutorPolicyType, world.trust.operators, 1);
  if (!opened) check_error(opened.error());
  auto bytes = from_base64(foreign->payload);
  check_taken(world, check_policy_envelope(*foreign, world.trust, 0, testing_orders::kNow), 0, bytes ? as_text(*bytes) : "");
  return 0;
}
