#include "decide/cel/macros.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace prunella::cel {

namespace {

// '@' starts no identifier, so that no expression can name these.
constexpr const char* kTargetName = "@target";

/// The name of a variable that a macro declares; a problem when the argument is anything else.
std::optional<std::string> variable(NodeBuilder& builder, NodeId argument) {
  const Node& node = builder.node(argument);
  if (node.kind == NodeKind::kName && !node.absolute) return node.name;
  builder.fail(node.offset, "a macro's variable must be a plain name, such as 'x'");
  return std::nullopt;
}

struct LoopMacro {
  std::string_view function;
  std::size_t arguments;
  std::size_t variables;
  LoopKind kind;
  int condition;  ///< argument number, or -1
  int result;
};
constexpr std::array<LoopMacro, 18> kLoopMacros{{
    {"all", 2, 1, LoopKind::kAll, 1, -1},
    {"exists", 2, 1, LoopKind::kExists, 1, -1},
    {"exists_one", 2, 1, LoopKind::kExistsOne, 1, -1},
    {"existsOne", 2, 1, LoopKind::kExistsOne, 1, -1},
    {"filter", 2, 1, LoopKind::kFilter, 1, -1},
    {"map", 2, 1, LoopKind::kMap, -1, 1},
    {"map", 3, 1, LoopKind::kMap, 1, 2},
    {"all", 3, 2, LoopKind::kAll, 2, -1},
    {"exists", 3, 2, LoopKind::kExists, 2, -1},
    {"exists_one", 3, 2, LoopKind::kExistsOne, 2, -1},
    {"existsOne", 3, 2, LoopKind::kExistsOne, 2, -1},
    {"transformList", 3, 2, LoopKind::kMap, -1, 2},
    {"transformList", 4, 2, LoopKind::kMap, 2, 3},
    {"transformMap", 3, 2, LoopKind::kMapValues, -1, 2},
    {"transformMap", 4, 2, LoopKind::kMapValues, 2, 3},
    {"transformMapEntry", 3, 2, LoopKind::kMapEntries, -1, 2},
    {"transformMapEntry", 4, 2, LoopKind::kMapEntries, 2, 3},
    // A list of keys for sortBy; an ordinary map of one variable.
    {"@keys", 2, 1, LoopKind::kMap, -1, 1},
}};

NodeId expand_loop(NodeBuilder& builder, const MacroCall& call, const LoopMacro& macro) {
  Node loop;
  loop.kind = NodeKind::kLoop;
  loop.loop = macro.kind;
  loop.offset = call.offset;
  for (std::size_t i = 0; i < macro.variables; ++i) {
    auto name = variable(builder, call.arguments[i]);
    loop.names.push_back(name.value_or("x"));
  }
  if (loop.names.size() == 2 && loop.names[0] == loop.names[1]) {
    builder.fail(builder.node(call.arguments[1]).offset,
                 "the two variables of a macro need different names, and both are " + quoted(loop.names[0]));
  }
  loop.children = {call.target, macro.condition < 0 ? kNoNode : call.arguments[static_cast<std::size_t>(macro.condition)],
                   macro.result < 0 ? kNoNode : call.arguments[static_cast<std::size_t>(macro.result)]};
  return builder.add(std::move(loop));
}

NodeId expand_has(NodeBuilder& builder, const MacroCall& call) {
  const Node& argument = builder.node(call.arguments[0]);
  if (argument.kind != NodeKind::kSelect || argument.presence) {
    builder.fail(argument.offset, "has() takes a field, such as has(event.unit)");
    return call.arguments[0];
  }
  Node node = argument;
  node.presence = true;
  return builder.add(std::move(node));
}

/// sortBy(x, key): the list sorted by the list of its keys.
NodeId expand_sort_by(NodeBuilder& builder, const MacroCall& call) {
  const auto at = call.offset;
  MacroCall keys{at, "@keys", builder.name(at, kTargetName), call.arguments};
  const NodeId key_list = expand_loop(builder, keys, kLoopMacros[17]);
  const NodeId sorted = builder.internal_call(at, "@sortByKeys", {builder.name(at, kTargetName), key_list});
  return builder.bind(at, kTargetName, call.target, sorted);
}

/// optMap(x, result): none stays none, of(x) becomes of(result). optFlatMap: the result is an optional itself.
NodeId expand_opt_map(NodeBuilder& builder, const MacroCall& call, bool flat) {
  const auto at = call.offset;
  auto name = variable(builder, call.arguments[0]);
  const NodeId value = builder.member_call(at, "value", {builder.name(at, kTargetName)});
  NodeId result = builder.bind(at, name.value_or("x"), value, call.arguments[1]);
  if (!flat) result = builder.internal_call(at, "optional.of", {result});
  const NodeId present = builder.member_call(at, "hasValue", {builder.name(at, kTargetName)});
  const NodeId none = builder.internal_call(at, "optional.none", {});
  const NodeId chosen = builder.operation(at, Operator::kConditional, {present, result, none});
  return builder.bind(at, kTargetName, call.target, chosen);
}

NodeId expand_extreme(NodeBuilder& builder, const MacroCall& call, const char* function) {
  const auto at = call.offset;
  if (call.arguments.empty()) {
    builder.fail(at, "math." + std::string(call.function) + "() takes at least one number");
    return builder.literal(at, Value());
  }
  for (const NodeId argument : call.arguments) {
    const Node& node = builder.node(argument);
    const bool list_alone = node.kind == NodeKind::kList && call.arguments.size() == 1 && !node.children.empty();
    const bool wrong_literal = node.kind == NodeKind::kLiteral && !node.literal.is_number();
    if (wrong_literal || node.kind == NodeKind::kMap || (node.kind == NodeKind::kList && !list_alone)) {
      builder.fail(node.offset,
                   "math." + std::string(call.function) + "() takes numbers, or one list of numbers that is not empty");
    }
  }
  if (call.arguments.size() == 1) return builder.internal_call(at, function, call.arguments);
  return builder.internal_call(at, function, {builder.list(at, call.arguments)});
}

std::optional<std::int64_t> small_number(NodeBuilder& builder, NodeId argument) {
  const Node& node = builder.node(argument);
  if (node.kind == NodeKind::kLiteral && node.literal.is(Kind::kInt) && node.literal.as_int() >= 0 &&
      node.literal.as_int() < 10'000) {
    return node.literal.as_int();
  }
  builder.fail(node.offset, "a whole number below 10000 must stand here");
  return std::nullopt;
}

std::string block_name(std::int64_t index) { return "@index" + std::to_string(index); }

NodeId expand_block(NodeBuilder& builder, const MacroCall& call) {
  const Node list = builder.node(call.arguments[0]);
  if (list.kind != NodeKind::kList) {
    builder.fail(list.offset, "cel.block() takes a list first");
    return call.arguments[1];
  }
  NodeId body = call.arguments[1];
  for (std::size_t i = list.children.size(); i-- > 0;) {
    body = builder.bind(call.offset, block_name(static_cast<std::int64_t>(i)), list.children[i], body);
  }
  return body;
}

std::optional<NodeId> expand_cel(NodeBuilder& builder, const MacroCall& call, bool block_macros) {
  const auto count = call.arguments.size();
  if (call.function == "bind" && count == 3) {
    auto name = variable(builder, call.arguments[0]);
    return builder.bind(call.offset, name.value_or("x"), call.arguments[1], call.arguments[2]);
  }
  if (!block_macros) return std::nullopt;
  if (call.function == "block" && count == 2) return expand_block(builder, call);
  if (call.function == "index" && count == 1) {
    const auto index = small_number(builder, call.arguments[0]);
    return builder.name(call.offset, block_name(index.value_or(0)));
  }
  if (call.function == "iterVar" && count == 2) {
    const auto depth = small_number(builder, call.arguments[0]);
    const auto number = small_number(builder, call.arguments[1]);
    return builder.name(call.offset, "@it:" + std::to_string(depth.value_or(0)) + ":" + std::to_string(number.value_or(0)));
  }
  return std::nullopt;
}

}  // namespace

std::optional<NodeId> expand_macro(NodeBuilder& builder, const MacroCall& call, bool block_macros) {
  const auto count = call.arguments.size();
  if (call.target == kNoNode) {
    if (call.function == "has" && count == 1) return expand_has(builder, call);
    return std::nullopt;
  }
  const Node& target = builder.node(call.target);
  if (target.kind == NodeKind::kName && target.name == "cel") {
    if (auto made = expand_cel(builder, call, block_macros)) return made;
  }
  if (target.kind == NodeKind::kName && target.name == "math") {
    if (call.function == "greatest") return expand_extreme(builder, call, "math.@max");
    if (call.function == "least") return expand_extreme(builder, call, "math.@min");
  }
  if (call.function == "sortBy" && count == 2) return expand_sort_by(builder, call);
  if (call.function == "optMap" && count == 2) return expand_opt_map(builder, call, false);
  if (call.function == "optFlatMap" && count == 2) return expand_opt_map(builder, call, true);
  for (const LoopMacro& macro : kLoopMacros) {
    if (macro.function == call.function && macro.arguments == count) return expand_loop(builder, call, macro);
  }
  return std::nullopt;
}

}  // namespace prunella::cel
