#include "apps/agent/apt_worker.h"

#include <malloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "adapters/linux/files.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/log.h"
#include "model/deb_version.h"

namespace prunella::agent {

std::uint64_t spare_bytes(const std::string& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) return 0;
  std::uint64_t free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  return free > kFreeBytesMin ? free - kFreeBytesMin : 0;
}

VersionOrder debian_order() {
  return [](std::string_view a, std::string_view b) {
    auto order = compare_deb_versions(a, b);
    // Versions come from dpkg and apt, which order them themselves; a text that is none sorts by its bytes, so that it's stable.
    if (!order) return a < b ? -1 : a > b ? 1 : 0;
    return *order < 0 ? -1 : *order > 0 ? 1 : 0;
  };
}

AptWorker::AptWorker(const AgentConfig& config, const Places& places, Programs& programs, Inbox& inbox)
    : fetch_lists_(config.fetch_lists.value_or(true)),
      lists_every_(config.lists_every.value_or(kListsEveryDefault)),
      prefetch_max_(config.prefetch_bytes_max.value_or(kPrefetchBytesDefault)),
      download_max_(config.download_bytes_max.value_or(kDownloadBytesDefault)),
      places_(places),
      programs_(programs),
      inbox_(inbox) {
  thread_ = std::thread([this] { work(); });
}

AptWorker::~AptWorker() {
  stop();
  thread_.join();
}

void AptWorker::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void AptWorker::look(AptSubject subject) {
  {
    std::lock_guard lock(mutex_);
    subject_ = std::move(subject);
    subject_new_ = true;
  }
  changed_.notify_all();
}

void AptWorker::refresh_lists() {
  {
    std::lock_guard lock(mutex_);
    refresh_wanted_ = true;
  }
  changed_.notify_all();
}

void AptWorker::carry_out(StageFiles effect) {
  {
    std::lock_guard lock(mutex_);
    order_ = std::move(effect);
  }
  changed_.notify_all();
}

void AptWorker::carry_out(DropStage) {
  {
    std::lock_guard lock(mutex_);
    sweep_wanted_ = true;
  }
  changed_.notify_all();
}

Duration AptWorker::with_jitter(Duration every) const {
  // From three quarters to five quarters, so that a fleet that was installed together doesn't ask the archive together.
  return every * 3 / 4 + Duration(SystemRandom().below(static_cast<std::uint64_t>(every.count() / 2) + 1));
}

void AptWorker::work() {
  SystemClock clock;
  refresh_at_ = clock.steady();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Monotonic now = clock.steady();
    bool refresh_due = refresh_wanted_ || now >= refresh_at_;
    // An order before all else, then what is known already, then what must be fetched.
    if (order_) {
      StageFiles order = *std::move(order_);
      order_.reset();
      lock.unlock();
      stage(order);
    } else if (sweep_wanted_) {
      sweep_wanted_ = false;
      lock.unlock();
      staged_run_.reset();
      staged_files_.clear();
      sweep();
    } else if (subject_ && subject_new_ && view_ && !refresh_due) {
      subject_new_ = false;
      AptSubject subject = *subject_;
      lock.unlock();
      simulate(subject);
    } else if (subject_ && refresh_due) {
      refresh_wanted_ = false;
      subject_new_ = true;
      lock.unlock();
      refresh();
    } else if (study_wanted_ && subject_) {
      study_wanted_ = false;
      AptSubject subject = *subject_;
      lock.unlock();
      study(subject);
    } else {
      auto something = [&] { return stopping_ || order_ || sweep_wanted_ || (subject_ && (subject_new_ || refresh_wanted_)); };
      // steady_clock stops while the machine sleeps, so that a wake-up may come late by that; a fetch then follows at once.
      changed_.wait_for(lock, std::max(Duration(0), std::chrono::duration_cast<Duration>(refresh_at_ - now)), something);
      continue;
    }
    ::malloc_trim(0);
    lock.lock();
  }
}

Status AptWorker::open_view() {
  if (view_) return {};
  AptPlaces apt;
  apt.directory = places_.apt();
  auto view = AptView::open(apt, programs_);
  if (!view) return std::move(view).error();
  view_ = *std::move(view);
  if (::mkdir(places_.stage().c_str(), 0755) != 0 && errno != EEXIST) return unavailable(places_.stage() + ": " + std::strerror(errno));
  return {};
}

void AptWorker::publish(Sensed<UpdateFacts> updates) { inbox_.put(SectionSensed{std::move(updates)}); }

