#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "adapters/apt/apt_files.h"
#include "adapters/apt/apt_view.h"
#include "adapters/apt/deb.h"
#include "base/text.h"
#include "observe/dpkg_status.h"

namespace prunella {

namespace {

using namespace std::chrono_literals;

// One hour: a distribution upgrade of 1 GB over a line of 300 kB/s.
inline constexpr Duration kFetchTimeMax = 60min;
// 500 files of one apt-get call: it fetches them one after the other anyway, and one missing version stops only its own call.
inline constexpr std::size_t kFilesPerCallMax = 500;
inline constexpr std::size_t kReasonsMax = 20;

std::string staged_name(const Digest& digest) { return digest.hex() + ".deb"; }

std::string fetch_name(const WantedFile& wanted, const std::string& native) {
  const PackageName& package = wanted.package;
  bool plain = package.arch == native || package.arch == "all";
  return (plain ? package.name : package.text()) + "=" + wanted.file.version;
}

// What study() reads: unblocked security updates and what they need, the smallest first.
std::vector<Update*> studied_updates(UpdateFacts& facts) {
  std::set<std::string> wanted;
  for (const Update& update : facts.updates) {
    if (!update.security || update.block) continue;
    wanted.insert(update.package.text());
    if (update.needs) wanted.insert(update.needs->begin(), update.needs->end());
  }
  std::vector<Update*> studied;
  for (Update& update : facts.updates)
    if (wanted.contains(update.package.text()) && !update.block) studied.push_back(&update);
  std::ranges::stable_sort(studied, {}, [](const Update* u) { return u->to.size_bytes; });
  return studied;
}

}  // namespace

// Whether the stage has the file, whole; a damaged one is removed.
Result<bool> AptView::stage_present(const WantedFile& wanted, const std::string& stage) {
  std::string path = stage + "/" + staged_name(wanted.file.sha256);
  auto mark = apt_files::mark_of(path);
  if (!mark) return false;
  auto digest = apt_files::hash_file(path);
  if (!digest) return std::move(digest).error();
  if (*digest == wanted.file.sha256) return true;
  ::unlink(path.c_str());
  return false;
}

Status AptView::fetch(const std::vector<WantedFile>& files, const std::string& stage, const std::string& native,
                      const std::function<void(const AptProgress&)>& progress) {
  std::string partial = stage + "/partial";
  if (auto made = apt_files::make_directory(partial, 0755); !made) return made;
  std::optional<Error> failed;
  for (std::size_t at = 0; at < files.size(); at += kFilesPerCallMax) {
    std::size_t end = std::min(files.size(), at + kFilesPerCallMax);
    std::vector<std::string> arguments = {"-o", "APT::Status-Fd=3", "download"};
    for (std::size_t i = at; i < end; ++i) arguments.push_back(fetch_name(files[i], native));
    ProgramCall download = call("apt-get", std::move(arguments));
    download.directory = partial;
    download.time_max = kFetchTimeMax;
    download.on_status_line = [&](std::string_view line) {
      if (auto parsed = parse_apt_progress(line); parsed && progress) progress(*parsed);
    };
    auto result = programs_->run(download);
    if (!result) return std::move(result).error();
    if (!result->succeeded()) failed = unavailable(apt_error_text("apt-get download", *result));
    for (std::size_t i = at; i < end; ++i) {
      std::string path = partial + "/" + deb_file_name(files[i].package, files[i].file.version);
      if (!apt_files::mark_of(path)) continue;
      auto digest = apt_files::hash_file(path);
      if (!digest) return std::move(digest).error();
      if (*digest != files[i].file.sha256) {
        ::unlink(path.c_str());
        return conflict("the archive's " + files[i].package.text() + " " + files[i].file.version + " has the digest " + digest->brief() +
                        "..., not " + files[i].file.sha256.brief() + "...");
      }
      if (::chmod(path.c_str(), 0644) != 0 || ::rename(path.c_str(), (stage + "/" + staged_name(*digest)).c_str()) != 0)
        return unavailable("putting " + path + " into the stage failed");
    }
  }
  if (failed) return *std::move(failed);
  return {};
}

Status AptView::download(const std::vector<WantedFile>& files, const std::string& stage, std::uint64_t bytes_max, const std::string& native_arch,
                         const std::function<void(const AptProgress&)>& progress) {
  if (auto made = apt_files::make_directory(stage, 0755); !made) return made;
  std::vector<WantedFile> missing;
  std::uint64_t bytes = 0;
  for (const WantedFile& wanted : files) {
    auto present = stage_present(wanted, stage);
    if (!present) return std::move(present).error();
    if (*present) continue;
    // The host's own cache: the same bytes, whoever fetched them.
    auto cached = cached_file(wanted.package, wanted.file.version);
    if (cached && cached->sha256 == wanted.file.sha256) {
      std::string from = places_.archives + "/" + deb_file_name(wanted.package, wanted.file.version);
      auto copied = apt_files::copy_file(from, stage + "/" + staged_name(wanted.file.sha256));
      if (!copied && copied.error().kind() == ErrorKind::kExhausted) return copied;
      auto whole = copied ? stage_present(wanted, stage) : Result<bool>(false);
      if (whole && *whole) continue;
    }
    bytes += wanted.file.size_bytes;
    missing.push_back(wanted);
  }
  if (missing.empty()) return {};
  if (bytes > bytes_max) return exhausted(bytes_text(bytes) + " would have to be fetched; at most " + bytes_text(bytes_max) + " are allowed");
  if (auto fetched = fetch(missing, stage, native_arch, progress); !fetched) return fetched;
  for (const WantedFile& wanted : missing)
    if (!apt_files::mark_of(stage + "/" + staged_name(wanted.file.sha256)))
      return unavailable("apt-get download brought no " + deb_file_name(wanted.package, wanted.file.version));
  return {};
}

std::vector<std::string> AptView::study(UpdateFacts& facts, const PackageFacts& packages, const VersionOrder& order, const std::string& stage,
                                        std::uint64_t bytes_max) {
  std::vector<std::string> reasons;
  auto reason = [&](std::string text) {
    if (reasons.size() < kReasonsMax) reasons.push_back(std::move(text));
  };
  auto native = native_architecture(packages);
  if (!native) return {"the native architecture is not known: no package dpkg is installed"};
  std::vector<Update*> studied = studied_updates(facts);
  std::vector<WantedFile> wanted;
  std::uint64_t bytes = 0;
  for (const Update* update : studied) {
    if (bytes + update->to.size_bytes > bytes_max) {
      reason(update->package.text() + " and larger files were not fetched: together they exceed " + bytes_text(bytes_max));
      break;
    }
    bytes += update->to.size_bytes;
    wanted.push_back({update->package, update->to});
  }
  if (auto fetched = download(wanted, stage, bytes_max, *native, {}); !fetched) reason(fetched.error().text());

  std::map<PackageName, std::vector<Conffile>> recorded;
  bool recorded_known = false;
  if (auto status = apt_files::read_whole(places_.status, kDpkgStatusBytesMax)) {
    if (auto parsed = parse_conffiles(*status)) {
      recorded = *std::move(parsed);
      recorded_known = true;
    }
  }
  if (!recorded_known) reason("dpkg's record of conffiles could not be read");

  for (Update* update : studied) {
    std::string deb = stage + "/" + staged_name(update->to.sha256);
    if (!apt_files::mark_of(deb)) continue;
    auto shipped = shipped_.find(update->to.sha256);
    if (shipped == shipped_.end()) {
      auto read = conffiles_of(*programs_, deb);
      if (!read) {
        reason(read.error().text());
        continue;
      }
      shipped = shipped_.emplace(update->to.sha256, *std::move(read)).first;
    }
    if (recorded_known) {
      update->conffiles = predict_conffiles(update->package, recorded[update->package], shipped->second, apt_files::conffile_on_disk);
      if (!update->conffiles) reason("a conffile of " + update->package.text() + " can't be read by this user");
    }
    if (update->changelog_read || !update->from_version) continue;
    auto installed = std::ranges::find_if(packages.packages, [&](const Package& p) { return p.package == update->package; });
    if (installed == packages.packages.end()) continue;
    std::string way = update->source + " " + installed->source_version + " " + update->source_version;
    auto known = changelogs_.find(way);
    if (known == changelogs_.end()) {
      auto text = changelog_of(*programs_, deb, update->package.name);
      if (!text) {
        // A sibling of the same source may carry it: that one is told of by itself.
        if (text.error().kind() != ErrorKind::kNotFound) reason(text.error().text());
        continue;
      }
      auto cves = cves_since(*text, installed->source_version, order);
      if (!cves) {
        reason(update->package.text() + ": " + cves.error().text());
        continue;
      }
      known = changelogs_.emplace(way, *std::move(cves)).first;
    }
    for (Update& other : facts.updates) {
      if (other.source != update->source || other.source_version != update->source_version) continue;
      other.cves = known->second.cves;
      other.changelog_read = known->second.complete;
    }
  }
  // Bounded: whoever fills it with more than a distribution upgrade's files reads them again.
  if (shipped_.size() > 2 * kFilesPerCallMax) shipped_.clear();
  if (changelogs_.size() > 2 * kFilesPerCallMax) changelogs_.clear();
  remember();
  return reasons;
}

}  // namespace prunella
