#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/cel/evaluator.h"
#include "decide/cel/expression.h"
#include "decide/cel/index.h"
#include "decide/policy/document.h"
#include "decide/policy/vocabulary.h"
#include "decide/policy/windows.h"

namespace prunella::policy {

/// An expression that is ready to run.
struct Ready {
  std::shared_ptr<const cel::Program> program;
  Expression from;
};

/// A policy for one of its triggers: expressions are checked against the fields of that kind of event.
struct Rule {
  std::size_t policy = 0;  ///< index in PolicySet::policies()
  const EventType* trigger = nullptr;
  struct ReadyLet {
    cel::SlotId slot = cel::kNoSlot;  ///< kNoSlot: nothing reads it
    Ready value;
  };
  std::vector<ReadyLet> lets;
  Ready when;
  std::optional<Ready> guard, never, verify, stop_on, emergency, renew_while, remove_when;
  std::vector<std::map<std::string, Ready>> arguments;  ///< of each step: those that are expressions
};

/// Policies that fit together, compiled over one set of slots. Immutable once built, for one thread at a time (values count their
/// references without a lock).
class PolicySet {
 public:
  const std::vector<PolicyDocument>& policies() const { return policies_; }
  const PolicyDocument* find(std::string_view name) const;
  const std::vector<Rule>& rules() const { return rules_; }
  const cel::Slots& slots() const { return slots_; }
  const std::vector<WindowUse>& windows() const { return windows_; }
  /// The rules that an event can make true (cel::RuleIndex::candidates).
  void candidates(std::string_view trigger, cel::Activation& activation, std::vector<cel::RuleId>& out) const {
    index_.candidates(trigger, activation, out);
  }
  /// Digest over the names and versions of all its policies: two control planes with the same one decide alike.
  Digest digest() const;

 private:
  friend class SetBuilder;
  std::vector<PolicyDocument> policies_;
  std::vector<Rule> rules_;
  cel::Slots slots_;
  cel::RuleIndex index_;
  std::vector<WindowUse> windows_;
};

struct BuiltSet {
  std::shared_ptr<const PolicySet> set;  ///< of the policies without an error of their own
  std::vector<Diagnostic> diagnostics;
};
/// Compiles every expression for every trigger, and checks what holds between policies: names twice, `use` of a policy that isn't
/// there, or of each other in a circle. A policy with an error is left out of the set.
BuiltSet build_set(std::vector<PolicyDocument> documents);

/// The most that one evaluation of a policy's expression may cost; above it the run ends in an error, which is no match.
inline constexpr std::uint64_t kExpressionCostMax = cel::kRunCostMax;

/// What expressions see. JSON as it is recorded with the event, so that a replay sees the same.
struct CaseFacts {
  Json event;                          ///< with the fields of its kind
  Json host;
  std::map<std::string, Json> more;    ///< "advisory", "pool", "pre", "unit", ...
  std::map<std::string, double> flaps; ///< by subject: share of changes, 0 to 1
  std::map<std::string, Json> windows; ///< by WindowUse::name
  Instant now{};
};

/// How a condition came out. Only kTrue acts.
enum class Truth { kTrue, kFalse, kError, kUnknown };
constexpr std::array<EnumWord<Truth>, 4> enum_words(Truth) {
  return {{{Truth::kTrue, "match"}, {Truth::kFalse, "no-match"}, {Truth::kError, "error"}, {Truth::kUnknown, "unknown"}}};
}
struct Judged {
  Truth truth = Truth::kError;
  std::string text;  ///< kError: what failed and where; kUnknown: what would have to be known
  std::uint64_t cost = 0;
};

struct Match {
  std::size_t rule = 0;
  Judged when;
  std::optional<Judged> guard, never;  ///< judged when `when` is true
};

/// Runs policies on events; keeps values and stacks between them.
class Judge {
 public:
  /// `set` and `zones` must outlive it.
  Judge(const PolicySet& set, TimeZones& zones);

  /// Takes the facts of one event. Whatever the vocabulary declares and `facts` lacks is unknown.
  void load(const EventType& trigger, const CaseFacts& facts);
  /// As load, with values that were made before (hosts change less often than events come).
  void load(const EventType& trigger, cel::Value event, cel::Value host, Instant now);
  void set(std::string_view name, cel::Value value) { activation_.set(name, std::move(value)); }

  /// All rules of the loaded event's kind whose `when` isn't plainly false, in order. The index leaves out what can't match.
  std::vector<Match> matches();
  /// One rule whatever the index says.
  Match judge(std::size_t rule);
  Judged judge(const Ready& expression);
  /// The value of an expression, such as an action's argument; the rule's lets must have been computed by judge().
  cel::Value value(const Ready& expression);

 private:
  void compute_lets(const Rule& rule);
  const PolicySet& set_;
  cel::Activation activation_;
  cel::Evaluator evaluator_;
  std::string trigger_;
  std::vector<cel::RuleId> found_;
};

}  // namespace prunella::policy
