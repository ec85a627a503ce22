#include "decide/brakes/cooldown.h"

#include <algorithm>

#include "decide/brakes/ago.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(CooldownOptions)
PRUNELLA_DEFINE_CODEC(Cooldown)

Status check_options(const CooldownOptions& options) {
  if (options.first <= Duration(0)) return invalid_input("a first rest of " + to_text(options.first) + " is none");
  if (options.factor < 1 || options.factor > kCooldownFactorMax)
    return invalid_input("the factor " + std::to_string(options.factor) + " is not within 1 to " +
                         std::to_string(kCooldownFactorMax));
  if (options.max < options.first || options.max > kCooldownLongest)
    return invalid_input("the longest rest " + to_text(options.max) + " is not within " + to_text(options.first) +
                         " (the first one) to " + to_text(kCooldownLongest));
  if (options.ineffective_max < 1 || options.ineffective_max > kIneffectiveMaxMax)
    return invalid_input(std::to_string(options.ineffective_max) + " acts that don't help are not within 1 to " +
                         std::to_string(kIneffectiveMaxMax));
  return {};
}

Cooldown act_began(Cooldown cooldown, const CooldownOptions& options, Instant at) {
  const Duration memory = std::max(kCooldownMemory, 2 * options.max);
  if (cooldown.last && ago(*cooldown.last, at) >= memory) cooldown.acts = 0;
  ++cooldown.acts;
  ++cooldown.ineffective;
  cooldown.last = at;
  return cooldown;
}

Cooldown act_ended(Cooldown cooldown, ActEffect effect, Instant at) {
  switch (effect) {
    case ActEffect::kHelped: cooldown.ineffective = 0; break;
    case ActEffect::kDidNotHelp:
    case ActEffect::kUnknown: break;  // act_began() counted it
  }
  cooldown.last = at;
  return cooldown;
}

Cooldown chain_acknowledged(Cooldown cooldown) {
  cooldown.ineffective = 0;
  return cooldown;
}

Duration rest_after(const Cooldown& cooldown, const CooldownOptions& options) {
  if (cooldown.acts == 0) return Duration(0);
  Duration rest = options.first;
  for (std::uint64_t i = 1; i < cooldown.acts && rest < options.max && options.factor > 1; ++i)
    rest *= static_cast<Duration::rep>(options.factor);
  return std::min(rest, options.max);
}

namespace {

void rested(const CooldownOptions& options, const Cooldown& cooldown, const std::string& code, const std::string& whose,
            Instant now, Brakes& brakes) {
  if (cooldown.ineffective >= options.ineffective_max) {
    brakes.deny("ineffective",
                std::to_string(cooldown.ineffective) + " acts in a row of " + whose + " did not help, at most " +
                    std::to_string(options.ineffective_max),
                "a person finds the cause and acknowledges");
    brakes.escalate();
  }
  if (!cooldown.last) return;
  const Duration rest = rest_after(cooldown, options), passed = ago(*cooldown.last, now);
  if (passed < rest)
    brakes.wait(code,
                "act number " + std::to_string(cooldown.acts) + " of " + whose + " was " + to_text(passed) +
                    " ago; again after " + to_text(rest),
                to_text(rest - passed) + " pass");
}

}  // namespace

Verdict cooldown_verdict(const CooldownOptions& options, const Cooldowns& cooldowns, Instant now) {
  Brakes brakes;
  if (auto checked = check_options(options); !checked) {
    brakes.deny("cooldown-options", "the cooldown can't be counted: " + checked.error().text(), "another policy");
    return std::move(brakes).verdict();
  }
  if (!cooldowns.of_policy || !cooldowns.of_symptom)
    brakes.wait("cooldown-unknown", "when this target was last acted on is not known", "the store answers");
  if (cooldowns.of_policy) rested(options, *cooldowns.of_policy, "cooldown", "this policy on this target", now, brakes);
  if (cooldowns.of_symptom)
    rested(options, *cooldowns.of_symptom, "cooldown-symptom", "any policy for this symptom on this target", now, brakes);
  return std::move(brakes).verdict();
}

}  // namespace prunella
