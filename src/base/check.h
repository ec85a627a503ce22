#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace prunella {

/// Stops the program when `holds` is false: for what only a mistake of ours can break, never for data from outside.
/// On in release builds, since a healer that goes on with a broken invariant harms the host.
inline void check(bool holds, const char* what,
                  std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: broken invariant: %s\n", where.file_name(), static_cast<unsigned>(where.line()), what);
  std::abort();
}

}  // namespace prunella
