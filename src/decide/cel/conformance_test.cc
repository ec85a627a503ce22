#include "decide/cel/conformance.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/text.h"

namespace prunella::cel {
namespace {

/// Zones from files, as the adapter has them: a stage's tests may know no adapter.
class TestZones final : public TimeZones {
 public:
  const TimeZone* find(std::string_view name) override {
    std::ifstream in("/usr/share/zoneinfo/" + std::string(name), std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    const std::string content = bytes.str();
    auto zone = parse_time_zone(as_bytes(content));
    if (!zone) return nullptr;
    return &zones_.insert_or_assign(std::string(name), *std::move(zone)).first->second;
  }

 private:
  std::map<std::string, TimeZone, std::less<>> zones_;
};

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

ConformanceReport run_file(const std::string& path) {
  TestZones zones;
  auto report = run_conformance(read(path), zones);
  EXPECT_TRUE(report) << path << ": " << (report ? "" : report.error().text());
  if (!report) return {};
  for (const ConformanceNote& note : report->failed)
    ADD_FAILURE() << note.file << " " << note.name << ": " << note.expression << "\n" << note.reason;
  return *std::move(report);
}

TEST(CelConformance, OurOwnCasesPass) {
  const ConformanceReport report = run_file(std::string(PRUNELLA_SOURCE_DIR) + "/tests/corpus/cel/cases.json");
  EXPECT_GT(report.passed, 300u);
  EXPECT_TRUE(report.skipped.empty());
}

TEST(CelConformance, TheSharedSuitePasses) {
  const char* data = std::getenv("PRUNELLA_SHARED_DATA");
  const std::string path =
      (data != nullptr ? std::string(data) : std::string(PRUNELLA_SOURCE_DIR) + "/../shared/data") + "/cel/conformance.json";
  if (!std::ifstream(path)) GTEST_SKIP() << path << " is not here";
  const ConformanceReport report = run_file(path);
  EXPECT_GE(report.passed, 1'000u);
  for (const ConformanceNote& note : report.skipped) EXPECT_NE(note.reason, "") << note.name;
}

TEST(CelConformance, SaysWhatIsWrongWithAFile) {
  TestZones zones;
  EXPECT_NE(run_conformance("{}", zones).error().text().find("a list of cases is wanted"), std::string::npos);
  EXPECT_NE(run_conformance("[{}]", zones).error().text().find("'expr'"), std::string::npos);
  EXPECT_NE(run_conformance(R"([{"file": "f", "name": "n", "expr": "1"}])", zones).error().text().find("neither"),
            std::string::npos);
}

TEST(CelConformance, ReportsAWrongValueAndAMessage) {
  TestZones zones;
  const auto report = run_conformance(R"([{"file": "f", "name": "wrong", "expr": "1", "value": {"double": "1"}},
                                          {"file": "f", "name": "message", "expr": "x", "bind": {"x": {"other": "object_value"}}, "value": {"int": "1"}}])",
                                      zones);
  ASSERT_TRUE(report);
  ASSERT_EQ(report->failed.size(), 1u);
  EXPECT_EQ(report->failed[0].reason, "it gives 1, and 1.0 is right");
  ASSERT_EQ(report->skipped.size(), 1u);
}

}  // namespace
}  // namespace prunella::cel
