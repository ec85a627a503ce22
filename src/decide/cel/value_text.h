#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "decide/cel/value.h"

namespace prunella::cel {

/// The value as a person would write it in CEL: "{'a': [1, 2u, b'\x00']}", "timestamp('...')"; an error as its message. Cut after
/// some thousand characters.
std::string to_text(const Value& value);

/// The value as JSON: bytes as base64, timestamps and durations as texts, an int beyond 2^53 as text (protobuf's JSON mapping).
/// @error kExhausted     more than a million parts: lists within lists share theirs, and JSON can't.
/// @error kInvalidInput  an error or an unknown, a number that JSON hasn't, or a map with keys that become one.
Result<Json> to_json(const Value& value);

/// What a JSON value is in CEL: whole numbers are ints, others doubles, objects are maps.
Value from_json(const Json& json);

}  // namespace prunella::cel
