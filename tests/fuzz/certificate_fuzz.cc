// Bytes as a certificate and as a certificate request, in PEM and wrapped into PEM, so that the fuzzer reaches the DER behind
// base64. A request that isn't properly signed must never be issued a certificate, whatever it holds.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "adapters/http/ca.h"
#include "base/check.h"
#include "base/encoding.h"
#include "../support/counting_random.h"

namespace {

using namespace prunella;

const Instant kNow = Instant(std::chrono::sys_days(std::chrono::year(2026) / 11 / 24));

const CertificateAuthority& authority() {
  static testing::CountingRandom random;
  static const CertificateAuthority made =
      CertificateAuthority::load(make_authority("Fuzz CA", kNow, kAuthorityLifetime, random).value()).value();
  return made;
}

std::string wrap(std::string_view label, BytesView der) {
  std::string base64 = to_base64(der), out = "-----BEGIN " + std::string(label) + "-----\n";
  for (std::size_t i = 0; i < base64.size(); i += 64) out += base64.substr(i, 64) + "\n";
  return out + "-----END " + std::string(label) + "-----\n";
}

void try_request(std::string_view pem) {
  testing::CountingRandom random;
  auto issued = authority().issue_client(pem, "web-1", kNow, kHostLifetime, random);
  check(issued.has_value() == check_request(pem).has_value(), "only a good request is issued a certificate");
  if (!issued) return;
  auto info = parse_certificate(*issued);
  check(info && info->common_name == "web-1", "the name is the server's, not the request's");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  BytesView bytes(data, size);

  try_request(as_text(bytes));
  try_request(wrap("CERTIFICATE REQUEST", bytes));
  (void)parse_certificate(as_text(bytes));
  auto info = parse_certificate(wrap("CERTIFICATE", bytes));
  if (info) check(info->sha256.size() == 64, "a fingerprint has 64 digits");
  return 0;
}
