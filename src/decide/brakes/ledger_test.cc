#include "decide/brakes/ledger.h"

#include <gtest/gtest.h>

#include "../tests/support/verdict_codes.h"

namespace prunella {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Instant kNow{hours(24 * 20'000)};

using Fleet = std::vector<LedgerHost>;

HostId host_number(int i) { return HostId("web-" + std::to_string(i)); }
/// Twenty hosts, ten in each of the pools 'a' and 'b'; two sites and two tenants across them.
Fleet twenty() {
  Fleet fleet;
  for (int i = 0; i < 20; ++i)
    fleet.push_back({host_number(i), i < 10 ? "a" : "b", i % 2 == 0 ? "even" : "odd", i % 4 < 2 ? "x" : "y", {}, true});
  return fleet;
}
LedgerAsk ask_for(int host, const std::string& id = "") {
  return {id.empty() ? "RUN-" + std::to_string(host) : id, host_number(host), "heal-unit", "restart", minutes(30)};
}
LedgerLimits no_limits() {
  LedgerLimits limits;
  limits.host = limits.pool = limits.fleet = {};
  return limits;
}

/// A ledger, its limits and its fleet, asked one host after the other.
struct Desk {
  LedgerLimits limits = no_limits();
  std::optional<Fleet> fleet = twenty();
  Ledger ledger;
  Instant now = kNow;

  Verdict ask(int host, const std::string& id = "") {
    LedgerTake taken = take(ledger, limits, fleet, ask_for(host, id), now);
    ledger = std::move(taken.ledger);
    return taken.verdict;
  }
  std::string codes(int host, const std::string& id = "") { return codes_of(ask(host, id)); }
};

TEST(Ledger, WithoutALimitEverythingIsAllowedAndWrittenDown) {
  Desk desk;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(desk.codes(i), "");
  EXPECT_EQ(desk.ledger.entries.size(), 20u);
  EXPECT_EQ(desk.ledger.entries[3].who, "heal-unit");
}

TEST(Ledger, ADisruptionMoreThanTheCountWaitsAndIsNotWrittenDown) {
  Desk desk;
  desk.limits.pool.count_max = 2;
  EXPECT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(1), "");

  const Verdict verdict = desk.ask(2);

  EXPECT_EQ(codes_of(verdict), "budget-pool");
  EXPECT_EQ(verdict.kind, VerdictKind::kWait);
  EXPECT_EQ(desk.ledger.entries.size(), 2u);
  EXPECT_EQ(desk.codes(10), "") << "the other pool";
}

TEST(Ledger, EachLevelCountsItsOwn) {
  struct Row {
    BudgetLimit LedgerLimits::*level;
    int same, other;
    const char* code;
  };
  for (const Row& row : {Row{&LedgerLimits::pool, 1, 10, "budget-pool"}, Row{&LedgerLimits::site, 10, 1, "budget-site"},
                         Row{&LedgerLimits::tenant, 1, 2, "budget-tenant"}}) {
    Desk desk;
    (desk.limits.*row.level).count_max = 1;
    ASSERT_EQ(desk.codes(0), "");
    EXPECT_EQ(desk.codes(row.same), row.code);
    EXPECT_EQ(desk.codes(row.other), "");
  }
  Desk desk;
  desk.limits.fleet.count_max = 1;
  ASSERT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(13), "budget-fleet");
}

TEST(Ledger, AHostHasOneDisruptionAtATime) {
  Desk desk;
  desk.limits.host.count_max = 1;
  ASSERT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(0, "RUN-other"), "budget-host");
  desk.ledger = released(desk.ledger, "RUN-0");
  EXPECT_EQ(desk.codes(0, "RUN-other"), "");
}

TEST(Ledger, IsAllOrNothingOverTheLevels) {
  Desk desk;
  desk.limits.pool.count_max = 5;
  desk.limits.fleet.rate_max = 1;
  ASSERT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(1), "rate-fleet");
  desk.limits.fleet.rate_max = 50;
  for (int i = 1; i < 5; ++i) EXPECT_EQ(desk.codes(i), "") << "the refused ask took nothing of the pool";
  EXPECT_EQ(desk.codes(5), "budget-pool");
}

TEST(Ledger, APercentageIsRoundedDownButOneAtATimeIsAlwaysPossible) {
  Desk desk;
  desk.limits.pool.percent_max = 29;
  EXPECT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(1), "");
  EXPECT_EQ(desk.codes(2), "budget-pool");
  desk.limits.pool.percent_max = 1;
  EXPECT_EQ(desk.codes(10), "");
  EXPECT_EQ(desk.codes(11), "budget-pool");
}

