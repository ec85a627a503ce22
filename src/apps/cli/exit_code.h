#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace prunella::cli {

/// How the program ends. The table below is what the man page prints, and scripts rely on it: add, never change.
enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kChanges = 2,
  kNothing = 3,
  kAuth = 4,
  kPrecondition = 5,
  kPartly = 6,
  kTimeout = 7,
  kRunning = 8,
  kUsage = 64,
  kInterrupted = 130,
};

inline constexpr std::array<std::pair<ExitCode, std::string_view>, 11> kExitCodes = {{
    {ExitCode::kOk, "it was done, or there was nothing to do"},
    {ExitCode::kFailed, "it failed"},
    {ExitCode::kChanges, "changes are pending (plan only)"},
    {ExitCode::kNothing, "there is no such thing, or nothing was found"},
    {ExitCode::kAuth, "not allowed: no token, a wrong one, one without the scope, or a certificate that isn't the pinned one"},
    {ExitCode::kPrecondition, "a condition for it doesn't hold: the plan drifted, somebody else was first, a policy is missing"},
    {ExitCode::kPartly, "it was done for a part of the hosts"},
    {ExitCode::kTimeout, "no answer in time"},
    {ExitCode::kRunning, "it still goes on (the watch ended before it)"},
    {ExitCode::kUsage, "the command line is wrong"},
    {ExitCode::kInterrupted, "interrupted"},
}};

/// The code for an error that nothing more is known of.
inline ExitCode exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidInput: return ExitCode::kUsage;
    case ErrorKind::kNotFound: return ExitCode::kNothing;
    case ErrorKind::kConflict:
    case ErrorKind::kExpired: return ExitCode::kPrecondition;
    case ErrorKind::kDenied: return ExitCode::kAuth;
    case ErrorKind::kUnavailable:
    case ErrorKind::kCorrupt:
    case ErrorKind::kExhausted: return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

}  // namespace prunella::cli
