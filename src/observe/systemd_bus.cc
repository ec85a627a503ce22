#include "observe/systemd_bus.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"

namespace prunella {

Result<std::vector<ListedUnit>> parse_unit_list(const DbusMessage& answer) {
  if (answer.signature != "a(ssssssouso)") return invalid_input("systemd's list of units is of type " + quoted(answer.signature) + ", expected a(ssssssouso)");
  DbusReader body(answer.body);
  DbusReader rows(body.array(8));
  std::vector<ListedUnit> units;
  while (rows.ok() && !rows.at_end()) {
    if (units.size() == kUnitStatesMax) return exhausted("more than " + std::to_string(kUnitStatesMax) + " units");
    rows.align(8);
    ListedUnit unit;
    unit.state.unit.name = rows.text();
    rows.text();  // its description
    unit.state.unit.load = rows.text();
    unit.state.unit.active = rows.text();
    unit.state.unit.sub = rows.text();
    rows.text();  // the unit that it follows
    unit.path = rows.text();
    rows.u32(), rows.text(), rows.text();  // its job: id, type, path
    units.push_back(std::move(unit));
  }
  if (!body.ok() || !rows.ok()) return invalid_input("systemd's list of units can't be read");
  return units;
}

Status read_unit_property(UnitProperty property, const DbusMessage& answer, ListedUnit& unit) {
  DbusReader body(answer.body);
  switch (property) {
    case UnitProperty::kInvocation: {
      if (!body.variant("ay")) break;
      BytesView id = as_bytes(body.array(1));
      // A unit that was never started has none, which systemd says by zeros.
      if (std::ranges::any_of(id, [](std::uint8_t byte) { return byte != 0; })) unit.state.unit.invocation = to_hex(id);
      break;
    }
    case UnitProperty::kResult:
      if (body.variant("s"))
        if (std::string_view result = body.text(); !result.empty()) unit.state.unit.result = result;
      break;
    case UnitProperty::kTriggeredBy: {
      if (!body.variant("as")) break;
      DbusReader names(body.array(4));
      while (names.ok() && !names.at_end()) unit.triggered_by.emplace(names.text());
      if (!names.ok()) return invalid_input("the list of what triggers " + unit.state.unit.name + " can't be read");
      break;
    }
    case UnitProperty::kRestarts:
      if (body.variant("u")) unit.state.unit.restarts = body.u32();
      break;
    case UnitProperty::kType:
      if (body.variant("s")) unit.state.on_demand = body.text() == "dbus";  // polkit, hostnamed and their kind end when idle
      break;
  }
  if (!body.ok()) return invalid_input("systemd's answer about " + unit.state.unit.name + " can't be read");
  return {};
}

std::optional<std::string> job_result(const DbusMessage& message, std::string_view job) {
  if (message.kind != DbusKind::kSignal || message.member != "JobRemoved" || message.signature != "uoss") return std::nullopt;
  DbusReader body(message.body);
  body.u32();
  bool ours = body.text() == job;
  body.text();
  std::string result(body.text());
  return ours && body.ok() ? std::optional(std::move(result)) : std::nullopt;
}

std::vector<UnitState> states_of(std::vector<ListedUnit> units) {
  std::set<std::string, std::less<>> active;
  for (const ListedUnit& unit : units)
    if (unit.state.unit.active == "active") active.insert(unit.state.unit.name);
  std::vector<UnitState> states;
  for (ListedUnit& unit : units) {
    if (std::ranges::any_of(unit.triggered_by, [&](const std::string& name) { return active.contains(name); })) unit.state.on_demand = true;
    states.push_back(std::move(unit.state));
  }
  std::ranges::sort(states, {}, [](const UnitState& state) -> const std::string& { return state.unit.name; });
  return states;
}

}  // namespace prunella
