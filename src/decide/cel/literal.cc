#include "decide/cel/literal.h"

#include "base/text.h"

namespace prunella::cel {

namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

/// `count` digits of `base` at `at`.
Result<char32_t> read_digits(std::string_view text, std::size_t at, std::size_t count, int base) {
  const std::string_view digits = text.substr(at, count);
  if (digits.size() < count)
    return invalid_input("an escape needs " + std::to_string(count) + " digits, and " + quoted(digits) + " has fewer");
  char32_t value = 0;
  for (const char c : digits) {
    if (digit_value(c) >= base)
      return invalid_input("an escape needs " + std::to_string(count) + " digits, and " + quoted(digits) + " has others");
    value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit_value(c));
  }
  return value;
}

char simple_escape(char c) {
  switch (c) {
    case 'a': return '\a';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case '\\':
    case '?':
    case '"':
    case '\'':
    case '`': return c;
    default: return 0;
  }
}

}  // namespace

void append_character(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

char32_t next_character(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
  if (more == 0) return 0xFFFD;
  char32_t value = first & (0x3F >> more);
  for (int i = 0; i < more; ++i) {
    if (at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) return 0xFFFD;
    value = value << 6 | (static_cast<unsigned char>(text[at++]) & 0x3F);
  }
  return value;
}

Result<std::string> unescape(std::string_view inside, LiteralKind kind) {
  std::string out;
  out.reserve(inside.size());
  for (std::size_t i = 0; i < inside.size();) {
    if (inside[i] != '\\') {
      out += inside[i++];
      continue;
    }
    if (i + 1 >= inside.size()) return invalid_input("a '\\' at the end escapes nothing");
    const char mark = inside[i + 1];
    if (const char plain = simple_escape(mark); plain != 0) {
      out += plain;
      i += 2;
      continue;
    }
    std::size_t digits = 0;
    int base = 16;
    switch (mark) {
      case 'x':
      case 'X': digits = 2; break;
      case 'u': digits = 4; break;
      case 'U': digits = 8; break;
      case '0':
      case '1':
      case '2':
      case '3':
        digits = 3;
        base = 8;
        break;
      default:
        return invalid_input("there is no escape " + quoted(inside.substr(i, 2)) +
                             "; write '\\\\' for a backslash, or r'...' for a text without escapes");
    }
    if (kind == LiteralKind::kBytes && (mark == 'u' || mark == 'U')) {
      return invalid_input(quoted(inside.substr(i, 2)) +
                           " names a character, and bytes have none; write the character itself or '\\x'");
    }
    const std::size_t begin = base == 8 ? i + 1 : i + 2;
    auto value = read_digits(inside, begin, digits, base);
    if (!value) return std::move(value).error();
    if (*value > 0x10FFFF || (*value >= 0xD800 && *value <= 0xDFFF)) {
      return invalid_input(quoted(inside.substr(i, begin + digits - i)) +
                           " is no character: surrogates and values beyond 10FFFF are none");
    }
    if (kind == LiteralKind::kBytes) {
      out += static_cast<char>(*value);
    } else {
      append_character(out, *value);
    }
    i = begin + digits;
  }
  return out;
}

}  // namespace prunella::cel
