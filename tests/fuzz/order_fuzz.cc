// An order's bytes after the director's signature, which the fuzzer is given: all checks behind it see hostile values. And the
// envelope before it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "../support/signed_orders.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  static const testing_orders::SignedWorld world;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto never = [](const OrderVerdict& verdict) {
    check(std::holds_alternative<RefusedOrder>(verdict), "no fuzzed order has the approvals that packages need");
    check(!std::get<RefusedOrder>(verdict).text.empty(), "a refusal says why");
  };
  never(check_order_bytes(text, world.context()));
  auto verdict = check_order(sign_envelope(kOrderType, text, world.director), world.context());
  if (const auto* accepted = std::get_if<AcceptedOrder>(&verdict)) {
    for (const Action& action : accepted->order.plan.actions)
      check((action.restart && action.restart->unit.starts_with("app-")) || accepted->approvers.size() == 2, "only what the policy allows is accepted");
  }
  auto policy = check_policy_envelope(sign_envelope(kExecutorPolicyType, text, world.operator_one), world.trust, 0, testing_orders::kNow);
  if (policy) check(policy->organisation == "example", "a policy for another organisation was taken");
  return 0;
}
