// Help, the man page and completions, all from the command table.
#include <algorithm>
#include <map>
#include <set>

#include "apps/cli/command.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

constexpr std::size_t kWidth = 100;

/// Words in lines of kWidth, each after `indent` blanks; the first line goes on at column `at`.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t at) {
  std::string out;
  std::size_t column = at;
  bool first = true;
  for (std::string_view word : split_blanks(text)) {
    if (!first && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  return out;
}

std::string argument_text(const Argument& argument) {
  std::string text(argument.name);
  if (argument.repeats) text += "...";
  return argument.optional ? "[" + text + "]" : text;
}

std::string option_text(const Option& option) {
  std::string text = option.letter ? std::string("-") + option.letter + ", " : "    ";
  text += "--" + std::string(option.name);
  if (!option.value.empty()) text += " " + std::string(option.value);
  return text;
}

std::string option_help(const Option& option) {
  std::string text(option.help);
  if (option.values == Values::kWords) {
    std::vector<std::string> words;
    for (std::string_view word : split(option.words, ' ')) words.emplace_back(word);
    text += ": " + join(words, ", ");
  }
  if (option.repeats) text += " (may be given more than once)";
  return text;
}

std::string options_text(const std::vector<Option>& options) {
  constexpr std::size_t kColumn = 30;
  std::string out;
  for (const Option& option : options) {
    std::string left = "  " + option_text(option);
    if (left.size() + 2 > kColumn) {
      out += left + "\n" + std::string(kColumn, ' ');
    } else {
      left.resize(kColumn, ' ');
      out += left;
    }
    out += wrapped(option_help(option), kColumn, kColumn) + "\n";
  }
  return out;
}

std::string command_help(const Command& command) {
  std::string out = "prunella " + command.name() + ": " + std::string(command.summary) + "\n\n";
  out += "  " + usage_line(command) + "\n";
  if (!command.description.empty()) out += "\n" + wrapped(command.description, 0, 0) + "\n";
  if (!command.options.empty()) out += "\nOptions:\n" + options_text(command.options);
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    for (const Example& example : command.examples) out += "  " + std::string(example.line) + "\n      " + std::string(example.what) + "\n";
  }
  if (!command.scope.empty()) out += "\nNeeds a token with the scope " + std::string(command.scope) + ".\n";
  out += "Options of every command: prunella help\n";
  return out;
}

std::string list_line(std::string_view name, std::string_view summary) {
  constexpr std::size_t kColumn = 22;
  std::string left = "  " + std::string(name);
  left.resize(std::max(kColumn, left.size() + 2), ' ');
  return left + wrapped(summary, kColumn, left.size()) + "\n";
}

std::string noun_help(std::string_view noun) {
  std::string out = "prunella " + std::string(noun) + ": " + std::string(noun_summary(noun)) + "\n\n";
  for (const Command& command : commands())
    if (command.words[0] == noun) out += list_line(command.name(), command.summary);
  return out;
}

std::string program_help() {
  std::string out =
      "prunella: find what is broken or unpatched on a fleet, plan the repair, approve it, carry it out and prove it\n\n"
      "  prunella COMMAND [OPTION...]\n\nCommands:\n";
  std::set<std::string_view> nouns;
  for (const Command& command : commands())
    if (command.words.size() == 1) out += list_line(command.words[0], command.summary);
  out += "\nNouns (prunella help NOUN):\n";
  for (const Command& command : commands()) {
    if (command.words.size() != 2 || !nouns.insert(command.words[0]).second) continue;
    std::string verbs;
    for (const Command& other : commands())
      if (other.words.size() == 2 && other.words[0] == command.words[0]) verbs += (verbs.empty() ? "" : ", ") + std::string(other.words[1]);
    out += list_line(command.words[0], std::string(noun_summary(command.words[0])) + ": " + verbs);
  }
  out += "\nOptions of every command:\n" + options_text(global_options());
  out += "\nExit codes:\n";
  for (const auto& [code, what] : kExitCodes) {
    std::string left = "  " + std::to_string(static_cast<int>(code));
    left.resize(7, ' ');
    out += left + wrapped(what, 7, 7) + "\n";
  }
  out += "\nStart with: prunella context add, prunella doctor, prunella status\n";
  return out;
}

// --- man ----------------------------------------------------------------------------------------------------------------------

