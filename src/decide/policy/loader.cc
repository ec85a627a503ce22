#include "decide/policy/loader.h"

#include <algorithm>
#include <set>

#include "base/ids.h"
#include "base/text.h"
#include "decide/policy/keys.h"
#include "decide/policy/vocabulary.h"
#include "model/selector.h"

namespace prunella::policy {

namespace {

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kListMax = 64;  // triggers, waves, steps, lets: a policy that needs more is several policies

std::vector<std::string> names_of(const std::vector<Key>& keys) {
  std::vector<std::string> names;
  for (const Key& key : keys) names.emplace_back(key.name);
  return names;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
  if (auto near = nearest_word(word, names)) return "did you mean '" + *near + "'?";
  return "known are: " + join(names, ", ");
}

/// "30m", and a plain 0.
Result<Duration> duration_of(std::string_view text) { return text == "0" ? Result<Duration>(Duration(0)) : parse_duration(text); }

/// Reads one document; what is wrong is collected, and the rest is read on.
class Reader {
 public:
  Reader(const YamlNode& root, std::vector<Diagnostic>& diagnostics) : root_(root), diagnostics_(diagnostics) {}

  std::optional<PolicyDocument> run() {
    out_.mark = root_.mark;
    if (!root_.is_map()) {
      fail(root_.mark, "a policy is a map of keys, and here is " + shown(root_), "begin with 'policy: NAME'");
      return std::nullopt;
    }
    if (const YamlNode* name = root_.find("policy")) read_name(*name);
    for (const Key& key : document_keys())
      if (key.required && root_.find(key.name) == nullptr)
        fail(root_.mark, "the key '" + std::string(key.name) + "' is missing", std::string(key.meaning));
    for (std::size_t i = 0; i < root_.entries(); ++i) read_key(root_.key(i), root_.value(i));
    finish();
    if (failed_) return std::nullopt;
    auto json = json_of(root_);
    if (!json) {
      fail(root_.mark, json.error().text());
      return std::nullopt;
    }
    out_.text = to_canonical(*json);
    out_.version = sha256(out_.text);
    return std::move(out_);
  }

 private:
  void add(Weight weight, Mark mark, std::string text, std::string hint) {
    if (diagnostics_.size() >= kDiagnosticsMax) return;
    diagnostics_.push_back({weight, mark.line, mark.column, out_.name, std::move(text), std::move(hint)});
  }
  void fail(Mark mark, std::string text, std::string hint = {}) {
    failed_ = true;
    add(Weight::kError, mark, std::move(text), std::move(hint));
  }
  void warn(Mark mark, std::string text, std::string hint = {}) { add(Weight::kWarning, mark, std::move(text), std::move(hint)); }

  // --- values

  const std::string* scalar(const YamlNode& node, std::string_view what, std::string_view wanted) {
    if (node.is_scalar()) return &node.text;
    fail(node.mark, "'" + std::string(what) + "' has " + shown(node), "write " + std::string(wanted));
    return nullptr;
  }
  template <class T>
  std::optional<T> take(const YamlNode& node, std::string_view what, Result<T> read) {
    if (read) return *std::move(read);
    fail(node.mark, "'" + std::string(what) + "': " + read.error().text());
    return std::nullopt;
  }
  std::optional<Duration> duration(const YamlNode& node, std::string_view what) {
    const std::string* text = scalar(node, what, "a time such as 30m");
    if (text == nullptr) return std::nullopt;
    return take(node, what, duration_of(*text));
  }
  std::optional<bool> truth(const YamlNode& node, std::string_view what) {
    if (node.is_scalar() && !node.quoted && (node.text == "true" || node.text == "false")) return node.text == "true";
    fail(node.mark, "'" + std::string(what) + "' has " + shown(node), "write true or false");
    return std::nullopt;
  }
  std::vector<std::string> words(const YamlNode& node, std::string_view what) {
    std::vector<std::string> out;
    if (node.is_scalar()) {
      out.push_back(node.text);
    } else if (node.is_list()) {
      for (const YamlNode& item : node.items)
        if (const std::string* text = scalar(item, what, "a list of texts")) out.push_back(*text);
    } else {
      fail(node.mark, "'" + std::string(what) + "' has " + shown(node), "write a text or a list of texts");
      return out;
    }
    if (out.empty() || std::ranges::any_of(out, [](const std::string& word) { return trim(word).empty(); }))
      fail(node.mark, "'" + std::string(what) + "' is empty", "name at least one, or leave the key out if it may be");
    if (out.size() > kListMax) fail(node.mark, "'" + std::string(what) + "' has " + std::to_string(out.size()) + " entries, at most " + std::to_string(kListMax));
    return out;
  }
  Expression expression(const YamlNode& node, std::string_view what) {
    Expression out;
    const std::string* text = scalar(node, what, "an expression in quotes");
    if (text == nullptr) return out;
    if (trim(*text).empty()) fail(node.mark, "'" + std::string(what) + "' is empty", "an empty condition is never 'always': write \"true\" if you mean it");
    out.source = *text;
    out.mark = node.mark;
    // Within quotes the text begins one column later; a block's text begins on the line below.
    if (node.quoted) ++out.mark.column;
    if (text->find('\n') != std::string::npos) {
      out.block = true;
      out.mark = {node.mark.line, node.mark.column};
    }
    return out;
  }

