#include "match/findings.h"

#include <gtest/gtest.h>

#include "../tests/support/sample_host.h"

namespace prunella {
namespace {

using sample::kHost;
using sample::kNow;

const Finding* find(const std::vector<Finding>& findings, FindingKind kind, std::string_view subject) {
  auto at = std::ranges::find_if(findings, [&](const Finding& f) { return f.kind == kind && f.subject == subject; });
  return at == findings.end() ? nullptr : &*at;
}

std::vector<Finding> found(const HostFacts& facts, const Knowledge& knowledge = {}) {
  return findings_of(kHost, facts, kNow, knowledge);
}

HostFacts well() {
  HostFacts facts = sample::facts();
  facts.updates->value->updates.clear();
  return facts;
}

TEST(Findings, AWholeHostHasNone) { EXPECT_TRUE(found(well()).empty()) << found(well()).front().summary; }

TEST(Findings, MissingSecurityUpdateIsOneASourceWithItsBinaries) {
  auto findings = found(sample::facts());

  ASSERT_EQ(findings.size(), 1u);
  const Finding& f = findings[0];
  EXPECT_EQ(f.kind, FindingKind::kMissingSecurityUpdate);
  EXPECT_EQ(f.subject, "openssl");
  EXPECT_EQ(f.severity, Severity::kHigh);
  EXPECT_EQ(f.exposure, Exposure::kFixAvailable);
  EXPECT_EQ(f.packages, (std::vector<std::string>{"libssl3:amd64", "openssl:amd64"}));
  EXPECT_EQ(f.cves, (std::vector<std::string>{"CVE-2025-9230", "CVE-2025-9232"}));
  EXPECT_EQ(f.id, finding_id(kHost, FindingKind::kMissingSecurityUpdate, "openssl"));
  EXPECT_EQ(f.evidence[0],
            "libssl3:amd64 is installed at 3.0.15-1~deb12u1, Debian-Security:12/stable-security offers 3.0.17-1~deb12u2 (as of "
            "2026-11-24T03:00:00.000Z).");
  EXPECT_EQ(
      f.evidence[2],
      "Running units map its files: nginx.service, postfix.service, systemd-resolved.service (as of 2026-11-24T03:00:00.000Z).");
  EXPECT_FALSE(f.clears_when.empty());
}

TEST(Findings, AKnownExploitedCveIsCriticalAndNothingElseIs) {
  EXPECT_EQ(found(sample::facts(), {{"CVE-2025-9232"}, {}})[0].severity, Severity::kCritical);
  EXPECT_EQ(found(sample::facts(), {{"CVE-2000-0001"}, {}})[0].severity, Severity::kHigh);
}

TEST(Findings, WithoutCvesItIsMediumOnlyWhenTheChangelogWasRead) {
  HostFacts facts = sample::facts();
  for (Update& u : facts.updates->value->updates) u.cves.clear();
  EXPECT_EQ(found(facts)[0].severity, Severity::kMedium);

  facts.updates->value->updates[0].changelog_read = false;
  EXPECT_EQ(found(facts)[0].severity, Severity::kHigh);
}

TEST(Findings, EachBlockIsNamedAndTheWorstDecides) {
  struct Case {
    BlockKind block;
    Exposure exposure;
  };
  for (const Case& c :
       {Case{BlockKind::kHeld, Exposure::kBlockedByHold}, Case{BlockKind::kPhased, Exposure::kDeferredByPhasing},
        Case{BlockKind::kPinned, Exposure::kBlockedByPin}, Case{BlockKind::kNeedsRemoval, Exposure::kBlockedByConflict},
        Case{BlockKind::kKeptBack, Exposure::kBlockedByConflict}}) {
    HostFacts facts = sample::facts();
    facts.updates->value->updates[1].block = Block{c.block, "because"};
    auto findings = found(facts);
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_EQ(findings[0].exposure, c.exposure);
    EXPECT_NE(findings[0].evidence[1].find("because"), std::string::npos);
  }
  HostFacts both = sample::facts();
  both.updates->value->updates[0].block = Block{BlockKind::kPhased, "30 %"};
  both.updates->value->updates[1].block = Block{BlockKind::kHeld, "apt-mark"};
  EXPECT_EQ(found(both)[0].exposure, Exposure::kBlockedByHold);
}

TEST(Findings, WhatDpkgInstalledSinceIsNoFinding) {
  HostFacts facts = sample::facts();
  for (Package& p : facts.packages->value->packages)
    if (p.source == "openssl") p.version = "3.0.17-1~deb12u2";
  EXPECT_TRUE(found(facts).empty());

  // Half of the source is not enough.
  facts.packages->value->packages[0].version = "3.0.15-1~deb12u1";
  ASSERT_EQ(found(facts).size(), 1u);
  EXPECT_EQ(found(facts)[0].packages, (std::vector<std::string>{"libssl3:amd64"}));

  // A removed package with its configuration left is not installed.
  facts.packages->value->packages[0].state = PackageState::kConfigFiles;
  EXPECT_TRUE(found(facts).empty());
}

TEST(Findings, AFullFilesystemIsFoundByBytesAndByInodes) {
  HostFacts facts = well();
  ASSERT_FALSE(facts.disk->value->filesystems.empty());
  Filesystem& root = facts.disk->value->filesystems[0];
  root.size_bytes = 20ull << 30;
  root.free_bytes = kFreeBytesMin;
  root.free_inodes = kFreeInodesMin;
  EXPECT_TRUE(found(facts).empty());

  root.free_bytes = kFreeBytesMin - 1;
  auto findings = found(facts);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, FindingKind::kFilesystemFull);
  EXPECT_EQ(findings[0].subject, root.mount);
  EXPECT_EQ(posture_of(findings, kNow, kNow).state, PostureState::kBroken);

