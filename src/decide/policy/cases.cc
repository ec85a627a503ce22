#include "decide/policy/cases.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "decide/cel/value_text.h"

namespace prunella::policy {

namespace {

void fail(std::vector<Diagnostic>& diagnostics, Mark mark, std::string text, std::string hint = {}) {
  diagnostics.push_back({Weight::kError, mark.line, mark.column, {}, std::move(text), std::move(hint)});
}

/// "count("unit.failed",'10m')" and "count('unit.failed', '10m')" are one.
std::string window_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ') continue;
    out += c == '"' ? '\'' : c;
    if (c == ',') out += ' ';
  }
  return out;
}

std::set<std::string> fact_keys() {
  std::set<std::string> keys{"event", "host", "now", "flaps", "windows", "advisory"};
  for (const Place place : {Place::kProof, Place::kLifetime})
    for (const Variable& variable : variables(place)) keys.emplace(variable.name);
  return keys;
}

std::optional<Json> json_of(const YamlNode& node, std::vector<Diagnostic>& diagnostics) {
  auto json = policy::json_of(node);
  if (json) return *std::move(json);
  fail(diagnostics, node.mark, json.error().text());
  return std::nullopt;
}

/// Unknown fields of the event or the host are mistakes: a test that names a field that isn't there proves nothing.
void check_fields(const YamlNode& node, std::string_view what, const std::vector<std::string>& known, std::vector<Diagnostic>& diagnostics) {
  for (std::size_t i = 0; i < node.entries(); ++i) {
    const std::string& name = node.key(i).text;
    if (std::ranges::find(known, name) != known.end()) continue;
    auto near = nearest_word(name, known);
    fail(diagnostics, node.key(i).mark, std::string(what) + " has no field " + quoted(name), near ? "did you mean '" + *near + "'?" : "see 'prunella policy vocabulary'");
  }
}

}  // namespace

CaseFacts read_facts(const YamlNode& node, std::vector<Diagnostic>& diagnostics) {
  CaseFacts facts;
  facts.now = Instant(Duration(1'764'000'000'000));  // a fixed moment, so that a test without one means the same every day
  if (const YamlNode* now = node.find("now")) {
    auto at = now->is_scalar() ? parse_rfc3339(now->text) : Result<Instant>(invalid_input(shown(*now) + " is no time"));
    if (at) {
      facts.now = *at;
    } else {
      fail(diagnostics, now->mark, "'now': " + at.error().text(), "write it as 2026-11-24T03:00:00Z");
    }
  }
  const YamlNode* event = node.find("event");
  const YamlNode* type = event ? event->find("type") : nullptr;
  const EventType* trigger = type && type->is_scalar() ? find_event_type(type->text) : nullptr;
  if (trigger == nullptr) {
    std::vector<std::string> names;
    for (const EventType& known : event_types()) names.emplace_back(known.name);
    auto near = type && type->is_scalar() ? nearest_word(type->text, names) : std::nullopt;
    fail(diagnostics, type ? type->mark : event ? event->mark : node.mark, type ? shown(*type) + " is no kind of event" : "there is no event with a type",
         near ? "did you mean '" + *near + "'?" : "write event: {type: unit.failed, ...}");
    return facts;
  }
  std::vector<std::string> fields;
  for (const auto* list : {&common_event_fields(), &trigger->fields})
    for (const Field& field : *list) fields.emplace_back(field.name);
  check_fields(*event, "an event of the kind " + std::string(trigger->name), fields, diagnostics);
  if (auto json = json_of(*event, diagnostics)) facts.event = *std::move(json);
  if (facts.event.find("id") == nullptr) facts.event["id"] = Json("EVT-test");
  if (facts.event.find("at") == nullptr) facts.event["at"] = Json(to_rfc3339(facts.now));
  facts.host = Json(Json::Object{});
  const std::set<std::string> known = fact_keys();
  for (std::size_t i = 0; i < node.entries(); ++i) {
    const std::string& name = node.key(i).text;
    const YamlNode& value = node.value(i);
    if (name == "host") {
      std::vector<std::string> names;
      for (const Field& field : object_types().front().fields) names.emplace_back(field.name);
      if (!value.is_map()) fail(diagnostics, value.mark, "'host' has " + shown(value), "write a map of its fields");
      check_fields(value, "a host", names, diagnostics);
      if (auto json = json_of(value, diagnostics)) facts.host = *std::move(json);
    } else if (name == "flaps") {
      for (std::size_t j = 0; j < value.entries(); ++j) {
        auto share = json_of(value.value(j), diagnostics);
        const double number = !share ? 0 : share->as_double() ? *share->as_double() : share->as_int() ? static_cast<double>(*share->as_int()) : -1;
        if (number < 0 || number > 1) fail(diagnostics, value.value(j).mark, "'flaps' has " + shown(value.value(j)), "write a share from 0 to 1");
        facts.flaps[value.key(j).text] = number;
      }
    } else if (name == "windows") {
      for (std::size_t j = 0; j < value.entries(); ++j)
        if (auto json = json_of(value.value(j), diagnostics)) facts.windows[window_name(value.key(j).text)] = *std::move(json);
    } else if (name != "event" && name != "now" && known.contains(name)) {
      if (auto json = json_of(value, diagnostics)) facts.more[name] = *std::move(json);
    }
  }
  return facts;
}

