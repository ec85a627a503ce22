#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/cel/function.h"
#include "decide/cel/type.h"

namespace prunella::cel {

/// What expressions may name: variables with their types, objects with their fields, functions, and the container whose names
/// need no prefix. Declare everything first, then compile; it must outlive the programs' compilation, not the programs.
class Environment {
 public:
  /// With the standard library and all extensions.
  Environment();

  /// `name` may be dotted ("com.example.y"). A later declaration replaces an earlier one.
  Environment& variable(std::string name, Type type = {});
  /// An object type whose values are maps at run time. Fields that aren't declared are mistakes, with "did you mean".
  Environment& object(std::string name, std::map<std::string, Type> fields);
  /// "com.example": y is looked for as com.example.y, com.y and y.
  Environment& container(std::string name);
  /// A further function, as Functions::add.
  Environment& function(std::string_view name, std::string_view signature, FunctionBody body);

  const Type* variable_type(std::string_view name) const;
  const Type* field_type(std::string_view object, std::string_view field) const;
  bool has_object(std::string_view name) const { return objects_.contains(name); }
  std::shared_ptr<const FunctionSet> find_function(std::string_view name) const;
  /// The names that `name` can stand for, the nearest container first. A name after a leading dot stands for itself alone.
  std::vector<std::string> candidates(std::string_view name, bool absolute) const;

  std::vector<std::string> variable_names() const;
  std::vector<std::string> field_names(std::string_view object) const;
  std::vector<std::string> function_names(bool member) const;

 private:
  std::map<std::string, Type, std::less<>> variables_;
  std::map<std::string, std::map<std::string, Type, std::less<>>, std::less<>> objects_;
  std::string container_;
  std::optional<Functions> own_;  ///< a copy of the standard ones with more, once something was added
};

/// The type that a name denotes as a value ("int", "google.protobuf.Timestamp", "net.IP"), nullopt when it is none.
std::optional<Type> denoted_type(std::string_view name);

}  // namespace prunella::cel