  root.free_bytes = kFreeBytesMin;
  root.free_inodes = 0;
  EXPECT_NE(found(facts).at(0).summary.find("0 inodes left"), std::string::npos);

  // A small /boot with a twentieth free is not full, and what is mounted for reading only may be.
  root.size_bytes = 100u << 20;
  root.free_bytes = 5u << 20;
  root.free_inodes = kFreeInodesMin;
  EXPECT_TRUE(found(facts).empty());
  root.free_bytes = 0;
  root.read_only = true;
  EXPECT_TRUE(found(facts).empty());
}

TEST(Findings, AClockThatIsOffIsFoundInBothDirections) {
  using std::chrono::hours;
  EXPECT_TRUE(found(well(), {{}, kClockSkewFound}).empty());
  EXPECT_TRUE(found(well(), {{}, -kClockSkewFound}).empty());
  auto ahead = found(well(), {{}, Duration(hours(24 * 3652)) + Duration(17)});
  ASSERT_EQ(ahead.size(), 1u);
  EXPECT_EQ(ahead[0].kind, FindingKind::kClockOff);
  EXPECT_NE(ahead[0].summary.find("3652d ahead of"), std::string::npos) << ahead[0].summary;
  auto behind = found(well(), {{}, -kClockSkewFound - Duration(1000)});
  ASSERT_EQ(behind.size(), 1u);
  EXPECT_NE(behind[0].summary.find("31s behind"), std::string::npos) << behind[0].summary;
}

TEST(Findings, UpdatesOutsideSecurityArchivesAndNewPackagesAreNone) {
  HostFacts facts = well();
  Update plain = sample::update("tzdata", "2024b-0+deb12u1", "2025a-0+deb12u1", "tzdata");
  plain.security = false;
  Update added = sample::update("linux-image-6.1.0-41-amd64", "", "6.1.158-1", "linux-signed-amd64");
  facts.updates->value->updates = {plain, added};

  EXPECT_TRUE(found(facts).empty());
}

TEST(Findings, VersionsWithoutOrderAreUnknownAndNotHealthy) {
  HostFacts facts = well();
  facts.updates->value->updates = {sample::update("tzdata", "2024b-0+deb12u1", "x-1", "tzdata")};

  const auto findings = found(facts);

  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, FindingKind::kUnknown);
}

