#include "apps/agent/stoppable_programs.h"

#include <signal.h>

#include "adapters/linux/files.h"
#include "base/text.h"

namespace prunella::agent {

void StoppablePrograms::stop() {
  stopped_ = true;
  // Our children by the kernel's list of each thread's (proc(5), /proc/PID/task/TID/children); each leads its own process group.
  constexpr std::size_t kThreadsMax = 64;
  auto threads = list_directory("/proc/self/task", kThreadsMax);
  if (!threads) return;
  for (const std::string& thread : *threads) {
    auto children = read_file("/proc/self/task/" + thread + "/children", 64 * 1024);
    if (!children) continue;
    for (std::string_view word : split_blanks(*children))
      if (auto pid = parse_int(trim(word)); pid && *pid > 1) ::kill(-static_cast<pid_t>(*pid), SIGTERM);
  }
}

}  // namespace prunella::agent
