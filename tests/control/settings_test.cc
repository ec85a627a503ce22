// prunellad.json as its owner writes it.
#include <gtest/gtest.h>

#include "apps/control/data_dir.h"
#include "base/codec.h"

namespace prunella::control {
namespace {

Status checked(const std::string& text) { return check_settings(*from_json_text<Settings>(text)); }

std::string with(const std::string& field, const std::string& value) {
  Json settings = to_json(Settings{});
  settings[field] = *parse_json(value);
  return to_canonical(settings);
}

TEST(Settings, TheDefaultsAreGood) { EXPECT_TRUE(checked(to_canonical_text(Settings{}))); }

TEST(Settings, AWrongFieldIsNamed) {
  for (auto [field, value] : {std::pair("heartbeat_ms", "0"), std::pair("heartbeat_ms", "3600001"), std::pair("organisation", "\"\""), std::pair("organisation", "\"a b\""),
                              std::pair("address", "\"\""), std::pair("names", "[\"\"]"), std::pair("names", "[\"a\\nb\"]")}) {
    auto result = checked(with(field, value));
    ASSERT_FALSE(result) << field << " " << value;
    EXPECT_EQ(result.error().kind(), ErrorKind::kInvalidInput);
    EXPECT_NE(result.error().text().find(field), std::string::npos) << result.error().text();
  }
}

}  // namespace
}  // namespace prunella::control
