#include "decide/policy/keys.h"

#include "decide/policy/vocabulary.h"

namespace prunella::policy {

const std::vector<Key>& document_keys() {
  using enum Shape;
  static const std::vector<Key> keys = {
      {"policy", kName, "The policy's name, unique among all; lower case letters, digits and '-'.", true, {}},
      {"description", kText, "What it is for, to whom.", false, {}},
      {"trigger", kWords, "The kinds of events that it looks at.", true, {}},
      {"select", kText, "Which hosts, as in 'prunella plan SELECTOR'; all without it.", false, {}},
      {"let", kLets, "Names for values, in order; each may use those before it.", false, {}},
      {"when", kExpression, "Whether it speaks. An error is no match, counted and shown.", true, {}},
      {"guard", kExpression, "Asked again right before the act; anything but true is a denial.", false, {}},
      {"never", kExpression, "When this holds, or can't be told, nothing is done. Asked last, and on the host as well.", false, {}},
      {"for", kDuration, "How long `when` must hold before it speaks. Default 0s.", false, {}},
      {"settle", kDuration, "How long a target is left alone after an act. Default 2m.", false, {}},
      {"cooldown",
       kCooldown,
       "Least time between two acts on one target, longer with each: '5m' or {per: [host.id], 5m: x2, max: 6h}.",
       false,
       {{"per", kWords, "What makes a target: host.id, event.subject, event.unit, event.path.", false, {}},
        {"max", kDuration, "Where growing ends. Default 6h.", false, {}}}},
      {"budget",
       kMap,
       "How much at once or within a time; the fleet's own limits hold besides.",
       false,
       {{"host", kLimit, "On one host.", false, {}},
        {"pool", kLimit, "Of hosts with the same label pool.", false, {}},
        {"site", kLimit, "Of hosts with the same label site.", false, {}},
        {"fleet", kLimit, "Of all hosts.", false, {}},
        {"storm",
         kMap,
         "When too many hosts show the same, the detector or a common change is the suspect.",
         false,
         {{"same_symptom", kBurst, "Such as '10% in 10m'.", true, {}}, {"then", kText, "stop_and_page", false, {}}}}}},
      {"flap",
       kMap,
       "When somebody undoes what is done, stop and ask.",
       false,
       {{"same_path", kBurst, "Repairs of one path, such as '2 in 1h'.", false, {}},
        {"same_subject", kBurst, "Acts on one subject.", false, {}},
        {"then", kText, "open_incident", false, {}}}},
      {"autonomy",
       kMap,
       "How much may be done without a person. Default: L1, and no further.",
       false,
       {{"start", kLevel, "Where the policy begins, L3 at most. Default L1.", false, {}},
        {"max", kLevel, "How far it may rise by proved runs. Default: start.", false, {}},
        {"irreversible", kTruth, "Whether acts without a way back are meant; then L2 is the highest.", false, {}},
        {"offline", kTruth, "Whether a host may do it with the control plane away.", false, {}},
        {"veto", kDuration, "At L3: how long people may say no. Default 30m.", false, {}}}},
      {"rollout",
       kMap,
       "How a change goes over the fleet.",
       false,
       {{"waves", kWords, "Where each wave ends: 1, 5%, 100%, or label:ring=canary.", false, {}},
        {"domain", kText, "A label; hosts with the same value of it fail together, and go one group at a time.", false, {}},
        {"soak", kDuration, "How long a wave must stay well before the next.", false, {}},
        {"deadline", kDuration, "A wave that isn't through by then stops the rollout.", false, {}},
        {"failures", kPercent, "Share of finished hosts that may fail.", false, {}},
        {"cooling", kDuration, "Least age of a version before it goes out.", false, {}},
        {"emergency", kExpression, "When this holds, cooling is left out.", false, {}},
        {"stop_on", kExpression, "When this holds after a wave, the rollout stops.", false, {}}}},
      {"verify", kExpression, "What must hold after the act. Anything but true is a failure. Needed above L2.", false, {}},
      {"rollback", kText, "How the act is taken back: pkg.downgrade_to_snapshot, inverse or none.", false, {}},
      {"window",
       kWindow,
       "When it may act.",
       false,
       {{"days", kWords, "mon to sun; every day without it.", false, {}},
        {"start", kClock, "Wall clock of the host, such as 02:30.", true, {}},
        {"length", kDuration, "How long it is open.", true, {}},
        {"zone", kText, "Such as Europe/Berlin; without it the host's label zone, else UTC.", false, {}},
        {"reserve", kDuration, "Kept free at the end, for a reboot.", false, {}}}},
      {"lifetime",
       kMap,
       "For what must not stay for ever: when it ends by itself.",
       false,
       {{"ttl", kDuration, "After this it is taken back.", true, {}},
        {"renew_while", kExpression, "While this holds it is kept; `when` stands for the condition above.", false, {}},
        {"remove_when", kExpression, "It is taken back at once.", false, {}},
        {"extend_needs",
         kMap,
         "Who must agree to a longer time.",
         false,
         {{"approvals", kCount, "How many people.", true, {}}, {"of", kWords, "Roles.", false, {}}}}}},
      {"do", kSteps, "What is done, in order; or {ladder: [...]}, where the next step comes only when one did not help.", true, {}},
  };
  return keys;
}

namespace {

Json text_schema(std::string_view pattern = {}) {
  Json schema(Json::Object{{"type", Json("string")}});
  if (!pattern.empty()) schema["pattern"] = Json(pattern);
  return schema;
}

Json words_schema(Json item) {
  Json list(Json::Object{{"type", Json("array")}, {"items", item}, {"minItems", Json(1)}});
  return Json(Json::Object{{"anyOf", Json(Json::Array{std::move(item), std::move(list)})}});
}

Json schema_of(const Key& key);

Json map_schema(const std::vector<Key>& keys) {
  Json properties{Json::Object{}};
  Json::Array required;
  for (const Key& key : keys) {
    properties[key.name] = schema_of(key);
    if (key.required) required.emplace_back(key.name);
  }
  Json schema(Json::Object{{"type", Json("object")}, {"properties", std::move(properties)}, {"additionalProperties", Json(false)}});
  if (!required.empty()) schema["required"] = Json(std::move(required));
  return schema;
}

Json argument_schema(const ActionArgument& argument) {
  switch (argument.form) {
    case ArgumentForm::kExpression: return text_schema();
    case ArgumentForm::kDuration: return text_schema("^[0-9]+(ms|s|m|h|d)$");
    case ArgumentForm::kRange: return text_schema("^[0-9]+(ms|s|m|h|d)\\.\\.[0-9]+(ms|s|m|h|d)$");
    case ArgumentForm::kTruth: return Json(Json::Object{{"type", Json("boolean")}});
    case ArgumentForm::kWord: return text_schema();
  }
  return Json();
}

Json step_schema() {
  Json::Array kinds;
  for (const ActionType& action : action_types()) {
    Json arguments{Json::Object{}};
    Json::Array required;
    for (const ActionArgument& argument : action.arguments) {
      Json schema = argument_schema(argument);
      schema["description"] = Json(argument.meaning);
      arguments[argument.name] = std::move(schema);
      if (argument.required) required.emplace_back(argument.name);
    }
    Json value(Json::Object{{"type", Json("object")}, {"properties", std::move(arguments)}, {"additionalProperties", Json(false)}});
    if (!required.empty()) value["required"] = Json(std::move(required));
    value["description"] = Json(action.meaning);
    Json properties{Json::Object{}};
    properties[action.name] = std::move(value);
    kinds.emplace_back(Json::Object{{"type", Json("object")}, {"properties", std::move(properties)}, {"additionalProperties", Json(false)}, {"required", Json(Json::Array{Json(action.name)})}});
  }
  kinds.emplace_back(Json::Object{{"type", Json("object")},
                                  {"properties", Json(Json::Object{{"use", text_schema()}})},
                                  {"additionalProperties", Json(false)},
                                  {"required", Json(Json::Array{Json("use")})}});
  return Json(Json::Object{{"anyOf", Json(std::move(kinds))}});
}

Json schema_of(const Key& key) {
  Json schema;
  switch (key.shape) {
    case Shape::kName: schema = text_schema("^[a-z][a-z0-9-]*$"); break;
    case Shape::kText:
    case Shape::kExpression: schema = text_schema(); break;
    case Shape::kWords:
      schema = words_schema(Json(Json::Object{{"type", Json(Json::Array{Json("string"), Json("integer")})}}));
      if (key.name == "trigger") {
        Json::Array names;
        for (const EventType& type : event_types()) names.emplace_back(type.name);
        schema = words_schema(Json(Json::Object{{"enum", Json(std::move(names))}}));
      }
      break;
    case Shape::kLets: schema = Json(Json::Object{{"type", Json("object")}, {"additionalProperties", text_schema()}}); break;
    case Shape::kDuration: schema = text_schema("^[0-9]+(ms|s|m|h|d)$"); break;
    case Shape::kLimit: schema = Json(Json::Object{{"type", Json(Json::Array{Json("string"), Json("integer")})}}); break;
    case Shape::kBurst: schema = text_schema("^[0-9]+%? in [0-9]+(ms|s|m|h|d)$"); break;
    case Shape::kPercent: schema = text_schema("^[0-9]+%$"); break;
    case Shape::kTruth: schema = Json(Json::Object{{"type", Json("boolean")}}); break;
    case Shape::kLevel: schema = Json(Json::Object{{"enum", Json(Json::Array{Json("L0"), Json("L1"), Json("L2"), Json("L3"), Json("L4")})}}); break;
    case Shape::kCooldown: {
      Json map = map_schema(key.below);
      map["patternProperties"] = Json(Json::Object{{"^[0-9]+(ms|s|m|h|d)$", text_schema("^x[0-9]+(\\.[0-9])?$")}});
      schema = Json(Json::Object{{"anyOf", Json(Json::Array{text_schema("^[0-9]+(ms|s|m|h|d)$"), std::move(map)})}});
      break;
    }
    case Shape::kSteps: {
      Json steps(Json::Object{{"type", Json("array")}, {"items", step_schema()}, {"minItems", Json(1)}});
      Json ladder(Json::Object{{"type", Json("object")},
                               {"properties", Json(Json::Object{{"ladder", steps}})},
                               {"additionalProperties", Json(false)},
                               {"required", Json(Json::Array{Json("ladder")})}});
      schema = Json(Json::Object{{"anyOf", Json(Json::Array{std::move(steps), std::move(ladder)})}});
      break;
    }
    case Shape::kWindow: schema = words_schema(map_schema(key.below)); break;
    case Shape::kClock: schema = text_schema("^([01][0-9]|2[0-3]):[0-5][0-9]$"); break;
    case Shape::kCount: schema = Json(Json::Object{{"type", Json("integer")}, {"minimum", Json(1)}}); break;
    case Shape::kMap: schema = map_schema(key.below); break;
  }
  schema["description"] = Json(key.meaning);
  return schema;
}

}  // namespace

Json json_schema() {
  Json schema = map_schema(document_keys());
  schema["$schema"] = Json("https://json-schema.org/draft/2020-12/schema");
  schema["title"] = Json("A policy of Prunella");
  return schema;
}

}  // namespace prunella::policy
