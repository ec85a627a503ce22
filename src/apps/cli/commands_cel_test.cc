#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "apps/cli/program.h"

namespace prunella::cli {
namespace {

using testing::HasSubstr;

class StoppedClock : public Clock {
 public:
  Instant now() override { return Instant{}; }
  Monotonic steady() override { return Monotonic{}; }
};
class NoRandom : public Random {
 public:
  void fill(std::span<std::byte> out) override { std::fill(out.begin(), out.end(), std::byte{0}); }
};

struct Ended {
  ExitCode code;
  std::string out;
  std::string err;
};

Ended run(const std::vector<std::string>& words, const std::string& input = "") {
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in(input);
  StoppedClock clock;
  NoRandom random;
  Environment environment{out, err, in, false, false, 100, {}, clock, random, make_api_client, {}};
  const ExitCode code = run_program(environment, words);
  return {code, out.str(), err.str()};
}

TEST(CelCommands, EvalPrintsTheValue) {
  const Ended plain = run({"cel", "eval", "event.unit.startsWith('app-') ? [event.n * 2, 1u] : []", "--bind", "-"},
                          R"({"event": {"unit": "app-1", "n": 4}})");
  EXPECT_EQ(plain.code, ExitCode::kOk) << plain.err;
  EXPECT_EQ(plain.out, "[8, 1u]\n");
  const Ended json = run({"cel", "eval", "{'a': b'x', 'b': duration('90m')}", "--json"});
  EXPECT_EQ(json.code, ExitCode::kOk);
  EXPECT_THAT(json.out, HasSubstr("\"type\""));
  EXPECT_THAT(json.out, HasSubstr("5400s"));
}

TEST(CelCommands, EvalKnowsTimeZones) {
  EXPECT_EQ(run({"cel", "eval", "timestamp('2026-03-29T01:30:00Z').getHours('Europe/Berlin')"}).out, "3\n");
}

TEST(CelCommands, EvalPointsAtAMistake) {
  const Ended ended = run({"cel", "eval", "evnt.unit == 'a'", "--bind", "-"}, R"({"event": {}})");
  EXPECT_EQ(ended.code, ExitCode::kUsage);
  EXPECT_THAT(ended.err, HasSubstr("line 1, column 1: there is no variable 'evnt'; did you mean 'event'?"));
  EXPECT_THAT(ended.err, HasSubstr("| evnt.unit == 'a'"));
  EXPECT_THAT(run({"cel", "eval", "1 +", "--json"}).out, HasSubstr("\"problems\""));
}

TEST(CelCommands, EvalEndsDifferentlyForErrorsAndUnknowns) {
  const Ended error = run({"cel", "eval", "1 / (size('a') - 1)"});
  EXPECT_EQ(error.code, ExitCode::kFailed);
  EXPECT_THAT(error.err, HasSubstr("division by zero"));
  const Ended unknown = run({"cel", "eval", "host.up && ring == 'canary'", "--bind", "-", "--unknown", "host.up"},
                            R"({"host": {}, "ring": "canary"})");
  EXPECT_EQ(unknown.code, ExitCode::kNothing);
  EXPECT_EQ(unknown.out, "unknown(host.up)\n");
}

TEST(CelCommands, EvalRefusesAFileThatIsNoObject) {
  EXPECT_THAT(run({"cel", "eval", "1", "--bind", "-"}, "[1]").err, HasSubstr("must hold an object"));
  EXPECT_THAT(run({"cel", "eval", "1", "--bind", "/no/such/file"}).err, HasSubstr("/no/such/file"));
}

TEST(CelCommands, ConformanceCountsAndNamesWhatFails) {
  const std::string path = testing::TempDir() + "cel_cases.json";
  std::ofstream(path) << R"([{"file": "f", "name": "good", "expr": "1 + 1", "value": {"int": "2"}},
                             {"file": "f", "name": "bad", "expr": "1 + 1", "value": {"int": "3"}},
                             {"file": "f", "name": "message", "expr": "TestAllTypes{}", "value": {"other": "object_value"}}])";
  const Ended ended = run({"cel", "conformance", path});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  EXPECT_THAT(ended.out, testing::EndsWith("\n1 passed, 1 failed, 1 skipped\n"));
  EXPECT_THAT(ended.out, HasSubstr("FAIL  f  bad: 1 + 1\n      it gives 2, and 3 is right"));
  EXPECT_THAT(ended.out, HasSubstr("skip  f  message"));
}

}  // namespace
}  // namespace prunella::cli
