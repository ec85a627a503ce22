#include "decide/why.h"

#include <gtest/gtest.h>

#include "../tests/support/sample_host.h"

namespace prunella {
namespace {

using sample::kHost;
using sample::kNow;

Finding openssl_finding(Exposure exposure = Exposure::kFixAvailable) {
  Finding f;
  f.id = finding_id(kHost, FindingKind::kMissingSecurityUpdate, "openssl");
  f.host = kHost;
  f.kind = FindingKind::kMissingSecurityUpdate;
  f.subject = "openssl";
  f.severity = Severity::kHigh;
  f.exposure = exposure;
  f.summary = "openssl lacks a security update for CVE-2025-9230.";
  f.evidence = {"libssl3:amd64 is installed at 3.0.15-1~deb12u1, Debian-Security:12/stable-security offers 3.0.17-1~deb12u2."};
  f.clears_when = "Every installed binary of openssl has the version that the security archive offers, or a newer one.";
  f.cves = {"CVE-2025-9230"};
  f.packages = {"libssl3:amd64", "openssl:amd64"};
  return f;
}

WhyInput input(std::optional<std::string> subject) {
  WhyInput in;
  in.host = kHost;
  in.subject = std::move(subject);
  in.facts = sample::facts();
  in.findings = {openssl_finding()};
  in.last_seen = kNow;
  in.posture = {PostureState::kNeedsUpdate, "openssl lacks a security update for CVE-2025-9230."};
  in.now = kNow;
  return in;
}

WhyPlan plan(RolloutState state = RolloutState::kRunning, RolloutHostState host_state = RolloutHostState::kPending,
             std::uint64_t wave = 0) {
  WhyPlan why;
  why.id = PlanId("PLN-5k2m9x");
  why.plan.host = kHost;
  why.plan.purpose = "security updates";
  why.plan.created = kNow - std::chrono::hours(1);
  why.plan.findings = {openssl_finding().id};
  why.approvals_required = 2;
  why.approved_by = {"ada"};
  Rollout rollout;
  rollout.id = RolloutId("ROL-5k2m9x");
  rollout.state = state;
  rollout.reason = "approved";
  rollout.wave = wave;
  rollout.wave_started = kNow - std::chrono::minutes(10);
  rollout.plan.wave_ends = {1, 2};
  RolloutHost first;
  first.host = HostId("other");
  RolloutHost mine;
  mine.host = kHost;
  mine.index = 1;
  mine.state = host_state;
  if (host_state != RolloutHostState::kPending) mine.run = RunId("RUN-77");
  rollout.hosts = {first, mine};
  why.rollout = rollout;
  return why;
}

std::string text(const Explanation& e) {
  std::string out = e.verdict + "\n";
  for (std::size_t i = 0; i < e.evidence.size(); ++i) {
    out += "  [" + std::to_string(i + 1) + "] " + e.evidence[i].text + "  (" + e.evidence[i].source +
           (e.evidence[i].at ? ", " + to_rfc3339(*e.evidence[i].at) : "") + ")\n";
  }
  for (const std::string& change : e.would_change) out += "  would change: " + change + "\n";
  return out;
}

bool says(const Explanation& e, std::string_view part) { return text(e).find(part) != std::string::npos; }

TEST(Why, TellsInEachCaseWhyNothingWasDoneOrWhatWas) {
  std::string all;
  auto add = [&](const std::string& title, const WhyInput& in) { all += "# " + title + "\n" + text(explain(in)) + "\n"; };

  add("the host as a whole", input({}));
  add("a CVE, no plan yet", input("cve-2025-9230"));

  WhyInput held = input("libssl3");
  held.findings = {openssl_finding(Exposure::kBlockedByHold)};
  add("held", held);
  WhyInput phased = input("openssl");
  phased.findings = {openssl_finding(Exposure::kDeferredByPhasing)};
  add("phased", phased);

  WhyInput waits = input("openssl");
  waits.plans = {plan()};
  waits.plans[0].rollout.reset();
  add("waits for approval", waits);

  WhyInput wave = input("CVE-2025-9230");
  wave.plans = {plan()};
  add("a later wave", wave);

  WhyInput denied = input("openssl");
  denied.plans = {plan(RolloutState::kRunning, RolloutHostState::kPending, 1)};
  denied.plans[0].rollout->hosts[1].reason = "waits: the policy says no";
  denied.verdicts = {
      {kNow,
       "ROL-5k2m9x",
       {VerdictKind::kDeny,
        {{VerdictKind::kDeny, "policy-not-allowed", "no rule covers package openssl", "another policy, signed by the operators"}},
        false}}};
  add("the policy denies", denied);

  WhyInput reverted = input("openssl");
  reverted.plans = {plan(RolloutState::kStopped, RolloutHostState::kReverted, 1)};
  reverted.plans[0].rollout->hosts[1].reason = "nginx.service was not stable";
  RunOutcome run;
  run.run = RunId("RUN-77");
  run.cause = "order";
  run.state = RunState::kReverted;
  run.reason = "nginx.service was not stable";
  run.ended = kNow;
  run.checks = {{"nginx.service is active for 10s", false, "failed after 2s"},
                {"openssl:amd64 is installed at 3.0.15-1~deb12u1", true, "yes"}};
  reverted.runs = {run};
  add("tried and taken back", reverted);

  WhyInput stale = input("openssl");
  stale.last_seen = kNow - std::chrono::hours(5);
  stale.posture = {PostureState::kStale, "The host was last seen five hours ago."};
  add("a late host", stale);

  add("a CVE that is not known to concern it", input("CVE-2000-0001"));
  add("a package without an update", input("nginx"));
  add("a package that is not there", input("apache2"));
  add("a unit that is well", input("nginx.service"));

  EXPECT_EQ(all, sample::golden("why.txt", all));
}

TEST(Why, NeverCallsAHostUnaffectedWithoutLists) {
  for (const char* subject : {"CVE-2000-0001", "nginx"}) {
    WhyInput in = input(subject);
    in.findings.clear();
    in.facts.updates->value->lists_at.reset();
    EXPECT_TRUE(says(explain(in), "unknown")) << text(explain(in));
    in.facts.updates = not_sensed<UpdateFacts>("apt has no lists", kNow);
    EXPECT_TRUE(says(explain(in), "unknown"));
    EXPECT_TRUE(says(explain(in), "apt has no lists"));
    in.facts.updates.reset();
    EXPECT_TRUE(says(explain(in), "unknown"));
    EXPECT_FALSE(says(explain(in), "not known to be affected"));
  }
  WhyInput blind = input("nginx");
  blind.findings.clear();
  blind.facts.packages.reset();
  EXPECT_TRUE(says(explain(blind), "unknown")) << text(explain(blind));
  WhyInput unit = input("nginx.service");
  unit.facts.units.reset();
  EXPECT_TRUE(says(explain(unit), "unknown"));
}

TEST(Why, AnUnreadChangelogLeavesACveUnknown) {
  WhyInput in = input("CVE-2000-0001");
  in.facts.updates->value->updates[0].changelog_read = false;

  EXPECT_TRUE(says(explain(in), "is unknown: the changelogs")) << text(explain(in));
}

TEST(Why, AFixThatIsInstalledButNotActiveIsNoAllClear) {
  WhyInput in = input("CVE-2000-0001");
  in.findings[0].kind = FindingKind::kRestartNeeded;
  in.findings[0].subject = "nginx.service";
  in.findings[0].cves.clear();
  in.findings[0].exposure = Exposure::kInstalledNotActive;

  EXPECT_TRUE(says(explain(in), "Old code still runs on the host")) << text(explain(in));
}

TEST(Why, NamesAnArchiveThatFails) {
  WhyInput in = input("CVE-2000-0001");
  in.facts.updates->value->repositories[1].state = RepositoryState::kBadSignature;
  in.facts.updates->value->repositories[1].detail = "NO_PUBKEY 1234";

  EXPECT_TRUE(says(explain(in), "bad-signature: NO_PUBKEY 1234")) << text(explain(in));
}

TEST(Why, EveryStateOfARolloutHasASentence) {
  for (const auto& [state, word] : enum_words(RolloutState{})) {
    WhyInput in = input("openssl");
    in.plans = {plan(state)};
    EXPECT_GT(explain(in).verdict.size(), text(explain(input("openssl"))).find('\n') - 30) << word;
    EXPECT_FALSE(says(explain(in), "No plan was made")) << word;
  }
  for (const auto& [state, word] : enum_words(RolloutHostState{})) {
    WhyInput in = input("openssl");
    in.plans = {plan(RolloutState::kRunning, state, 1)};
    EXPECT_TRUE(says(explain(in), "ROL-5k2m9x")) << word;
  }
}

TEST(Why, ShowsAStandingRestartOfTheUnit) {
  WhyInput in = input("nginx.service");
  RunOutcome run;
  run.run = RunId("RUN-9");
  run.cause = "standing unit-failed nginx.service";
  run.state = RunState::kVerified;
  run.reason = "nginx.service was restarted and is stable";
  run.ended = kNow;
  in.runs = {run};
  EXPECT_TRUE(says(explain(in), "RUN-9"));
  in.subject = "cron.service";
  EXPECT_FALSE(says(explain(in), "RUN-9"));
}

TEST(Why, EvidenceIsLimited) {
  WhyInput in = input({});
  for (int i = 0; i < 200; ++i) in.findings.push_back(openssl_finding());

  EXPECT_EQ(explain(in).evidence.size(), 60u);
  EXPECT_TRUE(says(explain(in), "More is left out"));
}

}  // namespace
}  // namespace prunella
