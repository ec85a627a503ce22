#include "base/encoding.h"

#include <array>

#include "base/text.h"

namespace prunella {

std::string to_hex(BytesView bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::uint8_t b : bytes) out.push_back(kHex[b >> 4]), out.push_back(kHex[b & 15]);
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() % 2 != 0) return invalid_input(quoted(text) + " has an odd number of hexadecimal digits");
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return invalid_input(quoted(text) + " is not hexadecimal in lower case");
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

namespace {
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string to_base64(BytesView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = static_cast<std::uint32_t>(bytes[i]) << 16;
    if (i + 1 < bytes.size()) group |= static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    if (i + 2 < bytes.size()) group |= bytes[i + 2];
    out.push_back(kBase64[group >> 18]);
    out.push_back(kBase64[group >> 12 & 63]);
    out.push_back(i + 1 < bytes.size() ? kBase64[group >> 6 & 63] : '=');
    out.push_back(i + 2 < bytes.size() ? kBase64[group & 63] : '=');
  }
  return out;
}

Result<Bytes> from_base64(std::string_view text) {
  static constexpr auto kValues = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kBase64.size(); ++i) values[static_cast<unsigned char>(kBase64[i])] = static_cast<std::int8_t>(i);
    return values;
  }();
  auto wrong = [&] { return invalid_input(quoted(text, 24) + " is not base64 with padding (RFC 4648)"); };
  if (text.size() % 4 != 0) return wrong();
  std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t filled = i + 4 == text.size() ? 4 - padding : 4;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      int value = j < filled ? kValues[static_cast<unsigned char>(text[i + j])] : 0;
      if (value < 0) return wrong();
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    if ((filled == 2 && (group & 0xFFFF) != 0) || (filled == 3 && (group & 0xFF) != 0)) return wrong();
    out.push_back(static_cast<std::uint8_t>(group >> 16));
    if (filled > 2) out.push_back(static_cast<std::uint8_t>(group >> 8));
    if (filled > 3) out.push_back(static_cast<std::uint8_t>(group));
  }
  return out;
}

std::uint32_t crc32c(BytesView bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82F63B78u : value >> 1;
      table[i] = value;
    }
    return table;
  }();
  std::uint32_t crc = ~0u;
  for (std::uint8_t b : bytes) crc = kTable[(crc ^ b) & 0xFF] ^ crc >> 8;
  return ~crc;
}

bool equal_constant_time(BytesView a, BytesView b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace prunella