  // --- keys

  void read_name(const YamlNode& node) {
    const std::string* name = scalar(node, "policy", "a name");
    if (name == nullptr) return;
    const bool good = !name->empty() && name->size() <= kNameBytesMax && (*name)[0] >= 'a' && (*name)[0] <= 'z' &&
                      name->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
    if (!good)
      return fail(node.mark, quoted(*name) + " is no name of a policy", "write 1 to " + std::to_string(kNameBytesMax) + " lower case letters, digits and '-', a letter first");
    out_.name = *name;
  }

  void read_key(const YamlNode& key, const YamlNode& value) {
    const std::string& name = key.text;
    const auto known = std::ranges::find(document_keys(), name, &Key::name);
    if (known == document_keys().end()) {
      std::string hint = did_you_mean(name, names_of(document_keys()));
      if (name == "on") hint = "write 'trigger': 'on' is a truth value in YAML 1.1";
      return fail(key.mark, "unknown key " + quoted(name), hint);
    }
    if (value.is_null()) return fail(key.mark, "'" + name + "' has no value", std::string(known->meaning));
    if (name == "description") {
      if (const std::string* text = scalar(value, name, "a text")) out_.description = *text;
    } else if (name == "trigger") {
      read_triggers(value);
    } else if (name == "select") {
      read_select(value);
    } else if (name == "let") {
      read_lets(value);
    } else if (name == "when") {
      out_.when = expression(value, name);
    } else if (name == "guard") {
      out_.guard = expression(value, name);
    } else if (name == "never") {
      out_.never = expression(value, name);
    } else if (name == "verify") {
      out_.verify = expression(value, name);
    } else if (name == "for") {
      if (auto time = duration(value, name)) out_.hold_for = *time;
    } else if (name == "settle") {
      if (auto time = duration(value, name)) settle_ = *time;
    } else if (name == "cooldown") {
      read_cooldown(value, *known);
    } else if (name == "budget") {
      read_budget(value, *known);
    } else if (name == "flap") {
      read_flap(value, *known);
    } else if (name == "autonomy") {
      read_autonomy(value, *known);
    } else if (name == "rollout") {
      read_rollout(value, *known);
    } else if (name == "rollback") {
      read_rollback(value);
    } else if (name == "window") {
      read_windows(value, *known);
    } else if (name == "lifetime") {
      read_lifetime(value, *known);
    } else if (name == "do") {
      read_do(value);
    }
  }

  /// The value of each known key of a map, in its order; unknown and missing keys are told.
  template <class F>
  void each(const YamlNode& node, const Key& key, F&& read, bool (*extra)(std::string_view) = nullptr) {
    if (!node.is_map()) return fail(node.mark, "'" + std::string(key.name) + "' has " + shown(node), "write a map, such as {" + std::string(key.below[0].name) + ": ...}");
    if (node.entries() == 0) fail(node.mark, "'" + std::string(key.name) + "' is empty", "leave it out, or write what you mean");
    for (const Key& below : key.below)
      if (below.required && node.find(below.name) == nullptr)
        fail(node.mark, "'" + std::string(key.name) + "' lacks the key '" + std::string(below.name) + "'", std::string(below.meaning));
    for (std::size_t i = 0; i < node.entries(); ++i) {
      const YamlNode& name = node.key(i);
      const auto known = std::ranges::find(key.below, name.text, &Key::name);
      if (known == key.below.end() && !(extra != nullptr && extra(name.text))) {
        fail(name.mark, "unknown key " + quoted(name.text) + " in '" + std::string(key.name) + "'", did_you_mean(name.text, names_of(key.below)));
        continue;
      }
      if (node.value(i).is_null()) {
        fail(name.mark, "'" + name.text + "' has no value");
        continue;
      }
      read(name.text, node.value(i), known == key.below.end() ? nullptr : &*known);
    }
  }

