#include "base/json.h"

#include <charconv>
#include <cmath>

#include "base/text.h"

namespace prunella {

const Json* Json::find(std::string_view key) const {
  const Object* object = as_object();
  if (!object) return nullptr;
  auto found = object->find(key);
  return found == object->end() ? nullptr : &found->second;
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object();
  Object* object = as_object();
  check(object != nullptr, "a member of something that is no object");
  auto found = object->find(key);
  if (found == object->end()) found = object->emplace(std::string(key), Json()).first;
  return found->second;
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array();
  Array* array = as_array();
  check(array != nullptr, "an element of something that is no list");
  array->push_back(std::move(value));
}

std::string_view Json::type_name() const {
  switch (value_.index()) {
    case 0: return "null";
    case 1: return "true or false";
    case 2: return "a whole number";
    case 3: return "a number";
    case 4: return "a text";
    case 5: return "a list";
    default: return "an object";
  }
}

namespace {

// 2^53: beyond it a reader that keeps numbers as doubles (most of them) changes the value. Source: RFC 7493 section 2.2.
constexpr std::int64_t kExactMax = std::int64_t{1} << 53;

class Parser {
 public:
  Parser(std::string_view text, std::size_t depth_max) : text_(text), depth_max_(depth_max) {}

  Result<Json> document() {
    skip_blanks();
    auto value = parse_value(0);
    if (!value) return value;
    skip_blanks();
    if (at_ != text_.size()) return fail("something follows the value");
    return value;
  }

 private:
  Error fail(std::string what) const {
    std::size_t line = 1, column = 1;
    for (std::size_t i = 0; i < at_ && i < text_.size(); ++i) {
      if (text_[i] == '\n') ++line, column = 1;
      else ++column;
    }
    return invalid_input("line " + std::to_string(line) + " column " + std::to_string(column) + ": " + std::move(what));
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Result<Json> parse_value(std::size_t depth) {
    if (at_ >= text_.size()) return fail("the text ends where a value should be");
    switch (text_[at_]) {
      case '{': return parse_object(depth);
      case '[': return parse_array(depth);
      case '"': {
        auto text = parse_string();
        if (!text) return std::move(text).error();
        return Json(*std::move(text));
      }
      case 't': if (take_word("true")) return Json(true); break;
      case 'f': if (take_word("false")) return Json(false); break;
      case 'n': if (take_word("null")) return Json(nullptr); break;
      default: break;
    }
    return parse_number();
  }

  Result<Json> parse_object(std::size_t depth) {
    if (depth >= depth_max_) return exhausted("nested deeper than " + std::to_string(depth_max_));
    ++at_;
    Json::Object object;
    skip_blanks();
    if (take('}')) return Json(std::move(object));
    for (;;) {
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] != '"') return fail("a key in double quotes should be here");
      auto key = parse_string();
      if (!key) return std::move(key).error();
      if (object.contains(*key)) return fail("the key " + quoted(*key) + " stands here twice");
      skip_blanks();
      if (!take(':')) return fail("':' should follow the key " + quoted(*key));
      skip_blanks();
      auto value = parse_value(depth + 1);
      if (!value) return value;
      object.emplace(*std::move(key), *std::move(value));
      skip_blanks();
      if (take(',')) continue;
      if (take('}')) return Json(std::move(object));
      return fail("',' or '}' should be here");
    }
  }

  Result<Json> parse_array(std::size_t depth) {
    if (depth >= depth_max_) return exhausted("nested deeper than " + std::to_string(depth_max_));
    ++at_;
    Json::Array array;
    skip_blanks();
    if (take(']')) return Json(std::move(array));
    for (;;) {
      skip_blanks();
      auto value = parse_value(depth + 1);
      if (!value) return value;
      array.push_back(*std::move(value));
      skip_blanks();
      if (take(',')) continue;
      if (take(']')) return Json(std::move(array));
      return fail("',' or ']' should be here");
    }
  }

