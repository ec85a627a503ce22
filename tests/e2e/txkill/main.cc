// Signs what a crash test needs, with keys that everybody knows: never for a real host.
//   txkill-sign trust | policy SERIAL | order SEQUENCE RUN PLAN-FILE      writes JSON to standard output
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "model/merkle.h"
#include "model/order.h"

using namespace prunella;

namespace {

PrivateKey key_of(std::string_view role) {
  return PrivateKey(sha256("prunella crash test key: " + std::string(role)).bytes);
}

const HostId kHost("txkill-host");

std::string trust() {
  HostTrust trust;
  trust.host = kHost;
  trust.organisation = "txkill";
  trust.operators = {key_of("operator").public_key()};
  return to_canonical_text(trust);
}

std::string policy(std::uint64_t serial, Instant now) {
  ExecutorPolicy policy;
  policy.serial = serial;
  policy.organisation = "txkill";
  policy.issued = now;
  policy.expires = now + std::chrono::hours(24);
  policy.directors = {key_of("director").public_key()};
  policy.approvers = {{"ada", key_of("ada").public_key()}};
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 1}, {ActionKind::kDpkgRepair, {"*"}, {}, 1}};
  policy.budget = {1000, 1000};
  return to_canonical_text(sign_envelope(kExecutorPolicyType, to_canonical_text(policy), key_of("operator")));
}

std::string order(std::uint64_t sequence, const std::string& run, const Plan& plan, Instant now) {
  Order order;
  order.id = OrderId(sha256(run).hex().substr(0, 32));
  order.host = kHost;
  order.sequence = sequence;
  order.epoch = 1;
  order.run = RunId(run);
  order.issued = now;
  order.expires = now + std::chrono::minutes(10);
  order.plan = plan;
  order.rollout.id = PlanId("PLN-txkill");
  order.rollout.created = now;
  order.rollout.created_by = "txkill";
  order.rollout.host_count = 1;
  order.rollout.wave_ends = {1};
  order.rollout.merkle_root = merkle_root({rollout_leaf(0, kHost, digest_of(plan))});
  Approval approval;
  approval.plan = order.rollout.id;
  approval.plan_digest = digest_of(order.rollout);
  approval.approver = "ada";
  approval.at = now;
  approval.expires = now + std::chrono::hours(1);
  order.approvals = {sign_envelope(kApprovalType, to_canonical_text(approval), key_of("ada"))};
  return to_canonical_text(sign_envelope(kOrderType, to_canonical_text(order), key_of("director")));
}

}  // namespace

int main(int argc, char** argv) {
  auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  std::string verb = argc > 1 ? argv[1] : "", text;
  if (verb == "trust" && argc == 2) text = trust();
  if (verb == "policy" && argc == 3) text = policy(parse_uint(argv[2]).value_or(1), now);
  if (verb == "order" && argc == 5) {
    std::ifstream file(argv[4]);
    auto plan = from_json_text<Plan>(std::string(std::istreambuf_iterator<char>(file), {}));
    if (!plan) {
      std::fprintf(stderr, "the plan: %s\n", plan.error().text().c_str());
      return 1;
    }
    text = order(parse_uint(argv[2]).value_or(1), argv[3], *plan, now);
  }
  if (text.empty()) {
    std::fprintf(stderr, "txkill-sign trust | policy SERIAL | order SEQUENCE RUN PLAN-FILE\n");
    return 2;
  }
  std::printf("%s\n", text.c_str());
  return 0;
}
