// What the command line makes of a control plane's answers, whatever they are: the first byte picks the command, the second the form.
// Nothing that it prints may move the cursor, and in JSON it prints JSON.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "adapters/http/problem.h"
#include "apps/cli/program.h"
#include "../support/counting_random.h"
#include "../support/stepping_clock.h"
#include "properties.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;
using namespace prunella::cli;

constexpr std::size_t kRequestsMax = 64;  // a server that always names a next page isn't asked for ever; --limit ends it too

/// Gives the same body to every request. With a first byte of '!' the rest is a problem of status 409.
class HostileApi : public ApiClient {
 public:
  HostileApi(std::string_view body, std::size_t& requests) : body_(body), requests_(requests) {}
  Result<HttpResponse> send(const HttpRequest& request) override {
    if (++requests_ > kRequestsMax) return unavailable("the server is tired");
    HttpRequest copy = request;
    check(split_target(copy).has_value(), "what the command line asks is a target");
    HttpResponse response;
    if (body_.starts_with('!')) {
      response.status = 409;
      response.headers.add("Content-Type", "application/problem+json");
      response.body = body_.substr(1);
      return to_error(response);
    }
    response.body = body_;
    return response;
  }
  Status stream(const HttpRequest&, const std::function<bool(std::string_view)>& take) override {
    take(body_);
    return unavailable("the stream ended");
  }
  void cancel() override {}
  bool timed_out() const override { return false; }

 private:
  std::string_view body_;
  std::size_t& requests_;
};

/// A configuration of its own, with the approver's key so that approvals come to their end. Gone when the program ends.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "prunella-fuzz-XXXXXX").string();
    check(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
    path = pattern;
    Contexts contexts;
    contexts.current = "lab";
    contexts.contexts["lab"] = {"https://10.0.0.1:8443", std::nullopt, std::string(64, 'a'), "prunella_x_y_z"};
    ConfigDir config(path);
    testing::CountingRandom random;
    check(config.save(contexts).has_value() && config.make_key("approver.key", random).has_value(), "a configuration");
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

const std::vector<std::vector<std::string>> kCommands = {
    {"status"},
    {"plan", "-l", "all"},
    {"plan", "ls"},
    {"plan", "show", "PLN-1"},
    {"approve", "PLN-1", "--yes"},
    {"apply", "PLN-1", "--yes", "--detach"},
    {"undo", "RUN-1", "--yes"},
    {"why", "web-1"},
    {"host", "ls"},
    {"host", "show", "web-1"},
    {"host", "label", "web-1", "ring=canary"},
    {"finding", "ls"},
    {"patch", "ls"},
    {"cve", "show", "CVE-2024-6387"},
    {"rollout", "ls"},
    {"rollout", "show", "ROL-1"},
    {"rollout", "pause", "ROL-1"},
    {"run", "ls"},
    {"run", "show", "RUN-1"},
    {"audit", "tail"},
    {"audit", "verify"},
    {"audit", "export"},
    {"enroll", "--print"},
    {"token", "ls"},
    {"policy", "show"},
    {"doctor"},
    {"__values", "host"},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static Folder folder;
  std::vector<std::string> words = kCommands[data[0] % kCommands.size()];
  const bool is_values = words[0] == "__values";
  bool is_json = false;
  if (!is_values) {
    switch (data[1] % 4) {
      case 0: break;
      case 1: words.push_back("--json"), is_json = true; break;
      case 2: words.push_back("--plain"); break;
      case 3: words.push_back("-q"); break;
    }
    words.insert(words.end(), {"--limit", "20"});
    auto parsed = parse(words);
    if (!parsed) words.resize(words.size() - 2);  // it lists nothing
  }
  std::ostringstream out, err;
  std::istringstream in("no\n");
  testing::SteppingClock clock(*parse_rfc3339("2026-11-24T10:00:00.000Z"));
  testing::CountingRandom random;
  std::size_t requests = 0;
  Environment environment{out, err, in, false, false, 100, {{"PRUNELLA_CONFIG_DIR", folder.path}, {"USER", "ada"}}, clock, random, {}, {}};
  std::string_view body = text_of(data + 2, size - 2);
  environment.connect = [&](const Context&, Duration) -> Result<std::unique_ptr<ApiClient>> { return std::unique_ptr<ApiClient>(new HostileApi(body, requests)); };
  // A memory of an earlier log would make inputs depend on those before.
  std::error_code none;
  std::filesystem::remove(folder.path + "/audit.json", none);

  ExitCode code = run_program(environment, words);

  check(std::ranges::any_of(kExitCodes, [&](const auto& row) { return row.first == code; }), "the exit code is in the table");
  std::string printed = out.str(), said = err.str();
  check(is_terminal_safe(said), "messages can't move the cursor");
  check(printed.size() + said.size() <= 64 * kRequestsMax * (size + 1024), "what is printed is bounded by what came");
  // An export is the log's bytes, for a file.
  if (words[0] == "audit" && words[1] == "export") return 0;
  check(is_terminal_safe(printed), "output can't move the cursor");
  if (is_json && !printed.empty()) check(parse_json(printed, {.bytes_max = 64 << 20, .depth_max = 64}).has_value(), "--json prints JSON");
  // An empty list is told by the exit code alone to whoever asked for bare lines.
  bool is_told_by_code = code == ExitCode::kOk || code == ExitCode::kChanges || code == ExitCode::kNothing || is_values || data[1] % 4 == 3;
  if (!is_told_by_code) check(!said.empty() || !printed.empty(), "a failure has words");
  return 0;
}
