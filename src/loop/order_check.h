#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "act/journal.h"
#include "model/order.h"
#include "model/run.h"

/// What stands between a signed paper and a changed host. Pure: bytes, keys, memory and time in; yes or a named no out.
namespace prunella {

/// An order that may be carried out now.
struct AcceptedOrder {
  Order order;
  Digest digest;                       ///< of the plan
  std::vector<std::string> approvers;  ///< whose signatures counted
};

/// One that may not. What is known of it helps whoever sent it; nothing in it is believed.
struct RefusedOrder {
  Refusal code = Refusal::kMalformed;
  std::string text;
  std::optional<RunId> run;
  std::optional<OrderId> order;
  Digest digest;  ///< of the plan; zeros while it isn't known
  /// Present when only the moment was wrong (budget, outcomes waiting, frozen, busy): the refusal uses up the order's number, or a
  /// copy of it could be carried out after all when the moment is right. An order that nobody approved uses up nothing, or a stolen
  /// director key could use up every number.
  std::optional<DeclinedOrder> declined = {};
};
using OrderVerdict = std::variant<AcceptedOrder, RefusedOrder>;

/// What an executor knows when an order comes.
struct OrderContext {
  const HostTrust& trust;
  const ExecutorPolicy* policy = nullptr;  ///< nullptr: none is installed
  const ExecutorMemory& memory;
  std::optional<RunId> busy_with;
  bool frozen = false;
  std::size_t outcomes_waiting = 0;
  Instant now{};  ///< the host's clock; the memory's floor is held against it here
};

/// 3 MiB: the largest order (2,000 packages, 16 approvals) has 2 MB, and the socket takes 4 MiB with base64.
inline constexpr std::size_t kOrderBytesMax = 3u << 20;
/// 16: a rollout needs one or two. Bounds the signatures that a hostile order makes us check.
inline constexpr std::size_t kApprovalsMax = 16;
/// 64: a tree of 2^64 leaves has no longer proof.
inline constexpr std::size_t kProofMax = 64;

/// The moment that counts: never before what a verified signature has vouched for, so that a clock that was set back can't make
/// something valid again (TRUST.md T13).
Instant time_with_floor(Instant clock, const ExecutorMemory& memory);

/// Checks in this order, and the first that fails names the refusal: size, envelope, policy present and current, director's
/// signature, strict JSON, version and ids, host, time, epoch, sequence, the plan's own limits, the rollout's, membership by Merkle
/// proof, approvals, permission, budget, outcomes waiting, frozen, busy.
OrderVerdict check_order(const Envelope& envelope, const OrderContext& context);
/// The same from the envelope's JSON.
OrderVerdict check_order_bytes(std::string_view bytes, const OrderContext& context);

/// The policy that enough operators signed for this organisation, at whatever time.
/// @error kDenied, kInvalidInput as below.
Result<ExecutorPolicy> open_policy(const Envelope& envelope, const HostTrust& trust);

/// Opens a policy that is to be installed on this host. `current_serial`: the highest ever installed; the same serial isn't newer.
/// @error kDenied        fewer than the trust's threshold of operators signed it, or it's another organisation's.
/// @error kConflict      its serial isn't above `current_serial`.
/// @error kExpired       at `now`.
/// @error kInvalidInput  what check_executor_policy refuses, or issued in the future.
Result<ExecutorPolicy> check_policy_envelope(const Envelope& envelope, const HostTrust& trust, std::uint64_t current_serial, Instant now);

/// Whether the budget has room for these actions. @return the denial's text when it hasn't.
std::optional<std::string> over_budget(const ExecutorBudget& budget, const std::vector<Spent>& spent, const Plan& plan, Instant now);

/// How an executor says no to an order.
RunOutcome refusal_outcome(const RefusedOrder& refused, const HostId& host, Instant now);

}  // namespace prunella
