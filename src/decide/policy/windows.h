#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/cel/ast.h"
#include "decide/cel/source.h"
#include "decide/cel/type.h"

namespace prunella::policy {

/// A window over past events or measurements that a policy asks for: `count('unit.failed', '10m')`. Its arguments are constants,
/// so that every window is known when policies are loaded, with what it costs.
struct WindowUse {
  enum class Function { kCount, kRate, kSlo } function = Function::kCount;
  std::string of;      ///< kCount, kRate: a kind of event, on this host; kSlo: a measurement's name
  Duration within{};
  std::string name;    ///< as it stands in the tree: the name of the variable that holds its value
  bool operator==(const WindowUse&) const = default;
};
cel::Type type_of(const WindowUse& use);

/// Longest window: history is kept for as long (loop/policy_history).
inline constexpr Duration kWindowMax = std::chrono::hours(24);

/// Turns calls of count, rate and slo into variables, told to `found`, and flap(x) into a look into the table of flap shares.
void rewrite_windows(cel::Ast& ast, std::vector<cel::Problem>& problems, const std::function<void(const WindowUse&)>& found);

}  // namespace prunella::policy
