#include "adapters/executor_host/units.h"

#include <algorithm>
#include <map>
#include <set>

#include "model/plan.h"

namespace prunella {

namespace {

UnitState unit_of(const std::map<std::string_view, std::string_view>& block, std::vector<std::string_view>& triggered_by) {
  auto value = [&](std::string_view key) {
    auto it = block.find(key);
    return it == block.end() ? std::string_view() : it->second;
  };
  UnitState state;
  state.unit.name = value("Id");
  state.unit.load = value("LoadState");
  state.unit.active = value("ActiveState");
  state.unit.sub = value("SubState");
  if (!value("Result").empty()) state.unit.result = value("Result");
  if (auto restarts = parse_uint(value("NRestarts"))) state.unit.restarts = static_cast<std::uint32_t>(*restarts);
  if (!value("InvocationID").empty()) state.unit.invocation = value("InvocationID");
  state.on_demand = value("Type") == "dbus";  // polkit, hostnamed and their kind end when idle
  triggered_by = split_blanks(value("TriggeredBy"));
  return state;
}

}  // namespace

Result<std::vector<UnitState>> parse_unit_states(std::string_view text) {
  std::vector<UnitState> units;
  std::vector<std::vector<std::string_view>> triggers;
  std::map<std::string_view, std::string_view> block;
  auto finish = [&]() {
    if (block.contains("Id")) units.push_back(unit_of(block, triggers.emplace_back()));
    block.clear();
  };
  for (std::string_view line : split(text, '\n')) {
    if (line.empty()) {
      finish();
      if (units.size() > kUnitStatesMax) return exhausted("more than " + std::to_string(kUnitStatesMax) + " units");
      continue;
    }
    std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return invalid_input("systemctl wrote " + quoted(line) + ", expected Name=value");
    block[line.substr(0, equals)] = line.substr(equals + 1);
  }
  finish();
  // A socket, timer or path that is itself active brings its service back when it's needed.
  std::set<std::string_view> active;
  for (const UnitState& state : units)
    if (state.unit.active == "active") active.insert(state.unit.name);
  for (std::size_t i = 0; i < units.size(); ++i)
    units[i].on_demand = units[i].on_demand || std::ranges::any_of(triggers[i], [&](std::string_view name) { return active.contains(name); });
  std::ranges::sort(units, {}, [](const UnitState& state) -> const std::string& { return state.unit.name; });
  return units;
}

Result<std::vector<UnitState>> SystemctlTool::list() {
  std::string text;
  ToolCall call;
  call.program = "/usr/bin/systemctl";
  call.arguments = {"show", "--no-pager", "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,Type,TriggeredBy", "--",
                    "*.service", "*.socket", "*.timer", "*.path"};
  call.deadline = HostClock().steady() + std::chrono::seconds(30);
  constexpr std::size_t kBytesMax = 16u << 20;
  call.raw = [&](BytesView bytes) -> Status {
    if (text.size() + bytes.size() > kBytesMax) return exhausted("systemctl wrote more than " + std::to_string(kBytesMax) + " bytes");
    text += as_text(bytes);
    return {};
  };
  std::string said;
  call.line = [&](std::string line) { said = std::move(line); };
  auto code = run_tool(root_, call);
  if (!code) return std::move(code).error();
  if (*code != 0) return unavailable("systemctl show ended with " + std::to_string(*code) + (said.empty() ? "" : ": " + said));
  return parse_unit_states(text);
}

Status SystemctlTool::restart(const std::string& unit, const ToolWatch& watch) {
  if (auto named = check_unit_name(unit); !named) return named;
  ToolCall call;
  call.program = "/usr/bin/systemctl";
  call.arguments = {"restart", "--no-pager", "--no-ask-password", "--", unit};
  call.deadline = watch.deadline;
  std::string said;
  call.line = [&](std::string line) {
    said = line;
    if (watch.output) watch.output(std::move(line));
  };
  auto code = run_tool(root_, call);
  if (!code) return std::move(code).error();
  if (*code != 0) return unavailable("systemctl ended with " + std::to_string(*code) + (said.empty() ? "" : ": " + said));
  return {};
}

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
