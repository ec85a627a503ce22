#include "decide/policy/policy_set.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "decide/cel/value_text.h"

namespace prunella::policy {

namespace {

/// The place in the file of a place in an expression.
Mark place_in_file(const Expression& expression, const cel::Place& place) {
  if (expression.block) return {expression.mark.line + place.line, place.column};
  if (place.line == 1) return {expression.mark.line, expression.mark.column + place.column - 1};
  return {expression.mark.line + place.line - 1, place.column};
}

std::string shape_of(const cel::Value& value) { return std::string(cel::type_name(value.kind())); }

}  // namespace

class SetBuilder {
 public:
  BuiltSet run(std::vector<PolicyDocument> documents) {
    auto set = std::make_shared<PolicySet>();
    set_ = set.get();
    std::map<std::string, std::size_t> names;
    for (PolicyDocument& document : documents) {
      if (!names.emplace(document.name, set_->policies_.size()).second) {
        add(document, document.mark, "a second policy has the name " + quoted(document.name), "names are unique among all files");
        continue;
      }
      document_ = &document;
      failed_ = false;
      check_uses(documents);
      std::vector<Rule> rules;
      for (const std::string& trigger : document.triggers) rules.push_back(make_rule(*find_event_type(trigger)));
      if (failed_) {
        names.erase(document.name);
        continue;
      }
      for (Rule& rule : rules) {
        rule.policy = set_->policies_.size();
        set_->index_.add(static_cast<cel::RuleId>(set_->rules_.size()), {std::string(rule.trigger->name)}, rule.when.program);
        set_->rules_.push_back(std::move(rule));
      }
      set_->policies_.push_back(std::move(document));
    }
    set_->index_.build();
    return {std::move(set), std::move(diagnostics_)};
  }

 private:
  void add(const PolicyDocument& document, Mark mark, std::string text, std::string hint, Weight weight = Weight::kError) {
    if (weight == Weight::kError) failed_ = true;
    Diagnostic diagnostic{weight, mark.line, mark.column, document.name, std::move(text), std::move(hint)};
    // A mistake shows for each trigger; it is told once.
    if (std::ranges::find(diagnostics_, diagnostic) == diagnostics_.end()) diagnostics_.push_back(std::move(diagnostic));
  }

  /// `use` must name a policy, and following it must end.
  void check_uses(const std::vector<PolicyDocument>& documents) {
    for (const Step& step : document_->steps) {
      if (step.action != "use") continue;
      std::set<std::string> seen{document_->name};
      std::vector<std::string> next{step.use};
      while (!next.empty()) {
        const std::string name = std::move(next.back());
        next.pop_back();
        if (name == document_->name) {
          add(*document_, step.mark, "'use' leads back to " + quoted(name), "a ladder must end");
          break;
        }
        if (!seen.insert(name).second) continue;
        const auto found = std::ranges::find(documents, name, &PolicyDocument::name);
        const auto loaded = std::ranges::find(set_->policies_, name, &PolicyDocument::name);
        if (found == documents.end() && loaded == set_->policies_.end()) {
          if (name == step.use) add(*document_, step.mark, "'use' names " + quoted(name) + ", and there is no such policy", "load both together");
          continue;
        }
        for (const Step& below : (found != documents.end() ? *found : *loaded).steps)
          if (below.action == "use") next.push_back(below.use);
      }
    }
  }

