#include "decide/brakes/autonomy.h"

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>

#include "decide/brakes/ago.h"
#include "decide/brakes/percent.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(TrustKey)
PRUNELLA_DEFINE_CODEC(AutonomyRules)
PRUNELLA_DEFINE_CODEC(Trust)

namespace {

AutonomyLevel lower_by(AutonomyLevel level, std::int64_t steps) {
  // L1 is the floor: a policy that may not even suggest could never show again that it's right.
  const auto floor = std::min(level, AutonomyLevel::kSuggest);
  const std::int64_t left = static_cast<std::int64_t>(level) - steps;
  return left <= static_cast<std::int64_t>(floor) ? floor : static_cast<AutonomyLevel>(left);
}

/// The highest level that the rules ever allow.
AutonomyLevel ceiling(const AutonomyRules& rules) {
  // Rule 5 of DESIGN.md: an irreversible action never runs above L2.
  if (rules.irreversible || rules.blast == BlastClass::kIrreversible) return std::min(rules.max, AutonomyLevel::kAfterApproval);
  return rules.max;
}

/// Whether lower_bound() reaches `bound`. It asks the distribution itself: its inverse costs many times as much.
bool reaches(std::uint64_t successes, std::uint64_t failures, double bound) {
  if (successes == 0) return bound <= 0;
  return boost::math::ibeta(static_cast<double>(successes), static_cast<double>(failures) + 1, bound) <= 1 - kBoundConfidence;
}

AutonomyLevel earned(const AutonomyRules& rules, const Trust& trust) {
  AutonomyLevel level = AutonomyLevel::kObserve;
  for (AutonomyLevel next : {AutonomyLevel::kAfterApproval, AutonomyLevel::kAnnounced, AutonomyLevel::kSilent}) {
    const std::optional<double> needed = bound_for(next, rules.blast);
    if (!needed || !reaches(trust.verified, trust.failed, *needed)) break;
    level = next;
  }
  return level;
}

/// The level without what silence takes.
AutonomyLevel held(const AutonomyRules& rules, const Trust& trust) {
  return std::min(ceiling(rules), std::max(trust.base, earned(rules, trust)));
}

/// From now on only new evidence counts, and `base` is held without it.
void begin_again(Trust& trust, AutonomyLevel base, std::string why, Instant at) {
  trust = Trust{base, 0, 0, at, at, 0, std::move(why)};
}

/// What the drift detector adds for one run at a level that allows failures at the rate `allowed`.
double drift_step(double allowed, bool failed) {
  const double high = std::min(0.5, allowed * kDriftFactor);
  return failed ? std::log(high / allowed) : std::log((1 - high) / (1 - allowed));
}

std::string name_of(AutonomyLevel level) { return std::string(to_text(level)); }

/// What would raise the level, if anything does.
std::string next_step(const AutonomyRules& rules, const Trust& trust, AutonomyLevel level) {
  if (level >= ceiling(rules))
    return rules.max > level ? "there is no way back, so never above " + name_of(level) : "the policy allows no more";
  const auto next = std::max(AutonomyLevel::kAfterApproval, static_cast<AutonomyLevel>(static_cast<int>(level) + 1));
  const std::optional<double> bound = bound_for(next, rules.blast);
  if (!bound) return "nothing raises it";
  const Result<std::uint64_t> needed = runs_needed(*bound, trust.failed);
  if (!needed) return "too many failures for " + name_of(next);
  const std::uint64_t runs = trust.verified + trust.failed;
  return std::to_string(*needed > runs ? *needed - runs : 0) + " more clean runs for " + name_of(next);
}

}  // namespace

double lower_bound(std::uint64_t successes, std::uint64_t failures) {
  if (successes == 0) return 0;
  return boost::math::ibeta_inv(static_cast<double>(successes), static_cast<double>(failures) + 1, 1 - kBoundConfidence);
}

Result<std::uint64_t> runs_needed(double bound, std::uint64_t failures) {
  if (!(bound >= 0 && bound <= kRunsBoundMax))
    return invalid_input(std::to_string(bound) + " is no bound within 0 to " + std::to_string(kRunsBoundMax));
  if (failures > kRunsFailuresMax)
    return invalid_input(std::to_string(failures) + " failures are more than " + std::to_string(kRunsFailuresMax));
  std::uint64_t enough = 1;
  while (!reaches(enough, failures, bound)) enough *= 2;
  std::uint64_t few = enough / 2;  // 0 or too few
  while (enough - few > 1) {
    const std::uint64_t middle = few + (enough - few) / 2;
    (reaches(middle, failures, bound) ? enough : few) = middle;
  }
  return enough + failures;
}

