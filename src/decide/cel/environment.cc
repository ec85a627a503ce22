#include "decide/cel/environment.h"

#include <algorithm>
#include <array>

namespace prunella::cel {

Environment::Environment() = default;

Environment& Environment::variable(std::string name, Type type) {
  variables_.insert_or_assign(std::move(name), std::move(type));
  return *this;
}
Environment& Environment::object(std::string name, std::map<std::string, Type> fields) {
  objects_.insert_or_assign(std::move(name), std::map<std::string, Type, std::less<>>(fields.begin(), fields.end()));
  return *this;
}
Environment& Environment::container(std::string name) {
  container_ = std::move(name);
  return *this;
}
Environment& Environment::function(std::string_view name, std::string_view signature, FunctionBody body) {
  if (!own_) own_ = standard_functions();
  own_->add(name, signature, body);
  return *this;
}

const Type* Environment::variable_type(std::string_view name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? nullptr : &found->second;
}
const Type* Environment::field_type(std::string_view object, std::string_view field) const {
  const auto fields = objects_.find(object);
  if (fields == objects_.end()) return nullptr;
  const auto found = fields->second.find(field);
  return found == fields->second.end() ? nullptr : &found->second;
}
std::shared_ptr<const FunctionSet> Environment::find_function(std::string_view name) const {
  return (own_ ? *own_ : standard_functions()).find(name);
}

std::vector<std::string> Environment::candidates(std::string_view name, bool absolute) const {
  std::vector<std::string> names;
  if (!absolute) {
    for (std::string prefix = container_; !prefix.empty();) {
      names.push_back(prefix + "." + std::string(name));
      const std::size_t dot = prefix.rfind('.');
      prefix.resize(dot == std::string::npos ? 0 : dot);
    }
  }
  names.emplace_back(name);
  return names;
}

std::vector<std::string> Environment::variable_names() const {
  std::vector<std::string> names;
  for (const auto& [name, type] : variables_) names.push_back(name);
  return names;
}
std::vector<std::string> Environment::field_names(std::string_view object) const {
  std::vector<std::string> names;
  const auto fields = objects_.find(object);
  if (fields == objects_.end()) return names;
  for (const auto& [name, type] : fields->second) names.push_back(name);
  return names;
}
std::vector<std::string> Environment::function_names(bool member) const {
  std::vector<std::string> names;
  for (const auto& [name, set] : (own_ ? *own_ : standard_functions()).all()) {
    if (name.find('@') != std::string::npos || name.front() == '_') continue;
    if (std::any_of(set->overloads.begin(), set->overloads.end(), [&](const Overload& o) { return o.member == member; }))
      names.push_back(name);
  }
  return names;
}

std::optional<Type> denoted_type(std::string_view name) {
  static constexpr std::array<std::string_view, 15> kNames{"bool",
                                                           "int",
                                                           "uint",
                                                           "double",
                                                           "string",
                                                           "bytes",
                                                           "list",
                                                           "map",
                                                           "null_type",
                                                           "type",
                                                           "optional_type",
                                                           "google.protobuf.Timestamp",
                                                           "google.protobuf.Duration",
                                                           "net.IP",
                                                           "net.CIDR"};
  if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) return std::nullopt;
  auto type = parse_type(name);
  if (!type) return std::nullopt;
  return *std::move(type);
}

}  // namespace prunella::cel
