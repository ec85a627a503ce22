#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/result.h"
#include "observe/conffiles.h"

/// The few things that this folder does with files. Any thread.
namespace prunella::apt_files {

/// A file's size and time of change; absent when there is no regular file.
struct FileMark {
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
};
std::optional<FileMark> mark_of(const std::string& path);

/// @error kNotFound, kDenied, kUnavailable.
Result<Digest> hash_file(const std::string& path);
/// What is on the disk at a conffile's place, as dpkg compares it.
ConffileOnDisk conffile_on_disk(const std::string& path);
/// The whole file. @error kNotFound, kDenied, kExhausted (above `bytes_max`), kUnavailable.
Result<std::string> read_whole(const std::string& path, std::size_t bytes_max);
/// Replaces `path`; readers see the old or the new content. @error as above.
Status replace_file(const std::string& path, std::string_view content, unsigned mode);
/// A copy of `from` at `to`, which appears complete or not at all, with mode 0644. @error as above.
Status copy_file(const std::string& from, const std::string& to);
Status make_directory(const std::string& path, unsigned mode);

}  // namespace prunella::apt_files
