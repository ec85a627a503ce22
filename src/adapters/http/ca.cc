#include "adapters/http/ca.h"

#include <arpa/inet.h>
#include <openssl/ec.h>

#include <array>
#include <ctime>

#include "adapters/http/openssl.h"
#include "base/encoding.h"
#include "base/ids.h"
#include "base/text.h"

namespace prunella {
namespace openssl {

std::string last_error(std::string_view otherwise) {
  unsigned long code = ERR_peek_last_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  std::string text(reason ? std::string_view(reason) : otherwise);
  ERR_clear_error();
  return text;
}

namespace {

Result<Bio> bio_over(std::string_view pem) {
  if (pem.size() > kPemBytesMax)
    return invalid_input("PEM of " + std::to_string(pem.size()) + " bytes: at most " + std::to_string(kPemBytesMax) + " are read");
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) return unavailable("OpenSSL has no memory");
  return bio;
}

/// PEM readers would ask the terminal for a passphrase; an empty answer makes them fail instead.
int no_passphrase(char*, int, int, void*) { return -1; }

Result<Instant> instant_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return invalid_input("a certificate's time is not a time");
  using namespace std::chrono;
  year_month_day day{year(parts.tm_year + 1900), month(static_cast<unsigned>(parts.tm_mon + 1)),
                     std::chrono::day(static_cast<unsigned>(parts.tm_mday))};
  if (!day.ok()) return invalid_input("a certificate's date is not a date");
  return Instant(sys_days(day)) + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

}  // namespace

Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem) {
  constexpr std::size_t kChainMax = 8;  // ours have two
  auto bio = bio_over(pem);
  if (!bio) return std::move(bio).error();
  std::vector<Certificate> chain;
  while (X509* next = PEM_read_bio_X509(bio->get(), nullptr, no_passphrase, nullptr)) {
    chain.emplace_back(next);
    if (chain.size() > kChainMax) return invalid_input("more than " + std::to_string(kChainMax) + " certificates in one PEM");
  }
  bool ended_cleanly = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  std::string reason = last_error("no certificate in it");
  if (chain.empty() || !ended_cleanly) return invalid_input("not a certificate in PEM: " + reason);
  return chain;
}

Result<Key> key_from_pem(std::string_view pem) {
  auto bio = bio_over(pem);
  if (!bio) return std::move(bio).error();
  Key key(PEM_read_bio_PrivateKey(bio->get(), nullptr, no_passphrase, nullptr));
  if (!key) return invalid_input("not a private key in PEM: " + last_error("nothing in it"));
  return key;
}

Result<std::string> sha256_of(const X509* certificate) {
  std::array<std::uint8_t, 32> digest{};
  unsigned length = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1 || length != digest.size())
    return unavailable("SHA-256 of a certificate: " + last_error("failed"));
  return to_hex(digest);
}

std::string common_name_of(const X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* utf8 = nullptr;
  int length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (length < 0) {
    ERR_clear_error();
    return {};
  }
  std::string text(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(length));
  OPENSSL_free(utf8);
  return text;
}

Result<CertificateInfo> info_of(const X509* certificate) {
  CertificateInfo info;
  info.common_name = common_name_of(certificate);
  auto digest = sha256_of(certificate);
  if (!digest) return std::move(digest).error();
  info.sha256 = *std::move(digest);
  Owned<BIGNUM, BN_free> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (!number) return invalid_input("a certificate's serial number: " + last_error("not a number"));
  std::vector<std::uint8_t> serial(static_cast<std::size_t>(BN_num_bytes(number.get())));
  BN_bn2bin(number.get(), serial.data());
  info.serial = to_hex(serial);
  auto not_before = instant_of(X509_get0_notBefore(certificate));
  if (!not_before) return std::move(not_before).error();
  auto not_after = instant_of(X509_get0_notAfter(certificate));
  if (!not_after) return std::move(not_after).error();
  info.not_before = *not_before;
  info.not_after = *not_after;
  return info;
}

}  // namespace openssl

namespace {

using namespace openssl;

constexpr std::size_t kCommonNameBytesMax = 64;  // ub-common-name, RFC 5280 appendix A
constexpr std::size_t kRequestBytesMax = 8 * 1024;  // a P-256 CSR has about 400
constexpr std::size_t kServerNamesMax = 64;

Error failed(std::string_view what) { return unavailable(std::string(what) + ": " + last_error("OpenSSL failed")); }

Result<std::string> text_of(BIO* bio) {
  char* bytes = nullptr;
  long length = BIO_get_mem_data(bio, &bytes);
  if (length <= 0) return failed("writing PEM");
  return std::string(bytes, static_cast<std::size_t>(length));
}

Result<std::string> to_pem(X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) return failed("writing a certificate");
  return text_of(bio.get());
}

