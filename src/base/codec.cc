#include "base/codec.h"

#include <algorithm>

namespace prunella {

namespace codec_detail {

Error wrong_type(std::string_view wanted, const Json& got) {
  std::string text = "expected " + std::string(wanted) + ", got " + std::string(got.type_name());
  if (const std::string* value = got.as_string()) text += " " + quoted(*value);
  if (const std::int64_t* value = got.as_int()) text += " " + std::to_string(*value);
  return invalid_input(std::move(text));
}

Error too_long(std::size_t size) {
  return exhausted("a list of " + std::to_string(size) + " is longer than " + std::to_string(kJsonListMax));
}

}  // namespace codec_detail

Status FieldReader::finish() && {
  if (error_) return *std::move(error_);
  if (unknown_ == UnknownKeys::kIgnore) return {};
  for (const auto& [key, member] : *json_.as_object()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string text = "unknown key " + quoted(key);
    if (auto near = nearest_word(key, known_)) text += "; did you mean " + quoted(*near) + "?";
    return invalid_input(std::move(text));
  }
  return {};
}

}  // namespace prunella