  void read_triggers(const YamlNode& value) {
    std::vector<std::string> known;
    for (const EventType& type : event_types()) known.emplace_back(type.name);
    std::set<std::string> seen;
    for (std::string& name : words(value, "trigger")) {
      if (trim(name).empty()) continue;
      const EventType* type = find_event_type(name);
      if (type == nullptr) {
        fail(value.mark, quoted(name) + " is no kind of event", did_you_mean(name, known));
        continue;
      }
      if (!seen.insert(name).second) fail(value.mark, "the trigger " + quoted(name) + " stands here twice");
      if (!type->sensed)
        warn(value.mark, "no sensor of this version sends " + quoted(name), "the policy loads, and this trigger is silent");
      out_.triggers.push_back(std::move(name));
    }
  }

  void read_select(const YamlNode& value) {
    const std::string* text = scalar(value, "select", "a selector such as 'env:prod'");
    if (text == nullptr) return;
    auto selector = parse_selector(*text);
    if (!selector) return fail(value.mark, "'select': " + selector.error().text(), "leave the key out for all hosts");
    out_.select = *text;
  }

  void read_lets(const YamlNode& value) {
    if (!value.is_map()) return fail(value.mark, "'let' has " + shown(value), "write a map of names to expressions");
    if (value.entries() > kListMax) fail(value.mark, "'let' has " + std::to_string(value.entries()) + " names, at most " + std::to_string(kListMax));
    for (std::size_t i = 0; i < value.entries(); ++i) {
      const std::string& name = value.key(i).text;
      const bool good = !name.empty() && name.size() <= kNameBytesMax && (name[0] < '0' || name[0] > '9') &&
                        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos;
      if (!good) {
        fail(value.key(i).mark, quoted(name) + " is no name for a value", "write letters, digits and '_', no digit first");
        continue;
      }
      static const std::set<std::string_view> reserved = {"event", "host", "pool", "peers", "pre", "unit", "probe", "net", "advisory", "changes", "now", "fix", "replacement", "when"};
      if (reserved.contains(name)) {
        fail(value.key(i).mark, quoted(name) + " has a meaning already", "choose another name");
        continue;
      }
      out_.lets.push_back({name, expression(value.value(i), "let." + name)});
    }
  }

  void read_cooldown(const YamlNode& value, const Key& key) {
    if (value.is_scalar()) {
      if (auto time = duration(value, "cooldown")) cooldown_first_ = *time;
      out_.cooldown.factor_tenths = 10;
      return;
    }
    const auto is_time = [](std::string_view name) { return parse_duration(name).has_value(); };
    each(
        value, key,
        [&](const std::string& name, const YamlNode& node, const Key* known) {
          if (known == nullptr) {
            if (cooldown_first_) return fail(node.mark, "'cooldown' has two first times", "write one, such as {5m: x2}");
            cooldown_first_ = *parse_duration(name);
            if (const std::string* text = scalar(node, "cooldown", "a factor such as x2"))
              if (auto factor = take(node, "cooldown", parse_factor(*text))) out_.cooldown.factor_tenths = *factor;
          } else if (name == "per") {
            static const std::vector<std::string> allowed = {"host.id", "event.subject", "event.unit", "event.path"};
            for (std::string& per : words(node, "cooldown.per")) {
              if (std::ranges::find(allowed, per) == allowed.end()) fail(node.mark, "'cooldown.per': " + quoted(per) + " is not told apart", did_you_mean(per, allowed));
              out_.cooldown.per.push_back(std::move(per));
            }
          } else if (auto time = duration(node, "cooldown.max")) {
            cooldown_max_ = *time;
          }
        },
        is_time);
    if (!cooldown_first_) fail(value.mark, "'cooldown' lacks a first time", "write one with its factor, such as {5m: x2, max: 6h}");
  }

