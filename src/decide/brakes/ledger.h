#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "model/verdict.h"

/// One ledger of everything that takes hosts out of service: patching, healing and people draw from the same budget, since a
/// service doesn't care who rebooted its host. A disruption is taken on every level at once or not at all.
namespace prunella {

enum class LedgerScope { kHost, kPool, kSite, kTenant, kFleet };
constexpr std::array<EnumWord<LedgerScope>, 5> enum_words(LedgerScope) {
  return {{{LedgerScope::kHost, "host"},
           {LedgerScope::kPool, "pool"},
           {LedgerScope::kSite, "site"},
           {LedgerScope::kTenant, "tenant"},
           {LedgerScope::kFleet, "fleet"}}};
}

/// What one level allows. Each limit that is given holds; an absent one is none.
struct BudgetLimit {
  std::optional<std::uint64_t> count_max;    ///< hosts out at the same time; at level host: disruptions of this host
  std::optional<std::uint64_t> percent_max;  ///< of the members, rounded down, but 1 at least; 0 forbids. Not at level host
  std::optional<std::uint64_t> rate_max;     ///< a bucket of so many tokens; a token comes back `rate_period` after it was taken,
  Duration rate_period = std::chrono::hours(1);  ///< so that no stretch of this length ever sees more
  bool operator==(const BudgetLimit&) const = default;
};
template <class F>
void fields(F& f, BudgetLimit& l) {
  f("count_max", l.count_max);
  f("percent_max", l.percent_max);
  f("rate_max", l.rate_max);
  f("rate_period_ms", l.rate_period);
}
inline constexpr Duration kRatePeriodMax = std::chrono::hours(24);  // entries are kept so long, and no longer

/// By default one thing at a time on a host, a tenth of a pool, and no more than 50 hosts of the fleet an hour: a mistake that
/// looks like success is then noticed by people before it's everywhere.
struct LedgerLimits {
  BudgetLimit host{1, {}, {}, std::chrono::hours(1)};
  BudgetLimit pool{{}, 10, {}, std::chrono::hours(1)};
  BudgetLimit site;
  BudgetLimit tenant;
  BudgetLimit fleet{{}, {}, 50, std::chrono::hours(1)};
  bool operator==(const LedgerLimits&) const = default;
};
template <class F>
void fields(F& f, LedgerLimits& l) {
  f("host", l.host);
  f("pool", l.pool);
  f("site", l.site);
  f("tenant", l.tenant);
  f("fleet", l.fleet);
}
/// @error kInvalidInput  a percentage above 100 or at level host, or a period that is none or above kRatePeriodMax.
Status check_options(const LedgerLimits& limits);

/// A host as the ledger sees it. Hosts that name no pool are one pool together, and so are those without a site or tenant.
struct LedgerHost {
  HostId host;
  std::string pool;
  std::string site;
  std::string tenant;
  std::optional<std::string> quorum;  ///< never two of one such group are out at once
  std::optional<bool> available;      ///< absent: not known, which counts as out
};

/// One disruption of one host.
struct LedgerEntry {
  std::string id;  ///< of the run, or of a person's act
  HostId host;
  std::string pool;
  std::string site;
  std::string tenant;
  std::optional<std::string> quorum;
  std::string who;      ///< a policy, a rollout or a person
  std::string purpose;  ///< "reboot"
  Instant since{};
  Duration deadline{};  ///< then it's over, even if nobody said so
  bool released = false;
  bool operator==(const LedgerEntry&) const = default;
};
template <class F>
void fields(F& f, LedgerEntry& e) {
  f("id", e.id);
  f("host", e.host);
  f("pool", e.pool);
  f("site", e.site);
  f("tenant", e.tenant);
  f("quorum", e.quorum);
  f("who", e.who);
  f("purpose", e.purpose);
  f("since", e.since);
  f("deadline_ms", e.deadline);
  f("released", e.released);
}

struct Ledger {
  std::vector<LedgerEntry> entries;
  bool operator==(const Ledger&) const = default;
};
template <class F>
void fields(F& f, Ledger& l) {
  f("entries", l.entries);
}
inline constexpr std::size_t kLedgerEntriesMax =
    50'000;  // half of what a stored list may have; 35 disruptions a minute for a day

/// What is asked of the ledger.
struct LedgerAsk {
  std::string id;
  HostId host;
  std::string who;
  std::string purpose;
  Duration deadline{};
};
inline constexpr Duration kDisruptionLongest = std::chrono::hours(24 * 7);  // past it the host isn't disrupted, it's gone

/// Whether the disruption is going on. One from the future (our clock went back) has just begun.
bool is_open(const LedgerEntry& entry, Instant now);

struct LedgerTake {
  Ledger ledger;  ///< with the new entry when the verdict is allow; otherwise only tidied
  Verdict verdict;
};
/// Takes a disruption of a host on every level, or none. Hosts that are not available count as out, as those of a Kubernetes
/// PodDisruptionBudget do; the host that is asked for counts once, whether it's up or down. An id that is open on the same host
/// is the same ask again: allowed, and taken once. `fleet` has every host; absent: not known.
LedgerTake take(Ledger ledger, const LedgerLimits& limits, const std::optional<std::vector<LedgerHost>>& fleet,
                const LedgerAsk& ask, Instant now);

/// Writes down a disruption that happened without asking: a person rebooted the host. It counts for all who ask later.
/// @error kExhausted  the ledger has kLedgerEntriesMax entries; nothing was written.
Result<Ledger> noted(Ledger ledger, const LedgerHost& host, const LedgerAsk& disruption, Instant now);

/// The disruption `id` ended; an unknown id changes nothing. Its tokens of the rates come back by time only.
Ledger released(Ledger ledger, std::string_view id);

/// Without entries that count for nothing any more; those from the future begin now.
Ledger tidied(Ledger ledger, Instant now);

PRUNELLA_DECLARE_CODEC(LedgerLimits)
PRUNELLA_DECLARE_CODEC(LedgerEntry)
PRUNELLA_DECLARE_CODEC(Ledger)

}  // namespace prunella
