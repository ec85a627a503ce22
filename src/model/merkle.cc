#include "model/merkle.h"

#include <span>

namespace prunella {

namespace {

Digest node(const Digest& left, const Digest& right) {
  Sha256 hash;
  const std::uint8_t prefix = 1;
  hash.add({&prefix, 1});
  hash.add(left.bytes);
  hash.add(right.bytes);
  return hash.finish();
}

// Largest power of two below n (n at least 2).
std::size_t split_point(std::size_t n) {
  std::size_t k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

Digest root_of(std::span<const Digest> leaves) {
  if (leaves.size() == 1) return leaves[0];
  std::size_t k = split_point(leaves.size());
  return node(root_of(leaves.first(k)), root_of(leaves.subspan(k)));
}

void path_of(std::span<const Digest> leaves, std::size_t index, std::vector<Digest>& path) {
  if (leaves.size() == 1) return;
  std::size_t k = split_point(leaves.size());
  if (index < k) {
    path_of(leaves.first(k), index, path);
    path.push_back(root_of(leaves.subspan(k)));
  } else {
    path_of(leaves.subspan(k), index - k, path);
    path.push_back(root_of(leaves.first(k)));
  }
}

}  // namespace

Digest merkle_leaf(std::string_view leaf) {
  Sha256 hash;
  const std::uint8_t prefix = 0;
  hash.add({&prefix, 1});
  hash.add(as_bytes(leaf));
  return hash.finish();
}

Digest merkle_root(const std::vector<Digest>& leaves) { return leaves.empty() ? sha256(std::string_view()) : root_of(leaves); }

std::vector<Digest> merkle_proof(const std::vector<Digest>& leaves, std::size_t index) {
  check(index < leaves.size(), "a proof of a leaf that exists");
  std::vector<Digest> path;
  path_of(leaves, index, path);
  return path;
}

bool merkle_proves(const Digest& root, const Digest& leaf, std::uint64_t index, std::uint64_t size, const std::vector<Digest>& proof) {
  if (index >= size) return false;
  std::uint64_t at = index, last = size - 1;
  Digest hash = leaf;
  for (const Digest& sibling : proof) {
    if (last == 0) return false;
    if (at % 2 == 1 || at == last) {
      hash = node(sibling, hash);
      while (at % 2 == 0 && at != 0) at /= 2, last /= 2;
    } else {
      hash = node(hash, sibling);
    }
    at /= 2, last /= 2;
  }
  return last == 0 && hash == root;
}

}  // namespace prunella
