#pragma once

// Only for this room's own .cc files: the one place where OpenSSL's types are given owners.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/http/ca.h"
#include "base/result.h"

namespace prunella::openssl {

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
template <class T, auto kFree>
using Owned = std::unique_ptr<T, Free<kFree>>;

using Bio = Owned<BIO, BIO_free_all>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;
using Request = Owned<X509_REQ, X509_REQ_free>;
using Name = Owned<X509_NAME, X509_NAME_free>;
using Store = Owned<X509_STORE, X509_STORE_free>;
using StoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

/// The newest reason in OpenSSL's error queue of this thread, which is empty afterwards; `otherwise` when there is none.
std::string last_error(std::string_view otherwise);

/// PEM longer than this is refused before it is decoded: our largest file is a chain of two certificates, about 1.5 KB.
inline constexpr std::size_t kPemBytesMax = 64 * 1024;

/// All certificates of a PEM file, at least one.
Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem);
Result<Key> key_from_pem(std::string_view pem);
Result<std::string> sha256_of(const X509* certificate);
std::string common_name_of(const X509* certificate);
Result<CertificateInfo> info_of(const X509* certificate);

}  // namespace prunella::openssl
