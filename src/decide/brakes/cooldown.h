#pragma once

#include <cstdint>
#include <optional>

#include "model/verdict.h"

/// After an act its target rests, each time longer. Two states are kept: one of the target and the policy, and one of the target
/// and the class of its symptom, so that two policies for one symptom can't take turns on a host. Acts that didn't help are
/// counted in a row: the third time the idea is wrong, not the luck.
namespace prunella {

struct CooldownOptions {
  Duration first = std::chrono::minutes(5);  ///< the rest after the first act
  std::uint64_t factor = 2;                  ///< how much longer each further rest is
  Duration max = std::chrono::hours(6);      ///< no rest is longer: past it a person is needed, not a longer wait
  std::uint64_t ineffective_max = 3;         ///< acts in a row that didn't help; then a person must look
  bool operator==(const CooldownOptions&) const = default;
};
template <class F>
void fields(F& f, CooldownOptions& o) {
  f("first_ms", o.first);
  f("factor", o.factor);
  f("max_ms", o.max);
  f("ineffective_max", o.ineffective_max);
}
inline constexpr Duration kCooldownLongest = std::chrono::hours(24 * 7);  // a policy that rests longer has nothing to heal
inline constexpr std::uint64_t kCooldownFactorMax = 10;                   // 5 min, 50 min, 8 h: steeper is a typing error
inline constexpr std::uint64_t kIneffectiveMaxMax = 10;                   // nobody's tenth equal attempt was the good one
/// @error kInvalidInput  no rest at all, one that shrinks, or one beyond the limits above.
Status check_options(const CooldownOptions& options);

/// Acts further apart than this, or than twice the longest rest, don't lengthen the rest: they are different troubles.
inline constexpr Duration kCooldownMemory = std::chrono::hours(24);

/// One target's past, under one policy or for one class of symptom. A fresh one says that there was no act.
struct Cooldown {
  std::uint64_t acts = 0;         ///< that lengthen the rest
  std::uint64_t ineffective = 0;  ///< in a row; an act counts from its beginning until it was seen to help
  std::optional<Instant> last;    ///< when the last act began or ended
  bool operator==(const Cooldown&) const = default;
};
template <class F>
void fields(F& f, Cooldown& c) {
  f("acts", c.acts);
  f("ineffective", c.ineffective);
  f("last", c.last);
}

enum class ActEffect {
  kHelped,      ///< the post-condition was measured, and it held
  kDidNotHelp,  ///< it was measured, and it didn't
  kUnknown,     ///< it could not be measured; counts as kDidNotHelp
};

/// An act begins. It counts as one that doesn't help until act_ended() says otherwise: a crash in between must not hide it.
Cooldown act_began(Cooldown cooldown, const CooldownOptions& options, Instant at);
/// The act ended, and the rest counts from here: a long act isn't followed by another one at once.
Cooldown act_ended(Cooldown cooldown, ActEffect effect, Instant at);
/// A person looked into the acts that didn't help; the length of the rest stays.
Cooldown chain_acknowledged(Cooldown cooldown);

/// How long the target rests after its last act; 0 when there was none.
Duration rest_after(const Cooldown& cooldown, const CooldownOptions& options);

struct Cooldowns {
  std::optional<Cooldown> of_policy;   ///< of the target and the policy; absent: not known
  std::optional<Cooldown> of_symptom;  ///< of the target and the class of symptom; absent: not known
};
/// Both must have rested. An act in the future (our clock went back) is one of just now.
Verdict cooldown_verdict(const CooldownOptions& options, const Cooldowns& cooldowns, Instant now);

PRUNELLA_DECLARE_CODEC(CooldownOptions)
PRUNELLA_DECLARE_CODEC(Cooldown)

}  // namespace prunella
