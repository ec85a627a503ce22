#include "decide/cel/ast.h"

namespace prunella::cel {

std::string_view shown(Operator op) {
  switch (op) {
    case Operator::kNot: return "!";
    case Operator::kNegate: return "-";
    case Operator::kMultiply: return "*";
    case Operator::kDivide: return "/";
    case Operator::kModulo: return "%";
    case Operator::kAdd: return "+";
    case Operator::kSubtract: return "-";
    case Operator::kLess: return "<";
    case Operator::kLessEqual: return "<=";
    case Operator::kGreater: return ">";
    case Operator::kGreaterEqual: return ">=";
    case Operator::kEqual: return "==";
    case Operator::kNotEqual: return "!=";
    case Operator::kIn: return "in";
    case Operator::kAnd: return "&&";
    case Operator::kOr: return "||";
    case Operator::kConditional: return "?:";
  }
  return "?";
}

NodeId first_of_chain(const Ast& ast, NodeId id) {
  while (id != kNoNode) {
    const Node& node = ast.node(id);
    if (node.kind == NodeKind::kName) return id;
    if (node.kind != NodeKind::kSelect || node.optional || node.presence) return kNoNode;
    id = node.children[0];
  }
  return kNoNode;
}

std::string dotted_name(const Ast& ast, NodeId id) {
  if (first_of_chain(ast, id) == kNoNode) return "";
  std::vector<std::string_view> parts;
  for (; ast.node(id).kind == NodeKind::kSelect; id = ast.node(id).children[0]) parts.push_back(ast.node(id).name);
  std::string name = ast.node(id).name;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) name.append(".").append(*part);
  return name;
}

}  // namespace prunella::cel
