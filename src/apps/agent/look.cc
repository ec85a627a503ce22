#include <unistd.h>

#include <algorithm>

#include "adapters/executor_host/processes.h"
#include "adapters/linux/host.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/observer.h"

namespace prunella::agent {

namespace {

template <class T>
Sensed<T> as_sensed(Result<T> looked) {
  Instant now = SystemClock().now();
  if (!looked) return not_sensed<T>(looked.error().text(), now);
  return sensed(*std::move(looked), now);
}

}  // namespace

Sensed<PackageFacts> look_at_packages_once() { return as_sensed(sense_packages("")); }

Sensed<SystemFacts> look_at_system(const std::optional<PackageFacts>& packages) {
  if (!packages) return not_sensed<SystemFacts>("dpkg's database, which names the architecture, could not be read", SystemClock().now());
  return as_sensed(sense_system("", *packages));
}

Sensed<DiskFacts> look_at_disk_once() { return as_sensed(sense_disk()); }

Sensed<ProcessFacts> look_at_processes_once(const std::string& why_no_executor) {
  if (::geteuid() != 0)
    return not_sensed<ProcessFacts>("the executor was not asked, and only root sees every process: " + why_no_executor, SystemClock().now());
  auto root = HostRoot::open("/");
  if (!root) return not_sensed<ProcessFacts>(root.error().text(), SystemClock().now());
  return as_sensed(ProcTool(*root).observe());
}

}  // namespace prunella::agent
