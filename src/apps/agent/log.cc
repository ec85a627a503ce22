#include "apps/agent/log.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

namespace prunella::agent {

void log(LogLevel level, std::string_view text) {
  // The journal takes the severity from "<N>" at the front (sd-daemon(3)); a terminal shows it as it is, so it's left out there.
  static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  constexpr std::size_t kLineMax = 2000;
  std::string line;
  if (journal) line += level == LogLevel::kInfo ? "<6>" : "<4>";
  line += "prunella-agent: ";
  for (char c : text.substr(0, kLineMax)) line += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? '?' : c;
  line += '\n';
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace prunella::agent
