#include "base/ed25519.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "base/digest.h"
#include "base/text.h"

namespace prunella {

namespace {
struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Context = std::unique_ptr<EVP_MD_CTX, Free>;
}  // namespace

std::string PublicKey::key_id() const { return sha256(bytes).hex().substr(0, 16); }

Result<PublicKey> parse_public_key(std::string_view hex) {
  auto bytes = from_hex(hex);
  if (!bytes || bytes->size() != 32) return invalid_input(quoted(hex) + " is not an Ed25519 public key: 64 hexadecimal digits in lower case");
  PublicKey key;
  std::copy(bytes->begin(), bytes->end(), key.bytes.begin());
  return key;
}

PrivateKey::PrivateKey(const std::array<std::uint8_t, 32>& seed) : seed_(seed) {}
PrivateKey::PrivateKey(PrivateKey&& other) noexcept : seed_(other.seed_) { OPENSSL_cleanse(other.seed_.data(), other.seed_.size()); }
PrivateKey& PrivateKey::operator=(PrivateKey&& other) noexcept {
  if (this != &other) {
    seed_ = other.seed_;
    OPENSSL_cleanse(other.seed_.data(), other.seed_.size());
  }
  return *this;
}
PrivateKey::~PrivateKey() { OPENSSL_cleanse(seed_.data(), seed_.size()); }

PrivateKey PrivateKey::generate(Random& random) {
  std::array<std::uint8_t, 32> seed{};
  random.fill(std::as_writable_bytes(std::span(seed)));
  PrivateKey key(seed);
  OPENSSL_cleanse(seed.data(), seed.size());
  return key;
}

Result<PrivateKey> PrivateKey::from_hex_seed(std::string_view hex) {
  auto bytes = from_hex(hex);
  if (!bytes || bytes->size() != 32) return invalid_input("a secret key is 64 hexadecimal digits in lower case, this text of " + std::to_string(hex.size()) + " characters is not");
  std::array<std::uint8_t, 32> seed{};
  std::copy(bytes->begin(), bytes->end(), seed.begin());
  OPENSSL_cleanse(bytes->data(), bytes->size());
  return PrivateKey(seed);
}

PublicKey PrivateKey::public_key() const {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size()));
  PublicKey out;
  std::size_t size = out.bytes.size();
  check(key && EVP_PKEY_get_raw_public_key(key.get(), out.bytes.data(), &size) == 1, "every 32 bytes are an Ed25519 seed");
  return out;
}

Signature PrivateKey::sign(BytesView message) const {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size()));
  Context context(EVP_MD_CTX_new());
  Signature out;
  std::size_t size = out.bytes.size();
  check(key && context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
            EVP_DigestSign(context.get(), out.bytes.data(), &size, message.data(), message.size()) == 1,
        "Ed25519 signs every message");
  return out;
}

bool verify(const PublicKey& key, BytesView message, const Signature& signature) {
  Key evp(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.bytes.data(), key.bytes.size()));
  Context context(EVP_MD_CTX_new());
  return evp && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, evp.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.bytes.data(), signature.bytes.size(), message.data(), message.size()) == 1;
}

}  // namespace prunella
