#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/codec.h"

namespace prunella {

/// A signed document: the exact bytes, their type, and who signed them. Signatures are over the bytes (with their type), so
/// nothing is parsed before it is verified. Source: DSSE 1.0 protocol (secure-systems-lab/dsse).
struct EnvelopeSignature {
  std::string key_id;  ///< PublicKey::key_id(): a hint only, the key must be known beforehand
  Signature signature;
  bool operator==(const EnvelopeSignature&) const = default;
};
template <class F>
void fields(F& f, EnvelopeSignature& s) {
  f("keyid", s.key_id);
  f("sig", s.signature);
}

struct Envelope {
  std::string payload_type;
  std::string payload;  ///< the bytes, in base64 (DSSE's JSON form)
  std::vector<EnvelopeSignature> signatures;
  bool operator==(const Envelope&) const = default;
};
template <class F>
void fields(F& f, Envelope& e) {
  f("payloadType", e.payload_type);
  f("payload", e.payload);
  f("signatures", e.signatures);
}

/// What is signed, with no name that could be confused: DSSE's pre-authentication encoding.
std::string pre_authentication_encoding(std::string_view payload_type, std::string_view payload);

/// Wraps `payload` with one signature of `key`.
Envelope sign_envelope(std::string_view payload_type, std::string_view payload, const PrivateKey& key);
/// Adds a signature of another key over the same bytes. @error kInvalidInput the payload is no base64.
Status add_signature(Envelope& envelope, const PrivateKey& key);

/// 16: more than any threshold in use; bounds the work that an attacker's envelope causes.
inline constexpr std::size_t kSignaturesMax = 16;

/// Checks that at least `threshold` *different* keys of `keys` signed the envelope, and gives the verified bytes.
/// Signatures by unknown keys don't count and do no harm; one key signing twice counts once.
/// @error kInvalidInput  another payload type, no base64, too many signatures.
/// @error kDenied        fewer than `threshold` (at least 1) known keys signed these bytes.
Result<std::string> open_envelope(const Envelope& envelope, std::string_view payload_type, const std::vector<PublicKey>& keys,
                                  std::size_t threshold);

/// The type of each signed document, so that a signature over one can't be used for another.
inline constexpr std::string_view kOrderType = "application/vnd.prunella.order+json";
inline constexpr std::string_view kApprovalType = "application/vnd.prunella.approval+json";
inline constexpr std::string_view kExecutorPolicyType = "application/vnd.prunella.executor-policy+json";

// Compiled once, in envelope_codec.cc.
PRUNELLA_DECLARE_CODEC(Envelope)

}  // namespace prunella
