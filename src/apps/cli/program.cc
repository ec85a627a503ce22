#include "apps/cli/program.h"

#include <ostream>

#include "apps/cli/watch.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

/// "__values KIND": one value a line, for completions. Says nothing when something is wrong: a shell is waiting.
ExitCode run_values(Environment& environment, const std::vector<std::string>& words) {
  constexpr Duration kPatience = std::chrono::seconds(2);
  Invocation invocation;
  invocation.options["timeout"] = {to_text(kPatience)};
  invocation.options["quiet"] = {""};
  Session session(environment, invocation);
  std::string kind = words.size() > 1 ? words[1] : "";
  std::vector<std::string> values;
  auto collect = [&]<class T>(const char* path, auto id, const T*) {
    auto page = session.get<Page<T>>(target(path, {{"limit", "100"}}));
    if (!page) return;
    for (const T& item : page->items) values.push_back(id(item));
  };
  if (kind == "host") collect("/v1/hosts", [](const HostView& host) { return host.id.text(); }, static_cast<const HostView*>(nullptr));
  if (kind == "plan") collect("/v1/plans", [](const PlanSummary& plan) { return plan.id.text(); }, static_cast<const PlanSummary*>(nullptr));
  if (kind == "rollout") collect("/v1/rollouts", [](const RolloutView& view) { return view.rollout.id.text(); }, static_cast<const RolloutView*>(nullptr));
  if (kind == "run") collect("/v1/runs", [](const RunView& run) { return run.id.text(); }, static_cast<const RunView*>(nullptr));
  if (kind == "context")
    if (auto contexts = session.config().contexts())
      for (const auto& [name, unused] : contexts->contexts) values.push_back(name);
  for (const std::string& value : values)
    if (check_name("a value", value)) session.print(value + "\n");
  return ExitCode::kOk;
}

}  // namespace

ExitCode run_program(Environment& environment, const std::vector<std::string>& words) {
  if (!words.empty() && words[0] == "__values") return run_values(environment, words);
  auto parsed = parse(words);
  if (!parsed) {
    environment.err << "prunella: " << parsed.error().text() << "\n" << std::flush;
    return ExitCode::kUsage;
  }
  switch (parsed->ask) {
    case Ask::kVersion: environment.out << "prunella " PRUNELLA_VERSION "\n" << std::flush; return ExitCode::kOk;
    case Ask::kHelp: {
      auto text = help_text(parsed->topic);
      if (!text) {
        environment.err << "prunella: " << text.error().text() << "\n" << std::flush;
        return ExitCode::kUsage;
      }
      environment.out << *text << std::flush;
      return ExitCode::kOk;
    }
    case Ask::kRun: break;
  }
  Session session(environment, parsed->invocation);
  ExitCode code = parsed->invocation.has("watch") ? watch_command(session, parsed->invocation) : parsed->invocation.command->run(session, parsed->invocation);
  if (code == ExitCode::kOk && !environment.out) return session.fail(ExitCode::kFailed, "standard output can't be written");
  return code;
}

}  // namespace prunella::cli
