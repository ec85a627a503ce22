// The operators' types, and the functions of langdef.md's "List of Standard Definitions" that are no conversion and know no time.
#include "decide/cel/function.h"
#include "decide/cel/pattern.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value size_of_text(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  return Value::integer(static_cast<std::int64_t>(character_count(a[0].as_text())));
}
Value size_of_bytes(const CallContext&, Arguments a) { return Value::integer(static_cast<std::int64_t>(a[0].as_text().size())); }
Value size_of_list(const CallContext&, Arguments a) { return Value::integer(static_cast<std::int64_t>(a[0].as_list().size())); }
Value size_of_map(const CallContext&, Arguments a) {
  return Value::integer(static_cast<std::int64_t>(a[0].as_map().entries.size()));
}

Value starts_with(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[1].as_text().size())) return over_cost();
  return Value::boolean(a[0].as_text().starts_with(a[1].as_text()));
}
Value ends_with(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[1].as_text().size())) return over_cost();
  return Value::boolean(a[0].as_text().ends_with(a[1].as_text()));
}
Value contains(const CallContext& context, Arguments a) {
  // The search of the C++ library is quadratic in the worst case.
  const std::size_t text = a[0].as_text().size() / 8 + 1;
  if (!context.budget.spend(text + text * (a[1].as_text().size() / 64))) return over_cost();
  return Value::boolean(a[0].as_text().find(a[1].as_text()) != std::string_view::npos);
}
Value matches(const CallContext& context, Arguments a) {
  if (!context.budget.spend(compile_cost(a[1].as_text().size()))) return over_cost();
  const auto pattern = Pattern::compile(a[1].as_text());
  if (!pattern) return Value::error(ErrorCode::kBadArgument, pattern.error().text());
  if (!context.budget.spend(pattern->cost(a[0].as_text().size()))) return over_cost();
  return Value::boolean(pattern->found_in(a[0].as_text()));
}

void add_comparisons(Functions& f) {
  for (const char* name : {"_<_", "_<=_", "_>_", "_>=_"}) {
    for (const char* type : {"bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"}) {
      f.add(name, "(" + std::string(type) + ", " + type + ") -> bool", nullptr);
    }
    for (const char* pair :
         {"(int, uint)", "(int, double)", "(uint, int)", "(uint, double)", "(double, int)", "(double, uint)"}) {
      f.add(name, std::string(pair) + " -> bool", nullptr);
    }
  }
}

}  // namespace

void add_operators(Functions& f) {
  for (const char* type : {"int", "uint", "double"}) {
    for (const char* name : {"_+_", "_-_", "_*_", "_/_"})
      f.add(name, "(" + std::string(type) + ", " + type + ") -> " + type, nullptr);
  }
  f.add("_%_", "(int, int) -> int", nullptr);
  f.add("_%_", "(uint, uint) -> uint", nullptr);
  f.add("_+_", "(string, string) -> string", nullptr);
  f.add("_+_", "(bytes, bytes) -> bytes", nullptr);
  f.add("_+_", "(list(A), list(A)) -> list(A)", nullptr);
  f.add("_+_", "(timestamp, duration) -> timestamp", nullptr);
  f.add("_+_", "(duration, timestamp) -> timestamp", nullptr);
  f.add("_+_", "(duration, duration) -> duration", nullptr);
  f.add("_-_", "(timestamp, timestamp) -> duration", nullptr);
  f.add("_-_", "(timestamp, duration) -> timestamp", nullptr);
  f.add("_-_", "(duration, duration) -> duration", nullptr);
  f.add("-_", "(int) -> int", nullptr);
  f.add("-_", "(double) -> double", nullptr);
  f.add("!_", "(bool) -> bool", nullptr);
  f.add("_&&_", "(bool, bool) -> bool", nullptr);
  f.add("_||_", "(bool, bool) -> bool", nullptr);
  f.add("_==_", "(A, A) -> bool", nullptr);
  f.add("_!=_", "(A, A) -> bool", nullptr);
  f.add("_in_", "(A, list(A)) -> bool", nullptr);
  f.add("_in_", "(A, map(A, B)) -> bool", nullptr);
  f.add("_?:_", "(bool, A, A) -> A", nullptr);
  add_comparisons(f);
}

void add_standard(Functions& f) {
  f.add("size", "(string) -> int", size_of_text);
  f.add("size", "string.() -> int", size_of_text);
  f.add("size", "(bytes) -> int", size_of_bytes);
  f.add("size", "bytes.() -> int", size_of_bytes);
  f.add("size", "(list(A)) -> int", size_of_list);
  f.add("size", "list(A).() -> int", size_of_list);
  f.add("size", "(map(A, B)) -> int", size_of_map);
  f.add("size", "map(A, B).() -> int", size_of_map);
  f.add("startsWith", "string.(string) -> bool", starts_with);
  f.add("endsWith", "string.(string) -> bool", ends_with);
  f.add("contains", "string.(string) -> bool", contains);
  f.add("matches", "string.(string) -> bool", matches);
  f.add("matches", "(string, string) -> bool", matches);
}

}  // namespace prunella::cel
