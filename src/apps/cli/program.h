#pragma once

#include <string>
#include <vector>

#include "apps/cli/exit_code.h"
#include "apps/cli/session.h"

namespace prunella::cli {

/// The whole program, for words after its name.
ExitCode run_program(Environment& environment, const std::vector<std::string>& words);

}  // namespace prunella::cli
