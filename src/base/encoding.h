#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace prunella {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_hex(BytesView bytes);
/// @error kInvalidInput  odd length or a character that is no hexadecimal digit in lower case.
Result<Bytes> from_hex(std::string_view text);

/// RFC 4648 section 4, with padding.
std::string to_base64(BytesView bytes);
/// Strict: exact padding, no blanks, no stray bits (each byte sequence has one text).
/// @error kInvalidInput
Result<Bytes> from_base64(std::string_view text);

/// CRC32C (Castagnoli), as RFC 3720 appendix B.4 defines it. Finds torn writes; it stops no attacker.
std::uint32_t crc32c(BytesView bytes);

/// True when both are equal; the time taken does not depend on where they differ.
bool equal_constant_time(BytesView a, BytesView b);

}  // namespace prunella
