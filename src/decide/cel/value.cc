#include "decide/cel/value.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/check.h"

namespace prunella::cel {

namespace {

constexpr std::size_t kLinearEntriesMax = 8;  // up to this many, comparing each key beats a table

std::uint64_t mixed(std::uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 33;
  return value | 1;  // 0 means "not computed"
}

/// A number as a map's key: whole numbers of every kind that are equal give the same key. nullopt: no whole number.
struct WholeNumber {
  bool negative;
  std::uint64_t bits;
  bool operator==(const WholeNumber&) const = default;
};
std::optional<WholeNumber> whole_number(const Value& value) {
  if (value.is(Kind::kInt)) return WholeNumber{value.as_int() < 0, static_cast<std::uint64_t>(value.as_int())};
  if (value.is(Kind::kUint)) return WholeNumber{false, value.as_uint()};
  const double number = value.as_double();
  if (!(number >= -9223372036854775808.0 && number < 18446744073709551616.0)) return std::nullopt;
  if (number < 0) {
    const auto whole = static_cast<std::int64_t>(number);
    if (static_cast<double>(whole) != number) return std::nullopt;
    return WholeNumber{true, static_cast<std::uint64_t>(whole)};
  }
  const auto whole = static_cast<std::uint64_t>(number);
  if (static_cast<double>(whole) != number) return std::nullopt;
  return WholeNumber{false, whole};
}

/// nullopt: nothing that a map could have as key.
std::optional<std::uint64_t> key_hash(const Value& key) {
  if (key.is(Kind::kString)) return key.text_hash();
  if (key.is(Kind::kBool)) return mixed(key.as_bool() ? 0x9E3779B97F4A7C15ULL : 0x7F4A7C159E3779B9ULL);
  if (!key.is_number()) return std::nullopt;
  const auto whole = whole_number(key);
  if (!whole) return std::nullopt;
  return mixed(whole->bits + 0x1234567);
}

bool same_key(const Value& a, const Value& b) {
  if (a.is_number()) return b.is_number() && whole_number(a) && whole_number(a) == whole_number(b);
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::kString)) return a.same_as(b) || a.as_text() == b.as_text();
  return a.is(Kind::kBool) && a.as_bool() == b.as_bool();
}

std::uint64_t hash_of_text(std::string_view text) { return std::hash<std::string_view>{}(text) | 1; }

int sign_of(auto a, auto b) { return a < b ? -1 : b < a ? 1 : 0; }

int order_int_uint(std::int64_t a, std::uint64_t b) { return a < 0 ? -1 : sign_of(static_cast<std::uint64_t>(a), b); }
// As cel-go and the conformance suite have it: outside the integers' range the double decides, inside both compare as doubles.
int order_int_double(std::int64_t a, double b) {
  if (b < -9223372036854775808.0) return 1;
  if (b > 9223372036854775808.0) return -1;
  return sign_of(static_cast<double>(a), b);
}
int order_uint_double(std::uint64_t a, double b) {
  if (b < 0) return 1;
  if (b > 18446744073709551616.0) return -1;
  return sign_of(static_cast<double>(a), b);
}

Order order_numbers(const Value& a, const Value& b) {
  if ((a.is(Kind::kDouble) && a.as_double() != a.as_double()) || (b.is(Kind::kDouble) && b.as_double() != b.as_double())) {
    return {true, true, 0};
  }
  switch (a.kind()) {
    case Kind::kInt:
      if (b.is(Kind::kInt)) return {true, false, sign_of(a.as_int(), b.as_int())};
      if (b.is(Kind::kUint)) return {true, false, order_int_uint(a.as_int(), b.as_uint())};
      return {true, false, order_int_double(a.as_int(), b.as_double())};
    case Kind::kUint:
      if (b.is(Kind::kInt)) return {true, false, -order_int_uint(b.as_int(), a.as_uint())};
      if (b.is(Kind::kUint)) return {true, false, sign_of(a.as_uint(), b.as_uint())};
      return {true, false, order_uint_double(a.as_uint(), b.as_double())};
    default:
      if (b.is(Kind::kInt)) return {true, false, -order_int_double(b.as_int(), a.as_double())};
      if (b.is(Kind::kUint)) return {true, false, -order_uint_double(b.as_uint(), a.as_double())};
      return {true, false, sign_of(a.as_double(), b.as_double())};
  }
}

bool equal_lists(const std::vector<Value>& a, const std::vector<Value>& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i], budget)) return false;
  }
  return true;
}

