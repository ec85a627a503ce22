#include "adapters/http/tls.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "adapters/http/openssl.h"
#include "base/encoding.h"
#include "base/text.h"

namespace prunella {

std::string_view to_text(TlsFailureKind kind) {
  switch (kind) {
    case TlsFailureKind::kExpired: return "expired certificate";
    case TlsFailureKind::kNotYetValid: return "certificate not yet valid";
    case TlsFailureKind::kUnknownCa: return "wrong CA";
    case TlsFailureKind::kWrongPurpose: return "wrong purpose";
    case TlsFailureKind::kWrongName: return "wrong name";
    case TlsFailureKind::kWrongPin: return "wrong pin";
    case TlsFailureKind::kBadCertificate: return "bad certificate";
    case TlsFailureKind::kProtocol: return "not TLS 1.3";
    case TlsFailureKind::kPeerRefused: return "refused by the other side";
    case TlsFailureKind::kTimeout: return "timeout";
    case TlsFailureKind::kClosed: return "closed";
    case TlsFailureKind::kOther: return "other";
  }
  return "other";
}

namespace tls {
namespace {

using namespace openssl;
using SslContext = Owned<SSL_CTX, SSL_CTX_free>;

constexpr int kAlertReasons = 1000;  // SSL_AD_REASON_OFFSET: reasons from here on are alerts that the other side sent

TlsFailureKind kind_of_verify_error(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return TlsFailureKind::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID: return TlsFailureKind::kNotYetValid;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED: return TlsFailureKind::kUnknownCa;
    case X509_V_ERR_INVALID_PURPOSE: return TlsFailureKind::kWrongPurpose;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TlsFailureKind::kWrongName;
    case X509_V_ERR_APPLICATION_VERIFICATION: return TlsFailureKind::kWrongPin;
    default: return TlsFailureKind::kBadCertificate;
  }
}

// A BIO over send() and recv(): OpenSSL's own uses write(), which raises SIGPIPE when the peer is gone, and a library must not
// change the process's signals.

int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* bytes, std::size_t size, std::size_t* count) {
  BIO_clear_retry_flags(bio);
  ssize_t sent = 0;
  do {
    sent = ::send(socket_of(bio), bytes, size, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_write(bio);
    return 0;
  }
  *count = static_cast<std::size_t>(sent);
  return 1;
}

int bio_read(BIO* bio, char* bytes, std::size_t size, std::size_t* count) {
  BIO_clear_retry_flags(bio);
  ssize_t got = 0;
  do {
    got = ::recv(socket_of(bio), bytes, size, 0);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return 0;
  }
  *count = static_cast<std::size_t>(got);
  return 1;
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* make_bio_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "prunella socket");
  if (!method) return nullptr;
  BIO_meth_set_write_ex(method, bio_write);
  BIO_meth_set_read_ex(method, bio_read);
  BIO_meth_set_ctrl(method, bio_control);
  BIO_meth_set_create(method, bio_create);
  return method;
}

BIO* make_bio(int socket) {
  static BIO_METHOD* const method = make_bio_method();  // lives as long as the process
  BIO* bio = method ? BIO_new(method) : nullptr;
  if (bio) BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
  return bio;
}

Result<SslContext> make_context(const SSL_METHOD* method) {
  SslContext context(SSL_CTX_new(method));
  if (!context) return unavailable("making a TLS context: " + last_error("failed"));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One recv() a record instead of two. Callers read until kWantRead before they wait, as this needs.
  SSL_CTX_set_read_ahead(context.get(), 1);
  // No resumption: a resumed session would not look at the client's certificate again, which lives for hours only.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

Status use_certificate(SSL_CTX* context, const std::string& certificate_pem, const std::string& key_pem) {
  auto chain = certificates_from_pem(certificate_pem);
  if (!chain) return std::move(chain).error();
  auto key = key_from_pem(key_pem);
  if (!key) return std::move(key).error();
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1)
    return invalid_input("the certificate can't be used: " + last_error("refused"));
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return invalid_input("the key does not belong to the certificate: " + last_error("refused"));
  for (std::size_t i = 1; i < chain->size(); ++i)
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1)
      return invalid_input("the certificate's chain can't be used: " + last_error("refused"));
  return {};
}

enum class Names { kKeep, kAnnounce };
Status trust(SSL_CTX* context, const std::string& ca_pem, Names names) {
  auto anchors = certificates_from_pem(ca_pem);
  if (!anchors) return std::move(anchors).error().during("reading the CA");
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const Certificate& anchor : *anchors) {
    if (X509_STORE_add_cert(store, anchor.get()) != 1) return invalid_input("the CA can't be used: " + last_error("refused"));
    // Browsers then only offer a certificate of ours, and don't bother people who have none.
    if (names == Names::kAnnounce && SSL_CTX_add_client_CA(context, anchor.get()) != 1)
      return invalid_input("the CA's name can't be used: " + last_error("refused"));
  }
  return {};
}

}  // namespace