std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (c == '\'') out += "\\(aq";
    else if (c == '.' && (out.empty() || out.back() == '\n')) out += "\\&.";
    else out += c;
  }
  return out;
}

std::string roff_options(const std::vector<Option>& options) {
  std::string out;
  for (const Option& option : options)
    out += ".TP\n.B " + roff(trim(option_text(option))) + "\n" + roff(option_help(option)) + ".\n";
  return out;
}

// --- completions --------------------------------------------------------------------------------------------------------------

std::string_view values_word(Values values) {
  switch (values) {
    case Values::kNone: return "";
    case Values::kHost: return "host";
    case Values::kPlan: return "plan";
    case Values::kRollout: return "rollout";
    case Values::kRun: return "run";
    case Values::kContext: return "context";
    case Values::kFile: return "file";
    case Values::kWords: return "words";
  }
  return "";
}

/// What may come after `words`: further words of commands, or what its first argument is.
struct Level {
  std::string words;       ///< "", "host", "host ls"
  std::set<std::string> next;
  const Command* command = nullptr;
};

std::vector<Level> levels() {
  std::map<std::string, Level> found;
  for (const Command& command : commands()) {
    std::string before;
    for (std::string_view word : command.words) {
      found[before].words = before;
      found[before].next.insert(std::string(word));
      before += (before.empty() ? "" : " ") + std::string(word);
    }
    found[before].words = before;
    found[before].command = &command;
  }
  std::vector<Level> out;
  for (auto& [words, level] : found) out.push_back(std::move(level));
  return out;
}

std::vector<Option> options_of(const Command* command) {
  std::vector<Option> out = global_options();
  if (command) out.insert(out.end(), command->options.begin(), command->options.end());
  return out;
}

std::string bash_completion() {
  std::string out = R"(# bash completion for prunella, made from its command table
_prunella() {
  local cur prev word words="" i
  cur=${COMP_WORDS[COMP_CWORD]}
  prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
)";
  std::set<std::string> with_value;
  for (const Command& command : commands())
    for (const Option& option : options_of(&command))
      if (!option.value.empty()) {
        with_value.insert("--" + std::string(option.name));
        if (option.letter) with_value.insert(std::string("-") + option.letter);
      }
  std::vector<std::string> list(with_value.begin(), with_value.end());
  out += "      " + join(list, "|") + ") ((i++)) ;;\n      -*) ;;\n      *)\n        case \"$words${words:+ }$word\" in\n";
  std::vector<std::string> known;
  for (const Level& level : levels())
    if (!level.words.empty()) known.push_back("\"" + level.words + "\"");
  out += "          " + join(known, "|") + ") words=\"$words${words:+ }$word\" ;;\n        esac ;;\n    esac\n  done\n";
  out += "  case $prev in\n";
  std::map<std::string, std::string> value_of;
  for (const Command& command : commands())
    for (const Option& option : options_of(&command)) {
      if (option.value.empty()) continue;
      std::string names = "--" + std::string(option.name) + (option.letter ? std::string("|-") + option.letter : std::string());
      std::string action = "return";
      if (option.values == Values::kWords) action = "COMPREPLY=($(compgen -W '" + std::string(option.words) + "' -- \"$cur\")); return";
      else if (option.values == Values::kFile) action = "COMPREPLY=($(compgen -f -- \"$cur\")); return";
      else if (option.values != Values::kNone)
        action = "COMPREPLY=($(compgen -W \"$(prunella __values " + std::string(values_word(option.values)) + " 2>/dev/null)\" -- \"$cur\")); return";
      value_of.emplace(names, action);
    }
  for (const auto& [names, action] : value_of) out += "    " + names + ") " + action + " ;;\n";
  out += "  esac\n  case $words in\n";
  for (const Level& level : levels()) {
    // Options when one is begun, or when nothing else can come.
    std::vector<std::string> flags;
    for (const Option& option : options_of(level.command)) flags.push_back("--" + std::string(option.name));
    std::string options = "COMPREPLY=($(compgen -W '" + join(flags, " ") + "' -- \"$cur\"))";
    std::string others;
    if (!level.next.empty()) others += "compgen -W '" + join({level.next.begin(), level.next.end()}, " ") + "' -- \"$cur\"; ";
    if (level.command && !level.command->arguments.empty()) {
      const Argument& argument = level.command->arguments[0];
      if (argument.values == Values::kWords) others += "compgen -W '" + std::string(argument.words) + "' -- \"$cur\"; ";
      else if (argument.values == Values::kFile) others += "compgen -f -- \"$cur\"; ";
      else if (argument.values != Values::kNone) others += "compgen -W \"$(prunella __values " + std::string(values_word(argument.values)) + " 2>/dev/null)\" -- \"$cur\"; ";
    }
    out += "    \"" + level.words + "\")\n";
    if (others.empty()) out += "      " + options + "\n";
    else out += "      if [[ $cur == -* ]]; then " + options + "; else COMPREPLY=($(" + others + ")); fi\n";
    out += "      ;;\n";
  }
  return out + "  esac\n}\ncomplete -F _prunella prunella\n";
}

