#include <gtest/gtest.h>

#include "apps/agent/config.h"

namespace prunella::agent {
namespace {

TEST(ServerAddress, IsAHostAndAPortAndNothingElse) {
  EXPECT_EQ(parse_server("https://prunella.example:8443")->host, "prunella.example");
  EXPECT_EQ(parse_server("https://prunella.example:8443/")->port, 8443);
  EXPECT_EQ(parse_server("https://prunella.example")->port, 443);
  EXPECT_EQ(parse_server("https://[fd00::1]:8443")->host, "fd00::1");
  for (const char* wrong : {"", "http://a:1", "https://", "https://:1", "https://a:0", "https://a:65536", "https://a:b", "https://a/b", "https://a?b",
                            "https://u@a", "https://fd00::1", "https://[fd00::1", "https://[fd00::1]x", "https://a b"})
    EXPECT_EQ(parse_server(wrong).error().kind(), ErrorKind::kInvalidInput) << wrong;
}

TEST(AgentConfig, IsStrict) {
  AgentConfig good;
  good.server = "https://a:1";
  good.host = HostId("h");
  good.organisation = "o";
  good.operators = {PublicKey{}};
  ASSERT_TRUE(check_config(good));
  EXPECT_EQ(*from_json<AgentConfig>(to_json(good)), good);
  auto refused = [&](auto change) {
    AgentConfig config = good;
    change(config);
    return !check_config(config).has_value();
  };
  EXPECT_TRUE(refused([](AgentConfig& c) { c.server = "a:1"; }));
  EXPECT_TRUE(refused([](AgentConfig& c) { c.operators.clear(); }));
  EXPECT_TRUE(refused([](AgentConfig& c) { c.threshold = 0; }));
  EXPECT_TRUE(refused([](AgentConfig& c) { c.threshold = 2; }));
  EXPECT_TRUE(refused([](AgentConfig& c) { c.lists_every = Duration(1000); }));
  EXPECT_TRUE(refused([](AgentConfig& c) { c.full_check_every = std::chrono::hours(24 * 365); }));
  Json with_typo = to_json(good);
  with_typo["lists_evry_ms"] = Json(1);
  EXPECT_FALSE(from_json<AgentConfig>(with_typo));
}

}  // namespace
}  // namespace prunella::agent
