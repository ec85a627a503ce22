#include "decide/cel/emitter.h"

#include <algorithm>

#include "base/text.h"
#include "decide/cel/operators.h"
#include "decide/cel/well_known.h"

namespace prunella::cel {

namespace {

constexpr std::uint64_t kFoldCostMax = 10'000;  // for one constant part; larger ones wait for the run

class Emitter {
 public:
  Emitter(const Ast& ast, const Resolved& resolved, const Environment& environment, Slots& slots)
      : ast_(ast), resolved_(resolved), environment_(environment), slots_(slots), program_(std::make_shared<Program>()) {
    program_->source = ast.source;
    program_->locals = resolved.locals;
  }

  Emitted run() && {
    visit(ast_.root);
    for (Value& constant : program_->constants) constant.freeze();
    find_selectors(ast_.root);
    return {std::move(program_), std::move(problems_)};
  }

 private:
  void visit(NodeId id) {
    const Node& node = ast_.node(id);
    const Resolution& meaning = resolved_.of(id);
    if (const SlotId slot = slot_of(id); slot != kNoSlot) return put(id, Op::kSlot, 0, slot);
    switch (node.kind) {
      case NodeKind::kLiteral: return add_constant(id, node.literal);
      case NodeKind::kName:
      case NodeKind::kSelect: return visit_name(id, node, meaning);
      case NodeKind::kOperator: return visit_operator(id, node);
      case NodeKind::kIndex:
        visit(node.children[0]);
        visit(node.children[1]);
        return put(id, node.optional ? Op::kIndexOptional : Op::kIndex);
      case NodeKind::kCall: return visit_call(id, node, meaning);
      case NodeKind::kList: return visit_list(id, node);
      case NodeKind::kMap: return visit_map(id, node);
      case NodeKind::kStruct: return visit_struct(id, node, meaning);
      case NodeKind::kLoop: return visit_loop(id, node, meaning);
      case NodeKind::kBind:
        visit(node.children[0]);
        add(id, Op::kStore, 0, meaning.number);
        visit(node.children[1]);
        return put(id, Op::kForget, 0, meaning.number);
    }
  }

  /// The slot of a variable or a path of fields below one.
  SlotId slot_of(NodeId id) {
    const Resolution& meaning = resolved_.of(id);
    if (meaning.meaning == Meaning::kVariable) return slots_.root(meaning.name);
    const Node& node = ast_.node(id);
    if (node.kind != NodeKind::kSelect || node.optional || node.presence || meaning.meaning != Meaning::kOpen) return kNoSlot;
    if (first_of_chain(ast_, id) == kNoNode) return kNoSlot;
    const SlotId parent = slot_of(node.children[0]);
    return parent == kNoSlot ? kNoSlot : slots_.child(parent, node.name);
  }

  void visit_name(NodeId id, const Node& node, const Resolution& meaning) {
    switch (meaning.meaning) {
      case Meaning::kLocal: return put(id, Op::kLocal, 0, meaning.number);
      case Meaning::kType: return add_constant(id, Value::type(meaning.name));
      case Meaning::kNothing: return add_failure(id, "there is no variable " + quoted(node.name));
      default: break;
    }
    visit(node.children[0]);
    add(id, node.presence ? Op::kHas : node.optional ? Op::kSelectOptional : Op::kSelect, 0, constant(Value::string(node.name)));
  }

  void visit_operator(NodeId id, const Node& node) {
    const auto op = static_cast<std::uint8_t>(node.op);
    if (node.op == Operator::kAnd || node.op == Operator::kOr) {
      visit(node.children[0]);
      const std::size_t decide = add(id, Op::kDecide, op);
      visit(node.children[1]);
      add(id, Op::kCombine, op);
      program_->code[decide].b = next();
      return;
    }
    if (node.op == Operator::kConditional) return visit_conditional(id, node);
    const std::size_t begin = next();
    for (const NodeId child : node.children) visit(child);
    if (fuse_comparison(id, node, begin)) return;
    add(id, node.children.size() == 1 ? Op::kUnary : Op::kBinary, op);
    fold(id, begin, node.children.size());
  }

  void visit_conditional(NodeId id, const Node& node) {
    visit(node.children[0]);
    const std::size_t branch = add(id, Op::kBranch);
    visit(node.children[1]);
    const std::size_t jump = add(id, Op::kJump);
    program_->code[branch].b = next();
    visit(node.children[2]);
    program_->code[branch].c = next();
    program_->code[jump].b = next();
  }

