#include "decide/cel/operators.h"

#include <cmath>

#include "base/text.h"
#include "decide/cel/time_text.h"

namespace prunella::cel {

namespace {

Value overflow(Operator op, std::string_view type) {
  return Value::error(ErrorCode::kOverflow,
                      "the result of '" + std::string(shown(op)) + "' is outside the range of " + std::string(type));
}
Value no_overload(Operator op, const Value& a, const Value& b) {
  return Value::error(ErrorCode::kNoSuchOverload, "'" + std::string(shown(op)) + "' does not take " +
                                                      std::string(type_name(a.kind())) + " and " +
                                                      std::string(type_name(b.kind())));
}
Value division_by_zero(Operator op) {
  return Value::error(ErrorCode::kDivisionByZero,
                      op == Operator::kModulo ? "the remainder of a division by zero" : "division by zero");
}

Value with_ints(Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool over = false;
  switch (op) {
    case Operator::kAdd: over = __builtin_add_overflow(a, b, &result); break;
    case Operator::kSubtract: over = __builtin_sub_overflow(a, b, &result); break;
    case Operator::kMultiply: over = __builtin_mul_overflow(a, b, &result); break;
    default:
      if (b == 0) return division_by_zero(op);
      if (a == INT64_MIN && b == -1) return overflow(op, "int");
      result = op == Operator::kDivide ? a / b : a % b;
  }
  return over ? overflow(op, "int") : Value::integer(result);
}

Value with_uints(Operator op, std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  bool over = false;
  switch (op) {
    case Operator::kAdd: over = __builtin_add_overflow(a, b, &result); break;
    case Operator::kSubtract: over = __builtin_sub_overflow(a, b, &result); break;
    case Operator::kMultiply: over = __builtin_mul_overflow(a, b, &result); break;
    default:
      if (b == 0) return division_by_zero(op);
      result = op == Operator::kDivide ? a / b : a % b;
  }
  return over ? overflow(op, "uint") : Value::unsigned_integer(result);
}

Value with_doubles(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd: return Value::number(a + b);
    case Operator::kSubtract: return Value::number(a - b);
    case Operator::kMultiply: return Value::number(a * b);
    default: return Value::number(a / b);
  }
}

Value with_durations(Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool over = op == Operator::kAdd ? __builtin_add_overflow(a, b, &result) : __builtin_sub_overflow(a, b, &result);
  return over ? overflow(op, "duration (292 years)") : Value::duration(result);
}

Value shifted(Operator op, Timestamp at, std::int64_t nanos) {
  const auto moved = op == Operator::kAdd ? plus(at, nanos) : minus(at, nanos);
  return moved ? Value::timestamp(*moved) : overflow(op, "timestamp (years 1 to 9999)");
}

Value between(Timestamp a, Timestamp b) {
  const auto nanos = difference(a, b);
  return nanos ? Value::duration(*nanos) : overflow(Operator::kSubtract, "duration (292 years)");
}

Value concatenated(const CallContext& context, const Value& a, const Value& b) {
  if (!context.spend_text(a.as_text().size() + b.as_text().size())) return over_cost();
  std::string text;
  text.reserve(a.as_text().size() + b.as_text().size());
  text.append(a.as_text()).append(b.as_text());
  return a.is(Kind::kString) ? Value::string(text) : Value::bytes(text);
}

Value joined_lists(const CallContext& context, const Value& a, const Value& b) {
  if (!context.spend_elements(a.as_list().size() + b.as_list().size())) return over_cost();
  std::vector<Value> elements;
  elements.reserve(a.as_list().size() + b.as_list().size());
  elements.insert(elements.end(), a.as_list().begin(), a.as_list().end());
  elements.insert(elements.end(), b.as_list().begin(), b.as_list().end());
  return Value::list(std::move(elements));
}

Value calculate(Operator op, const CallContext& context, const Value& a, const Value& b) {
  const bool sum = op == Operator::kAdd;
  const bool sum_or_difference = sum || op == Operator::kSubtract;
  if (a.kind() == b.kind()) {
    switch (a.kind()) {
      case Kind::kInt: return with_ints(op, a.as_int(), b.as_int());
      case Kind::kUint: return with_uints(op, a.as_uint(), b.as_uint());
      case Kind::kDouble:
        if (op == Operator::kModulo) break;
        return with_doubles(op, a.as_double(), b.as_double());
      case Kind::kDuration:
        if (!sum_or_difference) break;
        return with_durations(op, a.as_duration(), b.as_duration());
      case Kind::kTimestamp:
        if (op != Operator::kSubtract) break;
        return between(a.as_timestamp(), b.as_timestamp());
      case Kind::kString:
      case Kind::kBytes:
        if (!sum) break;
        return concatenated(context, a, b);
      case Kind::kList:
        if (!sum) break;
        return joined_lists(context, a, b);
      default: break;
    }
    return no_overload(op, a, b);
  }
  if (a.is(Kind::kTimestamp) && b.is(Kind::kDuration) && sum_or_difference) return shifted(op, a.as_timestamp(), b.as_duration());
  if (a.is(Kind::kDuration) && b.is(Kind::kTimestamp) && sum) return shifted(op, b.as_timestamp(), a.as_duration());
  return no_overload(op, a, b);
}

Value compare(Operator op, const CallContext& context, const Value& a, const Value& b) {
  const Order found = order(a, b);
  if (!found.comparable) return no_overload(op, a, b);
  if ((a.is(Kind::kString) || a.is(Kind::kBytes)) && !context.spend_text(std::min(a.as_text().size(), b.as_text().size())))
    return over_cost();
  if (found.unordered) return Value::boolean(false);
  switch (op) {
    case Operator::kLess: return Value::boolean(found.sign < 0);
    case Operator::kLessEqual: return Value::boolean(found.sign <= 0);
    case Operator::kGreater: return Value::boolean(found.sign > 0);
    default: return Value::boolean(found.sign >= 0);
  }
}

Value is_in(const CallContext& context, const Value& a, const Value& b) {
  if (b.is(Kind::kMap)) return Value::boolean(b.as_map().find(a) != nullptr);
  if (!b.is(Kind::kList)) return no_overload(Operator::kIn, a, b);
  for (const Value& element : b.as_list()) {
    if (equal(a, element, context.budget)) return Value::boolean(true);
    if (context.budget.is_spent()) return over_cost();
  }
  return Value::boolean(false);
}

Value no_fields(const Value& a, const Value& field) {
  return Value::error(ErrorCode::kNoSuchOverload,
                      "a value of type '" + std::string(type_name(a.kind())) + "' has no field " + quoted(field.as_text()));
}

/// The places of a map's text keys that a message may show; a hostile map has many and long ones.
constexpr std::size_t kShownKeysMax = 50;

Value no_such_key(const MapObject& map, const Value& key) {
  if (!key.is(Kind::kString)) {
    const std::string shown = key.is(Kind::kInt)    ? std::to_string(key.as_int())
                              : key.is(Kind::kUint) ? std::to_string(key.as_uint()) + "u"
                              : key.is(Kind::kBool) ? (key.as_bool() ? "true" : "false")
                                                    : "this number";
    return Value::error(ErrorCode::kNoSuchKey, "there is no key " + shown);
  }
  std::vector<std::string> names;
  for (const auto& entry : map.entries) {
    if (names.size() < kShownKeysMax && entry.key.is(Kind::kString) && entry.key.as_text().size() <= 64)
      names.emplace_back(entry.key.as_text());
  }
  std::string text = "there is no key " + quoted(key.as_text());
  if (key.as_text().size() <= 64) {
    if (const auto near = nearest_word(key.as_text(), names)) text += "; did you mean " + quoted(*near) + "?";
  }
  return Value::error(ErrorCode::kNoSuchKey, text);
}

/// How a lookup that may find nothing ends.
struct Found {
  const Value* value = nullptr;
  std::optional<Value> failure;  ///< why it couldn't even look
};
Found look_up(const Value& a, const Value& key) {
  if (a.is(Kind::kMap)) {
    if (key.is_number() || MapBuilder::is_key(key.kind())) return {a.as_map().find(key), std::nullopt};
    return {nullptr,
            Value::error(ErrorCode::kNoSuchOverload, "a map has no key of type '" + std::string(type_name(key.kind())) + "'")};
  }
  if (!a.is(Kind::kList)) {
    return {nullptr, Value::error(ErrorCode::kNoSuchOverload,
                                  "a value of type '" + std::string(type_name(a.kind())) + "' has no elements to index")};
  }
  const auto& list = a.as_list();
  std::uint64_t index = UINT64_MAX;
  if (key.is(Kind::kInt)) {
    if (key.as_int() >= 0) index = key.as_uint();
  } else if (key.is(Kind::kUint)) {
    index = key.as_uint();
  } else if (key.is(Kind::kDouble) && key.as_double() == std::floor(key.as_double())) {
    if (key.as_double() >= 0 && key.as_double() < 9e15) index = static_cast<std::uint64_t>(key.as_double());
  } else {
    return {nullptr, Value::error(ErrorCode::kNoSuchOverload, "a list's index must be a whole number, not of type '" +
                                                                  std::string(type_name(key.kind())) + "'")};
  }
  return {index < list.size() ? &list[index] : nullptr, std::nullopt};
}

Value optional_of(const Found& found) {
  if (found.failure) return *found.failure;
  if (found.value != nullptr && found.value->is_unknown()) return *found.value;
  return found.value != nullptr ? Value::some(*found.value) : Value::none();
}

}  // namespace

