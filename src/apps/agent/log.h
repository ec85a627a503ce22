#pragma once

#include <string_view>

namespace prunella::agent {

enum class LogLevel { kInfo, kWarning };
/// One line to standard error. Control characters become '?': part of the text may come from a peer. Any thread.
void log(LogLevel level, std::string_view text);

}  // namespace prunella::agent
