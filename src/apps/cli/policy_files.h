#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "decide/policy/policy_set.h"

namespace prunella::cli {

struct PolicyFile {
  std::string path;
  std::string text;
};

/// The files of policies (`*.yaml`, `*.yml`) that the arguments name; directories are gone through, sorted, without files whose
/// name ends in `.test.yaml` and without hidden ones. With `tests` only those that end so.
/// @error kNotFound   a path that isn't there, or nothing that fits in all of them.
/// @error kExhausted  more than kPolicyFilesMax.
Result<std::vector<PolicyFile>> read_policy_files(const std::vector<std::string>& paths, bool tests);

inline constexpr std::size_t kPolicyFilesMax = 10'000;

/// Diagnostics with the file that they belong to.
struct FileDiagnostic {
  std::string path;
  policy::Diagnostic diagnostic;
};
struct LintedFiles {
  std::shared_ptr<const policy::PolicySet> set;
  std::vector<FileDiagnostic> diagnostics;  ///< by file and line
  std::size_t policies = 0;                 ///< that loaded
  bool has_errors() const;
};
/// Loads all policies of the files together, and compiles them.
LintedFiles lint_files(const std::vector<PolicyFile>& files);

}  // namespace prunella::cli
