#include <gtest/gtest.h>

#include "model/finding.h"
#include "model/link.h"
#include "model/merkle.h"
#include "model/order.h"
#include "model/rollout.h"

namespace prunella {
namespace {

PrivateKey key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return PrivateKey(seed);
}

Plan small_plan() {
  Plan plan;
  plan.host = HostId("web-1");
  plan.purpose = "security updates";
  plan.deadline = Duration(600'000);
  Action action;
  action.transaction = PackageTransaction{};
  DebFile old_file{"1.0-1", sha256("old"), 10};
  action.transaction->changes.push_back({{"libssl3", "amd64"}, "1.0-1", old_file, {"1.0-2", sha256("new"), 11}});
  plan.actions.push_back(action);
  return plan;
}

TEST(Plan, ReadsBackWithTheSameDigest) {
  Plan plan = small_plan();
  auto read = from_json_text<Plan>(to_canonical_text(plan));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(*read, plan);
  EXPECT_EQ(digest_of(*read), digest_of(plan));
  EXPECT_TRUE(check_plan(plan));
  EXPECT_EQ(blast_class(plan), BlastClass::kService);
}

TEST(Plan, WithoutAWayBackIsIrreversible) {
  Plan plan = small_plan();
  plan.actions[0].transaction->changes[0].from.reset();
  EXPECT_EQ(blast_class(plan), BlastClass::kIrreversible);
}

TEST(Plan, IsRefusedWhenItIsNotExact) {
  auto refused = [](auto change) {
    Plan plan = small_plan();
    change(plan, plan.actions[0], plan.actions[0].transaction->changes[0]);
    return !check_plan(plan).has_value();
  };
  EXPECT_TRUE(refused([](Plan& p, Action&, PackageChange&) { p.actions.clear(); }));
  EXPECT_TRUE(refused([](Plan& p, Action&, PackageChange&) { p.version = 2; }));
  EXPECT_TRUE(refused([](Plan& p, Action&, PackageChange&) { p.removals.push_back("sudo:amd64"); }));
  EXPECT_TRUE(refused([](Plan& p, Action&, PackageChange&) { p.deadline = Duration(0); }));
  EXPECT_TRUE(refused([](Plan&, Action& a, PackageChange&) { a.kind = ActionKind::kServiceRestart; }));
  EXPECT_TRUE(refused([](Plan&, Action& a, PackageChange&) { a.restart = ServiceRestart{"a.service", ""}; }));
  EXPECT_TRUE(refused([](Plan&, Action&, PackageChange& c) { c.package.name = "--force-all"; }));
  EXPECT_TRUE(refused([](Plan&, Action&, PackageChange& c) { c.to.version = "../1"; }));
  EXPECT_TRUE(refused([](Plan&, Action&, PackageChange& c) { c.to.sha256 = {}; }));
  EXPECT_TRUE(refused([](Plan&, Action&, PackageChange& c) { c.from->version = "0.9"; }));
  EXPECT_TRUE(refused([](Plan&, Action& a, PackageChange& c) { a.transaction->changes.push_back(c); }));
  EXPECT_TRUE(refused([](Plan&, Action& a, PackageChange&) { a.transaction->restarts = {"-x.service"}; }));
  EXPECT_TRUE(refused([](Plan&, Action& a, PackageChange&) { a.transaction->conffiles.push_back({"etc/x", {"abc", "all"}, ConffileFate::kNew}); }));
}

TEST(Envelope, GivesTheBytesOnlyToEnoughDifferentKnownKeys) {
  auto a = key_of(1), b = key_of(2), stranger = key_of(3);
  std::vector<PublicKey> keys = {a.public_key(), b.public_key()};
  Envelope envelope = sign_envelope(kOrderType, "{}", a);
  EXPECT_EQ(*open_envelope(envelope, kOrderType, keys, 1), "{}");
  EXPECT_EQ(open_envelope(envelope, kOrderType, keys, 2).error().kind(), ErrorKind::kDenied);
  ASSERT_TRUE(add_signature(envelope, a));  // the same key again doesn't count twice
  EXPECT_FALSE(open_envelope(envelope, kOrderType, keys, 2));
  ASSERT_TRUE(add_signature(envelope, stranger));
  EXPECT_FALSE(open_envelope(envelope, kOrderType, keys, 2));
  ASSERT_TRUE(add_signature(envelope, b));
  EXPECT_TRUE(open_envelope(envelope, kOrderType, keys, 2));
  EXPECT_FALSE(open_envelope(envelope, kApprovalType, keys, 1));
  envelope.payload = to_base64(as_bytes("[]"));
  EXPECT_FALSE(open_envelope(envelope, kOrderType, keys, 1));
}

TEST(Merkle, ProvesEachLeafAtItsPlaceOnly) {
  for (std::size_t size = 1; size <= 33; ++size) {
    std::vector<Digest> leaves;
    for (std::size_t i = 0; i < size; ++i) leaves.push_back(rollout_leaf(i, HostId("h" + std::to_string(i)), sha256(std::to_string(i))));
    Digest root = merkle_root(leaves);
    for (std::size_t i = 0; i < size; ++i) {
      auto proof = merkle_proof(leaves, i);
      EXPECT_TRUE(merkle_proves(root, leaves[i], i, size, proof));
      EXPECT_FALSE(merkle_proves(root, leaves[(i + 1) % size], i, size, proof) && size > 1);
      EXPECT_FALSE(merkle_proves(root, leaves[i], i + 1, size, proof));
      auto longer = proof;
      longer.push_back(root);
      EXPECT_FALSE(merkle_proves(root, leaves[i], i, size, longer));
    }
  }
}

TEST(Merkle, MatchesRfc6962sTestVectors) {
  // The certificate-transparency reference implementation's tree of these eight leaves.
  std::vector<Digest> leaves;
  for (std::string hex : {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"})
    leaves.push_back(merkle_leaf(as_text(*from_hex(hex))));
  EXPECT_EQ(merkle_root(leaves).hex(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

TEST(ExecutorPolicy, IsRefusedWhenItCouldBeMisread) {
  ExecutorPolicy good;
  good.serial = 1;
  good.organisation = "example";
  good.expires = good.issued + Duration(1000);
  good.directors = {key_of(1).public_key()};
  good.approvers = {{"ada", key_of(2).public_key()}};
  good.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 1}};
  ASSERT_TRUE(check_executor_policy(good)) << check_executor_policy(good).error().text();
  auto refused = [&](auto change) {
    ExecutorPolicy policy = good;
    change(policy);
    return !check_executor_policy(policy).has_value();
  };
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.serial = 0; }));
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.directors.clear(); }));
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.rules[0].approvals = 2; }));
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.rules[0].packages.clear(); }));
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.approvers.push_back({"eve", p.approvers[0].key}); }));
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.approvers[0].key = p.directors[0]; }));
  EXPECT_TRUE(refused([](ExecutorPolicy& p) { p.expires = p.issued; }));
}

TEST(Pattern, StarStandsForAnyRun) {
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("lib*3", "libssl3"));
  EXPECT_TRUE(matches_pattern("a*b*c", "axxbyyc"));
  EXPECT_FALSE(matches_pattern("a*b*c", "axxbyy"));
  EXPECT_FALSE(matches_pattern("nginx", "nginx-core"));
  EXPECT_FALSE(matches_pattern("", "x"));
}

TEST(Link, MessagesReadBack) {
  Report report;
  report.instance = "i";
  report.events.push_back({"1.0", "i-packages-1", "packages", std::string(kEventSection), Instant{}, 1, Json(Json::Object{})});
  EXPECT_EQ(*from_json<Report>(to_json(report)), report);
  ExecutorAnswer answer;
  answer.outcome = RunOutcome{};
  answer.outcome->run = RunId("RUN-1");
  answer.outcome->host = HostId("h");
  EXPECT_EQ(*from_json<ExecutorAnswer>(to_json(answer)), answer);
  EXPECT_FALSE(from_json_text<ExecutorRequest>(R"({"verb":"shell"})"));
}

}  // namespace
}  // namespace prunella
