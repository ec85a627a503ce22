#include "adapters/executor_host/health.h"

#include <algorithm>

namespace prunella {

Result<bool> HostHealth::healthy(const ToolWatch& watch) {
  if (command_.argv.empty()) return not_found("no health command is configured on this host");
  auto user = account_of(root_, command_.user);
  if (!user) return unavailable("the health command: " + user.error().text());
  ToolCall call;
  call.program = command_.argv.front();
  call.arguments.assign(command_.argv.begin() + 1, command_.argv.end());
  call.script = true;
  call.uid = user->uid;
  call.gid = user->gid;
  call.deadline = std::min(watch.deadline, HostClock().steady() + command_.timeout);
  call.line = watch.output;
  auto code = run_tool(root_, call);
  // A program that is missing is no absent command: what was configured couldn't be asked.
  if (!code) return unavailable("the health command: " + code.error().text());
  return *code == 0;
}

}  // namespace prunella
