#pragma once

#include <span>

#include "decide/cel/ast.h"
#include "decide/cel/function.h"

namespace prunella::cel {

/// The value of a strict operation some of whose operands are no proper values: an unknown of all that is unknown, else the first
/// error. nullopt: all are proper.
std::optional<Value> not_proper(std::span<const Value> operands);

/// a op b for arithmetic, comparisons, == and !=, and `in`, of proper values. Source: langdef.md, "Overflow", "Equality",
/// "Ordering".
Value operate(Operator op, const CallContext& context, const Value& a, const Value& b);
/// !a or -a.
Value operate(Operator op, const Value& a);
/// What a && b (or ||) is once both are known: false (true) decides, then an unknown, then an error. Source: langdef.md, "Logical
/// Operators".
Value combine_logical(Operator op, const Value& a, const Value& b);

/// a.field, field being a string. On an optional: an optional, as with a.?field.
Value select_field(const Value& a, const Value& field);
/// a.?field
Value select_optional(const Value& a, const Value& field);
/// has(a.field)
Value has_field(const Value& a, const Value& field);
/// a[key] and a[?key]
Value index_value(const Value& a, const Value& key);
Value index_optional(const Value& a, const Value& key);

}  // namespace prunella::cel
