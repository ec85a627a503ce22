#include "decide/policy/explain.h"

#include <algorithm>

#include "base/text.h"
#include "decide/cel/unparse.h"
#include "decide/cel/value_text.h"

namespace prunella::policy {

namespace {

using cel::Ast;
using cel::Node;
using cel::NodeId;
using cel::NodeKind;
using cel::Value;

/// Works out parts of one expression, each as an expression of its own.
class PartWriter {
 public:
  PartWriter(const CaseFacts& facts, cel::Environment& environment, const std::map<std::string, Value>& lets, TimeZones& zones)
      : facts_(facts), environment_(environment), lets_(lets), zones_(zones) {}

  std::vector<ExplainedPart> run(const Expression& expression) {
    cel::Parsed parsed = cel::parse(expression.source);
    if (!parsed.ast) return {};
    std::vector<cel::Problem> problems;
    rewrite_windows(*parsed.ast, problems, [&](const WindowUse& use) {
      environment_.variable(use.name, type_of(use));
      windows_.push_back(use);
    });
    visit(*parsed.ast, parsed.ast->root, 0);
    return std::move(parts_);
  }

  Value value(Ast tree) {
    cel::Slots slots;
    const cel::Compiled compiled = cel::compile(std::move(tree), environment_, slots);
    if (!compiled.program) return Value::error(cel::ErrorCode::kNoValue, compiled.problems.empty() ? "it can't be compiled" : compiled.problems[0].text);
    cel::Activation activation(slots);
    fill(activation, slots);
    return cel::Evaluator(zones_).run(*compiled.program, activation, kExpressionCostMax).value;
  }

 private:
  void fill(cel::Activation& activation, const cel::Slots& slots) {
    const auto typed = [&](const Json& json, std::string_view name) {
      const cel::Type* type = environment_.variable_type(name);
      return typed_value(json, type ? *type : cel::Type(), environment_, name);
    };
    for (const Place place : {Place::kProof, Place::kLifetime})
      for (const Variable& variable : variables(place))
        if (const auto slot = slots.find(variable.name); slot != cel::kNoSlot) activation.set_unknown(slot);
    if (const auto slot = slots.find("advisory"); slot != cel::kNoSlot) activation.set_unknown(slot);
    activation.set("event", typed(facts_.event, "event"));
    activation.set("host", typed(facts_.host, "host"));
    activation.set("now", typed(Json(to_rfc3339(facts_.now)), "now"));
    for (const auto& [name, json] : facts_.more) activation.set(name, typed(json, name));
    for (const WindowUse& use : windows_) {
      const auto found = facts_.windows.find(use.name);
      if (found != facts_.windows.end()) {
        activation.set(use.name, typed_value(found->second, type_of(use), environment_, use.name));
      } else if (const auto slot = slots.find(use.name); slot != cel::kNoSlot) {
        activation.set_unknown(slot);
      }
    }
    cel::MapBuilder flaps(facts_.flaps.size());
    for (const auto& [subject, share] : facts_.flaps) check(flaps.add(Value::string(subject), Value::number(share)), "subjects of a map differ");
    activation.set("@flaps", std::move(flaps).finish());
    for (const auto& [name, let] : lets_) activation.set(name, let);
  }

  void add(std::uint32_t depth, std::string source, const Value& value) {
    ExplainedPart part;
    part.depth = depth;
    part.source = std::move(source);
    part.value = std::string(cut_text(cel::to_text(value), kExplainedTextMax));
    part.is_condition = value.is(cel::Kind::kBool) || !value.is_proper();
    part.truth = value.is_error() ? Truth::kError : value.is_unknown() ? Truth::kUnknown : value.is_true() ? Truth::kTrue : Truth::kFalse;
    parts_.push_back(std::move(part));
  }

  void visit(const Ast& ast, NodeId id, std::uint32_t depth) {
    if (id == cel::kNoNode || parts_.size() >= kExplainedPartsMax) return;
    const Node& node = ast.node(id);
    if (depth > 0 && says_itself(ast, node)) return;
    Ast part = ast;
    part.root = id;
    const std::string source = cel::unparse(ast, id);
    add(depth, source, value(std::move(part)));
    switch (node.kind) {
      case NodeKind::kName:
      case NodeKind::kLiteral: return;
      case NodeKind::kSelect:
        // A chain of names is one thing to a reader.
        if (cel::first_of_chain(ast, id) == cel::kNoNode) visit(ast, node.children[0], depth + 1);
        return;
      case NodeKind::kLoop:
        visit(ast, node.children[0], depth + 1);
        return elements(ast, id, depth + 1);
      case NodeKind::kBind: return visit(ast, node.children[0], depth + 1);
      case NodeKind::kOperator:
      case NodeKind::kIndex:
      case NodeKind::kCall:
      case NodeKind::kList:
      case NodeKind::kMap:
      case NodeKind::kStruct: break;
    }
    std::vector<NodeId> children;
    terms(ast, id, children);
    for (const NodeId child : children) {
      if (child != cel::kNoNode && ast.node(child).kind == NodeKind::kName && ast.node(child).name == "@flaps") continue;
      visit(ast, child, depth + 1);
    }
  }