TEST(Ledger, TheSmallerOfCountAndPercentageHolds) {
  Desk desk;
  desk.limits.pool = {3, 20, {}, hours(1)};
  EXPECT_EQ(desk.codes(0) + desk.codes(1), "");
  EXPECT_EQ(desk.codes(2), "budget-pool");
  Desk other;
  other.limits.pool = {1, 20, {}, hours(1)};
  EXPECT_EQ(other.codes(0), "");
  EXPECT_EQ(other.codes(1), "budget-pool");
}

TEST(Ledger, HostsThatAreDownOrUnknownCountAgainstTheBudget) {
  for (std::optional<bool> available : {std::optional<bool>(false), std::optional<bool>()}) {
    Desk desk;
    desk.limits.pool.percent_max = 10;
    (*desk.fleet)[7].available = available;
    EXPECT_EQ(desk.codes(0), "budget-pool");
    EXPECT_EQ(desk.codes(7), "") << "the host that is down already costs no more";
    EXPECT_EQ(desk.codes(10), "");
  }
}

TEST(Ledger, AHostThatIsDownAndDisruptedCountsOnce) {
  Desk desk;
  desk.limits.pool.count_max = 2;
  (*desk.fleet)[7].available = false;
  EXPECT_EQ(desk.codes(7), "");
  EXPECT_EQ(desk.codes(0), "");
}

TEST(Ledger, ARateComesBackByTimeAndNotByTheEndOfADisruption) {
  Desk desk;
  desk.limits.fleet.rate_max = 2;
  EXPECT_EQ(desk.codes(0) + desk.codes(1), "");
  desk.ledger = released(released(desk.ledger, "RUN-0"), "RUN-1");
  desk.now = kNow + hours(1) - Duration(1);
  EXPECT_EQ(desk.codes(2), "rate-fleet");
  desk.now = kNow + hours(1);
  EXPECT_EQ(desk.codes(2), "");
}