std::optional<Value> not_proper(std::span<const Value> operands) {
  const Value* error = nullptr;
  const Value* unknown = nullptr;
  std::optional<Value> merged;
  for (const Value& operand : operands) {
    if (operand.is_proper()) continue;
    if (operand.is_error()) {
      if (operand.as_error().code == ErrorCode::kCostLimit) return operand;
      if (error == nullptr) error = &operand;
    } else if (unknown == nullptr) {
      unknown = &operand;
    } else {
      std::set<std::string> names = merged ? merged->as_unknown() : unknown->as_unknown();
      names.insert(operand.as_unknown().begin(), operand.as_unknown().end());
      merged = Value::unknown(std::move(names));
    }
  }
  if (merged) return merged;
  if (unknown != nullptr) return *unknown;
  if (error != nullptr) return *error;
  return std::nullopt;
}

Value operate(Operator op, const CallContext& context, const Value& a, const Value& b) {
  switch (op) {
    case Operator::kEqual:
    case Operator::kNotEqual: {
      const bool same = equal(a, b, context.budget);
      if (context.budget.is_spent()) return over_cost();
      return Value::boolean(same == (op == Operator::kEqual));
    }
    case Operator::kIn: return is_in(context, a, b);
    case Operator::kLess:
    case Operator::kLessEqual:
    case Operator::kGreater:
    case Operator::kGreaterEqual: return compare(op, context, a, b);
    default: return calculate(op, context, a, b);
  }
}

