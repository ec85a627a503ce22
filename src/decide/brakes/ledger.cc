#include "decide/brakes/ledger.h"

#include <algorithm>
#include <set>

#include "decide/brakes/ago.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(LedgerLimits)
PRUNELLA_DEFINE_CODEC(LedgerEntry)
PRUNELLA_DEFINE_CODEC(Ledger)

namespace {

constexpr LedgerScope kScopes[] = {LedgerScope::kHost, LedgerScope::kPool, LedgerScope::kSite, LedgerScope::kTenant,
                                   LedgerScope::kFleet};

const BudgetLimit& limit_of(const LedgerLimits& limits, LedgerScope scope) {
  switch (scope) {
    case LedgerScope::kHost: return limits.host;
    case LedgerScope::kPool: return limits.pool;
    case LedgerScope::kSite: return limits.site;
    case LedgerScope::kTenant: return limits.tenant;
    case LedgerScope::kFleet: break;
  }
  return limits.fleet;
}

/// Which group of the scope a host or an entry belongs to.
template <class Member>
std::string group_of(const Member& member, LedgerScope scope) {
  switch (scope) {
    case LedgerScope::kHost: return member.host.text();
    case LedgerScope::kPool: return member.pool;
    case LedgerScope::kSite: return member.site;
    case LedgerScope::kTenant: return member.tenant;
    case LedgerScope::kFleet: break;
  }
  return {};
}

std::string name_of(LedgerScope scope, const std::string& group) {
  return std::string(to_text(scope)) + (scope == LedgerScope::kFleet ? "" : " " + quoted(group));
}

struct Question {
  const Ledger& ledger;
  const std::vector<LedgerHost>& fleet;
  const LedgerHost& target;
  Instant now;
};

/// A limit that no waiting meets is a denial.
void refuse(bool for_ever, std::string code, std::string text, std::string would_change, Brakes& brakes) {
  if (for_ever)
    brakes.deny(std::move(code), std::move(text), "another budget");
  else
    brakes.wait(std::move(code), std::move(text), std::move(would_change));
}

/// At most so many disruptions of the one host.
void host_count(const Question& q, std::uint64_t max, Brakes& brakes) {
  std::uint64_t open = 0;
  std::string whose;
  for (const LedgerEntry& entry : q.ledger.entries)
    if (entry.host == q.target.host && is_open(entry, q.now)) {
      ++open;
      whose = entry.purpose + " by " + entry.who;
    }
  if (open + 1 > max)
    refuse(max == 0, "budget-host",
           "the host has " + std::to_string(open) + " disruptions" + (whose.empty() ? "" : " (" + whose + ")") + ", at most " +
               std::to_string(max),
           "one of them ends", brakes);
}

/// At most so many hosts of the group out at once, the target among them.
void group_count(const Question& q, LedgerScope scope, const BudgetLimit& limit, Brakes& brakes) {
  if (!limit.count_max && !limit.percent_max) return;
  const std::string group = group_of(q.target, scope);
  std::uint64_t members = 0;
  std::set<std::string> out{q.target.host.text()};
  std::string who;
  for (const LedgerHost& host : q.fleet) {
    if (group_of(host, scope) != group) continue;
    ++members;
    if (host.available != true) out.insert(host.host.text());
  }
  for (const LedgerEntry& entry : q.ledger.entries) {
    if (group_of(entry, scope) != group || !is_open(entry, q.now)) continue;
    if (out.insert(entry.host.text()).second && who.empty())
      who = ", among them " + entry.host.text() + " (" + entry.purpose + " by " + entry.who + ")";
  }
  std::uint64_t max = limit.count_max.value_or(members);
  std::string rule = std::to_string(max);
  if (limit.percent_max) {
    // A group that is too small for one goes one at a time: else it could never be patched.
    const std::uint64_t share = *limit.percent_max == 0 ? 0 : std::max<std::uint64_t>(1, members * *limit.percent_max / 100);
    if (share <= max) rule = std::to_string(share) + " (" + std::to_string(*limit.percent_max) + " %)";
    max = std::min(max, share);
  }
  if (out.size() > max)
    refuse(max == 0, "budget-" + std::string(to_text(scope)),
           "with this host " + std::to_string(out.size()) + " of " + std::to_string(members) + " hosts of the " +
               name_of(scope, group) + " would be out" + who + ", at most " + rule,
           std::to_string(out.size() - max) + " of them come back", brakes);
}

void rate(const Question& q, LedgerScope scope, const BudgetLimit& limit, Brakes& brakes) {
  if (!limit.rate_max) return;
  const std::string group = group_of(q.target, scope);
  const auto taken = static_cast<std::uint64_t>(std::ranges::count_if(q.ledger.entries, [&](const LedgerEntry& entry) {
    return group_of(entry, scope) == group && ago(entry.since, q.now) < limit.rate_period;
  }));
  if (taken + 1 > *limit.rate_max)
    refuse(*limit.rate_max == 0, "rate-" + std::string(to_text(scope)),
           std::to_string(taken) + " disruptions of the " + name_of(scope, group) + " within " + to_text(limit.rate_period) +
               ", at most " + std::to_string(*limit.rate_max),
           "the oldest of them is " + to_text(limit.rate_period) + " old", brakes);
}

void quorum(const Question& q, Brakes& brakes) {
  if (!q.target.quorum) return;
  std::optional<std::string> other;
  for (const LedgerHost& host : q.fleet)
    if (host.quorum == q.target.quorum && host.host != q.target.host && host.available != true)
      other = host.host.text() + " is not available";
  for (const LedgerEntry& entry : q.ledger.entries)
    if (entry.quorum == q.target.quorum && entry.host != q.target.host && is_open(entry, q.now))
      other = entry.host.text() + " is out (" + entry.purpose + " by " + entry.who + ")";
  if (other)
    brakes.wait("quorum", "of the quorum group " + quoted(*q.target.quorum) + " " + *other + ", and never two are out at once",
                "that host is back");
}

LedgerEntry entry_of(const LedgerHost& host, const LedgerAsk& ask, Instant now) {
  return {ask.id, host.host, host.pool, host.site, host.tenant, host.quorum, ask.who, ask.purpose, now, ask.deadline, false};
}

}  // namespace

