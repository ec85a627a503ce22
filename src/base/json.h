#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace prunella {

/// A JSON value (RFC 8259), kept to what has one meaning everywhere (I-JSON, RFC 7493): no duplicate keys, valid UTF-8, and
/// whole numbers exact up to 2^53.
///
/// Ours, and not a library's, because the executor may link only the C library and one vetted crypto library (TRUST.md EXE-8),
/// because plans are digests over canonical bytes that agent, executor, control plane and command line must all produce
/// alike, and because it refuses duplicate keys and bounds depth and size before it builds anything.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;

  Json() = default;  ///< null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  template <class I>
    requires(std::integral<I> && !std::same_as<I, bool>)
  Json(I value) : value_(static_cast<std::int64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  bool is_null() const { return value_.index() == 0; }
  const bool* as_bool() const { return std::get_if<bool>(&value_); }
  const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&value_); }
  const double* as_double() const { return std::get_if<double>(&value_); }
  const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  const Array* as_array() const { return std::get_if<Array>(&value_); }
  const Object* as_object() const { return std::get_if<Object>(&value_); }
  Array* as_array() { return std::get_if<Array>(&value_); }
  Object* as_object() { return std::get_if<Object>(&value_); }

  /// The member `key` of an object; nullptr when this is no object or has no such member.
  const Json* find(std::string_view key) const;
  /// The member `key`, made when missing; a null becomes an object first. Only for building values of our own.
  Json& operator[](std::string_view key);
  void push_back(Json value);

  /// "null", "true or false", "a whole number", "a number", "a text", "a list", "an object".
  std::string_view type_name() const;

  bool operator==(const Json&) const = default;

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value_;
};

struct JsonLimits {
  std::size_t bytes_max = 1 << 20;
  std::size_t depth_max = 32;
};

/// Strict parse of one value with nothing after it.
/// @error kInvalidInput  not JSON, a duplicate key, invalid UTF-8 or a lone surrogate, a whole number beyond 2^53; with the
///                       line and column.
/// @error kExhausted     larger or deeper than `limits`.
Result<Json> parse_json(std::string_view text, JsonLimits limits = {});

/// Canonical bytes: keys in byte order, no blanks, the shortest escapes. One value has one text, so that its SHA-256 names it.
/// Source: RFC 8785 for what occurs here; keys are sorted by UTF-8 bytes (equal for all keys below U+D800, and ours are ASCII).
std::string to_canonical(const Json& value);
/// The same value for people: two blanks of indentation.
std::string to_pretty(const Json& value);

}  // namespace prunella