void AptWorker::refresh() {
  SystemClock clock;
  Status fetched = open_view();
  if (fetched && !fetch_lists_) {
    refresh_at_ = clock.steady() + with_jitter(lists_every_);
    return;
  }
  if (fetched) fetched = view_->refresh(clock.now());
  bool complete = fetched && view_->lists_at() && clock.now() - *view_->lists_at() < std::chrono::hours(1);
  if (complete) {
    retry_ = kListsRetryFirst;
    refresh_at_ = clock.steady() + with_jitter(lists_every_);
    return;
  }
  if (!fetched) {
    log(LogLevel::kWarning, "the package lists could not be fetched: " + fetched.error().text());
    if (!view_) publish(not_sensed<UpdateFacts>(fetched.error().text(), clock.now()));
  }
  refresh_at_ = clock.steady() + with_jitter(std::min(retry_, lists_every_));
  retry_ = std::min(retry_ * 2, kListsRetryMax);
}

void AptWorker::simulate(const AptSubject& subject) {
  SystemClock clock;
  auto updates = view_->simulate(*subject.packages, subject.os_codename, debian_order());
  if (!updates) {
    log(LogLevel::kWarning, "what apt would upgrade is not known: " + updates.error().text());
    updates_.reset();
    return publish(not_sensed<UpdateFacts>(updates.error().text(), clock.now()));
  }
  // What was read of changelogs before is filled in again without fetching: the view remembers it.
  (void)view_->study(*updates, *subject.packages, debian_order(), places_.stage(), 0);
  updates_ = *std::move(updates);
  study_wanted_ = fetch_lists_ && prefetch_max_ > 0;
  wanted_.clear();
  for (const Update& update : updates_->updates) {
    wanted_.insert(update.to.sha256);
    if (update.from) wanted_.insert(update.from->sha256);
  }
  publish(sensed(*updates_, clock.now()));
}

void AptWorker::study(const AptSubject& subject) {
  if (!updates_) return;
  std::uint64_t budget = std::min(prefetch_max_, spare_bytes(places_.stage()));
  if (budget == 0) return;
  UpdateFacts before = *updates_;
  for (const std::string& why : view_->study(*updates_, *subject.packages, debian_order(), places_.stage(), budget)) log(LogLevel::kInfo, why);
  if (*updates_ != before) publish(sensed(*updates_, SystemClock().now()));
  sweep();
}

void AptWorker::stage(const StageFiles& order) {
  SystemClock clock;
  std::uint64_t total = 0;
  std::vector<prunella::WantedFile> files;
  staged_run_ = order.run;
  staged_files_.clear();
  for (const WantedFile& file : order.files) {
    files.push_back({file.package, file.file});
    total += file.file.size_bytes;
    staged_files_.insert(file.file.sha256);
  }
  auto tell = [&](std::string detail, std::optional<std::uint32_t> percent) {
    inbox_.put(Progressed{{order.run, RunState::kStaging, clock.now(), std::move(detail), percent}});
  };
  tell("fetching " + std::to_string(files.size()) + " packages, " + bytes_text(total), 0);
  Status staged = open_view();
  std::string native;
  {
    std::lock_guard lock(mutex_);
    if (subject_)
      for (const Package& package : subject_->packages->packages)
        if (package.package.name == "dpkg") native = package.package.arch;
  }
  std::uint32_t told = 0;
  if (staged) {
    staged = view_->download(files, places_.stage(), std::min(download_max_, spare_bytes(places_.stage())), native, [&](const AptProgress& progress) {
      // In steps of a tenth: every one is an event that travels.
      if (progress.kind != AptProgressKind::kDownload || !progress.percent || *progress.percent < told + 10) return;
      told = *progress.percent;
      tell(progress.text, told);
    });
  }
  if (staged)
    inbox_.put(Staged{order.run});
  else
    inbox_.put(StagingFailed{order.run, staged.error().text()});
}

void AptWorker::sweep() {
  auto names = list_directory(places_.stage(), kStageFilesMax);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.ends_with(".deb")) continue;
    auto digest = parse_digest(std::string_view(name).substr(0, name.size() - 4));
    if (!digest || wanted_.contains(*digest) || staged_files_.contains(*digest)) continue;
    std::string path = places_.stage() + "/" + name;
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) continue;
    Instant written{std::chrono::seconds(info.st_mtim.tv_sec)};
    if (SystemClock().now() - written > kUnwantedFilesKept) ::unlink(path.c_str());
  }
}

}  // namespace prunella::agent