TEST(Findings, InterruptedDpkgNamesEachHalfDonePackage) {
  HostFacts facts = well();
  facts.packages->value->packages[1].state = PackageState::kHalfConfigured;
  facts.packages->value->packages[3].reinst_required = true;

  auto findings = found(facts);

  const Finding* dpkg = find(findings, FindingKind::kInterruptedDpkg, "dpkg");
  ASSERT_TRUE(dpkg);
  EXPECT_EQ(dpkg->packages, (std::vector<std::string>{"nginx:amd64", "tzdata:amd64"}));
  EXPECT_TRUE(find(findings, FindingKind::kBrokenPackage, "nginx:amd64"));
  EXPECT_TRUE(find(findings, FindingKind::kBrokenPackage, "tzdata:amd64"));
}

TEST(Findings, EveryStateButInstalledIsBrokenAndPendingTriggersAreNoInterruption) {
  for (PackageState state : {PackageState::kHalfInstalled, PackageState::kUnpacked, PackageState::kHalfConfigured,
                             PackageState::kTriggersAwaited, PackageState::kTriggersPending}) {
    HostFacts facts = well();
    facts.packages->value->packages[1].state = state;
    auto findings = found(facts);
    bool triggers = state == PackageState::kTriggersAwaited || state == PackageState::kTriggersPending;
    EXPECT_TRUE(find(findings, FindingKind::kBrokenPackage, "nginx:amd64"));
    EXPECT_EQ(find(findings, FindingKind::kInterruptedDpkg, "dpkg") == nullptr, triggers) << to_text(state);
  }
}

TEST(Findings, DpkgsLeftOverJournalIsAnInterruptionByItself) {
  HostFacts facts = well();
  facts.packages->value->updates_pending = true;
  facts.executor->value->busy_with = "RUN-1";

  auto findings = found(facts);

  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, FindingKind::kInterruptedDpkg);
  EXPECT_NE(findings[0].evidence[1].find("RUN-1"), std::string::npos);
}

TEST(Findings, RestartsAreOneAUnitAndPeoplesSessionsReadOtherwise) {
  HostFacts facts = well();
  facts.processes->value->stale = {
      {100, 1, "nginx", "nginx.service", false, {"/usr/lib/x86_64-linux-gnu/libssl.so.3"}},
      {101, 1, "nginx", "nginx.service", false, {"/usr/lib/x86_64-linux-gnu/libssl.so.3"}},
      {102, 1, "dbus-daemon", "dbus.service", false, {"/usr/lib/libdbus.so"}},
      {103, 1, "bash", "user@1000.service", true, {"/usr/bin/bash"}},
      {104, 1, "worker", std::nullopt, false, {"/opt/worker"}},
  };

  auto findings = found(facts);

  ASSERT_EQ(findings.size(), 4u);
  const Finding* nginx = find(findings, FindingKind::kRestartNeeded, "nginx.service");
  ASSERT_TRUE(nginx);
  EXPECT_EQ(nginx->exposure, Exposure::kInstalledNotActive);
  EXPECT_EQ(nginx->evidence.size(), 2u);
  EXPECT_EQ(nginx->summary, "nginx.service runs old code and must be restarted.");
  EXPECT_NE(find(findings, FindingKind::kRestartNeeded, "dbus.service")->summary.find("never restarted by Prunella"),
            std::string::npos);
  EXPECT_NE(find(findings, FindingKind::kRestartNeeded, "user-sessions")->summary.find("must log in anew"), std::string::npos);
  EXPECT_NE(find(findings, FindingKind::kRestartNeeded, "unmanaged-processes")->summary.find("no unit manages"),
            std::string::npos);
}

TEST(Findings, RebootIsShownWithItsReasonsAndSoIsNotKnowing) {
  HostFacts facts = well();
  facts.kernel->value->reboot = RebootNeed::kYes;
  facts.kernel->value->reasons = {{"kernel", "6.1.0-41-amd64 is installed, 6.1.0-40-amd64 runs"}};
  auto yes = found(facts);
  ASSERT_EQ(yes.size(), 1u);
  EXPECT_EQ(yes[0].kind, FindingKind::kRebootNeeded);
  EXPECT_EQ(yes[0].evidence[0], "kernel: 6.1.0-41-amd64 is installed, 6.1.0-40-amd64 runs.");

  facts.kernel->value->reboot = RebootNeed::kUnknown;
  auto unknown = found(facts);
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0].kind, FindingKind::kUnknown);
  EXPECT_EQ(unknown[0].subject, "reboot");
}

