#include "decide/cel/checker.h"

#include <algorithm>

#include "base/text.h"
#include "decide/cel/well_known.h"

namespace prunella::cel {

namespace {

/// The name under which an operator's overloads are declared.
std::string declared_name(Operator op, std::size_t operands) {
  if (op == Operator::kConditional) return "_?:_";
  const std::string sign(shown(op));
  return operands == 1 ? sign + "_" : "_" + sign + "_";
}

class Checker {
 public:
  Checker(const Ast& ast, const Resolved& resolved, const Environment& environment, const ParseLimits& limits)
      : ast_(ast), resolved_(resolved), environment_(environment), limits_(limits), locals_(resolved.locals) {
    out_.types.resize(ast.nodes.size());
  }

  Checked run() && {
    visit(ast_.root);
    for (Type& type : out_.types) type = substitution_.apply_or_dyn(type);
    out_.type = out_.types[ast_.root];
    return std::move(out_);
  }

 private:
  Type visit(NodeId id) { return out_.types[id] = find_type(id); }

  Type find_type(NodeId id) {
    const Node& node = ast_.node(id);
    switch (node.kind) {
      case NodeKind::kLiteral: return literal_type(node.literal);
      case NodeKind::kName:
      case NodeKind::kSelect: return name_type(id, node);
      case NodeKind::kOperator: return node.op == Operator::kConditional ? conditional_type(node) : operator_type(node);
      case NodeKind::kIndex: return index_type(node);
      case NodeKind::kCall: return call_type(id, node);
      case NodeKind::kList: return list_type(node);
      case NodeKind::kMap: return map_type(node);
      case NodeKind::kStruct: return struct_type(id, node);
      case NodeKind::kLoop: return loop_type(id, node);
      case NodeKind::kBind: {
        const Type init = visit(node.children[0]);
        locals_[resolved_.of(id).number] = init;
        return visit(node.children[1]);
      }
    }
    return {};
  }

  static Type literal_type(const Value& value) {
    switch (value.kind()) {
      case Kind::kNull: return Type(TypeKind::kNull);
      case Kind::kBool: return Type(TypeKind::kBool);
      case Kind::kInt: return Type(TypeKind::kInt);
      case Kind::kUint: return Type(TypeKind::kUint);
      case Kind::kDouble: return Type(TypeKind::kDouble);
      case Kind::kString: return Type(TypeKind::kString);
      case Kind::kBytes: return Type(TypeKind::kBytes);
      default: return {};
    }
  }

  Type name_type(NodeId id, const Node& node) {
    const Resolution& meaning = resolved_.of(id);
    switch (meaning.meaning) {
      case Meaning::kLocal: return locals_[meaning.number];
      case Meaning::kVariable: return *environment_.variable_type(meaning.name);
      case Meaning::kType: return Type::type_of(denoted_type(meaning.name).value_or(Type()));
      case Meaning::kNothing:
        return fail(node.offset, "there is no variable " + quoted(node.name), near(node.name, environment_.variable_names()));
      default: break;
    }
    const Type operand = visit(node.children[0]);
    if (node.presence) {
      field_type(node, operand);
      return Type(TypeKind::kBool);
    }
    const Type field = field_type(node, operand);
    if (!node.optional || field.is(TypeKind::kOptional)) return field;
    return Type::optional(field);
  }

  /// The type of a field of a value of type `operand`.
  Type field_type(const Node& node, const Type& operand) {
    const Type type = substitution_.apply(operand);
    switch (type.kind()) {
      case TypeKind::kDyn:
      case TypeKind::kError:
      case TypeKind::kParameter: return {};
      case TypeKind::kMap:
        if (substitution_.assign(Type(TypeKind::kString), type.parameter(0))) return type.parameter(1);
        return fail(node.offset, "a map whose keys are " + to_text(type.parameter(0)) + " has no field " + quoted(node.name),
                    "index it with [...]");
      case TypeKind::kOptional: {
        const Type inner = field_type(node, type.parameter(0));
        return inner.is(TypeKind::kOptional) ? inner : Type::optional(inner);
      }
      case TypeKind::kObject: {
        if (!environment_.has_object(type.name())) return {};
        const Type* field = environment_.field_type(type.name(), node.name);
        if (field != nullptr) return *field;
        return fail(node.offset, "an object " + quoted(type.name()) + " has no field " + quoted(node.name),
                    near(node.name, environment_.field_names(type.name())));
      }
      default: return fail(node.offset, "a value of type " + to_text(type) + " has no field " + quoted(node.name), "");
    }
  }

