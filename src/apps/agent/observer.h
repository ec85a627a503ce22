#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "adapters/linux/watcher.h"
#include "adapters/systemd/unit_bus.h"
#include "apps/agent/apt_worker.h"
#include "apps/agent/hands.h"
#include "loop/look_schedule.h"

namespace prunella::agent {

/// dpkg writes its database dozens of times in an upgrade: the first change is looked at at once, the next after this.
inline constexpr Duration kPackagesCoalesce = std::chrono::milliseconds(100);
inline constexpr Duration kFullCheckDefault = std::chrono::hours(6);
inline constexpr Duration kDiskEvery = std::chrono::seconds(15);
/// systemd announces each unit on its own, and a restart is a dozen announcements. The first is looked at at once.
inline constexpr Duration kUnitsCoalesce = std::chrono::milliseconds(100);

/// Looks at the host: at the start, when inotify or systemd says that something changed, and slowly at everything for what they
/// missed. On a thread of its own; looks go to the inbox, and to apt.
class Observer {
 public:
  Observer(Duration full_check_every, Inbox& inbox, Hands& hands, AptWorker& apt);
  ~Observer();

  /// Look at the section now. Any thread.
  void refresh(Section section);
  /// While an order is carried out: see LookSchedule. Any thread.
  void hold(bool on);

 private:
  void work();
  void wake();
  void look_at_packages();
  void look_at_system_and_kernel(bool system_due, bool kernel_due);
  void look_at_disk();
  void look_at_units(UnitBus& bus);
  void take_unit_news(UnitBus& bus, Monotonic now);
  void take_file_news(std::optional<Watcher>& watcher, Monotonic now);

  Duration full_check_every_;
  Inbox& inbox_;
  Hands& hands_;
  AptWorker& apt_;

  Descriptor wake_;
  std::mutex mutex_;  // guards the three below
  std::set<Section> wanted_;
  bool held_ = false;
  bool stopping_ = false;

  // the thread's own
  LookSchedule schedule_;
  std::shared_ptr<const PackageFacts> packages_;
  std::string os_codename_;
  std::optional<DiskFacts> disk_told_;
  Monotonic last_packages_{}, last_units_{};
  Monotonic full_check_{};
  std::thread thread_;
};

/// Each section as this user can see it without an executor: for `observe`, and for the sections that need none.
Sensed<SystemFacts> look_at_system(const std::optional<PackageFacts>& packages);
Sensed<PackageFacts> look_at_packages_once();
Sensed<DiskFacts> look_at_disk_once();
/// Unknown unless this is root: other users' processes are closed to anyone else.
Sensed<ProcessFacts> look_at_processes_once(const std::string& why_no_executor);

}  // namespace prunella::agent
