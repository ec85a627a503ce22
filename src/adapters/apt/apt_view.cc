#include "adapters/apt/apt_view.h"

#include <algorithm>
#include <utility>

#include "adapters/apt/apt_files.h"
#include "base/codec.h"
#include "base/text.h"

namespace prunella {

// What the view knows beyond its lists, kept in a file so that a new start does not forget it.
struct RememberedChangelog {
  std::string way;  ///< "source from to"
  std::vector<std::string> cves;
  bool complete = false;
};
template <class F>
void fields(F& f, RememberedChangelog& c) {
  f("way", c.way);
  f("cves", c.cves);
  f("complete", c.complete);
}
struct AptMemory {
  std::optional<Instant> lists_at;
  std::vector<Repository> repositories;
  std::vector<RememberedChangelog> changelogs;
};
template <class F>
void fields(F& f, AptMemory& m) {
  f("lists_at", m.lists_at);
  f("repositories", m.repositories);
  f("changelogs", m.changelogs);
}

namespace {

using namespace std::chrono_literals;

// Fifteen minutes: Debian's lists over a line of 100 kB/s.
inline constexpr Duration kRefreshTimeMax = 15min;
// Five minutes: a simulation takes a second, ten on a very small machine.
inline constexpr Duration kLookTimeMax = 5min;
inline constexpr std::size_t kMemoryBytesMax = 4u << 20;
// 500: changelogs of a distribution upgrade; older ones are read again.
inline constexpr std::size_t kChangelogsMax = 500;

// After the host's own configuration (-c comes after it, apt.conf(5)): hooks cleared, every way past signatures closed.
std::string configuration_of(const AptPlaces& places) {
  std::string text =
      "// Written by prunella-agent at each start.\n"
      "#clear APT::Update;\n#clear Acquire::IndexTargets;\n#clear DPkg::Pre-Invoke;\n#clear DPkg::Post-Invoke;\n"
      "#clear DPkg::Pre-Install-Pkgs;\n#clear APT::Install;\n#clear APT::Periodic;\n"
      "Acquire::IndexTargets::deb::Packages {\n"
      "  MetaKey \"$(COMPONENT)/binary-$(ARCHITECTURE)/Packages\"; flatMetaKey \"Packages\"; ShortDescription \"Packages\";\n"
      "  Description \"$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages\"; flatDescription \"$(RELEASE) Packages\"; Optional \"no\";\n};\n"
      "Acquire::Languages \"none\";\nAcquire::AllowInsecureRepositories \"false\";\nAcquire::AllowWeakRepositories \"false\";\n"
      "Acquire::AllowDowngradeToInsecureRepositories \"false\";\nAcquire::Check-Valid-Until \"true\";\nAPT::Get::AllowUnauthenticated \"false\";\n"
      "APT::Get::Show-User-Simulation-Note \"false\";\nAPT::Color \"0\";\nDpkg::Use-Pty \"0\";\n"
      // A stalled mirror must not hold the agent's only apt for long.
      "Acquire::http::Timeout \"30\";\nAcquire::https::Timeout \"30\";\nAcquire::Retries \"1\";\n";
  auto set = [&](std::string_view key, const std::string& value) { text += std::string(key) + " \"" + value + "\";\n"; };
  set("Dir::State::lists", places.directory + "/lists/");
  set("Dir::Cache", places.directory + "/cache/");
  set("Dir::Cache::pkgcache", "pkgcache.bin");
  set("Dir::Cache::srcpkgcache", "srcpkgcache.bin");
  set("Dir::Cache::archives", "archives/");
  set("Dir::State::status", places.status);
  if (places.etc) set("Dir::Etc", *places.etc + "/");
  return text + places.extra_configuration;
}

}  // namespace

Result<AptView> AptView::open(AptPlaces places, Programs& programs) {
  for (const char* part : {"", "/lists", "/lists/partial", "/cache", "/cache/archives", "/cache/archives/partial", "/tmp"})
    if (auto made = apt_files::make_directory(places.directory + part, 0755); !made) return std::move(made).error();
  AptView view(std::move(places), programs);
  auto written = apt_files::replace_file(view.places_.directory + "/apt.conf", configuration_of(view.places_), 0644);
  if (!written) return std::move(written).error();
  auto text = apt_files::read_whole(view.places_.directory + "/memory.json", kMemoryBytesMax);
  // A memory that is missing or damaged costs a refresh: what it held is found out again.
  if (!text) return view;
  auto memory = from_json_text<AptMemory>(*text, JsonLimits{kMemoryBytesMax, 8});
  if (!memory) return view;
  view.lists_at_ = memory->lists_at;
  view.repositories_ = std::move(memory->repositories);
  for (RememberedChangelog& changelog : memory->changelogs)
    view.changelogs_[changelog.way] = {std::move(changelog.cves), changelog.complete};
  return view;
}

void AptView::remember() const {
  AptMemory memory{lists_at_, repositories_, {}};
  for (const auto& [way, changelog] : changelogs_) {
    if (memory.changelogs.size() == kChangelogsMax) break;
    memory.changelogs.push_back({way, changelog.cves, changelog.complete});
  }
  // Losing it costs a refresh; the caller has its answer and could do nothing about it.
  (void)apt_files::replace_file(places_.directory + "/memory.json", to_canonical_text(memory), 0644).has_value();
}

ProgramCall AptView::call(std::string program, std::vector<std::string> arguments) const {
  ProgramCall call;
  call.arguments = {"/usr/bin/" + std::move(program), "-c", places_.directory + "/apt.conf"};
  call.arguments.insert(call.arguments.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  call.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=" + places_.directory, "TMPDIR=" + places_.directory + "/tmp"};
  call.directory = places_.directory;
  call.time_max = kLookTimeMax;
  call.stdout_max = kAptRecordsBytesMax;
  return call;
}

Result<std::string> AptView::output_of(const ProgramCall& call) const {
  auto result = programs_->run(call);
  if (!result) return std::move(result).error();
  if (!result->succeeded()) return unavailable(apt_error_text(call.arguments[0].substr(call.arguments[0].rfind('/') + 1), *result));
  return std::move(result->output);
}

Result<std::vector<IndexTarget>> AptView::targets(Presence presence) const {
  std::vector<std::string> arguments = {"indextargets"};
  if (presence == Presence::kWanted) arguments.push_back("--no-release-info");
  auto output = output_of(call("apt-get", std::move(arguments)));
  if (!output) return std::move(output).error();
  return parse_index_targets(*output);
}

Status AptView::refresh(Instant now) {
  ProgramCall update = call("apt-get", {"update"});
  update.merge_stderr = true;
  update.time_max = kRefreshTimeMax;
  auto result = programs_->run(update);
  if (!result) return std::move(result).error();
  auto report = parse_apt_update(result->output);
  if (!report) return std::move(report).error();
  auto wanted = targets(Presence::kWanted);
  if (!wanted) return std::move(wanted).error();
  auto present = targets(Presence::kFetched);
  if (!present) return std::move(present).error();
  bool succeeded = result->exit_code == 0;
  if (!succeeded && report->problems.empty())
    return unavailable(report->errors.empty() ? ending_text("apt-get update", *result) : "apt-get update: " + join(report->errors, "; "));
  repositories_ = repositories_of(*wanted, *present, *report);
  bool complete = succeeded && std::ranges::all_of(repositories_, [](const Repository& r) { return r.state == RepositoryState::kOk; });
  if (complete) lists_at_ = now;
  remember();
  return {};
}

std::string apt_error_text(std::string_view program, const ProgramResult& result) {
  // The last error alone mostly says "could not be read"; the first one says why.
  std::vector<std::string> errors;
  for (std::string_view line : split(result.errors, '\n'))
    if (line.starts_with("E: ") && errors.size() < 5) errors.push_back(without_credentials_within(line.substr(3)));
  if (errors.empty()) return ending_text(program, result);
  return std::string(program) + ": " + join(errors, "; ");
}

std::string deb_file_name(const PackageName& package, const std::string& version) {
  std::string escaped;
  for (char c : version) escaped += c == ':' ? std::string("%3a") : std::string(1, c);
  return package.name + "_" + escaped + "_" + package.arch + ".deb";
}

}  // namespace prunella
