// cel eval, cel conformance: expressions on this machine; no server is asked.
#include <istream>
#include <ostream>

#include "adapters/linux/zone_files.h"
#include "apps/cli/handlers.h"
#include "apps/cli/session.h"
#include "base/display.h"
#include "base/text.h"
#include "decide/cel/conformance.h"
#include "decide/cel/evaluator.h"
#include "decide/cel/expression.h"
#include "decide/cel/value_text.h"

namespace prunella::cli {

namespace {

constexpr std::size_t kBindBytesMax = 16 << 20;
constexpr std::size_t kShownMax = 8'000;  // of a value on a terminal; --json has all of it

Result<std::string> read_input(Session& session, const std::string& path) {
  if (path != "-") return read_file(path, kBindBytesMax);
  std::string text;
  char buffer[4096];
  std::istream& in = session.environment().in;
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kBindBytesMax) return exhausted("standard input has more than " + bytes_text(kBindBytesMax));
  }
  return text;
}

/// The variables of --bind.
Result<Json::Object> read_bindings(Session& session, const Invocation& invocation) {
  const auto path = invocation.option("bind");
  if (!path) return Json::Object{};
  auto text = read_input(session, *path);
  if (!text) return std::move(text).error();
  auto json = parse_json(*text, {kBindBytesMax, 64});
  if (!json) return std::move(json).error().during("reading the variables in " + *path);
  if (json->as_object() == nullptr)
    return invalid_input(*path + " must hold an object of variables, and has " + std::string(json->type_name()));
  return *json->as_object();
}

/// The slot of a variable or of a path below one that the program reads.
cel::SlotId slot_of_path(const cel::Slots& slots, std::string_view path) {
  for (cel::SlotId slot = 0; slot < slots.size(); ++slot) {
    if (slots.at(slot).path == path) return slot;
  }
  return cel::kNoSlot;
}

Json problems_json(const std::vector<cel::Problem>& problems) {
  Json::Array items;
  for (const cel::Problem& problem : problems) {
    Json item(
        Json::Object{{"line", Json(problem.place.line)}, {"column", Json(problem.place.column)}, {"text", Json(problem.text)}});
    if (!problem.hint.empty()) item["hint"] = Json(problem.hint);
    items.push_back(std::move(item));
  }
  return Json(Json::Object{{"problems", Json(std::move(items))}});
}

/// An error of the run as a problem with its place.
cel::Problem problem_of(const cel::ErrorObject& error, std::string_view source) {
  const std::size_t offset = error.offset.value_or(0);
  return {offset, cel::place_of(source, offset), error.text, ""};
}

ExitCode show_problems(Session& session, ExitCode code, const std::vector<cel::Problem>& problems, std::string_view source) {
  if (session.print_json(problems_json(problems))) return code;
  for (const cel::Problem& problem : problems) {
    const std::string text = cel::render(problem, source);
    const auto lines = split(text, '\n');
    session.fail(code, lines[0]);
    for (std::size_t i = 1; i < lines.size(); ++i) session.environment().err << shown(lines[i]) << "\n";
  }
  return code;
}

ExitCode show_outcome(Session& session, const cel::Outcome& outcome, std::string_view source) {
  if (outcome.value.is_error())
    return show_problems(session, ExitCode::kFailed, {problem_of(outcome.value.as_error(), source)}, source);
  if (outcome.value.is_unknown()) {
    Json::Array names;
    for (const std::string& name : outcome.value.as_unknown()) names.emplace_back(name);
    if (!session.print_json(Json(Json::Object{{"unknown", Json(std::move(names))}, {"cost", Json(outcome.cost)}})))
      session.print(display_text(cel::to_text(outcome.value), kShownMax) + "\n");
    return ExitCode::kNothing;
  }
  if (session.form() == Form::kJson || session.form() == Form::kJsonl) {
    auto json = cel::to_json(outcome.value);
    if (!json) return session.fail(json.error());
    session.print_json(Json(Json::Object{
        {"value", *std::move(json)}, {"type", Json(cel::type_name(outcome.value.kind()))}, {"cost", Json(outcome.cost)}}));
    return ExitCode::kOk;
  }
  session.print(display_text(cel::to_text(outcome.value), kShownMax) + "\n");
  return ExitCode::kOk;
}

}  // namespace

ExitCode run_cel_eval(Session& session, const Invocation& invocation) {
  const std::string& source = invocation.arguments[0];
  auto bindings = read_bindings(session, invocation);
  if (!bindings) return session.fail(bindings.error());
  cel::Environment environment;
  for (const auto& [name, value] : *bindings) environment.variable(name);
  for (const std::string& path : invocation.all("unknown")) {
    const std::string root = path.substr(0, path.find('.'));
    if (environment.variable_type(root) == nullptr) environment.variable(root);
  }
  cel::Slots slots;
  const cel::Compiled compiled = cel::compile(source, environment, slots);
  if (!compiled.program) return show_problems(session, ExitCode::kUsage, compiled.problems, source);
  cel::Activation activation(slots);
  for (const auto& [name, value] : *bindings) activation.set(name, cel::from_json(value));
  for (const std::string& path : invocation.all("unknown")) {
    const cel::SlotId slot = slot_of_path(slots, path);
    if (slot != cel::kNoSlot) activation.set_unknown(slot);
  }
  ZoneFiles zones;
  return show_outcome(session, cel::Evaluator(zones).run(*compiled.program, activation), source);
}

ExitCode run_cel_conformance(Session& session, const Invocation& invocation) {
  auto text = read_file(invocation.arguments[0]);
  if (!text) return session.fail(text.error());
  ZoneFiles zones;
  auto report = cel::run_conformance(*text, zones);
  if (!report) return session.fail(std::move(report).error().during("reading the cases of " + invocation.arguments[0]));
  const auto notes_json = [](const std::vector<cel::ConformanceNote>& notes) {
    Json::Array items;
    for (const auto& note : notes) {
      items.emplace_back(Json::Object{{"file", Json(note.file)},
                                      {"name", Json(note.name)},
                                      {"expression", Json(note.expression)},
                                      {"reason", Json(note.reason)}});
    }
    return Json(std::move(items));
  };
  const bool good = report->failed.empty();
  if (session.print_json(Json(Json::Object{
          {"passed", Json(report->passed)}, {"failed", notes_json(report->failed)}, {"skipped", notes_json(report->skipped)}}))) {
    return good ? ExitCode::kOk : ExitCode::kFailed;
  }
  const auto line = [](std::string_view what, const cel::ConformanceNote& note) {
    return std::string(what) + "  " + shown(note.file) + "  " + shown(note.name) + ": " + shown(cut_text(note.expression, 200)) +
           "\n      " + shown(note.reason) + "\n";
  };
  std::string out;
  for (const auto& note : report->skipped) out += line("skip", note);
  for (const auto& note : report->failed) out += line("FAIL", note);
  out += std::to_string(report->passed) + " passed, " + std::to_string(report->failed.size()) + " failed, " +
         std::to_string(report->skipped.size()) + " skipped\n";
  session.print(out);
  return good ? ExitCode::kOk : ExitCode::kFailed;
}

}  // namespace prunella::cli
