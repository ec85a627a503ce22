#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace prunella::cel {

enum class TypeKind : std::uint8_t {
  kDyn,
  kNull,
  kBool,
  kInt,
  kUint,
  kDouble,
  kString,
  kBytes,
  kDuration,
  kTimestamp,
  kList,       ///< one parameter
  kMap,        ///< two parameters
  kOptional,   ///< one parameter
  kType,       ///< one parameter: the type that it denotes
  kNullable,   ///< one parameter: a simple type or null, as protobuf's wrappers
  kObject,     ///< `name`: declared with fields in an Environment; a map at run time
  kOpaque,     ///< `name`, any parameters: net.IP, net.CIDR
  kParameter,  ///< `name`: stands for any one type in a function's declaration
  kError,      ///< of an expression that is wrong already; goes with everything, so that one mistake is told once
};

/// What the checker knows about an expression. Immutable and cheap to copy.
class Type {
 public:
  Type() : Type(TypeKind::kDyn) {}
  Type(TypeKind kind, std::vector<Type> parameters = {}, std::string name = "");
  static Type list(Type element) { return {TypeKind::kList, {std::move(element)}}; }
  static Type map(Type key, Type value) { return {TypeKind::kMap, {std::move(key), std::move(value)}}; }
  static Type optional(Type inner) { return {TypeKind::kOptional, {std::move(inner)}}; }
  static Type type_of(Type denoted) { return {TypeKind::kType, {std::move(denoted)}}; }
  static Type nullable(Type inner) { return {TypeKind::kNullable, {std::move(inner)}}; }
  static Type object(std::string name) { return {TypeKind::kObject, {}, std::move(name)}; }
  static Type opaque(std::string name, std::vector<Type> parameters = {}) {
    return {TypeKind::kOpaque, std::move(parameters), std::move(name)};
  }
  static Type parameter(std::string name) { return {TypeKind::kParameter, {}, std::move(name)}; }

  TypeKind kind() const { return data_->kind; }
  bool is(TypeKind kind) const { return data_->kind == kind; }
  /// Nothing is known about it: every use is left to the run.
  bool is_open() const { return is(TypeKind::kDyn) || is(TypeKind::kError); }
  const std::vector<Type>& parameters() const { return data_->parameters; }
  const Type& parameter(std::size_t index) const { return data_->parameters[index]; }
  const std::string& name() const { return data_->name; }
  bool operator==(const Type& other) const;

 private:
  struct Data {
    TypeKind kind;
    std::vector<Type> parameters;
    std::string name;
  };
  std::shared_ptr<const Data> data_;
};

/// "map(string, list(int))", "optional_type(dyn)", ...
std::string to_text(const Type& type);

/// Reads what to_text writes, and for declarations: "list(T)" with T to Z and A to C as parameters, "timestamp", "duration",
/// "optional(T)", "nullable(int)". Any other name is an opaque type when it has a dot before the last part and starts with
/// "net.", else an object.
/// @error kInvalidInput  no such text.
Result<Type> parse_type(std::string_view text);

/// What the parameters of functions stand for while one expression is checked.
class Substitution {
 public:
  Type fresh();
  /// The type with all that is known put in; parameters that stand for nothing yet stay.
  Type apply(const Type& type) const;
  /// The same with dyn in place of the parameters that stand for nothing.
  Type apply_or_dyn(const Type& type) const;
  /// Whether a value of type `from` may be used where `to` is wanted; parameters are bound as that needs. When it's false,
  /// nothing was bound. Source: cel-spec langdef.md, "Gradual Type Checking".
  bool assign(const Type& from, const Type& to);
  /// The type that holds values of both: the more general of the two, or dyn when neither takes the other.
  Type join(const Type& a, const Type& b);

  /// Where we are, to go back there: what was bound since is unbound again.
  std::size_t mark() const { return trail_.size(); }
  void roll_back(std::size_t mark);

 private:
  struct Change {
    std::string name;
    std::optional<Type> before;
  };
  void bind(const std::string& name, Type type);
  bool unify(const Type& from, const Type& to, int depth);
  bool unify_bound(const Type& from, const std::string& name, int depth);
  bool occurs(const std::string& name, const Type& type) const;
  const Type& walk(const Type& type) const;

  std::map<std::string, Type> bound_;
  std::vector<Change> trail_;
  int next_ = 0;
};

}  // namespace prunella::cel
