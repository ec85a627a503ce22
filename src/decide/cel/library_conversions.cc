// Conversions between types. Source: langdef.md, "List of Standard Definitions"; where it leaves texts open, as cel-go reads
// them.
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "decide/cel/function.h"
#include "decide/cel/ip.h"
#include "decide/cel/time_text.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value same(const CallContext&, Arguments a) { return a[0]; }
Value type_of(const CallContext&, Arguments a) { return Value::type(type_name(a[0].kind())); }

Value out_of_range(std::string_view shown, std::string_view type) {
  return Value::error(ErrorCode::kOverflow, std::string(shown) + " is outside the range of " + std::string(type));
}
Value not_a(std::string_view text, std::string_view type) {
  return Value::error(ErrorCode::kBadConversion, quoted(text) + " can't be read as " + std::string(type));
}

Value int_of_uint(const CallContext&, Arguments a) {
  if (a[0].as_uint() > static_cast<std::uint64_t>(INT64_MAX)) return out_of_range(std::to_string(a[0].as_uint()) + "u", "int");
  return Value::integer(static_cast<std::int64_t>(a[0].as_uint()));
}
Value int_of_double(const CallContext&, Arguments a) {
  const double value = a[0].as_double();
  // Both limits are outside: a double so large may stand for a neighbour that doesn't fit (conformance: double_int_min_range).
  if (!(value > -9223372036854775808.0 && value < 9223372036854775808.0)) return out_of_range(double_text(value), "int");
  return Value::integer(static_cast<std::int64_t>(value));
}
Value int_of_string(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  std::string_view text = a[0].as_text();
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return not_a(a[0].as_text(), "int");
  return Value::integer(value);
}
Value int_of_timestamp(const CallContext&, Arguments a) { return Value::integer(a[0].as_timestamp().seconds); }

Value uint_of_int(const CallContext&, Arguments a) {
  if (a[0].as_int() < 0) return out_of_range(std::to_string(a[0].as_int()), "uint");
  return Value::unsigned_integer(static_cast<std::uint64_t>(a[0].as_int()));
}
Value uint_of_double(const CallContext&, Arguments a) {
  const double value = a[0].as_double();
  if (!(value >= 0 && value < 18446744073709551616.0)) return out_of_range(double_text(value), "uint");
  return Value::unsigned_integer(static_cast<std::uint64_t>(value));
}
Value uint_of_string(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return not_a(text, "uint");
  return Value::unsigned_integer(value);
}

Value double_of_int(const CallContext&, Arguments a) { return Value::number(static_cast<double>(a[0].as_int())); }
Value double_of_uint(const CallContext&, Arguments a) { return Value::number(static_cast<double>(a[0].as_uint())); }
Value double_of_string(const CallContext& context, Arguments a) {
  std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ptr != text.data() + text.size() || result.ec == std::errc::invalid_argument) return not_a(a[0].as_text(), "double");
  if (result.ec == std::errc::result_out_of_range) return out_of_range(quoted(text), "double");
  return Value::number(value);
}

Value bool_of_string(const CallContext&, Arguments a) {
  for (const char* yes : {"true", "True", "TRUE", "t", "T", "1"}) {
    if (a[0].as_text() == yes) return Value::boolean(true);
  }
  for (const char* no : {"false", "False", "FALSE", "f", "F", "0"}) {
    if (a[0].as_text() == no) return Value::boolean(false);
  }
  return not_a(a[0].as_text(), "bool");
}

Value string_of_bool(const CallContext&, Arguments a) { return Value::string(a[0].as_bool() ? "true" : "false"); }
Value string_of_int(const CallContext&, Arguments a) { return Value::string(std::to_string(a[0].as_int())); }
Value string_of_uint(const CallContext&, Arguments a) { return Value::string(std::to_string(a[0].as_uint())); }
Value string_of_double(const CallContext&, Arguments a) { return Value::string(double_text(a[0].as_double())); }
Value string_of_bytes(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  if (!is_valid_utf8(a[0].as_text()))
    return Value::error(ErrorCode::kBadConversion, "the bytes " + quoted(a[0].as_text()) + " are no valid UTF-8");
  return Value::string(a[0].as_text());
}
Value string_of_timestamp(const CallContext&, Arguments a) { return Value::string(to_text(a[0].as_timestamp())); }
Value string_of_duration(const CallContext&, Arguments a) { return Value::string(duration_text(a[0].as_duration())); }
Value string_of_ip(const CallContext&, Arguments a) { return Value::string(to_text(a[0].as_ip())); }
Value string_of_cidr(const CallContext&, Arguments a) { return Value::string(to_text(a[0].as_cidr())); }

Value bytes_of_string(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  return Value::bytes(a[0].as_text());
}

Value duration_of_string(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  const auto nanos = parse_duration_nanos(a[0].as_text());
  if (!nanos) return Value::error(ErrorCode::kBadConversion, nanos.error().text());
  return Value::duration(*nanos);
}
Value timestamp_of_string(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  const auto at = parse_timestamp(a[0].as_text());
  if (!at) return Value::error(ErrorCode::kBadConversion, at.error().text());
  return Value::timestamp(*at);
}
Value timestamp_of_int(const CallContext&, Arguments a) {
  if (a[0].as_int() < kTimestampSecondsMin || a[0].as_int() > kTimestampSecondsMax) {
    return out_of_range(std::to_string(a[0].as_int()) + " seconds", "timestamp (years 1 to 9999)");
  }
  return Value::timestamp({a[0].as_int(), 0});
}

}  // namespace

void add_conversions(Functions& f) {
  f.add("dyn", "(A) -> dyn", same);
  f.add("type", "(A) -> type(A)", type_of);
  f.add("int", "(int) -> int", same);
  f.add("int", "(uint) -> int", int_of_uint);
  f.add("int", "(double) -> int", int_of_double);
  f.add("int", "(string) -> int", int_of_string);
  f.add("int", "(timestamp) -> int", int_of_timestamp);
  f.add("uint", "(uint) -> uint", same);
  f.add("uint", "(int) -> uint", uint_of_int);
  f.add("uint", "(double) -> uint", uint_of_double);
  f.add("uint", "(string) -> uint", uint_of_string);
  f.add("double", "(double) -> double", same);
  f.add("double", "(int) -> double", double_of_int);
  f.add("double", "(uint) -> double", double_of_uint);
  f.add("double", "(string) -> double", double_of_string);
  f.add("bool", "(bool) -> bool", same);
  f.add("bool", "(string) -> bool", bool_of_string);
  f.add("string", "(string) -> string", same);
  f.add("string", "(bool) -> string", string_of_bool);
  f.add("string", "(int) -> string", string_of_int);
  f.add("string", "(uint) -> string", string_of_uint);
  f.add("string", "(double) -> string", string_of_double);
  f.add("string", "(bytes) -> string", string_of_bytes);
  f.add("string", "(timestamp) -> string", string_of_timestamp);
  f.add("string", "(duration) -> string", string_of_duration);
  f.add("string", "(net.IP) -> string", string_of_ip);
  f.add("string", "(net.CIDR) -> string", string_of_cidr);
  f.add("bytes", "(bytes) -> bytes", same);
  f.add("bytes", "(string) -> bytes", bytes_of_string);
  f.add("duration", "(duration) -> duration", same);
  f.add("duration", "(string) -> duration", duration_of_string);
  f.add("timestamp", "(timestamp) -> timestamp", same);
  f.add("timestamp", "(string) -> timestamp", timestamp_of_string);
  f.add("timestamp", "(int) -> timestamp", timestamp_of_int);
}

}  // namespace prunella::cel