Value operate(Operator op, const Value& a) {
  if (op == Operator::kNot) {
    if (a.is(Kind::kBool)) return Value::boolean(!a.as_bool());
  } else if (a.is(Kind::kDouble)) {
    return Value::number(-a.as_double());
  } else if (a.is(Kind::kInt)) {
    return a.as_int() == INT64_MIN ? overflow(op, "int") : Value::integer(-a.as_int());
  }
  return Value::error(ErrorCode::kNoSuchOverload,
                      "'" + std::string(shown(op)) + "' does not take " + std::string(type_name(a.kind())));
}

Value combine_logical(Operator op, const Value& a, const Value& b) {
  const bool deciding = op == Operator::kOr;
  for (const Value* side : {&a, &b}) {
    if (side->is(Kind::kBool) && side->as_bool() == deciding) return *side;
  }
  if (a.is(Kind::kBool) && b.is(Kind::kBool)) return Value::boolean(!deciding);
  const Value pair[2] = {a, b};
  if (a.is_unknown() || b.is_unknown()) return *not_proper(pair);
  if (auto error = not_proper(pair)) return *error;
  const Value& wrong = a.is(Kind::kBool) ? b : a;
  return Value::error(ErrorCode::kNoSuchOverload,
                      "'" + std::string(shown(op)) + "' takes bool, and not " + std::string(type_name(wrong.kind())));
}

Value select_field(const Value& a, const Value& field) {
  if (a.is(Kind::kMap)) {
    const Value* value = a.as_map().find(field);
    return value != nullptr ? *value : no_such_key(a.as_map(), field);
  }
  if (a.is(Kind::kOptional)) return select_optional(a, field);
  if (!a.is_proper()) return a;
  return no_fields(a, field);
}

Value select_optional(const Value& a, const Value& field) {
  if (!a.is_proper()) return a;
  const Value* inner = &a;
  if (a.is(Kind::kOptional)) {
    inner = a.as_optional();
    if (inner == nullptr) return a;
  }
  if (!inner->is(Kind::kMap)) return no_fields(*inner, field);
  const Value* value = inner->as_map().find(field);
  if (value != nullptr && value->is_unknown()) return *value;  // whether it is there isn't known either
  return value != nullptr ? Value::some(*value) : Value::none();
}

Value has_field(const Value& a, const Value& field) {
  if (!a.is_proper()) return a;
  const Value* inner = &a;
  if (a.is(Kind::kOptional)) {
    inner = a.as_optional();
    if (inner == nullptr) return Value::boolean(false);
  }
  if (!inner->is(Kind::kMap)) return no_fields(*inner, field);
  const Value* value = inner->as_map().find(field);
  if (value != nullptr && value->is_unknown()) return *value;
  return Value::boolean(value != nullptr);
}

Value index_value(const Value& a, const Value& key) {
  if (a.is(Kind::kOptional)) return index_optional(a, key);
  const Found found = look_up(a, key);
  if (found.failure) return *found.failure;
  if (found.value != nullptr) return *found.value;
  if (a.is(Kind::kMap)) return no_such_key(a.as_map(), key);
  return Value::error(ErrorCode::kIndex, "the index is outside a list of " + std::to_string(a.as_list().size()));
}

Value index_optional(const Value& a, const Value& key) {
  if (!a.is(Kind::kOptional)) return optional_of(look_up(a, key));
  const Value* inner = a.as_optional();
  return inner == nullptr ? a : optional_of(look_up(*inner, key));
}

}  // namespace prunella::cel
