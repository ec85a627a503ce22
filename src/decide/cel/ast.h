#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "decide/cel/value.h"

namespace prunella::cel {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = ~NodeId{0};

enum class NodeKind : std::uint8_t {
  kLiteral,   ///< `literal`
  kName,      ///< `name`; `absolute` after a leading dot
  kSelect,    ///< children[0].name; with `optional` .?name, with `presence` has(children[0].name)
  kOperator,  ///< `op` on 1 to 3 children
  kIndex,     ///< children[0][children[1]]; with `optional` [?...]
  kCall,      ///< name(children...), or children[0].name(...) with `member`
  kList,      ///< children, some of them marked in `optionals`
  kMap,       ///< children: key, value, key, value, ...; `optionals` by entry
  kStruct,    ///< `name`{fields}: `names` and children side by side; `optionals` by field
  kLoop,      ///< `loop` over children[0] with the variables `names`; children[1] and [2] as LoopKind says
  kBind,      ///< names[0] stands for children[0] within children[1]
};

enum class Operator : std::uint8_t {
  kNot,
  kNegate,
  kMultiply,
  kDivide,
  kModulo,
  kAdd,
  kSubtract,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kIn,
  kAnd,
  kOr,
  kConditional,
};
/// "&&", "in", "?:", ...
std::string_view shown(Operator op);

/// What a comprehension makes of its range. One variable is an element of a list or a key of a map, two are index and element or
/// key and value.
enum class LoopKind : std::uint8_t {
  kAll,         ///< children[1] of every element, as && has it
  kExists,      ///< children[1] of some element, as || has it
  kExistsOne,   ///< children[1] of exactly one
  kFilter,      ///< the list of the elements (or keys) for which children[1] is true
  kMap,         ///< the list of children[2] of each element for which children[1] (if there) is true
  kMapValues,   ///< the map with the same keys and children[2] as values; children[1] as in kMap
  kMapEntries,  ///< the map made of the entries of the maps children[2]; children[1] as in kMap
};

struct Node {
  NodeKind kind = NodeKind::kLiteral;
  Operator op = Operator::kNot;
  LoopKind loop = LoopKind::kAll;
  bool absolute = false;
  bool optional = false;
  bool presence = false;
  bool member = false;
  bool internal = false;     ///< a call that a macro made: its function's name is looked up as it stands
  std::uint32_t offset = 0;  ///< of the token that names what is done, in bytes
  std::uint32_t depth = 1;
  std::string name;
  Value literal;
  std::vector<NodeId> children;
  std::vector<std::string> names;
  std::vector<bool> optionals;
};

/// A parsed expression, its macros expanded.
struct Ast {
  std::string source;
  std::vector<Node> nodes;
  NodeId root = kNoNode;

  const Node& node(NodeId id) const { return nodes[id]; }
};

/// `a`, `a.b`, `a.b.c` as one dotted name; empty when the node is anything else. A leading dot is left out.
std::string dotted_name(const Ast& ast, NodeId id);
/// The name at the start of such a chain; kNoNode when the node is anything else.
NodeId first_of_chain(const Ast& ast, NodeId id);

}  // namespace prunella::cel