  void read_limit(const YamlNode& node, const std::string& what, std::optional<Limit>& into) {
    if (const std::string* text = scalar(node, what, "a limit such as 10% or 50/h"))
      if (auto limit = take(node, what, parse_limit(*text))) into = *limit;
  }

  void read_budget(const YamlNode& value, const Key& key) {
    each(value, key, [&](const std::string& name, const YamlNode& node, const Key* known) {
      if (name == "host") return read_limit(node, "budget.host", out_.budget.host);
      if (name == "pool") return read_limit(node, "budget.pool", out_.budget.pool);
      if (name == "site") return read_limit(node, "budget.site", out_.budget.site);
      if (name == "fleet") return read_limit(node, "budget.fleet", out_.budget.fleet);
      each(node, *known, [&](const std::string& inner, const YamlNode& below, const Key*) {
        const std::string* text = scalar(below, "budget.storm." + inner, "a text");
        if (text == nullptr) return;
        if (inner == "same_symptom") {
          if (auto burst = take(below, "budget.storm.same_symptom", parse_burst(*text))) out_.budget.storm = *burst;
        } else if (*text != "stop_and_page") {
          fail(below.mark, "'budget.storm.then' has " + quoted(*text), "write stop_and_page, the only one there is");
        }
      });
    });
  }

  void read_flap(const YamlNode& value, const Key& key) {
    each(value, key, [&](const std::string& name, const YamlNode& node, const Key*) {
      const std::string* text = scalar(node, "flap." + name, "a text");
      if (text == nullptr) return;
      if (name == "then") {
        if (*text != "open_incident") fail(node.mark, "'flap.then' has " + quoted(*text), "write open_incident, the only one there is");
        return;
      }
      if (out_.flap.burst) return fail(node.mark, "'flap' counts two things", "write same_path or same_subject");
      out_.flap.per = name == "same_path" ? "path" : "subject";
      if (auto burst = take(node, "flap." + name, parse_burst(*text))) {
        if (burst->amount.percent) fail(node.mark, "'flap." + name + "' has a share", "write a number, such as '2 in 1h'");
        out_.flap.burst = *burst;
      }
    });
  }

  void read_autonomy(const YamlNode& value, const Key& key) {
    each(value, key, [&](const std::string& name, const YamlNode& node, const Key*) {
      if (name == "start" || name == "max") {
        const std::string* text = scalar(node, "autonomy." + name, "a level from L0 to L4");
        if (text == nullptr) return;
        auto level = parse_word<AutonomyLevel>(*text);
        if (!level) return fail(node.mark, "'autonomy." + name + "' has " + quoted(*text), "write L0, L1, L2, L3 or L4");
        (name == "start" ? start_ : max_) = *level;
        (name == "start" ? start_mark_ : max_mark_) = node.mark;
      } else if (name == "irreversible") {
        if (auto yes = truth(node, "autonomy.irreversible")) out_.autonomy.irreversible = *yes;
      } else if (name == "offline") {
        if (auto yes = truth(node, "autonomy.offline")) out_.autonomy.offline = *yes;
      } else if (auto time = duration(node, "autonomy.veto")) {
        out_.autonomy.veto = *time;
      }
    });
  }

  void read_rollout(const YamlNode& value, const Key& key) {
    each(value, key, [&](const std::string& name, const YamlNode& node, const Key*) {
      RolloutSpec& rollout = out_.rollout;
      if (name == "waves") {
        for (std::string& wave : words(node, "rollout.waves")) {
          if (wave.starts_with("label:")) {
            const auto equals = wave.find('=');
            if (equals == std::string::npos || equals == 6 || equals + 1 == wave.size()) fail(node.mark, "'rollout.waves': " + quoted(wave) + " is no wave", "write label:KEY=VALUE");
          } else if (auto amount = parse_amount(wave); !amount) {
            fail(node.mark, "'rollout.waves': " + amount.error().text());
          }
          rollout.waves.push_back(std::move(wave));
        }
      } else if (name == "domain") {
        if (const std::string* text = scalar(node, "rollout.domain", "a label's name")) {
          if (auto named = check_name("label", *text); !named) return fail(node.mark, "'rollout.domain': " + named.error().text());
          rollout.domain = *text;
        }
      } else if (name == "soak") {
        rollout.soak = duration(node, "rollout.soak");
      } else if (name == "deadline") {
        rollout.deadline = duration(node, "rollout.deadline");
      } else if (name == "cooling") {
        rollout.cooling = duration(node, "rollout.cooling");
      } else if (name == "failures") {
        const std::string* text = scalar(node, "rollout.failures", "a share such as 5%");
        if (text == nullptr) return;
        if (*text == "0%" || *text == "0") {
          rollout.failures_percent_max = 0;
        } else if (auto amount = take(node, "rollout.failures", parse_amount(*text))) {
          if (!amount->percent) return fail(node.mark, "'rollout.failures' has " + quoted(*text), "write a share such as 5%");
          rollout.failures_percent_max = amount->value;
        }
      } else if (name == "emergency") {
        rollout.emergency = expression(node, "rollout.emergency");
      } else if (name == "stop_on") {
        rollout.stop_on = expression(node, "rollout.stop_on");
      }
    });
  }

