#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "decide/cel/type.h"
#include "decide/cel/value.h"

namespace prunella::cel {

/// Protobuf's messages that CEL takes for values of its own: google.protobuf.Int64Value{value: 1} is the int 1,
/// Timestamp{seconds: 1} a timestamp, Struct{fields: {...}} a map. CEL here has no other messages. Source: langdef.md, "Protocol
/// Buffer Data Conversion".
bool is_well_known(std::string_view message);
/// The type of such a message's value.
Type well_known_type(std::string_view message);
std::vector<std::string> well_known_messages();

/// The value of message{names[i]: values[i]}; an error value for a field that it hasn't, or a value that the field can't hold.
Value make_well_known(std::string_view message, std::span<const std::string> names, std::span<const Value> values);

}  // namespace prunella::cel
