#include "decide/cel/parser.h"

#include <charconv>
#include <cmath>

#include "base/text.h"
#include "decide/cel/lexer.h"
#include "decide/cel/macros.h"
#include "decide/cel/node_builder.h"

namespace prunella::cel {

namespace {

struct Binary {
  TokenKind token;
  Operator op;
  int level;  ///< a higher one binds tighter
};
constexpr Binary kBinaries[] = {
    {TokenKind::kOr, Operator::kOr, 1},           {TokenKind::kAnd, Operator::kAnd, 2},
    {TokenKind::kLess, Operator::kLess, 3},       {TokenKind::kLessEqual, Operator::kLessEqual, 3},
    {TokenKind::kGreater, Operator::kGreater, 3}, {TokenKind::kGreaterEqual, Operator::kGreaterEqual, 3},
    {TokenKind::kEqual, Operator::kEqual, 3},     {TokenKind::kNotEqual, Operator::kNotEqual, 3},
    {TokenKind::kIn, Operator::kIn, 3},           {TokenKind::kPlus, Operator::kAdd, 4},
    {TokenKind::kMinus, Operator::kSubtract, 4},  {TokenKind::kStar, Operator::kMultiply, 5},
    {TokenKind::kSlash, Operator::kDivide, 5},    {TokenKind::kPercent, Operator::kModulo, 5},
};

const Binary* binary_of(TokenKind kind) {
  for (const Binary& binary : kBinaries) {
    if (binary.token == kind) return &binary;
  }
  return nullptr;
}

class Parser {
 public:
  Parser(std::string_view source, std::vector<Token> tokens, const ParseOptions& options)
      : options_(options), tokens_(std::move(tokens)), builder_(source, options.limits) {}

  Parsed run() && {
    const NodeId root = expression();
    if (!failed() && token().kind != TokenKind::kEnd) unexpected("an operator or the end");
    if (failed()) return {std::nullopt, {*builder_.problem()}};
    builder_.ast().root = root;
    return {std::move(builder_.ast()), {}};
  }

 private:
  const Token& token() const { return tokens_[at_]; }
  bool at(TokenKind kind) const { return token().kind == kind; }
  bool failed() const { return builder_.failed(); }
  Token take() {
    Token taken = std::move(tokens_[at_]);
    tokens_[at_].kind = taken.kind;
    tokens_[at_].offset = taken.offset;
    if (taken.kind != TokenKind::kEnd) ++at_;
    return taken;
  }
  bool accept(TokenKind kind) {
    if (failed() || !at(kind)) return false;
    ++at_;
    return true;
  }
  void expect(TokenKind kind) {
    if (!failed() && !accept(kind)) unexpected(std::string(shown(kind)));
  }
  void unexpected(const std::string& wanted) {
    const Token& found = token();
    std::string text = found.kind == TokenKind::kEnd
                           ? "the expression ends here"
                           : quoted(builder_.ast().source.substr(found.offset, found.length)) + " is unexpected";
    std::string hint = "expected " + wanted;
    if (found.kind == TokenKind::kReserved) hint += " (" + quoted(found.text) + " is reserved and can't be a name)";
    builder_.fail(found.offset, std::move(text), std::move(hint));
  }
  /// Any node, after a problem: the tree is thrown away.
  NodeId nothing() { return builder_.literal(0, Value()); }

  NodeId expression() {
    if (nesting_ >= options_.limits.nesting_max) {
      builder_.fail(token().offset,
                    "the expression is nested more than " + std::to_string(options_.limits.nesting_max) + " levels deep");
    }
    if (failed()) return nothing();
    ++nesting_;
    NodeId node = binary(1);
    if (!failed() && at(TokenKind::kQuestion)) {
      const auto offset = take().offset;
      const NodeId yes = binary(1);
      expect(TokenKind::kColon);
      const NodeId no = expression();
      node = builder_.operation(offset, Operator::kConditional, {node, yes, no});
    }
    --nesting_;
    return node;
  }

  NodeId binary(int level_min) {
    NodeId left = unary();
    while (!failed()) {
      const Binary* found = binary_of(token().kind);
      if (found == nullptr || found->level < level_min) return left;
      if (found->op == Operator::kAnd || found->op == Operator::kOr) {
        left = logical(left, *found);
        continue;
      }
      const auto offset = take().offset;
      const NodeId right = binary(found->level + 1);
      left = builder_.operation(offset, found->op, {left, right});
    }
    return left;
  }

