#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "adapters/apt/apt_view.h"
#include "apps/agent/config.h"
#include "apps/agent/inbox.h"

namespace prunella::agent {

/// What the package lists are looked at with: the host as it is now.
struct AptSubject {
  std::shared_ptr<const PackageFacts> packages;
  std::string os_codename;
};

/// Free space that fetching ahead never takes: a full disk would be worse than a changelog that wasn't read.
inline constexpr std::uint64_t kFreeBytesMin = 512u << 20;
inline constexpr std::uint64_t kPrefetchBytesDefault = 500'000'000;
inline constexpr std::uint64_t kDownloadBytesDefault = 4'000'000'000;
inline constexpr Duration kListsEveryDefault = std::chrono::hours(6);
/// After a fetch that failed, growing: the network may not be up yet.
inline constexpr Duration kListsRetryFirst = std::chrono::minutes(1);
inline constexpr Duration kListsRetryMax = std::chrono::minutes(30);
/// A file that no update and no order wants any more is kept this long: a plan that names it may be on its way.
inline constexpr Duration kUnwantedFilesKept = std::chrono::hours(48);
inline constexpr std::size_t kStageFilesMax = 10'000;

/// apt, on a thread of its own: package lists, what they say, and the files of orders, which go first. Answers go to the inbox.
class AptWorker {
 public:
  AptWorker(const AgentConfig& config, const Places& places, Programs& programs, Inbox& inbox);
  ~AptWorker();

  /// The host's packages have changed: look at the lists again.
  void look(AptSubject subject);
  /// Fetch the lists, then look.
  void refresh_lists();
  void carry_out(StageFiles effect);
  void carry_out(DropStage effect);
  /// No more work; the destructor then waits for what is going on.
  void stop();

 private:
  void work();
  void stage(const StageFiles& order);
  void refresh();
  void simulate(const AptSubject& subject);
  void study(const AptSubject& subject);
  void sweep();
  void publish(Sensed<UpdateFacts> updates);
  Status open_view();
  Duration with_jitter(Duration every) const;

  bool fetch_lists_;
  Duration lists_every_;
  std::uint64_t prefetch_max_;
  std::uint64_t download_max_;
  Places places_;
  Programs& programs_;
  Inbox& inbox_;

  std::mutex mutex_;  // guards up to `stopping_`
  std::condition_variable changed_;
  std::optional<AptSubject> subject_;   // the newest
  bool subject_new_ = false;
  bool refresh_wanted_ = true;
  std::optional<StageFiles> order_;     // the core stages one at a time
  bool sweep_wanted_ = false;
  bool stopping_ = false;

  // the worker's own
  std::optional<AptView> view_;
  std::optional<UpdateFacts> updates_;
  std::set<Digest> wanted_;             // files that stay in the stage
  std::optional<RunId> staged_run_;
  std::set<Digest> staged_files_;
  bool study_wanted_ = false;
  Monotonic refresh_at_{};
  Duration retry_ = kListsRetryFirst;
  std::thread thread_;
};

/// Bytes that may be written below `directory` without taking the last kFreeBytesMin.
std::uint64_t spare_bytes(const std::string& directory);

/// How versions compare, for the stages that are handed it.
VersionOrder debian_order();

}  // namespace prunella::agent
