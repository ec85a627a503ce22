#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/host.h"
#include "observe/apt_cache.h"
#include "observe/apt_simulation.h"
#include "observe/apt_status_fd.h"
#include "observe/apt_update.h"
#include "observe/changelog.h"
#include "observe/conffiles.h"
#include "observe/programs.h"

namespace prunella {

/// Where the view keeps its things, and where the host has its own. Only tests change the latter.
struct AptPlaces {
  std::string directory = "/var/lib/prunella-agent/apt";  ///< ours: configuration, lists, caches. About 120 MB with Debian's main
  std::string status = "/var/lib/dpkg/status";
  std::string archives = "/var/cache/apt/archives";       ///< the host's downloaded files, read only
  std::optional<std::string> etc;                         ///< instead of /etc/apt
  std::string extra_configuration;                        ///< lines of apt.conf(5) put last
};

/// A file of an archive to be had.
struct WantedFile {
  PackageName package;
  DebFile file;
  bool operator==(const WantedFile&) const = default;
};

/// The host's apt as an unprivileged user sees it: the host's sources, preferences and keys, dpkg's status, and lists and caches of
/// our own, so that looking changes nothing on the host and needs no lock of it. The host's hooks never run, and nothing that isn't
/// signed by a key that its root trusts for it is ever used, whatever the host's configuration allows.
///
/// One thread at a time; every call waits for apt. Everything is done by apt's and dpkg's own programs.
class AptView {
 public:
  /// Makes the directories and the configuration file. `programs` outlives the view.
  /// @error kDenied, kExhausted, kUnavailable  the directory can't be written.
  static Result<AptView> open(AptPlaces places, Programs& programs);

  /// Fetches the lists (apt-get update). The answer has every repository's state; one that failed keeps what it had before.
  /// @error kUnavailable  apt did not end in time, or could not start at all: its words. Nothing was lost.
  Status refresh(Instant now);

  /// What apt would do now, from the lists as they are; fetches nothing.
  ///
  /// Each update is what apt would install, or the newest version it holds off with the reason why. An update is a security update
  /// when a security archive of the distribution offers its version, or an older one that is still newer than what is installed:
  /// a point release that has overtaken the fix brings it too. When apt can't plan an upgrade at all (broken dependencies), every
  /// update is there and blocked with apt's words.
  /// `os_codename` as in os-release: archives of other releases that preferences hold off make no pinned updates.
  /// @error kUnavailable, kInvalidInput  apt failed or wrote what it never writes: the section is unknown then.
  Result<UpdateFacts> simulate(const PackageFacts& packages, const std::string& os_codename, const VersionOrder& order);

  /// Completes what simulate() told of the security updates that nothing blocks, and of those they need, from their files: the CVEs
  /// that changelogs name and what becomes of conffiles. Files are fetched into `stage` as download() does, the smallest first, at
  /// most `bytes_max` together, and stay there. What could not be had stays unknown; what was read once is remembered.
  /// @return why something stayed unknown, one sentence each, at most 20.
  std::vector<std::string> study(UpdateFacts& facts, const PackageFacts& packages, const VersionOrder& order, const std::string& stage,
                                 std::uint64_t bytes_max);

  /// Puts each file into `stage` as "<sha256>.deb" (mode 0644): from there, from the host's cache, or from its archive; verified by
  /// digest, complete or not there. What is there already is kept, and what was fetched half goes on where it stopped.
  /// `progress` is called from this thread.
  /// @error kExhausted    the files to fetch are larger than `bytes_max` together, or there is no space. Nothing was fetched.
  /// @error kConflict     the archive has another file under that version: plan again.
  /// @error kUnavailable  the archive could not be reached, or does not have the version any more; files that came are kept.
  Status download(const std::vector<WantedFile>& files, const std::string& stage, std::uint64_t bytes_max, const std::string& native_arch,
                  const std::function<void(const AptProgress&)>& progress);

  /// When the lists were last fetched completely.
  std::optional<Instant> lists_at() const { return lists_at_; }

 private:
  enum class Presence { kWanted, kFetched };

  AptView(AptPlaces places, Programs& programs) : places_(std::move(places)), programs_(&programs) {}

  ProgramCall call(std::string program, std::vector<std::string> arguments) const;
  Result<std::string> output_of(const ProgramCall& call) const;
  Result<std::vector<IndexTarget>> targets(Presence presence) const;
  Result<std::vector<PackagePolicy>> policies(const std::vector<std::string>& names) const;
  Result<std::vector<PackageRecord>> records(const std::vector<std::string>& versions) const;
  Result<AptSimulation> simulation(std::vector<std::string> arguments) const;
  void fill_needs(std::vector<Update>& updates, const std::vector<PackageRecord>& records, const std::string& native,
                  const VersionOrder& order) const;
  std::optional<DebFile> cached_file(const PackageName& package, const std::string& version);
  Result<bool> stage_present(const WantedFile& wanted, const std::string& stage);
  Status fetch(const std::vector<WantedFile>& files, const std::string& stage, const std::string& native,
               const std::function<void(const AptProgress&)>& progress);
  void remember() const;

  AptPlaces places_;
  Programs* programs_;
  std::vector<Repository> repositories_;  // as the last refresh left them
  std::optional<Instant> lists_at_;
  std::map<std::string, ChangelogCves> changelogs_;                       // "source from to"
  std::map<Digest, std::vector<ShippedConffile>> shipped_;                // by the file's digest
  struct Hashed {
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;
    Digest digest;
  };
  std::map<std::string, Hashed> hashed_;  // files of the host's cache, by path
};

/// apt's own errors (its "E:" lines, at most five, without credentials) for people; how it ended when it wrote none.
std::string apt_error_text(std::string_view program, const ProgramResult& result);

/// How apt names a package's file: "libssl3_3.0.17-1~deb12u2_amd64.deb", with an epoch's colon as %3a.
std::string deb_file_name(const PackageName& package, const std::string& version);

}  // namespace prunella
