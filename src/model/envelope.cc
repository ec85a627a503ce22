#include "model/envelope.h"

#include <set>

namespace prunella {

std::string pre_authentication_encoding(std::string_view payload_type, std::string_view payload) {
  std::string out = "DSSEv1 ";
  out += std::to_string(payload_type.size()) + " ";
  out += payload_type;
  out += " " + std::to_string(payload.size()) + " ";
  out += payload;
  return out;
}

Envelope sign_envelope(std::string_view payload_type, std::string_view payload, const PrivateKey& key) {
  Signature signature = key.sign(as_bytes(pre_authentication_encoding(payload_type, payload)));
  return {std::string(payload_type), to_base64(as_bytes(payload)), {{key.public_key().key_id(), signature}}};
}

Status add_signature(Envelope& envelope, const PrivateKey& key) {
  auto payload = from_base64(envelope.payload);
  if (!payload) return std::move(payload).error().during("reading the payload");
  Signature signature = key.sign(as_bytes(pre_authentication_encoding(envelope.payload_type, as_text(*payload))));
  envelope.signatures.push_back({key.public_key().key_id(), signature});
  return {};
}

Result<std::string> open_envelope(const Envelope& envelope, std::string_view payload_type, const std::vector<PublicKey>& keys,
                                  std::size_t threshold) {
  check(threshold >= 1, "a threshold of at least one signature");
  if (envelope.payload_type != payload_type)
    return invalid_input("the signed document is of type " + quoted(envelope.payload_type) + ", wanted " + quoted(payload_type));
  if (envelope.signatures.size() > kSignaturesMax)
    return invalid_input(std::to_string(envelope.signatures.size()) + " signatures, at most " + std::to_string(kSignaturesMax) + " are looked at");
  auto payload = from_base64(envelope.payload);
  if (!payload) return std::move(payload).error().during("reading the payload");
  std::string signed_bytes = pre_authentication_encoding(payload_type, as_text(*payload));
  std::set<PublicKey> signers;
  for (const EnvelopeSignature& entry : envelope.signatures)
    for (const PublicKey& key : keys)
      if (entry.key_id == key.key_id() && verify(key, as_bytes(signed_bytes), entry.signature)) signers.insert(key);
  if (signers.size() < threshold)
    return denied(std::to_string(signers.size()) + " of the known keys signed this, " + std::to_string(threshold) + " must");
  return std::string(as_text(*payload));
}

}  // namespace prunella