TEST(Findings, ArchivesThatFailAreTwoKinds) {
  struct Case {
    RepositoryState state;
    FindingKind kind;
  };
  for (const Case& c : {Case{RepositoryState::kUnreachable, FindingKind::kRepositoryUnreachable},
                        Case{RepositoryState::kMissing, FindingKind::kRepositoryUnreachable},
                        Case{RepositoryState::kBadSignature, FindingKind::kRepositoryUntrusted},
                        Case{RepositoryState::kExpired, FindingKind::kRepositoryUntrusted}}) {
    HostFacts facts = well();
    facts.updates->value->repositories[1].state = c.state;
    facts.updates->value->repositories[1].detail = "the words of apt";
    auto findings = found(facts);
    ASSERT_EQ(findings.size(), 1u) << to_text(c.state);
    EXPECT_EQ(findings[0].kind, c.kind);
    EXPECT_EQ(findings[0].severity, Severity::kHigh);
    EXPECT_EQ(findings[0].subject, "http://archive.example/debian-security bookworm-security");
    EXPECT_NE(findings[0].evidence[0].find("the words of apt"), std::string::npos);
  }
}

TEST(Findings, NoSecurityArchiveAndOldOrNoListsAreUnknown) {
  HostFacts facts = well();
  facts.updates->value->repositories.pop_back();
  EXPECT_TRUE(find(found(facts), FindingKind::kUnknown, "security-archive"));

  facts = well();
  facts.updates->value->lists_at = kNow - kListsAgeMax;
  EXPECT_TRUE(found(facts).empty());
  facts.updates->value->lists_at = kNow - kListsAgeMax - Duration(1);
  EXPECT_TRUE(find(found(facts), FindingKind::kUnknown, "lists"));
  facts.updates->value->lists_at.reset();
  EXPECT_TRUE(find(found(facts), FindingKind::kUnknown, "lists"));
}

TEST(Findings, AFailedUnitIsOne) {
  HostFacts facts = well();
  facts.units->value->units[1].active = "failed";
  facts.units->value->units[1].result = "exit-code";

  auto findings = found(facts);

  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, FindingKind::kUnitFailed);
  EXPECT_EQ(findings[0].summary, "nginx.service has failed (exit-code).");
}

TEST(Findings, EverySectionThatIsMissingIsUnknown) {
  EXPECT_EQ(found(HostFacts{}).size(), enum_words(Section{}).size());
  for (const auto& [section, word] : enum_words(Section{}))
    EXPECT_TRUE(find(found(HostFacts{}), FindingKind::kUnknown, word)) << word;

  HostFacts facts = well();
  facts.units = not_sensed<UnitFacts>("no D-Bus", kNow);
  auto findings = found(facts);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].subject, "units");
  EXPECT_NE(findings[0].evidence[0].find("no D-Bus"), std::string::npos);
}

TEST(Findings, EveryOneHasEvidenceAClearConditionAndAnIdOfItsOwn) {
  HostFacts facts = sample::facts();
  facts.packages->value->packages[1].state = PackageState::kUnpacked;
  facts.packages->value->updates_pending = true;
  facts.units->value->units[0].active = "failed";
  facts.kernel->value->reboot = RebootNeed::kYes;
  facts.processes->value->stale = {{1, 1, "x", "postfix.service", false, {"/x"}}};
  facts.disk.reset();
  facts.updates->value->repositories[0].state = RepositoryState::kUnreachable;

  auto findings = found(facts);

  std::set<FindingId> ids;
  for (const Finding& f : findings) {
    EXPECT_FALSE(f.summary.empty());
    EXPECT_FALSE(f.evidence.empty()) << f.summary;
    EXPECT_FALSE(f.clears_when.empty()) << f.summary;
    EXPECT_TRUE(ids.insert(f.id).second) << f.summary;
    EXPECT_EQ(f.host, kHost);
  }
  EXPECT_EQ(findings.size(), 8u);
  EXPECT_TRUE(std::ranges::is_sorted(findings, std::ranges::greater(), &Finding::severity));
  EXPECT_EQ(findings, found(facts));
}

