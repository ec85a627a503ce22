// A file of policies as an author writes it: read, compiled, and each rule run on an event. Whatever stands in the file, it ends with
// policies or with diagnostics, and what loads can be run and explained.
#include "decide/policy/cases.h"
#include "decide/policy/explain.h"
#include "decide/policy/loader.h"

#include "base/check.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  using namespace prunella::policy;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  LoadedDocuments loaded = load_documents(text);
  check(!loaded.documents.empty() || has_errors(loaded.diagnostics), "a file gives policies or says what is wrong");
  for (const Diagnostic& diagnostic : loaded.diagnostics) (void)render(diagnostic, "f.yaml", text).size();
  for (const PolicyDocument& document : loaded.documents)
    check(document.autonomy.max <= AutonomyLevel::kAfterApproval || document.verify, "nothing rises above L2 without a proof");
  const std::size_t documents = loaded.documents.size();
  const BuiltSet built = build_set(std::move(loaded.documents));
  check(built.set->policies().size() == documents || has_errors(built.diagnostics), "a policy is loaded or has an error");

  NoTimeZones zones;
  for (std::size_t rule = 0; rule < built.set->rules().size() && rule < 4; ++rule) {
    CaseFacts facts;
    facts.event = Json(Json::Object{{"type", Json(built.set->rules()[rule].trigger->name)}, {"unit", Json("app-1.service")}});
    facts.host = Json(Json::Object{{"id", Json("web-1")}, {"failed", Json(Json::Array{Json("app-1.service")})}});
    (void)explain(*built.set, rule, facts, zones).expressions.size();
  }
  const LoadedTests tests = load_tests(text);
  for (const PolicyTest& test : tests.tests) (void)run_test(*built.set, test, zones).passed;
  return 0;
}
