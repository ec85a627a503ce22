// lists.range and what lists have. Source: cel-go's ext/lists.go and, for first and last, cel-go's cel/library.go.
#include <algorithm>
#include <bit>
#include <numeric>

#include "base/text.h"
#include "decide/cel/function.h"
#include "decide/cel/limits.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value refused(std::string text) { return Value::error(ErrorCode::kBadArgument, std::move(text)); }

Value range(const CallContext& context, Arguments a) {
  const std::int64_t count = a[0].as_int();
  if (count < 0 || count > kRangeMax)
    return refused("lists.range takes 0 to " + std::to_string(kRangeMax) + ", and not " + std::to_string(count));
  if (!context.spend_elements(static_cast<std::size_t>(count))) return over_cost();
  std::vector<Value> values;
  values.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values.push_back(Value::integer(i));
  return Value::list(std::move(values));
}

Value slice(const CallContext& context, Arguments a) {
  const auto& list = a[0].as_list();
  const std::int64_t begin = a[1].as_int();
  const std::int64_t end = a[2].as_int();
  if (begin < 0 || end < begin || end > static_cast<std::int64_t>(list.size())) {
    return refused("slice(" + std::to_string(begin) + ", " + std::to_string(end) + ") is not within a list of " +
                   std::to_string(list.size()));
  }
  if (!context.spend_elements(static_cast<std::size_t>(end - begin))) return over_cost();
  return Value::list({list.begin() + begin, list.begin() + end});
}

Value reverse(const CallContext& context, Arguments a) {
  if (!context.spend_elements(a[0].as_list().size())) return over_cost();
  return Value::list({a[0].as_list().rbegin(), a[0].as_list().rend()});
}

bool flatten_into(const CallContext& context, const std::vector<Value>& list, std::int64_t depth, std::vector<Value>& out) {
  if (!context.spend_elements(list.size())) return false;
  for (const Value& value : list) {
    if (depth > 0 && value.is(Kind::kList)) {
      if (!flatten_into(context, value.as_list(), depth - 1, out)) return false;
    } else {
      out.push_back(value);
    }
  }
  return true;
}
Value flattened(const CallContext& context, const Value& list, std::int64_t depth) {
  if (depth < 0) return refused("flatten takes a depth of 0 or more, and not " + std::to_string(depth));
  std::vector<Value> out;
  if (!flatten_into(context, list.as_list(), depth, out)) return over_cost();
  return Value::list(std::move(out));
}
Value flatten(const CallContext& context, Arguments a) { return flattened(context, a[0], 1); }
Value flatten_to(const CallContext& context, Arguments a) { return flattened(context, a[0], a[1].as_int()); }

Value distinct(const CallContext& context, Arguments a) {
  std::vector<Value> kept;
  for (const Value& value : a[0].as_list()) {
    const bool seen =
        std::any_of(kept.begin(), kept.end(), [&](const Value& other) { return equal(value, other, context.budget); });
    if (context.budget.is_spent()) return over_cost();
    if (!seen) kept.push_back(value);
  }
  return Value::list(std::move(kept));
}

/// `list` in the order of `keys`, which are of one comparable kind; equal keys keep their order.
Value sorted_by(const CallContext& context, const std::vector<Value>& list, const std::vector<Value>& keys) {
  if (list.size() != keys.size()) return refused("a list can't be sorted by a list of another length");
  const std::size_t rounds = std::bit_width(list.size()) + 1;
  if (!context.budget.spend(list.size() * rounds + 1)) return over_cost();
  for (const Value& key : keys) {
    if (!order(key, key).comparable || key.kind() != keys[0].kind()) {
      return Value::error(ErrorCode::kNoSuchOverload, "sort needs elements of one kind that has an order, and not '" +
                                                          std::string(type_name(keys[0].kind())) + "' and '" +
                                                          std::string(type_name(key.kind())) + "'");
    }
    if ((key.is(Kind::kString) || key.is(Kind::kBytes)) && !context.budget.spend(key.as_text().size() / 8 * rounds))
      return over_cost();
  }
  std::vector<std::size_t> places(list.size());
  std::iota(places.begin(), places.end(), 0);
  // NaN comes first: without a place for it there would be no strict order.
  const auto before = [&](std::size_t x, std::size_t y) {
    const Order found = order(keys[x], keys[y]);
    if (!found.unordered) return found.sign < 0;
    return order(keys[x], keys[x]).unordered && !order(keys[y], keys[y]).unordered;
  };
  std::stable_sort(places.begin(), places.end(), before);
  std::vector<Value> out;
  out.reserve(list.size());
  for (const std::size_t place : places) out.push_back(list[place]);
  return Value::list(std::move(out));
}
Value sort(const CallContext& context, Arguments a) { return sorted_by(context, a[0].as_list(), a[0].as_list()); }
Value sort_by_keys(const CallContext& context, Arguments a) { return sorted_by(context, a[0].as_list(), a[1].as_list()); }

Value first(const CallContext&, Arguments a) {
  return a[0].as_list().empty() ? Value::none() : Value::some(a[0].as_list().front());
}
Value last(const CallContext&, Arguments a) {
  return a[0].as_list().empty() ? Value::none() : Value::some(a[0].as_list().back());
}

}  // namespace

void add_lists(Functions& f) {
  f.add("lists.range", "(int) -> list(int)", range);
  f.add("slice", "list(A).(int, int) -> list(A)", slice);
  f.add("reverse", "list(A).() -> list(A)", reverse);
  f.add("flatten", "list(list(A)).() -> list(A)", flatten);
  f.add("flatten", "list(dyn).(int) -> list(dyn)", flatten_to);
  f.add("distinct", "list(A).() -> list(A)", distinct);
  for (const char* type : {"int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"}) {
    f.add("sort", "list(" + std::string(type) + ").() -> list(" + type + ")", sort);
    f.add("@sortByKeys", "(list(A), list(" + std::string(type) + ")) -> list(A)", sort_by_keys);
  }
  f.add("first", "list(A).() -> optional(A)", first);
  f.add("last", "list(A).() -> optional(A)", last);
}

}  // namespace prunella::cel
