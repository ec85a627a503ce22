#pragma once

#include <string>
#include <vector>

#include "decide/policy/policy_set.h"

namespace prunella::policy {

/// A part of an expression with what it gave.
struct ExplainedPart {
  std::uint32_t depth = 0;  ///< 0: the whole; parts come below the whole that they belong to
  std::string source;       ///< the part as text
  std::string value;        ///< as CEL would write it; an error or an unknown in words
  Truth truth = Truth::kTrue;
  bool is_condition = false;  ///< it gives a truth; then `truth` says which
};
template <class F>
void fields(F& f, ExplainedPart& p) {
  f("depth", p.depth);
  f("source", p.source);
  f("value", p.value);
}

struct ExplainedExpression {
  std::string key;  ///< "when", "let.vuln", "guard", "never"
  std::vector<ExplainedPart> parts;
};

struct ExplainedRule {
  std::string policy;
  std::string trigger;
  Judged when;
  std::vector<ExplainedExpression> expressions;
};

/// The value of every sub-expression that has one by itself; of a macro over a list the condition for each of the first
/// kExplainedElementsMax elements. Literals and plain names that stand alone are left out below the parts that show them.
/// Nothing is cut short as && and || would: each part is worked out for itself, so that one sees what else does not hold.
ExplainedRule explain(const PolicySet& set, std::size_t rule, const CaseFacts& facts, TimeZones& zones);

inline constexpr std::size_t kExplainedElementsMax = 10;  // of one list; a screen full
inline constexpr std::size_t kExplainedPartsMax = 300;    // of one expression
inline constexpr std::size_t kExplainedTextMax = 240;     // characters of a value

}  // namespace prunella::policy
