#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/host_state.h"
#include "observe/dbus_message.h"

/// What systemd says over D-Bus, read. Source: org.freedesktop.systemd1(5).
namespace prunella {

inline constexpr std::size_t kUnitStatesMax = 20'000;  // a container host with a scope and a mount each for 5,000 containers

/// A unit as the list names it; its details are asked for by `path`.
struct ListedUnit {
  UnitState state;
  std::string path;
  std::set<std::string, std::less<>> triggered_by;  ///< units that start it
};

/// The answer to ListUnitsByPatterns, in its order. @error kInvalidInput, kExhausted (more than kUnitStatesMax)
Result<std::vector<ListedUnit>> parse_unit_list(const DbusMessage& answer);

/// What is asked of a unit beyond its state.
enum class UnitProperty { kInvocation, kResult, kTriggeredBy, kRestarts, kType };
/// The answer to Properties.Get, put into `unit`. @error kInvalidInput  it has another type than in systemd, or can't be read.
Status read_unit_property(UnitProperty property, const DbusMessage& answer, ListedUnit& unit);

/// The result that a JobRemoved signal gives of this job ("done", "failed", ...); nothing when the message is another one.
std::optional<std::string> job_result(const DbusMessage& message, std::string_view job);

/// A socket, timer or path that is itself active brings its service back when it's needed: the units that are in `units` and have
/// such a one are on demand. What remains, sorted by name.
std::vector<UnitState> states_of(std::vector<ListedUnit> units);

}  // namespace prunella
