#include "base/display.h"

#include <cstdint>
#include <cstdio>

#include "base/text.h"

namespace prunella {

namespace {

bool is_hidden(std::uint32_t c) {
  return (c >= 0x80 && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

void append_byte(std::string& out, unsigned char byte) {
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\x%02x", byte);
  out += buffer;
}

}  // namespace

std::string display_text(std::string_view text, std::size_t max) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (out.size() >= max) return out + "...";
    auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      if (byte < 0x20 || byte == 0x7f)
        append_byte(out, byte);
      else
        out += static_cast<char>(byte);
      ++at;
      continue;
    }
    std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    std::string_view sequence = text.substr(at, length);
    if (sequence.size() < length || !is_valid_utf8(sequence)) {
      append_byte(out, byte);
      ++at;
      continue;
    }
    std::uint32_t c = byte & (0xffu >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) c = (c << 6) | (static_cast<unsigned char>(sequence[i]) & 0x3fu);
    if (is_hidden(c)) {
      char buffer[16];
      std::snprintf(buffer, sizeof buffer, "\\u{%x}", c);
      out += buffer;
    } else {
      out += sequence;
    }
    at += length;
  }
  return out;
}

}  // namespace prunella
