#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/ed25519.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"
#include "base/text.h"
#include "base/time.h"

/// One description of a value's fields serves writing and strict reading:
///
///     struct Point { std::int64_t x = 0; std::optional<std::string> label; };
///     template <class F> void fields(F& f, Point& p) { f("x", p.x); f("label", p.label); }
///
/// `to_json(point)` and `from_json<Point>(json)` follow. Reading refuses unknown keys, missing keys and wrong types, and names
/// the place. An optional that is empty is left out, so that "unknown" is absence and never 0, -1 or "". Put `fields` into the
/// type's own namespace. An enumeration gives its words by `enum_words(E)`: std::array of {value, word}.
///
/// Who reads says whether a key that it doesn't know is refused, and this holds at every level (UnknownKeys).
namespace prunella {

/// What reading does with a key that no field has.
enum class UnknownKeys {
  /// It's a mistake or an attack: what people write, what is signed or digested, and what decides an act. The default.
  kRefuse,
  /// It's what a newer peer has to say beyond what we know: answers of the control plane, reports of agents. Everything else is
  /// as strict as ever: types, missing keys, words, limits, and in parse_json() duplicates and depth.
  kIgnore,
};

/// Limit of every list and map that is read: above the largest real inventory (about 5,000 packages), below what could hurt.
inline constexpr std::size_t kJsonListMax = 100'000;

template <class E>
using EnumWord = std::pair<E, std::string_view>;

template <class E>
concept WordedEnum = std::is_enum_v<E> && requires(E e) { enum_words(e); };

template <WordedEnum E>
std::string_view to_text(E value) {
  for (const auto& [candidate, word] : enum_words(E{}))
    if (candidate == value) return word;
  check(false, "an enumerator without a word");
  return {};
}

template <WordedEnum E>
Result<E> parse_word(std::string_view text) {
  std::vector<std::string> words;
  for (const auto& [candidate, word] : enum_words(E{})) {
    if (word == text) return candidate;
    words.emplace_back(word);
  }
  return invalid_input(quoted(text) + " is none of: " + join(words, ", "));
}

class FieldWriter;
class FieldReader;

template <class T>
concept Described = requires(FieldWriter& w, T& t) { fields(w, t); };

template <class T>
Json to_json(const T& value);
template <class T>
Status read_json(const Json& json, T& out, UnknownKeys unknown);

template <class T>
Result<T> from_json(const Json& json, UnknownKeys unknown = UnknownKeys::kRefuse) {
  T value{};
  if (auto read = read_json(json, value, unknown); !read) return std::move(read).error();
  return value;
}

/// Parses and reads in one step.
template <class T>
Result<T> from_json_text(std::string_view text, JsonLimits limits = {}, UnknownKeys unknown = UnknownKeys::kRefuse) {
  auto json = parse_json(text, limits);
  if (!json) return std::move(json).error();
  return from_json<T>(*json, unknown);
}

template <class T>
std::string to_canonical_text(const T& value) {
  return to_canonical(to_json(value));
}

class FieldWriter {
 public:
  template <class T>
  void operator()(std::string_view key, T& value) {
    object_.emplace(std::string(key), to_json(value));
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& value) {
    if (value) object_.emplace(std::string(key), to_json(*value));
  }
  Json take() { return Json(std::move(object_)); }

 private:
  Json::Object object_;
};

class FieldReader {
 public:
  FieldReader(const Json& json, UnknownKeys unknown) : json_(json), unknown_(unknown) {
    if (!json.as_object()) error_ = invalid_input("expected an object, got " + std::string(json.type_name()));
  }
  template <class T>
  void operator()(std::string_view key, T& value) {
    if (error_) return;
    known_.emplace_back(key);
    const Json* member = json_.find(key);
    if (!member) {
      error_ = invalid_input(quoted(key) + " is missing");
      return;
    }
    if (auto read = read_json(*member, value, unknown_); !read) error_ = std::move(read).error().during(key);
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& value) {
    if (error_) return;
    known_.emplace_back(key);
    const Json* member = json_.find(key);
    if (!member) return;
    T inner{};
    if (auto read = read_json(*member, inner, unknown_); !read)
      error_ = std::move(read).error().during(key);
    else
      value = std::move(inner);
  }
  Status finish() &&;