  void read_rollback(const YamlNode& value) {
    const std::string* text = scalar(value, "rollback", "a text");
    if (text == nullptr) return;
    static const std::vector<std::string> known = {"pkg.downgrade_to_snapshot", "inverse", "none"};
    if (std::ranges::find(known, *text) == known.end()) return fail(value.mark, "'rollback' has " + quoted(*text), did_you_mean(*text, known));
    out_.rollback = *text;
  }

  void read_windows(const YamlNode& value, const Key& key) {
    if (value.is_list()) {
      if (value.items.empty()) fail(value.mark, "'window' is empty", "leave it out for any time");
      for (const YamlNode& item : value.items) read_window(item, key);
    } else {
      read_window(value, key);
    }
  }
  void read_window(const YamlNode& value, const Key& key) {
    WindowSpec window;
    each(value, key, [&](const std::string& name, const YamlNode& node, const Key*) {
      if (name == "days") {
        static const std::vector<std::string> known = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
        for (std::string& day : words(node, "window.days")) {
          if (std::ranges::find(known, day) == known.end()) fail(node.mark, "'window.days': " + quoted(day) + " is no day", did_you_mean(day, known));
          window.days.push_back(std::move(day));
        }
      } else if (name == "start") {
        const std::string* text = scalar(node, "window.start", "a time of day such as 02:30");
        if (text == nullptr) return;
        auto hours = text->size() == 5 && (*text)[2] == ':' ? parse_uint(text->substr(0, 2)) : Result<std::uint64_t>(invalid_input(""));
        auto minutes = hours ? parse_uint(text->substr(3)) : Result<std::uint64_t>(invalid_input(""));
        if (!hours || !minutes || *hours > 23 || *minutes > 59) return fail(node.mark, "'window.start' has " + quoted(*text), "write a time of day in quotes, such as \"02:30\"");
        window.start_minutes = static_cast<std::uint32_t>(*hours * 60 + *minutes);
      } else if (name == "length") {
        if (auto time = duration(node, "window.length")) window.length = *time;
        if (window.length > std::chrono::hours(24)) fail(node.mark, "'window.length' is longer than a day", "name the days instead");
        if (window.length <= Duration(0)) fail(node.mark, "'window.length' is 0: it would never be open");
      } else if (name == "zone") {
        if (const std::string* text = scalar(node, "window.zone", "a time zone such as Europe/Berlin")) window.zone = *text;
      } else if (auto time = duration(node, "window.reserve")) {
        window.reserve = *time;
      }
    });
    if (window.reserve > Duration(0) && window.reserve >= window.length) fail(value.mark, "'window.reserve' leaves no time in a window of " + to_text(window.length));
    out_.windows.push_back(std::move(window));
  }

  void read_lifetime(const YamlNode& value, const Key& key) {
    Lifetime lifetime;
    each(value, key, [&](const std::string& name, const YamlNode& node, const Key* known) {
      if (name == "ttl") {
        if (auto time = duration(node, "lifetime.ttl")) lifetime.ttl = *time;
        if (lifetime.ttl <= Duration(0)) fail(node.mark, "'lifetime.ttl' is 0: it would end before it begins");
      } else if (name == "renew_while") {
        if (node.is_scalar() && node.text == "when") {
          lifetime.renew_while_when = true;
        } else {
          lifetime.renew_while = expression(node, "lifetime.renew_while");
        }
      } else if (name == "remove_when") {
        lifetime.remove_when = expression(node, "lifetime.remove_when");
      } else {
        each(node, *known, [&](const std::string& inner, const YamlNode& below, const Key*) {
          if (inner == "of") {
            lifetime.extend_roles = words(below, "lifetime.extend_needs.of");
          } else if (const std::string* text = scalar(below, "lifetime.extend_needs.approvals", "a number")) {
            auto count = parse_uint(*text);
            if (!count || *count == 0 || *count > 10) return fail(below.mark, "'lifetime.extend_needs.approvals' has " + quoted(*text), "write a number from 1 to 10");
            lifetime.extend_approvals = static_cast<std::uint32_t>(*count);
          }
        });
      }
    });
    out_.lifetime = std::move(lifetime);
  }

