#pragma once

#include <optional>
#include <string>

#include "adapters/http/ca.h"
#include "apps/agent/config.h"

namespace prunella::agent {

/// The host's key and its certificate, in one file, so that they always belong together.
struct Identity {
  std::string key_pem;
  std::string certificate_pem;
  bool operator==(const Identity&) const = default;
};
template <class F>
void fields(F& f, Identity& i) {
  f("key_pem", i.key_pem);
  f("certificate_pem", i.certificate_pem);
}

/// @error kNotFound, kInvalidInput, kDenied. The text quotes nothing of it.
Result<Identity> read_identity(const std::string& path);
/// Mode 0600, complete or not at all.
Status write_identity(const std::string& path, const Identity& identity);

/// When a certificate should be renewed: half of its life is over.
Instant half_life(const CertificateInfo& certificate);

}  // namespace prunella::agent