  /// A literal, or a list of them: its text is its value.
  static bool says_itself(const Ast& ast, const Node& node) {
    if (node.kind == NodeKind::kLiteral) return true;
    return node.kind == NodeKind::kList &&
           std::ranges::all_of(node.children, [&](NodeId child) { return ast.node(child).kind == NodeKind::kLiteral; });
  }

  /// What a node is made of; a chain of && or || is made of all its terms, however the parser nested them.
  static void terms(const Ast& ast, NodeId id, std::vector<NodeId>& out) {
    const Node& node = ast.node(id);
    const bool chain = node.kind == NodeKind::kOperator && (node.op == cel::Operator::kAnd || node.op == cel::Operator::kOr);
    for (const NodeId child : node.children) {
      if (chain && ast.node(child).kind == NodeKind::kOperator && ast.node(child).op == node.op) {
        terms(ast, child, out);
      } else {
        out.push_back(child);
      }
    }
  }

  /// The condition of a macro over a list for its first elements: bind(x, range[i], condition).
  void elements(const Ast& ast, NodeId id, std::uint32_t depth) {
    const Node& loop = ast.node(id);
    const NodeId body = loop.children[1] != cel::kNoNode ? loop.children[1] : loop.children[2];
    if (loop.names.size() != 1 || body == cel::kNoNode) return;
    Ast range = ast;
    range.root = loop.children[0];
    const Value over = value(std::move(range));
    std::vector<Value> values;
    if (over.is(cel::Kind::kList)) {
      values = over.as_list();
    } else if (over.is(cel::Kind::kMap)) {
      for (const auto& entry : over.as_map().entries) values.push_back(entry.key);
    }
    for (std::size_t i = 0; i < values.size() && i < kExplainedElementsMax && parts_.size() < kExplainedPartsMax; ++i) {
      Ast part = ast;
      Node element;
      element.kind = NodeKind::kLiteral;
      element.literal = values[i];
      part.nodes.push_back(std::move(element));
      Node bind;
      bind.kind = NodeKind::kBind;
      bind.names = loop.names;
      bind.offset = loop.offset;
      bind.children = {static_cast<NodeId>(part.nodes.size() - 1), body};
      part.nodes.push_back(std::move(bind));
      part.root = static_cast<NodeId>(part.nodes.size() - 1);
      const std::string what = cel::unparse(ast, body) + "  for " + loop.names[0] + " = " + std::string(cut_text(cel::to_text(values[i]), 80));
      add(depth, what, value(std::move(part)));
    }
    if (values.size() > kExplainedElementsMax) {
      ExplainedPart rest;
      rest.depth = depth;
      rest.source = "and " + std::to_string(values.size() - kExplainedElementsMax) + " more";
      parts_.push_back(std::move(rest));
    }
  }

  const CaseFacts& facts_;
  cel::Environment& environment_;
  const std::map<std::string, Value>& lets_;
  TimeZones& zones_;
  std::vector<WindowUse> windows_;
  std::vector<ExplainedPart> parts_;
};

}  // namespace

ExplainedRule explain(const PolicySet& set, std::size_t number, const CaseFacts& facts, TimeZones& zones) {
  const Rule& rule = set.rules()[number];
  const PolicyDocument& document = set.policies()[rule.policy];
  ExplainedRule out;
  out.policy = document.name;
  out.trigger = rule.trigger->name;
  Judge judge(set, zones);
  judge.load(*rule.trigger, facts);
  out.when = judge.judge(number).when;

  cel::Environment environment = environment_for(*rule.trigger, Place::kCondition);
  environment.container(document.name);
  std::map<std::string, Value> lets;
  const auto add = [&](std::string key, const Expression& expression) {
    out.expressions.push_back({std::move(key), PartWriter(facts, environment, lets, zones).run(expression)});
  };
  for (std::size_t i = 0; i < document.lets.size(); ++i) {
    add("let." + document.lets[i].name, document.lets[i].value);
    const std::string name = document.name + "." + document.lets[i].name;
    lets[name] = judge.value(rule.lets[i].value);
    environment.variable(name);
  }
  add("when", document.when);
  if (document.guard) add("guard", *document.guard);
  if (document.never) add("never", *document.never);
  return out;
}

}  // namespace prunella::policy
