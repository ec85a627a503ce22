#include "apps/cli/policy_files.h"

#include <algorithm>
#include <filesystem>

#include "apps/cli/config.h"
#include "base/text.h"
#include "decide/policy/loader.h"

namespace prunella::cli {

namespace {

bool fits(const std::filesystem::path& path, bool tests) {
  const std::string name = path.filename().string();
  if (name.starts_with('.')) return false;
  const bool is_test = name.ends_with(".test.yaml") || name.ends_with(".test.yml");
  return (name.ends_with(".yaml") || name.ends_with(".yml")) && is_test == tests;
}

}  // namespace

Result<std::vector<PolicyFile>> read_policy_files(const std::vector<std::string>& paths, bool tests) {
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) return not_found("there is no file or directory " + prunella::quoted(path));
    if (!std::filesystem::is_directory(status)) {
      // A file that was named is one of policies whatever its name is, unless that says that it holds tests.
      if (tests ? fits(path, true) : !fits(path, true)) found.push_back(path);
      continue;
    }
    for (std::filesystem::recursive_directory_iterator at(path, std::filesystem::directory_options::skip_permission_denied, error), end; !error && at != end; at.increment(error)) {
      if (at->is_directory(error) && at->path().filename().string().starts_with('.')) {
        at.disable_recursion_pending();
      } else if (at->is_regular_file(error) && fits(at->path(), tests)) {
        found.push_back(at->path().string());
      }
      if (found.size() > kPolicyFilesMax) return exhausted("more than " + std::to_string(kPolicyFilesMax) + " files of policies");
    }
    if (error) return unavailable("reading the directory " + prunella::quoted(path) + ": " + error.message());
  }
  std::ranges::sort(found);
  const auto doubles = std::ranges::unique(found);
  found.erase(doubles.begin(), doubles.end());
  if (found.empty()) return not_found(std::string("no ") + (tests ? "tests (*.test.yaml)" : "policies (*.yaml)") + " in " + join(paths, ", "));
  std::vector<PolicyFile> files;
  for (std::string& path : found) {
    auto text = read_file(path, 1 << 20);
    if (!text) return std::move(text).error();
    files.push_back({std::move(path), *std::move(text)});
  }
  return files;
}

bool LintedFiles::has_errors() const {
  return std::ranges::any_of(diagnostics, [](const FileDiagnostic& one) { return one.diagnostic.weight == policy::Weight::kError; });
}

LintedFiles lint_files(const std::vector<PolicyFile>& files) {
  LintedFiles out;
  std::vector<policy::PolicyDocument> documents;
  std::map<std::string, std::string> path_of;  // policy -> file
  for (const PolicyFile& file : files) {
    policy::LoadedDocuments loaded = policy::load_documents(file.text);
    for (policy::Diagnostic& diagnostic : loaded.diagnostics) out.diagnostics.push_back({file.path, std::move(diagnostic)});
    for (policy::PolicyDocument& document : loaded.documents) {
      if (const auto [first, fresh] = path_of.emplace(document.name, file.path); !fresh) {
        out.diagnostics.push_back({file.path, {policy::Weight::kError, document.mark.line, document.mark.column, document.name,
                                               "a second policy has the name " + prunella::quoted(document.name), "the first stands in " + first->second}});
        continue;
      }
      documents.push_back(std::move(document));
    }
  }
  policy::BuiltSet built = policy::build_set(std::move(documents));
  for (policy::Diagnostic& diagnostic : built.diagnostics) {
    std::string path = path_of[diagnostic.policy];
    out.diagnostics.push_back({std::move(path), std::move(diagnostic)});
  }
  std::ranges::stable_sort(out.diagnostics, [](const FileDiagnostic& a, const FileDiagnostic& b) {
    return std::tie(a.path, a.diagnostic.line, a.diagnostic.column) < std::tie(b.path, b.diagnostic.line, b.diagnostic.column);
  });
  out.policies = built.set->policies().size();
  out.set = std::move(built.set);
  return out;
}

}  // namespace prunella::cli