struct Callbacks {
  static Session* session_of(X509_STORE_CTX* store) {
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    return ssl ? static_cast<Session*>(SSL_get_app_data(ssl)) : nullptr;
  }

  static void note(X509_STORE_CTX* store) {
    Session* session = session_of(store);
    if (!session || session->certificate_refused_) return;  // the first reason is the one that matters
    session->certificate_refused_ = true;
    int error = X509_STORE_CTX_get_error(store);
    Failure& failure = session->failure_;
    failure.kind = kind_of_verify_error(error);
    if (X509* shown = X509_STORE_CTX_get0_cert(store)) {
      failure.subject = common_name_of(shown);
      failure.sha256 = sha256_of(shown).value_or(std::string());
    }
    failure.reason = "the certificate of " + quoted(failure.subject) + " was refused: ";
    failure.reason += error == X509_V_ERR_APPLICATION_VERIFICATION
                          ? "no certificate in its chain has the pinned digest " + session->context_->pinned_sha256_
                          : X509_verify_cert_error_string(error);
    int depth = X509_STORE_CTX_get_error_depth(store);
    if (depth > 0) failure.reason += " (at its authority, " + std::to_string(depth) + " above)";
  }

  static int on_verified(int is_good, X509_STORE_CTX* store) {
    if (!is_good) note(store);
    return is_good;
  }

  /// Instead of OpenSSL's own walk: the certificate with the pinned digest is the only trust anchor.
  static int verify_pinned(X509_STORE_CTX* store, void*) {
    Session* session = session_of(store);
    STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(store);
    X509* pinned = nullptr;
    for (int i = 0; session && i < sk_X509_num(shown); ++i) {
      X509* candidate = sk_X509_value(shown, i);
      auto digest = sha256_of(candidate);
      if (digest && *digest == session->context_->pinned_sha256_) pinned = candidate;
    }
    if (!pinned) {
      X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
      note(store);
      return 0;
    }
    STACK_OF(X509)* anchors = sk_X509_new_null();
    if (!anchors || sk_X509_push(anchors, pinned) == 0) {
      sk_X509_free(anchors);
      X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
      return 0;
    }
    X509_STORE_CTX_set0_trusted_stack(store, anchors);
    X509_STORE_CTX_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);  // a pinned server certificate is enough by itself
    int result = X509_verify_cert(store);
    X509_STORE_CTX_set0_trusted_stack(store, nullptr);
    sk_X509_free(anchors);
    return result == 1 ? 1 : 0;
  }
};

Result<std::shared_ptr<const Context>> Context::make_server(const ServerSettings& settings) {
  auto made = make_context(TLS_server_method());
  if (!made) return std::move(made).error();
  SSL_CTX* context = made->get();
  if (auto used = use_certificate(context, settings.certificate_pem, settings.key_pem); !used)
    return std::move(used).error().during("the server's certificate");
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  if (!settings.client_ca_pem.empty()) {
    if (auto trusted = trust(context, settings.client_ca_pem, Names::kAnnounce); !trusted) return std::move(trusted).error();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, Callbacks::on_verified);
  }
  std::shared_ptr<Context> result(new Context);
  result->context_ = made->release();
  result->is_server_ = true;
  return std::shared_ptr<const Context>(std::move(result));
}

Result<std::shared_ptr<const Context>> Context::make_client(const ClientSettings& settings) {
  if (settings.ca_pem.empty() && settings.pinned_sha256.empty())
    return invalid_input("a TLS client needs a CA or a pinned digest to know its server by");
  auto made = make_context(TLS_client_method());
  if (!made) return std::move(made).error();
  SSL_CTX* context = made->get();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, Callbacks::on_verified);
  if (!settings.ca_pem.empty()) {
    if (auto trusted = trust(context, settings.ca_pem, Names::kKeep); !trusted) return std::move(trusted).error();
  }
  if (!settings.pinned_sha256.empty()) {
    auto bytes = from_hex(settings.pinned_sha256);
    if (!bytes || bytes->size() != 32)
      return invalid_input("the pin " + quoted(settings.pinned_sha256) + " is not 64 hexadecimal digits in lower case");
    SSL_CTX_set_cert_verify_callback(context, Callbacks::verify_pinned, nullptr);
  }
  if (!settings.certificate_pem.empty()) {
    if (auto used = use_certificate(context, settings.certificate_pem, settings.key_pem); !used)
      return std::move(used).error().during("the client's certificate");
  }
  std::shared_ptr<Context> result(new Context);
  result->context_ = made->release();
  result->pinned_sha256_ = settings.pinned_sha256;
  return std::shared_ptr<const Context>(std::move(result));
}

