#include "decide/cel/evaluator.h"

#include "base/text.h"
#include "decide/cel/operators.h"
#include "decide/cel/well_known.h"

namespace prunella::cel {

class Evaluator::Run {
 public:
  Run(Evaluator& machine, const Program& program, Activation& activation, std::uint64_t cost_max)
      : stack_(machine.stack_),
        locals_(machine.locals_),
        loops_(machine.loops_),
        program_(program),
        activation_(activation),
        budget_(cost_max),
        context_{budget_, machine.zones_} {
    stack_.clear();
    loops_.clear();
    if (locals_.size() < program.locals) locals_.resize(program.locals);
  }

  Outcome run() {
    const std::size_t end = program_.code.size();
    while (at_ < end) {
      if (!budget_.spend(1)) break;
      step(program_.code[at_]);
    }
    Value result = budget_.is_spent() ? over_cost() : std::move(stack_.back());
    clean_up();
    return {std::move(result), budget_.used()};
  }

 private:
  void step(const Instruction& i) {
    std::size_t after = at_ + 1;
    switch (i.op) {
      case Op::kConstant: push(program_.constants[i.b]); break;
      case Op::kSlot: push_slot(activation_.value(i.b)); break;
      case Op::kLocal: push(locals_[i.b]); break;
      case Op::kStore: locals_[i.b] = pop(); break;
      case Op::kForget: locals_[i.b] = Value(); break;
      case Op::kSelect: replace_top(select_field(top(), program_.constants[i.b])); break;
      case Op::kSelectOptional: replace_top(select_optional(top(), program_.constants[i.b])); break;
      case Op::kHas: replace_top(has_field(top(), program_.constants[i.b])); break;
      case Op::kIndex:
      case Op::kIndexOptional: index(i.op == Op::kIndexOptional); break;
      case Op::kUnary: unary(static_cast<Operator>(i.a)); break;
      case Op::kBinary: binary(static_cast<Operator>(i.a)); break;
      case Op::kSlotIsConstant:
      case Op::kSlotInConstant: compare_slot(i); break;
      case Op::kMatches: matches(program_.patterns[i.b]); break;
      case Op::kDecide:
        if (i.a == static_cast<std::uint8_t>(Operator::kAnd) ? top().is_false() : top().is_true()) after = i.b;
        break;
      case Op::kCombine: {
        const Value right = pop();
        if (top().is_true() || top().is_false()) {  // not deciding, or kDecide had jumped
          if (right.is(Kind::kBool)) {
            top() = right;
            break;
          }
        }
        replace_top(combine_logical(static_cast<Operator>(i.a), top(), right));
        break;
      }
      case Op::kBranch: after = branch(i); break;
      case Op::kJump: after = i.b; break;
      case Op::kCall: call(*program_.functions[i.c], i.a == 1, i.b); break;
      case Op::kList: make_list(i.b, i.c); break;
      case Op::kMap: make_map(i.b, i.c); break;
      case Op::kStruct: make_struct(program_.structs[i.b]); break;
      case Op::kLoopBegin: after = loop_begin(program_.loops[i.b]); break;
      case Op::kLoopNext: after = loop_next(program_.loops[i.b]); break;
      case Op::kLoopCondition: after = loop_condition(program_.loops[i.b]); break;
      case Op::kLoopResult: after = loop_result(program_.loops[i.b]); break;
      case Op::kFail: push_slot(program_.constants[i.b]); break;
    }
    at_ = after;
  }

  Value& top() { return stack_.back(); }
  void push(const Value& value) { stack_.push_back(value); }
  Value pop() {
    Value value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }
  /// A result that may be a fresh error: it arose here.
  Value placed(Value value) const {
    if (value.is_error()) [[unlikely]]
      value.set_error_offset(program_.offsets[at_]);
    return value;
  }
  void replace_top(Value value) { top() = placed(std::move(value)); }
  /// A value that others share: an error gets a copy that can carry this place.
  void push_slot(const Value& value) {
    if (!value.is_error()) return push(value);
    stack_.push_back(placed(Value::error(value.as_error().code, value.as_error().text)));
  }