  Type conditional_type(const Node& node) {
    const Type condition = visit(node.children[0]);
    const Type yes = visit(node.children[1]);
    const Type no = visit(node.children[2]);
    if (!substitution_.assign(condition, Type(TypeKind::kBool))) {
      return fail(ast_.node(node.children[0]).offset, "the condition before '?' is of type " + shown_type(condition),
                  "it must be bool");
    }
    return substitution_.join(yes, no);
  }

  Type operator_type(const Node& node) {
    std::vector<Type> operands;
    for (const NodeId child : node.children) operands.push_back(visit(child));
    const auto set = environment_.find_function(declared_name(node.op, operands.size()));
    if (const auto type = overload_type(*set, false, operands)) return *type;
    std::vector<std::string> given;
    for (const Type& operand : operands) given.push_back(shown_type(operand));
    return fail(node.offset, "'" + std::string(shown(node.op)) + "' does not take " + join(given, " and "),
                conversion_hint(operands));
  }
  std::string conversion_hint(const std::vector<Type>& operands) const {
    if (operands.size() != 2) return "";
    const Type a = substitution_.apply(operands[0]);
    const Type b = substitution_.apply(operands[1]);
    const auto is_number = [](const Type& type) {
      return type.is(TypeKind::kInt) || type.is(TypeKind::kUint) || type.is(TypeKind::kDouble);
    };
    if (!(a == b) && is_number(a) && is_number(b)) return "convert one with " + to_text(a) + "(...) or " + to_text(b) + "(...)";
    return "";
  }

  Type index_type(const Node& node) {
    const Type operand = substitution_.apply(visit(node.children[0]));
    const Type key = visit(node.children[1]);
    const bool through = operand.is(TypeKind::kOptional);
    const Type container = through ? operand.parameter(0) : operand;
    Type element;
    if (container.is(TypeKind::kList)) {
      if (!substitution_.assign(key, Type(TypeKind::kInt)))
        return fail(node.offset, "a list is indexed by int, and not by " + shown_type(key), "");
      element = container.parameter(0);
    } else if (container.is(TypeKind::kMap)) {
      if (!substitution_.assign(key, container.parameter(0))) {
        return fail(node.offset,
                    "this map is indexed by " + shown_type(container.parameter(0)) + ", and not by " + shown_type(key), "");
      }
      element = container.parameter(1);
    } else if (!container.is_open() && !container.is(TypeKind::kParameter) && !container.is(TypeKind::kObject)) {
      return fail(node.offset, "a value of type " + shown_type(container) + " has no elements to index", "");
    }
    return node.optional || through ? Type::optional(element) : element;
  }

  Type call_type(NodeId id, const Node& node) {
    const Resolution& meaning = resolved_.of(id);
    const bool member = node.member && !meaning.namespaced;
    const auto set = environment_.find_function(meaning.name);
    if (set == nullptr) return unknown_function(node, meaning.name, member);
    std::vector<Type> arguments;
    for (std::size_t i = meaning.namespaced ? 1 : 0; i < node.children.size(); ++i) arguments.push_back(visit(node.children[i]));
    if (const auto type = overload_type(*set, member, arguments)) return *type;
    std::vector<std::string> given;
    for (std::size_t i = member ? 1 : 0; i < arguments.size(); ++i) given.push_back(shown_type(arguments[i]));
    std::vector<std::string> wanted;
    for (const Overload& overload : set->overloads) wanted.push_back(to_text(overload));
    std::string text = quoted(meaning.name) + " can't be called as " + (member ? shown_type(arguments[0]) + "." : "") + "(" +
                       join(given, ", ") + ")";
    return fail(node.offset, std::move(text), "it takes " + join(wanted, " or "));
  }

