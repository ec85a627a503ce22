#include "plan/planner.h"

#include <gtest/gtest.h>

#include "../tests/support/sample_host.h"
#include "model/finding.h"

namespace prunella {
namespace {

using sample::kHost;
using sample::kNow;

Result<Plan> planned(const HostFacts& facts, const PlannerOptions& options = {}) {
  return plan_security_updates(kHost, facts, options, kNow);
}

const PackageTransaction& transaction(const Plan& plan) { return *plan.actions.back().transaction; }

std::vector<std::string> names(const std::vector<PackageChange>& changes) {
  std::vector<std::string> out;
  for (const PackageChange& change : changes) out.push_back(change.package.text());
  return out;
}

Update& update_of(HostFacts& facts, const std::string& name) {
  return *std::ranges::find_if(facts.updates->value->updates, [&](const Update& u) { return u.package.name == name; });
}

TEST(PlanSecurityUpdates, IsTheExactTransaction) {
  auto plan = planned(sample::facts());

  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_TRUE(check_plan(*plan));
  ASSERT_EQ(plan->actions.size(), 1u);
  const PackageTransaction& t = transaction(*plan);
  EXPECT_EQ(names(t.changes), (std::vector<std::string>{"libssl3:amd64", "openssl:amd64"}));
  EXPECT_EQ(t.changes[0].from_version, "3.0.15-1~deb12u1");
  EXPECT_EQ(t.changes[0].from, sample::file_of("libssl3", "3.0.15-1~deb12u1"));
  EXPECT_EQ(t.changes[0].to, sample::file_of("libssl3", "3.0.17-1~deb12u2"));
  EXPECT_EQ(t.restarts, (std::vector<std::string>{"nginx.service", "postfix.service"}));
  EXPECT_EQ(t.not_restarted, (std::vector<std::string>{"systemd-resolved.service"}));
  EXPECT_EQ(plan->findings, (std::vector<FindingId>{finding_id(kHost, FindingKind::kMissingSecurityUpdate, "openssl")}));
  EXPECT_EQ(plan->download_bytes, 4'000'000u);
  EXPECT_EQ(plan->reboot_after, RebootNeed::kNo);
  EXPECT_FALSE(plan->irreversible);
  EXPECT_TRUE(plan->removals.empty());
  EXPECT_EQ(plan->expectation.stable_for, Duration(10'000));
  EXPECT_TRUE(plan->expectation.health_command);
  EXPECT_EQ(plan->deadline, std::chrono::minutes(31)) << "30 min and 4 s + 12 s + 20 s, rounded up";
}

TEST(PlanSecurityUpdates, IsTheSameForEqualInput) {
  HostFacts turned = sample::facts();
  std::ranges::reverse(turned.updates->value->updates);

  EXPECT_EQ(to_canonical_text(*planned(sample::facts())), to_canonical_text(*planned(sample::facts())));
  EXPECT_EQ(*planned(turned), *planned(sample::facts()));
}

TEST(PlanSecurityUpdates, CountsSpaceByFilesystemWithAReserve) {
  HostFacts facts = sample::facts();
  auto plan = planned(facts);
  ASSERT_EQ(plan->space.size(), 1u);
  std::uint64_t usr = 3'000 * 1024 + 2 * (3'000 * 1024 / 10);  // the largest whole, a tenth of each
  EXPECT_EQ(plan->space[0], (SpaceNeed{"/", kSpaceReserveBytes + 2 * 4'000'000 + usr, 8'000'000'000}));

  facts.disk->value->filesystems.push_back({"/var", 1'000'000'000, 50'000'000, 1'000, false});
  facts.disk->value->filesystems.push_back({"/variety", 1'000'000'000, 1, 1'000, false});
  plan = planned(facts);
  ASSERT_EQ(plan->space.size(), 2u);
  EXPECT_EQ(plan->space[1], (SpaceNeed{"/var", kSpaceReserveBytes + 2 * 4'000'000, 50'000'000}));
}

HostFacts with_kernel() {
  HostFacts facts = sample::facts();
  auto& updates = facts.updates->value->updates;
  updates = {sample::update("linux-image-6.1.0-41-amd64", "", "6.1.158-1", "linux-signed-amd64"),
             sample::update("linux-image-amd64", "6.1.153-1", "6.1.158-1", "linux-signed-amd64")};
  facts.packages->value->packages.push_back(sample::package("linux-image-amd64", "6.1.153-1", "linux-signed-amd64"));
  return facts;
}

TEST(PlanSecurityUpdates, BringsTheNewKernelWithItsMetapackageAndAsksForAReboot) {
  auto plan = planned(with_kernel());

  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(names(transaction(*plan).changes),
            (std::vector<std::string>{"linux-image-6.1.0-41-amd64:amd64", "linux-image-amd64:amd64"}));
  EXPECT_FALSE(transaction(*plan).changes[0].from_version);
  EXPECT_EQ(plan->reboot_after, RebootNeed::kYes);
  EXPECT_EQ(plan->space[1].mount, "/boot");
  EXPECT_EQ(plan->space[1].needed_bytes, kBootPerKernelBytes + kSpaceReserveBytes);
  EXPECT_FALSE(plan->irreversible) << "a new package has no old file, and is purged";
}

TEST(PlanSecurityUpdates, AContainersKernelIsItsHostsAndAnUnknownSystemIsUnknown) {
  HostFacts facts = with_kernel();
  facts.system->value->container = "systemd-nspawn";
  EXPECT_EQ(planned(facts)->reboot_after, RebootNeed::kNo);
  facts.system.reset();
  EXPECT_EQ(planned(facts)->reboot_after, RebootNeed::kUnknown);
  facts = sample::facts();
  facts.kernel.reset();
  EXPECT_EQ(planned(facts)->reboot_after, RebootNeed::kUnknown);
}

TEST(PlanSecurityUpdates, TheCLibraryNeedsAReboot) {
  HostFacts facts = sample::facts();
  facts.packages->value->packages.push_back(sample::package("libc6", "2.36-9+deb12u9", "glibc"));
  facts.updates->value->updates.push_back(sample::update("libc6", "2.36-9+deb12u9", "2.36-9+deb12u13", "glibc"));

  EXPECT_EQ(planned(facts)->reboot_after, RebootNeed::kYes);
}

TEST(PlanSecurityUpdates, TakesExactlyWhatAptSaysIsNeeded) {
  HostFacts facts = sample::facts();
  Update helper = sample::update("tzdata", "2024b-0+deb12u1", "2025a-0+deb12u1", "tzdata");
  helper.security = false;
  Update added = sample::update("libnew1", "", "1.0-1", "new");
  Update other = sample::update("libother1", "", "1.0-1", "other");
  for (const Update& u : {helper, added, other}) facts.updates->value->updates.push_back(u);
  for (const char* name : {"libssl3", "openssl"}) update_of(facts, name).needs.emplace();
  update_of(facts, "openssl").needs->push_back("libnew1:amd64");
  update_of(facts, "libnew1").needs = {{"tzdata:amd64"}};

  auto plan = planned(facts);

  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(names(transaction(*plan).changes),
            (std::vector<std::string>{"libnew1:amd64", "libssl3:amd64", "openssl:amd64", "tzdata:amd64"}));
}

TEST(PlanSecurityUpdates, LeavesOutUpdatesThatAreNotForSecurity) {
  HostFacts facts = sample::facts();
  Update plain = sample::update("tzdata", "2024b-0+deb12u1", "2025a-0+deb12u1", "tzdata");
  plain.security = false;
  facts.updates->value->updates.push_back(plain);

  EXPECT_EQ(names(transaction(*planned(facts)).changes), (std::vector<std::string>{"libssl3:amd64", "openssl:amd64"}));
}

TEST(PlanSecurityUpdates, LeavesBlockedOnesAloneAndDoesNotPromiseToClearTheirFinding) {
  HostFacts facts = sample::facts();
  update_of(facts, "libssl3").block = Block{BlockKind::kHeld, "held by apt-mark"};

  auto plan = planned(facts);

  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(names(transaction(*plan).changes), (std::vector<std::string>{"openssl:amd64"}));
  EXPECT_TRUE(plan->findings.empty());
}

TEST(PlanSecurityUpdates, LeavesOutWhatNeedsABlockedOne) {
  HostFacts facts = sample::facts();
  update_of(facts, "libssl3").block = Block{BlockKind::kHeld, "held by apt-mark"};
  update_of(facts, "openssl").needs = {{"libssl3:amd64"}};

  auto plan = planned(facts);

  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kDenied);
  EXPECT_NE(plan.error().text().find("held by apt-mark"), std::string::npos);
  EXPECT_NE(plan.error().text().find("openssl:amd64 needs libssl3:amd64"), std::string::npos) << plan.error().text();
}

TEST(PlanSecurityUpdates, LeavesOutWhatNeedsSomethingThatNoArchiveOffers) {
  HostFacts facts = sample::facts();
  for (Update& u : facts.updates->value->updates) u.needs = {{"libgone:amd64"}};

  auto plan = planned(facts);

  EXPECT_EQ(plan.error().kind(), ErrorKind::kDenied);
  EXPECT_NE(plan.error().text().find("libgone"), std::string::npos);
}

TEST(PlanSecurityUpdates, NeverPartsThePackagesOfSeveralArchitectures) {
  HostFacts facts = sample::facts();
  Package twin = sample::package("libssl3", "3.0.15-1~deb12u1", "openssl");
  twin.package.arch = "i386";
  facts.packages->value->packages.push_back(twin);

  auto alone = planned(facts);
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().kind(), ErrorKind::kDenied);
  EXPECT_NE(alone.error().text().find("would part from libssl3:i386"), std::string::npos) << alone.error().text();

  Update both = update_of(facts, "libssl3");
  both.package.arch = "i386";
  facts.updates->value->updates.push_back(both);
  auto together = planned(facts);
  ASSERT_TRUE(together) << together.error().text();
  EXPECT_EQ(transaction(*together).changes.size(), 3u);
}

TEST(PlanSecurityUpdates, WithoutAnOldFileSaysThatThereIsNoWayBack) {
  HostFacts facts = sample::facts();
  update_of(facts, "openssl").from.reset();

  auto plan = planned(facts);

  EXPECT_EQ(plan->irreversible, "no archive and no cache has the old file of openssl:amd64 3.0.15-1~deb12u1");
  EXPECT_EQ(blast_class(*plan), BlastClass::kIrreversible);
}

TEST(PlanSecurityUpdates, RepairsAnInterruptedDpkgFirst) {
  HostFacts facts = sample::facts();
  facts.packages->value->packages[1].state = PackageState::kHalfConfigured;  // nginx: is only to be configured
  facts.packages->value->packages[2].reinst_required = true;  // openssl: is to be unpacked, its old file is at hand

  auto plan = planned(facts);

  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_EQ(plan->actions.size(), 2u);
  EXPECT_EQ(plan->actions[0].kind, ActionKind::kDpkgRepair);
  const auto& repaired = plan->actions[0].repair->packages;
  EXPECT_EQ(names(repaired), (std::vector<std::string>{"nginx:amd64", "openssl:amd64"}));
  EXPECT_EQ(repaired[0].to.sha256, Digest{});
  EXPECT_EQ(repaired[1].to, sample::file_of("openssl", "3.0.15-1~deb12u1"));
  EXPECT_EQ(plan->findings.size(), 4u);
  EXPECT_EQ(plan->purpose, "repair of dpkg, then security updates");
}

TEST(PlanSecurityUpdates, RepairsDpkgWithoutAnyUpdate) {
  HostFacts facts = sample::facts();
  facts.updates->value->updates.clear();
  facts.packages->value->updates_pending = true;

  auto plan = planned(facts);

  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_EQ(plan->actions.size(), 1u);
  EXPECT_TRUE(plan->actions[0].repair->packages.empty());
  EXPECT_EQ(plan->findings, (std::vector<FindingId>{finding_id(kHost, FindingKind::kInterruptedDpkg, "dpkg")}));
}

TEST(PlanSecurityUpdates, SaysWhenNothingCanUnpackAHalfInstalledPackage) {
  HostFacts facts = sample::facts();
  facts.packages->value->packages[3].state = PackageState::kHalfInstalled;  // tzdata: no archive has its file

  auto plan = planned(facts);

  EXPECT_EQ(plan.error().kind(), ErrorKind::kUnavailable);
  EXPECT_NE(plan.error().text().find("tzdata:amd64 2024b-0+deb12u1"), std::string::npos);
}

TEST(PlanSecurityUpdates, NothingToDoIsNotFoundWithTheDateOfTheLists) {
  HostFacts facts = sample::facts();
  facts.updates->value->updates.clear();
  EXPECT_EQ(planned(facts).error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(planned(facts).error().text().find("2026-11-24T02:30:00"), std::string::npos);

  EXPECT_EQ(planned(sample::facts(), {.only_sources = std::set<std::string>{"nginx"}}).error().kind(), ErrorKind::kNotFound);

  facts = sample::facts();
  for (Package& p : facts.packages->value->packages)
    if (p.source == "openssl") p.version = "3.0.17-1~deb12u2";
  EXPECT_EQ(planned(facts).error().kind(), ErrorKind::kNotFound);
}

TEST(PlanSecurityUpdates, NeedsFactsThatAreKnownFreshAndOfOneMoment) {
  auto refused = [](auto change) {
    HostFacts facts = sample::facts();
    change(facts);
    auto plan = planned(facts);
    return !plan && plan.error().kind() == ErrorKind::kUnavailable;
  };
  EXPECT_TRUE(refused([](HostFacts& f) { f.packages.reset(); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.updates.reset(); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.processes.reset(); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.disk.reset(); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.updates = not_sensed<UpdateFacts>("no lists", kNow); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.updates->value->lists_at.reset(); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.updates->value->lists_at = kNow - kFactsAgeMax - Duration(1); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.packages->at = kNow - kFactsAgeMax - Duration(1); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.packages->at = kNow + std::chrono::hours(24 * 3650); }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.packages->value->packages[0].version = "3.0.16-1"; }));
  EXPECT_TRUE(refused([](HostFacts& f) { f.disk->value->filesystems.clear(); }));
  EXPECT_FALSE(refused([](HostFacts& f) { f.units.reset(); }));
  EXPECT_FALSE(refused([](HostFacts& f) { f.kernel.reset(); }));
}

TEST(PlanSecurityUpdates, DoesNotRestartWhatIsNotActive) {
  HostFacts facts = sample::facts();
  facts.units->value->units[1].active = "failed";  // nginx

  const auto plan = planned(facts);

  EXPECT_EQ(transaction(*plan).restarts, (std::vector<std::string>{"postfix.service"}));
  EXPECT_EQ(transaction(*plan).not_restarted, (std::vector<std::string>{"nginx.service", "systemd-resolved.service"}));
}

TEST(PlanSecurityUpdates, CarriesThePredictedConffiles) {
  HostFacts facts = sample::facts();
  update_of(facts, "openssl").conffiles = {{{"/etc/ssl/openssl.cnf", {"openssl", "amd64"}, ConffileFate::kKept}}};

  const auto plan = planned(facts);

  ASSERT_EQ(transaction(*plan).conffiles.size(), 1u);
  EXPECT_EQ(transaction(*plan).conffiles[0].fate, ConffileFate::kKept);
}

TEST(PlanSecurityUpdates, RefusesMoreThanAPlanMayHold) {
  HostFacts facts = sample::facts();
  for (std::size_t i = 0; i <= kPlanPackagesMax; ++i) {
    std::string name = "lib" + std::to_string(i);
    facts.packages->value->packages.push_back(sample::package(name, "1-1", "big"));
    facts.updates->value->updates.push_back(sample::update(name, "1-1", "1-2", "big"));
    facts.updates->value->updates.back().needs.emplace();
  }

  EXPECT_EQ(planned(facts).error().kind(), ErrorKind::kExhausted);
}

HostFacts stale(std::initializer_list<const char*> units) {
  HostFacts facts = sample::facts();
  std::int64_t pid = 100;
  for (const char* unit : units) facts.processes->value->stale.push_back({pid++, 1, "x", unit, false, {"/usr/lib/libssl.so.3"}});
  return facts;
}

TEST(PlanRestarts, RestartsEachUnitOnce) {
  auto plan = plan_restarts(kHost, stale({"postfix.service", "nginx.service", "nginx.service", "dbus.service"}), {}, kNow);

  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_EQ(plan->actions.size(), 2u);
  EXPECT_EQ(plan->actions[0].restart->unit, "nginx.service");
  EXPECT_EQ(plan->actions[0].restart->reason, "it runs code from /usr/lib/libssl.so.3, which was replaced");
  EXPECT_EQ(plan->actions[1].restart->unit, "postfix.service");
  EXPECT_EQ(plan->findings.size(), 2u);
}

TEST(PlanRestarts, DeniesWhatIsNeverRestartedAndFindsNothingWhereNothingIs) {
  auto never = plan_restarts(kHost, stale({"dbus.service", "user@1000.service"}), {}, kNow);
  EXPECT_EQ(never.error().kind(), ErrorKind::kDenied);
  EXPECT_NE(never.error().text().find("dbus.service, user@1000.service"), std::string::npos) << never.error().text();

  HostFacts session = sample::facts();
  session.processes->value->stale = {{1, 1, "bash", "user@1000.service", true, {"/bin/bash"}}};
  EXPECT_EQ(plan_restarts(kHost, session, {}, kNow).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(plan_restarts(kHost, sample::facts(), {}, kNow).error().kind(), ErrorKind::kNotFound);
  session.units.reset();
  EXPECT_EQ(plan_restarts(kHost, session, {}, kNow).error().kind(), ErrorKind::kUnavailable);
}

TEST(PlanRestarts, LeavesTheRestToTheNextPlan) {
  HostFacts facts = sample::facts();
  for (int i = 10; i < 30; ++i) {
    std::string unit = "app-" + std::to_string(i) + ".service";
    facts.processes->value->stale.push_back({i, 1, "app", unit, false, {"/x"}});
    facts.units->value->units.push_back({unit, "loaded", "active", "running", "success", 0, "a"});
  }

  auto plan = plan_restarts(kHost, facts, {}, kNow);

  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->actions.size(), kPlanActionsMax);
  auto one = plan_restarts(kHost, facts, {.only_units = std::set<std::string>{"app-29.service"}}, kNow);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->actions.size(), 1u);
}

TEST(PlanUndo, TakesAPlanBack) {
  Plan done = *planned(sample::facts());
  HostFacts after = sample::facts();
  for (Package& p : after.packages->value->packages)
    if (p.source == "openssl") p.version = "3.0.17-1~deb12u2";

  auto undo = plan_undo(done, after, {}, kNow);

  ASSERT_TRUE(undo) << undo.error().text();
  const PackageChange& change = transaction(*undo).changes[0];
  EXPECT_EQ(change.from_version, "3.0.17-1~deb12u2");
  EXPECT_EQ(change.from, sample::file_of("libssl3", "3.0.17-1~deb12u2"));
  EXPECT_EQ(change.to, sample::file_of("libssl3", "3.0.15-1~deb12u1"));
  EXPECT_EQ(transaction(*undo).restarts, (std::vector<std::string>{"nginx.service", "postfix.service"}));
  EXPECT_EQ(undo->purpose, "taking back: security updates");
}

TEST(PlanUndo, RefusesAWorldThatMovedAndWhatHasNoWayBack) {
  Plan done = *planned(sample::facts());
  EXPECT_EQ(plan_undo(done, sample::facts(), {}, kNow).error().kind(), ErrorKind::kConflict);

  Plan lost = done;
  lost.actions[0].transaction->changes[0].from.reset();
  EXPECT_EQ(plan_undo(lost, sample::facts(), {}, kNow).error().kind(), ErrorKind::kDenied);

  Plan restarts = *plan_restarts(kHost, stale({"postfix.service"}), {}, kNow);
  EXPECT_EQ(plan_undo(restarts, sample::facts(), {}, kNow).error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace prunella
