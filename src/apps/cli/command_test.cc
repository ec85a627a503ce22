#include "apps/cli/command.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"

namespace prunella::cli {
namespace {

std::string error_of(std::vector<std::string> words) {
  auto parsed = parse(words);
  return parsed ? "parsed" : parsed.error().text();
}

TEST(Parse, FindsCommandArgumentsAndOptionsInAnyOrder) {
  auto parsed = parse({"--json", "host", "show", "--timeout=5s", "web-1"});

  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->invocation.command->name(), "host show");
  EXPECT_EQ(parsed->invocation.arguments, std::vector<std::string>{"web-1"});
  EXPECT_EQ(*parsed->invocation.option("timeout"), "5s");
  EXPECT_TRUE(parsed->invocation.has("json"));
}

TEST(Parse, TakesShortOptionsWithTheirValueBehindOrBeside) {
  EXPECT_EQ(*parse({"plan", "-l", "ring:canary"})->invocation.option("selector"), "ring:canary");
  EXPECT_EQ(*parse({"-lring:canary", "plan"})->invocation.option("selector"), "ring:canary");
  EXPECT_TRUE(parse({"apply", "PLN-1", "-y"})->invocation.has("yes"));
}

TEST(Parse, TellsThePlanFromItsVerbs) {
  EXPECT_EQ(parse({"plan", "-l", "all"})->invocation.command->name(), "plan");
  EXPECT_EQ(parse({"plan", "host:web-*", "ring:canary"})->invocation.arguments.size(), 2u);
  EXPECT_EQ(parse({"plan", "show", "PLN-1"})->invocation.command->name(), "plan show");
  EXPECT_EQ(error_of({"plan", "shwo", "PLN-1"}), "unknown command 'plan shwo'; prunella plan knows ls, show; did you mean prunella plan show?");
}

TEST(Parse, AfterTwoDashesEverythingIsAnArgument) {
  auto parsed = parse({"why", "web-1", "--", "--strange"});

  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->invocation.arguments[1], "--strange");
}

TEST(Parse, QuotesWhatIsWrongAndGuessesWhatWasMeant) {
  EXPECT_EQ(error_of({"hots", "ls"}), "unknown command 'hots'; did you mean prunella host?");
  EXPECT_EQ(error_of({"host"}), "prunella host wants one of: ls, show, refresh, label, revoke");
  EXPECT_EQ(error_of({"host", "sho", "x"}), "unknown command 'host sho'; prunella host knows ls, show, refresh, label, revoke; did you mean prunella host show?");
  EXPECT_EQ(error_of({"host", "ls", "--jsno"}), "unknown option '--jsno' of prunella host ls; did you mean --json?");
  EXPECT_EQ(error_of({"host", "show"}), "prunella host show wants HOST: prunella host show HOST");
  EXPECT_EQ(error_of({"status", "now"}), "prunella status takes no 'now': prunella status");
  EXPECT_EQ(error_of({"finding", "ls", "--state", "opn"}), "--state 'opn': it must be one of open, cleared, all; did you mean open?");
  EXPECT_EQ(error_of({"completion", "csh"}), "'csh' is no SHELL: it must be one of bash, zsh, fish");
  EXPECT_EQ(error_of({"apply", "PLN-1", "--yes=1"}), "--yes takes no value, but got '1'");
  EXPECT_EQ(error_of({"plan", "-l"}), "-l wants SELECTOR: which hosts: all, or terms such as 'host:web-* ring:canary' that must all hold");
  EXPECT_EQ(error_of({"plan", "-l", "a", "-l", "b"}), "--selector is given twice: 'a' and 'b'");
  EXPECT_EQ(error_of({"status", "--json", "--plain"}), "--json, --jsonl and --plain are different forms of the same answer: give one");
  EXPECT_EQ(error_of({"approve", "PLN-1", "--watch"}), "prunella approve has nothing to --watch");
  EXPECT_EQ(error_of({"a\x1b[31mb"}), "unknown command 'a\\x1b[31mb'");
}

TEST(Parse, AsksForHelpAndVersion) {
  EXPECT_EQ(parse({})->ask, Ask::kHelp);
  EXPECT_EQ(parse({"host", "ls", "-h"})->topic, (std::vector<std::string>{"host", "ls"}));
  EXPECT_EQ(parse({"--version"})->ask, Ask::kVersion);
  EXPECT_EQ(parse({"help", "host"})->invocation.command->name(), "help");
}

TEST(Table, SaysTheSameEverywhere) {
  std::set<std::string> names;
  std::map<std::string, std::string> value_of;
  for (const Command& command : commands()) {
    EXPECT_TRUE(names.insert(command.name()).second) << command.name() << " stands in the table twice";
    EXPECT_NE(command.run, nullptr) << command.name();
    EXPECT_FALSE(command.summary.empty()) << command.name();
    EXPECT_FALSE(command.summary.ends_with('.')) << command.name();
    if (command.words.size() == 2) {
      EXPECT_FALSE(noun_summary(command.words[0]).empty()) << command.words[0];
    }
    for (const Option& option : command.options) {
      // The parser looks options up before it knows the command.
      auto [known, is_new] = value_of.emplace(option.name, option.value);
      EXPECT_EQ(known->second.empty(), option.value.empty()) << "--" << option.name << " takes a value in one command and none in another";
      for (const Option& global : global_options()) EXPECT_TRUE(global.name != option.name || command.name() == "apply") << "--" << option.name << " of " << command.name();
    }
    for (std::size_t i = 0; i + 1 < command.arguments.size(); ++i) EXPECT_FALSE(command.arguments[i].repeats) << command.name();
  }
}

TEST(Help, ManAndCompletionsNameEveryCommandAndOption) {
  std::string man = man_page("1.2.3");
  for (const Command& command : commands()) {
    std::vector<std::string> topic;
    for (std::string_view word : command.words) topic.emplace_back(word);
    auto help = help_text(topic);
    ASSERT_TRUE(help) << command.name();
    EXPECT_NE(help->find(command.summary), std::string::npos) << command.name();
    EXPECT_NE(man.find(".SS prunella " + command.name()), std::string::npos) << command.name();
    for (const Option& option : command.options) {
      EXPECT_NE(help->find("--" + std::string(option.name)), std::string::npos) << command.name() << " --" << option.name;
      for (const char* shell : {"bash", "zsh", "fish"}) {
        std::string wanted = shell == std::string("fish") ? "-l " + std::string(option.name) : "--" + std::string(option.name);
        EXPECT_NE(completion_script(shell)->find(wanted), std::string::npos) << shell << " " << command.name() << " --" << option.name;
      }
    }
  }
  for (const auto& [code, what] : kExitCodes) EXPECT_NE(man.find(".B " + std::to_string(static_cast<int>(code)) + "\n"), std::string::npos) << what;
  EXPECT_FALSE(help_text({"nonsense"}));
  EXPECT_FALSE(completion_script("csh"));
}

}  // namespace
}  // namespace prunella::cli
