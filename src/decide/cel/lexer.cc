#include "decide/cel/lexer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/text.h"
#include "decide/cel/literal.h"

namespace prunella::cel {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

constexpr std::array kReservedWords{"as",  "break", "const",   "continue",  "else",   "for", "function", "if",   "import",
                                    "let", "loop",  "package", "namespace", "return", "var", "void",     "while"};
constexpr std::array<std::pair<std::string_view, TokenKind>, 29> kMarks{{
    // Longer ones first.
    {"[?", TokenKind::kLeftBracketQuestion},
    {".?", TokenKind::kDotQuestion},
    {"&&", TokenKind::kAnd},
    {"||", TokenKind::kOr},
    {"==", TokenKind::kEqual},
    {"!=", TokenKind::kNotEqual},
    {"<=", TokenKind::kLessEqual},
    {">=", TokenKind::kGreaterEqual},
    {"<", TokenKind::kLess},
    {">", TokenKind::kGreater},
    {".", TokenKind::kDot},
    {",", TokenKind::kComma},
    {":", TokenKind::kColon},
    {"?", TokenKind::kQuestion},
    {"(", TokenKind::kLeftParen},
    {")", TokenKind::kRightParen},
    {"[", TokenKind::kLeftBracket},
    {"]", TokenKind::kRightBracket},
    {"{", TokenKind::kLeftBrace},
    {"}", TokenKind::kRightBrace},
    {"!", TokenKind::kNot},
    {"-", TokenKind::kMinus},
    {"+", TokenKind::kPlus},
    {"*", TokenKind::kStar},
    {"/", TokenKind::kSlash},
    {"%", TokenKind::kPercent},
    {"in", TokenKind::kIn},
    {"true", TokenKind::kTrue},
    {"false", TokenKind::kFalse},
}};
constexpr std::size_t kMarksOfSigns = 26;  // the rest are words

class Lexer {
 public:
  Lexer(std::string_view source, const ParseLimits& limits) : source_(source), limits_(limits) {}

