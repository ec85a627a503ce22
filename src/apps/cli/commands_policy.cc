// policy lint, test, explain, schema, vocabulary: policy documents on this machine; no server is asked.
#include <algorithm>
#include <ostream>

#include "adapters/linux/zone_files.h"
#include "apps/cli/config.h"
#include "apps/cli/handlers.h"
#include "apps/cli/policy_files.h"
#include "apps/cli/session.h"
#include "apps/cli/table.h"
#include "base/display.h"
#include "base/text.h"
#include "decide/policy/cases.h"
#include "decide/policy/explain.h"
#include "decide/policy/keys.h"

namespace prunella::cli {

namespace {

Json diagnostics_json(const std::vector<FileDiagnostic>& diagnostics) {
  Json::Array items;
  for (const FileDiagnostic& one : diagnostics) {
    Json item = to_json(one.diagnostic);
    item["file"] = Json(one.path);
    items.push_back(std::move(item));
  }
  return Json(std::move(items));
}

void show(Session& session, const std::vector<FileDiagnostic>& diagnostics, const std::vector<PolicyFile>& files) {
  for (const FileDiagnostic& one : diagnostics) {
    const auto file = std::ranges::find(files, one.path, &PolicyFile::path);
    const std::string text = policy::render(one.diagnostic, one.path, file == files.end() ? "" : file->text);
    for (const std::string_view line : split(std::string_view(text).substr(0, text.size() - 1), '\n')) session.print(shown(line) + "\n");
  }
}

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::size_t errors_in(const std::vector<FileDiagnostic>& diagnostics) {
  return static_cast<std::size_t>(std::ranges::count_if(diagnostics, [](const FileDiagnostic& one) { return one.diagnostic.weight == policy::Weight::kError; }));
}

}  // namespace

ExitCode run_policy_lint(Session& session, const Invocation& invocation) {
  auto files = read_policy_files(invocation.arguments, false);
  if (!files) return session.fail(files.error());
  const LintedFiles linted = lint_files(*files);
  const std::size_t errors = errors_in(linted.diagnostics);
  const std::size_t warnings = linted.diagnostics.size() - errors;
  const ExitCode code = errors > 0 || (invocation.has("strict") && warnings > 0) ? ExitCode::kFailed : ExitCode::kOk;
  Json::Array policies;
  for (const auto& document : linted.set->policies())
    policies.emplace_back(Json::Object{{"policy", Json(document.name)}, {"version", Json(document.version.hex())}, {"max", Json(to_text(document.autonomy.max))}});
  if (session.print_json(Json(Json::Object{{"policies", Json(std::move(policies))},
                                           {"errors", Json(errors)},
                                           {"warnings", Json(warnings)},
                                           {"diagnostics", diagnostics_json(linted.diagnostics)}})))
    return code;
  show(session, linted.diagnostics, *files);
  session.print(counted(linted.policies, "policy", "policies") + " loaded from " + counted(files->size(), "file", "files") + ", " + counted(errors, "error", "errors") + ", " + counted(warnings, "warning", "warnings") + "\n");
  if (code == ExitCode::kOk) session.next("prunella policy test " + join(invocation.arguments, " "));
  return code;
}

ExitCode run_policy_test(Session& session, const Invocation& invocation) {
  auto files = read_policy_files(invocation.arguments, false);
  if (!files) return session.fail(files.error());
  auto test_files = read_policy_files(invocation.arguments, true);
  if (!test_files) return session.fail(test_files.error());
  LintedFiles linted = lint_files(*files);
  if (linted.has_errors()) {
    show(session, linted.diagnostics, *files);
    return session.fail(ExitCode::kFailed, "the policies have errors, and nothing was tested");
  }
  ZoneFiles zones;
  std::size_t passed = 0, failed = 0;
  Json::Array results;
  std::vector<std::string> tested;
  std::string out;
  std::vector<FileDiagnostic> problems;
  for (const PolicyFile& file : *test_files) {
    policy::LoadedTests loaded = policy::load_tests(file.text);
    for (policy::Diagnostic& diagnostic : loaded.diagnostics) problems.push_back({file.path, std::move(diagnostic)});
    for (const policy::PolicyTest& test : loaded.tests) {
      const policy::TestResult result = policy::run_test(*linted.set, test, zones);
      (result.passed ? passed : failed) += 1;
      tested.push_back(test.policy);
      results.emplace_back(Json::Object{{"file", Json(file.path)},
                                        {"line", Json(test.mark.line)},
                                        {"policy", Json(test.policy)},
                                        {"name", Json(test.name)},
                                        {"passed", Json(result.passed)},
                                        {"got", Json(result.got)}});
      if (!result.passed) out += "FAIL  " + shown(file.path) + ":" + std::to_string(test.mark.line) + "  " + shown(test.policy) + ": " + shown(test.name) + "\n      " + shown(result.got) + "\n";
    }
  }
  std::vector<std::string> untested;
  for (const auto& document : linted.set->policies())
    if (std::ranges::find(tested, document.name) == tested.end()) untested.push_back(document.name);
  const bool good = failed == 0 && errors_in(problems) == 0 && passed > 0;
  const ExitCode code = good ? ExitCode::kOk : ExitCode::kFailed;
  Json::Array names;
  for (const std::string& name : untested) names.emplace_back(name);
  if (session.print_json(Json(Json::Object{{"passed", Json(passed)}, {"failed", Json(failed)}, {"results", Json(std::move(results))}, {"untested", Json(std::move(names))}, {"diagnostics", diagnostics_json(problems)}})))
    return code;
  show(session, problems, *test_files);
  session.print(out);
  if (!untested.empty()) session.print("without a test: " + join(untested, ", ") + "\n");
  session.print(std::to_string(passed) + " passed, " + std::to_string(failed) + " failed\n");
  return code;
}

ExitCode run_policy_explain(Session& session, const Invocation& invocation) {
  const std::string& event_path = invocation.arguments[0];
  const std::vector<std::string> paths(invocation.arguments.begin() + 1, invocation.arguments.end());
  auto text = read_file(event_path, 16 << 20);
  if (!text) return session.fail(text.error());
  auto files = read_policy_files(paths, false);
  if (!files) return session.fail(files.error());
  const LintedFiles linted = lint_files(*files);
  if (linted.has_errors()) {
    show(session, linted.diagnostics, *files);
    return session.fail(ExitCode::kFailed, "the policies have errors, and nothing can be explained");
  }
  // A host with all its packages is longer than any policy.
  policy::YamlDocuments yaml = policy::parse_yaml(*text, {.bytes_max = 16 << 20, .nodes_max = 500'000});
  std::vector<FileDiagnostic> problems;
  for (policy::Diagnostic& problem : yaml.problems) problems.push_back({event_path, std::move(problem)});
  if (problems.empty() && yaml.documents.size() != 1)
    problems.push_back({event_path, {policy::Weight::kError, 0, 0, {}, "the file has " + std::to_string(yaml.documents.size()) + " documents", "write one, with the keys event and host"}});
  policy::CaseFacts facts;
  if (problems.empty()) {
    std::vector<policy::Diagnostic> diagnostics;
    facts = policy::read_facts(yaml.documents[0], diagnostics);
    for (policy::Diagnostic& diagnostic : diagnostics) problems.push_back({event_path, std::move(diagnostic)});
  }
  if (!problems.empty()) {
    if (!session.print_json(Json(Json::Object{{"diagnostics", diagnostics_json(problems)}}))) show(session, problems, {{event_path, *text}});
    return ExitCode::kUsage;
  }
  const std::string type = *facts.event.find("type")->as_string();
  const auto wanted = invocation.option("policy");
  if (wanted && linted.set->find(*wanted) == nullptr) return session.fail(ExitCode::kNothing, "there is no policy " + prunella::quoted(*wanted));
  ZoneFiles zones;
  Json::Array results;
  std::string out;
  for (std::size_t number = 0; number < linted.set->rules().size(); ++number) {
    const policy::Rule& rule = linted.set->rules()[number];
    if (rule.trigger->name != type || (wanted && linted.set->policies()[rule.policy].name != *wanted)) continue;
    const policy::ExplainedRule explained = policy::explain(*linted.set, number, facts, zones);
    Json expressions{Json::Object{}};
    out += explained.policy + ": " + std::string(to_text(explained.when.truth)) + (explained.when.text.empty() ? "" : " (" + shown(explained.when.text) + ")") + "\n";
    for (const policy::ExplainedExpression& expression : explained.expressions) {
      Json::Array parts;
      out += "  " + expression.key + "\n";
      for (const policy::ExplainedPart& part : expression.parts) {
        parts.push_back(to_json(part));
        out += std::string(4 + 2 * std::size_t{part.depth}, ' ') + shown(part.source) + (part.value.empty() ? "" : "  =  " + shown(part.value)) + "\n";
      }
      expressions[expression.key] = Json(std::move(parts));
    }
    results.emplace_back(Json::Object{{"policy", Json(explained.policy)}, {"result", Json(to_text(explained.when.truth))}, {"text", Json(explained.when.text)}, {"expressions", std::move(expressions)}});
  }
  const ExitCode code = results.empty() ? ExitCode::kNothing : ExitCode::kOk;
  if (session.print_json(Json(std::move(results)))) return code;
  if (code == ExitCode::kNothing) return session.fail(code, "no policy is triggered by " + type);
  session.print(out);
  return code;
}

ExitCode run_policy_schema(Session& session, const Invocation&) {
  const Json schema = policy::json_schema();
  if (!session.print_json(schema)) session.print(to_pretty(schema) + "\n");
  return ExitCode::kOk;
}

ExitCode run_policy_vocabulary(Session& session, const Invocation&) {
  const auto fields_json = [](const std::vector<policy::Field>& fields) {
    Json::Array items;
    for (const auto& field : fields) items.emplace_back(Json::Object{{"name", Json(field.name)}, {"type", Json(field.type)}, {"meaning", Json(field.meaning)}});
    return Json(std::move(items));
  };
  Json::Array events, objects, actions;
  for (const auto& type : policy::event_types())
    events.emplace_back(Json::Object{{"name", Json(type.name)}, {"meaning", Json(type.meaning)}, {"sensed", Json(type.sensed)}, {"subject", Json(type.subject)}, {"fields", fields_json(type.fields)}});
  for (const auto& type : policy::object_types()) objects.emplace_back(Json::Object{{"name", Json(type.name)}, {"fields", fields_json(type.fields)}});
  for (const auto& type : policy::action_types()) {
    Json::Array arguments;
    for (const auto& argument : type.arguments)
      arguments.emplace_back(Json::Object{{"name", Json(argument.name)}, {"required", Json(argument.required)}, {"meaning", Json(argument.meaning)}});
    actions.emplace_back(Json::Object{{"name", Json(type.name)}, {"meaning", Json(type.meaning)}, {"carried_out", Json(type.kind.has_value())}, {"undo", Json(to_text(type.undo))}, {"blast", Json(to_text(type.blast))}, {"arguments", Json(std::move(arguments))}});
  }
  if (session.print_json(Json(Json::Object{{"events", Json(std::move(events))}, {"common", fields_json(policy::common_event_fields())}, {"objects", Json(std::move(objects))}, {"actions", Json(std::move(actions))}})))
    return ExitCode::kOk;
  std::string out = "Events (trigger)\n";
  const auto field_lines = [&](const std::vector<policy::Field>& fields) {
    for (const auto& field : fields) out += "      " + std::string(field.name) + ": " + std::string(field.type) + "  " + std::string(field.meaning) + "\n";
  };
  for (const auto& type : policy::event_types()) {
    out += "  " + std::string(type.name) + "  " + std::string(type.meaning) + (type.sensed ? "" : " No sensor of this version sends it.") + "\n";
    field_lines(type.fields);
  }
  out += "  every event\n";
  field_lines(policy::common_event_fields());
  out += "\nObjects\n";
  for (const auto& type : policy::object_types()) {
    out += "  " + std::string(type.name) + "\n";
    field_lines(type.fields);
  }
  out += "\nActions (do)\n";
  for (const auto& type : policy::action_types()) {
    out += "  " + std::string(type.name) + "  " + std::string(type.meaning) + " Undo: " + std::string(to_text(type.undo)) + "." + (type.kind || type.blast == BlastClass::kObserve ? "" : " Not carried out by this version.") + "\n";
    for (const auto& argument : type.arguments) out += "      " + std::string(argument.name) + (argument.required ? " (required)" : "") + "  " + std::string(argument.meaning) + "\n";
  }
  session.print(out);
  return ExitCode::kOk;
}

}  // namespace prunella::cli
