#include "apps/agent/identity.h"

#include "adapters/linux/files.h"

namespace prunella::agent {

Result<Identity> read_identity(const std::string& path) {
  auto text = read_file(path, 64 * 1024);
  if (!text) return std::move(text).error();
  auto identity = from_json_text<Identity>(*text);
  // Not the parser's words: they might quote the key.
  if (!identity) return invalid_input(path + " does not hold a key and a certificate: enrol again");
  return identity;
}

Status write_identity(const std::string& path, const Identity& identity) {
  return write_file_atomically(path, to_canonical_text(identity) + "\n", 0600);
}

Instant half_life(const CertificateInfo& certificate) {
  return certificate.not_before + (certificate.not_after - certificate.not_before) / 2;
}

}  // namespace prunella::agent