  Tokens run() && {
    if (source_.size() > limits_.source_bytes_max) {
      fail(0, "the expression has " + std::to_string(source_.size()) + " bytes, and at most " +
                  std::to_string(limits_.source_bytes_max) + " are allowed");
      return std::move(out_);
    }
    if (!is_valid_utf8(source_)) {
      fail(0, "the expression is no valid UTF-8");
      return std::move(out_);
    }
    while (out_.problems.empty()) {
      skip_blanks();
      if (at_ >= source_.size()) break;
      next();
    }
    if (out_.problems.empty()) push(TokenKind::kEnd, source_.size(), "");
    return std::move(out_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  void skip_blanks() {
    while (at_ < source_.size()) {
      if (is_blank(source_[at_])) {
        ++at_;
      } else if (source_.substr(at_, 2) == "//") {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else {
        return;
      }
    }
  }

  void next() {
    if (const std::size_t quote = quote_after_prefix()) return read_quoted(quote - 1);
    if (is_letter(peek())) return read_word();
    if (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) return read_number();
    if (peek() == '`') return read_quoted_identifier();
    for (std::size_t i = 0; i < kMarksOfSigns; ++i) {
      const auto& [text, kind] = kMarks[i];
      if (source_.substr(at_, text.size()) != text) continue;
      const std::size_t begin = at_;
      at_ += text.size();
      return push(kind, begin, "");
    }
    const char wrong = peek();
    std::size_t end = at_;
    next_character(source_, end);
    fail(at_, quoted(source_.substr(at_, end - at_)) + " is no part of an expression",
         wrong == '='   ? "did you mean '=='?"
         : wrong == '&' ? "did you mean '&&'?"
         : wrong == '|' ? "did you mean '||'?"
                        : "");
  }

  /// 1 + the bytes of the prefix (r, b, rb, ...) when a quoted literal starts here, else 0.
  std::size_t quote_after_prefix() const {
    for (std::size_t length = 0; length <= 2; ++length) {
      const char c = peek(length);
      if (c == '"' || c == '\'') return length + 1;
      if (c != 'r' && c != 'R' && c != 'b' && c != 'B') return 0;
      if (length == 1 && (peek(0) | 0x20) == (c | 0x20)) return 0;
    }
    return 0;
  }

  void read_quoted(std::size_t prefix_length) {
    const std::size_t begin = at_;
    bool raw = false;
    LiteralKind kind = LiteralKind::kString;
    for (std::size_t i = 0; i < prefix_length; ++i) ((peek(i) | 0x20) == 'r' ? raw = true : (kind = LiteralKind::kBytes, true));
    at_ += prefix_length;
    const char quote = peek();
    const std::string one(1, quote);
    const std::string three(3, quote);
    const bool triple = source_.substr(at_, 3) == three;
    const std::string& closing = triple ? three : one;
    at_ += closing.size();
    const std::size_t inside = at_;
    while (source_.substr(at_, closing.size()) != closing) {
      if (at_ >= source_.size()) return fail(begin, "a literal that starts here has no end", "close it with " + closing);
      if (!triple && (source_[at_] == '\n' || source_[at_] == '\r')) {
        return fail(at_, "a literal in single quotes may not go over a line's end", "write '\\n', or use three quotes");
      }
      // A raw literal has no escapes, and a backslash before a quote does not keep it from closing.
      at_ += source_[at_] == '\\' && !raw && at_ + 1 < source_.size() ? 2 : 1;
    }
    const std::string_view content = source_.substr(inside, at_ - inside);
    at_ += closing.size();
    const TokenKind token = kind == LiteralKind::kBytes ? TokenKind::kBytes : TokenKind::kString;
    if (raw) return push(token, begin, std::string(content));
    auto text = unescape(content, kind);
    if (!text) return fail(begin, text.error().text());
    push(token, begin, std::move(*text));
  }

  void read_word() {
    const std::size_t begin = at_;
    while (is_letter(peek()) || is_digit(peek())) ++at_;
    const std::string_view word = source_.substr(begin, at_ - begin);
    for (std::size_t i = kMarksOfSigns; i < kMarks.size(); ++i) {
      if (word == kMarks[i].first) return push(kMarks[i].second, begin, std::string(word));
    }
    if (word == "null") return push(TokenKind::kNull, begin, "null");
    const bool reserved = std::find(kReservedWords.begin(), kReservedWords.end(), word) != kReservedWords.end();
    push(reserved ? TokenKind::kReserved : TokenKind::kIdentifier, begin, std::string(word));
  }

  void read_number() {
    const std::size_t begin = at_;
    if (peek() == '0' && (peek(1) | 0x20) == 'x' && is_hex(peek(2))) {
      at_ += 2;
      while (is_hex(peek())) ++at_;
      return finish_whole(begin);
    }
    while (is_digit(peek())) ++at_;
    bool whole = true;
    if (peek() == '.' && is_digit(peek(1))) {
      whole = false;
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if ((peek() | 0x20) == 'e' && is_digit(peek(1 + sign))) {
      whole = false;
      at_ += 1 + sign;
      while (is_digit(peek())) ++at_;
    }
    if (whole) return finish_whole(begin);
    finish(TokenKind::kDouble, begin, source_.substr(begin, at_ - begin));
  }
  void finish_whole(std::size_t begin) {
    const std::string_view digits = source_.substr(begin, at_ - begin);
    if ((peek() | 0x20) != 'u') return finish(TokenKind::kInt, begin, digits);
    ++at_;
    finish(TokenKind::kUint, begin, digits);
  }
  void finish(TokenKind kind, std::size_t begin, std::string_view digits) {
    if (is_letter(peek()))
      return fail(begin, "a number may not go over into a name: " + quoted(source_.substr(begin, at_ + 1 - begin)));
    push(kind, begin, std::string(digits));
  }

  void read_quoted_identifier() {
    const std::size_t begin = at_++;
    while (is_letter(peek()) || is_digit(peek()) || peek() == '.' || peek() == '-' || peek() == '/' || peek() == ' ') ++at_;
    if (peek() != '`' || at_ == begin + 1) {
      return fail(begin, "a field's name in backquotes has letters, digits and any of '_.-/ ', and ends with a backquote");
    }
    ++at_;
    push(TokenKind::kQuotedIdentifier, begin, std::string(source_.substr(begin + 1, at_ - begin - 2)));
  }

  void push(TokenKind kind, std::size_t begin, std::string text) {
    out_.tokens.push_back({kind, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_ - begin), std::move(text)});
  }
  void fail(std::size_t offset, std::string text, std::string hint = "") {
    out_.problems.push_back({offset, place_of(source_, offset), std::move(text), std::move(hint)});
  }

  std::string_view source_;
  const ParseLimits& limits_;
  std::size_t at_ = 0;
  Tokens out_;
};

}  // namespace

std::string_view shown(TokenKind kind) {
  switch (kind) {
    case TokenKind::kEnd: return "the end";
    case TokenKind::kIdentifier: return "an identifier";
    case TokenKind::kReserved: return "a reserved word";
    case TokenKind::kQuotedIdentifier: return "a name in backquotes";
    case TokenKind::kInt:
    case TokenKind::kUint:
    case TokenKind::kDouble: return "a number";
    case TokenKind::kString: return "a string";
    case TokenKind::kBytes: return "bytes";
    case TokenKind::kDot: return "'.'";
    case TokenKind::kDotQuestion: return "'.?'";
    case TokenKind::kComma: return "','";
    case TokenKind::kColon: return "':'";
    case TokenKind::kQuestion: return "'?'";
    case TokenKind::kLeftParen: return "'('";
    case TokenKind::kRightParen: return "')'";
    case TokenKind::kLeftBracket: return "'['";
    case TokenKind::kLeftBracketQuestion: return "'[?'";
    case TokenKind::kRightBracket: return "']'";
    case TokenKind::kLeftBrace: return "'{'";
    case TokenKind::kRightBrace: return "'}'";
    case TokenKind::kNot: return "'!'";
    case TokenKind::kMinus: return "'-'";
    case TokenKind::kPlus: return "'+'";
    case TokenKind::kStar: return "'*'";
    case TokenKind::kSlash: return "'/'";
    case TokenKind::kPercent: return "'%'";
    case TokenKind::kAnd: return "'&&'";
    case TokenKind::kOr: return "'||'";
    case TokenKind::kEqual: return "'=='";
    case TokenKind::kNotEqual: return "'!='";
    case TokenKind::kLess: return "'<'";
    case TokenKind::kLessEqual: return "'<='";
    case TokenKind::kGreater: return "'>'";
    case TokenKind::kGreaterEqual: return "'>='";
    case TokenKind::kIn: return "'in'";
    case TokenKind::kTrue: return "'true'";
    case TokenKind::kFalse: return "'false'";
    case TokenKind::kNull: return "'null'";
  }
  return "?";
}

Tokens tokenize(std::string_view source, const ParseLimits& limits) { return Lexer(source, limits).run(); }

}  // namespace prunella::cel
