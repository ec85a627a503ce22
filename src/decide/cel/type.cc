#include "decide/cel/type.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace prunella::cel {

namespace {

struct PlainType {
  std::string_view name;
  TypeKind kind;
};
constexpr std::array<PlainType, 17> kPlainTypes{{
    {"dyn", TypeKind::kDyn},
    {"null_type", TypeKind::kNull},
    {"bool", TypeKind::kBool},
    {"int", TypeKind::kInt},
    {"uint", TypeKind::kUint},
    {"double", TypeKind::kDouble},
    {"string", TypeKind::kString},
    {"bytes", TypeKind::kBytes},
    {"google.protobuf.Duration", TypeKind::kDuration},
    {"google.protobuf.Timestamp", TypeKind::kTimestamp},
    {"duration", TypeKind::kDuration},
    {"timestamp", TypeKind::kTimestamp},
    {"list", TypeKind::kList},
    {"map", TypeKind::kMap},
    {"optional_type", TypeKind::kOptional},
    {"type", TypeKind::kType},
    {"optional", TypeKind::kOptional},
}};

// Types of declarations nest a few levels; a hostile schema must not overrun the stack.
constexpr int kTypeDepthMax = 32;

class TypeReader {
 public:
  explicit TypeReader(std::string_view text) : text_(text) {}
  Result<Type> run() {
    auto type = read(0);
    if (!type) return type;
    if (at_ != text_.size()) return wrong();
    return type;
  }