Result<std::string> to_pem(EVP_PKEY* key) {
  // BIO_s_secmem is wiped on free. The string that we return is the caller's to guard.
  Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return failed("writing a key");
  return text_of(bio.get());
}

Result<Key> make_key() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("making a P-256 key");
  return key;
}

bool is_accepted_key(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519")) return true;
  if (!EVP_PKEY_is_a(key, "EC")) return false;
  char group[64];
  std::size_t length = 0;
  return EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         (std::string_view(group, length) == "prime256v1" || std::string_view(group, length) == "P-256");
}

/// Ed25519 hashes for itself (RFC 8410), so that OpenSSL wants no digest for it.
const EVP_MD* digest_for(const EVP_PKEY* key) { return EVP_PKEY_is_a(key, "ED25519") ? nullptr : EVP_sha256(); }

Status set_common_name(X509_NAME* name, std::string_view text) {
  if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()), -1, 0) != 1)
    return invalid_input("the name " + quoted(text) + ": " + last_error("refused"));
  return {};
}

Status set_time(ASN1_TIME* field, Instant at) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  // ASN1_TIME_adj picks UTCTime or GeneralizedTime by the year, as RFC 5280 section 4.1.2.5 wants.
  if (!ASN1_TIME_adj(field, static_cast<std::time_t>(seconds), 0, 0))
    return invalid_input("a certificate can't end at " + to_rfc3339(at));
  return {};
}

/// 128 random bits, positive and not zero (RFC 5280 section 4.1.2.2).
Status set_serial(X509* certificate, Random& random) {
  std::array<std::uint8_t, 16> bytes{};
  random.fill(std::as_writable_bytes(std::span(bytes)));
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x7f) | 0x40);
  Owned<BIGNUM, BN_free> number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  if (!number || !BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate))) return failed("setting a serial number");
  return {};
}

Status add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  Owned<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return failed("the extension " + value);
  return {};
}

struct Extension {
  int nid;
  std::string value;
};

struct Draft {
  std::string_view common_name;
  EVP_PKEY* key;
  X509* issuer;  ///< nullptr: itself
  EVP_PKEY* issuer_key;
  Instant now;
  Duration lifetime;
  std::vector<Extension> extensions;
  GENERAL_NAMES* alternative_names = nullptr;  ///< not owned
};

Result<Certificate> sign(const Draft& draft, Random& random) {
  if (draft.lifetime < std::chrono::seconds(1))
    return invalid_input("a certificate's lifetime of " + to_text(draft.lifetime) + " is below one second");
  Certificate certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1) return failed("making a certificate");
  X509* made = certificate.get();
  X509* issuer = draft.issuer ? draft.issuer : made;
  Name name(X509_NAME_new());
  if (!name) return failed("making a name");
  if (auto set = set_common_name(name.get(), draft.common_name); !set) return std::move(set).error();
  if (auto set = set_serial(made, random); !set) return std::move(set).error();
  if (auto set = set_time(X509_getm_notBefore(made), draft.now - kBackdating); !set) return std::move(set).error();
  if (auto set = set_time(X509_getm_notAfter(made), draft.now + draft.lifetime); !set) return std::move(set).error();
  if (X509_set_subject_name(made, name.get()) != 1 || X509_set_issuer_name(made, X509_get_subject_name(issuer)) != 1 ||
      X509_set_pubkey(made, draft.key) != 1)
    return failed("filling a certificate");
  for (const Extension& extension : draft.extensions)
    if (auto added = add_extension(made, issuer, extension.nid, extension.value); !added) return std::move(added).error();
  if (draft.alternative_names &&
      X509_add1_ext_i2d(made, NID_subject_alt_name, draft.alternative_names, 0, X509V3_ADD_DEFAULT) != 1)
    return failed("adding the names of a certificate");
  if (X509_sign(made, draft.issuer_key, digest_for(draft.issuer_key)) == 0) return failed("signing a certificate");
  return certificate;
}

Result<Request> request_from_pem(std::string_view pem) {
  if (pem.size() > kRequestBytesMax)
    return invalid_input("a CSR of " + std::to_string(pem.size()) + " bytes: at most " + std::to_string(kRequestBytesMax));
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) return failed("reading a CSR");
  Request request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return invalid_input("not a certificate request in PEM: " + last_error("nothing in it"));
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!key) return invalid_input("the certificate request's key can't be read: " + last_error("unknown kind"));
  if (!is_accepted_key(key)) return invalid_input("the certificate request's key is neither P-256 nor Ed25519");
  if (X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return denied("the certificate request isn't signed by its own key");
  }
  return request;
}

