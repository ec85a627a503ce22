#include "decide/cel/value_text.h"

#include <cmath>

#include "base/encoding.h"
#include "base/text.h"
#include "decide/cel/time_text.h"

namespace prunella::cel {

namespace {

constexpr std::size_t kTextMax = 4'000;  // characters; messages quote values
constexpr std::size_t kJsonPartsMax = 1'000'000;
constexpr std::int64_t kJsonWholeMax = std::int64_t{1} << 53;

/// In single quotes, with escapes that CEL reads back.
void append_quoted(std::string& out, std::string_view text, bool bytes) {
  out += bytes ? "b'" : "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (out.size() > kTextMax) break;
    if (c == '\'' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7F || (bytes && byte >= 0x80)) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  out += '\'';
}

void append(std::string& out, const Value& value) {
  if (out.size() > kTextMax) return;
  switch (value.kind()) {
    case Kind::kNull: out += "null"; return;
    case Kind::kBool: out += value.as_bool() ? "true" : "false"; return;
    case Kind::kInt: out += std::to_string(value.as_int()); return;
    case Kind::kUint: out += std::to_string(value.as_uint()) + "u"; return;
    case Kind::kDouble: {
      std::string text = double_text(value.as_double());
      if (std::isfinite(value.as_double()) && text.find_first_of(".e") == std::string::npos) text += ".0";
      out += text;
      return;
    }
    case Kind::kDuration: out += "duration('" + duration_text(value.as_duration()) + "')"; return;
    case Kind::kTimestamp: out += "timestamp('" + to_text(value.as_timestamp()) + "')"; return;
    case Kind::kString: append_quoted(out, value.as_text(), false); return;
    case Kind::kBytes: append_quoted(out, value.as_text(), true); return;
    case Kind::kList:
      out += '[';
      for (std::size_t i = 0; i < value.as_list().size() && out.size() <= kTextMax; ++i) {
        if (i > 0) out += ", ";
        append(out, value.as_list()[i]);
      }
      out += ']';
      return;
    case Kind::kMap: {
      out += '{';
      bool first = true;
      for (const auto& [key, inner] : value.as_map().entries) {
        if (out.size() > kTextMax) break;
        if (!first) out += ", ";
        first = false;
        append(out, key);
        out += ": ";
        append(out, inner);
      }
      out += '}';
      return;
    }
    case Kind::kType: out += value.as_text(); return;
    case Kind::kOptional:
      if (value.as_optional() == nullptr) {
        out += "optional.none()";
        return;
      }
      out += "optional.of(";
      append(out, *value.as_optional());
      out += ')';
      return;
    case Kind::kIp: out += "ip('" + to_text(value.as_ip()) + "')"; return;
    case Kind::kCidr: out += "cidr('" + to_text(value.as_cidr()) + "')"; return;
    case Kind::kUnknown: {
      std::vector<std::string> names(value.as_unknown().begin(), value.as_unknown().end());
      out += "unknown(" + join(names, ", ") + ")";
      return;
    }
    case Kind::kError: out += "error: " + value.as_error().text; return;
  }
}

/// The text that a map's key has in JSON.
std::string key_text(const Value& key) {
  if (key.is(Kind::kString)) return std::string(key.as_text());
  if (key.is(Kind::kBool)) return key.as_bool() ? "true" : "false";
  return key.is(Kind::kInt) ? std::to_string(key.as_int()) : std::to_string(key.as_uint());
}

Result<Json> json_of(const Value& value, std::size_t& parts) {
  if (++parts > kJsonPartsMax) return exhausted("the value has more than " + std::to_string(kJsonPartsMax) + " parts");
  switch (value.kind()) {
    case Kind::kNull: return Json();
    case Kind::kBool: return Json(value.as_bool());
    case Kind::kInt:
      if (value.as_int() > kJsonWholeMax || value.as_int() < -kJsonWholeMax) return Json(std::to_string(value.as_int()));
      return Json(value.as_int());
    case Kind::kUint:
      if (value.as_uint() > static_cast<std::uint64_t>(kJsonWholeMax)) return Json(std::to_string(value.as_uint()));
      return Json(static_cast<std::int64_t>(value.as_uint()));
    case Kind::kDouble:
      if (!std::isfinite(value.as_double())) return Json(double_text(value.as_double()));
      return Json(value.as_double());
    case Kind::kDuration: return Json(duration_text(value.as_duration()));
    case Kind::kTimestamp: return Json(to_text(value.as_timestamp()));
    case Kind::kString:
    case Kind::kType: return Json(value.as_text());
    case Kind::kBytes: return Json(to_base64(as_bytes(value.as_text())));
    case Kind::kIp: return Json(to_text(value.as_ip()));
    case Kind::kCidr: return Json(to_text(value.as_cidr()));
    case Kind::kOptional: return value.as_optional() == nullptr ? Json() : json_of(*value.as_optional(), parts);
    case Kind::kUnknown:
    case Kind::kError: return invalid_input(to_text(value));
    case Kind::kList: {
      Json::Array array;
      for (const Value& element : value.as_list()) {
        auto json = json_of(element, parts);
        if (!json) return json;
        array.push_back(*std::move(json));
      }
      return Json(std::move(array));
    }
    case Kind::kMap: break;
  }
  Json::Object object;
  for (const auto& [key, inner] : value.as_map().entries) {
    auto json = json_of(inner, parts);
    if (!json) return json;
    const std::string name = key_text(key);
    if (!object.emplace(name, *std::move(json)).second)
      return invalid_input("two keys of a map become the JSON key " + quoted(name));
  }
  return Json(std::move(object));
}

}  // namespace

std::string to_text(const Value& value) {
  std::string out;
  append(out, value);
  return std::string(cut_text(out, kTextMax));
}

Result<Json> to_json(const Value& value) {
  std::size_t parts = 0;
  return json_of(value, parts);
}

Value from_json(const Json& json) {
  if (json.as_bool() != nullptr) return Value::boolean(*json.as_bool());
  if (json.as_int() != nullptr) return Value::integer(*json.as_int());
  if (json.as_double() != nullptr) return Value::number(*json.as_double());
  if (json.as_string() != nullptr) return Value::string(*json.as_string());
  if (json.as_array() != nullptr) {
    std::vector<Value> elements;
    elements.reserve(json.as_array()->size());
    for (const Json& element : *json.as_array()) elements.push_back(from_json(element));
    return Value::list(std::move(elements));
  }
  if (json.as_object() == nullptr) return {};
  MapBuilder map(json.as_object()->size());
  for (const auto& [key, value] : *json.as_object()) {
    // Two keys of a JSON object are never equal, so that nothing is lost here.
    if (!map.add(Value::string(key), from_json(value))) break;
  }
  return std::move(map).finish();
}

}  // namespace prunella::cel
