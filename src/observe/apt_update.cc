#include "observe/apt_update.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/text.h"
#include "observe/apt_cache.h"
#include "observe/stanza.h"

namespace prunella {

namespace {

inline constexpr std::size_t kUpdateOutputMax = 4u << 20;
// 2,000: more problems than repositories can be told apart by nobody.
inline constexpr std::size_t kProblemsMax = 2000;

std::string normal_uri(std::string_view uri) {
  std::string bare = without_credentials(uri);
  while (bare.ends_with('/')) bare.pop_back();
  return bare;
}

std::optional<std::string> text_or_none(const std::vector<StanzaField>& fields, std::string_view name) {
  std::string_view value = field_value(fields, name);
  if (value.empty()) return std::nullopt;
  return std::string(value);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool ends_in_security(const std::optional<std::string>& name) { return name && name->ends_with("-security"); }

// The text between the first two quotes of `line`, as in "The repository 'URI SUITE Release' is not signed."
std::optional<std::string_view> inside_quotes(std::string_view line) {
  std::size_t open = line.find('\'');
  if (open == std::string_view::npos) return std::nullopt;
  std::size_t close = line.find('\'', open + 1);
  if (close == std::string_view::npos) return std::nullopt;
  return line.substr(open + 1, close - open - 1);
}

// "URI SUITE InRelease" or "URI SUITE/COMPONENT ARCH Packages"
std::optional<std::pair<std::string, std::string>> repository_named(std::string_view text) {
  std::vector<std::string_view> words = split_blanks(text);
  if (words.size() < 2 || words[0].find(":/") == std::string_view::npos) return std::nullopt;
  std::string_view suite = words[1];
  // An index's name has its component after the suite; a Release file's has not, and a suite may itself hold a slash.
  if (words.size() > 3) suite = suite.substr(0, suite.rfind('/'));
  return std::pair(normal_uri(words[0]), std::string(suite));
}

class UpdateReader {
 public:
  void line(std::string_view line) {
    if (awaiting_reason_ && line.starts_with(' ')) {
      // Kept for the end: the messages that follow the run say the same in better words.
      if (reasons_.size() < kProblemsMax) reasons_.push_back({failed_.first, failed_.second, state_of_reason(line), clean(trim(line))});
      awaiting_reason_ = false;
      return;
    }
    awaiting_reason_ = false;
    if (line.starts_with("Err:")) return err(line);
    if (line.starts_with("E: ")) return message(line.substr(3), true);
    if (line.starts_with("W: ")) return message(line.substr(3), false);
  }
  AptUpdateReport take() {
    for (FetchProblem& reason : reasons_) report_.problems.push_back(std::move(reason));
    return std::move(report_);
  }

 private:
  static std::string clean(std::string_view text) { return without_credentials_within(text); }
  bool problem_room() const { return report_.problems.size() < kProblemsMax; }

  static RepositoryState state_of_reason(std::string_view reason) {
    if (reason.find("signature") != std::string_view::npos || reason.find("/usr/bin/sqv ") != std::string_view::npos) return RepositoryState::kBadSignature;
    if (reason.find("404 ") != std::string_view::npos) return RepositoryState::kMissing;
    return RepositoryState::kUnreachable;
  }

  void add(const std::pair<std::string, std::string>& repository, RepositoryState state, std::string_view detail) {
    if (problem_room()) report_.problems.push_back({repository.first, repository.second, state, clean(detail)});
  }

  // "Err:3 URI SUITE InRelease", and the reason in the next line
  void err(std::string_view line) {
    std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return;
    if (auto named = repository_named(line.substr(blank + 1))) {
      failed_ = *std::move(named);
      awaiting_reason_ = true;
    }
  }

  void message(std::string_view text, bool error) {
    // apt up to 2.9 and apt 3, whose signatures sqv checks
    constexpr std::string_view kSignature[] = {"GPG error: ", "OpenPGP signature verification failed: "};
    constexpr std::string_view kFetch = "Failed to fetch ";
    constexpr std::string_view kRelease = "Release file for ";
    for (std::string_view prefix : kSignature) {
      std::size_t at = text.find(prefix);
      if (at == std::string_view::npos) continue;
      std::string_view rest = text.substr(at + prefix.size());
      std::size_t colon = rest.find(": ");
      if (auto named = repository_named(rest.substr(0, colon)))
        return add(*named, RepositoryState::kBadSignature, colon == std::string_view::npos ? rest : rest.substr(colon + 2));
    }
    if (text.starts_with(kFetch)) {
      std::string_view rest = text.substr(kFetch.size());
      std::size_t blank = rest.find(' ');
      std::string_view reason = blank == std::string_view::npos ? std::string_view() : trim(rest.substr(blank));
      return add({normal_uri(rest.substr(0, blank)), ""}, state_of_reason(reason), reason);
    }
    if (text.starts_with(kRelease)) {
      std::string_view rest = text.substr(kRelease.size());
      std::size_t blank = rest.find(' ');
      return add({normal_uri(rest.substr(0, blank)), ""}, RepositoryState::kExpired, text);
    }
    if (auto quoted_name = inside_quotes(text)) {
      if (auto named = repository_named(*quoted_name)) return add(*named, state_of_sentence(text), text);
    }
    // "Some index files failed to download" repeats what the lines above it said.
    if (error && !text.starts_with("Some index files failed") && report_.errors.size() < kProblemsMax)
      report_.errors.push_back(clean(text));
  }

  static RepositoryState state_of_sentence(std::string_view text) {
    if (text.ends_with("have a Release file.") || text.ends_with("has a Release file.")) return RepositoryState::kMissing;
    // Not signed, no longer signed, or another origin than before, which apt takes from a person only.
    return RepositoryState::kBadSignature;
  }

  AptUpdateReport report_;
  std::vector<FetchProblem> reasons_;  // of Err lines
  std::pair<std::string, std::string> failed_;
  bool awaiting_reason_ = false;
};

// Which of two problems of a repository is told: the one that says most about whether it can be trusted.
int weight(RepositoryState state) {
  switch (state) {
    case RepositoryState::kBadSignature: return 4;
    case RepositoryState::kExpired: return 3;
    case RepositoryState::kMissing: return 2;
    case RepositoryState::kUnreachable: return 1;
    case RepositoryState::kOk: return 0;
  }
  return 0;
}

bool concerns(const FetchProblem& problem, const IndexTarget& target) {
  if (!problem.suite.empty()) return problem.uri == target.repo_uri && problem.suite == target.release;
  return problem.uri.starts_with(target.base_uri) &&
         (problem.uri.size() == target.base_uri.size() || problem.uri[target.base_uri.size()] == '/');
}

}  // namespace

Result<std::vector<IndexTarget>> parse_index_targets(std::string_view output) {
  std::vector<IndexTarget> targets;
  StanzaReader reader(output);
  std::vector<StanzaField> fields;
  for (;;) {
    auto more = reader.next(fields);
    if (!more) return std::move(more).error().during("apt-get indextargets");
    if (!*more) return targets;
    if (field_value(fields, "Created-By") != "Packages" || field_value(fields, "Target-Of") != "deb") continue;
    if (targets.size() == kIndexTargetsMax)
      return exhausted("more than " + std::to_string(kIndexTargetsMax) + " package indices in the host's sources");
    IndexTarget target;
    target.description = without_credentials_within(field_value(fields, "Description"));
    target.repo_uri = normal_uri(field_value(fields, "Repo-URI"));
    target.base_uri = normal_uri(field_value(fields, "Base-URI"));
    target.release = field_value(fields, "Release");
    target.filename = field_value(fields, "Filename");
    target.optional = field_value(fields, "Optional") == "yes";
    target.origin = text_or_none(fields, "Origin");
    target.label = text_or_none(fields, "Label");
    target.suite = text_or_none(fields, "Suite");
    target.codename = text_or_none(fields, "Codename");
    if (target.repo_uri.empty() || target.release.empty())
      return invalid_input("apt-get indextargets: line " + std::to_string(fields.front().line) + ": a target without Repo-URI or Release");
    targets.push_back(std::move(target));
  }
}

bool is_security_archive(const IndexTarget& target) {
  if (!target.origin) return false;
  if (*target.origin == "Debian")
    return (target.label && equal_ignoring_case(*target.label, "Debian-Security")) || ends_in_security(target.suite) ||
           ends_in_security(target.codename);
  if (*target.origin == "Ubuntu") return ends_in_security(target.suite);
  return *target.origin == "UbuntuESM" || *target.origin == "UbuntuESMApps";
}

Result<AptUpdateReport> parse_apt_update(std::string_view output) {
  if (output.size() > kUpdateOutputMax)
    return exhausted("apt-get update wrote " + bytes_text(output.size()) + "; at most " + bytes_text(kUpdateOutputMax));
  UpdateReader reader;
  for (std::string_view line : split(output, '\n')) reader.line(line);
  return reader.take();
}

std::vector<Repository> repositories_of(const std::vector<IndexTarget>& wanted, const std::vector<IndexTarget>& present,
                                        const AptUpdateReport& report) {
  std::vector<Repository> repositories;
  for (const IndexTarget& target : wanted) {
    auto same = [&](const Repository& r) { return r.uri == target.repo_uri && r.suite == target.release; };
    if (std::ranges::any_of(repositories, same)) continue;
    Repository repository{target.repo_uri, target.release, RepositoryState::kOk, "", target.release.ends_with("-security")};
    auto fetched = std::ranges::find_if(present, [&](const IndexTarget& p) {
      return p.repo_uri == target.repo_uri && p.release == target.release && p.origin;
    });
    if (fetched != present.end()) {
      repository.security = is_security_archive(*fetched);
    } else {
      repository.state = RepositoryState::kMissing;
      repository.detail = "its index was never fetched";
    }
    int told = 0;
    for (const FetchProblem& problem : report.problems) {
      if (!concerns(problem, target) || weight(problem.state) <= told) continue;
      told = weight(problem.state);
      repository.state = problem.state;
      repository.detail = problem.detail;
    }
    repositories.push_back(std::move(repository));
  }
  return repositories;
}

}  // namespace prunella
