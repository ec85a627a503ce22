#pragma once

#include <string_view>
#include <vector>

#include "decide/policy/document.h"
#include "decide/policy/yaml.h"

namespace prunella::policy {

struct LoadedDocuments {
  std::vector<PolicyDocument> documents;  ///< those without an error of their own
  std::vector<Diagnostic> diagnostics;    ///< in the order of the text, at most kDiagnosticsMax
};

inline constexpr std::size_t kDiagnosticsMax = 100;  // of one file; a person mends the first and looks again

/// Reads the envelope of each policy of a file strictly: unknown keys (with "did you mean"), missing ones, values that aren't what
/// the key takes, empty selections, autonomy without what it needs. Expressions are not looked into (policy_set.h).
LoadedDocuments load_documents(std::string_view text);

}  // namespace prunella::policy
