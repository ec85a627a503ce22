#include "decide/cel/cost.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "decide/cel/limits.h"
#include "decide/cel/pattern.h"

namespace prunella::cel {

namespace {

std::uint64_t plus(std::uint64_t a, std::uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }
std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
template <class... More>
std::uint64_t plus(std::uint64_t a, std::uint64_t b, More... more) {
  return plus(plus(a, b), more...);
}

constexpr std::uint64_t kScalarText = 64;  // the longest text of a number, time or address

/// How large a value can be.
struct Shape {
  std::uint64_t size = 0;                ///< bytes of a text, elements of a list or map; the larger for what may be either
  std::uint64_t parts = 1;               ///< the value with all within it
  std::shared_ptr<const Shape> element;  ///< nullptr: as large as this itself
};
std::uint64_t text_units(const Shape& shape) { return shape.size / 8 + 1; }
Shape text_shape(std::uint64_t bytes) { return {bytes, plus(1, bytes / 8), std::make_shared<const Shape>()}; }
Shape element_of(const Shape& shape) { return shape.element ? *shape.element : shape; }
Shape list_shape(std::uint64_t count, const Shape& element) {
  return {count, plus(1, times(count, element.parts)), std::make_shared<const Shape>(element)};
}
std::uint64_t largest(const Shape& shape) { return shape.element ? std::max(shape.size, largest(*shape.element)) : shape.size; }
Shape larger(const Shape& a, const Shape& b) {
  Shape joined{std::max(a.size, b.size), std::max(a.parts, b.parts), nullptr};
  if (a.element && b.element) {
    joined.element = std::make_shared<const Shape>(larger(*a.element, *b.element));
  } else {
    joined.size = std::max(largest(a), largest(b));
  }
  return joined;
}

struct Estimate {
  std::uint64_t cost = 0;
  Shape shape;
};

class Estimator {
 public:
  Estimator(const Ast& ast, const Resolved& resolved, const Checked& checked, const SizeAssumptions& sizes)
      : ast_(ast), resolved_(resolved), checked_(checked), sizes_(sizes), locals_(resolved.locals) {}

  Estimate visit(NodeId id) {
    const Node& node = ast_.node(id);
    switch (node.kind) {
      case NodeKind::kLiteral: return {1, literal_shape(node.literal)};
      case NodeKind::kName:
      case NodeKind::kSelect: return name(id, node);
      case NodeKind::kOperator: return operation(node);
      case NodeKind::kIndex: {
        const Estimate container = visit(node.children[0]);
        const Estimate key = visit(node.children[1]);
        return {plus(container.cost, key.cost, 1), element_of(container.shape)};
      }
      case NodeKind::kCall: return call(id, node);
      case NodeKind::kList:
      case NodeKind::kMap: return aggregate(node);
      case NodeKind::kStruct: {
        Estimate all = aggregate(node);
        return {all.cost, larger(all.shape, element_of(all.shape))};
      }
      case NodeKind::kLoop: return loop(id, node);
      case NodeKind::kBind: {
        const Estimate init = visit(node.children[0]);
        locals_[resolved_.of(id).number] = init.shape;
        const Estimate body = visit(node.children[1]);
        return {plus(init.cost, body.cost, 2), body.shape};
      }
    }
    return {};
  }

 private:
  static Shape literal_shape(const Value& value) {
    return value.is(Kind::kString) || value.is(Kind::kBytes) ? text_shape(value.as_text().size())
                                                             : Shape{0, 1, std::make_shared<const Shape>()};
  }

  Shape type_shape(const Type& type) const {
    switch (type.kind()) {
      case TypeKind::kString:
      case TypeKind::kBytes: return text_shape(sizes_.text_bytes_max);
      case TypeKind::kList: return capped(list_shape(sizes_.elements_max, type_shape(type.parameter(0))));
      case TypeKind::kMap: {
        Shape entry = type_shape(type.parameter(1));
        entry.parts = plus(entry.parts, type_shape(type.parameter(0)).parts);
        Shape shape = list_shape(sizes_.elements_max, entry);
        return capped(shape);
      }
      case TypeKind::kOptional:
      case TypeKind::kNullable: return type_shape(type.parameter(0));
      case TypeKind::kDyn:
      case TypeKind::kObject:
      case TypeKind::kOpaque:
      case TypeKind::kParameter:
      case TypeKind::kError: return {std::max(sizes_.elements_max, sizes_.text_bytes_max), sizes_.parts_max, nullptr};
      default: return {0, 1, std::make_shared<const Shape>()};
    }
  }
  Shape capped(Shape shape) const {
    shape.parts = std::min(shape.parts, sizes_.parts_max);
    return shape;
  }

