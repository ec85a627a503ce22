#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time_zone.h"
#include "decide/cel/environment.h"

namespace prunella::cel {

/// A case that did not pass, or was left out.
struct ConformanceNote {
  std::string file;
  std::string name;
  std::string expression;
  std::string reason;
};

struct ConformanceReport {
  std::size_t passed = 0;
  std::vector<ConformanceNote> failed;
  std::vector<ConformanceNote> skipped;
};

/// Runs cases of the Common Expression Language's conformance suite, in the form of a JSON list:
///   {"file", "name", "expr", "container", "bind": {name: value}, "value": value or "error": true, "check_only", "dm": macros
///   off,
///    "proto": needs protobuf messages}
/// with values {"int"|"uint"|"double"|"string"|"bool"|"null"|"type": text}, {"bytes": [number]}, {"list": [value]} and
/// {"map": [[key, value]]}. Cases that need other messages than google.protobuf's well-known ones are skipped with that reason.
/// @error kInvalidInput  the text is no such list.
Result<ConformanceReport> run_conformance(std::string_view json, TimeZones& zones);

}  // namespace prunella::cel
