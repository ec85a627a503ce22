#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

/// Reading and writing whole files. Any thread.
namespace prunella {

/// The whole of a regular file, or of one of the kernel's files whose size is not told beforehand.
/// @error kNotFound      there is no such file.
/// @error kDenied        this user may not read it.
/// @error kExhausted     it holds more than `bytes_max`; a limit and no waste of memory, however large it is.
/// @error kInvalidInput  it is a directory, a pipe or a device.
/// @error kUnavailable   reading failed.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

/// Replaces `path` by `content`: readers see the old or the new file, and after a value is returned a crash keeps the new one.
/// A temporary file beside it (".NAME.new") may be left by a crash and is used again.
/// @error kDenied, kExhausted (no space), kUnavailable: the old file is still there.
Status write_file_atomically(const std::string& path, std::string_view content, unsigned mode);

/// Names in a directory, sorted, without "." and "..".
/// @error kNotFound, kDenied, kUnavailable as above. kExhausted: more than `entries_max`.
Result<std::vector<std::string>> list_directory(const std::string& path, std::size_t entries_max);

/// What the system said (errno) as an Error with `what` in front.
Error system_error(int number, const std::string& what);

}  // namespace prunella
