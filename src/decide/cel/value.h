#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decide/cel/ip.h"

namespace prunella::cel {

/// What a value is at run time. Those from kString on live on the heap and are shared by count.
enum class Kind : std::uint8_t {
  kNull,
  kBool,
  kInt,
  kUint,
  kDouble,
  kDuration,
  kTimestamp,
  kString,
  kBytes,
  kList,
  kMap,
  kType,
  kOptional,
  kIp,
  kCidr,
  kUnknown,
  kError,
};
/// The name of the kind in CEL: "int", "google.protobuf.Timestamp", "optional_type", "net.IP", ...
std::string_view type_name(Kind kind);

/// A set of kinds.
using KindMask = std::uint32_t;
constexpr KindMask mask_of(Kind kind) { return KindMask{1} << static_cast<unsigned>(kind); }
inline constexpr KindMask kAnyKind = ~KindMask{0};

/// Why an expression has no value.
enum class ErrorCode : std::uint8_t {
  kNoSuchOverload,  ///< an operator or function doesn't take values of these types
  kNoSuchKey,       ///< a map has no such key, or an object no such field
  kIndex,           ///< an index outside a list
  kNoValue,         ///< a variable without a value, or a name that nothing has
  kOverflow,        ///< a result that its type can't hold
  kDivisionByZero,
  kBadConversion,  ///< a text that is no number, a number that is no timestamp, ...
  kBadArgument,    ///< right type, wrong value
  kCostLimit,      ///< the evaluation was stopped; no && or || hides it
};

struct Timestamp {
  std::int64_t seconds = 0;  ///< since 1970-01-01T00:00:00Z, may be negative
  std::uint32_t nanos = 0;   ///< 0 to 999,999,999, always forward
  auto operator<=>(const Timestamp&) const = default;
};
// langdef.md, "Timestamps": 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z.
inline constexpr std::int64_t kTimestampSecondsMin = -62'135'596'800;
inline constexpr std::int64_t kTimestampSecondsMax = 253'402'300'799;

struct Shared;
struct ListObject;
struct MapObject;
struct ErrorObject;

/// One value of CEL, an error or an unknown: 16 bytes. Copying counts a reference, without a lock: a value and all that it holds
/// belong to one thread. What threads share (the constants of a Program) was frozen before: its references are counted
/// atomically.
class Value {
 public:
  Value() = default;  ///< null
  static Value boolean(bool value);
  static Value integer(std::int64_t value);
  static Value unsigned_integer(std::uint64_t value);
  static Value number(double value);
  /// Nanoseconds: CEL's durations reach 292 years here, as in cel-go.
  static Value duration(std::int64_t nanos);
  static Value timestamp(Timestamp at);
  static Value string(std::string_view text);
  static Value bytes(std::string_view bytes);
  static Value list(std::vector<Value> elements);
  static Value type(std::string_view name);
  static Value some(Value inner);
  static Value none();
  static Value ip(const IpAddress& address);
  static Value cidr(const IpRange& range);
  static Value error(ErrorCode code, std::string text);
  /// `names`: the paths that would have to be known.
  static Value unknown(std::set<std::string> names);

  Value(const Value& other) : kind_(other.kind_), extra_(other.extra_), payload_(other.payload_) {
    if (is_shared()) retain();
  }
  Value(Value&& other) noexcept : kind_(other.kind_), extra_(other.extra_), payload_(other.payload_) {
    other.kind_ = Kind::kNull;
  }
  Value& operator=(const Value& other) {
    Value copy(other);
    swap(copy);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Value() {
    if (is_shared()) release();
  }
  void swap(Value& other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(extra_, other.extra_);
    std::swap(payload_, other.payload_);
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_error() const { return kind_ == Kind::kError; }
  bool is_unknown() const { return kind_ == Kind::kUnknown; }
  /// Neither an error nor an unknown.
  bool is_proper() const { return kind_ < Kind::kUnknown; }
  bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kUint || kind_ == Kind::kDouble; }
  bool is_true() const { return kind_ == Kind::kBool && payload_.integer == 1; }
  bool is_false() const { return kind_ == Kind::kBool && payload_.integer == 0; }

  // Each of these may only be asked of a value of its kind.
  bool as_bool() const { return payload_.integer != 0; }
  std::int64_t as_int() const { return payload_.integer; }
  std::uint64_t as_uint() const { return static_cast<std::uint64_t>(payload_.integer); }
  double as_double() const { return payload_.number; }
  std::int64_t as_duration() const { return payload_.integer; }
  Timestamp as_timestamp() const { return {payload_.integer, extra_}; }
  std::string_view as_text() const;  ///< of a string, bytes or a type
  const std::vector<Value>& as_list() const;
  const MapObject& as_map() const;
  const Value* as_optional() const;  ///< nullptr: none
  const IpAddress& as_ip() const;
  const IpRange& as_cidr() const;
  const ErrorObject& as_error() const;
  const std::set<std::string>& as_unknown() const;

  /// A hash of a string, computed once.
  std::uint64_t text_hash() const;
  /// The list's elements, moved out when nobody else holds the list, else copied.
  std::vector<Value> take_list() &&;
  /// Of an error: where in the source it arose, unless that is known already. The value must not be shared with others.
  void set_error_offset(std::uint32_t offset);
  /// From now on threads may share this value and all within it. Call it before the first of them sees it.
  void freeze();
  /// Whether both are the same object or the same plain value; quick, and false says nothing.
  bool same_as(const Value& other) const {
    return kind_ == other.kind_ && payload_.integer == other.payload_.integer && extra_ == other.extra_;
  }

 private:
  friend class MapBuilder;
  bool is_shared() const { return kind_ >= Kind::kString && payload_.shared != nullptr; }
  void retain() const;
  void release();
  void destroy();
  static Value of_shared(Kind kind, Shared* object);

  Kind kind_ = Kind::kNull;
  std::uint32_t extra_ = 0;
  union Payload {
    std::int64_t integer;
    double number;
    Shared* shared;
  } payload_{0};
};

struct Shared {
  std::uint32_t references = 1;
  bool frozen = false;
};
struct TextObject : Shared {
  std::string text;
  std::uint64_t hash = 0;  ///< 0: not computed
};
struct ListObject : Shared {
  std::vector<Value> elements;
};
struct OptionalObject : Shared {
  Value inner;
};
struct IpObject : Shared {
  IpAddress address;
};
struct CidrObject : Shared {
  IpRange range;
};
struct ErrorObject : Shared {
  ErrorCode code = ErrorCode::kNoValue;
  std::string text;
  std::optional<std::uint32_t> offset;  ///< in the source, in bytes
};
struct UnknownObject : Shared {
  std::set<std::string> names;
};

/// A map, its entries in the order of insertion. Keys are bool, int, uint or string; numbers that are equal are one key.
struct MapObject : Shared {
  struct Entry {
    Value key;
    Value value;
  };
  std::vector<Entry> entries;
  std::vector<std::uint32_t> table;  ///< open addressing over entry number + 1, when there are more than a few

