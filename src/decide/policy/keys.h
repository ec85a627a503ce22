#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"

namespace prunella::policy {

/// What may stand behind a key.
enum class Shape {
  kName,        ///< lower case letters, digits and '-'
  kText,        ///< any text
  kWords,       ///< one text or a list of them
  kExpression,  ///< CEL
  kLets,        ///< a map of names to CEL
  kDuration,    ///< "30m"
  kLimit,       ///< "10%", "50/h"
  kBurst,       ///< "2 in 1h"
  kPercent,     ///< "5%"
  kTruth,       ///< true or false
  kLevel,       ///< L0 to L4
  kCooldown,    ///< a duration or a map
  kSteps,       ///< actions
  kWindow,      ///< a map or a list of maps
  kClock,       ///< "02:30"
  kCount,       ///< a whole number from 1 on
  kMap,         ///< the keys below
};

/// One key of the envelope. The loader, the JSON Schema and the reference page are made from the same table.
struct Key {
  std::string_view name;
  Shape shape = Shape::kText;
  std::string_view meaning;  ///< one sentence
  bool required = false;
  std::vector<Key> below;    ///< kMap, kCooldown, kWindow
};
const std::vector<Key>& document_keys();

/// The JSON Schema (draft 2020-12) of a policy document, for editors.
Json json_schema();

}  // namespace prunella::policy