  Rule make_rule(const EventType& trigger) {
    Rule rule;
    rule.trigger = &trigger;
    cel::Environment condition = environment(trigger, Place::kCondition);
    cel::Environment proof = environment(trigger, Place::kProof);
    cel::Environment lifetime = environment(trigger, Place::kLifetime);
    for (const Let& let : document_->lets) {
      cel::Type type;
      Ready value = compile(let.value, condition, std::nullopt, &type);
      const std::string name = document_->name + "." + let.name;
      for (auto* environment : {&condition, &proof, &lifetime}) environment->variable(name, type);
      rule.lets.push_back({set_->slots_.root(name), std::move(value)});
    }
    const cel::Type truth = cel::TypeKind::kBool;
    const auto optional = [&](const std::optional<Expression>& expression, cel::Environment& environment) -> std::optional<Ready> {
      if (!expression) return std::nullopt;
      return compile(*expression, environment, truth);
    };
    rule.when = compile(document_->when, condition, truth);
    rule.guard = optional(document_->guard, condition);
    rule.never = optional(document_->never, condition);
    rule.verify = optional(document_->verify, proof);
    rule.stop_on = optional(document_->rollout.stop_on, proof);
    rule.emergency = optional(document_->rollout.emergency, condition);
    if (document_->lifetime) {
      rule.renew_while = optional(document_->lifetime->renew_while, lifetime);
      rule.remove_when = optional(document_->lifetime->remove_when, lifetime);
    }
    for (const Step& step : document_->steps) rule.arguments.push_back(arguments_of(step, condition));
    return rule;
  }

  std::map<std::string, Ready> arguments_of(const Step& step, cel::Environment& condition) {
    std::map<std::string, Ready> out;
    const ActionType* action = find_action_type(step.action);
    if (action == nullptr) return out;
    for (const auto& [name, argument] : step.arguments) {
      const auto* expression = std::get_if<Expression>(&argument);
      if (expression == nullptr) continue;
      const auto declared = std::ranges::find(action->arguments, name, &ActionArgument::name);
      auto type = cel::parse_type(declared->type);
      check(type.has_value(), "a type of the catalogue can be read");
      out.emplace(name, compile(*expression, condition, *std::move(type)));
    }
    return out;
  }

  cel::Environment environment(const EventType& trigger, Place place) {
    const std::string key = std::string(trigger.name) + "/" + std::to_string(static_cast<int>(place));
    auto found = environments_.find(key);
    if (found == environments_.end()) found = environments_.emplace(key, environment_for(trigger, place)).first;
    cel::Environment own = found->second;
    own.container(document_->name);
    return own;
  }

  Ready compile(const Expression& expression, cel::Environment& environment, std::optional<cel::Type> wanted, cel::Type* type = nullptr) {
    cel::CompileOptions options;
    options.wanted = std::move(wanted);
    options.rewrite = [&](cel::Ast& ast, std::vector<cel::Problem>& problems) {
      rewrite_windows(ast, problems, [&](const WindowUse& use) {
        environment.variable(use.name, type_of(use));
        if (std::ranges::find(set_->windows_, use) == set_->windows_.end()) set_->windows_.push_back(use);
      });
    };
    const cel::Compiled compiled = cel::compile(expression.source, environment, set_->slots_, options);
    for (const cel::Problem& problem : compiled.problems) add(*document_, place_in_file(expression, problem.place), problem.text, problem.hint);
    if (type != nullptr) *type = compiled.type;
    return {compiled.program, expression};
  }

