#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.h"
#include "model/autonomy.h"
#include "model/plan.h"
#include "model/verdict.h"

/// Trust is earned. How much a policy may do without a person follows from what was verified of its own runs, and it's lost much
/// faster than it's gained. Every number here is about runs whose outcome a later measurement decided; nothing else counts.
namespace prunella {

/// What trust was earned for. None of it carries over to another policy, another version of it, another action, environment or
/// blast class.
struct TrustKey {
  PolicyId policy;
  std::string version;      ///< of the policy's text
  std::string action;       ///< "service.restart"
  std::string environment;  ///< "prod"
  BlastClass blast = BlastClass::kIrreversible;
  auto operator<=>(const TrustKey&) const = default;
};
template <class F>
void fields(F& f, TrustKey& k) {
  f("policy", k.policy);
  f("version", k.version);
  f("action", k.action);
  f("environment", k.environment);
  f("blast", k.blast);
}

/// What a policy asks for. The defaults are the least that is of any use.
struct AutonomyRules {
  AutonomyLevel start = AutonomyLevel::kSuggest;
  AutonomyLevel max = AutonomyLevel::kAfterApproval;
  BlastClass blast = BlastClass::kIrreversible;
  bool irreversible = false;  ///< the policy says that there is no way back, whatever the blast class
};
template <class F>
void fields(F& f, AutonomyRules& r) {
  f("start", r.start);
  f("max", r.max);
  f("blast", r.blast);
  f("irreversible", r.irreversible);
}

enum class TrustOutcome {
  kVerified,   ///< a later measurement showed the post-condition
  kReverted,   ///< a failure: what was there before is there again
  kEscalated,  ///< harm: a person had to come
};
constexpr std::array<EnumWord<TrustOutcome>, 3> enum_words(TrustOutcome) {
  return {
      {{TrustOutcome::kVerified, "verified"}, {TrustOutcome::kReverted, "reverted"}, {TrustOutcome::kEscalated, "escalated"}}};
}

/// What is kept of a TrustKey's runs. It's begun by new_trust() and changed by record() only.
struct Trust {
  AutonomyLevel base = AutonomyLevel::kObserve;  ///< held without further proof
  std::uint64_t verified = 0;                    ///< since `since`
  std::uint64_t failed = 0;                      ///< since `since`
  Instant since{};                               ///< evidence from before doesn't count any more
  Instant last{};                                ///< when evidence last came; `since` when none did
  double drift = 0;                              ///< the cumulative sum of record()
  std::optional<std::string> lost;               ///< why evidence from before `since` counts no more: "harm at ..."
  bool operator==(const Trust&) const = default;
};
template <class F>
void fields(F& f, Trust& t) {
  f("base", t.base);
  f("verified", t.verified);
  f("failed", t.failed);
  f("since", t.since);
  f("last", t.last);
  f("drift", t.drift);
  f("lost", t.lost);
}

/// What a policy's version would have done to history, replayed: how often its act was the one that was later verified, and how
/// often not.
struct ShadowCredit {
  std::uint64_t agreed = 0;
  std::uint64_t disagreed = 0;
};

/// One-sided 95 % Clopper-Pearson lower bound of the success rate after `successes` and `failures`; 0 without a success.
/// Source: Clopper and Pearson, Biometrika 26 (1934): the 5 % quantile of Beta(successes, failures + 1).
double lower_bound(std::uint64_t successes, std::uint64_t failures);
inline constexpr double kBoundConfidence = 0.95;  // the usual one; one-sided, since a rate that is too good harms nobody

/// The least number of runs, `failures` of them failed, after which lower_bound() reaches `bound`.
/// @error kInvalidInput  `bound` isn't within 0 to kRunsBoundMax, or there are more failures than kRunsFailuresMax.
Result<std::uint64_t> runs_needed(double bound, std::uint64_t failures);
inline constexpr double kRunsBoundMax = 0.9999;            // some 30,000 clean runs; nobody waits for more
inline constexpr std::uint64_t kRunsFailuresMax = 10'000;  // 10^8 runs at that bound: no fleet gets there

// L2 asks a person anyway: 29 clean runs show that the suggestion is worth the person's time.
inline constexpr double kBoundL2 = 0.90;
// L3 acts unless somebody says no in time, so an error is an act, but one with an undo and an audience. Up to 1 in 20 of one unit
// of one host is a nuisance; of an act that services feel it's an outage a week, so there it's 1 in 100.
inline constexpr double kBoundL3Local = 0.95;
inline constexpr double kBoundL3Service = 0.99;
// L4 has no audience: nobody looks until something breaks.
inline constexpr double kBoundL4Local = 0.99;
inline constexpr double kBoundL4Service = 0.999;

/// The lower bound that `level` needs; absent for L0 and L1, which need none, and where `blast` never reaches the level.
std::optional<double> bound_for(AutonomyLevel level, BlastClass blast);

/// After this long without evidence a level is lost, and another one after as long again: what was true a quarter ago was true of
/// other versions of everything around it.
inline constexpr Duration kTrustIdleMax = std::chrono::hours(24 * 90);

// The drift detector is Page's cumulative sum over failures (Biometrika 41, 1954), of the failure rate that the level allows
// against one kDriftFactor times as high. With the limit 3, three failures in a row always trip it; simulated, a policy at three
// times its allowance is found after 17, 36 and 176 runs (allowance 10, 5 and 1 %), and one at half of it trips by chance once in
// 2,000, 6,000 and 24,000 runs.
inline constexpr double kDriftFactor = 3;
inline constexpr double kDriftLimit = 3;

enum class PolicyVersion {
  kFirst,    ///< no version of this policy was in force before: its `start` is what its signers chose
  kChanged,  ///< the successor of another version, whose trust it doesn't inherit
};

/// The trust that a version of a policy begins with: of a first one its `start`, L3 at most. A changed version begins at L1 at most, or at L2 when the bound of its
/// shadow credit reaches kBoundL2: that it would have been right is worth a suggestion to a person, never an act.
Trust new_trust(const AutonomyRules& rules, PolicyVersion version, const ShadowCredit& shadow, Instant now);

/// Adds the outcome of a run that ended at `at`.
/// Harm: L1 at once, and only evidence after it counts. Drift beyond kDriftLimit: one level down, and only evidence after it
/// counts. Evidence after silence: the levels that silence took stay lost until what comes now earns them again.
Trust record(Trust trust, const AutonomyRules& rules, TrustOutcome outcome, Instant at);

struct EffectiveLevel {
  AutonomyLevel level = AutonomyLevel::kObserve;
  std::string why;  ///< one sentence: "L2: 31 of 31 runs verified since ..., bound 90.7 %; 28 more clean runs for L3"
};

/// The level now. Trust that isn't known is none: L1 at most.
EffectiveLevel effective_level(const AutonomyRules& rules, const std::optional<Trust>& trust, Instant now);

/// What people said of this act.
struct AutonomyConsent {
  bool approved = false;  ///< as many approvals as the policy asks for
  bool vetoed = false;
  std::optional<Instant> announced;  ///< when it was announced with its veto window
  Duration veto_window{};            ///< how long a person may say no
};

/// Whether a policy's own act may go ahead at its level. What a person orders by a plan of their own isn't asked here.
Verdict autonomy_verdict(const EffectiveLevel& level, const AutonomyConsent& consent, Instant now);

PRUNELLA_DECLARE_CODEC(TrustKey)
PRUNELLA_DECLARE_CODEC(AutonomyRules)
PRUNELLA_DECLARE_CODEC(Trust)

}  // namespace prunella