  /// a && b && c && d as a balanced tree, so that a long chain isn't a deep one.
  NodeId logical(NodeId first, const Binary& kind) {
    std::vector<NodeId> operands{first};
    std::vector<std::uint32_t> offsets;
    while (!failed() && at(kind.token)) {
      offsets.push_back(take().offset);
      operands.push_back(binary(kind.level + 1));
    }
    return balanced(operands, offsets, 0, operands.size(), kind.op);
  }
  NodeId balanced(const std::vector<NodeId>& operands, const std::vector<std::uint32_t>& offsets, std::size_t begin,
                  std::size_t end, Operator op) {
    if (end - begin == 1) return operands[begin];
    const std::size_t middle = begin + (end - begin + 1) / 2;
    const NodeId left = balanced(operands, offsets, begin, middle, op);
    const NodeId right = balanced(operands, offsets, middle, end, op);
    return builder_.operation(offsets[middle - 1], op, {left, right});
  }

  NodeId unary() {
    const TokenKind sign = token().kind;
    if (sign != TokenKind::kNot && sign != TokenKind::kMinus) return member();
    std::vector<std::uint32_t> offsets;
    while (!failed() && at(sign)) {
      // The last minus before a number belongs to the number: 9223372036854775808 alone is too large.
      if (sign == TokenKind::kMinus && (tokens_[at_ + 1].kind == TokenKind::kInt || tokens_[at_ + 1].kind == TokenKind::kDouble))
        break;
      offsets.push_back(take().offset);
    }
    NodeId operand = member();
    for (auto offset = offsets.rbegin(); offset != offsets.rend(); ++offset) {
      operand = builder_.operation(*offset, sign == TokenKind::kNot ? Operator::kNot : Operator::kNegate, {operand});
    }
    return operand;
  }

  NodeId member() {
    NodeId node = primary();
    while (!failed()) {
      if (at(TokenKind::kDot) || at(TokenKind::kDotQuestion)) {
        node = field(node, take().kind == TokenKind::kDotQuestion);
      } else if (at(TokenKind::kLeftBracket) || at(TokenKind::kLeftBracketQuestion)) {
        const Token bracket = take();
        Node index;
        index.kind = NodeKind::kIndex;
        index.offset = bracket.offset;
        index.optional = bracket.kind == TokenKind::kLeftBracketQuestion;
        index.children = {node, expression()};
        expect(TokenKind::kRightBracket);
        node = builder_.add(std::move(index));
      } else if (at(TokenKind::kLeftBrace) && first_of_chain(builder_.ast(), node) != kNoNode) {
        node = structure(node);
      } else {
        return node;
      }
    }
    return node;
  }

  NodeId field(NodeId operand, bool optional) {
    if (!at(TokenKind::kIdentifier) && !at(TokenKind::kReserved) && !at(TokenKind::kQuotedIdentifier)) {
      unexpected("the name of a field");
      return operand;
    }
    const Token name = take();
    if (!optional && name.kind != TokenKind::kQuotedIdentifier && accept(TokenKind::kLeftParen)) {
      return call(name, operand, arguments(TokenKind::kRightParen));
    }
    Node select;
    select.kind = NodeKind::kSelect;
    select.offset = name.offset;
    select.name = name.text;
    select.optional = optional;
    select.children = {operand};
    return builder_.add(std::move(select));
  }

  NodeId call(const Token& name, NodeId target, std::vector<NodeId> values) {
    if (failed()) return nothing();
    if (options_.macros) {
      if (auto made = expand_macro(builder_, {name.offset, name.text, target, values}, options_.block_macros)) return *made;
    }
    if (target == kNoNode) return builder_.call(name.offset, name.text, std::move(values));
    values.insert(values.begin(), target);
    return builder_.member_call(name.offset, name.text, std::move(values));
  }

  std::vector<NodeId> arguments(TokenKind closing) {
    std::vector<NodeId> values;
    if (accept(closing)) return values;
    do {
      values.push_back(expression());
    } while (accept(TokenKind::kComma));
    expect(closing);
    return values;
  }

  NodeId primary() {
    if (failed()) return nothing();
    switch (token().kind) {
      case TokenKind::kLeftParen: {
        ++at_;
        const NodeId inner = expression();
        expect(TokenKind::kRightParen);
        return inner;
      }
      case TokenKind::kLeftBracket:
      case TokenKind::kLeftBracketQuestion: return list();
      case TokenKind::kLeftBrace: return map();
      case TokenKind::kDot:
      case TokenKind::kIdentifier: return identifier();
      case TokenKind::kMinus:
        if (tokens_[at_ + 1].kind == TokenKind::kInt || tokens_[at_ + 1].kind == TokenKind::kDouble) return number();
        unexpected("a value, a name or '('");
        return nothing();
      case TokenKind::kInt:
      case TokenKind::kUint:
      case TokenKind::kDouble: return number();
      case TokenKind::kString: {
        const Token text = take();
        return builder_.literal(text.offset, Value::string(text.text));
      }
      case TokenKind::kBytes: {
        const Token bytes = take();
        return builder_.literal(bytes.offset, Value::bytes(bytes.text));
      }
      case TokenKind::kTrue:
      case TokenKind::kFalse: {
        const Token word = take();
        return builder_.literal(word.offset, Value::boolean(word.kind == TokenKind::kTrue));
      }
      case TokenKind::kNull: return builder_.literal(take().offset, Value());
      default: unexpected("a value, a name or '('"); return nothing();
    }
  }

