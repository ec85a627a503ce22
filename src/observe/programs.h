#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace prunella {

/// What to run and within which limits. Standard input is empty, there is no shell, the environment is exactly `environment`.
struct ProgramCall {
  std::vector<std::string> arguments;    ///< the first is the program's absolute path
  std::vector<std::string> environment;  ///< "KEY=value"
  std::string directory = "/";           ///< working directory
  Duration time_max{};                   ///< after this the whole process group is killed
  std::size_t stdout_max = 1u << 20;     ///< bytes kept; what `on_stdout` takes is not counted
  std::size_t stderr_max = 64u << 10;    ///< bytes kept, the first ones; the rest is read and dropped
  bool merge_stderr = false;             ///< standard error goes where standard output goes, in order

  /// Takes standard output piece by piece instead of keeping it. False: enough, end the program; that is no error.
  std::function<bool(std::string_view)> on_stdout;
  /// Takes whole lines that the program writes to descriptor 3 (apt's APT::Status-Fd=3). The descriptor exists when this is set.
  std::function<void(std::string_view)> on_status_line;
};

struct ProgramResult {
  std::optional<int> exit_code;   ///< when it ended by itself
  std::optional<int> signal;      ///< when a signal ended it
  bool stopped_early = false;     ///< `on_stdout` had enough
  std::string output;
  std::string errors;

  bool succeeded() const { return stopped_early || exit_code == 0; }
};

/// Port: running other programs. Any thread; a call returns when the program and its whole process group are gone.
class Programs {
 public:
  virtual ~Programs() = default;
  /// @error kNotFound     there is no such program, or it may not be run.
  /// @error kUnavailable  it did not end within time_max and was killed, or no process could be made.
  /// @error kExhausted    it wrote more than stdout_max and was killed.
  virtual Result<ProgramResult> run(const ProgramCall& call) = 0;
};

/// "apt-get ended with 100: E: ..." for people: how `result` ended and the last line of its errors.
std::string ending_text(std::string_view program, const ProgramResult& result);

}  // namespace prunella
