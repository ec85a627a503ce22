#pragma once

#include <optional>
#include <string_view>

namespace prunella {

/// Why a unit is never restarted by Prunella, whoever asks: a restart would cut people or machines off, or end Prunella itself.
/// It is in the model since the finder says it, the planner plans after it and the gate insists on it.
/// Source: PATCHING.md section 5.2, and needrestart's override_rc (needrestart.conf).
/// @return nothing for a unit that may be restarted; otherwise the reason, fit for the end of a sentence.
std::optional<std::string_view> never_restarted(std::string_view unit);

}  // namespace prunella