  void read_do(const YamlNode& value) {
    const YamlNode* steps = &value;
    if (value.is_map() && value.entries() == 1 && value.key(0).text == "ladder") {
      out_.ladder = true;
      steps = &value.value(0);
    }
    if (steps->is_map()) {
      read_step(*steps);
    } else if (steps->is_list()) {
      if (steps->items.size() > kListMax) return fail(steps->mark, "'do' has " + std::to_string(steps->items.size()) + " steps, at most " + std::to_string(kListMax));
      for (const YamlNode& item : steps->items) read_step(item);
    } else {
      fail(value.mark, "'do' has " + shown(value), "write a list of actions, such as [{service.restart_stale: {}}]");
      return;
    }
    if (out_.steps.empty() && !failed_) fail(value.mark, "'do' is empty", "name at least one action; [{notify: {}}] only tells people");
  }

  void read_step(const YamlNode& node) {
    if (!node.is_map() || node.entries() != 1) return fail(node.mark, "a step is a map with one action, and here is " + shown(node), "write {ACTION: {ARGUMENT: VALUE}}");
    const YamlNode& name = node.key(0);
    const YamlNode& value = node.value(0);
    Step step{name.text, name.mark, {}, {}};
    if (name.text == "use") {
      if (const std::string* text = scalar(value, "use", "the name of a policy")) step.use = *text;
      out_.steps.push_back(std::move(step));
      return;
    }
    const ActionType* action = find_action_type(name.text);
    if (action == nullptr) {
      std::vector<std::string> known{"use"};
      for (const ActionType& type : action_types()) known.emplace_back(type.name);
      return fail(name.mark, quoted(name.text) + " is no action", did_you_mean(name.text, known));
    }
    if (!value.is_map() && !value.is_null()) return fail(value.mark, "'" + name.text + "' has " + shown(value), "write its arguments as a map; {} for none");
    for (const ActionArgument& argument : action->arguments)
      if (argument.required && value.find(argument.name) == nullptr)
        fail(name.mark, "'" + name.text + "' lacks the argument '" + std::string(argument.name) + "'", std::string(argument.meaning));
    for (std::size_t i = 0; i < value.entries(); ++i) read_argument(*action, value.key(i), value.value(i), step);
    out_.steps.push_back(std::move(step));
  }

  void read_argument(const ActionType& action, const YamlNode& name, const YamlNode& value, Step& step) {
    const std::string what = step.action + "." + name.text;
    const auto known = std::ranges::find(action.arguments, name.text, &ActionArgument::name);
    if (known == action.arguments.end()) {
      std::vector<std::string> names;
      for (const ActionArgument& argument : action.arguments) names.emplace_back(argument.name);
      return fail(name.mark, "'" + step.action + "' has no argument " + quoted(name.text), names.empty() ? "it takes none" : did_you_mean(name.text, names));
    }
    switch (known->form) {
      case ArgumentForm::kExpression: step.arguments[name.text] = expression(value, what); return;
      case ArgumentForm::kDuration:
        if (auto time = duration(value, what)) step.arguments[name.text] = *time;
        return;
      case ArgumentForm::kRange:
        if (const std::string* text = scalar(value, what, "a range such as 1s..60s"))
          if (auto range = take(value, what, parse_duration_range(*text))) step.arguments[name.text] = *range;
        return;
      case ArgumentForm::kTruth:
        if (auto yes = truth(value, what)) step.arguments[name.text] = *yes;
        return;
      case ArgumentForm::kWord: {
        const std::string* text = scalar(value, what, "a word");
        if (text == nullptr) return;
        const auto allowed = split_blanks(known->words);
        if (std::ranges::find(allowed, std::string_view(*text)) == allowed.end())
          return fail(value.mark, "'" + what + "' has " + quoted(*text), "write one of: " + std::string(known->words));
        step.arguments[name.text] = *text;
        return;
      }
    }
  }

