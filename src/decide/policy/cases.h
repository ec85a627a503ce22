#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "decide/policy/policy_set.h"
#include "decide/policy/yaml.h"

/// Tests of policies, written by their authors beside them: an event, a host, and what the policy shall say to that.
namespace prunella::policy {

struct PolicyTest {
  std::string name;
  std::string policy;
  Mark mark;
  CaseFacts facts;
  Truth expect = Truth::kTrue;
  std::map<std::string, Json> actions;  ///< "pkg.upgrade.only" -> what the argument must come out as
};

struct LoadedTests {
  std::vector<PolicyTest> tests;
  std::vector<Diagnostic> diagnostics;
};
/// Reads {tests: [{name, policy, event, host, expect, ...}]}, as strictly as policies. docs/policies.md has the form.
LoadedTests load_tests(std::string_view text);

/// The facts of an event as they stand in a test, or in a file for `policy explain`: the keys event, host, now, flaps, windows and
/// the variables of vocabulary.h. What an event always has (id, at) is filled in.
/// @error in `diagnostics`
CaseFacts read_facts(const YamlNode& node, std::vector<Diagnostic>& diagnostics);

struct TestResult {
  bool passed = false;
  std::string got;  ///< why it didn't: what came instead
};
TestResult run_test(const PolicySet& set, const PolicyTest& test, TimeZones& zones);

}  // namespace prunella::policy