Result<KeyAndRequest> request_with(Key key) {
  Request request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 || X509_REQ_sign(request.get(), key.get(), digest_for(key.get())) == 0)
    return failed("making a certificate request");
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) return failed("writing a certificate request");
  auto request_pem = text_of(bio.get());
  if (!request_pem) return std::move(request_pem).error();
  auto key_pem = to_pem(key.get());
  if (!key_pem) return std::move(key_pem).error();
  return KeyAndRequest{*std::move(key_pem), *std::move(request_pem)};
}

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (std::string_view label : split(name, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    for (char c : label)
      if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return false;
  }
  return true;
}

/// @return 4 or 16 bytes in network order; empty when `text` is no address.
std::string address_bytes(const std::string& text) {
  unsigned char bytes[16];
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return {reinterpret_cast<char*>(bytes), 4};
  if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) return {reinterpret_cast<char*>(bytes), 16};
  return {};
}

Status push_name(GENERAL_NAMES* names, int type, std::string_view bytes) {
  Owned<GENERAL_NAME, GENERAL_NAME_free> name(GENERAL_NAME_new());
  ASN1_STRING* text = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
  if (!name || !text) return failed("making a name");
  GENERAL_NAME_set0_value(name.get(), type, text);  // owns the text from here
  if (ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) != 1 || sk_GENERAL_NAME_push(names, name.get()) == 0)
    return failed("adding a name");
  (void)name.release();
  return {};
}

Status check_common_name(std::string_view name) {
  if (name.empty() || name.size() > kCommonNameBytesMax)
    return invalid_input("the certificate name " + quoted(name) + " must have 1 to 64 bytes (RFC 5280 appendix A)");
  return {};
}

}  // namespace

struct CertificateAuthority::Impl {
  Key key;
  Certificate certificate;
  std::string certificate_pem;
  CertificateInfo info;

  Status check_end(Instant now, Duration lifetime) const {
    if (now + lifetime <= info.not_after) return {};
    return invalid_input("a certificate until " + to_rfc3339(now + lifetime) + " would outlive its authority, which ends at " +
                         to_rfc3339(info.not_after));
  }
};

