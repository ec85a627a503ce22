#include "decide/cel/unparse.h"

#include "decide/cel/value_text.h"

namespace prunella::cel {

namespace {

/// How strongly an operator binds; higher is stronger. Source: langdef.md, "Syntax".
int strength(const Node& node) {
  if (node.kind != NodeKind::kOperator) return 9;
  switch (node.op) {
    case Operator::kConditional: return 1;
    case Operator::kOr: return 2;
    case Operator::kAnd: return 3;
    case Operator::kLess:
    case Operator::kLessEqual:
    case Operator::kGreater:
    case Operator::kGreaterEqual:
    case Operator::kEqual:
    case Operator::kNotEqual:
    case Operator::kIn: return 4;
    case Operator::kAdd:
    case Operator::kSubtract: return 5;
    case Operator::kMultiply:
    case Operator::kDivide:
    case Operator::kModulo: return 6;
    case Operator::kNot:
    case Operator::kNegate: return 7;
  }
  return 9;
}

class Writer {
 public:
  explicit Writer(const Ast& ast) : ast_(ast) {}

  std::string text(NodeId id) const {
    const Node& node = ast_.node(id);
    switch (node.kind) {
      case NodeKind::kLiteral: return to_text(node.literal);
      case NodeKind::kName: return (node.absolute && !node.name.ends_with(')') ? "." : "") + node.name;
      case NodeKind::kSelect: {
        const std::string chain = bracketed(node.children[0], 8) + (node.optional ? ".?" : ".") + node.name;
        return node.presence ? "has(" + chain + ")" : chain;
      }
      case NodeKind::kOperator: return operation(node);
      case NodeKind::kIndex: return bracketed(node.children[0], 8) + (node.optional ? "[?" : "[") + text(node.children[1]) + "]";
      case NodeKind::kCall: return call(node);
      case NodeKind::kList: return "[" + list(node, 0) + "]";
      case NodeKind::kMap: return map(node);
      case NodeKind::kStruct: return structure(node);
      case NodeKind::kLoop: return loop(node);
      case NodeKind::kBind:
        return "cel.bind(" + node.names[0] + ", " + text(node.children[0]) + ", " + text(node.children[1]) + ")";
    }
    return {};
  }

 private:
  std::string bracketed(NodeId id, int needed) const {
    return strength(ast_.node(id)) < needed ? "(" + text(id) + ")" : text(id);
  }

  std::string operation(const Node& node) const {
    const int own = strength(node);
    if (node.op == Operator::kConditional)
      return bracketed(node.children[0], own + 1) + " ? " + bracketed(node.children[1], own + 1) + " : " + bracketed(node.children[2], own);
    if (node.children.size() == 1) return std::string(shown(node.op)) + bracketed(node.children[0], own);
    // The parser balances chains of && and ||, which don't care.
    const bool chain = node.op == Operator::kAnd || node.op == Operator::kOr;
    return bracketed(node.children[0], own) + " " + std::string(shown(node.op)) + " " + bracketed(node.children[1], chain ? own : own + 1);
  }

  std::string list(const Node& node, std::size_t from) const {
    std::string out;
    for (std::size_t i = from; i < node.children.size(); ++i) {
      if (i > from) out += ", ";
      if (i - from < node.optionals.size() && node.optionals[i - from]) out += "?";
      out += text(node.children[i]);
    }
    return out;
  }

  std::string call(const Node& node) const {
    if (node.name == "@flap") return "flap(" + text(node.children[1]) + ")";
    if (node.member) return bracketed(node.children[0], 8) + "." + node.name + "(" + list(node, 1) + ")";
    return (node.absolute ? "." : "") + node.name + "(" + list(node, 0) + ")";
  }

  std::string map(const Node& node) const {
    std::string out = "{";
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
      if (i > 0) out += ", ";
      if (i / 2 < node.optionals.size() && node.optionals[i / 2]) out += "?";
      out += text(node.children[i]) + ": " + text(node.children[i + 1]);
    }
    return out + "}";
  }

  std::string structure(const Node& node) const {
    std::string out = node.name + "{";
    for (std::size_t i = 0; i < node.children.size(); ++i) out += (i ? ", " : "") + node.names[i] + ": " + text(node.children[i]);
    return out + "}";
  }

  std::string loop(const Node& node) const {
    std::string name;
    switch (node.loop) {
      case LoopKind::kAll: name = "all"; break;
      case LoopKind::kExists: name = "exists"; break;
      case LoopKind::kExistsOne: name = "exists_one"; break;
      case LoopKind::kFilter: name = "filter"; break;
      case LoopKind::kMap: name = node.names.size() == 2 ? "transformList" : "map"; break;
      case LoopKind::kMapValues: name = "transformMap"; break;
      case LoopKind::kMapEntries: name = "transformMapEntry"; break;
    }
    std::string out = bracketed(node.children[0], 8) + "." + name + "(";
    for (std::size_t i = 0; i < node.names.size(); ++i) out += (i ? ", " : "") + node.names[i];
    if (node.children[1] != kNoNode) out += ", " + text(node.children[1]);
    if (node.children[2] != kNoNode) out += ", " + text(node.children[2]);
    return out + ")";
  }

  const Ast& ast_;
};

}  // namespace

std::string unparse(const Ast& ast, NodeId id) { return Writer(ast).text(id); }

}  // namespace prunella::cel
