#include "plan/render.h"

#include <gtest/gtest.h>

#include "../tests/support/sample_host.h"
#include "base/display.h"
#include "plan/planner.h"
#include "plan/rollout.h"

namespace prunella {
namespace {

using sample::kNow;

HostFacts rich() {
  HostFacts facts = sample::facts();
  facts.packages->value->packages[3].state = PackageState::kHalfConfigured;
  facts.updates->value->updates.push_back(sample::update("libnew1", "", "1.0-1", "openssl"));
  facts.updates->value->updates.back().source_version = "3.0.17-1~deb12u2";
  facts.updates->value->updates[1].conffiles = {{{"/etc/ssl/openssl.cnf", {"openssl", "amd64"}, ConffileFate::kKept}}};
  facts.updates->value->updates[0].from.reset();
  facts.disk->value->filesystems[0].free_bytes = 90'000'000;
  return facts;
}

std::string plan_bytes(const HostId& host, const HostFacts& facts) {
  return to_canonical_text(*plan_security_updates(host, facts, {}, kNow));
}

TEST(Render, APlanAsThePersonWhoApprovesSeesIt) {
  auto text = render_plan(plan_bytes(sample::kHost, sample::facts()),
                          {.approvals_needed = 1, .approvers = {"ada", "ben"}, .approved_by = {}});

  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, sample::golden("plan-security.txt", *text));
}

TEST(Render, APlanWithEverythingInIt) {
  auto text = render_plan(plan_bytes(sample::kHost, rich()));

  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, sample::golden("plan-everything.txt", *text));
}

struct Fleet {
  std::string rollout_bytes;
  std::vector<RolloutMember> members;
};

Fleet fleet() {
  std::map<HostId, std::string> plans;
  std::vector<RolloutCandidate> candidates;
  for (int i = 1; i <= 4; ++i) {
    HostId host("web-" + std::to_string(i));
    plans[host] = plan_bytes(host, i == 3 ? rich() : sample::facts());
    candidates.push_back({host, sha256(plans[host]), i == 2});
  }
  auto made =
      make_rollout(candidates, {}, {PlanId("PLN-5k2m9x"), RolloutId("ROL-5k2m9x"), "ada", "security updates", "os:debian"}, kNow);
  Fleet fleet{to_canonical_text(made->plan), {}};
  for (const RolloutHost& host : made->rollout.hosts) fleet.members.push_back({host.host, plans[host.host]});
  return fleet;
}

TEST(Render, ARolloutGroupsWhatItsHostsShare) {
  Fleet f = fleet();

  auto text = render_rollout(f.rollout_bytes, f.members,
                             {.approvals_needed = 2, .approvers = {"ada", "ben", "eve"}, .approved_by = {"ben"}});

  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, sample::golden("rollout.txt", *text));
}

TEST(Render, RefusesMembersThatTheRolloutDoesNotBind) {
  Fleet f = fleet();
  auto kind = [&](auto change) {
    Fleet changed = f;
    change(changed);
    auto text = render_rollout(changed.rollout_bytes, changed.members);
    return text ? std::optional<ErrorKind>() : text.error().kind();
  };
  EXPECT_EQ(kind([](Fleet& c) { std::swap(c.members[0], c.members[1]); }), ErrorKind::kCorrupt);
  EXPECT_EQ(kind([](Fleet& c) { c.members.pop_back(); }), ErrorKind::kCorrupt);
  EXPECT_EQ(kind([](Fleet& c) { std::swap(c.members[0].plan_bytes, c.members[1].plan_bytes); }), ErrorKind::kInvalidInput);
  EXPECT_EQ(kind([](Fleet& c) {
              Plan plan = *from_json_text<Plan>(c.members[0].plan_bytes);
              plan.actions[0].transaction->changes[0].to.sha256.bytes[0] ^= 1;
              c.members[0].plan_bytes = to_canonical_text(plan);
            }),
            ErrorKind::kCorrupt);
  EXPECT_FALSE(kind([](Fleet&) {}));
}

TEST(Render, RefusesBytesThatAreNotTheCanonicalOnes) {
  std::string bytes = plan_bytes(sample::kHost, sample::facts());

  EXPECT_FALSE(render_plan(bytes + "\n"));
  EXPECT_FALSE(render_plan(to_pretty(*parse_json(bytes))));
  EXPECT_FALSE(render_plan("{}"));
  EXPECT_FALSE(render_plan(""));
  Plan plan = *from_json_text<Plan>(bytes);
  plan.removals = {"sudo:amd64"};
  EXPECT_FALSE(render_plan(to_canonical_text(plan)));
}

TEST(Render, NothingThatAHostWroteReachesTheTerminalAsItIs) {
  HostFacts facts = sample::facts();
  facts.processes->value->stale = {{1, 1, "x", "nginx.service", false, {"/x\x1b[2Jy\nz\u202e"}}};
  Plan plan = *plan_restarts(sample::kHost, facts, {}, kNow);
  plan.purpose = "\x1b]0;title\x07";

  auto text =
      render_plan(to_canonical_text(plan), {.approvals_needed = std::nullopt, .approvers = {"a\x1b[1mda"}, .approved_by = {}});

  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(text->find('\x1b'), std::string::npos);
  EXPECT_EQ(text->find("\u202e"), std::string::npos);
  EXPECT_NE(text->find("/x\\x1b[2Jy\\x0az\\u{202e}"), std::string::npos) << *text;
}

TEST(DisplayText, EscapesWhatMovesOrHidesAndKeepsTheRest) {
  EXPECT_EQ(display_text("Grüße 日本 😀"), "Grüße 日本 😀");
  EXPECT_EQ(display_text("a\tb\r\x7f"), "a\\x09b\\x0d\\x7f");
  EXPECT_EQ(display_text("\xc2\x9b"
                         "31m"),
            "\\u{9b}31m");  // the eight-bit CSI
  EXPECT_EQ(display_text("a\u200bb\ufeff"), "a\\u{200b}b\\u{feff}");
  EXPECT_EQ(display_text("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(display_text("\xe0\x80\x80"), "\\xe0\\x80\\x80");
  EXPECT_EQ(display_text(std::string(1000, 'x'), 10), std::string(10, 'x') + "...");
}

}  // namespace
}  // namespace prunella