  NodeId identifier() {
    const bool absolute = accept(TokenKind::kDot);
    if (!at(TokenKind::kIdentifier)) {
      unexpected("a name");
      return nothing();
    }
    const Token name = take();
    if (accept(TokenKind::kLeftParen)) {
      const NodeId made = call(name, kNoNode, arguments(TokenKind::kRightParen));
      if (absolute && !failed()) builder_.ast().nodes[made].absolute = true;
      return made;
    }
    const NodeId made = builder_.name(name.offset, name.text);
    builder_.ast().nodes[made].absolute = absolute;
    return made;
  }

  NodeId number() {
    const auto offset = token().offset;
    const bool negative = accept(TokenKind::kMinus);
    const Token digits = take();
    if (digits.kind == TokenKind::kDouble) {
      double value = 0;
      const char* begin = digits.text.data();
      const auto result = std::from_chars(begin, begin + digits.text.size(), value);
      if (result.ec == std::errc::result_out_of_range) value = std::strtod(digits.text.c_str(), nullptr);
      return builder_.literal(offset, Value::number(negative ? -value : value));
    }
    const bool hexadecimal = digits.text.size() > 2 && (digits.text[1] | 0x20) == 'x';
    const std::string_view text = std::string_view(digits.text).substr(hexadecimal ? 2 : 0);
    std::uint64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
    if (digits.kind == TokenKind::kUint) {
      if (result.ec != std::errc())
        builder_.fail(offset, quoted(digits.text) + " is too large for a uint: at most 18446744073709551615");
      return builder_.literal(offset, Value::unsigned_integer(value));
    }
    const std::uint64_t limit = negative ? std::uint64_t{1} << 63 : (std::uint64_t{1} << 63) - 1;
    if (result.ec != std::errc() || value > limit) {
      builder_.fail(offset,
                    quoted((negative ? "-" : "") + digits.text) +
                        " is too large for an int: from -9223372036854775808 to 9223372036854775807",
                    "a 'u' after it makes it a uint");
      return nothing();
    }
    return builder_.literal(offset, Value::integer(static_cast<std::int64_t>(negative ? ~value + 1 : value)));
  }

  NodeId list() {
    Node node;
    node.kind = NodeKind::kList;
    const Token bracket = take();
    node.offset = bracket.offset;
    bool optional = bracket.kind == TokenKind::kLeftBracketQuestion;
    while (!failed() && !at(TokenKind::kRightBracket)) {
      optional = accept(TokenKind::kQuestion) || optional;
      node.children.push_back(expression());
      node.optionals.push_back(optional);
      optional = false;
      if (!accept(TokenKind::kComma)) break;
    }
    expect(TokenKind::kRightBracket);
    return failed() ? nothing() : builder_.add(std::move(node));
  }

  NodeId map() {
    Node node;
    node.kind = NodeKind::kMap;
    node.offset = take().offset;
    while (!failed() && !at(TokenKind::kRightBrace)) {
      node.optionals.push_back(accept(TokenKind::kQuestion));
      node.children.push_back(expression());
      expect(TokenKind::kColon);
      node.children.push_back(expression());
      if (!accept(TokenKind::kComma)) break;
    }
    expect(TokenKind::kRightBrace);
    return failed() ? nothing() : builder_.add(std::move(node));
  }

  NodeId structure(NodeId type) {
    Node node;
    node.kind = NodeKind::kStruct;
    node.name = dotted_name(builder_.ast(), type);
    const Node& first = builder_.node(first_of_chain(builder_.ast(), type));
    node.absolute = first.absolute;
    node.offset = first.offset;
    ++at_;
    while (!failed() && !at(TokenKind::kRightBrace)) {
      node.optionals.push_back(accept(TokenKind::kQuestion));
      if (!at(TokenKind::kIdentifier) && !at(TokenKind::kReserved) && !at(TokenKind::kQuotedIdentifier)) {
        unexpected("the name of a field");
        break;
      }
      node.names.push_back(take().text);
      expect(TokenKind::kColon);
      node.children.push_back(expression());
      if (!accept(TokenKind::kComma)) break;
    }
    expect(TokenKind::kRightBrace);
    return failed() ? nothing() : builder_.add(std::move(node));
  }

  const ParseOptions& options_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t nesting_ = 0;
  NodeBuilder builder_;
};

}  // namespace

Parsed parse(std::string_view source, const ParseOptions& options) {
  Tokens tokens = tokenize(source, options.limits);
  if (!tokens.problems.empty()) return {std::nullopt, std::move(tokens.problems)};
  return Parser(source, std::move(tokens.tokens), options).run();
}

}  // namespace prunella::cel
