#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <string>
#include <string_view>

#include "base/result.h"

namespace prunella {

/// An entry of a tar archive.
struct TarEntry {
  std::string path;    ///< without "./" in front; "" is the root
  char type = '0';     ///< '0' file, '1' hard link, '2' symbolic link, '5' directory, others as the format has them
  std::string target;  ///< of a link
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  bool operator==(const TarEntry&) const = default;
};

/// Reads a tar archive piece by piece, as `dpkg-deb --fsys-tarfile` writes it: it keeps a block and the wanted files, nothing else.
/// Source: tar(5) (ustar, GNU long names 'L' and 'K', pax 'x' and 'g' headers' path, linkpath and size); deb(5).
class TarReader {
 public:
  enum class Want { kSkip, kRead };
  /// Called with each entry's header. kRead: its content comes to `content` in pieces, and an empty piece at its end.
  using OnEntry = std::function<Want(const TarEntry&)>;
  using OnContent = std::function<void(const TarEntry&, std::string_view piece)>;

  TarReader(OnEntry entry, OnContent content) : on_entry_(std::move(entry)), on_content_(std::move(content)) {}

  /// @error kInvalidInput  not a tar archive: a header's checksum or number is wrong. Nothing more may be added then.
  /// @error kExhausted     a long name above 4 KiB, or more than 200,000 entries.
  Status add(std::string_view bytes);
  /// The two empty blocks at the end were read.
  bool finished() const { return state_ == State::kFinished; }

 private:
  enum class State { kHeader, kContent, kMeta, kFinished };
  Status header(std::string_view block);
  Status meta_done();
  void content_ends();

  OnEntry on_entry_;
  OnContent on_content_;
  State state_ = State::kHeader;
  std::string block_;       // bytes of an unfinished header
  TarEntry entry_;
  bool wanted_ = false;
  char meta_type_ = 0;
  std::string meta_;        // content of a long name or pax header
  std::string long_path_;
  std::string long_target_;
  std::uint64_t pax_size_ = 0;
  bool has_pax_size_ = false;
  std::uint64_t left_ = 0;  // bytes of content
  std::uint64_t padding_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace prunella