bool equal_maps(const MapObject& a, const MapObject& b, Budget& budget) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(key);
    if (other == nullptr || !equal(value, *other, budget)) return false;
  }
  return true;
}

}  // namespace

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::kNull: return "null_type";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kUint: return "uint";
    case Kind::kDouble: return "double";
    case Kind::kDuration: return "google.protobuf.Duration";
    case Kind::kTimestamp: return "google.protobuf.Timestamp";
    case Kind::kString: return "string";
    case Kind::kBytes: return "bytes";
    case Kind::kList: return "list";
    case Kind::kMap: return "map";
    case Kind::kType: return "type";
    case Kind::kOptional: return "optional_type";
    case Kind::kIp: return "net.IP";
    case Kind::kCidr: return "net.CIDR";
    case Kind::kUnknown: return "unknown";
    case Kind::kError: return "error";
  }
  return "?";
}

Value Value::of_shared(Kind kind, Shared* object) {
  Value made;
  made.kind_ = kind;
  made.payload_.shared = object;
  return made;
}

namespace {
TextObject* text_object(std::string_view text) {
  auto* object = new TextObject;
  object->text = text;
  return object;
}
}  // namespace

Value Value::string(std::string_view text) { return of_shared(Kind::kString, text_object(text)); }
Value Value::bytes(std::string_view bytes) { return of_shared(Kind::kBytes, text_object(bytes)); }
Value Value::type(std::string_view name) { return of_shared(Kind::kType, text_object(name)); }
Value Value::list(std::vector<Value> elements) {
  auto* object = new ListObject;
  object->elements = std::move(elements);
  return of_shared(Kind::kList, object);
}
Value Value::some(Value inner) {
  auto* object = new OptionalObject;
  object->inner = std::move(inner);
  return of_shared(Kind::kOptional, object);
}
Value Value::none() { return of_shared(Kind::kOptional, nullptr); }
Value Value::ip(const IpAddress& address) {
  auto* object = new IpObject;
  object->address = address;
  return of_shared(Kind::kIp, object);
}
Value Value::cidr(const IpRange& range) {
  auto* object = new CidrObject;
  object->range = range;
  return of_shared(Kind::kCidr, object);
}
Value Value::error(ErrorCode code, std::string text) {
  auto* object = new ErrorObject;
  object->code = code;
  object->text = std::move(text);
  return of_shared(Kind::kError, object);
}
Value Value::unknown(std::set<std::string> names) {
  auto* object = new UnknownObject;
  object->names = std::move(names);
  return of_shared(Kind::kUnknown, object);
}

void Value::destroy() {
  Shared* object = payload_.shared;
  switch (kind_) {
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kType: delete static_cast<TextObject*>(object); return;
    case Kind::kList: delete static_cast<ListObject*>(object); return;
    case Kind::kMap: delete static_cast<MapObject*>(object); return;
    case Kind::kOptional: delete static_cast<OptionalObject*>(object); return;
    case Kind::kIp: delete static_cast<IpObject*>(object); return;
    case Kind::kCidr: delete static_cast<CidrObject*>(object); return;
    case Kind::kUnknown: delete static_cast<UnknownObject*>(object); return;
    case Kind::kError: delete static_cast<ErrorObject*>(object); return;
    case Kind::kNull:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kDouble:
    case Kind::kDuration:
    case Kind::kTimestamp: break;
  }
  check(false, "a plain value has nothing to destroy");
}

const IpAddress& Value::as_ip() const { return static_cast<const IpObject*>(payload_.shared)->address; }
const IpRange& Value::as_cidr() const { return static_cast<const CidrObject*>(payload_.shared)->range; }
const ErrorObject& Value::as_error() const { return *static_cast<const ErrorObject*>(payload_.shared); }
const std::set<std::string>& Value::as_unknown() const { return static_cast<const UnknownObject*>(payload_.shared)->names; }

std::uint64_t Value::text_hash() const {
  auto* object = static_cast<TextObject*>(payload_.shared);
  if (object->hash != 0) return object->hash;
  const std::uint64_t hash = hash_of_text(object->text);
  if (!object->frozen) object->hash = hash;
  return hash;
}

std::vector<Value> Value::take_list() && {
  auto* object = static_cast<ListObject*>(payload_.shared);
  if (object->frozen || object->references > 1) return object->elements;
  return std::move(object->elements);
}

void Value::set_error_offset(std::uint32_t offset) {
  auto* object = static_cast<ErrorObject*>(payload_.shared);
  if (!object->offset && !object->frozen) object->offset = offset;
}