  void index(bool optional) {
    const Value key = pop();
    const Value pair[2] = {top(), key};
    if (auto wrong = not_proper(pair)) {
      top() = *std::move(wrong);
      return;
    }
    replace_top(optional ? index_optional(top(), key) : index_value(top(), key));
  }

  void unary(Operator op) {
    if (top().is_proper()) replace_top(operate(op, top()));
  }

  void binary(Operator op) {
    const Value right = pop();
    Value& left = top();
    if (left.is_proper() && right.is_proper()) [[likely]] {
      replace_top(operate(op, context_, left, right));
      return;
    }
    const Value pair[2] = {left, right};
    top() = *not_proper(pair);
  }

  void compare_slot(const Instruction& i) {
    const Value& value = activation_.value(i.b);
    if (!value.is_proper()) return push_slot(value);
    stack_.push_back(placed(operate(static_cast<Operator>(i.a), context_, value, program_.constants[i.c])));
  }

  void matches(const Pattern& pattern) {
    if (!top().is_proper()) return;
    if (!top().is(Kind::kString)) {
      replace_top(
          Value::error(ErrorCode::kNoSuchOverload, "'matches' takes a string, and not " + std::string(type_name(top().kind()))));
      return;
    }
    if (!budget_.spend(pattern.cost(top().as_text().size()))) return;
    top() = Value::boolean(pattern.found_in(top().as_text()));
  }

  std::size_t branch(const Instruction& i) {
    Value condition = pop();
    if (condition.is_true()) return at_ + 1;
    if (condition.is_false()) return i.b;
    if (condition.is_proper()) {
      condition = placed(Value::error(ErrorCode::kNoSuchOverload, "the condition before '?' must be bool, and is " +
                                                                      std::string(type_name(condition.kind()))));
    }
    stack_.push_back(std::move(condition));
    return i.c;
  }

  void call(const FunctionSet& set, bool member, std::size_t count) {
    const std::span<const Value> arguments(stack_.data() + (stack_.size() - count), count);
    Value result;
    if (auto wrong = not_proper(arguments)) {
      result = *std::move(wrong);
    } else if (const Overload* overload = matching(set, member, arguments); overload == nullptr || overload->body == nullptr) {
      result = placed(no_such_overload(set, member, arguments));
    } else {
      result = placed(overload->body(context_, arguments));
    }
    stack_.resize(stack_.size() - count);
    stack_.push_back(std::move(result));
  }

  /// Drops `count` values and pushes `result`.
  void replace(std::size_t count, Value result) {
    stack_.resize(stack_.size() - count);
    stack_.push_back(std::move(result));
  }
  bool marked(std::uint32_t marks, std::size_t number) const { return marks != 0 && program_.marks[marks - 1][number]; }
  Value not_optional(const Value& value) const {
    return placed(Value::error(ErrorCode::kNoSuchOverload, "a '?' stands before an optional value only, and not before " +
                                                               std::string(type_name(value.kind()))));
  }

  void make_list(std::size_t count, std::uint32_t marks) {
    if (!budget_.spend(count)) return;
    const std::span<Value> given(stack_.data() + (stack_.size() - count), count);
    if (auto wrong = not_proper(given)) return replace(count, *std::move(wrong));
    std::vector<Value> elements;
    elements.reserve(count);
    for (std::size_t n = 0; n < count; ++n) {
      if (!marked(marks, n)) {
        elements.push_back(std::move(given[n]));
        continue;
      }
      if (!given[n].is(Kind::kOptional)) return replace(count, not_optional(given[n]));
      if (const Value* inner = given[n].as_optional()) elements.push_back(*inner);
    }
    replace(count, Value::list(std::move(elements)));
  }

