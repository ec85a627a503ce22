#pragma once

#include <functional>
#include <string>
#include <vector>

#include "loop/order_check.h"
#include "model/merkle.h"

/// A host, its trust and policy, and orders that it takes: what the tests of the executor's checks start from.
namespace prunella::testing_orders {

inline const Instant kNow = *parse_rfc3339("2026-11-24T04:00:00Z");

inline PrivateKey key_of(std::string_view role) { return PrivateKey(sha256("test key: " + std::string(role)).bytes); }

struct SignedWorld {
  PrivateKey operator_one = key_of("operator one"), operator_two = key_of("operator two"), director = key_of("director");
  PrivateKey ada = key_of("ada"), bob = key_of("bob");
  HostTrust trust;
  ExecutorPolicy policy;
  ExecutorMemory memory;
  bool has_policy = true, frozen = false;
  std::optional<RunId> busy;
  std::size_t outcomes_waiting = 0;
  Instant now = kNow;

  SignedWorld() {
    trust.host = HostId("web-1");
    trust.organisation = "example";
    trust.operators = {operator_one.public_key(), operator_two.public_key()};
    policy.serial = 3;
    policy.organisation = "example";
    policy.issued = kNow - std::chrono::hours(1);
    policy.expires = kNow + std::chrono::hours(24);
    policy.directors = {director.public_key()};
    policy.approvers = {{"ada", ada.public_key()}, {"bob", bob.public_key()}};
    policy.rules = {{ActionKind::kPackageTransaction, {"lib*", "openssl", "prunella*"}, {"nginx.service", "ssh*"}, 2},
                    {ActionKind::kServiceRestart, {}, {"app-*.service"}, 0}};
    policy.budget = {2, 5};
    memory.last_sequence = 4;
    memory.highest_epoch = 2;
  }

  OrderContext context() const { return {trust, has_policy ? &policy : nullptr, memory, busy, frozen, outcomes_waiting, now}; }

  static Plan plan_of(const std::string& package) {
    Plan plan;
    plan.host = HostId("web-1");
    plan.purpose = "security updates";
    plan.deadline = std::chrono::minutes(10);
    Action action;
    action.transaction = PackageTransaction{};
    action.transaction->changes.push_back({{package, "amd64"}, "1-1", DebFile{"1-1", sha256("old"), 10}, {"1-2", sha256("new"), 11}});
    action.transaction->restarts = {"nginx.service"};
    plan.actions.push_back(action);
    return plan;
  }

  /// Puts the order's plan in second place of a rollout of three hosts, and has it approved.
  void seal(Order& order) const {
    std::vector<Digest> leaves = {merkle_leaf("another host's"), rollout_leaf(1, order.host, digest_of(order.plan)), merkle_leaf("a third")};
    order.index = 1;
    order.rollout.host_count = 3;
    order.rollout.wave_ends = {1, 3};
    order.rollout.merkle_root = merkle_root(leaves);
    order.proof = merkle_proof(leaves, 1);
    order.approvals = {approval(order, "ada", ada), approval(order, "bob", bob)};
  }

  Order order() const {
    Order order;
    order.id = OrderId("00112233445566778899aabbccddeeff");
    order.host = trust.host;
    order.sequence = 5;
    order.epoch = 2;
    order.run = RunId("RUN-1");
    order.issued = kNow - std::chrono::minutes(1);
    order.expires = kNow + std::chrono::minutes(9);
    order.plan = plan_of("libssl3");
    order.rollout.id = PlanId("PLN-1");
    order.rollout.created_by = "carol";
    order.rollout.purpose = "security updates";
    seal(order);
    return order;
  }

  Envelope approval(const Order& order, const std::string& name, const PrivateKey& key, Instant at = kNow - std::chrono::minutes(5),
                    Instant expires = kNow + std::chrono::hours(1)) const {
    Approval approval;
    approval.plan = order.rollout.id;
    approval.plan_digest = digest_of(order.rollout);
    approval.approver = name;
    approval.at = at;
    approval.expires = expires;
    return sign_envelope(kApprovalType, to_canonical_text(approval), key);
  }

  Envelope signed_order(const Order& order) const { return sign_envelope(kOrderType, to_canonical_text(order), director); }

  void set_package(Order& order, const std::string& package) const {
    order.plan = plan_of(package);
    seal(order);
  }
  void set_restarts(Order& order, std::vector<std::string> units) const {
    order.plan.actions[0].transaction->restarts = std::move(units);
    seal(order);
  }
};

}  // namespace prunella::testing_orders
