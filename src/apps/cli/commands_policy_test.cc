#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "apps/cli/program.h"
#include "base/json.h"

namespace prunella::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

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

/// Each case has a directory of its own.
class PolicyCommands : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() / ("prunella-policy-" + std::string(info->name()) + "-" + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, std::string_view text) {
    const auto path = directory_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  std::string directory() const { return directory_.string(); }

  Ended run(const std::vector<std::string>& words) {
    std::ostringstream out, err;
    std::istringstream in;
    StoppedClock clock;
    NoRandom random;
    Environment environment{out, err, in, false, false, 100, {}, clock, random, make_api_client, {}};
    const ExitCode code = run_program(environment, words);
    return {code, out.str(), err.str()};
  }

 private:
  std::filesystem::path directory_;
};

constexpr std::string_view kGood = "policy: good\ntrigger: unit.failed\nwhen: event.unit == 'a'\ndo: [{unit.restart: {}}]\n";
constexpr std::string_view kSilent = "policy: silent\ntrigger: file.changed\nwhen: \"true\"\ndo: [{notify: {}}]\n";
constexpr std::string_view kBad = "policy: bad\ntrigger: unit.failed\nwhen: event.unti == 'a'\ndo: [{unit.restart: {}}]\n";

TEST_F(PolicyCommands, LintCountsWhatIsGood) {
  write("a.yaml", kGood);
  const Ended ended = run({"policy", "lint", directory()});
  EXPECT_EQ(ended.code, ExitCode::kOk) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("1 policy loaded from 1 file, 0 errors, 0 warnings"));
}

TEST_F(PolicyCommands, LintShowsTheLineAndACaret) {
  const std::string path = write("a.yaml", kBad);
  const Ended ended = run({"policy", "lint", path});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  EXPECT_THAT(ended.out, HasSubstr(path + ":3:13: error: bad: "));
  EXPECT_THAT(ended.out, HasSubstr("did you mean 'unit'?"));
  EXPECT_THAT(ended.out, HasSubstr("\n  when: event.unti == 'a'\n              ^\n"));
}

TEST_F(PolicyCommands, WarningsFailOnlyWhenTheyAreToldTo) {
  write("a.yaml", kSilent);
  EXPECT_EQ(run({"policy", "lint", directory()}).code, ExitCode::kOk);
  EXPECT_EQ(run({"policy", "lint", "--strict", directory()}).code, ExitCode::kFailed);
}

TEST_F(PolicyCommands, LintHasItAllAsJson) {
  write("a.yaml", kGood);
  write("b/b.yml", kBad);
  const Ended ended = run({"policy", "lint", directory(), "--json"});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  auto json = parse_json(ended.out);
  ASSERT_TRUE(json);
  EXPECT_EQ(*json->find("errors")->as_int(), 1);
  EXPECT_EQ(*json->find("policies")->as_array()->at(0).find("policy")->as_string(), "good");
  EXPECT_EQ(*json->find("diagnostics")->as_array()->at(0).find("line")->as_int(), 3);
}

TEST_F(PolicyCommands, ANameIsUniqueAmongAllFiles) {
  write("a.yaml", kGood);
  write("b.yaml", kGood);
  const Ended ended = run({"policy", "lint", directory()});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  EXPECT_THAT(ended.out, HasSubstr("a second policy has the name 'good'; the first stands in " + directory() + "/a.yaml"));
}

TEST_F(PolicyCommands, HiddenFilesAndTestsAreNoPolicies) {
  write("a.yaml", kGood);
  write(".b.yaml", kBad);
  write(".git/c.yaml", kBad);
  write("d.test.yaml", "tests: []\n");
  EXPECT_EQ(run({"policy", "lint", directory()}).code, ExitCode::kOk);
}

TEST_F(PolicyCommands, TextOfAFileCantSteerTheTerminal) {
  write("a.yaml", "policy: \"x\x1b[31m\"\ntrigger: unit.failed\n");
  EXPECT_THAT(run({"policy", "lint", directory()}).out, Not(HasSubstr("\x1b")));
}

TEST_F(PolicyCommands, SaysWhatIsNotThere) {
  EXPECT_EQ(run({"policy", "lint", directory() + "/none"}).code, ExitCode::kNothing);
  EXPECT_EQ(run({"policy", "lint", directory()}).code, ExitCode::kNothing);
  write("a.yaml", kGood);
  EXPECT_EQ(run({"policy", "test", directory()}).code, ExitCode::kNothing);
}