  Type unknown_function(const Node& node, const std::string& name, bool member) {
    if (member) {
      const NodeId first = first_of_chain(ast_, node.children[0]);
      const bool nothing =
          first != kNoNode && resolved_.of(first).meaning == Meaning::kOpen && ast_.node(first).kind == NodeKind::kName;
      // lists.rnge(3): the target was meant as the beginning of a name.
      if (nothing || (first != kNoNode && resolved_.of(first).meaning == Meaning::kNothing)) {
        const std::string full = dotted_name(ast_, node.children[0]) + "." + name;
        if (auto hint = near(full, environment_.function_names(false)); !hint.empty())
          return fail(node.offset, "there is no function " + quoted(full), hint);
      }
    }
    for (std::size_t i = 0; i < node.children.size(); ++i) visit(node.children[i]);
    return fail(node.offset, "there is no function " + quoted(name), near(name, environment_.function_names(member)));
  }

  /// The result of the overload that takes these arguments; of several, dyn unless all results are the same. nullopt: none takes
  /// them.
  std::optional<Type> overload_type(const FunctionSet& set, bool member, const std::vector<Type>& arguments) {
    const std::size_t start = substitution_.mark();
    std::optional<Type> result;
    const Overload* first = nullptr;
    for (const Overload& overload : set.overloads) {
      if (overload.member != member || overload.parameters.size() != arguments.size()) continue;
      const auto type = instantiate(overload, arguments);
      if (!type) continue;
      const Type found = substitution_.apply(*type);
      if (first == nullptr) {
        first = &overload;
        result = found;
      } else if (!(*result == found)) {
        result = Type();
      }
      substitution_.roll_back(start);
    }
    if (first == nullptr) return std::nullopt;
    // What the first one binds stays bound.
    const auto type = instantiate(*first, arguments);
    return result->is(TypeKind::kDyn) ? Type() : substitution_.apply(*type);
  }

  std::optional<Type> instantiate(const Overload& overload, const std::vector<Type>& arguments) {
    std::map<std::string, Type> fresh;
    const std::size_t start = substitution_.mark();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (substitution_.assign(arguments[i], renamed(overload.parameters[i], fresh))) continue;
      substitution_.roll_back(start);
      return std::nullopt;
    }
    return renamed(overload.result, fresh);
  }
  Type renamed(const Type& type, std::map<std::string, Type>& fresh) {
    if (type.is(TypeKind::kParameter)) {
      const auto found = fresh.find(type.name());
      return found != fresh.end() ? found->second : fresh.emplace(type.name(), substitution_.fresh()).first->second;
    }
    if (type.parameters().empty()) return type;
    std::vector<Type> parameters;
    for (const Type& parameter : type.parameters()) parameters.push_back(renamed(parameter, fresh));
    return Type(type.kind(), std::move(parameters), type.name());
  }

  /// The type of an element that may stand behind a '?'.
  Type element_type(NodeId child, bool optional) {
    const Type type = visit(child);
    if (!optional) return type;
    const Type inner = substitution_.fresh();
    if (substitution_.assign(type, Type::optional(inner))) return inner;
    return fail(ast_.node(child).offset, "behind '?' stands a value of type " + shown_type(type), "it must be an optional");
  }
  Type joined(const std::optional<Type>& before, const Type& type) { return before ? substitution_.join(*before, type) : type; }

  Type list_type(const Node& node) {
    std::optional<Type> element;
    for (std::size_t i = 0; i < node.children.size(); ++i)
      element = joined(element, element_type(node.children[i], node.optionals[i]));
    return Type::list(element ? *element : substitution_.fresh());
  }

