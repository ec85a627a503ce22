#pragma once

#include <array>
#include <compare>
#include <memory>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/result.h"

namespace prunella {

/// A SHA-256 digest (FIPS 180-4). The default is all zeros, which stands for no content.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Digest&) const = default;
  std::string hex() const { return to_hex(bytes); }
  /// The first 12 hexadecimal digits, for people.
  std::string brief() const { return hex().substr(0, 12); }
};

/// @error kInvalidInput  not 64 hexadecimal digits in lower case.
Result<Digest> parse_digest(std::string_view hex);

Digest sha256(BytesView bytes);
inline Digest sha256(std::string_view text) { return sha256(as_bytes(text)); }

/// SHA-256 over pieces, for files that don't fit into memory.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(BytesView bytes);
  /// The digest of all that was added. Call it once.
  Digest finish();

 private:
  void* context_;  // EVP_MD_CTX; OpenSSL's headers stay out of ours
};

}  // namespace prunella
