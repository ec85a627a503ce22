#include "decide/cel/well_known.h"

#include <array>

#include "base/text.h"

namespace prunella::cel {

namespace {

struct Message {
  std::string_view name;
  TypeKind type;  ///< of its value
};
constexpr std::array<Message, 14> kMessages{{
    {"google.protobuf.BoolValue", TypeKind::kBool},
    {"google.protobuf.BytesValue", TypeKind::kBytes},
    {"google.protobuf.DoubleValue", TypeKind::kDouble},
    {"google.protobuf.FloatValue", TypeKind::kDouble},
    {"google.protobuf.Int32Value", TypeKind::kInt},
    {"google.protobuf.Int64Value", TypeKind::kInt},
    {"google.protobuf.UInt32Value", TypeKind::kUint},
    {"google.protobuf.UInt64Value", TypeKind::kUint},
    {"google.protobuf.StringValue", TypeKind::kString},
    {"google.protobuf.Timestamp", TypeKind::kTimestamp},
    {"google.protobuf.Duration", TypeKind::kDuration},
    {"google.protobuf.ListValue", TypeKind::kList},
    {"google.protobuf.Struct", TypeKind::kMap},
    {"google.protobuf.Value", TypeKind::kDyn},
}};

const Message* find(std::string_view name) {
  for (const Message& message : kMessages) {
    if (message.name == name) return &message;
  }
  return nullptr;
}

Value no_field(std::string_view message, std::string_view field) {
  return Value::error(ErrorCode::kNoSuchKey, "the message " + std::string(message) + " has no field " + quoted(field));
}
Value wrong_value(std::string_view message, std::string_view field, const Value& value) {
  return Value::error(ErrorCode::kBadArgument, "the field " + quoted(field) + " of " + std::string(message) +
                                                   " can't hold this value of type '" + std::string(type_name(value.kind())) +
                                                   "'");
}

Kind kind_of(TypeKind type) {
  switch (type) {
    case TypeKind::kBool: return Kind::kBool;
    case TypeKind::kBytes: return Kind::kBytes;
    case TypeKind::kDouble: return Kind::kDouble;
    case TypeKind::kInt: return Kind::kInt;
    case TypeKind::kUint: return Kind::kUint;
    default: return Kind::kString;
  }
}

Value default_of(Kind kind) {
  switch (kind) {
    case Kind::kBool: return Value::boolean(false);
    case Kind::kBytes: return Value::bytes("");
    case Kind::kDouble: return Value::number(0);
    case Kind::kInt: return Value::integer(0);
    case Kind::kUint: return Value::unsigned_integer(0);
    default: return Value::string("");
  }
}

Value wrapper(const Message& message, std::span<const std::string> names, std::span<const Value> values) {
  const Kind kind = kind_of(message.type);
  if (names.empty()) return default_of(kind);
  if (names[0] != "value" || names.size() > 1) return no_field(message.name, names.back());
  const Value& value = values[0];
  if (!value.is(kind)) return wrong_value(message.name, "value", value);
  if (message.name.ends_with("Int32Value")) {
    const bool fits =
        kind == Kind::kInt ? value.as_int() >= INT32_MIN && value.as_int() <= INT32_MAX : value.as_uint() <= UINT32_MAX;
    if (!fits) return Value::error(ErrorCode::kOverflow, "the value is outside the range of " + std::string(message.name));
  }
  if (message.name.ends_with("FloatValue")) return Value::number(static_cast<double>(static_cast<float>(value.as_double())));
  return value;
}

/// Timestamp and Duration: seconds and nanos.
Value time_of(const Message& message, std::span<const std::string> names, std::span<const Value> values) {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != "seconds" && names[i] != "nanos") return no_field(message.name, names[i]);
    if (!values[i].is(Kind::kInt)) return wrong_value(message.name, names[i], values[i]);
    (names[i] == "seconds" ? seconds : nanos) = values[i].as_int();
  }
  const bool moment = message.type == TypeKind::kTimestamp;
  std::int64_t total = 0;
  const bool good = nanos < 1'000'000'000 && nanos > (moment ? -1 : -1'000'000'000) &&
                    (moment ? seconds >= kTimestampSecondsMin && seconds <= kTimestampSecondsMax
                            : !__builtin_mul_overflow(seconds, std::int64_t{1'000'000'000}, &total) &&
                                  !__builtin_add_overflow(total, nanos, &total));
  if (!good)
    return Value::error(ErrorCode::kOverflow, "the seconds and nanos are outside the range of " + std::string(message.name));
  return moment ? Value::timestamp({seconds, static_cast<std::uint32_t>(nanos)}) : Value::duration(total);
}

Value json_value(const Message& message, std::span<const std::string> names, std::span<const Value> values) {
  if (names.empty()) return {};
  if (names.size() > 1) return no_field(message.name, names.back());
  struct Field {
    std::string_view name;
    Kind kind;
  };
  static constexpr std::array<Field, 6> kFields{{{"null_value", Kind::kNull},
                                                 {"number_value", Kind::kDouble},
                                                 {"string_value", Kind::kString},
                                                 {"bool_value", Kind::kBool},
                                                 {"struct_value", Kind::kMap},
                                                 {"list_value", Kind::kList}}};
  for (const Field& field : kFields) {
    if (field.name == names[0]) return values[0].is(field.kind) ? values[0] : wrong_value(message.name, field.name, values[0]);
  }
  return no_field(message.name, names[0]);
}

Value container(const Message& message, std::span<const std::string> names, std::span<const Value> values) {
  const bool list = message.type == TypeKind::kList;
  if (names.empty()) return list ? Value::list({}) : MapBuilder().finish();
  if (names.size() > 1 || names[0] != (list ? "values" : "fields")) return no_field(message.name, names.back());
  return values[0].is(list ? Kind::kList : Kind::kMap) ? values[0] : wrong_value(message.name, names[0], values[0]);
}

}  // namespace

bool is_well_known(std::string_view message) { return find(message) != nullptr; }

Type well_known_type(std::string_view message) {
  switch (const TypeKind kind = find(message)->type) {
    case TypeKind::kList: return Type::list(Type());
    case TypeKind::kMap: return Type::map(Type(TypeKind::kString), Type());
    case TypeKind::kDyn:
    case TypeKind::kTimestamp:
    case TypeKind::kDuration: return Type(kind);
    default: return Type::nullable(Type(kind));
  }
}

std::vector<std::string> well_known_messages() {
  std::vector<std::string> names;
  for (const Message& message : kMessages) names.emplace_back(message.name);
  return names;
}

Value make_well_known(std::string_view name, std::span<const std::string> names, std::span<const Value> values) {
  const Message& message = *find(name);
  switch (message.type) {
    case TypeKind::kTimestamp:
    case TypeKind::kDuration: return time_of(message, names, values);
    case TypeKind::kList:
    case TypeKind::kMap: return container(message, names, values);
    case TypeKind::kDyn: return json_value(message, names, values);
    default: return wrapper(message, names, values);
  }
}

}  // namespace prunella::cel