TEST(Findings, EvidenceIsLimitedAndCountsWhatIsLeftOut) {
  HostFacts facts = well();
  for (std::int64_t pid = 1; pid <= 100; ++pid)
    facts.processes->value->stale.push_back({pid, 1, "x", "postfix.service", false, {"/x"}});

  auto findings = found(facts);

  ASSERT_EQ(findings[0].evidence.size(), kEvidenceMax);
  EXPECT_EQ(findings[0].evidence.back(), "And 77 more of the kind.");
}

TEST(Posture, IsTheWorstAndNeverHealthyWithoutData) {
  auto posture = [](const HostFacts& facts) { return posture_of(found(facts), kNow, kNow).state; };
  EXPECT_EQ(posture(well()), PostureState::kHealthy);
  EXPECT_EQ(posture(HostFacts{}), PostureState::kUnknown);

  HostFacts facts = well();
  facts.kernel->value->reboot = RebootNeed::kYes;
  EXPECT_EQ(posture(facts), PostureState::kPending);
  facts.kernel->value->reboot = RebootNeed::kUnknown;
  EXPECT_EQ(posture(facts), PostureState::kUnknown);
  facts.updates = sample::facts().updates;
  EXPECT_EQ(posture(facts), PostureState::kNeedsUpdate);
  facts.units->value->units[0].active = "failed";
  EXPECT_EQ(posture(facts), PostureState::kBroken);

  for (int section = 0; section < 8; ++section) {
    HostFacts blind = well();
    if (section == 0) blind.system.reset();
    if (section == 1) blind.packages.reset();
    if (section == 2) blind.updates.reset();
    if (section == 3) blind.kernel.reset();
    if (section == 4) blind.processes.reset();
    if (section == 5) blind.units.reset();
    if (section == 6) blind.disk.reset();
    if (section == 7) blind.executor.reset();
    EXPECT_EQ(posture(blind), PostureState::kUnknown) << section;
  }
}

TEST(Posture, ALateHostIsStaleWhateverWasFound) {
  EXPECT_EQ(posture_of({}, kNow - kStaleAfter, kNow).state, PostureState::kHealthy);
  EXPECT_EQ(posture_of({}, kNow - kStaleAfter - Duration(1), kNow).state, PostureState::kStale);
  EXPECT_EQ(posture_of(found(sample::facts()), kNow - std::chrono::hours(1), kNow).state, PostureState::kStale);
  EXPECT_EQ(posture_of({}, kNow + std::chrono::hours(24 * 3650), kNow).state, PostureState::kStale);
  EXPECT_EQ(posture_of({}, std::nullopt, kNow).state, PostureState::kUnknown);
}

TEST(Posture, SaysWhatIsWorstAndHowMuchElse) {
  HostFacts facts = sample::facts();
  facts.units->value->units[0].active = "failed";

  EXPECT_EQ(posture_of(found(facts), kNow, kNow).sentence, "cron.service has failed. 1 other finding is open.");
}

TEST(DiffFindings, TellsOpenedClearedAndChanged) {
  auto before = found(sample::facts());
  HostFacts facts = sample::facts();
  facts.updates->value->updates[1].block = Block{BlockKind::kHeld, "apt-mark"};
  facts.units->value->units[0].active = "failed";
  auto after = found(facts);

  FindingsDiff diff = diff_findings(before, after);
  ASSERT_EQ(diff.opened.size(), 1u);
  EXPECT_EQ(diff.opened[0].kind, FindingKind::kUnitFailed);
  ASSERT_EQ(diff.changed.size(), 1u);
  EXPECT_EQ(diff.changed[0].second.exposure, Exposure::kBlockedByHold);
  EXPECT_TRUE(diff.cleared.empty());

  FindingsDiff back = diff_findings(after, {});
  EXPECT_EQ(back.cleared, after);
  FindingsDiff same = diff_findings(after, after);
  EXPECT_TRUE(same.opened.empty() && same.cleared.empty() && same.changed.empty());
}

}  // namespace
}  // namespace prunella