CertificateAuthority::CertificateAuthority(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority& CertificateAuthority::operator=(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;
const std::string& CertificateAuthority::certificate_pem() const { return impl_->certificate_pem; }
const CertificateInfo& CertificateAuthority::info() const { return impl_->info; }

Result<KeyAndCertificate> make_authority(std::string_view common_name, Instant now, Duration lifetime, Random& random) {
  if (auto named = check_common_name(common_name); !named) return std::move(named).error();
  auto key = make_key();
  if (!key) return std::move(key).error();
  Draft draft{.common_name = common_name,
              .key = key->get(),
              .issuer = nullptr,
              .issuer_key = key->get(),
              .now = now,
              .lifetime = lifetime,
              .extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                             {NID_key_usage, "critical,keyCertSign,cRLSign"},
                             {NID_subject_key_identifier, "hash"}}};
  auto certificate = sign(draft, random);
  if (!certificate) return std::move(certificate).error();
  auto certificate_pem = to_pem(certificate->get());
  if (!certificate_pem) return std::move(certificate_pem).error();
  auto key_pem = to_pem(key->get());
  if (!key_pem) return std::move(key_pem).error();
  return KeyAndCertificate{*std::move(key_pem), *std::move(certificate_pem)};
}

Result<CertificateAuthority> CertificateAuthority::load(const KeyAndCertificate& authority) {
  auto impl = std::make_unique<Impl>();
  auto key = key_from_pem(authority.key_pem);
  if (!key) return std::move(key).error();
  auto chain = certificates_from_pem(authority.certificate_pem);
  if (!chain) return std::move(chain).error();
  impl->key = *std::move(key);
  impl->certificate = std::move(chain->front());
  if (X509_check_private_key(impl->certificate.get(), impl->key.get()) != 1) {
    ERR_clear_error();
    return invalid_input("the authority's key does not belong to its certificate");
  }
  if (X509_check_ca(impl->certificate.get()) != 1) return invalid_input("the authority's certificate is not one of a CA");
  auto info = info_of(impl->certificate.get());
  if (!info) return std::move(info).error();
  impl->info = *std::move(info);
  auto pem = to_pem(impl->certificate.get());
  if (!pem) return std::move(pem).error();
  impl->certificate_pem = *std::move(pem);
  return CertificateAuthority(std::move(impl));
}

Result<KeyAndCertificate> CertificateAuthority::issue_server(const ServerNames& names, Instant now, Duration lifetime,
                                                             Random& random) const {
  if (auto end = impl_->check_end(now, lifetime); !end) return std::move(end).error();
  std::size_t count = names.dns.size() + names.addresses.size();
  if (count == 0 || count > kServerNamesMax)
    return invalid_input("a server certificate with " + std::to_string(count) + " names: 1 to 64 are possible");
  Owned<GENERAL_NAMES, GENERAL_NAMES_free> alternatives(GENERAL_NAMES_new());
  if (!alternatives) return failed("making names");
  for (const std::string& name : names.dns) {
    if (!is_dns_name(name)) return invalid_input(quoted(name) + " is not a DNS name");
    if (auto pushed = push_name(alternatives.get(), GEN_DNS, name); !pushed) return std::move(pushed).error();
  }
  for (const std::string& address : names.addresses) {
    std::string bytes = address_bytes(address);
    if (bytes.empty()) return invalid_input(quoted(address) + " is not an IPv4 or IPv6 address");
    if (auto pushed = push_name(alternatives.get(), GEN_IPADD, bytes); !pushed) return std::move(pushed).error();
  }
  auto key = make_key();
  if (!key) return std::move(key).error();
  const std::string& first = names.dns.empty() ? names.addresses.front() : names.dns.front();
  Draft draft{.common_name = std::string_view(first).substr(0, kCommonNameBytesMax),
              .key = key->get(),
              .issuer = impl_->certificate.get(),
              .issuer_key = impl_->key.get(),
              .now = now,
              .lifetime = lifetime,
              .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                             {NID_key_usage, "critical,digitalSignature"},
                             {NID_ext_key_usage, "serverAuth"},
                             {NID_subject_key_identifier, "hash"},
                             {NID_authority_key_identifier, "keyid:always"}},
              .alternative_names = alternatives.get()};
  auto certificate = sign(draft, random);
  if (!certificate) return std::move(certificate).error();
  auto certificate_pem = to_pem(certificate->get());
  if (!certificate_pem) return std::move(certificate_pem).error();
  auto key_pem = to_pem(key->get());
  if (!key_pem) return std::move(key_pem).error();
  return KeyAndCertificate{*std::move(key_pem), *std::move(certificate_pem) + impl_->certificate_pem};
}

Result<std::string> CertificateAuthority::issue_client(std::string_view request_pem, std::string_view host_id, Instant now,
                                                       Duration lifetime, Random& random) const {
  if (auto end = impl_->check_end(now, lifetime); !end) return std::move(end).error();
  if (auto named = check_name("host id", host_id); !named) return std::move(named).error();
  if (auto named = check_common_name(host_id); !named) return std::move(named).error();
  auto request = request_from_pem(request_pem);
  if (!request) return std::move(request).error();
  Draft draft{.common_name = host_id,
              .key = X509_REQ_get0_pubkey(request->get()),
              .issuer = impl_->certificate.get(),
              .issuer_key = impl_->key.get(),
              .now = now,
              .lifetime = lifetime,
              .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                             {NID_key_usage, "critical,digitalSignature"},
                             {NID_ext_key_usage, "clientAuth"},
                             {NID_subject_key_identifier, "hash"},
                             {NID_authority_key_identifier, "keyid:always"}}};
  auto certificate = sign(draft, random);
  if (!certificate) return std::move(certificate).error();
  return to_pem(certificate->get());
}

Result<KeyAndRequest> make_host_key() {
  auto key = make_key();
  if (!key) return std::move(key).error();
  return request_with(*std::move(key));
}

Result<KeyAndRequest> make_request(std::string_view key_pem) {
  auto key = key_from_pem(key_pem);
  if (!key) return std::move(key).error();
  return request_with(*std::move(key));
}

Status check_request(std::string_view request_pem) {
  auto request = request_from_pem(request_pem);
  if (!request) return std::move(request).error();
  return {};
}

Result<CertificateInfo> parse_certificate(std::string_view certificate_pem) {
  auto chain = certificates_from_pem(certificate_pem);
  if (!chain) return std::move(chain).error();
  return info_of(chain->front().get());
}

Result<std::string> certificate_sha256(std::string_view certificate_pem) {
  auto chain = certificates_from_pem(certificate_pem);
  if (!chain) return std::move(chain).error();
  return sha256_of(chain->front().get());
}

}  // namespace prunella
