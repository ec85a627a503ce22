#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time_zone.h"
#include "decide/cel/environment.h"
#include "decide/cel/value.h"
#include "model/plan.h"

/// The words that policies may use: events with their fields, objects, actions. Everything that is checked at load, explained and
/// documented comes from these tables. A new sensor or action brings its lines here.
namespace prunella::policy {

struct Field {
  std::string_view name;
  std::string_view type;  ///< as cel::parse_type reads it
  std::string_view meaning;
};

/// A kind of event that triggers policies.
struct EventType {
  std::string_view name;     ///< "unit.failed"
  std::string_view meaning;  ///< one sentence
  bool sensed = false;       ///< a sensor of this build sends it; others are known, so that policies can be written ahead
  std::string_view subject;  ///< what its subject is: "the unit"
  std::vector<Field> fields; ///< besides those that every event has
};
const std::vector<EventType>& event_types();
const EventType* find_event_type(std::string_view name);
/// id, type, at, subject, severity.
const std::vector<Field>& common_event_fields();

/// An object of the language, such as `host`.
struct ObjectType {
  std::string_view name;  ///< of the type: "host"
  std::vector<Field> fields;
};
const std::vector<ObjectType>& object_types();

/// Where an expression stands decides which variables it may name.
enum class Place {
  kCondition,  ///< let, when, guard, never, and what actions take: the state now
  kProof,      ///< verify, stop_on: the state afterwards and `pre`, the state before
  kLifetime,   ///< renew_while, remove_when
};
struct Variable {
  std::string_view name;
  std::string_view type;
  std::string_view meaning;
  bool known = false;  ///< something in this build fills it in; the others are unknown in every run
};
/// Apart from `event`, whose type hangs on the trigger.
std::vector<Variable> variables(Place place);

/// What an action takes in `do`.
enum class ArgumentForm { kExpression, kDuration, kRange, kTruth, kWord };
struct ActionArgument {
  std::string_view name;
  ArgumentForm form = ArgumentForm::kExpression;
  std::string_view type;   ///< kExpression: what it must give
  std::string_view words;  ///< kWord: separated by blanks
  bool required = false;
  std::string_view meaning;
};
/// How an action is taken back. An irreversible one never runs above L2 (DESIGN.md section 3, rule 5).
enum class Undo { kInverse, kSnapshot, kNone, kIrreversible };
constexpr std::array<EnumWord<Undo>, 4> enum_words(Undo) {
  return {{{Undo::kInverse, "inverse"}, {Undo::kSnapshot, "snapshot"}, {Undo::kNone, "none"}, {Undo::kIrreversible, "irreversible"}}};
}
struct ActionType {
  std::string_view name;  ///< "pkg.upgrade"
  std::string_view meaning;
  std::optional<ActionKind> kind;  ///< what carries it out on a host; nullopt: nothing in this build does, and the policy only observes
  Undo undo = Undo::kNone;
  BlastClass blast = BlastClass::kService;
  std::vector<ActionArgument> arguments;
};
const std::vector<ActionType>& action_types();
const ActionType* find_action_type(std::string_view name);

/// What expressions may name for an event of the type `trigger`. `name` is the policy's, whose lets are declared as name.let.
cel::Environment environment_for(const EventType& trigger, Place place);

/// `json` as a value of the declared type: texts become timestamps and durations where the type says so, whole numbers doubles.
/// A declared field of an object that is missing becomes an unknown that names its path, since missing is not empty.
cel::Value typed_value(const Json& json, const cel::Type& type, const cel::Environment& environment, std::string_view path);

}  // namespace prunella::policy
