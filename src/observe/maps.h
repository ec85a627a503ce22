#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace prunella {

/// 32 MiB: a process may have 65,530 mappings (vm.max_map_count) of about 100 bytes, and some databases raise that.
inline constexpr std::size_t kMapsBytesMax = 32u << 20;

/// A file that a process maps.
struct MappedFile {
  std::string path;         ///< without " (deleted)", escapes of newlines undone
  std::uint64_t inode = 0;
  bool deleted = false;     ///< the mapped file has no name any more: it was removed or replaced
  bool executable = false;  ///< some part of it is mapped to run
  auto operator<=>(const MappedFile&) const = default;
};

/// The files of a /proc/PID/maps, each (path, inode) once, sorted by path. Mappings without a file are left out.
/// Source: proc(5) "/proc/pid/maps".
/// @error kInvalidInput  a line of another form: quoted, with its number.
/// @error kExhausted     larger than kMapsBytesMax.
Result<std::vector<MappedFile>> parse_maps(std::string_view text);

/// Whether a deleted mapping means old code: executable, and not among what programs map and delete on purpose (memfd, SYSV
/// and POSIX shared memory, /tmp, /var/tmp, /run, /dev, files that just-in-time compilers make).
/// Source: PATCHING.md 5.2 "Services needing restart"; needrestart's list of exceptions.
bool is_stale_code(const MappedFile& file);

/// The paths of the stale code in `files`, each once, sorted, at most 16 (model/host.h).
std::vector<std::string> stale_files(const std::vector<MappedFile>& files);

}  // namespace prunella