  void make_map(std::size_t count, std::uint32_t marks) {
    if (!budget_.spend(2 * count)) return;
    const std::span<Value> given(stack_.data() + (stack_.size() - 2 * count), 2 * count);
    if (auto wrong = not_proper(given)) return replace(2 * count, *std::move(wrong));
    MapBuilder map(count);
    for (std::size_t n = 0; n < count; ++n) {
      Value& key = given[2 * n];
      Value* value = &given[2 * n + 1];
      if (!MapBuilder::is_key(key.kind())) {
        return replace(2 * count,
                       placed(Value::error(ErrorCode::kNoSuchOverload, "a map's key must be bool, int, uint or string, and not " +
                                                                           std::string(type_name(key.kind())))));
      }
      Value inner;
      if (marked(marks, n)) {
        if (!value->is(Kind::kOptional)) return replace(2 * count, not_optional(*value));
        if (value->as_optional() == nullptr) continue;
        inner = *value->as_optional();
        value = &inner;
      }
      const Value kept = key;
      if (!map.add(std::move(key), std::move(*value))) return replace(2 * count, repeated_key(kept));
    }
    replace(2 * count, std::move(map).finish());
  }
  Value repeated_key(const Value& key) const {
    return placed(Value::error(ErrorCode::kBadArgument,
                               "a map has a key twice" + (key.is(Kind::kString) ? ": " + quoted(key.as_text()) : "")));
  }

  void make_struct(const StructPlan& plan) {
    const std::size_t count = plan.names.size();
    const std::span<Value> given(stack_.data() + (stack_.size() - count), count);
    if (auto wrong = not_proper(given)) return replace(count, *std::move(wrong));
    std::vector<std::string> names;
    std::vector<Value> values;
    for (std::size_t n = 0; n < count; ++n) {
      if (!plan.optionals[n]) {
        names.push_back(plan.names[n]);
        values.push_back(given[n]);
      } else if (!given[n].is(Kind::kOptional)) {
        return replace(count, not_optional(given[n]));
      } else if (const Value* inner = given[n].as_optional()) {
        names.push_back(plan.names[n]);
        values.push_back(*inner);
      }
    }
    replace(count, placed(make_well_known(plan.message, names, values)));
  }

  std::size_t loop_begin(const LoopPlan& plan) {
    if (top().is(Kind::kList) || top().is(Kind::kMap)) {
      loops_.emplace_back();
      loops_.back().range = pop();
      return plan.next;
    }
    if (top().is_proper()) {
      replace_top(Value::error(ErrorCode::kNoSuchOverload,
                               "a macro goes over a list or a map, and not over " + std::string(type_name(top().kind()))));
    }
    return plan.end;
  }

  std::size_t loop_next(const LoopPlan& plan) {
    Loop& loop = loops_.back();
    const bool list = loop.range.is(Kind::kList);
    const std::size_t size = list ? loop.range.as_list().size() : loop.range.as_map().entries.size();
    if (loop.index == size) return loop_end(plan, finished(plan, loop));
    Value& first = locals_[plan.local];
    if (plan.variables == 1) {
      first = list ? loop.range.as_list()[loop.index] : loop.range.as_map().entries[loop.index].key;
    } else if (list) {
      first = Value::integer(static_cast<std::int64_t>(loop.index));
      locals_[plan.local + 1] = loop.range.as_list()[loop.index];
    } else {
      first = loop.range.as_map().entries[loop.index].key;
      locals_[plan.local + 1] = loop.range.as_map().entries[loop.index].value;
    }
    ++loop.index;
    return at_ + 1;
  }

