#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time_zone.h"
#include "decide/cel/type.h"
#include "decide/cel/value.h"

namespace prunella::cel {

/// What a function may use besides its arguments.
struct CallContext {
  Budget& budget;
  TimeZones& zones;
  /// Spends for work on `bytes` bytes of text; false: the limit is reached, return over_cost().
  bool spend_text(std::size_t bytes) const { return budget.spend(bytes / 8 + 1); }
  bool spend_elements(std::size_t count) const { return budget.spend(count + 1); }
};

/// Gets proper values of the kinds that its signature names, never an error or an unknown, and must spend what it costs before it
/// works. It is pure.
using FunctionBody = Value (*)(const CallContext& context, std::span<const Value> arguments);

/// One way to call a function.
struct Overload {
  bool member = false;  ///< x.f(y) instead of f(x, y)
  std::vector<Type> parameters;
  Type result;
  std::vector<KindMask> kinds;  ///< what a parameter takes at run time
  FunctionBody body = nullptr;
};

struct FunctionSet {
  std::string name;
  std::vector<Overload> overloads;
};

/// Functions by name.
class Functions {
 public:
  /// `signature`: "(string, string) -> bool" for f(a, b), "string.(string) -> bool" for a.f(b). A signature that can't be read is
  /// a mistake of ours and stops the program.
  void add(std::string_view name, std::string_view signature, FunctionBody body);
  /// nullptr: there is none of this name.
  std::shared_ptr<const FunctionSet> find(std::string_view name) const;
  const std::map<std::string, std::shared_ptr<FunctionSet>, std::less<>>& all() const { return sets_; }

 private:
  std::map<std::string, std::shared_ptr<FunctionSet>, std::less<>> sets_;
};

/// "string.(int) -> string" and so on, for messages.
std::string to_text(const Overload& overload);

/// The overload for these arguments at run time; nullptr when none takes them.
const Overload* matching(const FunctionSet& set, bool member, std::span<const Value> arguments);
/// The error value for a call that no overload takes: names the function, the kinds that were given, and what it takes.
Value no_such_overload(const FunctionSet& set, bool member, std::span<const Value> arguments);

/// The standard library and the extensions: each family has its file.
const Functions& standard_functions();
void add_operators(Functions& functions);  ///< for the checker; programs have instructions for them
void add_standard(Functions& functions);
void add_conversions(Functions& functions);
void add_times(Functions& functions);
void add_strings(Functions& functions);
void add_format(Functions& functions);
void add_math(Functions& functions);
void add_lists(Functions& functions);
void add_encoders(Functions& functions);
void add_optionals(Functions& functions);
void add_network(Functions& functions);

}  // namespace prunella::cel
