#pragma once

#include "observe/programs.h"

namespace prunella {

/// Runs programs with posix_spawn: no shell, a process group of their own, signals at their defaults, no descriptor but 0, 1, 2
/// and, if asked for, 3. Any thread; the caller waits.
class LinuxPrograms : public Programs {
 public:
  Result<ProgramResult> run(const ProgramCall& call) override;
};

}  // namespace prunella