  Type map_type(const Node& node) {
    std::optional<Type> key;
    std::optional<Type> value;
    for (std::size_t i = 0; i < node.children.size(); i += 2) {
      const Type this_key = visit(node.children[i]);
      const Type plain = substitution_.apply(this_key);
      const bool good = plain.is_open() || plain.is(TypeKind::kParameter) || plain.is(TypeKind::kBool) ||
                        plain.is(TypeKind::kInt) || plain.is(TypeKind::kUint) || plain.is(TypeKind::kString);
      if (!good)
        fail(ast_.node(node.children[i]).offset, "a map's key is of type " + shown_type(plain),
             "it must be bool, int, uint or string");
      key = joined(key, this_key);
      value = joined(value, element_type(node.children[i + 1], node.optionals[i / 2]));
    }
    if (!key) return Type::map(substitution_.fresh(), substitution_.fresh());
    return Type::map(*key, *value);
  }

  Type struct_type(NodeId id, const Node& node) {
    for (std::size_t i = 0; i < node.children.size(); ++i) element_type(node.children[i], node.optionals[i]);
    if (resolved_.of(id).meaning == Meaning::kMessage) return well_known_type(resolved_.of(id).name);
    return fail(node.offset, "there is no message " + quoted(node.name), near(node.name, well_known_messages()));
  }

  Type loop_type(NodeId id, const Node& node) {
    const Type range = substitution_.apply(visit(node.children[0]));
    Type first;
    Type second;
    if (range.is(TypeKind::kList)) {
      first = node.names.size() == 1 ? range.parameter(0) : Type(TypeKind::kInt);
      second = range.parameter(0);
    } else if (range.is(TypeKind::kMap)) {
      first = range.parameter(0);
      second = range.parameter(1);
    } else if (!range.is_open() && !range.is(TypeKind::kParameter) && !range.is(TypeKind::kObject)) {
      fail(ast_.node(node.children[0]).offset, "a macro goes over a list or a map, and not over " + shown_type(range), "");
    }
    const std::uint32_t local = resolved_.of(id).number;
    locals_[local] = first;
    if (node.names.size() == 2) locals_[local + 1] = second;
    if (node.children[1] != kNoNode) {
      const Type condition = visit(node.children[1]);
      if (!substitution_.assign(condition, Type(TypeKind::kBool))) {
        fail(ast_.node(node.children[1]).offset, "a macro's condition is of type " + shown_type(condition), "it must be bool");
      }
    }
    const Type result = node.children[2] != kNoNode ? visit(node.children[2]) : Type();
    switch (node.loop) {
      case LoopKind::kAll:
      case LoopKind::kExists:
      case LoopKind::kExistsOne: return Type(TypeKind::kBool);
      case LoopKind::kFilter: return Type::list(first);
      case LoopKind::kMap: return Type::list(result);
      case LoopKind::kMapValues: return Type::map(first, result);
      case LoopKind::kMapEntries: break;
    }
    const Type entries = Type::map(substitution_.fresh(), substitution_.fresh());
    if (substitution_.assign(result, entries)) return entries;
    return fail(ast_.node(node.children[2]).offset, "transformMapEntry makes maps, and this is of type " + shown_type(result),
                "write {key: value}");
  }

  std::string shown_type(const Type& type) const { return to_text(substitution_.apply_or_dyn(type)); }
  std::string near(const std::string& name, const std::vector<std::string>& names) const {
    // Any short word is near to a name of one or two letters.
    const auto found = name.size() > 2 && name.size() <= 100 ? nearest_word(name, names) : std::nullopt;
    return found ? "did you mean " + quoted(*found) + "?" : "";
  }
  Type fail(std::size_t offset, std::string text, std::string hint) {
    if (out_.problems.size() < limits_.problems_max)
      out_.problems.push_back({offset, place_of(ast_.source, offset), std::move(text), std::move(hint)});
    return Type(TypeKind::kError);
  }

  const Ast& ast_;
  const Resolved& resolved_;
  const Environment& environment_;
  const ParseLimits& limits_;
  Substitution substitution_;
  std::vector<Type> locals_;
  Checked out_;
};

}  // namespace

Checked check_types(const Ast& ast, const Resolved& resolved, const Environment& environment, const ParseLimits& limits) {
  return Checker(ast, resolved, environment, limits).run();
}

}  // namespace prunella::cel
