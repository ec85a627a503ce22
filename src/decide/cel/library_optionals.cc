// Optional values; the syntax .?, [?] and {?k: v} is the parser's and the evaluator's. Source: cel-spec's langdef.md, "Optional
// Values"; cel-go's cel/library.go, OptionalTypes.
#include "decide/cel/function.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

/// What a type's fields have when nobody sets them: such a value is none for ofNonZeroValue.
bool is_zero(const Value& value) {
  switch (value.kind()) {
    case Kind::kNull: return true;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kDuration: return value.as_int() == 0;
    case Kind::kDouble: return value.as_double() == 0;
    case Kind::kTimestamp: return value.as_timestamp() == Timestamp{};
    case Kind::kString:
    case Kind::kBytes: return value.as_text().empty();
    case Kind::kList: return value.as_list().empty();
    case Kind::kMap: return value.as_map().entries.empty();
    case Kind::kOptional: return value.as_optional() == nullptr;
    case Kind::kType:
    case Kind::kIp:
    case Kind::kCidr:
    case Kind::kUnknown:
    case Kind::kError: return false;
  }
  return false;
}

Value of(const CallContext&, Arguments a) { return Value::some(a[0]); }
Value of_non_zero(const CallContext&, Arguments a) { return is_zero(a[0]) ? Value::none() : Value::some(a[0]); }
Value none(const CallContext&, Arguments) { return Value::none(); }
Value has_value(const CallContext&, Arguments a) { return Value::boolean(a[0].as_optional() != nullptr); }
Value value_of(const CallContext&, Arguments a) {
  if (const Value* inner = a[0].as_optional()) return *inner;
  return Value::error(ErrorCode::kNoValue, "value() of optional.none(); orValue(...) gives a value in its place");
}
Value or_other(const CallContext&, Arguments a) { return a[0].as_optional() != nullptr ? a[0] : a[1]; }
Value or_value(const CallContext&, Arguments a) {
  const Value* inner = a[0].as_optional();
  return inner != nullptr ? *inner : a[1];
}
Value unwrap(const CallContext& context, Arguments a) {
  if (!context.spend_elements(a[0].as_list().size())) return over_cost();
  std::vector<Value> values;
  for (const Value& element : a[0].as_list()) {
    if (!element.is(Kind::kOptional)) return Value::error(ErrorCode::kNoSuchOverload, "unwrap takes a list of optionals only");
    if (const Value* inner = element.as_optional()) values.push_back(*inner);
  }
  return Value::list(std::move(values));
}

}  // namespace

void add_optionals(Functions& f) {
  f.add("optional.of", "(A) -> optional(A)", of);
  f.add("optional.ofNonZeroValue", "(A) -> optional(A)", of_non_zero);
  f.add("optional.none", "() -> optional(A)", none);
  f.add("hasValue", "optional(A).() -> bool", has_value);
  f.add("value", "optional(A).() -> A", value_of);
  f.add("or", "optional(A).(optional(A)) -> optional(A)", or_other);
  f.add("orValue", "optional(A).(A) -> A", or_value);
  f.add("optional.unwrap", "(list(optional(A))) -> list(A)", unwrap);
  f.add("unwrapOpt", "list(optional(A)).() -> list(A)", unwrap);
}

}  // namespace prunella::cel
