#pragma once

#include <optional>
#include <string>
#include <vector>

#include "decide/cel/ast.h"
#include "decide/cel/limits.h"
#include "decide/cel/source.h"

namespace prunella::cel {

/// Makes the nodes of a tree within the limits. After the first problem it goes on making nodes that nobody will look at.
class NodeBuilder {
 public:
  NodeBuilder(std::string_view source, const ParseLimits& limits);

  NodeId literal(std::uint32_t offset, Value value);
  NodeId name(std::uint32_t offset, std::string name);
  NodeId select(std::uint32_t offset, NodeId operand, std::string field);
  NodeId operation(std::uint32_t offset, Operator op, std::vector<NodeId> operands);
  NodeId call(std::uint32_t offset, std::string function, std::vector<NodeId> arguments);
  NodeId member_call(std::uint32_t offset, std::string function, std::vector<NodeId> target_and_arguments);
  NodeId internal_call(std::uint32_t offset, std::string function, std::vector<NodeId> arguments);
  NodeId list(std::uint32_t offset, std::vector<NodeId> elements);
  NodeId bind(std::uint32_t offset, std::string name, NodeId init, NodeId body);
  NodeId add(Node node);

  Ast& ast() { return ast_; }
  const Node& node(NodeId id) const { return ast_.nodes[id]; }
  void fail(std::size_t offset, std::string text, std::string hint = "");
  bool failed() const { return problem_.has_value(); }
  const std::optional<Problem>& problem() const { return problem_; }

 private:
  ParseLimits limits_;
  Ast ast_;
  std::optional<Problem> problem_;
};

}  // namespace prunella::cel