TEST(Ledger, NoStretchOfThePeriodSeesMoreThanTheRate) {
  Desk desk;
  desk.limits.fleet.rate_max = 5;
  std::vector<Instant> taken;
  for (int i = 0; i < 600; ++i) {
    desk.now = kNow + minutes(i);
    if (desk.codes(i % 20, "RUN-" + std::to_string(1'000 + i)).empty()) taken.push_back(desk.now);
  }
  ASSERT_EQ(taken.size(), 50u);
  for (std::size_t i = 5; i < taken.size(); ++i) EXPECT_GE(taken[i] - taken[i - 5], hours(1));
}

TEST(Ledger, APersonsRebootCountsForAllWhoAskLater) {
  Desk desk;
  desk.limits.pool.count_max = 1;
  desk.limits.fleet.rate_max = 2;
  desk.ledger = *noted(desk.ledger, (*desk.fleet)[3], {"ada-1", host_number(3), "ada", "reboot", minutes(10)}, kNow);

  const Verdict verdict = desk.ask(0);
  EXPECT_EQ(codes_of(verdict), "budget-pool");
  EXPECT_NE(verdict.reasons[0].text.find("web-3 (reboot by ada)"), std::string::npos) << verdict.reasons[0].text;
  EXPECT_EQ(desk.codes(10), "");
  EXPECT_EQ(desk.codes(0), "budget-pool,rate-fleet");
}

TEST(Ledger, ADisruptionEndsAtItsDeadlineEvenIfNobodySaysSo) {
  Desk desk;
  desk.limits.pool.count_max = 1;
  ASSERT_EQ(desk.codes(0), "");
  desk.now = kNow + minutes(30) - Duration(1);
  EXPECT_EQ(desk.codes(1), "budget-pool");
  desk.now = kNow + minutes(30);
  EXPECT_EQ(desk.codes(1), "");
}

TEST(Ledger, ReleasingMakesRoom) {
  Desk desk;
  desk.limits.pool.count_max = 1;
  ASSERT_EQ(desk.codes(0), "");
  desk.ledger = released(desk.ledger, "RUN-unknown");
  EXPECT_EQ(desk.codes(1), "budget-pool");
  desk.ledger = released(desk.ledger, "RUN-0");
  EXPECT_EQ(desk.codes(1), "");
}

TEST(Ledger, NeverTwoOfOneQuorumGroup) {
  Desk desk;
  for (int i : {0, 5, 15}) (*desk.fleet)[i].quorum = "etcd";
  ASSERT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(15), "quorum") << "in another pool, too";
  EXPECT_EQ(desk.codes(1), "") << "not of the group";
  desk.ledger = released(desk.ledger, "RUN-0");
  (*desk.fleet)[5].available.reset();
  EXPECT_EQ(desk.codes(15), "quorum") << "whether the third is up isn't known";
  EXPECT_EQ(desk.codes(5), "") << "that one itself may be healed";
}

TEST(Ledger, TheSameAskAgainIsAllowedAndTakenOnce) {
  Desk desk;
  desk.limits.pool.count_max = 1;
  EXPECT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.ledger.entries.size(), 1u);
}

TEST(Ledger, AnIdIsUsedOnce) {
  Desk desk;
  ASSERT_EQ(desk.codes(0), "");
  EXPECT_EQ(desk.codes(1, "RUN-0"), "ledger-id");
  desk.ledger = released(desk.ledger, "RUN-0");
  const Verdict verdict = desk.ask(0);
  EXPECT_EQ(codes_of(verdict), "ledger-id") << "an answer that comes late must not begin it anew";
  EXPECT_EQ(verdict.kind, VerdictKind::kDeny);
}

TEST(Ledger, ALimitOfNothingIsADenial) {
  Desk desk;
  desk.limits.pool.percent_max = 0;
  desk.limits.fleet.rate_max = 0;
  desk.limits.host.count_max = 0;
  const Verdict verdict = desk.ask(0);
  EXPECT_EQ(verdict.kind, VerdictKind::kDeny);
  EXPECT_EQ(codes_of(verdict), "budget-host,budget-pool,rate-fleet");
  for (const VerdictReason& reason : verdict.reasons) EXPECT_EQ(reason.kind, VerdictKind::kDeny);
}

TEST(Ledger, WhatIsNotKnownIsWaitedFor) {
  Desk desk;
  EXPECT_EQ(desk.codes(20), "host-unknown");
  desk.fleet.reset();
  EXPECT_EQ(desk.codes(0), "fleet-unknown");
  EXPECT_EQ(desk.ask(0).kind, VerdictKind::kWait);
  EXPECT_TRUE(desk.ledger.entries.empty());
}

TEST(Ledger, ADisruptionFromTheFutureHasJustBegun) {
  Desk desk;
  desk.limits.pool.count_max = 1;
  desk.limits.fleet.rate_max = 1;
  ASSERT_EQ(desk.codes(0), "");
  desk.now = kNow - hours(24 * 3650);
  EXPECT_EQ(desk.codes(1), "budget-pool,rate-fleet");
  desk.now += hours(1);
  EXPECT_EQ(desk.codes(1), "") << "and it ends from here on";
}

TEST(Ledger, AsksAndLimitsThatCannotBeCountedAreDenied) {
  LedgerLimits too_much, of_a_host, no_period, long_period;
  too_much.site.percent_max = 101;
  of_a_host.host.percent_max = 10;
  no_period.fleet.rate_period = Duration(0);
  long_period.fleet.rate_period = kRatePeriodMax + Duration(1);
  for (const LedgerLimits& limits : {too_much, of_a_host, no_period, long_period}) {
    const Verdict verdict = take({}, limits, twenty(), ask_for(0), kNow).verdict;
    EXPECT_EQ(codes_of(verdict), "budget-options");
    EXPECT_EQ(verdict.kind, VerdictKind::kDeny);
  }
  LedgerAsk nameless = ask_for(0), endless = ask_for(0), without_end = ask_for(0);
  nameless.id.clear();
  endless.deadline = kDisruptionLongest + Duration(1);
  without_end.deadline = Duration(0);
  for (const LedgerAsk& ask : {nameless, endless, without_end})
    EXPECT_EQ(codes_of(take({}, {}, twenty(), ask, kNow).verdict), "ledger-ask");
  EXPECT_TRUE(check_options({}));
}

TEST(Ledger, IsTidiedAndNeverLongerThanItsLimit) {
  Desk desk;
  ASSERT_EQ(desk.codes(0), "");
  EXPECT_EQ(tidied(desk.ledger, kNow + kRatePeriodMax - Duration(1)).entries.size(), 1u);
  EXPECT_EQ(tidied(desk.ledger, kNow + kRatePeriodMax).entries.size(), 0u);
  LedgerEntry entry = desk.ledger.entries[0];
  entry.deadline = kDisruptionLongest;
  desk.ledger.entries = {entry};
  EXPECT_EQ(tidied(desk.ledger, kNow + kRatePeriodMax).entries.size(), 1u) << "it's still open";
  desk.ledger.entries.assign(kLedgerEntriesMax, entry);
  EXPECT_EQ(desk.codes(1), "ledger-full");
  EXPECT_EQ(noted(desk.ledger, twenty()[1], ask_for(1), kNow).error().kind(), ErrorKind::kExhausted);
}

TEST(Ledger, ReadsBackAsItWasWritten) {
  Desk desk;
  (*desk.fleet)[0].quorum = "etcd";
  desk.ask(0), desk.ask(1);
  EXPECT_EQ(*from_json<Ledger>(to_json(desk.ledger)), desk.ledger);
  EXPECT_EQ(*from_json<LedgerLimits>(to_json(LedgerLimits{})), LedgerLimits{});
}

}  // namespace
}  // namespace prunella