std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string zsh_completion() {
  std::string out = R"(#compdef prunella
# zsh completion for prunella, made from its command table
_prunella() {
  local words_so_far="" word i
  local -a offers
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    [[ $word == -* ]] && continue
    case "$words_so_far${words_so_far:+ }$word" in
)";
  std::vector<std::string> known;
  for (const Level& level : levels())
    if (!level.words.empty()) known.push_back("\"" + level.words + "\"");
  out += "      " + join(known, "|") + ") words_so_far=\"$words_so_far${words_so_far:+ }$word\" ;;\n    esac\n  done\n  case $words_so_far in\n";
  for (const Level& level : levels()) {
    out += "    \"" + level.words + "\")\n      offers=(";
    for (const std::string& next : level.next) {
      std::string full = level.words.empty() ? next : level.words + " " + next;
      std::string_view summary = noun_summary(full);
      for (const Command& command : commands())
        if (command.name() == full) summary = command.summary;
      std::string safe(summary);
      std::ranges::replace(safe, ':', ';');
      out += single_quoted(next + ":" + safe) + " ";
    }
    for (const Option& option : options_of(level.command)) {
      std::string safe(option.help);
      std::ranges::replace(safe, ':', ';');
      out += single_quoted("--" + std::string(option.name) + ":" + safe) + " ";
    }
    out += ")\n";
    if (level.command && !level.command->arguments.empty()) {
      const Argument& argument = level.command->arguments[0];
      if (argument.values == Values::kWords) out += "      offers+=(" + std::string(argument.words) + ")\n";
      else if (argument.values == Values::kFile) out += "      _files\n";
      else if (argument.values != Values::kNone) out += "      offers+=(${(f)\"$(prunella __values " + std::string(values_word(argument.values)) + " 2>/dev/null)\"})\n";
    }
    out += "      _describe 'prunella' offers ;;\n";
  }
  return out + "  esac\n}\n_prunella \"$@\"\n";
}

std::string fish_completion() {
  std::string out = "# fish completion for prunella, made from its command table\ncomplete -c prunella -f\n";
  auto option_line = [&](const Option& option, const std::string& condition) {
    out += "complete -c prunella" + (condition.empty() ? std::string() : " -n " + single_quoted(condition)) + " -l " + std::string(option.name);
    if (option.letter) out += std::string(" -s ") + option.letter;
    if (!option.value.empty()) {
      out += option.values == Values::kFile ? " -rF" : " -x";
      if (option.values == Values::kWords) out += " -a " + single_quoted(option.words);
      else if (option.values != Values::kNone && option.values != Values::kFile)
        out += " -a " + single_quoted("(prunella __values " + std::string(values_word(option.values)) + " 2>/dev/null)");
    }
    out += " -d " + single_quoted(option.help) + "\n";
  };
  for (const Option& option : global_options()) option_line(option, "");
  for (const Level& level : levels()) {
    std::string condition;
    if (level.words.empty()) {
      condition = "__fish_use_subcommand";
    } else {
      for (std::string_view word : split(level.words, ' ')) condition += (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + std::string(word));
    }
    for (const std::string& next : level.next) {
      std::string full = level.words.empty() ? next : level.words + " " + next;
      std::string_view summary = noun_summary(full);
      for (const Command& command : commands())
        if (command.name() == full) summary = command.summary;
      out += "complete -c prunella -n " + single_quoted(condition) + " -a " + next + " -d " + single_quoted(summary) + "\n";
    }
    if (!level.command) continue;
    for (const Option& option : level.command->options) option_line(option, condition);
    if (level.command->arguments.empty()) continue;
    const Argument& argument = level.command->arguments[0];
    if (argument.values == Values::kFile) out += "complete -c prunella -n " + single_quoted(condition) + " -F\n";
    else if (argument.values == Values::kWords) out += "complete -c prunella -n " + single_quoted(condition) + " -a " + single_quoted(argument.words) + "\n";
    else if (argument.values != Values::kNone)
      out += "complete -c prunella -n " + single_quoted(condition) + " -a " + single_quoted("(prunella __values " + std::string(values_word(argument.values)) + " 2>/dev/null)") + "\n";
  }
  return out;
}

}  // namespace

