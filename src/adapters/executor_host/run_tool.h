#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "act/ports.h"
#include "adapters/executor_host/host_root.h"

namespace prunella {

/// In the environment of every tool that an executor starts, and so of what these start: by it a later executor knows the
/// processes of one that was killed.
inline constexpr std::string_view kToolMark = "PRUNELLA_EXECUTOR_TOOL=1";

/// A program to run, without a shell.
struct ToolCall {
  std::string program;                    ///< absolute path of a regular file that root owns and nobody else may write
  std::vector<std::string> arguments;
  std::vector<std::string> environment;   ///< beyond PATH, LC_ALL and kToolMark, which are all that it gets
  Monotonic deadline{};                   ///< then SIGTERM, and SIGKILL kTermGrace later
  std::function<void(std::string)> line;  ///< each line of its standard output and error; cut to kToolLineMax
  std::function<Status(BytesView)> raw;   ///< instead, the bytes of its standard output; an error ends the program
  std::function<void(std::string)> status_line;  ///< each line that it writes to descriptor 3 (apt's Status-Fd)
  std::optional<std::uint32_t> uid;       ///< runs as this user and the group below, without other groups
  std::uint32_t gid = 0;
  bool script = false;                    ///< it may be a script, whose interpreter must open it again
};
inline constexpr std::size_t kToolLineMax = 4096;
inline constexpr Duration kTermGrace = std::chrono::seconds(10);  // dpkg ends a package's step cleanly in far less

/// Runs it by its file descriptor (execveat(2)), so that what was checked is what runs; its input is /dev/null, it leads its own
/// session, and it dies with the executor.
/// @return its exit code; 128 and the signal's number when a signal ended it.
/// @error kDenied       the program isn't what `program` says above.
/// @error kUnavailable  it couldn't be started, or the deadline ended it.
Result<int> run_tool(const HostRoot& root, const ToolCall& call);

}  // namespace prunella
