#include "apps/cli/command.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace prunella::cli {

namespace {

// A command line longer than this is no person's and no script's.
constexpr std::size_t kWordsMax = 4096;

std::vector<std::string> first_words() {
  std::vector<std::string> out;
  for (const Command& command : commands()) out.emplace_back(command.words[0]);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::string> verbs_of(std::string_view noun) {
  std::vector<std::string> out;
  for (const Command& command : commands())
    if (command.words.size() == 2 && command.words[0] == noun) out.emplace_back(command.words[1]);
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates, std::string_view before = "") {
  auto near = nearest_word(word, candidates);
  return near ? "; did you mean " + std::string(before) + *near + "?" : "";
}

const Command* find_command(const std::vector<std::string>& words, std::size_t& used) {
  const Command* best = nullptr;
  for (const Command& command : commands()) {
    if (command.words.size() > words.size() || !std::equal(command.words.begin(), command.words.end(), words.begin())) continue;
    if (!best || command.words.size() > best->words.size()) best = &command;
  }
  used = best ? best->words.size() : 0;
  return best;
}

const Option* find_option(const Command* command, std::string_view name) {
  for (const Option& option : global_options())
    if (option.name == name) return &option;
  if (command)
    for (const Option& option : command->options)
      if (option.name == name) return &option;
  return nullptr;
}

const Option* find_letter(const Command* command, char letter) {
  for (const Option& option : global_options())
    if (option.letter == letter) return &option;
  if (command)
    for (const Option& option : command->options)
      if (option.letter == letter) return &option;
  return nullptr;
}

// The words that are no options and no options' values, which need a look at the table before the command is known: an option
// of any command takes its value. Names of options mean the same in all commands (a test holds that).
bool takes_value(std::string_view word) {
  if (word.starts_with("--")) {
    if (word.find('=') != std::string_view::npos) return false;
    for (const Command& command : commands())
      if (const Option* option = find_option(&command, word.substr(2))) return !option->value.empty();
    return false;
  }
  if (word.size() != 2) return false;
  for (const Command& command : commands())
    if (const Option* option = find_letter(&command, word[1])) return !option->value.empty();
  return false;
}

Error unknown_command(const std::vector<std::string>& plain) {
  const std::string& first = plain[0];
  auto verbs = verbs_of(first);
  if (verbs.empty()) return invalid_input("unknown command " + quoted(first) + did_you_mean(first, first_words(), "prunella "));
  if (plain.size() == 1) return invalid_input("prunella " + first + " wants one of: " + join(verbs, ", "));
  return invalid_input("unknown command " + quoted(first + " " + plain[1]) + "; prunella " + first + " knows " + join(verbs, ", ") +
                       did_you_mean(plain[1], verbs, "prunella " + first + " "));
}

Error unknown_option(const Command* command, std::string_view word) {
  std::vector<std::string> names;
  for (const Option& option : global_options()) names.push_back("--" + std::string(option.name));
  if (command)
    for (const Option& option : command->options) names.push_back("--" + std::string(option.name));
  return invalid_input("unknown option " + quoted(word) + (command ? " of prunella " + command->name() : std::string()) + did_you_mean(word, names));
}

Status store(Invocation& invocation, const Option& option, std::string value) {
  auto& values = invocation.options[std::string(option.name)];
  if (!option.value.empty() && !values.empty() && !option.repeats)
    return invalid_input("--" + std::string(option.name) + " is given twice: " + quoted(values[0]) + " and " + quoted(value));
  if (option.values == Values::kWords) {
    std::vector<std::string> words;
    for (std::string_view word : split(option.words, ' ')) words.emplace_back(word);
    if (std::ranges::find(words, value) == words.end())
      return invalid_input("--" + std::string(option.name) + " " + quoted(value) + ": it must be one of " + join(words, ", ") + did_you_mean(value, words));
  }
  values.push_back(std::move(value));
  return {};
}

Status check_arguments(const Command& command, const std::vector<std::string>& given) {
  std::size_t least = 0;
  bool endless = false;
  for (const Argument& argument : command.arguments) {
    if (!argument.optional) ++least;
    endless = endless || argument.repeats;
  }
  if (given.size() < least)
    return invalid_input("prunella " + command.name() + " wants " + std::string(command.arguments[given.size()].name) + ": " + usage_line(command));
  if (!endless && given.size() > command.arguments.size())
    return invalid_input("prunella " + command.name() + " takes no " + quoted(given[command.arguments.size()]) + ": " + usage_line(command));
  for (std::size_t i = 0; i < given.size() && i < command.arguments.size(); ++i) {
    const Argument& argument = command.arguments[i];
    if (argument.values != Values::kWords) continue;
    std::vector<std::string> words;
    for (std::string_view word : split(argument.words, ' ')) words.emplace_back(word);
    if (std::ranges::find(words, given[i]) == words.end())
      return invalid_input(quoted(given[i]) + " is no " + std::string(argument.name) + ": it must be one of " + join(words, ", "));
  }
  return {};
}

}  // namespace

std::string Command::name() const {
  std::string out;
  for (std::string_view word : words) out += (out.empty() ? "" : " ") + std::string(word);
  return out;
}

std::optional<std::string> Invocation::option(std::string_view name) const {
  auto found = options.find(name);
  if (found == options.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Invocation::all(std::string_view name) const {
  auto found = options.find(name);
  return found == options.end() ? std::vector<std::string>() : found->second;
}

Result<Parsed> parse(const std::vector<std::string>& words) {
  if (words.size() > kWordsMax) return exhausted("a command line of " + std::to_string(words.size()) + " words");
  std::vector<std::string> plain;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") {
      plain.insert(plain.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (words[i].size() > 1 && words[i][0] == '-')
      i += takes_value(words[i]);
    else
      plain.push_back(words[i]);
  }
  std::size_t used = 0;
  const Command* command = find_command(plain, used);

  Parsed out;
  out.topic = plain;
  out.invocation.command = command;
  bool ended = false;
  std::size_t seen = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!ended && word == "--") {
      ended = true;
      continue;
    }
    if (ended || word.size() < 2 || word[0] != '-') {
      if (seen++ >= used) out.invocation.arguments.push_back(word);
      continue;
    }
    std::string_view name = word;
    std::optional<std::string> value;
    const Option* option = nullptr;
    if (word.starts_with("--")) {
      name.remove_prefix(2);
      if (std::size_t equal = name.find('='); equal != std::string_view::npos) {
        value = std::string(name.substr(equal + 1));
        name = name.substr(0, equal);
      }
      option = find_option(command, name);
    } else {
      option = find_letter(command, word[1]);
      if (option && word.size() > 2) {
        if (option->value.empty()) return unknown_option(command, word);
        value = word.substr(2);
      }
    }
    if (!option) return unknown_option(command, word);
    if (option->value.empty() && value) return invalid_input("--" + std::string(option->name) + " takes no value, but got " + quoted(*value));
    if (!option->value.empty() && !value) {
      if (i + 1 == words.size()) return invalid_input(word + " wants " + std::string(option->value) + ": " + std::string(option->help));
      value = words[++i];
    }
    if (auto stored = store(out.invocation, *option, value.value_or("")); !stored) return std::move(stored).error();
  }

  if (out.invocation.has("version")) {
    out.ask = Ask::kVersion;
    return out;
  }
  if (out.invocation.has("help") || plain.empty()) {
    out.ask = Ask::kHelp;
    if (command) out.topic.resize(used);
    return out;
  }
  if (!command) return unknown_command(plain);
  // "plan" is a command of its own and a noun: a word after it that is no term of a selector was meant as a verb.
  if (command->words.size() == 1 && !out.invocation.arguments.empty() && !verbs_of(command->words[0]).empty()) {
    const std::string& first = out.invocation.arguments[0];
    if (first != "all" && first.find(':') == std::string::npos) return unknown_command({command->name(), first});
  }
  if (auto checked = check_arguments(*command, out.invocation.arguments); !checked) return std::move(checked).error();
  int forms = out.invocation.has("json") + out.invocation.has("jsonl") + out.invocation.has("plain");
  if (forms > 1) return invalid_input("--json, --jsonl and --plain are different forms of the same answer: give one");
  if (out.invocation.has("watch") && !command->watchable) return invalid_input("prunella " + command->name() + " has nothing to --watch");
  return out;
}

}  // namespace prunella::cli
