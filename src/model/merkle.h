#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace prunella {

/// Merkle tree over a list of leaves: the root binds all of them, and a proof of a few digests shows that one is among them at
/// its index. So an approval covers a fleet's plans, and each host checks its own without seeing the others.
/// Source: RFC 6962 section 2.1 (leaf hash with 0x00, node hash with 0x01 in front), RFC 9162 section 2.1.3.2 for checking.
Digest merkle_leaf(std::string_view leaf);
/// @return the root over the leaf digests; of an empty list the digest of no bytes.
Digest merkle_root(const std::vector<Digest>& leaves);
/// The audit path of leaf `index` (below leaves.size()).
std::vector<Digest> merkle_proof(const std::vector<Digest>& leaves, std::size_t index);
/// True when `proof` shows that `leaf` is number `index` of `size` leaves under `root`.
bool merkle_proves(const Digest& root, const Digest& leaf, std::uint64_t index, std::uint64_t size, const std::vector<Digest>& proof);

}  // namespace prunella
