#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <typeinfo>

#include "base/codec.h"

/// What a value looks like in JSON, read off its `fields` function: the schema that specs/openapi.yaml must have for it. So the
/// specification can't say something else than the codec, without either being made from the other.
///
/// A value whose reader refuses unknown keys is closed in the schema, with everything in it. What is read both ways is closed: list
/// the values of strict readers first.
namespace prunella {

namespace shapes_detail {

/// "prunella::Page<prunella::HostView>" becomes "HostViewPage", "prunella::Sensed<prunella::DiskFacts>" "SensedDiskFacts",
/// "prunella::Id<prunella::HostTag>" "HostId".
inline std::string schema_name(const std::type_info& type) {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  std::string text = demangled.get();
  for (std::size_t at; (at = text.find("prunella::")) != std::string::npos;) text.erase(at, 10);
  for (std::size_t at; (at = text.find("IdTag")) != std::string::npos;) text.erase(at, 3);
  if (text.starts_with("Page<")) return text.substr(5, text.size() - 6) + "Page";
  if (text.starts_with("Sensed<")) return "Sensed" + text.substr(7, text.size() - 8);
  if (text.starts_with("Id<")) return text.substr(3, text.size() - 4 - 3) + "Id";
  return text;
}

}  // namespace shapes_detail

/// Every schema that was met, by name.
using Shapes = std::map<std::string, Json>;

template <class T>
Json shape(Shapes& known, UnknownKeys unknown);

class ShapeLister {
 public:
  ShapeLister(Shapes& known, UnknownKeys unknown) : known_(known), unknown_(unknown) {}
  template <class T>
  void operator()(std::string_view key, T&) {
    properties_.emplace(std::string(key), shape<T>(known_, unknown_));
    required_.push_back(Json(key));
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>&) {
    properties_.emplace(std::string(key), shape<T>(known_, unknown_));
  }
  Json take() {
    Json::Object object{{"type", "object"}, {"properties", std::move(properties_)}};
    if (!required_.empty()) object.emplace("required", std::move(required_));
    return Json(std::move(object));
  }

 private:
  Shapes& known_;
  UnknownKeys unknown_;
  Json::Object properties_;
  Json::Array required_;
};

inline Json reference(const std::string& name) { return Json(Json::Object{{"$ref", "#/components/schemas/" + name}}); }

template <class T>
Json shape(Shapes& known, UnknownKeys unknown) {
  using namespace codec_detail;
  if constexpr (std::is_same_v<T, Json>) {
    return Json(Json::Object{});
  } else if constexpr (std::is_same_v<T, bool>) {
    return Json(Json::Object{{"type", "boolean"}});
  } else if constexpr (std::is_integral_v<T>) {
    Json::Object object{{"type", "integer"}};
    if constexpr (std::is_unsigned_v<T>) object.emplace("minimum", 0);
    return Json(std::move(object));
  } else if constexpr (std::is_same_v<T, double>) {
    return Json(Json::Object{{"type", "number"}});
  } else if constexpr (std::is_same_v<T, std::string>) {
    return Json(Json::Object{{"type", "string"}});
  } else if constexpr (std::is_same_v<T, Instant>) {
    return reference("Instant");
  } else if constexpr (std::is_same_v<T, Duration>) {
    return reference("DurationMs");
  } else if constexpr (std::is_same_v<T, Digest> || std::is_same_v<T, PublicKey> || std::is_same_v<T, Signature> || IsId<T>::value) {
    return reference(shapes_detail::schema_name(typeid(T)));
  } else if constexpr (WordedEnum<T>) {
    Json::Array words;
    for (const auto& [value, word] : enum_words(T{})) words.push_back(Json(word));
    std::string name = shapes_detail::schema_name(typeid(T));
    known.insert_or_assign(name, Json(Json::Object{{"type", "string"}, {"enum", std::move(words)}}));
    return reference(name);
  } else if constexpr (IsVector<T>::value || IsSet<T>::value) {
    return Json(Json::Object{{"type", "array"}, {"items", shape<typename T::value_type>(known, unknown)}});
  } else if constexpr (IsMap<T>::value) {
    return Json(Json::Object{{"type", "object"}, {"additionalProperties", shape<typename T::mapped_type>(known, unknown)}});
  } else {
    std::string name = shapes_detail::schema_name(typeid(T));
    if (!known.contains(name)) {
      known.emplace(name, Json());  // a type that holds itself ends here
      ShapeLister lister(known, unknown);
      T value{};
      fields(lister, value);
      known[name] = lister.take();
      if (unknown == UnknownKeys::kRefuse) known[name]["additionalProperties"] = false;
    }
    return reference(name);
  }
}

}  // namespace prunella
