#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "decide/cel/limits.h"
#include "decide/cel/source.h"

namespace prunella::cel {

enum class TokenKind : std::uint8_t {
  kEnd,
  kIdentifier,
  kReserved,
  kQuotedIdentifier,
  kInt,
  kUint,
  kDouble,
  kString,
  kBytes,
  kDot,
  kDotQuestion,
  kComma,
  kColon,
  kQuestion,
  kLeftParen,
  kRightParen,
  kLeftBracket,
  kLeftBracketQuestion,
  kRightBracket,
  kLeftBrace,
  kRightBrace,
  kNot,
  kMinus,
  kPlus,
  kStar,
  kSlash,
  kPercent,
  kAnd,
  kOr,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kTrue,
  kFalse,
  kNull,
};
/// "an identifier", "'&&'", "the end", ... for messages.
std::string_view shown(TokenKind kind);

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  std::string text;  ///< the identifier, the digits of a number, or what a string or bytes literal stands for
};

struct Tokens {
  std::vector<Token> tokens;  ///< ends with kEnd when there are no problems
  std::vector<Problem> problems;
};

/// Cuts an expression into tokens; blanks and comments are left out. Stops at the first problem.
/// Source: langdef.md, "Syntax".
Tokens tokenize(std::string_view source, const ParseLimits& limits);

}  // namespace prunella::cel