TEST_F(PolicyCommands, TestFailsWhenOneTestDoes) {
  write("a.yaml", kGood);
  write("a.test.yaml",
        "tests:\n- {name: one, policy: good, event: {type: unit.failed, unit: a}, expect: match}\n"
        "- {name: two, policy: good, event: {type: unit.failed, unit: b}, expect: match}\n");
  const Ended ended = run({"policy", "test", directory()});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  EXPECT_THAT(ended.out, HasSubstr("a.test.yaml:3  good: two\n      no-match instead of match\n"));
  EXPECT_THAT(ended.out, HasSubstr("1 passed, 1 failed\n"));
}

TEST_F(PolicyCommands, TestsThatRanNothingAreNoSuccess) {
  write("a.yaml", kGood);
  write("a.test.yaml", "tests: []\n");
  const Ended ended = run({"policy", "test", directory()});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  EXPECT_THAT(ended.out, HasSubstr("without a test: good"));
}

TEST_F(PolicyCommands, NothingIsTestedWithPoliciesThatDoNotLoad) {
  write("a.yaml", kBad);
  write("a.test.yaml", "tests: [{name: one, policy: bad, event: {type: unit.failed}, expect: no-match}]\n");
  const Ended ended = run({"policy", "test", directory()});
  EXPECT_EQ(ended.code, ExitCode::kFailed);
  EXPECT_THAT(ended.out, Not(HasSubstr("passed")));
}

TEST_F(PolicyCommands, ExplainShowsEveryPart) {
  const std::string policies = write("p/a.yaml", "policy: p\ntrigger: unit.failed\nwhen: event.unit == 'a' && host.busy\ndo: [{unit.restart: {}}]\n");
  const std::string event = write("event.yaml", "event: {type: unit.failed, unit: a}\nhost: {busy: false}\n");
  const Ended ended = run({"policy", "explain", event, policies});
  EXPECT_EQ(ended.code, ExitCode::kOk) << ended.err;
  EXPECT_EQ(ended.out,
            "p: no-match\n  when\n    event.unit == 'a' && host.busy  =  false\n      event.unit == 'a'  =  true\n        event.unit  =  'a'\n"
            "      host.busy  =  false\n");
  auto json = parse_json(run({"policy", "explain", event, policies, "--json"}).out);
  ASSERT_TRUE(json);
  EXPECT_EQ(*json->as_array()->at(0).find("result")->as_string(), "no-match");
}

TEST_F(PolicyCommands, ExplainSaysWhatIsWrongWithTheEvent) {
  const std::string policies = write("p/a.yaml", kGood);
  const Ended wrong = run({"policy", "explain", write("e.yaml", "event: {type: unit.faild}\n"), policies});
  EXPECT_EQ(wrong.code, ExitCode::kUsage);
  EXPECT_THAT(wrong.out, HasSubstr("'unit.faild' is no kind of event; did you mean 'unit.failed'?"));
  EXPECT_EQ(run({"policy", "explain", write("f.yaml", "event: {type: clock.off}\n"), policies}).code, ExitCode::kNothing);
  EXPECT_EQ(run({"policy", "explain", write("g.yaml", "event: {type: unit.failed}\n"), policies, "--policy", "other"}).code, ExitCode::kNothing);
}

TEST_F(PolicyCommands, TheSchemaIsJsonAndKnowsEveryKey) {
  auto schema = parse_json(run({"policy", "schema"}).out, {});
  ASSERT_TRUE(schema);
  for (const char* key : {"policy", "trigger", "for", "settle", "cooldown", "budget", "flap", "autonomy", "rollout", "verify", "rollback", "window", "lifetime", "never"})
    EXPECT_NE(schema->find("properties")->find(key), nullptr) << key;
}

TEST_F(PolicyCommands, TheVocabularySaysWhatIsNotSensedOrCarriedOut) {
  const Ended ended = run({"policy", "vocabulary"});
  EXPECT_THAT(ended.out, HasSubstr("file.changed  A watched file changed. No sensor of this version sends it.\n"));
  EXPECT_THAT(ended.out, HasSubstr("kmod.block  Keeps a kernel module from being loaded. Undo: inverse. Not carried out by this version.\n"));
}

}  // namespace
}  // namespace prunella::cli