  /// The result of a loop that nothing ended before.
  Value finished(const LoopPlan& plan, Loop& loop) {
    switch (plan.kind) {
      case LoopKind::kAll:
      case LoopKind::kExists:
        if (loop.has_pending) return std::move(loop.pending);
        return Value::boolean(plan.kind == LoopKind::kAll);
      case LoopKind::kExistsOne: return Value::boolean(loop.found == 1);
      case LoopKind::kFilter:
      case LoopKind::kMap: return Value::list(std::move(loop.values));
      case LoopKind::kMapValues:
      case LoopKind::kMapEntries: break;
    }
    MapBuilder map(loop.entries.size());
    for (auto& [key, value] : loop.entries) {
      const Value kept = key;
      if (!map.add(std::move(key), std::move(value))) return repeated_key(kept);
    }
    return std::move(map).finish();
  }

  std::size_t loop_end(const LoopPlan& plan, Value result) {
    for (std::uint32_t n = 0; n < plan.variables; ++n) locals_[plan.local + n] = Value();
    loops_.pop_back();
    stack_.push_back(std::move(result));
    return plan.end;
  }

  Value not_bool(const Value& value) const {
    if (!value.is_proper()) return value;
    return placed(Value::error(ErrorCode::kNoSuchOverload,
                               "a macro's condition must be bool, and is " + std::string(type_name(value.kind()))));
  }

  std::size_t loop_condition(const LoopPlan& plan) {
    Loop& loop = loops_.back();
    Value condition = pop();
    if (plan.kind == LoopKind::kAll || plan.kind == LoopKind::kExists) {
      const bool deciding = plan.kind == LoopKind::kExists;
      if (condition.is(Kind::kBool)) return condition.as_bool() == deciding ? loop_end(plan, std::move(condition)) : plan.next;
      condition = not_bool(condition);
      if (loop.has_pending) condition = combine_logical(Operator::kOr, loop.pending, condition);
      loop.pending = std::move(condition);
      loop.has_pending = true;
      return plan.next;
    }
    if (!condition.is(Kind::kBool)) return loop_end(plan, not_bool(condition));
    if (condition.is_false()) return plan.next;
    if (plan.kind == LoopKind::kExistsOne) {
      ++loop.found;
      return plan.next;
    }
    if (plan.kind == LoopKind::kFilter) {
      // Of two variables the value is kept; the macros have filter with one only.
      loop.values.push_back(locals_[plan.local + plan.variables - 1]);
      if (!budget_.spend(1)) return at_;
      return plan.next;
    }
    return at_ + 1;
  }

  std::size_t loop_result(const LoopPlan& plan) {
    Loop& loop = loops_.back();
    Value result = pop();
    if (!budget_.spend(1)) return at_;
    if (!result.is_proper()) return loop_end(plan, std::move(result));
    if (plan.kind == LoopKind::kMap) {
      loop.values.push_back(std::move(result));
    } else if (plan.kind == LoopKind::kMapValues) {
      loop.entries.push_back({locals_[plan.local], std::move(result)});
    } else if (!result.is(Kind::kMap)) {
      return loop_end(plan, placed(Value::error(ErrorCode::kNoSuchOverload, "transformMapEntry makes maps, and this is " +
                                                                                std::string(type_name(result.kind())))));
    } else {
      if (!budget_.spend(result.as_map().entries.size())) return at_;
      for (const auto& entry : result.as_map().entries) loop.entries.push_back(entry);
    }
    return plan.next;
  }

  /// Gives back what locals still hold after an evaluation that was cut off.
  void clean_up() {
    if (!budget_.is_spent()) return;
    for (Value& value : locals_) value = Value();
    loops_.clear();
    stack_.clear();
  }

  std::vector<Value>& stack_;
  std::vector<Value>& locals_;
  std::vector<Loop>& loops_;
  const Program& program_;
  Activation& activation_;
  Budget budget_;
  CallContext context_;
  std::size_t at_ = 0;
};

Outcome Evaluator::run(const Program& program, Activation& activation, std::uint64_t cost_max) {
  return Run(*this, program, activation, cost_max).run();
}

}  // namespace prunella::cel
