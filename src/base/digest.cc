#include "base/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/text.h"

namespace prunella {

Result<Digest> parse_digest(std::string_view hex) {
  auto bytes = from_hex(hex);
  if (!bytes || bytes->size() != 32) return invalid_input(quoted(hex) + " is not a SHA-256: 64 hexadecimal digits in lower case");
  Digest digest;
  std::copy(bytes->begin(), bytes->end(), digest.bytes.begin());
  return digest;
}

Digest sha256(BytesView bytes) {
  Digest digest;
  unsigned size = 0;
  check(EVP_Digest(bytes.data(), bytes.size(), digest.bytes.data(), &size, EVP_sha256(), nullptr) == 1, "SHA-256 is always available");
  return digest;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  check(context_ && EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr) == 1, "SHA-256 is always available");
}
Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256::add(BytesView bytes) {
  check(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) == 1, "hashing bytes in memory can't fail");
}

Digest Sha256::finish() {
  Digest digest;
  unsigned size = 0;
  check(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.bytes.data(), &size) == 1, "finish() is called once");
  return digest;
}

}  // namespace prunella
