#include "decide/cel/function.h"

#include "base/check.h"
#include "base/text.h"

namespace prunella::cel {

namespace {

KindMask kinds_of(const Type& type) {
  switch (type.kind()) {
    case TypeKind::kNull: return mask_of(Kind::kNull);
    case TypeKind::kBool: return mask_of(Kind::kBool);
    case TypeKind::kInt: return mask_of(Kind::kInt);
    case TypeKind::kUint: return mask_of(Kind::kUint);
    case TypeKind::kDouble: return mask_of(Kind::kDouble);
    case TypeKind::kString: return mask_of(Kind::kString);
    case TypeKind::kBytes: return mask_of(Kind::kBytes);
    case TypeKind::kDuration: return mask_of(Kind::kDuration);
    case TypeKind::kTimestamp: return mask_of(Kind::kTimestamp);
    case TypeKind::kList: return mask_of(Kind::kList);
    case TypeKind::kMap: return mask_of(Kind::kMap);
    case TypeKind::kOptional: return mask_of(Kind::kOptional);
    case TypeKind::kType: return mask_of(Kind::kType);
    case TypeKind::kNullable: return kinds_of(type.parameter(0)) | mask_of(Kind::kNull);
    case TypeKind::kObject: return mask_of(Kind::kMap);
    case TypeKind::kOpaque:
      if (type.name() == "net.IP") return mask_of(Kind::kIp);
      if (type.name() == "net.CIDR") return mask_of(Kind::kCidr);
      return kAnyKind;
    case TypeKind::kDyn:
    case TypeKind::kParameter:
    case TypeKind::kError: return kAnyKind;
  }
  return kAnyKind;
}

/// Splits at the commas outside brackets.
std::vector<std::string_view> split_parameters(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (text[i] != ',' || depth != 0) continue;
    parts.push_back(trim(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  if (!trim(text.substr(begin)).empty()) parts.push_back(trim(text.substr(begin)));
  return parts;
}

Overload read_signature(std::string_view signature) {
  const auto type = [&](std::string_view text) {
    auto read = parse_type(trim(text));
    check(read.has_value(), "a function's signature names types");
    return *std::move(read);
  };
  const std::size_t arrow = signature.rfind("->");
  check(arrow != std::string_view::npos, "a function's signature has '->'");
  std::string_view left = trim(signature.substr(0, arrow));
  Overload overload;
  overload.result = type(signature.substr(arrow + 2));
  // The last bracket of the left side closes the parameters.
  check(left.ends_with(')'), "a function's signature has its parameters in brackets");
  int depth = 0;
  std::size_t open = left.size();
  while (open-- > 0) {
    depth += left[open] == ')' ? 1 : left[open] == '(' ? -1 : 0;
    if (depth == 0) break;
  }
  if (open > 0) {
    check(left[open - 1] == '.', "a member's signature is type.(parameters)");
    overload.member = true;
    overload.parameters.push_back(type(left.substr(0, open - 1)));
  }
  for (const std::string_view part : split_parameters(left.substr(open + 1, left.size() - open - 2)))
    overload.parameters.push_back(type(part));
  for (const Type& parameter : overload.parameters) overload.kinds.push_back(kinds_of(parameter));
  return overload;
}

}  // namespace

void Functions::add(std::string_view name, std::string_view signature, FunctionBody body) {
  auto& set = sets_[std::string(name)];
  // Sets are shared with copies of this object, so a change makes a new one.
  auto changed = set ? std::make_shared<FunctionSet>(*set) : std::make_shared<FunctionSet>();
  changed->name = name;
  changed->overloads.push_back(read_signature(signature));
  changed->overloads.back().body = body;
  set = std::move(changed);
}

std::shared_ptr<const FunctionSet> Functions::find(std::string_view name) const {
  const auto found = sets_.find(name);
  return found == sets_.end() ? nullptr : found->second;
}

std::string to_text(const Overload& overload) {
  std::vector<std::string> parts;
  for (std::size_t i = overload.member ? 1 : 0; i < overload.parameters.size(); ++i)
    parts.push_back(to_text(overload.parameters[i]));
  return (overload.member ? to_text(overload.parameters[0]) + "." : "") + "(" + join(parts, ", ") + ")";
}

const Overload* matching(const FunctionSet& set, bool member, std::span<const Value> arguments) {
  for (const Overload& overload : set.overloads) {
    if (overload.member != member || overload.kinds.size() != arguments.size()) continue;
    bool fits = true;
    for (std::size_t i = 0; i < arguments.size(); ++i) fits = fits && (overload.kinds[i] & mask_of(arguments[i].kind())) != 0;
    if (fits) return &overload;
  }
  return nullptr;
}

Value no_such_overload(const FunctionSet& set, bool member, std::span<const Value> arguments) {
  std::vector<std::string> given;
  for (std::size_t i = member ? 1 : 0; i < arguments.size(); ++i) given.emplace_back(type_name(arguments[i].kind()));
  std::string text = "'" + set.name + "' can't be called as " +
                     (member ? std::string(type_name(arguments[0].kind())) + "." : "") + "(" + join(given, ", ") + ")";
  std::vector<std::string> wanted;
  for (const Overload& overload : set.overloads) wanted.push_back(to_text(overload));
  return Value::error(ErrorCode::kNoSuchOverload, text + "; it takes " + join(wanted, " or "));
}

const Functions& standard_functions() {
  static const Functions functions = [] {
    Functions made;
    add_operators(made);
    add_standard(made);
    add_conversions(made);
    add_times(made);
    add_strings(made);
    add_format(made);
    add_math(made);
    add_lists(made);
    add_encoders(made);
    add_optionals(made);
    add_network(made);
    return made;
  }();
  return functions;
}

}  // namespace prunella::cel