Status check_options(const LedgerLimits& limits) {
  for (LedgerScope scope : kScopes) {
    const BudgetLimit& limit = limit_of(limits, scope);
    const std::string where = "the budget of level " + std::string(to_text(scope)) + ": ";
    if (limit.percent_max && (*limit.percent_max > 100 || scope == LedgerScope::kHost))
      return invalid_input(where + std::to_string(*limit.percent_max) + " % is no share of it");
    if (limit.rate_period <= Duration(0) || limit.rate_period > kRatePeriodMax)
      return invalid_input(where + "the period " + to_text(limit.rate_period) + " is not within 1ms to " +
                           to_text(kRatePeriodMax));
  }
  return {};
}

bool is_open(const LedgerEntry& entry, Instant now) { return !entry.released && ago(entry.since, now) < entry.deadline; }

Ledger tidied(Ledger ledger, Instant now) {
  for (LedgerEntry& entry : ledger.entries) entry.since = std::min(entry.since, now);
  std::erase_if(ledger.entries,
                [&](const LedgerEntry& entry) { return !is_open(entry, now) && ago(entry.since, now) >= kRatePeriodMax; });
  return ledger;
}

Ledger released(Ledger ledger, std::string_view id) {
  for (LedgerEntry& entry : ledger.entries)
    if (entry.id == id) entry.released = true;
  return ledger;
}

Result<Ledger> noted(Ledger ledger, const LedgerHost& host, const LedgerAsk& disruption, Instant now) {
  ledger = tidied(std::move(ledger), now);
  if (ledger.entries.size() >= kLedgerEntriesMax)
    return exhausted("the ledger has " + std::to_string(ledger.entries.size()) + " disruptions");
  ledger.entries.push_back(entry_of(host, disruption, now));
  return ledger;
}

LedgerTake take(Ledger ledger, const LedgerLimits& limits, const std::optional<std::vector<LedgerHost>>& fleet,
                const LedgerAsk& ask, Instant now) {
  LedgerTake taken{tidied(std::move(ledger), now), {}};
  Brakes brakes;
  const auto answer = [&]() -> LedgerTake {
    taken.verdict = std::move(brakes).verdict();
    return std::move(taken);
  };
  if (auto checked = check_options(limits); !checked) {
    brakes.deny("budget-options", "the budget can't be counted: " + checked.error().text(), "another budget");
    return answer();
  }
  if (ask.id.empty() || ask.deadline <= Duration(0) || ask.deadline > kDisruptionLongest) {
    brakes.deny("ledger-ask",
                "a disruption needs an id and an end within " + to_text(kDisruptionLongest) + ", not " + quoted(ask.id) +
                    " and " + to_text(ask.deadline),
                "an ask with both");
    return answer();
  }
  const auto known = std::ranges::find(taken.ledger.entries, ask.id, &LedgerEntry::id);
  if (known != taken.ledger.entries.end()) {
    if (known->host != ask.host || !is_open(*known, now))
      brakes.deny("ledger-id", quoted(ask.id) + " is in the ledger already, of " + known->host.text(), "a new id");
    return answer();
  }
  if (!fleet) {
    brakes.wait("fleet-unknown", "which hosts there are and which of them are up is not known", "the store answers");
    return answer();
  }
  const auto target = std::ranges::find(*fleet, ask.host, &LedgerHost::host);
  if (target == fleet->end()) {
    brakes.wait("host-unknown", ask.host.text() + " is not among the hosts of the fleet", "the host reports");
    return answer();
  }
  if (taken.ledger.entries.size() >= kLedgerEntriesMax)
    brakes.deny("ledger-full", "the ledger has " + std::to_string(taken.ledger.entries.size()) + " disruptions",
                "some of them are a day old");
  const Question question{taken.ledger, *fleet, *target, now};
  quorum(question, brakes);
  for (LedgerScope scope : kScopes) {
    const BudgetLimit& limit = limit_of(limits, scope);
    if (scope != LedgerScope::kHost)
      group_count(question, scope, limit, brakes);
    else if (limit.count_max)
      host_count(question, *limit.count_max, brakes);
    rate(question, scope, limit, brakes);
  }
  if (brakes.empty()) taken.ledger.entries.push_back(entry_of(*target, ask, now));
  return answer();
}

}  // namespace prunella