  /// The value of `key`, nullptr when there's none. Any kind may be asked for; a double finds the whole number that it equals.
  const Value* find(const Value& key) const;
  const Value* find_text(std::string_view key) const;
};

class MapBuilder {
 public:
  explicit MapBuilder(std::size_t expected = 0);
  MapBuilder(const MapBuilder&) = delete;
  ~MapBuilder();
  /// False: `key` is there already (the value of the first stays).
  [[nodiscard]] bool add(Value key, Value value);
  static bool is_key(Kind kind) {
    return kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kUint || kind == Kind::kString;
  }
  const Value* find(const Value& key) const { return map_->find(key); }
  Value finish() &&;

 private:
  void grow();
  MapObject* map_;
};

/// What an evaluation may still spend, and what functions need from outside.
class Budget {
 public:
  explicit Budget(std::uint64_t cost_max) : left_(static_cast<std::int64_t>(cost_max)), start_(left_) {}
  /// False: it is used up, and the caller returns over_cost() at once.
  bool spend(std::uint64_t cost) {
    if (cost > static_cast<std::uint64_t>(start_)) cost = static_cast<std::uint64_t>(start_) + 1;
    left_ -= static_cast<std::int64_t>(cost);
    return left_ >= 0;
  }
  bool is_spent() const { return left_ < 0; }
  std::uint64_t used() const { return static_cast<std::uint64_t>(start_ - left_); }

 private:
  std::int64_t left_;
  std::int64_t start_;
};
Value over_cost();

/// CEL's ==: never an error between proper values; values of different kinds are unequal, except that numbers compare by what
/// they are worth. Spends one unit for each pair of elements and for each 8 bytes of texts. Source: langdef.md, "Equality".
bool equal(const Value& a, const Value& b, Budget& budget);
/// CEL's order of two values, nullopt when they have none (NaN, or kinds that don't compare).
struct Order {
  bool comparable = false;  ///< false: no such overload
  bool unordered = false;   ///< a NaN: every comparison is false
  int sign = 0;
};
Order order(const Value& a, const Value& b);

/// Characters (code points) of valid UTF-8.
std::size_t character_count(std::string_view text);

inline Value Value::boolean(bool value) {
  Value made;
  made.kind_ = Kind::kBool;
  made.payload_.integer = value ? 1 : 0;
  return made;
}
inline Value Value::integer(std::int64_t value) {
  Value made;
  made.kind_ = Kind::kInt;
  made.payload_.integer = value;
  return made;
}
inline Value Value::unsigned_integer(std::uint64_t value) {
  Value made;
  made.kind_ = Kind::kUint;
  made.payload_.integer = static_cast<std::int64_t>(value);
  return made;
}
inline Value Value::number(double value) {
  Value made;
  made.kind_ = Kind::kDouble;
  made.payload_.number = value;
  return made;
}
inline Value Value::duration(std::int64_t nanos) {
  Value made;
  made.kind_ = Kind::kDuration;
  made.payload_.integer = nanos;
  return made;
}
inline Value Value::timestamp(Timestamp at) {
  Value made;
  made.kind_ = Kind::kTimestamp;
  made.payload_.integer = at.seconds;
  made.extra_ = at.nanos;
  return made;
}
inline std::string_view Value::as_text() const { return static_cast<const TextObject*>(payload_.shared)->text; }
inline const std::vector<Value>& Value::as_list() const { return static_cast<const ListObject*>(payload_.shared)->elements; }
inline const MapObject& Value::as_map() const { return *static_cast<const MapObject*>(payload_.shared); }
inline const Value* Value::as_optional() const {
  return payload_.shared == nullptr ? nullptr : &static_cast<const OptionalObject*>(payload_.shared)->inner;
}
inline void Value::retain() const {
  if (payload_.shared->frozen) {
    std::atomic_ref(payload_.shared->references).fetch_add(1, std::memory_order_relaxed);
  } else {
    ++payload_.shared->references;
  }
}
inline void Value::release() {
  if (payload_.shared->frozen ? std::atomic_ref(payload_.shared->references).fetch_sub(1, std::memory_order_acq_rel) == 1
                              : --payload_.shared->references == 0) {
    destroy();
  }
}

}  // namespace prunella::cel