 private:
  Error wrong() const {
    return invalid_input(quoted(text_) + " is no type, such as int, list(string), map(string, dyn) or timestamp");
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  Result<Type> read(int depth) {
    if (depth > kTypeDepthMax) return wrong();
    skip();
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '(' && text_[at_] != ')' && text_[at_] != ',' && text_[at_] != ' ') ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (name.empty()) return wrong();
    std::vector<Type> parameters;
    if (at_ < text_.size() && text_[at_] == '(') {
      do {
        ++at_;
        auto parameter = read(depth + 1);
        if (!parameter) return parameter;
        parameters.push_back(*std::move(parameter));
        skip();
      } while (at_ < text_.size() && text_[at_] == ',');
      if (at_ >= text_.size() || text_[at_] != ')') return wrong();
      ++at_;
    }
    skip();
    return make(name, std::move(parameters));
  }
  Result<Type> make(std::string_view name, std::vector<Type> parameters) const {
    if (name == "nullable")
      return parameters.size() == 1 ? Result<Type>(Type(TypeKind::kNullable, std::move(parameters))) : wrong();
    for (const PlainType& plain : kPlainTypes) {
      if (plain.name != name) continue;
      const std::size_t wanted =
          plain.kind == TypeKind::kMap                                                                          ? 2
          : plain.kind == TypeKind::kList || plain.kind == TypeKind::kOptional || plain.kind == TypeKind::kType ? 1
                                                                                                                : 0;
      if (parameters.empty()) parameters.assign(wanted, Type());
      if (parameters.size() != wanted) return wrong();
      return Type(plain.kind, std::move(parameters));
    }
    if (name.size() == 1 && name[0] >= 'A' && name[0] <= 'Z') return Type::parameter(std::string(name));
    if (name.starts_with("net.")) return Type::opaque(std::string(name), std::move(parameters));
    if (!parameters.empty()) return Type::opaque(std::string(name), std::move(parameters));
    return Type::object(std::string(name));
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Type::Type(TypeKind kind, std::vector<Type> parameters, std::string name) {
  // The plain types are used everywhere: one object of each.
  static const auto plain = [] {
    std::array<std::shared_ptr<const Data>, static_cast<std::size_t>(TypeKind::kError) + 1> made;
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = std::make_shared<const Data>(Data{static_cast<TypeKind>(i), {}, ""});
    return made;
  }();
  if (parameters.empty() && name.empty()) {
    data_ = plain[static_cast<std::size_t>(kind)];
  } else {
    data_ = std::make_shared<const Data>(Data{kind, std::move(parameters), std::move(name)});
  }
}

bool Type::operator==(const Type& other) const {
  return data_ == other.data_ ||
         (data_->kind == other.data_->kind && data_->name == other.data_->name && data_->parameters == other.data_->parameters);
}

std::string to_text(const Type& type) {
  std::string text;
  switch (type.kind()) {
    case TypeKind::kObject:
    case TypeKind::kOpaque:
    case TypeKind::kParameter: text = type.name(); break;
    case TypeKind::kNullable: text = "nullable"; break;
    case TypeKind::kError: return "an error";
    default:
      for (const PlainType& plain : kPlainTypes) {
        if (plain.kind == type.kind()) {
          text = plain.name;
          break;
        }
      }
  }
  if (type.parameters().empty()) return text;
  std::vector<std::string> parts;
  for (const Type& parameter : type.parameters()) parts.push_back(to_text(parameter));
  return text + "(" + join(parts, ", ") + ")";
}

Result<Type> parse_type(std::string_view text) { return TypeReader(text).run(); }

Type Substitution::fresh() { return Type::parameter("%" + std::to_string(next_++)); }

Type Substitution::apply(const Type& type) const {
  const Type& end = walk(type);
  if (end.parameters().empty()) return end;
  std::vector<Type> parameters;
  for (const Type& parameter : end.parameters()) parameters.push_back(apply(parameter));
  return Type(end.kind(), std::move(parameters), end.name());
}

Type Substitution::apply_or_dyn(const Type& type) const {
  const Type& end = walk(type);
  if (end.is(TypeKind::kParameter)) return {};
  if (end.parameters().empty()) return end;
  std::vector<Type> parameters;
  for (const Type& parameter : end.parameters()) parameters.push_back(apply_or_dyn(parameter));
  return Type(end.kind(), std::move(parameters), end.name());
}

bool Substitution::occurs(const std::string& name, const Type& type) const {
  const Type& end = walk(type);
  if (end.is(TypeKind::kParameter)) return end.name() == name;
  return std::any_of(end.parameters().begin(), end.parameters().end(), [&](const Type& p) { return occurs(name, p); });
}

namespace {

/// Whether `general` says no more about a value than `special` does.
bool is_more_general(const Type& general, const Type& special) {
  if (general.is(TypeKind::kDyn) || general.is(TypeKind::kParameter)) return true;
  if (general.is(TypeKind::kNullable))
    return special == general || special == general.parameter(0) || special.is(TypeKind::kNull);
  if (general.kind() != special.kind() || general.name() != special.name() ||
      general.parameters().size() != special.parameters().size()) {
    return special.is(TypeKind::kNull) && !general.is(TypeKind::kNull);
  }
  for (std::size_t i = 0; i < general.parameters().size(); ++i) {
    if (!is_more_general(general.parameter(i), special.parameter(i))) return false;
  }
  return true;
}

/// dyn in a part of one where the other has something else.
Type merged(const Type& a, const Type& b) {
  if (is_more_general(a, b)) return a;
  if (is_more_general(b, a)) return b;
  if (a.kind() != b.kind() || a.name() != b.name() || a.parameters().size() != b.parameters().size()) return {};
  std::vector<Type> parameters;
  for (std::size_t i = 0; i < a.parameters().size(); ++i) parameters.push_back(merged(a.parameter(i), b.parameter(i)));
  return Type(a.kind(), std::move(parameters), a.name());
}

bool takes_null(const Type& type) {
  switch (type.kind()) {
    case TypeKind::kNull:
    case TypeKind::kNullable:
    case TypeKind::kObject:
    case TypeKind::kOpaque:
    case TypeKind::kDuration:
    case TypeKind::kTimestamp:
    case TypeKind::kOptional: return true;
    default: return false;
  }
}

}  // namespace

void Substitution::bind(const std::string& name, Type type) {
  const auto found = bound_.find(name);
  trail_.push_back({name, found == bound_.end() ? std::nullopt : std::optional(found->second)});
  bound_.insert_or_assign(name, std::move(type));
}

void Substitution::roll_back(std::size_t mark) {
  for (; trail_.size() > mark; trail_.pop_back()) {
    Change& change = trail_.back();
    if (change.before) {
      bound_.insert_or_assign(change.name, *std::move(change.before));
    } else {
      bound_.erase(change.name);
    }
  }
}

const Type& Substitution::walk(const Type& type) const {
  const Type* at = &type;
  while (at->is(TypeKind::kParameter)) {
    const auto found = bound_.find(at->name());
    if (found == bound_.end() || found->second == *at) return *at;
    at = &found->second;
  }
  return *at;
}

/// `from` where a parameter is wanted that stands for something already: what it stands for becomes the more general of both, so
/// that f(T, T) takes (int, dyn).
bool Substitution::unify_bound(const Type& from, const std::string& name, int depth) {
  const Type before = bound_.at(name);
  if (!unify(from, before, depth + 1)) return false;
  if (before.is(TypeKind::kParameter)) return true;
  const Type wider = merged(apply(before), apply(from));
  if (!(wider == apply(before)) && !occurs(name, wider)) bind(name, wider);
  return true;
}

bool Substitution::unify(const Type& given_from, const Type& given_to, int depth) {
  if (depth > 4 * kTypeDepthMax) return false;
  const Type from = walk(given_from);
  if (given_to.is(TypeKind::kParameter)) {
    const Type last = walk(given_to);
    if (last.is(TypeKind::kParameter)) {
      if (from == last) return true;
      // Of two open parameters the new one gives way, so that [[], [], [], ...] makes no chain of them.
      if (from.is(TypeKind::kParameter)) {
        bind(from.name(), last);
        return true;
      }
      if (occurs(last.name(), from)) return false;
      bind(last.name(), from);
      return true;
    }
    return unify_bound(from, given_to.name(), depth);
  }
  const Type& to = given_to;
  if (from.is(TypeKind::kParameter)) {
    if (occurs(from.name(), to)) return false;
    bind(from.name(), to);
    return true;
  }
  if (from.is_open() || to.is_open()) return true;
  if (from.is(TypeKind::kNull)) return takes_null(to);
  if (to.is(TypeKind::kNullable))
    return unify(from.is(TypeKind::kNullable) ? from.parameter(0) : from, to.parameter(0), depth + 1);
  // A nullable value may be used where its plain type is wanted: a null is found out in the run.
  if (from.is(TypeKind::kNullable)) return unify(from.parameter(0), to, depth + 1);
  if (from.kind() != to.kind() || from.name() != to.name() || from.parameters().size() != to.parameters().size()) return false;
  for (std::size_t i = 0; i < from.parameters().size(); ++i) {
    if (!unify(from.parameter(i), to.parameter(i), depth + 1)) return false;
  }
  return true;
}

bool Substitution::assign(const Type& from, const Type& to) {
  const std::size_t before = mark();
  if (unify(from, to, 0)) return true;
  roll_back(before);
  return false;
}

Type Substitution::join(const Type& a, const Type& b) {
  if (a.is(TypeKind::kError) || b.is(TypeKind::kError)) return Type(TypeKind::kError);
  if (assign(b, a) || assign(a, b)) return merged(apply(a), apply(b));
  return {};
}

}  // namespace prunella::cel
