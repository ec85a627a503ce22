#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/codec.h"

/// What the fuzz targets demand of whatever reads hostile input, beside not to crash.
namespace prunella::fuzz {

/// 8 KiB: an error is a sentence that a person reads and the audit log keeps. What it quotes is cut.
inline constexpr std::size_t kErrorBytesMax = 8 << 10;

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

inline void check_error(const Error& error) {
  check(!error.text().empty(), "an error has words");
  check(error.text().size() <= kErrorBytesMax, "an error is a sentence, whatever it quotes");
}

/// True when no byte moves the cursor, changes colours or hides text.
inline bool is_terminal_safe(std::string_view text) {
  for (unsigned char c : text)
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) return false;
  return true;
}

inline void collect_keys(const Json& json, std::set<std::string>& into) {
  if (const Json::Object* object = json.as_object())
    for (const auto& [key, member] : *object) {
      into.insert(key);
      collect_keys(member, into);
    }
  if (const Json::Array* array = json.as_array())
    for (const Json& element : *array) collect_keys(element, into);
}

/// Reads `text` as a T. What is read is written and read again as the same; what is refused is refused with its place: the line
/// when it's no JSON, and otherwise the field, the place in a list, or the type that is wrong.
template <class T>
Result<T> read_back(std::string_view text, JsonLimits limits = {}, UnknownKeys unknown = UnknownKeys::kRefuse) {
  auto value = from_json_text<T>(text, limits, unknown);
  if (value) {
    std::string written = to_canonical_text(*value);
    auto again = from_json_text<T>(written, {.bytes_max = written.size() + 1, .depth_max = limits.depth_max + 1});
    check(again.has_value(), "what was written is read");
    check(to_canonical_text(*again) == written, "and is the same");
    if constexpr (!codec_detail::IsMap<T>::value && std::equality_comparable<T>) check(*again == *value, "in every field");
    return value;
  }
  check_error(value.error());
  auto json = parse_json(text, limits);
  if (!json) return value;
  std::set<std::string> keys;
  collect_keys(*json, keys);
  collect_keys(to_json(T{}), keys);
  const std::string& words = value.error().text();
  bool is_placed = words.find('[') != std::string::npos || words.find(json->type_name()) != std::string::npos || words.find('\'') != std::string::npos;
  for (const std::string& key : keys)
    if (!key.empty() && words.find(key) != std::string::npos) is_placed = true;
  check(is_placed, "an error names what is wrong");
  return value;
}

}  // namespace prunella::fuzz
