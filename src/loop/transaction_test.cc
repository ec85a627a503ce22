#include "loop/transaction.h"

#include <gtest/gtest.h>

#include "../tests/support/model_host.h"

namespace prunella {
namespace {

using testing::Killed;
using testing::model_deb;
using testing::ModelHost;
using testing::ModelPackage;

const ModelPackage kSslOld = {{"libssl3", "amd64"}, "1-1", {{"/usr/lib/libssl.so.3", "old ssl"}, {"/usr/share/doc/libssl3/old", "doc"}}};
const ModelPackage kSslNew = {{"libssl3", "amd64"}, "1-2", {{"/usr/lib/libssl.so.3", "new ssl"}, {"/usr/lib/libssl-extra.so", "extra"}}};
const ModelPackage kToolOld = {{"openssl", "amd64"}, "1-1", {{"/usr/bin/openssl", "old tool"}, {"/etc/ssl/openssl.cnf", "conffile"}}};
const ModelPackage kToolNew = {{"openssl", "amd64"}, "1-2", {{"/usr/bin/openssl", "new tool"}, {"/etc/ssl/openssl.cnf", "new conffile"}}};
const ModelPackage kAdded = {{"libextra", "amd64"}, "2-1", {{"/usr/lib/libextra.so", "added"}}};
const ModelPackage kOther = {{"bash", "amd64"}, "5-1", {{"/bin/bash", "shell"}}};

ModelHost fresh_host() {
  ModelHost host;
  for (const ModelPackage& package : {kSslOld, kSslNew, kToolOld, kToolNew, kAdded}) host.archive[model_deb(package).sha256] = package;
  for (const ModelPackage& package : {kSslOld, kToolOld, kOther}) {
    host.install(package);
    host.own(package);
    for (const auto& [path, content] : package.files) host.put(path, content);
  }
  host.put("/etc/ssl/openssl.cnf", "changed by hand");
  host.add_unit("nginx.service");
  host.add_unit("cron.service");
  host.after_upgrade = [](ModelHost& h) { h.stale_units.insert("nginx.service"); };
  return host;
}

AcceptedRun upgrade(bool with_added = false) {
  AcceptedRun run;
  run.run = RunId("RUN-1");
  run.host = HostId("web-1");
  run.cause = "order";
  run.sequence = 1;
  Action action;
  action.transaction = PackageTransaction{};
  if (with_added) action.transaction->changes.push_back({kAdded.name, std::nullopt, std::nullopt, model_deb(kAdded)});
  action.transaction->changes.push_back({kSslOld.name, "1-1", model_deb(kSslOld), model_deb(kSslNew)});
  action.transaction->changes.push_back({kToolOld.name, "1-1", model_deb(kToolOld), model_deb(kToolNew)});
  action.transaction->restarts = {"nginx.service"};
  run.plan.host = run.host;
  run.plan.actions = {action};
  run.plan.expectation.stable_for = std::chrono::seconds(10);
  run.plan.deadline = std::chrono::minutes(30);
  run.digest = digest_of(run.plan);
  return run;
}

RunOutcome run_on(ModelHost& host, AcceptedRun run = upgrade()) {
  Journal journal = *Journal::open(host, host.now());
  Transaction transaction(host.tools(), journal, nullptr, nullptr);
  return transaction.run(std::move(run));
}

/// One start of an executor: ends what is open.
std::optional<RunOutcome> start_on(ModelHost& host) {
  host.holder.reset();
  auto journal = Journal::open(host, host.now());
  EXPECT_TRUE(journal) << journal.error().text();
  Transaction transaction(host.tools(), *journal, nullptr, nullptr);
  return transaction.recover();
}

bool all_old(const ModelHost& host) {
  ModelHost was = fresh_host();
  return host.database == was.database && host.disk == was.disk;
}

bool all_new(const ModelHost& host) {
  for (const ModelPackage& package : {kSslNew, kToolNew})
    for (const auto& [path, content] : package.files)
      if (!host.disk.contains(path)) return false;
  bool leftover = std::ranges::any_of(host.disk, [](const auto& file) { return file.first.find(".dpkg-") != std::string::npos; });
  auto at = [&](const PackageName& name) { return table_of(host.database).at(name.text()); };
  return !leftover && at(kSslNew.name) == "1-2 installed" && at(kToolNew.name) == "1-2 installed";
}

TEST(Transaction, VerifiesAnUpgradeAndRestartsWhatRunsOldCodeOnce) {
  ModelHost host = fresh_host();
  RunOutcome outcome = run_on(host);
  EXPECT_EQ(outcome.state, RunState::kVerified) << outcome.reason;
  EXPECT_TRUE(all_new(host));
  EXPECT_EQ(host.restarts, std::vector<std::string>({"nginx.service"}));
  EXPECT_EQ(outcome.restarted, host.restarts);
  EXPECT_EQ(verdict_of(outcome.checks), Verdict::kHolds);
}

TEST(Transaction, AUnitThatAScriptRestartedTooEarlyIsRestartedAndOneInTimeIsNot) {
  // nginx's script restarts it, and only then libssl3 is replaced: it is new, and runs old code all the same.
  ModelHost early = fresh_host();
  early.after_upgrade = [](ModelHost& h) {
    h.unit("nginx.service").unit.invocation = "by its script";
    h.stale_units.insert("nginx.service");
  };
  RunOutcome outcome = run_on(early);
  EXPECT_EQ(outcome.state, RunState::kVerified) << outcome.reason;
  EXPECT_EQ(early.restarts, std::vector<std::string>({"nginx.service"}));

  ModelHost in_time = fresh_host();
  in_time.after_upgrade = [](ModelHost& h) { h.unit("nginx.service").unit.invocation = "by its script"; };
  outcome = run_on(in_time);
  EXPECT_EQ(outcome.state, RunState::kVerified) << outcome.reason;
  EXPECT_TRUE(in_time.restarts.empty());
}

TEST(Transaction, RevertsWhenAUnitFailsAfterwards) {
  ModelHost host = fresh_host();
  host.after_upgrade = [](ModelHost& h) { h.unit("cron.service").unit.active = "failed"; };
  RunOutcome outcome = run_on(host);
  EXPECT_TRUE(all_old(host));
  EXPECT_NE(outcome.reason.find("cron.service is failed"), std::string::npos);
  // A unit that no plan names isn't restarted, so a person hears of it.
  EXPECT_EQ(outcome.state, RunState::kEscalated);
}

TEST(Transaction, RevertsToAHealthyHostWhenTheRestartedUnitDies) {
  ModelHost host = fresh_host();
  host.on_wait = [](ModelHost& h) {
    bool is_new = h.disk.at("/usr/lib/libssl.so.3").sha256 == sha256("new ssl");
    if (is_new && h.wall > *parse_rfc3339("2026-11-24T04:00:05Z")) h.unit("nginx.service").unit.active = "failed";
  };
  RunOutcome outcome = run_on(host);
  EXPECT_EQ(outcome.state, RunState::kReverted) << outcome.reason;
  EXPECT_TRUE(all_old(host));
  EXPECT_EQ(host.unit("nginx.service").unit.active, "active");
}

TEST(Transaction, RevertsAUnitThatStartsAgainAndAgain) {
  ModelHost host = fresh_host();
  host.on_wait = [](ModelHost& h) {
    if (h.disk.at("/usr/lib/libssl.so.3").sha256 == sha256("new ssl")) h.unit("nginx.service").unit.restarts = *h.unit("nginx.service").unit.restarts + 1;
  };
  RunOutcome outcome = run_on(host);
  EXPECT_EQ(outcome.state, RunState::kReverted) << outcome.reason;
  EXPECT_NE(outcome.reason.find("started again"), std::string::npos);
}

TEST(Transaction, RevertsWhenTheHealthCommandSaysNoOrCannotBeAsked) {
  for (std::optional<bool> health : {std::optional<bool>(false), std::optional<bool>()}) {
    ModelHost host = fresh_host();
    host.health = health;
    AcceptedRun run = upgrade();
    run.plan.expectation.health_command = true;
    EXPECT_EQ(run_on(host, run).state, RunState::kReverted);
    EXPECT_TRUE(all_old(host));
  }
}

TEST(Transaction, RevertsWhenAptFailsAndTakesAddedPackagesAwayAgain) {
  ModelHost host = fresh_host();
  host.after_upgrade = [](ModelHost& h) { h.install(kOther, PackageState::kHalfConfigured); };
  RunOutcome outcome = run_on(host, upgrade(true));
  EXPECT_FALSE(host.disk.contains("/usr/lib/libextra.so"));
  EXPECT_EQ(outcome.state, RunState::kEscalated);  // bash is half-configured now, and that's not ours to mend
  EXPECT_NE(outcome.reason.find("bash"), std::string::npos);

  ModelHost other = fresh_host();
  other.apt_fails = true;
  EXPECT_EQ(run_on(other, upgrade(true)).state, RunState::kReverted);
  EXPECT_TRUE(all_old(other));
}

TEST(Transaction, EscalatesWithTheOldSetKeptWhenTheWayBackFails) {
  ModelHost host = fresh_host();
  host.apt_fails = true;
  host.dpkg_fails = true;
  host.health = false;
  host.after_upgrade = nullptr;
  AcceptedRun run = upgrade();
  host.apt_fails = false;
  run.plan.expectation.health_command = true;
  RunOutcome outcome = run_on(host, run);
  EXPECT_EQ(outcome.state, RunState::kEscalated);
  EXPECT_EQ(host.restores, kRestoreTriesMax);
  EXPECT_FALSE(host.run_files.empty());
}

TEST(Transaction, RefusesWithoutTouchingAnything) {
  struct Case {
    std::function<void(ModelHost&, AcceptedRun&)> set_up;
    Refusal refusal;
  };
  const std::vector<Case> cases = {
      {[](ModelHost& h, AcceptedRun&) { h.install(kSslNew); }, Refusal::kWorldMoved},
      {[](ModelHost& h, AcceptedRun&) { h.install(kOther, PackageState::kHalfConfigured); }, Refusal::kWorldMoved},
      {[](ModelHost& h, AcceptedRun&) { h.database.updates_pending = true; }, Refusal::kWorldMoved},
      {[](ModelHost& h, AcceptedRun&) { h.database.packages.back().selection = PackageSelection::kHold; }, Refusal::kWorldMoved},
      {[](ModelHost& h, AcceptedRun&) { std::erase_if(h.database.packages, [](const Package& one) { return one.package == kSslOld.name; }); }, Refusal::kWorldMoved},
      {[](ModelHost& h, AcceptedRun&) { h.holder = LockHolder{812, "unattended-upgr"}; }, Refusal::kLocked},
      {[](ModelHost& h, AcceptedRun&) { h.archive.erase(model_deb(kSslOld).sha256); }, Refusal::kNotStaged},
      {[](ModelHost& h, AcceptedRun&) { h.archive.erase(model_deb(kSslNew).sha256); }, Refusal::kNotStaged},
      {[](ModelHost&, AcceptedRun& r) { r.plan.space = {{"/", 1ull << 40, 0}}; }, Refusal::kNoSpace},
      {[](ModelHost&, AcceptedRun& r) { r.plan.expectation.stable_for = r.plan.deadline; }, Refusal::kWorldMoved},
  };
  for (const Case& one : cases) {
    ModelHost host = fresh_host();
    AcceptedRun run = upgrade();
    one.set_up(host, run);
    auto disk = host.disk;
    auto database = host.database;
    RunOutcome outcome = run_on(host, run);
    EXPECT_EQ(outcome.state, RunState::kRefused) << outcome.reason;
    EXPECT_EQ(to_text(outcome.refusal.value_or(Refusal::kMalformed)), to_text(one.refusal)) << outcome.reason;
    EXPECT_EQ(host.disk, disk);
    EXPECT_EQ(host.database, database);
  }
}

TEST(Transaction, NamesTheHolderOfTheLockWhileItWaits) {
  ModelHost host = fresh_host();
  host.holder = LockHolder{812, "apt-get"};
  host.on_wait = [](ModelHost& h) {
    if (h.wall > *parse_rfc3339("2026-11-24T04:01:00Z")) h.holder.reset();
  };
  RunOutcome outcome = run_on(host);
  EXPECT_EQ(outcome.state, RunState::kVerified) << outcome.reason;
  bool named = std::ranges::any_of(outcome.steps, [](const RunProgress& step) { return step.detail == "waiting for the lock held by apt-get (pid 812)"; });
  EXPECT_TRUE(named);
}

TEST(Transaction, DoesNothingWhenFrozenBeforeTheAct) {
  ModelHost host = fresh_host();
  Journal journal = *Journal::open(host, host.now());
  Transaction transaction(host.tools(), journal, nullptr, [] { return true; });
  RunOutcome outcome = transaction.run(upgrade());
  EXPECT_EQ(outcome.refusal, Refusal::kFrozen);
  EXPECT_TRUE(all_old(host));
}

TEST(Transaction, HasNoEffectWithoutAJournal) {
  ModelHost host = fresh_host();
  Journal journal = *Journal::open(host, host.now());
  host.journal_fails = true;
  Transaction transaction(host.tools(), journal, nullptr, nullptr);
  RunOutcome outcome = transaction.run(upgrade());
  EXPECT_EQ(outcome.refusal, Refusal::kUnavailable);
  EXPECT_TRUE(all_old(host));
  EXPECT_TRUE(journal.broken());
}

TEST(Transaction, CountsItsActFromTheTimeThatASignatureVouchedFor) {
  ModelHost host = fresh_host();
  Journal journal = *Journal::open(host, host.now());
  Transaction transaction(host.tools(), journal, nullptr, nullptr);
  AcceptedRun run = upgrade();
  run.issued = host.now() + std::chrono::minutes(4);
  transaction.run(run);
  ASSERT_EQ(journal.state().memory.spent.size(), 1u);
  EXPECT_EQ(journal.state().memory.spent[0].at, run.issued);
}

AcceptedRun restart_of_cron() {
  AcceptedRun run = upgrade();
  Action action;
  action.kind = ActionKind::kServiceRestart;
  action.restart = ServiceRestart{"cron.service", "failed"};
  run.plan.actions = {action};
  return run;
}

TEST(Transaction, RestartsAFailedUnitAndWatchesIt) {
  ModelHost host = fresh_host();
  host.unit("cron.service").unit.active = "failed";
  EXPECT_EQ(run_on(host, restart_of_cron()).state, RunState::kVerified);
  EXPECT_EQ(host.restarts, std::vector<std::string>({"cron.service"}));
}

TEST(Transaction, AMereRestartThatIsKilledAnywhereIsDoneOnceOrNotBegun) {
  int not_begun = 0, done = 0;
  for (long at = 1;; ++at) {
    ModelHost host = fresh_host();
    host.unit("cron.service").unit.active = "failed";
    host.kill_in = at;
    try {
      run_on(host, restart_of_cron());
      break;
    } catch (const Killed&) {
    }
    host.kill_in = -1;
    auto outcome = start_on(host);
    Journal journal = *Journal::open(host, host.now());
    ASSERT_FALSE(journal.state().open) << at;
    if (!outcome) outcome = journal.state().outcomes.empty() ? RunOutcome{} : journal.state().outcomes.back();
    EXPECT_LE(host.restarts.size(), 1u) << at;
    if (host.restarts.empty()) {
      ++not_begun;
      EXPECT_NE(outcome->state, RunState::kVerified) << at;
    } else {
      ++done;
      EXPECT_EQ(outcome->state, RunState::kVerified) << at << ": " << outcome->reason;
    }
  }
  EXPECT_GT(not_begun, 0);
  EXPECT_GT(done, 2);
}

TEST(Transaction, RepairsWhatDpkgLeftAndEscalatesWhenItCannot) {
  AcceptedRun run = upgrade();
  Action action;
  action.kind = ActionKind::kDpkgRepair;
  action.repair = DpkgRepair{};
  action.repair->packages.push_back({kToolOld.name, "1-1", std::nullopt, model_deb(kToolOld)});
  run.plan.actions = {action};
  ModelHost host = fresh_host();
  host.install(kToolOld, PackageState::kUnpacked);
  EXPECT_EQ(run_on(host, run).state, RunState::kVerified);

  ModelHost broken = fresh_host();
  broken.install(kToolOld, PackageState::kUnpacked);
  broken.dpkg_fails = true;
  EXPECT_EQ(run_on(broken, run).state, RunState::kEscalated);
}

TEST(Transaction, GoesForwardWhereThereIsNoWayBack) {
  ModelHost host = fresh_host();
  AcceptedRun run = upgrade();
  for (PackageChange& change : run.plan.actions[0].transaction->changes) change.from.reset();
  run.plan.irreversible = "the old files are gone";
  host.health = false;
  run.plan.expectation.health_command = true;
  RunOutcome outcome = run_on(host, run);
  EXPECT_EQ(outcome.state, RunState::kEscalated);
  EXPECT_TRUE(all_new(host));
}

/// Kills the executor at change `at` of the run and at a change of each of the recoveries that follow.
struct CrashCase {
  long at;
  int depth;
};

class Crashes : public ::testing::TestWithParam<int> {};

TEST_P(Crashes, EndAllOldOrAllNewAndSayWhere) {
  int depth = GetParam();
  long total = 0;
  {
    ModelHost host = fresh_host();
    run_on(host);
    total = host.changes;
  }
  ASSERT_GT(total, 30);
  int old_ends = 0, new_ends = 0, restarted_twice = 0;
  for (long at = 1; at <= total; ++at) {
    ModelHost host = fresh_host();
    host.kill_in = at;
    std::optional<RunOutcome> outcome;
    bool killed = false;
    try {
      outcome = run_on(host);
    } catch (const Killed&) {
      killed = true;
    }
    ASSERT_TRUE(killed) << at;
    for (int level = 0; level < depth && !outcome; ++level) {
      host.kill_in = 1 + (at * 7 + level * 13) % 23;
      try {
        outcome = start_on(host);
        host.kill_in = -1;
      } catch (const Killed&) {
      }
    }
    host.kill_in = -1;
    if (!outcome) outcome = start_on(host);
    Journal journal = *Journal::open(host, host.now());
    ASSERT_FALSE(journal.state().open) << at;
    if (!outcome && !journal.state().outcomes.empty()) outcome = journal.state().outcomes.back();
    bool old_end = all_old(host), new_end = all_new(host);
    EXPECT_NE(old_end, new_end) << "killed at change " << at << ", depth " << depth;
    old_ends += old_end;
    new_ends += new_end;
    if (outcome) {
      EXPECT_EQ(outcome->state, new_end ? RunState::kVerified : RunState::kReverted) << at << ": " << outcome->reason;
    } else {
      EXPECT_TRUE(old_end) << at;  // nothing was accepted
      EXPECT_EQ(journal.state().memory.last_sequence, 0u);
    }
    if (new_end) restarted_twice += std::ranges::count(host.restarts, "nginx.service") > 1;
  }
  EXPECT_GT(old_ends, 0);
  EXPECT_GT(new_ends, 0);
  EXPECT_EQ(restarted_twice, 0);
}
INSTANTIATE_TEST_SUITE_P(DuringRecovery, Crashes, ::testing::Values(0, 1, 2, 5));

TEST(Resume, FollowsTheTable) {
  OpenRun run;
  run.accepted = upgrade();
  auto with = [&](std::vector<MarkKind> kinds) {
    run.marks.clear();
    for (MarkKind kind : kinds) run.marks.push_back({kind, {}, "", {}, {}});
    return resume_of(run);
  };
  using enum MarkKind;
  EXPECT_EQ(with({}), Resume::kNotBegun);
  EXPECT_EQ(with({kPrepared}), Resume::kNotBegun);
  EXPECT_EQ(with({kPrepared, kRepairIntent}), Resume::kRepair);
  EXPECT_EQ(with({kPrepared, kRepairIntent, kRepaired}), Resume::kNotBegun);
  EXPECT_EQ(with({kPrepared, kActIntent}), Resume::kRevert);
  EXPECT_EQ(with({kPrepared, kActIntent, kActed}), Resume::kVerify);
  EXPECT_EQ(with({kPrepared, kActIntent, kActed, kRestartIntent}), Resume::kVerify);
  EXPECT_EQ(with({kPrepared, kActIntent, kActed, kRevertIntent, kRecovery}), Resume::kRevert);
  run.accepted.plan.actions[0].transaction->changes[0].from.reset();
  EXPECT_EQ(with({kPrepared, kActIntent}), Resume::kForward);
  run.accepted.plan.actions[0].transaction.reset();
  EXPECT_EQ(with({kPrepared, kRepairIntent, kRepaired}), Resume::kVerify);
}

TEST(Recovery, EndsAfterItsLimitOfStarts) {
  ModelHost host = fresh_host();
  host.kill_in = 25;
  EXPECT_THROW(run_on(host), Killed);
  for (std::size_t i = 0; i < 200; ++i) {
    host.kill_in = 8;
    try {
      if (auto outcome = start_on(host)) {
        EXPECT_EQ(outcome->state, RunState::kEscalated);
        EXPECT_GT(i, 10u);
        return;
      }
    } catch (const Killed&) {
    }
  }
  FAIL() << "a recovery that always dies must come to an end";
}

}  // namespace
}  // namespace prunella