  PolicySet* set_ = nullptr;
  const PolicyDocument* document_ = nullptr;
  bool failed_ = false;
  std::vector<Diagnostic> diagnostics_;
  std::map<std::string, cel::Environment> environments_;
};

const PolicyDocument* PolicySet::find(std::string_view name) const {
  const auto found = std::ranges::find(policies_, name, &PolicyDocument::name);
  return found == policies_.end() ? nullptr : &*found;
}

Digest PolicySet::digest() const {
  std::map<std::string, std::string> versions;
  for (const PolicyDocument& document : policies_) versions[document.name] = document.version.hex();
  std::string text;
  for (const auto& [name, version] : versions) text += name + "\n" + version + "\n";
  return sha256(text);
}

BuiltSet build_set(std::vector<PolicyDocument> documents) { return SetBuilder().run(std::move(documents)); }

Judge::Judge(const PolicySet& set, TimeZones& zones) : set_(set), activation_(set.slots()), evaluator_(zones) {}

void Judge::load(const EventType& trigger, const CaseFacts& facts) {
  const cel::Environment environment = environment_for(trigger, Place::kProof);
  const auto typed = [&](const Json& json, std::string_view name) {
    const cel::Type* type = environment.variable_type(name);
    return typed_value(json, type ? *type : cel::Type(), environment, name);
  };
  load(trigger, typed(facts.event, "event"), typed(facts.host, "host"), facts.now);
  for (const auto& [name, json] : facts.more) set(name, typed(json, name));
  cel::MapBuilder flaps(facts.flaps.size());
  for (const auto& [subject, share] : facts.flaps) check(flaps.add(cel::Value::string(subject), cel::Value::number(share)), "subjects of a map differ");
  set("@flaps", std::move(flaps).finish());
  for (const WindowUse& use : set_.windows())
    if (const auto found = facts.windows.find(use.name); found != facts.windows.end()) set(use.name, typed_value(found->second, type_of(use), environment, use.name));
}

void Judge::load(const EventType& trigger, cel::Value event, cel::Value host, Instant now) {
  trigger_ = trigger.name;
  activation_.reset();
  for (const Place place : {Place::kProof, Place::kLifetime})
    for (const Variable& variable : variables(place))
      if (const auto slot = set_.slots().find(variable.name); slot != cel::kNoSlot) activation_.set_unknown(slot);
  if (const auto slot = set_.slots().find("advisory"); slot != cel::kNoSlot) activation_.set_unknown(slot);
  for (const WindowUse& use : set_.windows())
    if (const auto slot = set_.slots().find(use.name); slot != cel::kNoSlot) activation_.set_unknown(slot);
  set("@flaps", cel::MapBuilder().finish());
  set("event", std::move(event));
  set("host", std::move(host));
  const auto ms = now.time_since_epoch().count();
  const auto seconds = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
  set("now", cel::Value::timestamp({seconds, static_cast<std::uint32_t>(ms - seconds * 1000) * 1'000'000}));
}

void Judge::compute_lets(const Rule& rule) {
  for (const Rule::ReadyLet& let : rule.lets)
    if (let.slot != cel::kNoSlot) activation_.replace(let.slot, value(let.value));
}

cel::Value Judge::value(const Ready& expression) {
  if (!expression.program) return cel::Value::error(cel::ErrorCode::kNoValue, "the expression was never compiled");
  return evaluator_.run(*expression.program, activation_, kExpressionCostMax).value;
}

Judged Judge::judge(const Ready& expression) {
  if (!expression.program) return {Truth::kError, "the expression was never compiled", 0};
  const cel::Outcome outcome = evaluator_.run(*expression.program, activation_, kExpressionCostMax);
  const cel::Value& value = outcome.value;
  if (value.is_error()) {
    const cel::ErrorObject& error = value.as_error();
    const cel::Place place = cel::place_of(expression.program->source, error.offset.value_or(0));
    return {Truth::kError, error.text + " (line " + std::to_string(place_in_file(expression.from, place).line) + ")", outcome.cost};
  }
  if (value.is_unknown()) {
    std::vector<std::string> names(value.as_unknown().begin(), value.as_unknown().end());
    return {Truth::kUnknown, "not known: " + join(names, ", "), outcome.cost};
  }
  if (!value.is(cel::Kind::kBool)) return {Truth::kError, "it gives " + shape_of(value) + " and not bool", outcome.cost};
  return {value.as_bool() ? Truth::kTrue : Truth::kFalse, {}, outcome.cost};
}

Match Judge::judge(std::size_t number) {
  const Rule& rule = set_.rules()[number];
  compute_lets(rule);
  Match match{number, judge(rule.when), std::nullopt, std::nullopt};
  if (match.when.truth != Truth::kTrue) return match;
  if (rule.guard) match.guard = judge(*rule.guard);
  if (rule.never) match.never = judge(*rule.never);
  return match;
}

std::vector<Match> Judge::matches() {
  std::vector<Match> out;
  // The index reads only what conditions demand of slots; lets aren't computed yet, and a rule whose demanded value is unknown
  // is never left out.
  set_.candidates(trigger_, activation_, found_);
  for (const cel::RuleId id : found_) {
    Match match = judge(id);
    if (match.when.truth != Truth::kFalse) out.push_back(std::move(match));
  }
  return out;
}

}  // namespace prunella::policy
