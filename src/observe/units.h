#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/host.h"

/// systemd's units as values.
namespace prunella {

/// 10,000: the busiest hosts have some 3,000 units.
inline constexpr std::size_t kUnitsMax = 10'000;

/// Whether a unit of this name is a fact of a host: services, sockets, timers and mounts.
bool is_sensed_unit(std::string_view name);

/// What `systemctl show --property=Id,LoadState,...` writes for one unit or several, empty lines between them. Units that are no
/// facts are left out; sorted by name.
/// @error kInvalidInput  a line that is no KEY=value, a number or InvocationID that is none: quoted, with its line.
/// @error kExhausted     more than kUnitsMax.
Result<std::vector<Unit>> parse_systemctl_show(std::string_view text);

/// 32 hexadecimal digits, as systemd writes an InvocationID; empty for a unit that never ran (all zeros or no bytes).
std::string invocation_text(const std::vector<unsigned char>& bytes);

}  // namespace prunella