void Value::freeze() {
  if (!is_shared() || payload_.shared->frozen) return;
  if (is(Kind::kString)) text_hash();
  payload_.shared->frozen = true;
  if (is(Kind::kList)) {
    for (Value& element : static_cast<ListObject*>(payload_.shared)->elements) element.freeze();
  } else if (is(Kind::kMap)) {
    for (auto& [key, value] : static_cast<MapObject*>(payload_.shared)->entries) {
      key.freeze();
      value.freeze();
    }
  } else if (is(Kind::kOptional)) {
    static_cast<OptionalObject*>(payload_.shared)->inner.freeze();
  }
}

const Value* MapObject::find(const Value& key) const {
  if (table.empty()) {
    for (const Entry& entry : entries) {
      if (same_key(entry.key, key)) return &entry.value;
    }
    return nullptr;
  }
  const auto hash = key_hash(key);
  if (!hash) return nullptr;
  for (std::size_t i = *hash & (table.size() - 1); table[i] != 0; i = (i + 1) & (table.size() - 1)) {
    const Entry& entry = entries[table[i] - 1];
    if (same_key(entry.key, key)) return &entry.value;
  }
  return nullptr;
}

const Value* MapObject::find_text(std::string_view key) const {
  if (table.empty()) {
    for (const Entry& entry : entries) {
      if (entry.key.is(Kind::kString) && entry.key.as_text() == key) return &entry.value;
    }
    return nullptr;
  }
  for (std::size_t i = hash_of_text(key) & (table.size() - 1); table[i] != 0; i = (i + 1) & (table.size() - 1)) {
    const Entry& entry = entries[table[i] - 1];
    if (entry.key.is(Kind::kString) && entry.key.as_text() == key) return &entry.value;
  }
  return nullptr;
}

MapBuilder::MapBuilder(std::size_t expected) : map_(new MapObject) { map_->entries.reserve(expected); }
MapBuilder::~MapBuilder() { delete map_; }

bool MapBuilder::add(Value key, Value value) {
  if (map_->find(key) != nullptr) return false;
  map_->entries.push_back({std::move(key), std::move(value)});
  if (map_->entries.size() > kLinearEntriesMax) grow();
  return true;
}

void MapBuilder::grow() {
  auto& table = map_->table;
  const auto put = [&](std::size_t number) {
    std::size_t i = key_hash(map_->entries[number].key).value_or(1) & (table.size() - 1);
    while (table[i] != 0) i = (i + 1) & (table.size() - 1);
    table[i] = static_cast<std::uint32_t>(number + 1);
  };
  if (map_->entries.size() * 2 <= table.size()) return put(map_->entries.size() - 1);
  std::size_t size = std::max<std::size_t>(32, table.size());
  while (size < map_->entries.size() * 4) size *= 2;
  table.assign(size, 0);
  for (std::size_t number = 0; number < map_->entries.size(); ++number) put(number);
}

Value MapBuilder::finish() && {
  MapObject* map = map_;
  map_ = nullptr;
  return Value::of_shared(Kind::kMap, map);
}

Value over_cost() { return Value::error(ErrorCode::kCostLimit, "the evaluation reached its cost limit"); }

bool equal(const Value& a, const Value& b, Budget& budget) {
  if (!budget.spend(1)) return false;
  if (a.is_number() && b.is_number()) {
    const Order found = order_numbers(a, b);
    return !found.unordered && found.sign == 0;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kNull: return true;
    case Kind::kBool:
    case Kind::kDuration: return a.as_int() == b.as_int();
    case Kind::kTimestamp: return a.as_timestamp() == b.as_timestamp();
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kType:
      if (a.same_as(b)) return true;
      return a.as_text().size() == b.as_text().size() && budget.spend(a.as_text().size() / 8) && a.as_text() == b.as_text();
    case Kind::kList: return equal_lists(a.as_list(), b.as_list(), budget);
    case Kind::kMap: return equal_maps(a.as_map(), b.as_map(), budget);
    case Kind::kOptional: {
      const Value* left = a.as_optional();
      const Value* right = b.as_optional();
      return left == nullptr || right == nullptr ? left == right : equal(*left, *right, budget);
    }
    case Kind::kIp: return a.as_ip() == b.as_ip();
    case Kind::kCidr: return a.as_cidr() == b.as_cidr();
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kDouble:
    case Kind::kUnknown:
    case Kind::kError: return false;
  }
  return false;
}

Order order(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.kind() != b.kind()) return {};
  switch (a.kind()) {
    case Kind::kBool:
    case Kind::kDuration: return {true, false, sign_of(a.as_int(), b.as_int())};
    case Kind::kTimestamp: return {true, false, sign_of(a.as_timestamp(), b.as_timestamp())};
    case Kind::kString:
    case Kind::kBytes: return {true, false, sign_of(a.as_text().compare(b.as_text()), 0)};
    default: return {};
  }
}

std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return count;
}

}  // namespace prunella::cel