std::optional<double> bound_for(AutonomyLevel level, BlastClass blast) {
  const bool local = blast == BlastClass::kObserve || blast == BlastClass::kLocal;
  switch (level) {
    case AutonomyLevel::kObserve:
    case AutonomyLevel::kSuggest: return std::nullopt;
    case AutonomyLevel::kAfterApproval: return kBoundL2;
    case AutonomyLevel::kAnnounced:
      if (blast == BlastClass::kIrreversible) return std::nullopt;
      return local ? kBoundL3Local : kBoundL3Service;
    case AutonomyLevel::kSilent:
      if (blast == BlastClass::kIrreversible) return std::nullopt;
      return local ? kBoundL4Local : kBoundL4Service;
  }
  return std::nullopt;
}

Trust new_trust(const AutonomyRules& rules, PolicyVersion version, const ShadowCredit& shadow, Instant now) {
  Trust trust;
  trust.since = trust.last = now;
  switch (version) {
    // L4 has no audience, so it's earned even where its signers would give it.
    case PolicyVersion::kFirst: trust.base = std::min({rules.start, ceiling(rules), AutonomyLevel::kAnnounced}); break;
    case PolicyVersion::kChanged:
      trust.base = std::min({rules.start, ceiling(rules), AutonomyLevel::kSuggest});
      trust.lost = "the policy changed at " + to_rfc3339(now);
      if (reaches(shadow.agreed, shadow.disagreed, kBoundL2))
        trust.base = std::min(ceiling(rules), AutonomyLevel::kAfterApproval);
      break;
  }
  return trust;
}

Trust record(Trust trust, const AutonomyRules& rules, TrustOutcome outcome, Instant at) {
  if (const std::int64_t lost = ago(trust.last, at) / kTrustIdleMax; lost > 0)
    begin_again(trust, lower_by(held(rules, trust), lost), "the silence that ended at " + to_rfc3339(at), at);
  if (outcome == TrustOutcome::kEscalated) {
    begin_again(trust, std::min(trust.base, AutonomyLevel::kSuggest), "the harm at " + to_rfc3339(at), at);
    return trust;
  }
  const bool failed = outcome == TrustOutcome::kReverted;
  const AutonomyLevel before = held(rules, trust);
  (failed ? trust.failed : trust.verified) += 1;
  trust.last = at;
  if (const std::optional<double> bound = bound_for(before, rules.blast)) {
    trust.drift = std::max(0.0, trust.drift + drift_step(1 - *bound, failed));
    if (trust.drift >= kDriftLimit)
      begin_again(trust, lower_by(before, 1), "more failures than " + name_of(before) + " allows, seen at " + to_rfc3339(at), at);
  }
  return trust;
}

EffectiveLevel effective_level(const AutonomyRules& rules, const std::optional<Trust>& trust, Instant now) {
  if (!trust) {
    const AutonomyLevel level = std::min({rules.start, ceiling(rules), AutonomyLevel::kSuggest});
    return {level, name_of(level) + ": nothing is known of this policy's runs"};
  }
  const AutonomyLevel full = held(rules, *trust);
  const std::int64_t lost = ago(trust->last, now) / kTrustIdleMax;
  const AutonomyLevel level = lower_by(full, lost);
  std::string why = name_of(level);
  if (level < full)
    why += ", and " + name_of(full) + " until no evidence came for " + to_text(kTrustIdleMax * lost) + " since " +
           to_rfc3339(trust->last);
  why += ": " + std::to_string(trust->verified) + " of " + std::to_string(trust->verified + trust->failed) +
         " runs verified since " + trust->lost.value_or(to_rfc3339(trust->since)) + ", bound " +
         percent_text(lower_bound(trust->verified, trust->failed)) + "; " +
         (level < full ? "the next verified run ends the silence" : next_step(rules, *trust, level));
  return {level, why};
}

Verdict autonomy_verdict(const EffectiveLevel& level, const AutonomyConsent& consent, Instant now) {
  Brakes brakes;
  if (consent.vetoed) brakes.deny("vetoed", "a person said no", "a new proposal");
  switch (level.level) {
    case AutonomyLevel::kObserve:
      brakes.deny("autonomy-observe", "the policy only observes here (" + level.why + ")", "a plan of a person");
      break;
    case AutonomyLevel::kSuggest:
      brakes.deny("autonomy-suggest", "the policy only suggests here (" + level.why + ")", "a plan of a person");
      break;
    case AutonomyLevel::kAfterApproval:
      if (!consent.approved)
        brakes.wait("autonomy-approval", "the policy acts here after approval only (" + level.why + ")", "an approval");
      break;
    case AutonomyLevel::kAnnounced:
      if (consent.approved) break;
      if (!consent.announced)
        brakes.wait("autonomy-announcement", "the act has not been announced (" + level.why + ")", "it is announced");
      else if (const Duration passed = ago(*consent.announced, now); passed < consent.veto_window)
        brakes.wait("autonomy-veto-window",
                    "announced " + to_text(passed) + " ago, and people have " + to_text(consent.veto_window) + " to say no",
                    to_text(consent.veto_window - passed) + " pass, or an approval");
      break;
    case AutonomyLevel::kSilent: break;
  }
  return std::move(brakes).verdict();
}

}  // namespace prunella
