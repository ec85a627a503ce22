// math.*; greatest and least are macros over math.@max and math.@min. Source: cel-go's ext/math.go.
#include <cmath>

#include "decide/cel/function.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value unchanged(const CallContext&, Arguments a) { return a[0]; }

/// The first of the largest (sign 1) or smallest (sign -1).
template <int Sign>
Value extreme(const CallContext& context, Arguments a) {
  const auto& values = a[0].as_list();
  if (!context.spend_elements(values.size())) return over_cost();
  if (values.empty()) return Value::error(ErrorCode::kBadArgument, "the greatest or least of an empty list");
  const Value* best = nullptr;
  for (const Value& value : values) {
    if (!value.is_number()) {
      return Value::error(ErrorCode::kNoSuchOverload,
                          "greatest and least take numbers, and '" + std::string(type_name(value.kind())) + "' is none");
    }
    if (best == nullptr || order(value, *best).sign * Sign > 0) best = &value;
  }
  return *best;
}

template <double (*Rounding)(double)>
Value rounded(const CallContext&, Arguments a) {
  return Value::number(Rounding(a[0].as_double()));
}
double round_half_away(double value) { return std::round(value); }
double ceil_of(double value) { return std::ceil(value); }
double floor_of(double value) { return std::floor(value); }
double trunc_of(double value) { return std::trunc(value); }

Value abs_of_int(const CallContext&, Arguments a) {
  if (a[0].as_int() == INT64_MIN)
    return Value::error(ErrorCode::kOverflow, "math.abs of the smallest int is outside the range of int");
  return Value::integer(a[0].as_int() < 0 ? -a[0].as_int() : a[0].as_int());
}
Value abs_of_double(const CallContext&, Arguments a) { return Value::number(std::fabs(a[0].as_double())); }
Value sign_of_int(const CallContext&, Arguments a) { return Value::integer((a[0].as_int() > 0) - (a[0].as_int() < 0)); }
Value sign_of_uint(const CallContext&, Arguments a) { return Value::unsigned_integer(a[0].as_uint() > 0); }
Value sign_of_double(const CallContext&, Arguments a) {
  const double value = a[0].as_double();
  return Value::number(std::isnan(value) ? value : value > 0 ? 1.0 : value < 0 ? -1.0 : 0.0);
}
Value is_nan(const CallContext&, Arguments a) { return Value::boolean(std::isnan(a[0].as_double())); }
Value is_inf(const CallContext&, Arguments a) { return Value::boolean(std::isinf(a[0].as_double())); }
Value is_finite(const CallContext&, Arguments a) { return Value::boolean(std::isfinite(a[0].as_double())); }

Value sqrt_of_double(const CallContext&, Arguments a) { return Value::number(std::sqrt(a[0].as_double())); }
Value sqrt_of_int(const CallContext&, Arguments a) { return Value::number(std::sqrt(static_cast<double>(a[0].as_int()))); }
Value sqrt_of_uint(const CallContext&, Arguments a) { return Value::number(std::sqrt(static_cast<double>(a[0].as_uint()))); }

/// The bits of an int or uint, and back in the kind of `like`.
Value of_bits(std::uint64_t bits, const Value& like) {
  return like.is(Kind::kUint) ? Value::unsigned_integer(bits) : Value::integer(static_cast<std::int64_t>(bits));
}
Value bit_and(const CallContext&, Arguments a) { return of_bits(a[0].as_uint() & a[1].as_uint(), a[0]); }
Value bit_or(const CallContext&, Arguments a) { return of_bits(a[0].as_uint() | a[1].as_uint(), a[0]); }
Value bit_xor(const CallContext&, Arguments a) { return of_bits(a[0].as_uint() ^ a[1].as_uint(), a[0]); }
Value bit_not(const CallContext&, Arguments a) { return of_bits(~a[0].as_uint(), a[0]); }
Value negative_shift() { return Value::error(ErrorCode::kBadArgument, "a shift must not be negative"); }
Value shift_left(const CallContext&, Arguments a) {
  if (a[1].as_int() < 0) return negative_shift();
  return of_bits(a[1].as_int() >= 64 ? 0 : a[0].as_uint() << a[1].as_int(), a[0]);
}
Value shift_right(const CallContext&, Arguments a) {  // without the sign, as ext/math.go says
  if (a[1].as_int() < 0) return negative_shift();
  return of_bits(a[1].as_int() >= 64 ? 0 : a[0].as_uint() >> a[1].as_int(), a[0]);
}

}  // namespace

void add_math(Functions& f) {
  for (const char* type : {"int", "uint", "double"}) {
    f.add("math.@max", "(" + std::string(type) + ") -> " + type, unchanged);
    f.add("math.@min", "(" + std::string(type) + ") -> " + type, unchanged);
    f.add("math.@max", "(list(" + std::string(type) + ")) -> " + type, extreme<1>);
    f.add("math.@min", "(list(" + std::string(type) + ")) -> " + type, extreme<-1>);
  }
  f.add("math.ceil", "(double) -> double", rounded<ceil_of>);
  f.add("math.floor", "(double) -> double", rounded<floor_of>);
  f.add("math.round", "(double) -> double", rounded<round_half_away>);
  f.add("math.trunc", "(double) -> double", rounded<trunc_of>);
  f.add("math.abs", "(int) -> int", abs_of_int);
  f.add("math.abs", "(uint) -> uint", unchanged);
  f.add("math.abs", "(double) -> double", abs_of_double);
  f.add("math.sign", "(int) -> int", sign_of_int);
  f.add("math.sign", "(uint) -> uint", sign_of_uint);
  f.add("math.sign", "(double) -> double", sign_of_double);
  f.add("math.isNaN", "(double) -> bool", is_nan);
  f.add("math.isInf", "(double) -> bool", is_inf);
  f.add("math.isFinite", "(double) -> bool", is_finite);
  f.add("math.sqrt", "(double) -> double", sqrt_of_double);
  f.add("math.sqrt", "(int) -> double", sqrt_of_int);
  f.add("math.sqrt", "(uint) -> double", sqrt_of_uint);
  for (const char* type : {"int", "uint"}) {
    const std::string two = "(" + std::string(type) + ", " + type + ") -> " + type;
    f.add("math.bitAnd", two, bit_and);
    f.add("math.bitOr", two, bit_or);
    f.add("math.bitXor", two, bit_xor);
    f.add("math.bitNot", "(" + std::string(type) + ") -> " + type, bit_not);
    f.add("math.bitShiftLeft", "(" + std::string(type) + ", int) -> " + type, shift_left);
    f.add("math.bitShiftRight", "(" + std::string(type) + ", int) -> " + type, shift_right);
  }
}

}  // namespace prunella::cel