  // --- what holds between the keys

  void finish() {
    out_.settle = settle_.value_or(kSettleDefault);
    out_.cooldown.first = cooldown_first_.value_or(kCooldownFirstDefault);
    out_.cooldown.max = cooldown_max_.value_or(std::max(kCooldownMaxDefault, out_.cooldown.first));
    if (out_.cooldown.max < out_.cooldown.first) fail(root_.mark, "'cooldown.max' is shorter than the first time, " + to_text(out_.cooldown.first));
    out_.autonomy.start = start_.value_or(AutonomyLevel::kSuggest);
    out_.autonomy.max = max_.value_or(out_.autonomy.start);
    if (out_.autonomy.start > AutonomyLevel::kAnnounced)
      fail(start_mark_, "'autonomy.start' is L4: acting without anybody looking is earned by verified runs and never given", "start at L3 at most, and let 'max' be L4");
    if (out_.autonomy.max < out_.autonomy.start)
      fail(max_mark_, "'autonomy.max' is " + std::string(to_text(out_.autonomy.max)) + ", below 'start', " + std::string(to_text(out_.autonomy.start)));
    if (out_.autonomy.max > AutonomyLevel::kAfterApproval && !out_.verify)
      fail(max_ ? max_mark_ : start_mark_, "the policy may rise to " + std::string(to_text(out_.autonomy.max)) + " and has no 'verify'",
           "above L2 nothing acts without a proof: add 'verify', or set autonomy.max to L2");
    bool irreversible = out_.autonomy.irreversible;
    std::string which;
    for (const Step& step : out_.steps) {
      const ActionType* action = find_action_type(step.action);
      if (action == nullptr) continue;
      if (action->undo == Undo::kIrreversible && !irreversible) which = step.action;
      irreversible |= action->undo == Undo::kIrreversible;
    }
    if (irreversible && out_.autonomy.max > AutonomyLevel::kAfterApproval) {
      // Rule 5 of DESIGN.md holds whatever the author wrote, so the level is capped here, and that is told.
      if (out_.autonomy.irreversible) {
        fail(max_ ? max_mark_ : start_mark_, "an irreversible policy may not rise to " + std::string(to_text(out_.autonomy.max)), "set autonomy.max to L2 at most");
      } else {
        warn(max_ ? max_mark_ : start_mark_, "'" + which + "' can't be taken back, so the policy never rises above L2, whatever it asks for",
             "put it into a policy of its own, and the others can rise");
        out_.autonomy.start = std::min(out_.autonomy.start, AutonomyLevel::kAfterApproval);
        out_.autonomy.max = AutonomyLevel::kAfterApproval;
      }
    }
    if (out_.autonomy.veto && out_.autonomy.max < AutonomyLevel::kAnnounced)
      warn(root_.mark, "'autonomy.veto' says how long people may object at L3, and the policy never gets there");
    for (const Step& step : out_.steps) {
      const ActionType* action = find_action_type(step.action);
      if (action != nullptr && !action->kind && action->blast != BlastClass::kObserve)
        warn(step.mark, "no executor of this version carries out '" + step.action + "'", "the policy may say it, and nothing does it");
    }
    if (out_.lifetime && out_.lifetime->renew_while_when) out_.lifetime->renew_while = out_.when;
  }

  const YamlNode& root_;
  std::vector<Diagnostic>& diagnostics_;
  PolicyDocument out_;
  bool failed_ = false;
  std::optional<Duration> settle_, cooldown_first_, cooldown_max_;
  std::optional<AutonomyLevel> start_, max_;
  Mark start_mark_, max_mark_;
};

}  // namespace

LoadedDocuments load_documents(std::string_view text) {
  LoadedDocuments out;
  YamlDocuments yaml = parse_yaml(text);
  out.diagnostics = std::move(yaml.problems);
  if (yaml.documents.empty() && out.diagnostics.empty())
    out.diagnostics.push_back({Weight::kError, 0, 0, {}, "there is no policy in the file", "begin with 'policy: NAME'"});
  for (const YamlNode& document : yaml.documents)
    if (auto read = Reader(document, out.diagnostics).run()) out.documents.push_back(*std::move(read));
  return out;
}

}  // namespace prunella::policy
