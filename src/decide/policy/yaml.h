#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "decide/policy/diagnostic.h"

namespace prunella::policy {

/// A node of a YAML document with its place. What a plain scalar means is decided by who reads it: `on` is a text, not a truth.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap } kind = Kind::kNull;
  std::string text;     ///< kScalar
  bool quoted = false;  ///< kScalar: written in quotes or as a block, and therefore a text
  Mark mark;
  std::vector<YamlNode> items;  ///< kList; kMap: key, value, key, value, ...

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
  std::size_t entries() const { return items.size() / 2; }
  const YamlNode& key(std::size_t entry) const { return items[2 * entry]; }
  const YamlNode& value(std::size_t entry) const { return items[2 * entry + 1]; }
  /// The value of `key` in a map; nullptr when there's none.
  const YamlNode* find(std::string_view key) const;
};
/// "a list", "a map", "nothing", "'x'".
std::string shown(const YamlNode& node);

struct YamlLimits {
  std::size_t bytes_max = 1 << 20;    ///< of the text; a policy has a thousand bytes, and a file some of them
  std::size_t depth_max = 32;         ///< of lists within maps within lists; policies need 6
  std::size_t nodes_max = 50'000;     ///< aliases counted as what they stand for, so that ten lines can't become a billion nodes
  std::size_t documents_max = 1'000;  ///< of one file
};

struct YamlDocuments {
  std::vector<YamlNode> documents;  ///< empty ones are left out
  std::vector<Diagnostic> problems;
};

/// Reads a stream of documents. Refused: a key twice, a key that is no scalar, tags, an alias within what it stands for. Stops at
/// the first problem. Source: YAML 1.2, sections 3 and 7, as far as yaml-cpp reads it.
YamlDocuments parse_yaml(std::string_view text, const YamlLimits& limits = {});

/// The node as JSON: plain scalars are null, true, false, whole numbers and numbers after YAML 1.2's core schema (section 10.3),
/// everything in quotes is a text.
/// @error kInvalidInput  a whole number beyond 2^53.
Result<Json> json_of(const YamlNode& node);

}  // namespace prunella::policy