std::string usage_line(const Command& command) {
  std::string out = "prunella " + command.name();
  for (const Argument& argument : command.arguments) out += " " + argument_text(argument);
  if (!command.options.empty()) out += " [OPTION...]";
  return out;
}

Result<std::string> help_text(const std::vector<std::string>& topic) {
  if (topic.empty()) return program_help();
  std::string name = topic[0] + (topic.size() > 1 ? " " + topic[1] : "");
  std::string out;
  for (const Command& command : commands())
    if (command.name() == name) out = command_help(command);
  bool is_noun = topic.size() == 1 && !noun_summary(topic[0]).empty();
  if (out.empty() && is_noun) return noun_help(topic[0]);
  if (!out.empty()) {
    if (is_noun) out += "\nSee also:\n" + noun_help(topic[0]).substr(noun_help(topic[0]).find("\n\n") + 2);
    return out;
  }
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    names.push_back(command.name());
    names.emplace_back(command.words[0]);
  }
  auto near = nearest_word(name, names);
  return invalid_input("there is no command " + quoted(name) + (near ? "; did you mean prunella help " + *near + "?" : ""));
}

std::string man_page(std::string_view version) {
  std::string out = ".TH PRUNELLA 1 \"\" \"prunella " + std::string(version) + "\" \"Prunella\"\n.SH NAME\nprunella \\- find, plan, approve, repair and prove, over a fleet of hosts\n";
  out += ".SH SYNOPSIS\n.B prunella\n.I COMMAND\n[\\fIOPTION\\fR...]\n";
  out += ".SH DESCRIPTION\nAsks the control plane of Prunella, shows plans from the bytes that are approved, signs approvals on this machine and follows what is done.\n"
         "Data goes to standard output, messages to standard error. Text that hosts wrote is escaped before it is shown.\n";
  out += ".SH COMMANDS\n";
  for (const Command& command : commands()) {
    out += ".SS " + roff(usage_line(command)) + "\n";
    std::string summary(command.summary);
    if (!summary.empty()) summary[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(summary[0])));
    out += roff(summary) + ".\n";
    if (!command.description.empty()) out += roff(command.description) + "\n";
    if (!command.scope.empty()) out += "Needs a token with the scope " + std::string(command.scope) + ".\n";
    out += roff_options(command.options);
    for (const Example& example : command.examples) out += ".PP\n" + roff(example.what) + ":\n.RS\n.nf\n" + roff(example.line) + "\n.fi\n.RE\n";
  }
  out += ".SH OPTIONS\n" + roff_options(global_options());
  out += ".SH EXIT STATUS\n";
  for (const auto& [code, what] : kExitCodes) out += ".TP\n.B " + std::to_string(static_cast<int>(code)) + "\n" + roff(what) + ".\n";
  out += ".SH ENVIRONMENT\n.TP\n.B PRUNELLA_CONFIG_DIR\nWhere contexts and keys are; default $XDG_CONFIG_HOME/prunella or ~/.config/prunella.\n"
         ".TP\n.B PRUNELLA_SERVER\nThe control plane, before that of the context.\n.TP\n.B PRUNELLA_CONTEXT\nThe context to use.\n"
         ".TP\n.B PRUNELLA_TOKEN\nThe token, before that of the context.\n.TP\n.B NO_COLOR\nNo colour.\n";
  out += ".SH FILES\n.TP\n.B context.json\nControl planes and tokens; readable by its owner only.\n.TP\n.B operator.key\nSigns policies. Best kept offline.\n"
         ".TP\n.B approver.key\nSigns approvals.\n.TP\n.B audit.json\nThe newest checkpoint of each audit log, against logs that are cut off later.\n";
  return out;
}

Result<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash_completion();
  if (shell == "zsh") return zsh_completion();
  if (shell == "fish") return fish_completion();
  return invalid_input(quoted(shell) + " is not one of bash, zsh, fish");
}

}  // namespace prunella::cli