  /// slot == constant and slot in constant in one instruction: most conditions are such.
  bool fuse_comparison(NodeId id, const Node& node, std::size_t begin) {
    const bool comparison = node.op == Operator::kEqual || node.op == Operator::kNotEqual || node.op == Operator::kIn;
    if (!comparison || next() != begin + 2) return false;
    auto& code = program_->code;
    Instruction first = code[begin];
    Instruction second = code[begin + 1];
    if (node.op != Operator::kIn && first.op == Op::kConstant && second.op == Op::kSlot) std::swap(first, second);
    if (first.op != Op::kSlot || second.op != Op::kConstant) return false;
    remove_from(begin);
    add(id, node.op == Operator::kIn ? Op::kSlotInConstant : Op::kSlotIsConstant, static_cast<std::uint8_t>(node.op), first.b,
        second.b);
    return true;
  }

  void visit_call(NodeId id, const Node& node, const Resolution& meaning) {
    const std::size_t begin = next();
    const std::size_t first = meaning.namespaced ? 1 : 0;
    const bool member = node.member && !meaning.namespaced;
    const auto set = environment_.find_function(meaning.name);
    if (set == nullptr) {
      // A chain before it may be a name of nothing as well; the function is the more useful message.
      return add_failure(id, "there is no function " + quoted(meaning.name));
    }
    std::size_t last = begin;
    for (std::size_t i = first; i < node.children.size(); ++i) {
      last = next();
      visit(node.children[i]);
    }
    const std::size_t count = node.children.size() - first;
    if (meaning.name == "matches" && count == 2 && last + 1 == next() && precompile(id)) return;
    add(id, Op::kCall, member ? 1 : 0, static_cast<std::uint32_t>(count), function(set));
    fold(id, begin, count);
  }

  /// matches() with a pattern that is pushed by one instruction, the last: compiled now when it's constant.
  bool precompile(NodeId id) {
    const Instruction last = program_->code.back();
    if (last.op != Op::kConstant || !program_->constants[last.b].is(Kind::kString)) return false;
    auto pattern = Pattern::compile(program_->constants[last.b].as_text());
    if (!pattern) {
      const std::size_t offset = program_->offsets.back();
      problems_.push_back({offset, place_of(ast_.source, offset), pattern.error().text(), ""});
      return false;
    }
    remove_from(program_->code.size() - 1);
    program_->patterns.push_back(*std::move(pattern));
    add(id, Op::kMatches, 0, static_cast<std::uint32_t>(program_->patterns.size() - 1));
    return true;
  }

  void visit_list(NodeId id, const Node& node) {
    const std::size_t begin = next();
    for (const NodeId child : node.children) visit(child);
    add(id, Op::kList, 0, static_cast<std::uint32_t>(node.children.size()), marks(node.optionals));
    fold(id, begin, node.children.size());
  }
  void visit_map(NodeId id, const Node& node) {
    const std::size_t begin = next();
    for (const NodeId child : node.children) visit(child);
    add(id, Op::kMap, 0, static_cast<std::uint32_t>(node.children.size() / 2), marks(node.optionals));
    fold(id, begin, node.children.size());
  }
  std::uint32_t marks(const std::vector<bool>& optionals) {
    if (std::find(optionals.begin(), optionals.end(), true) == optionals.end()) return 0;
    program_->marks.push_back(optionals);
    return static_cast<std::uint32_t>(program_->marks.size());
  }

  void visit_struct(NodeId id, const Node& node, const Resolution& meaning) {
    if (meaning.meaning != Meaning::kMessage) return add_failure(id, "there is no message " + quoted(node.name));
    for (const NodeId child : node.children) visit(child);
    program_->structs.push_back({meaning.name, node.names, node.optionals});
    add(id, Op::kStruct, 0, static_cast<std::uint32_t>(program_->structs.size() - 1));
  }

  void visit_loop(NodeId id, const Node& node, const Resolution& meaning) {
    visit(node.children[0]);
    const auto plan = static_cast<std::uint32_t>(program_->loops.size());
    program_->loops.push_back({node.loop, meaning.number, static_cast<std::uint32_t>(node.names.size()), 0, 0});
    add(id, Op::kLoopBegin, 0, plan);
    program_->loops[plan].next = next();
    add(id, Op::kLoopNext, 0, plan);
    if (node.children[1] != kNoNode) {
      visit(node.children[1]);
      add(id, Op::kLoopCondition, 0, plan);
    }
    if (node.children[2] != kNoNode) {
      visit(node.children[2]);
      add(id, Op::kLoopResult, 0, plan);
    }
    program_->loops[plan].end = next();
  }

