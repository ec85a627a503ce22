#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/digest.h"
#include "decide/policy/amounts.h"
#include "decide/policy/diagnostic.h"
#include "model/autonomy.h"

/// A policy as it was written: every key of the envelope read and checked, expressions still as text (policy_set.h compiles them).
namespace prunella::policy {

/// An expression with the place of its first character.
struct Expression {
  std::string source;
  Mark mark;
  bool block = false;  ///< a block text: its later lines keep their own places
};

struct Let {
  std::string name;
  Expression value;
};

/// One action of `do`.
struct Step {
  using Argument = std::variant<Expression, Duration, DurationRange, bool, std::string>;
  std::string action;  ///< of the catalogue (vocabulary.h), or "use"
  Mark mark;
  std::map<std::string, Argument> arguments;
  std::string use;  ///< with "use": the policy whose actions come here
};

struct Cooldown {
  std::vector<std::string> per;  ///< what is told apart besides the policy: "host.id", "event.unit", "event.subject"
  Duration first{};
  std::uint32_t factor_tenths = 20;  ///< x2
  Duration max{};
};

/// Caps for this policy; the fleet's own limits hold besides (decide/brakes/ledger.h).
struct Budget {
  std::optional<Limit> host, pool, site, fleet;
  std::optional<Burst> storm;  ///< more equal symptoms: stop and page
};

struct Flap {
  std::string per = "subject";  ///< what is counted: "subject" or "path"
  std::optional<Burst> burst;   ///< "2 in 1h"
};

struct Autonomy {
  AutonomyLevel start = AutonomyLevel::kSuggest;
  AutonomyLevel max = AutonomyLevel::kSuggest;
  bool irreversible = false;
  bool offline = false;  ///< allowed with the control plane away
  std::optional<Duration> veto;
};

struct RolloutSpec {
  std::vector<std::string> waves;        ///< "1", "1%", "100%", or "label:ring=canary"; empty: the control plane's own
  std::optional<std::string> domain;     ///< label whose values are failure domains: one domain at a time within a wave
  std::optional<Duration> soak;
  std::optional<Duration> deadline;
  std::optional<std::uint32_t> failures_percent_max;
  std::optional<Duration> cooling;       ///< least age of a package's version before it goes out
  std::optional<Expression> emergency;   ///< when this holds, cooling is left out
  std::optional<Expression> stop_on;
};

/// When it may act, in the host's own time zone (decide/brakes/window.h).
struct WindowSpec {
  std::vector<std::string> days;  ///< "mon".."sun"; empty: every day
  std::uint32_t start_minutes = 0;
  Duration length{};
  std::string zone;  ///< empty: the host's label zone, UTC without one
  Duration reserve{};  ///< kept free at the end, for a reboot
};

struct Lifetime {
  Duration ttl{};
  bool renew_while_when = false;  ///< `renew_while: when`
  std::optional<Expression> renew_while;
  std::optional<Expression> remove_when;
  std::uint32_t extend_approvals = 0;
  std::vector<std::string> extend_roles;
};

struct PolicyDocument {
  std::string name;
  Mark mark;
  std::string description;
  std::vector<std::string> triggers;
  std::string select = "all";  ///< model/selector.h
  std::vector<Let> lets;
  Expression when;
  std::optional<Expression> guard;
  std::optional<Expression> never;
  std::optional<Expression> verify;
  Duration hold_for{};  ///< `for`
  Duration settle{};
  Cooldown cooldown;
  Budget budget;
  Flap flap;
  Autonomy autonomy;
  RolloutSpec rollout;
  std::vector<Step> steps;
  bool ladder = false;  ///< one step after the other, the next only when one did not help
  std::string rollback; ///< how an act is taken back; empty: as the actions say
  std::vector<WindowSpec> windows;
  std::optional<Lifetime> lifetime;
  std::string text;  ///< canonical JSON of the document: what it says, without comments and layout
  Digest version;    ///< of `text`: a changed policy is another one and earns its autonomy anew
};

/// Defaults of keys that were left out. Brakes are on unless they are named.
inline constexpr Duration kSettleDefault = std::chrono::minutes(2);        // as SAFETY.md's example 3: a unit that dies late shows it by then
inline constexpr Duration kCooldownFirstDefault = std::chrono::minutes(5); // between two acts on one target
inline constexpr Duration kCooldownMaxDefault = std::chrono::hours(6);
inline constexpr Duration kVetoDefault = std::chrono::minutes(30);         // time for a person to read an announcement at L3

}  // namespace prunella::policy
