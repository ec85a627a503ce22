#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/random.h"
#include "base/result.h"

namespace prunella {

/// Ed25519 signatures (RFC 8032, pure), by OpenSSL.
struct PublicKey {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const PublicKey&) const = default;
  std::string hex() const { return to_hex(bytes); }
  /// How a key is named in envelopes: the first 16 hexadecimal digits of its SHA-256.
  std::string key_id() const;
};
/// @error kInvalidInput  not 64 hexadecimal digits.
Result<PublicKey> parse_public_key(std::string_view hex);

struct Signature {
  std::array<std::uint8_t, 64> bytes{};
  auto operator<=>(const Signature&) const = default;
};

/// A secret key: 32 bytes of seed. It's wiped when it goes out of scope.
class PrivateKey {
 public:
  explicit PrivateKey(const std::array<std::uint8_t, 32>& seed);
  PrivateKey(PrivateKey&& other) noexcept;
  PrivateKey& operator=(PrivateKey&& other) noexcept;
  ~PrivateKey();
  static PrivateKey generate(Random& random);
  /// @error kInvalidInput  not 64 hexadecimal digits. The text isn't quoted: it's secret.
  static Result<PrivateKey> from_hex_seed(std::string_view hex);

  PublicKey public_key() const;
  Signature sign(BytesView message) const;
  std::string hex_seed() const { return to_hex(seed_); }

 private:
  std::array<std::uint8_t, 32> seed_{};
};

/// False for a wrong signature, and for keys and signatures that are no valid encodings.
bool verify(const PublicKey& key, BytesView message, const Signature& signature);

}  // namespace prunella