LoadedTests load_tests(std::string_view text) {
  LoadedTests out;
  YamlDocuments yaml = parse_yaml(text);
  out.diagnostics = std::move(yaml.problems);
  std::set<std::string> allowed = fact_keys();
  allowed.insert({"name", "policy", "expect", "actions"});
  const std::vector<std::string> names(allowed.begin(), allowed.end());
  for (const YamlNode& document : yaml.documents) {
    const YamlNode* tests = document.find("tests");
    if (tests == nullptr || !tests->is_list() || document.entries() != 1) {
      fail(out.diagnostics, document.mark, "a file of tests has one key 'tests' with a list", "write tests: [{name: ..., policy: ..., event: {...}, expect: match}]");
      continue;
    }
    for (const YamlNode& node : tests->items) {
      const std::size_t before = out.diagnostics.size();
      if (!node.is_map()) {
        fail(out.diagnostics, node.mark, "a test is a map, and here is " + shown(node));
        continue;
      }
      PolicyTest test;
      test.mark = node.mark;
      for (std::size_t i = 0; i < node.entries(); ++i)
        if (!allowed.contains(node.key(i).text)) {
          auto near = nearest_word(node.key(i).text, names);
          fail(out.diagnostics, node.key(i).mark, "unknown key " + quoted(node.key(i).text) + " in a test", near ? "did you mean '" + *near + "'?" : "known are: " + join(names, ", "));
        }
      const auto required = [&](std::string_view key) -> std::string {
        const YamlNode* value = node.find(key);
        if (value != nullptr && value->is_scalar() && !value->text.empty()) return value->text;
        fail(out.diagnostics, value ? value->mark : node.mark, "a test needs the key '" + std::string(key) + "' with a text");
        return {};
      };
      test.name = required("name");
      test.policy = required("policy");
      const std::string expect = required("expect");
      if (!expect.empty()) {
        auto truth = parse_word<Truth>(expect);
        if (truth) {
          test.expect = *truth;
        } else {
          fail(out.diagnostics, node.find("expect")->mark, "'expect' has " + quoted(expect), "write match, no-match, error or unknown");
        }
      }
      test.facts = read_facts(node, out.diagnostics);
      if (const YamlNode* actions = node.find("actions"))
        for (std::size_t i = 0; i < actions->entries(); ++i)
          if (auto json = json_of(actions->value(i), out.diagnostics)) test.actions[actions->key(i).text] = *std::move(json);
      if (out.diagnostics.size() == before) out.tests.push_back(std::move(test));
    }
  }
  return out;
}

TestResult run_test(const PolicySet& set, const PolicyTest& test, TimeZones& zones) {
  const std::string type = *test.facts.event.find("type")->as_string();
  if (set.find(test.policy) == nullptr) return {false, "there is no policy " + quoted(test.policy)};
  for (std::size_t number = 0; number < set.rules().size(); ++number) {
    const Rule& rule = set.rules()[number];
    if (set.policies()[rule.policy].name != test.policy || rule.trigger->name != type) continue;
    Judge judge(set, zones);
    judge.load(*rule.trigger, test.facts);
    Match match = judge.judge(number);
    Judged said = match.when;
    // What a guard or a never-list holds back does not match in the end.
    if (said.truth == Truth::kTrue && match.guard && match.guard->truth != Truth::kTrue) said = {Truth::kFalse, "guard: " + match.guard->text, 0};
    if (said.truth == Truth::kTrue && match.never && match.never->truth != Truth::kFalse) said = {Truth::kFalse, "never: " + match.never->text, 0};
    if (said.truth != test.expect) return {false, std::string(to_text(said.truth)) + (said.text.empty() ? "" : " (" + said.text + ")") + " instead of " + std::string(to_text(test.expect))};
    const PolicyDocument& document = set.policies()[rule.policy];
    for (const auto& [name, wanted] : test.actions) {
      const Ready* argument = nullptr;
      for (std::size_t step = 0; step < document.steps.size(); ++step)
        for (const auto& [argument_name, ready] : rule.arguments[step])
          if (document.steps[step].action + "." + argument_name == name) argument = &ready;
      if (argument == nullptr) return {false, "the policy has no argument " + quoted(name)};
      const cel::Value value = judge.value(*argument);
      auto json = cel::to_json(value);
      if (!json) return {false, name + " gives " + cel::to_text(value)};
      if (to_canonical(*json) != to_canonical(wanted)) return {false, name + " is " + to_canonical(*json) + " instead of " + to_canonical(wanted)};
    }
    return {true, {}};
  }
  if (test.expect == Truth::kFalse) return {true, {}};
  return {false, "the policy isn't triggered by " + quoted(type)};
}

}  // namespace prunella::policy