  Estimate name(NodeId id, const Node& node) {
    const Resolution& meaning = resolved_.of(id);
    if (meaning.meaning == Meaning::kLocal) return {1, locals_[meaning.number]};
    if (meaning.meaning == Meaning::kVariable || meaning.meaning == Meaning::kType || meaning.meaning == Meaning::kNothing) {
      return {1, type_shape(checked_.types[id])};
    }
    const Estimate operand = visit(node.children[0]);
    // What is declared about a field is closer than what is known of the whole.
    const Type& type = checked_.types[id];
    const bool declared = !type.is_open() && !type.is(TypeKind::kOptional) && comes_from_variable(id);
    return {plus(operand.cost, 1), node.presence ? Shape{0, 1, nullptr}
                                   : declared    ? type_shape(type)
                                                 : element_of(operand.shape)};
  }
  bool comes_from_variable(NodeId id) const {
    const NodeId first = first_of_chain(ast_, id);
    if (first == kNoNode) return false;
    for (NodeId at = id; at != first; at = ast_.node(at).children[0]) {
      if (resolved_.of(at).meaning == Meaning::kVariable) return true;
    }
    return resolved_.of(first).meaning == Meaning::kVariable;
  }

  Estimate operation(const Node& node) {
    if (node.op == Operator::kConditional) {
      const Estimate condition = visit(node.children[0]);
      const Estimate yes = visit(node.children[1]);
      const Estimate no = visit(node.children[2]);
      return {plus(condition.cost, std::max(yes.cost, no.cost), 2), larger(yes.shape, no.shape)};
    }
    const Estimate a = visit(node.children[0]);
    const Shape scalar{0, 1, std::make_shared<const Shape>()};
    if (node.children.size() == 1) return {plus(a.cost, 1), scalar};
    const Estimate b = visit(node.children[1]);
    const std::uint64_t both = plus(a.cost, b.cost, 2);
    switch (node.op) {
      case Operator::kEqual:
      case Operator::kNotEqual: return {plus(both, std::min(a.shape.parts, b.shape.parts)), scalar};
      case Operator::kIn: return {plus(both, b.shape.parts), scalar};
      case Operator::kLess:
      case Operator::kLessEqual:
      case Operator::kGreater:
      case Operator::kGreaterEqual: return {plus(both, std::min(text_units(a.shape), text_units(b.shape))), scalar};
      case Operator::kAdd: {
        Shape sum = larger(a.shape, b.shape);
        sum.size = plus(a.shape.size, b.shape.size);
        sum.parts = plus(a.shape.parts, b.shape.parts);
        return {plus(both, sum.size, 1), sum};
      }
      default: return {both, scalar};
    }
  }

  Estimate aggregate(const Node& node) {
    const std::uint64_t count = node.children.size();
    std::uint64_t cost = plus(count, 1);
    std::uint64_t parts = 1;
    std::optional<Shape> element;
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      const Estimate child = visit(node.children[i]);
      cost = plus(cost, child.cost);
      parts = plus(parts, child.shape.parts);
      // The keys of a map are no elements of it, and counted in parts only.
      if (node.kind == NodeKind::kMap && i % 2 == 0) continue;
      element = element ? larger(*element, child.shape) : child.shape;
    }
    return {cost,
            {node.kind == NodeKind::kMap ? count / 2 : count, parts,
             std::make_shared<const Shape>(element.value_or(Shape{0, 1, std::make_shared<const Shape>()}))}};
  }

