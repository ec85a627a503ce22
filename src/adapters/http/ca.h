#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"

namespace prunella {

/// The certificate authority of one control plane: it vouches for the server and, for a day at a time, for hosts.
///
/// All keys are ECDSA on P-256 with SHA-256, not Ed25519: the console is opened in browsers, and neither Chrome nor Firefox takes
/// an Ed25519 certificate; P-256 signing and checking is also the fastest that OpenSSL has for a handshake. A host's CSR may
/// bring either. Keys come from OpenSSL's own generator; the Random port only gives serial numbers.
///
/// Nothing here reads a clock: `now` is an argument. Certificates become valid kBackdating before `now`, since a host whose clock
/// is a little behind would otherwise refuse or be refused.
inline constexpr Duration kBackdating = std::chrono::minutes(5);
inline constexpr Duration kAuthorityLifetime = std::chrono::days(3650);
inline constexpr Duration kHostLifetime = std::chrono::hours(24);

struct KeyAndCertificate {
  std::string key_pem;          ///< PKCS #8, not encrypted: secret
  std::string certificate_pem;  ///< one certificate
};

struct KeyAndRequest {
  std::string key_pem;      ///< secret; never leaves the host
  std::string request_pem;  ///< the CSR (PKCS #10)
};

struct CertificateInfo {
  std::string common_name;  ///< of the subject; empty when it has none
  std::string sha256;       ///< of the DER, 64 hexadecimal digits: the fingerprint
  std::string serial;       ///< hexadecimal, lower case, as `openssl x509 -serial` shows it
  Instant not_before;
  Instant not_after;
};

/// A self-signed CA certificate for `common_name`, valid for `lifetime`, that may sign no further CA.
/// @error kInvalidInput  an empty or over-long name (1 to 64 bytes), a lifetime below one second.
/// @error kUnavailable   OpenSSL can't make keys.
Result<KeyAndCertificate> make_authority(std::string_view common_name, Instant now, Duration lifetime, Random& random);

class CertificateAuthority {
 public:
  /// @error kInvalidInput  not a key and a CA certificate in PEM, or the key isn't the certificate's.
  static Result<CertificateAuthority> load(const KeyAndCertificate& authority);
  CertificateAuthority(CertificateAuthority&&) noexcept;
  CertificateAuthority& operator=(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  struct ServerNames {
    std::vector<std::string> dns;
    std::vector<std::string> addresses;  ///< IPv4 or IPv6, as text
  };
  /// A new key and a certificate for a TLS server with these names. The certificate's PEM holds the CA's after it, so that a
  /// client that was given only the CA's digest finds it in the handshake.
  /// @error kInvalidInput  no name at all, a name that is none, or a lifetime that ends after the CA's.
  Result<KeyAndCertificate> issue_server(const ServerNames& names, Instant now, Duration lifetime, Random& random) const;

  /// A client certificate for `host_id` with the CSR's key. Of the CSR only the key is used: a host can't choose its name.
  /// Checks the CSR first as check_request() does.
  /// @error kInvalidInput  a bad CSR, a host_id that isn't 1 to 64 bytes of a name, or a lifetime that ends after the CA's.
  /// @error kDenied        the CSR's signature isn't by its key.
  Result<std::string> issue_client(std::string_view request_pem, std::string_view host_id, Instant now, Duration lifetime,
                                   Random& random) const;

  const std::string& certificate_pem() const;
  const CertificateInfo& info() const;

 private:
  struct Impl;
  explicit CertificateAuthority(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A new host key with a CSR that names nothing. For the agent.
Result<KeyAndRequest> make_host_key();
/// A new CSR for a key that exists, for renewal without a new key.
/// @error kInvalidInput  not a private key in PEM. The text isn't quoted: it's secret.
Result<KeyAndRequest> make_request(std::string_view key_pem);

/// That `request_pem` is one CSR with a P-256 or Ed25519 key and signed by that key (the sender has the private key).
/// @error kInvalidInput  not a CSR, too long, or another kind of key.
/// @error kDenied        the signature is wrong.
Status check_request(std::string_view request_pem);

/// Of the first certificate in `certificate_pem`.
/// @error kInvalidInput  not a certificate, or a time that is none.
Result<CertificateInfo> parse_certificate(std::string_view certificate_pem);
/// SHA-256 of the first certificate's DER, 64 hexadecimal digits: what an enrolment line pins.
Result<std::string> certificate_sha256(std::string_view certificate_pem);

}  // namespace prunella