 private:
  const Json& json_;
  UnknownKeys unknown_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

namespace codec_detail {
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsSet : std::false_type {};
template <class T>
struct IsSet<std::set<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <class T>
struct IsId : std::false_type {};
template <class T>
struct IsId<Id<T>> : std::true_type {};
Error wrong_type(std::string_view wanted, const Json& got);
Error too_long(std::size_t size);
}  // namespace codec_detail

template <class T>
Json to_json(const T& value) {
  using namespace codec_detail;
  if constexpr (std::is_same_v<T, Json>) {
    return value;
  } else if constexpr (std::is_same_v<T, bool> || std::is_integral_v<T> || std::is_same_v<T, double> ||
                       std::is_same_v<T, std::string>) {
    return Json(value);
  } else if constexpr (std::is_same_v<T, Instant>) {
    return Json(to_rfc3339(value));
  } else if constexpr (std::is_same_v<T, Duration>) {
    return Json(value.count());
  } else if constexpr (std::is_same_v<T, Digest> || std::is_same_v<T, PublicKey>) {
    return Json(value.hex());
  } else if constexpr (std::is_same_v<T, Signature>) {
    return Json(to_base64(value.bytes));
  } else if constexpr (IsId<T>::value) {
    return Json(value.text());
  } else if constexpr (WordedEnum<T>) {
    return Json(to_text(value));
  } else if constexpr (IsVector<T>::value || IsSet<T>::value) {
    Json::Array array;
    array.reserve(value.size());
    for (const auto& element : value) array.push_back(to_json(element));
    return Json(std::move(array));
  } else if constexpr (IsMap<T>::value) {
    Json::Object object;
    for (const auto& [key, element] : value) object.emplace(key, to_json(element));
    return Json(std::move(object));
  } else {
    static_assert(Described<T>, "give the type a fields(F&, T&) in its own namespace");
    FieldWriter writer;
    fields(writer, const_cast<T&>(value));  // the writer only reads
    return writer.take();
  }
}

template <class T>
Status read_json(const Json& json, T& out, [[maybe_unused]] UnknownKeys unknown) {
  using namespace codec_detail;
  if constexpr (std::is_same_v<T, Json>) {
    out = json;
    return {};
  } else if constexpr (std::is_same_v<T, bool>) {
    const bool* value = json.as_bool();
    if (!value) return wrong_type("true or false", json);
    out = *value;
    return {};
  } else if constexpr (std::is_integral_v<T>) {
    const std::int64_t* value = json.as_int();
    if (!value) return wrong_type("a whole number", json);
    if (!std::in_range<T>(*value)) return invalid_input(std::to_string(*value) + " is out of range");
    out = static_cast<T>(*value);
    return {};
  } else if constexpr (std::is_same_v<T, double>) {
    if (const double* value = json.as_double()) {
      out = *value;
      return {};
    }
    const std::int64_t* whole = json.as_int();
    if (!whole) return wrong_type("a number", json);
    out = static_cast<double>(*whole);
    return {};
  } else if constexpr (std::is_same_v<T, Duration>) {
    const std::int64_t* value = json.as_int();
    if (!value || *value < 0) return wrong_type("a whole number of milliseconds, 0 or more", json);
    out = Duration(*value);
    return {};
  } else if constexpr (IsVector<T>::value || IsSet<T>::value) {
    const Json::Array* array = json.as_array();
    if (!array) return wrong_type("a list", json);
    if (array->size() > kJsonListMax) return too_long(array->size());
    for (std::size_t i = 0; i < array->size(); ++i) {
      typename T::value_type element{};
      if (auto read = read_json((*array)[i], element, unknown); !read)
        return std::move(read).error().during("[" + std::to_string(i) + "]");
      if constexpr (IsVector<T>::value)
        out.push_back(std::move(element));
      else if (!out.insert(std::move(element)).second)
        return invalid_input("[" + std::to_string(i) + "] stands in the list twice");
    }
    return {};
  } else if constexpr (IsMap<T>::value) {
    const Json::Object* object = json.as_object();
    if (!object) return wrong_type("an object", json);
    if (object->size() > kJsonListMax) return too_long(object->size());
    for (const auto& [key, member] : *object) {
      typename T::mapped_type element{};
      if (auto read = read_json(member, element, unknown); !read) return std::move(read).error().during(key);
      out.emplace(key, std::move(element));
    }
    return {};
  } else if constexpr (Described<T>) {
    FieldReader reader(json, unknown);
    fields(reader, out);
    return std::move(reader).finish();
  } else {
    // What is left is written as a text.
    const std::string* text = json.as_string();
    if (!text) return wrong_type("a text", json);
    auto assign = [&out](auto parsed) -> Status {
      if (!parsed) return std::move(parsed).error();
      out = *std::move(parsed);
      return {};
    };
    if constexpr (std::is_same_v<T, std::string>) {
      out = *text;
      return {};
    } else if constexpr (IsId<T>::value) {
      if (auto named = check_name("an id", *text); !named) return named;
      out = T(*text);
      return {};
    } else if constexpr (std::is_same_v<T, Instant>) {
      return assign(parse_rfc3339(*text));
    } else if constexpr (std::is_same_v<T, Digest>) {
      return assign(parse_digest(*text));
    } else if constexpr (std::is_same_v<T, PublicKey>) {
      return assign(parse_public_key(*text));
    } else if constexpr (std::is_same_v<T, Signature>) {
      auto bytes = from_base64(*text);
      if (!bytes) return std::move(bytes).error();
      if (bytes->size() != out.bytes.size()) return invalid_input("a signature has 64 bytes, this one " + std::to_string(bytes->size()));
      std::copy(bytes->begin(), bytes->end(), out.bytes.begin());
      return {};
    } else {
      static_assert(WordedEnum<T>, "this type has no JSON form");
      return assign(parse_word<T>(*text));
    }
  }
}

}  // namespace prunella

/// A described type's reading and writing is some hundred lines of templates. A header that declares them (within namespace
/// prunella, after the type) and a source that defines them keep every other file from compiling them again.
#define PRUNELLA_DECLARE_CODEC(...)                                        \
  extern template ::prunella::Json to_json<__VA_ARGS__>(const __VA_ARGS__&); \
  extern template ::prunella::Status read_json<__VA_ARGS__>(const ::prunella::Json&, __VA_ARGS__&, ::prunella::UnknownKeys);
#define PRUNELLA_DEFINE_CODEC(...)                                  \
  template ::prunella::Json to_json<__VA_ARGS__>(const __VA_ARGS__&); \
  template ::prunella::Status read_json<__VA_ARGS__>(const ::prunella::Json&, __VA_ARGS__&, ::prunella::UnknownKeys);