  Estimate loop(NodeId id, const Node& node) {
    const Estimate range = visit(node.children[0]);
    const std::uint32_t local = resolved_.of(id).number;
    // A key is no larger than what a map's parts hold; a list's element is what it is.
    const Shape element = element_of(range.shape);
    const Type& type = checked_.types[node.children[0]];
    const Shape key =
        type.is(TypeKind::kMap) ? larger(type_shape(type.parameter(0)), text_shape(times(8, range.shape.parts))) : element;
    locals_[local] = node.names.size() == 1 ? larger(key, element) : key;
    if (node.names.size() == 2) locals_[local + 1] = element;
    std::uint64_t round = 1;
    if (node.children[1] != kNoNode) round = plus(round, visit(node.children[1]).cost, 2);
    Estimate result;
    if (node.children[2] != kNoNode) {
      result = visit(node.children[2]);
      round = plus(round, result.cost, 2);
      if (node.loop == LoopKind::kMapEntries) round = plus(round, result.shape.size);
    }
    const std::uint64_t count = range.shape.size;
    const std::uint64_t cost = plus(range.cost, 2, times(count, round));
    switch (node.loop) {
      case LoopKind::kAll:
      case LoopKind::kExists:
      case LoopKind::kExistsOne: return {cost, {0, 1, std::make_shared<const Shape>()}};
      case LoopKind::kFilter: return {cost, list_shape(count, locals_[local])};
      case LoopKind::kMap: return {cost, list_shape(count, result.shape)};
      case LoopKind::kMapValues: {
        Shape entry = result.shape;
        entry.parts = plus(entry.parts, key.parts);
        return {cost, list_shape(count, entry)};
      }
      case LoopKind::kMapEntries: break;
    }
    Shape entries = list_shape(times(count, result.shape.size), element_of(result.shape));
    entries.parts = plus(1, times(count, result.shape.parts));
    return {cost, entries};
  }

  Estimate call(NodeId id, const Node& node) {
    const Resolution& meaning = resolved_.of(id);
    std::uint64_t cost = 1;
    std::vector<Shape> shapes;
    const std::size_t first = meaning.namespaced ? 1 : 0;
    for (std::size_t i = first; i < node.children.size(); ++i) {
      Estimate argument = visit(node.children[i]);
      cost = plus(cost, argument.cost);
      shapes.push_back(std::move(argument.shape));
    }
    shapes.resize(std::max<std::size_t>(shapes.size(), 4));
    const Node* pattern =
        meaning.name == "matches" && node.children.size() == first + 2 ? &ast_.node(node.children[first + 1]) : nullptr;
    const Estimate work = function(meaning.name, shapes, pattern, node.children.size() - first, id);
    return {plus(cost, work.cost), work.shape};
  }

  static std::uint64_t search(const std::vector<Shape>& a) {
    return plus(text_units(a[0]), times(text_units(a[0]), a[1].size / 64));
  }
  static std::uint64_t sort_rounds(const Shape& list) { return static_cast<std::uint64_t>(std::bit_width(list.size)) + 1; }

  std::uint64_t match_cost(const Shape& text, const Shape& pattern, const Node* literal) const {
    if (literal != nullptr && literal->kind == NodeKind::kLiteral && literal->literal.is(Kind::kString)) {
      if (const auto compiled = Pattern::compile(literal->literal.as_text())) return compiled->cost(text.size);
    }
    // RE2 keeps a program below its memory limit; an instruction takes 16 bytes.
    const std::uint64_t program = static_cast<std::uint64_t>(kPatternBytesMax) / 16;
    return plus(compile_cost(std::min<std::uint64_t>(pattern.size, UINT64_MAX / 64)), 1,
                times(text_units(text), 1 + program / 64));
  }