  Result<std::uint32_t> parse_hex4() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ >= text_.size()) return fail("the text ends within \\u");
      char c = text_[at_];
      std::uint32_t digit = 0;
      if (c >= '0' && c <= '9') digit = static_cast<std::uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f') digit = static_cast<std::uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') digit = static_cast<std::uint32_t>(c - 'A' + 10);
      else return fail("\\u wants four hexadecimal digits");
      value = value * 16 + digit;
    }
    return value;
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    auto byte = [&out](std::uint32_t b) { out.push_back(static_cast<char>(b)); };
    if (code < 0x80) byte(code);
    else if (code < 0x800) byte(0xC0 | code >> 6), byte(0x80 | (code & 0x3F));
    else if (code < 0x10000) byte(0xE0 | code >> 12), byte(0x80 | (code >> 6 & 0x3F)), byte(0x80 | (code & 0x3F));
    else byte(0xF0 | code >> 18), byte(0x80 | (code >> 12 & 0x3F)), byte(0x80 | (code >> 6 & 0x3F)), byte(0x80 | (code & 0x3F));
  }

  Status parse_escape(std::string& out) {
    if (at_ >= text_.size()) return fail("the text ends within an escape");
    char c = text_[at_++];
    switch (c) {
      case '"': case '\\': case '/': out.push_back(c); return {};
      case 'b': out.push_back('\b'); return {};
      case 'f': out.push_back('\f'); return {};
      case 'n': out.push_back('\n'); return {};
      case 'r': out.push_back('\r'); return {};
      case 't': out.push_back('\t'); return {};
      case 'u': break;
      default: return fail("'\\" + std::string(1, c) + "' is no escape");
    }
    auto first = parse_hex4();
    if (!first) return std::move(first).error();
    std::uint32_t code = *first;
    if (code >= 0xDC00 && code <= 0xDFFF) return fail("half of a surrogate pair");
    if (code >= 0xD800 && code <= 0xDBFF) {
      if (!take_word("\\u")) return fail("half of a surrogate pair");
      auto second = parse_hex4();
      if (!second) return std::move(second).error();
      if (*second < 0xDC00 || *second > 0xDFFF) return fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (*second - 0xDC00);
    }
    append_utf8(out, code);
    return {};
  }

  Result<std::string> parse_string() {
    ++at_;
    std::string out;
    for (;;) {
      std::size_t start = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<unsigned char>(text_[at_]) >= 0x20) ++at_;
      out.append(text_.substr(start, at_ - start));
      if (at_ >= text_.size()) return fail("the text ends within a string");
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        if (!is_valid_utf8(out)) return fail("a string that is no valid UTF-8");
        return out;
      }
      if (c != '\\') return fail("a control character within a string");
      ++at_;
      if (auto escaped = parse_escape(out); !escaped) return std::move(escaped).error();
    }
  }

  bool take_digits() {
    std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ != start;
  }

  Result<Json> parse_number() {
    std::size_t start = at_;
    take('-');
    if (take('0')) {
      if (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') return fail("a number with a leading zero");
    } else if (!take_digits()) {
      at_ = start;
      return fail("no JSON value starts with " + quoted(text_.substr(at_, 1)));
    }
    bool whole = true;
    if (take('.')) {
      whole = false;
      if (!take_digits()) return fail("a digit should follow '.'");
    }
    if (take('e') || take('E')) {
      whole = false;
      if (!take('+')) take('-');
      if (!take_digits()) return fail("a digit should follow the exponent's sign");
    }
    std::string_view digits = text_.substr(start, at_ - start);
    if (whole) {
      std::int64_t value = 0;
      auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (error != std::errc() || value > kExactMax || value < -kExactMax)
        return fail(quoted(digits) + " is beyond 2^53, where whole numbers are no longer exact");
      return Json(value);
    }
    double value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || !std::isfinite(value)) return fail(quoted(digits) + " is out of range");
    return Json(value);
  }

  std::string_view text_;
  std::size_t depth_max_;
  std::size_t at_ = 0;
};

void append_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::size_t plain = at;
    while (plain < text.size() && text[plain] != '"' && text[plain] != '\\' && static_cast<unsigned char>(text[plain]) >= 0x20) ++plain;
    out.append(text, at, plain - at);
    if (plain == text.size()) break;
    at = plain;
    const char c = text[at];
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: {
        constexpr char kHex[] = "0123456789abcdef";
        out += "\\u00";
        out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
        out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
      }
    }
  }
  out.push_back('"');
}

// indent < 0: canonical, on one line.
void append_value(std::string& out, const Json& value, int indent) {
  auto line = [&out](int depth) {
    if (depth < 0) return;
    out.push_back('\n');
    out.append(static_cast<std::size_t>(depth) * 2, ' ');
  };
  int inner = indent < 0 ? indent : indent + 1;
  if (value.is_null()) {
    out += "null";
  } else if (const bool* b = value.as_bool()) {
    out += *b ? "true" : "false";
  } else if (const std::int64_t* i = value.as_int()) {
    out += std::to_string(*i);
  } else if (const double* d = value.as_double()) {
    check(std::isfinite(*d), "a JSON number that is not finite");
    char buffer[32];
    auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, *d);
    check(error == std::errc(), "a double always fits 32 characters");
    std::string_view digits(buffer, static_cast<std::size_t>(end - buffer));
    out += digits;
    // A whole double keeps a mark of its type, so that it is read back as what it was.
    if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
  } else if (const std::string* s = value.as_string()) {
    append_string(out, *s);
  } else if (const Json::Array* array = value.as_array()) {
    out.push_back('[');
    bool first = true;
    for (const Json& element : *array) {
      if (!std::exchange(first, false)) out.push_back(',');
      line(inner);
      append_value(out, element, inner);
    }
    if (!array->empty()) line(indent);
    out.push_back(']');
  } else {
    out.push_back('{');
    bool first = true;
    for (const auto& [key, member] : *value.as_object()) {
      if (!std::exchange(first, false)) out.push_back(',');
      line(inner);
      append_string(out, key);
      out += indent < 0 ? ":" : ": ";
      append_value(out, member, inner);
    }
    if (!value.as_object()->empty()) line(indent);
    out.push_back('}');
  }
}

}  // namespace

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes_max)
    return exhausted(std::to_string(text.size()) + " bytes of JSON, the limit here is " + std::to_string(limits.bytes_max));
  return Parser(text, limits.depth_max).document();
}

std::string to_canonical(const Json& value) {
  std::string out;
  append_value(out, value, -1);
  return out;
}

std::string to_pretty(const Json& value) {
  std::string out;
  append_value(out, value, 0);
  return out;
}

}  // namespace prunella
