#include "decide/cel/node_builder.h"

#include <algorithm>

namespace prunella::cel {

NodeBuilder::NodeBuilder(std::string_view source, const ParseLimits& limits) : limits_(limits) { ast_.source = source; }

NodeId NodeBuilder::add(Node node) {
  for (const NodeId child : node.children) {
    if (child != kNoNode) node.depth = std::max(node.depth, ast_.nodes[child].depth + 1);
  }
  if (node.depth > limits_.tree_depth_max) {
    fail(node.offset, "the expression is more than " + std::to_string(limits_.tree_depth_max) + " steps deep",
         "split it, or use a list and all() or exists()");
  }
  if (ast_.nodes.size() >= limits_.nodes_max) {
    fail(node.offset, "the expression has more than " + std::to_string(limits_.nodes_max) + " parts");
    return static_cast<NodeId>(ast_.nodes.size() - 1);
  }
  ast_.nodes.push_back(std::move(node));
  return static_cast<NodeId>(ast_.nodes.size() - 1);
}

NodeId NodeBuilder::literal(std::uint32_t offset, Value value) {
  Node node;
  node.offset = offset;
  node.literal = std::move(value);
  return add(std::move(node));
}

NodeId NodeBuilder::name(std::uint32_t offset, std::string name) {
  Node node;
  node.kind = NodeKind::kName;
  node.offset = offset;
  node.name = std::move(name);
  return add(std::move(node));
}

NodeId NodeBuilder::select(std::uint32_t offset, NodeId operand, std::string field) {
  Node node;
  node.kind = NodeKind::kSelect;
  node.offset = offset;
  node.name = std::move(field);
  node.children = {operand};
  return add(std::move(node));
}

NodeId NodeBuilder::operation(std::uint32_t offset, Operator op, std::vector<NodeId> operands) {
  Node node;
  node.kind = NodeKind::kOperator;
  node.op = op;
  node.offset = offset;
  node.children = std::move(operands);
  return add(std::move(node));
}

NodeId NodeBuilder::call(std::uint32_t offset, std::string function, std::vector<NodeId> arguments) {
  Node node;
  node.kind = NodeKind::kCall;
  node.offset = offset;
  node.name = std::move(function);
  node.children = std::move(arguments);
  return add(std::move(node));
}

NodeId NodeBuilder::member_call(std::uint32_t offset, std::string function, std::vector<NodeId> target_and_arguments) {
  const NodeId id = call(offset, std::move(function), std::move(target_and_arguments));
  ast_.nodes[id].member = true;
  return id;
}

NodeId NodeBuilder::internal_call(std::uint32_t offset, std::string function, std::vector<NodeId> arguments) {
  const NodeId id = call(offset, std::move(function), std::move(arguments));
  ast_.nodes[id].internal = true;
  return id;
}

NodeId NodeBuilder::list(std::uint32_t offset, std::vector<NodeId> elements) {
  Node node;
  node.kind = NodeKind::kList;
  node.offset = offset;
  node.optionals.assign(elements.size(), false);
  node.children = std::move(elements);
  return add(std::move(node));
}

NodeId NodeBuilder::bind(std::uint32_t offset, std::string name, NodeId init, NodeId body) {
  Node node;
  node.kind = NodeKind::kBind;
  node.offset = offset;
  node.names = {std::move(name)};
  node.children = {init, body};
  return add(std::move(node));
}

void NodeBuilder::fail(std::size_t offset, std::string text, std::string hint) {
  if (!problem_) problem_ = Problem{offset, place_of(ast_.source, offset), std::move(text), std::move(hint)};
}

}  // namespace prunella::cel
