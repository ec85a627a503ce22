#pragma once

#include <atomic>

#include "adapters/linux/programs.h"

namespace prunella::agent {

/// Programs that can be ended from outside, so that stopping the agent doesn't wait for a download.
class StoppablePrograms : public Programs {
 public:
  Result<ProgramResult> run(const ProgramCall& call) override {
    if (stopped_) return unavailable("the agent is stopping");
    return programs_.run(call);
  }
  /// Ends the program that runs now (SIGTERM to its process group); later ones don't start. Any thread.
  void stop();

 private:
  LinuxPrograms programs_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace prunella::agent
