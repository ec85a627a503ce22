#include "apps/agent/observer.h"

#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "adapters/linux/host.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/log.h"
#include "match/disk_news.h"

namespace prunella::agent {

Observer::Observer(Duration full_check_every, Inbox& inbox, Hands& hands, AptWorker& apt)
    : full_check_every_(full_check_every), inbox_(inbox), hands_(hands), apt_(apt), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  thread_ = std::thread([this] { work(); });
}

Observer::~Observer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

void Observer::refresh(Section section) {
  {
    std::lock_guard lock(mutex_);
    wanted_.insert(section);
  }
  wake();
}

void Observer::hold(bool on) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(held_, on) == on) return;
  }
  wake();
}

void Observer::wake() {
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void Observer::look_at_packages() {
  auto packages = look_at_packages_once();
  packages_ = packages.value ? std::make_shared<const PackageFacts>(*packages.value) : nullptr;
  inbox_.put(SectionSensed{std::move(packages)});
}

void Observer::look_at_system_and_kernel(bool system_due, bool kernel_due) {
  const std::optional<PackageFacts> packages = packages_ ? std::optional(*packages_) : std::nullopt;
  if (system_due) {
    auto system = look_at_system(packages);
    if (system.value) os_codename_ = system.value->os_codename;
    inbox_.put(SectionSensed{std::move(system)});
  }
  if (kernel_due) inbox_.put(SectionSensed{sensed(sense_kernel("", packages), SystemClock().now())});
}

void Observer::look_at_disk() {
  auto disk = look_at_disk_once();
  if (disk.value && disk_told_ && !is_news(*disk_told_, *disk.value)) return;
  disk_told_ = disk.value;
  inbox_.put(SectionSensed{std::move(disk)});
}

void Observer::look_at_units(UnitBus& bus) {
  auto units = bus.units();
  Instant at = SystemClock().now();
  last_units_ = SystemClock().steady();
  inbox_.put(SectionSensed{units ? sensed(*std::move(units), at) : not_sensed<UnitFacts>(units.error().text(), at)});
}

void Observer::take_unit_news(UnitBus& bus, Monotonic now) {
  auto news = bus.process();
  if (news && news->empty()) return;
  // Also when the connection is lost: the section is unknown then, and says why.
  schedule_.mark(Section::kUnits, std::max(now, last_units_ + kUnitsCoalesce));
  if (!news || news->everything) return;
  // A service that was restarted runs new code.
  if (std::ranges::any_of(news->changed, [](const std::string& unit) { return unit.ends_with(".service"); })) schedule_.when_quiet(Section::kProcesses, now);
}

void Observer::take_file_news(std::optional<Watcher>& watcher, Monotonic now) {
  auto news = watcher->news();
  if (!news) {
    log(LogLevel::kWarning, "watching files failed, looking at everything: " + news.error().text());
    watcher.reset();
    full_check_ = now + kPackagesCoalesce;
    return;
  }
  if (news->overflow) full_check_ = now;
  if (news->topics.contains("packages")) {
    schedule_.mark(Section::kPackages, std::max(now, last_packages_ + kPackagesCoalesce));
    for (Section section : {Section::kUpdates, Section::kProcesses, Section::kKernel}) schedule_.when_quiet(section, now);
  }
  if (news->topics.contains("kernel")) schedule_.mark(Section::kKernel, now + kPackagesCoalesce);
  if (news->topics.contains("sources")) {
    apt_.refresh_lists();
    schedule_.mark(Section::kUpdates, now + kQuiet);
  }
}

void Observer::work() {
  SystemClock clock;
  UnitBus bus(clock);  // made here: libsystemd's objects belong to their thread
  std::optional<Watcher> watcher;
  bool watch_failed = false;
  full_check_ = clock.steady();
  for (;;) {
    Monotonic now = clock.steady();
    if (!watcher) {
      auto opened = Watcher::open(host_watches(""));
      if (opened)
        watcher = *std::move(opened);
      else if (!watch_failed)
        log(LogLevel::kWarning, "changes of files are not seen at once, only by the slow check: " + opened.error().text());
      watch_failed = !opened;
    }
    if (now >= full_check_) {
      for (std::size_t i = 0; i < kSections; ++i) schedule_.mark(static_cast<Section>(i), now);
      full_check_ = now + full_check_every_ * 3 / 4 + Duration(SystemRandom().below(static_cast<std::uint64_t>(full_check_every_.count() / 2) + 1));
    }
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      schedule_.hold(held_);
      for (Section section : wanted_) {
        if (section == Section::kUpdates) apt_.refresh_lists();
        schedule_.mark(section, now);
      }
      wanted_.clear();
    }
    auto is_due = [&](Section section) { return schedule_.take(section, now); };
    // Units first: a unit that failed is what this host may have to heal at once. Then dpkg's database, before what comes of it.
    if (is_due(Section::kUnits)) look_at_units(bus);
    bool packages_due = is_due(Section::kPackages);
    if (packages_due) {
      look_at_packages();
      last_packages_ = now;
    }
    bool system_due = is_due(Section::kSystem), kernel_due = is_due(Section::kKernel);
    if (system_due || kernel_due) look_at_system_and_kernel(system_due, kernel_due);
    if (is_due(Section::kDisk)) {
      look_at_disk();
      schedule_.mark(Section::kDisk, now + kDiskEvery);
    }
    if (is_due(Section::kProcesses)) hands_.carry_out(ObserveProcesses{});
    if (is_due(Section::kUpdates) && packages_) apt_.look({packages_, os_codename_});
    (void)is_due(Section::kExecutor);   // the core asks for it itself
    if (packages_due) ::malloc_trim(0);  // parsing took several times what the facts take

    Monotonic next = std::min(full_check_, schedule_.next().value_or(full_check_));
    Duration wait = std::max(Duration(0), std::min(bus.wait(), std::chrono::duration_cast<Duration>(next - clock.steady())));
    pollfd fds[3] = {{wake_.get(), POLLIN, 0}, {watcher ? watcher->fd() : -1, POLLIN, 0}, {bus.fd(), bus.events(), 0}};
    int ready = ::poll(fds, 3, static_cast<int>(std::min<std::int64_t>(wait.count() + (wait > Duration(0) ? 1 : 0), 3'600'000)));
    now = clock.steady();
    if (fds[0].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] ssize_t got = ::read(wake_.get(), &count, sizeof count);
    }
    if (ready == 0 || fds[2].revents != 0) take_unit_news(bus, now);
    if (watcher && fds[1].revents != 0) take_file_news(watcher, now);
  }
}

}  // namespace prunella::agent