  /// What a function spends, and how large its result is.
  Estimate function(const std::string& name, const std::vector<Shape>& a, const Node* pattern, std::size_t count,
                    NodeId id) const {
    const Shape scalar{0, 1, std::make_shared<const Shape>()};
    const auto is = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (is({"dyn", "optional.of", "optional.ofNonZeroValue", "value", "math.@max", "math.@min"}))
      return {plus(a[0].size, 1), larger(a[0], element_of(a[0]))};
    if (is({"or", "orValue"})) return {0, larger(a[0], a[1])};
    if (is({"first", "last"})) return {0, element_of(a[0])};
    if (is({"string", "bytes"})) return {text_units(a[0]), text_shape(std::max(a[0].size, kScalarText))};
    if (is({"charAt", "substring", "trim", "lowerAscii", "upperAscii", "base64.decode"}))
      return {text_units(a[0]), text_shape(a[0].size)};
    if (is({"strings.quote", "base64.encode"})) return {plus(times(2, a[0].size), 1), text_shape(plus(times(2, a[0].size), 4))};
    if (is({"contains", "indexOf", "lastIndexOf"})) return {search(a), scalar};
    if (is({"startsWith", "endsWith"})) return {text_units(a[1]), scalar};
    if (name == "matches") return {match_cost(a[0], a[1], pattern), scalar};
    if (name == "replace") {
      const std::uint64_t places = plus(a[0].size, 1);
      const std::uint64_t size = plus(a[0].size, times(places, a[2].size));
      return {plus(search(a), size / 8, places, 2), text_shape(size)};
    }
    if (name == "split") {
      const std::uint64_t pieces = plus(a[0].size, 1);
      Shape list = list_shape(pieces, text_shape(a[0].size));
      list.parts = plus(1, times(2, pieces));
      return {plus(search(a), times(2, pieces)), list};
    }
    if (name == "join") {
      const std::uint64_t size = plus(times(8, a[0].parts), times(a[0].size, a[1].size));
      return {plus(size / 8, times(2, a[0].size), a[0].parts), text_shape(size)};
    }
    if (name == "format") {
      const std::uint64_t clauses = plus(a[0].size / 2, 1);  // each at most 1,400 bytes beyond its value (%.1000f)
      return {plus(times(3, a[0].size), times(200, clauses), times(20, a[1].parts)),
              text_shape(plus(a[0].size, times(1'400, clauses), times(80, a[1].parts)))};
    }
    if (name == "reverse") return {plus(a[0].size, 1), a[0]};
    if (is({"slice", "optional.unwrap", "unwrapOpt"})) return {plus(a[0].size, 1), a[0]};
    if (name == "flatten") {
      Shape flat = a[0];
      flat.size = a[0].parts;
      flat.element = nullptr;
      return {times(2, a[0].parts), flat};
    }
    if (name == "distinct") return {times(a[0].size, a[0].parts), a[0]};
    if (is({"sort", "@sortByKeys"})) {
      const Shape& keys = name == "sort" ? a[0] : a[1];
      return {plus(times(plus(keys.size, keys.parts), sort_rounds(keys)), 1), a[0]};
    }
    if (name == "lists.range") return {plus(range_size(id), 1), list_shape(range_size(id), scalar)};
    const auto set = standard_functions().find(name);
    if (set != nullptr) return {plus(text_units(a[0]), text_units(a[1])), type_shape(checked_.types[id])};
    std::uint64_t parts = 1;
    for (std::size_t i = 0; i < count; ++i) parts = plus(parts, a[i].parts);
    return {parts, type_shape(checked_.types[id])};
  }

  /// Elements of lists.range: what a literal says, else the limit.
  std::uint64_t range_size(NodeId id) const {
    const Node& argument = ast_.node(ast_.node(id).children.back());
    const bool literal = argument.kind == NodeKind::kLiteral && argument.literal.is(Kind::kInt);
    if (!literal) return static_cast<std::uint64_t>(kRangeMax);
    return static_cast<std::uint64_t>(std::clamp(argument.literal.as_int(), std::int64_t{0}, kRangeMax));
  }

  const Ast& ast_;
  const Resolved& resolved_;
  const Checked& checked_;
  const SizeAssumptions& sizes_;
  std::vector<Shape> locals_;
};

}  // namespace

std::uint64_t cost_bound(const Ast& ast, const Resolved& resolved, const Checked& checked, const SizeAssumptions& sizes) {
  return Estimator(ast, resolved, checked, sizes).visit(ast.root).cost;
}

}  // namespace prunella::cel
