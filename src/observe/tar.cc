#include "observe/tar.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace prunella {

namespace {

inline constexpr std::size_t kBlock = 512;
inline constexpr std::size_t kMetaBytesMax = 64u << 10;
inline constexpr std::size_t kPathBytesMax = 4096;
// 200,000: the largest package of Debian has some 60,000 files.
inline constexpr std::size_t kEntriesMax = 200'000;

std::string_view text_field(std::string_view block, std::size_t at, std::size_t size) {
  std::string_view field = block.substr(at, size);
  return field.substr(0, field.find('\0'));
}

// Octal digits with blanks or NULs around them, or GNU's binary form for what does not fit.
Result<std::uint64_t> number_field(std::string_view block, std::size_t at, std::size_t size) {
  std::string_view field = block.substr(at, size);
  std::uint64_t value = 0;
  if (static_cast<unsigned char>(field[0]) == 0x80) {
    for (char c : field.substr(1)) {
      if (value >> 55) return invalid_input("a number of a tar header is too large");
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  bool digits = false;
  for (char c : field) {
    if (c >= '0' && c <= '7') {
      if (value >> 60) return invalid_input("a number of a tar header is too large");
      value = value * 8 + static_cast<std::uint64_t>(c - '0');
      digits = true;
    } else if (c == ' ' || c == '\0') {
      if (digits) break;
    } else {
      return invalid_input(quoted(field) + " is not an octal number of a tar header");
    }
  }
  return value;
}

bool checksum_holds(std::string_view block, std::uint64_t stated) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i)
    sum += i >= 148 && i < 156 ? static_cast<unsigned char>(' ') : static_cast<unsigned char>(block[i]);
  return sum == stated;
}

std::string normal_path(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path == "." ? std::string() : std::string(path);
}

bool is_meta(char type) { return type == 'L' || type == 'K' || type == 'x' || type == 'g'; }

}  // namespace

Status TarReader::add(std::string_view bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kFinished) return {};
    if (state_ == State::kHeader) {
      std::size_t taken = std::min(kBlock - block_.size(), bytes.size());
      block_.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      if (block_.size() < kBlock) return {};
      std::string block = std::exchange(block_, {});
      if (auto read = header(block); !read) return read;
      continue;
    }
    if (left_ > 0) {
      std::size_t taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      if (state_ == State::kMeta) meta_.append(bytes.substr(0, taken));
      else if (wanted_) on_content_(entry_, bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      left_ -= taken;
      if (left_ > 0) return {};
    }
    std::size_t skipped = static_cast<std::size_t>(std::min<std::uint64_t>(padding_, bytes.size()));
    bytes.remove_prefix(skipped);
    padding_ -= skipped;
    if (padding_ > 0) return {};
    if (state_ == State::kMeta) {
      if (auto done = meta_done(); !done) return done;
    } else {
      content_ends();
    }
    state_ = State::kHeader;
  }
  return {};
}

Status TarReader::header(std::string_view block) {
  if (block.find_first_not_of('\0') == std::string_view::npos) {
    state_ = State::kFinished;
    return {};
  }
  auto stated = number_field(block, 148, 8);
  if (!stated) return std::move(stated).error();
  if (!checksum_holds(block, *stated)) return invalid_input("a tar header's checksum is wrong: " + quoted(block.substr(0, 100)));
  if (++entries_ > kEntriesMax) return exhausted("a tar archive of more than " + std::to_string(kEntriesMax) + " entries");
  auto size = number_field(block, 124, 12);
  if (!size) return std::move(size).error();
  auto mode = number_field(block, 100, 8);
  if (!mode) return std::move(mode).error();
  char type = block[156] == '\0' ? '0' : block[156];
  std::uint64_t content = *size;
  if (is_meta(type)) {
    if (content > kMetaBytesMax) return exhausted("a tar header of " + bytes_text(content));
    meta_type_ = type;
    meta_.clear();
    state_ = State::kMeta;
  } else {
    std::string_view prefix = block.substr(257, 6) == std::string_view("ustar\0", 6) ? text_field(block, 345, 155) : std::string_view();
    std::string path = prefix.empty() ? std::string(text_field(block, 0, 100)) : std::string(prefix) + "/" + std::string(text_field(block, 0, 100));
    entry_ = TarEntry{normal_path(long_path_.empty() ? path : long_path_), type,
                      long_target_.empty() ? std::string(text_field(block, 157, 100)) : long_target_, 0,
                      static_cast<std::uint32_t>(*mode & 07777)};
    if (has_pax_size_) content = pax_size_;
    // Links and directories may state a size and have no content.
    if (type != '0' && type != '7') content = 0;
    entry_.size = content;
    long_path_.clear();
    long_target_.clear();
    has_pax_size_ = false;
    state_ = State::kContent;
    wanted_ = on_entry_(entry_) == Want::kRead;
  }
  left_ = content;
  padding_ = (kBlock - content % kBlock) % kBlock;
  if (content > 0) return {};
  if (state_ == State::kMeta) {
    if (auto done = meta_done(); !done) return done;
  } else {
    content_ends();
  }
  state_ = State::kHeader;
  return {};
}

void TarReader::content_ends() {
  if (wanted_) on_content_(entry_, {});
  wanted_ = false;
}

Status TarReader::meta_done() {
  if (meta_type_ == 'L' || meta_type_ == 'K') {
    std::string_view name = std::string_view(meta_).substr(0, meta_.find('\0'));
    if (name.size() > kPathBytesMax) return exhausted("a path of " + bytes_text(name.size()) + " in a tar archive");
    (meta_type_ == 'L' ? long_path_ : long_target_) = name;
    return {};
  }
  if (meta_type_ == 'g') return {};
  // pax records: "LENGTH key=value\n", the length counting itself.
  std::string_view rest = meta_;
  while (!rest.empty()) {
    std::size_t blank = rest.find(' ');
    auto length = parse_uint(rest.substr(0, blank));
    if (blank == std::string_view::npos || !length || *length <= blank + 1 || *length > rest.size())
      return invalid_input("a pax header of a tar archive is damaged: " + quoted(rest));
    std::string_view record = rest.substr(blank + 1, *length - blank - 2);
    rest.remove_prefix(*length);
    std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return invalid_input("a pax record without '=': " + quoted(record));
    std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (value.size() > kPathBytesMax) return exhausted("a pax value of " + bytes_text(value.size()));
    if (key == "path") long_path_ = value;
    if (key == "linkpath") long_target_ = value;
    if (key == "size") {
      auto size = parse_uint(value);
      if (!size) return std::move(size).error();
      pax_size_ = *size;
      has_pax_size_ = true;
    }
  }
  return {};
}

}  // namespace prunella