Context::~Context() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

Session::Session(std::shared_ptr<const Context> context, int socket, std::string_view host) : context_(std::move(context)) {
  SSL* ssl = SSL_new(static_cast<SSL_CTX*>(context_->context_));
  BIO* bio = make_bio(socket);
  if (!ssl || !bio) {
    SSL_free(ssl);
    BIO_free(bio);
    is_broken_ = true;
    failure_.reason = "no memory for a TLS session";
    return;
  }
  ssl_ = ssl;
  SSL_set_bio(ssl, bio, bio);  // owns it from here
  SSL_set_app_data(ssl, this);
  if (context_->is_server_) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  std::string name(host);
  unsigned char bytes[16];
  bool is_address = inet_pton(AF_INET, name.c_str(), bytes) == 1 || inet_pton(AF_INET6, name.c_str(), bytes) == 1;
  bool is_set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1
                           : SSL_set1_host(ssl, name.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
  if (name.empty() || !is_set) {
    is_broken_ = true;
    failure_.reason = quoted(host) + " is not a host name that a certificate could be checked against";
  }
}

Session::~Session() { SSL_free(static_cast<SSL*>(ssl_)); }

Step Session::handshake() {
  if (is_broken_) return Step::kFailed;
  ERR_clear_error();
  errno = 0;
  int result = SSL_do_handshake(static_cast<SSL*>(ssl_));
  return result == 1 ? Step::kDone : step_of(result, Direction::kBoth);
}

Step Session::read(std::span<char> into, std::size_t& count) {
  count = 0;
  if (is_broken_) return Step::kFailed;
  ERR_clear_error();
  errno = 0;
  int result = SSL_read_ex(static_cast<SSL*>(ssl_), into.data(), into.size(), &count);
  return result == 1 ? Step::kDone : step_of(result, Direction::kBoth);
}

Step Session::write(std::string_view bytes, std::size_t& count) {
  count = 0;
  if (is_broken_) return Step::kFailed;
  if (bytes.empty()) return Step::kDone;
  ERR_clear_error();
  errno = 0;
  int result = SSL_write_ex(static_cast<SSL*>(ssl_), bytes.data(), bytes.size(), &count);
  return result == 1 ? Step::kDone : step_of(result, Direction::kOutOnly);
}

void Session::say_goodbye() {
  if (is_broken_ || !SSL_is_init_finished(static_cast<SSL*>(ssl_))) return;
  ERR_clear_error();
  SSL_shutdown(static_cast<SSL*>(ssl_));
  ERR_clear_error();
  is_broken_ = true;
}

Step Session::step_of(int result, Direction broken) {
  int saved_errno = errno;
  int error = SSL_get_error(static_cast<SSL*>(ssl_), result);
  if (error == SSL_ERROR_WANT_READ) return Step::kWantRead;
  if (error == SSL_ERROR_WANT_WRITE) return Step::kWantWrite;
  // A send() that fails says nothing about what is still to be read: often the alert that explains it.
  is_broken_ = broken == Direction::kBoth || error != SSL_ERROR_SYSCALL;
  if (certificate_refused_) {
    ERR_clear_error();
    return Step::kFailed;
  }
  int reason = ERR_GET_REASON(ERR_peek_last_error());
  bool is_end = error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (is_end) {
    ERR_clear_error();
    failure_.kind = TlsFailureKind::kClosed;
    bool has_errno = error == SSL_ERROR_SYSCALL && saved_errno != 0;
    failure_.reason = has_errno ? std::strerror(saved_errno) : "the other side closed the connection";
    return Step::kClosed;
  }
  if (reason >= kAlertReasons) {
    ERR_clear_error();
    failure_.kind = TlsFailureKind::kPeerRefused;
    std::string alert = SSL_alert_desc_string_long(reason - kAlertReasons);
    failure_.reason = "the other side refused with the TLS alert '" + alert + "'";
    return Step::kFailed;
  }
  bool is_protocol = reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_VERSION_NUMBER ||
                     reason == SSL_R_HTTP_REQUEST || reason == SSL_R_NO_SHARED_CIPHER || reason == SSL_R_WRONG_SSL_VERSION ||
                     reason == SSL_R_NO_PROTOCOLS_AVAILABLE || reason == SSL_R_VERSION_TOO_LOW;
  failure_.kind = is_protocol ? TlsFailureKind::kProtocol : TlsFailureKind::kOther;
  failure_.reason = "TLS: " + last_error("unknown error");
  return Step::kFailed;
}

std::optional<CertificateInfo> Session::peer() const {
  if (!ssl_) return std::nullopt;
  X509* certificate = SSL_get0_peer_certificate(static_cast<SSL*>(ssl_));
  if (!certificate) return std::nullopt;
  return info_of(certificate).to_optional();
}

}  // namespace tls
}  // namespace prunella