  /// Replaces the last instruction and the `count` constants before it by its value, when it has one.
  void fold(NodeId id, std::size_t begin, std::size_t count) {
    auto& code = program_->code;
    if (code.size() != begin + count + 1) return;
    std::vector<Value> operands;
    for (std::size_t i = begin; i < begin + count; ++i) {
      if (code[i].op != Op::kConstant) return;
      operands.push_back(program_->constants[code[i].b]);
    }
    const auto value = worked_out(code.back(), operands);
    if (!value || !value->is_proper()) return;
    remove_from(begin);
    add_constant(id, *value);
  }

  std::optional<Value> worked_out(const Instruction& instruction, const std::vector<Value>& operands) const {
    Budget budget(kFoldCostMax);
    NoTimeZones zones;
    const CallContext context{budget, zones};
    switch (instruction.op) {
      case Op::kUnary: return operate(static_cast<Operator>(instruction.a), operands[0]);
      case Op::kBinary: return operate(static_cast<Operator>(instruction.a), context, operands[0], operands[1]);
      case Op::kCall: {
        const Overload* overload = matching(*program_->functions[instruction.c], instruction.a == 1, operands);
        if (overload == nullptr || overload->body == nullptr) return std::nullopt;
        return overload->body(context, operands);
      }
      case Op::kList:
        if (instruction.c != 0) return std::nullopt;
        return Value::list(operands);
      case Op::kMap: {
        if (instruction.c != 0) return std::nullopt;
        MapBuilder map(operands.size() / 2);
        for (std::size_t i = 0; i < operands.size(); i += 2) {
          if (!MapBuilder::is_key(operands[i].kind()) || !map.add(operands[i], operands[i + 1])) return std::nullopt;
        }
        return std::move(map).finish();
      }
      default: return std::nullopt;
    }
  }

  /// The terms `slot == constant` and `slot in [constants]` of the conjunction at `id`.
  void find_selectors(NodeId id) {
    const Node& node = ast_.node(id);
    if (node.kind != NodeKind::kOperator) return;
    if (node.op == Operator::kAnd) {
      for (const NodeId child : node.children) find_selectors(child);
      return;
    }
    if (node.op != Operator::kEqual && node.op != Operator::kIn) return;
    for (const auto& [side, other] : {std::pair(0, 1), std::pair(1, 0)}) {
      if (node.op == Operator::kIn && side == 1) return;
      Selector selector{slot_of(node.children[static_cast<std::size_t>(side)]), {}};
      if (selector.slot == kNoSlot ||
          !demanded(node.children[static_cast<std::size_t>(other)], node.op == Operator::kIn, selector.values))
        continue;
      program_->selectors.push_back(std::move(selector));
      return;
    }
  }
  bool demanded(NodeId id, bool list, std::vector<Value>& values) const {
    const Node& node = ast_.node(id);
    if (list) {
      if (node.kind != NodeKind::kList) return false;
      for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (node.optionals[i] || !demanded(node.children[i], false, values)) return false;
      }
      return true;
    }
    if (node.kind != NodeKind::kLiteral || !MapBuilder::is_key(node.literal.kind())) return false;
    values.push_back(node.literal);
    values.back().freeze();
    return true;
  }

  std::uint32_t next() const { return static_cast<std::uint32_t>(program_->code.size()); }
  std::size_t add(NodeId id, Op op, std::uint8_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0) {
    program_->code.push_back({op, a, b, c});
    program_->offsets.push_back(ast_.node(id).offset);
    return program_->code.size() - 1;
  }
  void put(NodeId id, Op op, std::uint8_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0) { add(id, op, a, b, c); }
  void remove_from(std::size_t begin) {
    program_->code.resize(begin, {Op::kFail});
    program_->offsets.resize(begin);
  }
  std::uint32_t constant(Value value) {
    program_->constants.push_back(std::move(value));
    return static_cast<std::uint32_t>(program_->constants.size() - 1);
  }
  void add_constant(NodeId id, Value value) { add(id, Op::kConstant, 0, constant(std::move(value))); }
  void add_failure(NodeId id, std::string text) {
    add(id, Op::kFail, 0, constant(Value::error(ErrorCode::kNoValue, std::move(text))));
  }
  std::uint32_t function(const std::shared_ptr<const FunctionSet>& set) {
    auto& functions = program_->functions;
    const auto found = std::find(functions.begin(), functions.end(), set);
    if (found != functions.end()) return static_cast<std::uint32_t>(found - functions.begin());
    functions.push_back(set);
    return static_cast<std::uint32_t>(functions.size() - 1);
  }

  const Ast& ast_;
  const Resolved& resolved_;
  const Environment& environment_;
  Slots& slots_;
  std::shared_ptr<Program> program_;
  std::vector<Problem> problems_;
};

}  // namespace

Emitted emit(const Ast& ast, const Resolved& resolved, const Environment& environment, Slots& slots) {
  return Emitter(ast, resolved, environment, slots).run();
}

}  // namespace prunella::cel
