#include "verify/verify.h"

#include <gtest/gtest.h>

namespace prunella {
namespace {

Package package(std::string name, std::string version, PackageState state = PackageState::kInstalled) {
  Package one;
  one.package = {std::move(name), "amd64"};
  one.version = std::move(version);
  one.state = state;
  return one;
}

Plan plan() {
  Plan plan;
  Action action;
  action.transaction = PackageTransaction{};
  action.transaction->changes = {{{"libssl3", "amd64"}, "1-1", DebFile{"1-1", sha256("old"), 1}, {"1-2", sha256("new"), 1}},
                                 {{"libnew", "amd64"}, std::nullopt, std::nullopt, {"2-1", sha256("added"), 1}}};
  plan.actions = {action};
  return plan;
}

PackageFacts facts(std::vector<Package> packages) {
  PackageFacts facts;
  facts.packages = std::move(packages);
  return facts;
}

const PackageTable kBefore = table_of(facts({package("bash", "5"), package("libssl3", "1-1")}));

UnitState unit(std::string name, std::string active, std::uint32_t restarts = 0, std::string invocation = "1") {
  UnitState state;
  state.unit = {std::move(name), "loaded", std::move(active), "x", std::nullopt, restarts, std::move(invocation)};
  return state;
}

TEST(Verdict, IsUnknownWithoutAMeasurementAndFailsWithOneThatSaysNo) {
  EXPECT_EQ(verdict_of({}), Verdict::kUnknown);
  EXPECT_EQ(verdict_of({{"a", true, ""}, {"b", std::nullopt, ""}}), Verdict::kUnknown);
  EXPECT_EQ(verdict_of({{"a", std::nullopt, ""}, {"b", false, ""}}), Verdict::kFails);
  EXPECT_EQ(verdict_of({{"a", true, ""}}), Verdict::kHolds);
}

TEST(PackageChecks, HoldOnlyWhenExactlyThePlannedSetChanged) {
  auto verdict = [](std::vector<Package> packages) { return verdict_of(check_packages_changed(plan(), kBefore, facts(std::move(packages)))); };
  EXPECT_EQ(verdict({package("bash", "5"), package("libnew", "2-1"), package("libssl3", "1-2")}), Verdict::kHolds);
  EXPECT_EQ(verdict({package("bash", "6"), package("libnew", "2-1"), package("libssl3", "1-2")}), Verdict::kFails);
  EXPECT_EQ(verdict({package("libnew", "2-1"), package("libssl3", "1-2")}), Verdict::kFails);
  EXPECT_EQ(verdict({package("bash", "5"), package("libnew", "2-1"), package("libssl3", "1-2"), package("more", "1")}), Verdict::kFails);
  EXPECT_EQ(verdict({package("bash", "5"), package("libnew", "2-1"), package("libssl3", "1-2", PackageState::kTriggersPending)}), Verdict::kFails);
  EXPECT_EQ(verdict({package("bash", "5"), package("libssl3", "1-2")}), Verdict::kFails);
  EXPECT_EQ(verdict_of(check_packages_changed(plan(), kBefore, unavailable("no database"))), Verdict::kUnknown);
}

TEST(PackageChecks, HoldAfterARevertOnlyWhenAllIsAsBefore) {
  auto verdict = [](std::vector<Package> packages) { return verdict_of(check_packages_restored(plan(), kBefore, facts(std::move(packages)))); };
  EXPECT_EQ(verdict({package("bash", "5"), package("libssl3", "1-1")}), Verdict::kHolds);
  EXPECT_EQ(verdict({package("bash", "5"), package("libnew", "2-1"), package("libssl3", "1-1")}), Verdict::kFails);
  EXPECT_EQ(verdict({package("bash", "5"), package("libnew", "2-1", PackageState::kConfigFiles), package("libssl3", "1-1")}), Verdict::kFails);
  EXPECT_EQ(verdict({package("bash", "5"), package("libssl3", "1-2")}), Verdict::kFails);
}

TEST(UnitChecks, TellBrokenFromPending) {
  std::vector<UnitState> before = {unit("a.service", "active"), unit("b.service", "active"), unit("c.service", "inactive")};
  EXPECT_TRUE(unit_trouble(before, {unit("a.service", "active"), unit("b.service", "active"), unit("c.service", "failed")}, {}, nullptr).none());
  EXPECT_EQ(unit_trouble(before, {unit("a.service", "failed"), unit("b.service", "activating")}, {}, nullptr).broken.size(), 1u);
  EXPECT_EQ(unit_trouble(before, {unit("a.service", "active")}, {}, nullptr).pending.size(), 1u);
  EXPECT_EQ(unit_trouble(before, {unit("a.service", "active"), unit("b.service", "active"), unit("c.service", "inactive")}, {"c.service"}, nullptr).pending.size(), 1u);
}

TEST(UnitChecks, TakeAStartWhileWatchingForTrouble) {
  std::vector<UnitState> before = {unit("a.service", "active")};
  std::vector<UnitState> since = {unit("a.service", "active", 0, "2")};
  EXPECT_TRUE(unit_trouble(before, {unit("a.service", "active", 0, "2")}, {}, &since).none());
  EXPECT_FALSE(unit_trouble(before, {unit("a.service", "active", 1, "3")}, {}, &since).none());
}

TEST(UnitChecks, LetUnitsOnDemandEndButNotFail) {
  UnitState hostnamed = unit("systemd-hostnamed.service", "active");
  hostnamed.on_demand = true;
  UnitState ended = hostnamed, failed = hostnamed;
  ended.unit.active = "inactive";
  failed.unit.active = "failed";
  EXPECT_TRUE(unit_trouble({hostnamed}, {ended}, {}, nullptr).none());
  EXPECT_TRUE(unit_trouble({hostnamed}, {}, {}, nullptr).none());
  EXPECT_FALSE(unit_trouble({hostnamed}, {failed}, {}, nullptr).none());
}

TEST(ProcessChecks, NameWhoStillRunsReplacedFiles) {
  ProcessFacts facts;
  facts.stale.push_back({12, 1, "nginx", "nginx.service", false, {"/usr/lib/libssl.so.3"}});
  EXPECT_TRUE(check_processes({}, facts).empty());
  EXPECT_EQ(verdict_of(check_processes({"cron.service"}, facts)), Verdict::kHolds);
  EXPECT_EQ(verdict_of(check_processes({"nginx.service"}, facts)), Verdict::kFails);
  EXPECT_EQ(verdict_of(check_processes({"nginx.service"}, unavailable("no /proc"))), Verdict::kUnknown);
}

TEST(Files, DifferByAnyAttribute) {
  FileState file{"/a", FileKind::kRegular, sha256("x"), 0644, 0, 0, {}, {}};
  FileState mode = file, owner = file, content = file, cap = file, gone = file;
  mode.mode = 04755;
  owner.uid = 5;
  content.sha256 = sha256("y");
  cap.xattrs["security.capability"] = "00";
  gone = FileState{"/a", FileKind::kAbsent, {}, 0, 0, 0, {}, {}};
  EXPECT_TRUE(differing({file}, {file}).empty());
  for (const FileState& other : {mode, owner, content, cap, gone}) EXPECT_EQ(differing({file}, {other}), std::vector<std::string>({"/a"}));
  EXPECT_EQ(differing({}, {file}), std::vector<std::string>({"/a"}));
  EXPECT_TRUE(differing({}, {gone}).empty());
}

}  // namespace
}  // namespace prunella
