#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/exit_code.h"
#include "base/result.h"

/// The command table. Parsing, help, the man page and the completions are all made from it, so that they can't drift.
namespace prunella::cli {

class Session;
struct Invocation;
using Handler = ExitCode (*)(Session&, const Invocation&);

/// What a shell may offer for a value.
enum class Values { kNone, kHost, kPlan, kRollout, kRun, kContext, kFile, kWords };

struct Option {
  std::string_view name;   ///< without the dashes
  char letter = 0;         ///< of the short form; 0: none
  std::string_view value;  ///< what the value is called in help; empty: a flag
  std::string_view help;
  Values values = Values::kNone;
  std::string_view words = {};  ///< with kWords: separated by blanks
  bool repeats = false;
};

struct Argument {
  std::string_view name;  ///< "HOST"
  bool optional = false;
  bool repeats = false;  ///< the last one only
  Values values = Values::kNone;
  std::string_view words = {};
};

struct Example {
  std::string_view line;
  std::string_view what;
};

struct Command {
  std::vector<std::string_view> words;  ///< {"host", "ls"}
  std::string_view summary;             ///< one line, begins in lower case, no full stop
  std::string_view description = {};    ///< further sentences
  std::vector<Argument> arguments = {};
  std::vector<Option> options = {};
  std::vector<Example> examples = {};
  std::string_view scope = {};  ///< that the token needs; empty: no server is asked
  bool watchable = false;  ///< --watch shows it again whenever something changed
  Handler run = nullptr;

  std::string name() const;  ///< "host ls"
};

const std::vector<Command>& commands();
const std::vector<Option>& global_options();
/// What a noun is about, for the list of commands: "host" is "the machines that are looked after".
std::string_view noun_summary(std::string_view noun);

/// A parsed command line.
struct Invocation {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
  std::map<std::string, std::vector<std::string>, std::less<>> options;

  bool has(std::string_view option) const { return options.contains(option); }
  std::optional<std::string> option(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
};

/// What was asked for when it isn't a command to run.
enum class Ask { kRun, kHelp, kVersion };
struct Parsed {
  Ask ask = Ask::kRun;
  std::vector<std::string> topic;  ///< kHelp: the words before --help
  Invocation invocation;
};

/// @error kInvalidInput  quoting the wrong word, with "did you mean" where one is near.
Result<Parsed> parse(const std::vector<std::string>& words);

/// Help for the program, a noun or a command.
/// @error kInvalidInput  no such command.
Result<std::string> help_text(const std::vector<std::string>& topic);
std::string usage_line(const Command& command);
std::string man_page(std::string_view version);
/// @error kInvalidInput  a shell other than bash, zsh and fish.
Result<std::string> completion_script(std::string_view shell);

}  // namespace prunella::cli
