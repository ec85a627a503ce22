#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/api.h"
#include "model/link.h"
#include "openapi_json.h"
#include "record/audit.h"
#include "shapes.h"

namespace prunella {
namespace {

Shapes all_shapes() {
  Shapes known;
  // Bodies that people send, and what is signed or hashed.
  shape<PlanRequest>(known, UnknownKeys::kRefuse);
  shape<RolloutRequest>(known, UnknownKeys::kRefuse);
  shape<TokenRequest>(known, UnknownKeys::kRefuse);
  shape<EnrolmentTokenRequest>(known, UnknownKeys::kRefuse);
  shape<EnrollRequest>(known, UnknownKeys::kRefuse);
  shape<RenewRequest>(known, UnknownKeys::kRefuse);
  shape<Envelope>(known, UnknownKeys::kRefuse);
  shape<OperatorTrust>(known, UnknownKeys::kRefuse);
  shape<Approval>(known, UnknownKeys::kRefuse);
  shape<ExecutorPolicy>(known, UnknownKeys::kRefuse);
  shape<Order>(known, UnknownKeys::kRefuse);
  shape<AuditEntry>(known, UnknownKeys::kRefuse);
  shape<AuditCheckpoint>(known, UnknownKeys::kRefuse);
  // Answers, and what an agent that may be newer reports.
  shape<Page<HostView>>(known, UnknownKeys::kIgnore);
  shape<HostDetail>(known, UnknownKeys::kIgnore);
  shape<StatusView>(known, UnknownKeys::kIgnore);
  shape<Page<FindingView>>(known, UnknownKeys::kIgnore);
  shape<PlanView>(known, UnknownKeys::kIgnore);
  shape<Page<PlanSummary>>(known, UnknownKeys::kIgnore);
  shape<Page<RolloutView>>(known, UnknownKeys::kIgnore);
  shape<Page<RunView>>(known, UnknownKeys::kIgnore);
  shape<Explanation>(known, UnknownKeys::kIgnore);
  shape<Page<TokenView>>(known, UnknownKeys::kIgnore);
  shape<EnrolmentTokenView>(known, UnknownKeys::kIgnore);
  shape<TrustView>(known, UnknownKeys::kIgnore);
  shape<ChangeNotice>(known, UnknownKeys::kIgnore);
  shape<EnrollAnswer>(known, UnknownKeys::kIgnore);
  shape<RenewAnswer>(known, UnknownKeys::kIgnore);
  shape<Report>(known, UnknownKeys::kIgnore);
  shape<ReportAnswer>(known, UnknownKeys::kIgnore);
  shape<Directions>(known, UnknownKeys::kIgnore);
  shape<PackagesDelta>(known, UnknownKeys::kIgnore);
  shape<Notice>(known, UnknownKeys::kIgnore);
  return known;
}

// What a schema says about shape: descriptions, examples, lengths and patterns are the document's own.
Json shape_of(const Json& schema) {
  if (const Json::Array* array = schema.as_array()) return Json(*array);
  const Json::Object* object = schema.as_object();
  if (!object) return schema;
  Json::Object out;
  for (const auto& [key, value] : *object) {
    if (key == "items")
      out.emplace(key, shape_of(value));
    else if (key == "additionalProperties")
      out.emplace(key, value.as_bool() ? value : shape_of(value));
    else if (key == "properties") {
      Json::Object properties;
      for (const auto& [name, property] : *value.as_object()) properties.emplace(name, shape_of(property));
      out.emplace(key, std::move(properties));
    } else if (key == "type" || key == "$ref" || key == "enum" || key == "required" || key == "minimum")
      out.emplace(key, value);
  }
  return Json(std::move(out));
}

Json document() {
  auto parsed = parse_json(kOpenapiJson);
  check(parsed.has_value(), "the embedded document is JSON");
  return *parsed;
}

const Json& schemas(const Json& document) { return *document.find("components")->find("schemas"); }

// Required members are a set: their order means nothing.
void sort_required(Json& schema) {
  Json::Object* object = schema.as_object();
  if (!object) return;
  for (auto& [key, value] : *object) {
    if (key == "required" && value.as_array()) {
      std::ranges::sort(*value.as_array(), [](const Json& a, const Json& b) { return *a.as_string() < *b.as_string(); });
    }
  }
}

TEST(Openapi, DescribesEveryValueAsItsCodecWritesIt) {
  Json spec = document();
  for (auto& [name, expected] : all_shapes()) {
    const Json* schema = schemas(spec).find(name);
    EXPECT_NE(schema, nullptr) << "specs/openapi.yaml has no schema " << name << ", it should be\n" << to_pretty(expected);
    if (!schema) continue;
    Json wanted = expected, got = shape_of(*schema);
    sort_required(wanted);
    sort_required(got);
    EXPECT_EQ(to_pretty(got), to_pretty(wanted)) << "the schema " << name << " of specs/openapi.yaml isn't what the codec does";
  }
}

TEST(Openapi, HasNoSchemaOfAnUnknownValue) {
  Json spec = document();
  std::set<std::string> own = {"Problem", "Instant", "DurationMs", "Digest", "PublicKey", "Signature", "HostId", "PlanId", "RolloutId",
                               "RunId", "FindingId", "OrderId", "PolicyId", "Health", "Labels", "SignedCheckpoint"};
  Shapes known = all_shapes();
  for (const auto& [name, schema] : *schemas(spec).as_object())
    EXPECT_TRUE(known.contains(name) || own.contains(name)) << name << " is the schema of no value";
}

// Every reference in `value` names something that is there.
void expect_references_resolve(const Json& root, const Json& value) {
  if (const Json::Array* array = value.as_array())
    for (const Json& element : *array) expect_references_resolve(root, element);
  const Json::Object* object = value.as_object();
  if (!object) return;
  for (const auto& [key, member] : *object) {
    if (key == "$ref" && member.as_string()) {
      const Json* at = &root;
      auto parts = split(std::string_view(*member.as_string()).substr(2), '/');
      for (std::string_view part : parts)
        if (at) at = at->find(part);
      EXPECT_NE(at, nullptr) << *member.as_string() << " names nothing";
    } else {
      expect_references_resolve(root, member);
    }
  }
}

TEST(Openapi, RefersOnlyToWhatIsThere) {
  Json spec = document();
  expect_references_resolve(spec, spec);
}

std::set<std::string> names_in_braces(std::string_view path) {
  std::set<std::string> names;
  for (std::string_view segment : split(path, '/'))
    if (segment.starts_with('{')) names.emplace(segment.substr(1, segment.size() - 2));
  return names;
}

TEST(Openapi, EveryOperationIsNamedOnceAndSaysWhoMayAndWhatGoesWrong) {
  Json spec = document();
  const std::set<std::string> scopes = {"read", "plan", "approve", "operate", "admin"};
  std::set<std::string> operations;
  for (const auto& [path, item] : *spec.find("paths")->as_object()) {
    for (const auto& [method, operation] : *item.as_object()) {
      if (method == "parameters") continue;
      std::string where = method + " " + path;
      ASSERT_NE(operation.find("operationId"), nullptr) << where;
      EXPECT_TRUE(operations.insert(*operation.find("operationId")->as_string()).second) << where << " has the name of another one";
      EXPECT_NE(operation.find("summary"), nullptr) << where;
      const Json* security = operation.find("security") ? operation.find("security") : spec.find("security");
      bool with_token = false;
      for (const Json& way : *security->as_array()) {
        if (const Json* scope = way.find("token")) {
          with_token = true;
          ASSERT_EQ(scope->as_array()->size(), 1u) << where;
          EXPECT_TRUE(scopes.contains(*(*scope->as_array())[0].as_string())) << where;
        } else {
          EXPECT_NE(way.find("hostCertificate"), nullptr) << where;
        }
      }
      const Json* responses = operation.find("responses");
      if (with_token) {
        EXPECT_NE(responses->find("401"), nullptr) << where << " doesn't say what comes without a token";
      }
      if (!names_in_braces(path).empty()) {
        EXPECT_NE(responses->find("404"), nullptr) << where << " doesn't say what comes of a wrong name";
      }
      if (operation.find("requestBody")) {
        EXPECT_NE(responses->find("400"), nullptr) << where << " doesn't say what comes of a wrong body";
      }
    }
  }
  EXPECT_GE(operations.size(), 40u);
}

TEST(Openapi, EveryNameInAPathIsAParameter) {
  Json spec = document();
  for (const auto& [path, item] : *spec.find("paths")->as_object()) {
    std::set<std::string> declared;
    if (const Json* parameters = item.find("parameters"))
      for (Json parameter : *parameters->as_array()) {
        if (const Json* reference_text = parameter.find("$ref")) {
          std::string name(std::string_view(*reference_text->as_string()).substr(std::string_view("#/components/parameters/").size()));
          parameter = *spec.find("components")->find("parameters")->find(name);
        }
        if (*parameter.find("in")->as_string() == "path") declared.insert(*parameter.find("name")->as_string());
      }
    EXPECT_EQ(declared, names_in_braces(path)) << path;
  }
}

}  // namespace
}  // namespace prunella
