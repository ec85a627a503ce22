#include <gtest/gtest.h>

#include "fleet.h"

namespace prunella::testing {
namespace {

using std::chrono::seconds;

class Fleet : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = store_in_memory(now_);
    ASSERT_TRUE(opened) << opened.error().text();
    sqlite_ = *std::move(opened);
    store_ = std::make_unique<MortalStore>(*sqlite_);
    restart();
    auto trust = plane_->set_trust(admin_, keys_.trust(), now_);
    ASSERT_TRUE(trust) << trust.error().text();
    ASSERT_TRUE(set_policy(1));
  }

  void restart() {
    plane_.reset();
    store_->live_on();
    plane_ = std::make_unique<ControlPlane>(ControlPlane::Ports{*store_, random_, issuer_, keys_.director, keys_.recorder},
                                            ControlOptions{.heartbeat = seconds(10), .stale_after = seconds(30), .last_seen_checkpoint = seconds(10)}, nullptr);
    auto started = plane_->start("test", now_);
    ASSERT_TRUE(started) << started.error().text();
  }

  Result<TrustView> set_policy(std::uint64_t serial, std::uint32_t approvals = 1) { return plane_->set_policy(admin_, keys_.policy(serial, now_, approvals), now_); }

  Result<EnrollAnswer> enroll(const std::string& name, std::map<std::string, std::string> labels = {}) {
    EnrolmentTokenRequest request;
    request.labels = labels;
    auto token = plane_->add_enrolment_token(admin_, request, now_);
    if (!token) return std::move(token).error();
    last_token_ = *token->secret;
    return plane_->enroll({last_token_, name, "csr", "0"}, "192.0.2.1", now_);
  }

  void add_hosts(int count) {
    for (int i = 0; i < count; ++i) {
      auto answer = enroll("web-" + std::to_string(i), i == 0 ? std::map<std::string, std::string>{{"ring", "canary"}} : std::map<std::string, std::string>{});
      ASSERT_TRUE(answer) << answer.error().text();
      hosts_.emplace_back(answer->host, "one-" + std::to_string(i));
      auto received = plane_->receive(answer->host, hosts_.back().all_sections(sick_facts(now_), now_), now_);
      ASSERT_TRUE(received) << received.error().text();
    }
  }

  Result<PlanView> approve(const PlanView& plan, const PrivateKey& key, std::string name) {
    return plane_->approve(admin_, plan.id, Signers::approval(plan, key, std::move(name), now_), now_);
  }

  Result<PlanView> make_plan() {
    PlanRequest request;
    request.selector = "all";
    request.waves = std::vector<std::string>{"1", "50%", "100%"};
    request.soak_reports = 2;
    return plane_->make_plan(admin_, request, now_);
  }

  Order order_in(const Envelope& envelope) {
    auto order = keys_.order_in(envelope);
    EXPECT_TRUE(order) << order.error().text();
    return *std::move(order);
  }

  /// Adds hosts and starts a rollout over them. Gives the canary's order: that is the first host, by its label.
  Order start_rollout(int hosts) {
    add_hosts(hosts);
    auto plan = make_plan();
    EXPECT_TRUE(plan) << plan.error().text();
    EXPECT_TRUE(approve(*plan, keys_.ada, "ada"));
    auto started = plane_->start_rollout(admin_, {plan->id, plan->digest}, now_);
    EXPECT_TRUE(started) << started.error().text();
    rollout_ = started->rollout.id;
    return order_in(plane_->directions(hosts_[0].id(), 0, 1, now_)->orders.at(0));
  }

  RunOutcome outcome_of(const Order& order, RunState state) {
    RunOutcome outcome;
    outcome.run = order.run;
    outcome.host = order.host;
    outcome.order = order.id;
    outcome.cause = "order";
    outcome.plan = digest_of(order.plan);
    outcome.state = state;
    outcome.reason = "the test says so";
    outcome.started = now_;
    outcome.ended = now_;
    return outcome;
  }

  std::optional<AuditVerdict> audit_verdict() {
    auto verdict = verify_audit(*sqlite_, {.keys = {keys_.recorder.public_key()}});
    if (!verdict) return std::nullopt;
    return *verdict;
  }

  Instant now_ = *parse_rfc3339("2026-11-24T03:00:00Z");
  SeededRandom random_{7};
  PaperIssuer issuer_;
  Signers keys_;
  Caller admin_{"token:test", "t", {Scope::kAdmin}};
  std::unique_ptr<SqliteConnection> sqlite_;
  std::unique_ptr<MortalStore> store_;
  std::unique_ptr<ControlPlane> plane_;
  std::vector<PlayedHost> hosts_;
  RolloutId rollout_;
  std::string last_token_;
};

TEST_F(Fleet, AnEnrolmentTokenWorksOnceInTimeAndHereOnly) {
  auto answer = enroll("web-1");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->operators.front(), keys_.operators.public_key());
  auto refusal = [&](const std::string& token, const std::string& name = "web-2") {
    auto refused = plane_->enroll({token, name, "csr", "0"}, "192.0.2.1", now_);
    return refused ? "" : refused.error().text();
  };
  EXPECT_NE(refusal(last_token_).find("was used at"), std::string::npos);
  EXPECT_NE(refusal("prunella_x_y_z").find("unknown"), std::string::npos);
  EXPECT_NE(refusal(last_token_, "../x").find("not a host name"), std::string::npos);
  auto late = plane_->add_enrolment_token(admin_, {}, now_);
  ASSERT_TRUE(late);
  now_ += std::chrono::hours(2);
  EXPECT_NE(refusal(*late->secret).find("expired"), std::string::npos);
  auto named = plane_->add_enrolment_token(admin_, {.name = "db-1"}, now_);
  ASSERT_TRUE(named);
  EXPECT_NE(refusal(*named->secret, "web-9").find("'db-1'"), std::string::npos);
  auto page = plane_->hosts(admin_, "all", {"", 10}, now_);
  EXPECT_EQ(page->items.size(), 1u);
}

TEST_F(Fleet, AskingForACheckpointSignsTheLogsEndAndWritesNothing) {
  Caller reader{"token:r", "r", {Scope::kRead}};
  auto before = audit_verdict();

  auto first = plane_->checkpoint(reader, now_);
  auto second = plane_->checkpoint(reader, now_);

  ASSERT_TRUE(first) << first.error().text();
  EXPECT_TRUE(verify_checkpoint(*first, keys_.recorder.public_key()));
  EXPECT_EQ(first->sequence, before->last_sequence);
  EXPECT_EQ(first->hash, before->last_hash);
  EXPECT_EQ(*second, *first);
  EXPECT_EQ(audit_verdict()->last_sequence, before->last_sequence);
}

TEST_F(Fleet, SignsItsLogEachDayWithNewEntriesAndEachThousand) {
  auto tick_in = [&](Duration wait) {
    now_ += wait;
    auto ticked = plane_->tick(now_);
    EXPECT_TRUE(ticked) << ticked.error().text();
    return audit_verdict()->checkpoints;
  };
  auto note_some = [&, address = 0](std::int64_t count) mutable {
    for (std::int64_t i = 0; i < count; ++i) plane_->refused_connection("client " + std::to_string(++address), "no certificate", now_);
  };
  EXPECT_EQ(tick_in(seconds(1)), 1) << "a log without any gets its first";
  EXPECT_EQ(tick_in(kCheckpointInterval * 3), 1) << "nothing new: nothing to sign";
  note_some(1);
  EXPECT_EQ(tick_in(seconds(1)), 2) << "the last one was days ago";
  note_some(1);
  EXPECT_EQ(tick_in(kCheckpointInterval - seconds(1)), 2);
  EXPECT_EQ(tick_in(seconds(1)), 3);
  note_some(1);
  EXPECT_EQ(tick_in(-kCheckpointInterval), 4) << "the clock went back";
  note_some(1);
  EXPECT_EQ(tick_in(seconds(1)), 4);
  note_some(kCheckpointEntries);
  EXPECT_EQ(tick_in(seconds(1)), 5);
  EXPECT_TRUE(audit_verdict()->sound());
}

TEST_F(Fleet, ARevokedHostIsNotHeard) {
  auto answer = enroll("web-1");
  ASSERT_TRUE(answer);
  std::string fingerprint = sha256(answer->certificate_pem).hex();
  EXPECT_TRUE(plane_->authenticate(fingerprint, "web-1", now_));
  EXPECT_FALSE(plane_->authenticate(sha256("other").hex(), "web-1", now_));
  ASSERT_TRUE(plane_->revoke(admin_, answer->host, now_));
  auto refused = plane_->authenticate(fingerprint, "web-1", now_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
}

TEST_F(Fleet, AReportBecomesFindingsAndSilenceIsNeverHealth) {
  add_hosts(1);
  auto detail = plane_->host(admin_, hosts_[0].id(), now_);
  ASSERT_TRUE(detail) << detail.error().text();
  ASSERT_FALSE(detail->findings.empty());
  EXPECT_EQ(detail->findings[0].finding.kind, FindingKind::kMissingSecurityUpdate);
  EXPECT_EQ(detail->host.posture, PostureState::kNeedsUpdate);
  HostFacts cured = sick_facts(now_);
  cured.packages->value->packages[0].version = "3.0.17-1";
  cured.packages->value->packages[0].source_version = "3.0.17-1";
  cured.updates->value->updates.clear();
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].all_sections(cured, now_), now_));
  detail = plane_->host(admin_, hosts_[0].id(), now_);
  EXPECT_EQ(detail->host.posture, PostureState::kHealthy) << detail->host.sentence;
  now_ += seconds(31);
  detail = plane_->host(admin_, hosts_[0].id(), now_);
  EXPECT_EQ(detail->host.posture, PostureState::kStale);
}

TEST_F(Fleet, AHostThatReportedIsNotShownAsStaleBecauseTheControlPlaneStartedAnew) {
  add_hosts(1);
  for (int reports = 0; reports < 12; ++reports) {
    now_ += seconds(10);
    ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({}, now_), now_));
    ASSERT_TRUE(plane_->tick(now_));
  }

  restart();
  now_ += seconds(9);

  EXPECT_EQ(plane_->host(admin_, hosts_[0].id(), now_)->host.posture, PostureState::kNeedsUpdate);
  now_ += seconds(22);
  EXPECT_EQ(plane_->host(admin_, hosts_[0].id(), now_)->host.posture, PostureState::kStale);
}

TEST_F(Fleet, SavesWhenHostsWereHeardTogetherAndNotAtEachHeartbeat) {
  add_hosts(3);
  auto stored = [&](std::size_t i) { return FleetStore(*store_).host(hosts_[i].id())->last_seen; };
  ASSERT_TRUE(plane_->tick(now_));
  Instant saved = now_;
  now_ += seconds(9);
  for (PlayedHost& host : hosts_) ASSERT_TRUE(plane_->receive(host.id(), host.report({}, now_), now_));
  ASSERT_TRUE(plane_->tick(now_));
  for (std::size_t i = 0; i < hosts_.size(); ++i) EXPECT_EQ(stored(i), saved);

  now_ += seconds(1);
  ASSERT_TRUE(plane_->tick(now_));

  for (std::size_t i = 0; i < hosts_.size(); ++i) EXPECT_EQ(stored(i), saved + seconds(9));
  // Our clock goes back: what is heard then is saved at once, or it would wait until the old time came again.
  now_ -= std::chrono::hours(1);
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({}, now_), now_));
  ASSERT_TRUE(plane_->tick(now_));
  EXPECT_EQ(stored(0), now_);
}

TEST_F(Fleet, AGapIsSeenAndHealedByTheWholeSection) {
  add_hosts(1);
  PlayedHost& host = hosts_[0];
  HostFacts facts = sick_facts(now_);
  PackageFacts after = *facts.packages->value;
  after.packages[0].version = "3.0.12-1";
  PackagesDelta delta{after.packages, {}, false, now_, sha256(to_canonical_text(after))};
  host.skip_number("packages");
  auto answer = plane_->receive(host.id(), host.report({host.event("packages", kEventPackagesDelta, to_json(delta), now_)}, now_), now_);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->resync, std::vector<std::string>{"packages"});
  EXPECT_EQ(plane_->host(admin_, host.id(), now_)->facts.packages->value->packages[0].version, "3.0.11-1");
  answer = plane_->receive(host.id(), host.report({host.event("packages", kEventSection, to_json(sensed(after, now_)), now_)}, now_), now_);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->resync.empty());
  EXPECT_EQ(plane_->host(admin_, host.id(), now_)->facts.packages->value->packages[0].version, "3.0.12-1");
  // A delta on a base that we don't share is found by its digest.
  delta.digest = sha256("something else");
  answer = plane_->receive(host.id(), host.report({host.event("packages", kEventPackagesDelta, to_json(delta), now_)}, now_), now_);
  EXPECT_EQ(answer->resync, std::vector<std::string>{"packages"});
}

TEST_F(Fleet, TakesWhatANewerAgentSaysBeyondWhatWeKnow) {
  add_hosts(1);
  PlayedHost& host = hosts_[0];
  PackageFacts packages = *sick_facts(now_).packages->value;
  packages.packages[0].version = "3.0.12-1";
  Json section = to_json(sensed(packages, now_));
  section["new"] = Json(1);
  section["value"]["new"] = Json(1);
  (*section["value"]["packages"].as_array())[0]["new"] = Json(1);
  Json notice = to_json(Notice{"events-dropped", "two of them", now_});
  notice["new"] = Json(1);

  auto answer = plane_->receive(host.id(), host.report({host.event("packages", kEventSection, section, now_), host.event("runs", kEventNotice, notice, now_)}, now_), now_);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_TRUE(answer->resync.empty());
  EXPECT_EQ(plane_->host(admin_, host.id(), now_)->facts.packages->value->packages[0].version, "3.0.12-1");

  // Its digest of the list is one that we can't compute: each change brings the whole list.
  packages.packages[0].version = "3.0.13-1";
  (*section["value"]["packages"].as_array())[0]["version"] = Json("3.0.13-1");
  Json delta = to_json(PackagesDelta{packages.packages, {}, false, now_, sha256(to_canonical(section["value"]))});
  (*delta["changed"].as_array())[0]["new"] = Json(1);
  answer = plane_->receive(host.id(), host.report({host.event("packages", kEventPackagesDelta, delta, now_)}, now_), now_);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->resync, std::vector<std::string>{"packages"});
  answer = plane_->receive(host.id(), host.report({host.event("packages", kEventSection, section, now_)}, now_), now_);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_TRUE(answer->resync.empty());
  EXPECT_EQ(plane_->host(admin_, host.id(), now_)->facts.packages->value->packages[0].version, "3.0.13-1");
}

TEST_F(Fleet, ASectionThatWeDoNotKnowIsNumberedAndTheRestOfTheReportTaken) {
  add_hosts(1);
  PlayedHost& host = hosts_[0];
  HostFacts facts = sick_facts(now_);
  facts.units->value->units[0].active = "failed";
  auto events = {host.event("sockets", kEventSection, Json(Json::Object{{"value", Json(1)}}), now_), host.event("units", kEventSection, to_json(*facts.units), now_)};

  auto answer = plane_->receive(host.id(), host.report(events, now_), now_);

  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->received["sockets"], 1u);
  EXPECT_TRUE(answer->resync.empty());
  EXPECT_EQ(plane_->host(admin_, host.id(), now_)->facts.units->value->units[0].active, "failed");
}

TEST_F(Fleet, ANewerAgentsReportIsStillReadStrictlyInWhatWeKnow) {
  add_hosts(1);
  PlayedHost& host = hosts_[0];
  Json section = to_json(sensed(*sick_facts(now_).packages->value, now_));
  section["new"] = Json(1);
  (*section["value"]["packages"].as_array())[0]["version"] = Json(3);
  auto refused = plane_->receive(host.id(), host.report({host.event("packages", kEventSection, section, now_)}, now_), now_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidInput);
  EXPECT_EQ(refused.error().text(), "the section packages: value: packages: [0]: version: expected a text, got a whole number 3");
}

TEST_F(Fleet, ARepeatedReportChangesNothing) {
  add_hosts(1);
  Report report = hosts_[0].all_sections(sick_facts(now_ + seconds(1)), now_);
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), report, now_));
  auto before = audit_verdict()->entries;
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), report, now_));
  EXPECT_EQ(audit_verdict()->entries, before);
}

TEST_F(Fleet, SaysWhetherNoHostMatchesNoneNeedsAnythingOrNoneCanBePlanned) {
  add_hosts(2);
  auto refusal = [&](const std::string& selector) {
    PlanRequest request;
    request.selector = selector;
    auto plan = plane_->make_plan(admin_, request, now_);
    return plan ? Error(ErrorKind::kCorrupt, "there is a plan") : plan.error();
  };
  HostFacts cured = sick_facts(now_);
  cured.updates->value->updates.clear();
  for (PlayedHost& host : hosts_) ASSERT_TRUE(plane_->receive(host.id(), host.all_sections(cured, now_), now_));

  Error nobody = refusal("host:db-*");
  Error nothing = refusal("all");
  now_ += seconds(40);
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({}, now_), now_));
  Error unknown = refusal("all");

  EXPECT_EQ(nobody.kind(), ErrorKind::kNotFound);
  EXPECT_EQ(nobody.type(), kNoHostMatches);
  EXPECT_NE(nobody.text().find("'host:db-*'"), std::string::npos) << nobody.text();
  EXPECT_EQ(nothing.kind(), ErrorKind::kConflict);
  EXPECT_EQ(nothing.type(), kNothingToPlan);
  EXPECT_TRUE(nothing.text().starts_with("nothing to plan: 2 hosts need nothing; ")) << nothing.text();
  for (const PlayedHost& host : hosts_) EXPECT_NE(nothing.text().find(host.id().text() + ": no security update is missing"), std::string::npos) << nothing.text();
  EXPECT_EQ(unknown.kind(), ErrorKind::kConflict);
  EXPECT_EQ(unknown.type(), kNothingCanBePlanned);
  EXPECT_TRUE(unknown.text().starts_with("nothing can be planned: 1 of 2 hosts can't be, the others need nothing; " + hosts_[1].id().text() + ": not planned: silent since")) << unknown.text();
}

TEST_F(Fleet, NothingIsOrderedWithoutEnoughDifferentApprovers) {
  ASSERT_TRUE(set_policy(2, 2));
  add_hosts(2);
  auto plan = make_plan();
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->approvals_required, 2u);
  auto rollout = plane_->start_rollout(admin_, {plan->id, plan->digest}, now_);
  ASSERT_TRUE(rollout) << rollout.error().text();
  EXPECT_EQ(rollout->rollout.state, RolloutState::kWaitingForApproval);
  ASSERT_TRUE(approve(*plan, keys_.ada, "ada"));
  EXPECT_EQ(approve(*plan, keys_.ada, "ada").error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(approve(*plan, keys_.ada, "bob").error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(approve(*plan, keys_.director, "bob").error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(plane_->rollout(admin_, rollout->rollout.id, now_)->rollout.state, RolloutState::kWaitingForApproval);
  for (PlayedHost& host : hosts_) EXPECT_TRUE(plane_->directions(host.id(), 0, 2, now_)->orders.empty());
  ASSERT_TRUE(approve(*plan, keys_.bob, "bob"));
  auto running = plane_->rollout(admin_, rollout->rollout.id, now_);
  EXPECT_EQ(running->rollout.state, RolloutState::kRunning);
  EXPECT_EQ(running->rollout.reason, "the first wave: 0 of 1 host done; " + running->rollout.hosts[0].host.text() + " waits: the host has policy serial 1, the one in force is 2");
}

TEST_F(Fleet, ACanaryThatFailsStopsTheRollout) {
  Order order = start_rollout(4);
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({hosts_[0].event("runs", kEventOutcome, to_json(outcome_of(order, RunState::kReverted)), now_)}, now_), now_));
  EXPECT_EQ(plane_->rollout(admin_, rollout_, now_)->rollout.state, RolloutState::kStopped);
  for (std::size_t i = 1; i < hosts_.size(); ++i) EXPECT_TRUE(plane_->directions(hosts_[i].id(), 0, 1, now_)->orders.empty());
  EXPECT_TRUE(audit_verdict()->sound());
}

TEST_F(Fleet, WhatOurOwnRunsUnpackIsNoSignThatTheFleetIsSick) {
  add_hosts(5);
  PlayedHost& late = hosts_[4];
  PlanRequest request;
  request.selector = "all";
  request.waves = std::vector<std::string>{"100%"};
  auto plan = plane_->make_plan(admin_, request, now_);
  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_TRUE(approve(*plan, keys_.ada, "ada"));
  now_ += kHostLateAfter + seconds(1);
  auto report = [&](PlayedHost& host, std::vector<Event> events) { return plane_->receive(host.id(), host.report(std::move(events), now_), now_).has_value(); };
  for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(report(hosts_[i], {}));
  auto started = plane_->start_rollout(admin_, {plan->id, plan->digest}, now_);
  ASSERT_TRUE(started) << started.error().text();
  std::vector<Order> orders;
  for (std::size_t i = 0; i < 4; ++i) orders.push_back(order_in(plane_->directions(hosts_[i].id(), 0, 1, now_)->orders.at(0)));
  ASSERT_TRUE(plane_->directions(late.id(), 0, 1, now_)->orders.empty());

  auto half_installed = sick_facts(now_).packages;
  half_installed->value->packages[0].state = PackageState::kUnpacked;
  for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(report(hosts_[i], {hosts_[i].event("packages", kEventSection, to_json(*half_installed), now_)}));
  ASSERT_TRUE(report(late, {}));
  ASSERT_TRUE(plane_->tick(now_));

  EXPECT_EQ(plane_->directions(late.id(), 0, 1, now_)->orders.size(), 1u) << plane_->rollout(admin_, started->rollout.id, now_)->rollout.reason;
}

TEST_F(Fleet, WhatIsBrokenWithoutARunOfOursIsASignThatTheFleetIsSick) {
  add_hosts(5);
  auto plan = make_plan();
  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_TRUE(approve(*plan, keys_.ada, "ada"));
  auto half_installed = sick_facts(now_).packages;
  half_installed->value->packages[0].state = PackageState::kUnpacked;
  for (std::size_t i = 1; i < 4; ++i)
    ASSERT_TRUE(plane_->receive(hosts_[i].id(), hosts_[i].report({hosts_[i].event("packages", kEventSection, to_json(*half_installed), now_)}, now_), now_));

  auto started = plane_->start_rollout(admin_, {plan->id, plan->digest}, now_);

  ASSERT_TRUE(started) << started.error().text();
  EXPECT_NE(started->rollout.reason.find("3 of 5 hosts became broken"), std::string::npos) << started->rollout.reason;
  EXPECT_TRUE(plane_->directions(hosts_[0].id(), 0, 1, now_)->orders.empty());
}

/// Four hosts, whose canary proved its run and is watched for two reports more.
class Soak : public Fleet {
 protected:
  void SetUp() override {
    Fleet::SetUp();
    Order order = start_rollout(4);
    PlayedHost& canary = hosts_[0];
    now_ += seconds(5);
    ASSERT_TRUE(plane_->receive(canary.id(), canary.report({canary.event("runs", kEventOutcome, to_json(outcome_of(order, RunState::kVerified)), now_)}, now_), now_));
  }

  /// A heartbeat later the canary says `facts`; the others report too, or the gate would call them stale.
  void canary_reports(const HostFacts& facts) {
    now_ += seconds(10);
    for (std::size_t i = 1; i < hosts_.size(); ++i) ASSERT_TRUE(plane_->receive(hosts_[i].id(), hosts_[i].report({}, now_), now_));
    ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].all_sections(facts, now_), now_));
  }

  std::size_t others_ordered() {
    std::size_t count = 0;
    for (std::size_t i = 1; i < hosts_.size(); ++i) count += !plane_->directions(hosts_[i].id(), 0, 1, now_)->orders.empty();
    return count;
  }

  void expect_stopped(const std::string& because) {
    auto view = plane_->rollout(admin_, rollout_, now_);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->rollout.state, RolloutState::kStopped);
    EXPECT_NE(view->rollout.reason.find(because), std::string::npos) << view->rollout.reason;
    for (int reports = 0; reports < 3; ++reports) canary_reports(sick_facts(now_));
    EXPECT_EQ(others_ordered(), 0u);
  }
};

TEST_F(Soak, TheNextWaveComesAfterTwoReportsInHealth) {
  EXPECT_EQ(others_ordered(), 0u);
  canary_reports(sick_facts(now_));
  EXPECT_EQ(others_ordered(), 0u);
  canary_reports(sick_facts(now_));
  EXPECT_EQ(others_ordered(), 1u);
}

TEST_F(Soak, ABurstOfReportsIsNoTimeInHealthAndTroubleInItCounts) {
  for (int reports = 0; reports < 5; ++reports) ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].all_sections(sick_facts(now_), now_), now_));
  canary_reports(sick_facts(now_));
  EXPECT_EQ(others_ordered(), 0u);
  HostFacts facts = sick_facts(now_);
  facts.units->value->units[0].active = "failed";
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].all_sections(facts, now_), now_));
  expect_stopped("nginx.service has failed");
}

TEST_F(Soak, AUnitThatFailsAfterTheRunStopsTheRollout) {
  HostFacts facts = sick_facts(now_);
  facts.units->value->units[0].active = "failed";
  canary_reports(facts);
  expect_stopped("nginx.service has failed");
}

TEST_F(Soak, AFilesystemThatFillsAfterTheRunStopsTheRollout) {
  HostFacts facts = sick_facts(now_);
  facts.disk->value->filesystems[0].free_bytes = 0;
  canary_reports(facts);
  expect_stopped("is full");
}

TEST_F(Soak, UnitsThatAreNotKnownAreNoHealth) {
  HostFacts facts = sick_facts(now_);
  facts.units = not_sensed<UnitFacts>("no bus", now_);
  canary_reports(facts);
  expect_stopped("units are not known");
}

TEST_F(Fleet, AnOrderThatNobodyBeganEndsWithItsRunAndALateOutcomeStillCounts) {
  Order order = start_rollout(2);
  now_ = order.expires + std::chrono::minutes(3);
  ASSERT_TRUE(plane_->tick(now_));
  EXPECT_EQ(plane_->run(admin_, order.run)->state, RunState::kRefused);
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({hosts_[0].event("runs", kEventOutcome, to_json(outcome_of(order, RunState::kVerified)), now_)}, now_), now_));
  EXPECT_EQ(plane_->run(admin_, order.run)->state, RunState::kVerified);
}

TEST_F(Fleet, AHostOnWhichARunIsAtWorkSaysSoUntilTheRunEnds) {
  Order order = start_rollout(1);
  auto sentence = [&] { return plane_->host(admin_, hosts_[0].id(), now_)->host.sentence; };
  std::string before = sentence();
  RunProgress progress{order.run, RunState::kActing, now_, "unpacking libssl3", 60u};
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({hosts_[0].event("runs", kEventProgress, to_json(progress), now_)}, now_), now_));
  EXPECT_EQ(sentence(), order.run.text() + " is at work on it; now: " + before);

  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({hosts_[0].event("runs", kEventOutcome, to_json(outcome_of(order, RunState::kVerified)), now_)}, now_), now_));

  EXPECT_EQ(sentence(), before);
}

TEST_F(Fleet, WhatARefusedOrderDidAfterAllCountsAboveTheRefusal) {
  Order order = start_rollout(1);
  auto tell = [&](RunState state) {
    return plane_->receive(hosts_[0].id(), hosts_[0].report({hosts_[0].event("runs", kEventOutcome, to_json(outcome_of(order, state)), now_)}, now_), now_).has_value();
  };
  ASSERT_TRUE(tell(RunState::kRefused));
  ASSERT_TRUE(tell(RunState::kReverted));
  EXPECT_EQ(plane_->run(admin_, order.run)->state, RunState::kReverted);
  ASSERT_TRUE(tell(RunState::kRefused));
  EXPECT_EQ(plane_->run(admin_, order.run)->state, RunState::kReverted);
}

TEST_F(Fleet, AClockThatGoesBackMakesNobodyHealthy) {
  add_hosts(1);
  now_ -= std::chrono::hours(24);
  EXPECT_EQ(plane_->host(admin_, hosts_[0].id(), now_)->host.posture, PostureState::kStale);
  ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({}, now_), now_));
  EXPECT_EQ(plane_->host(admin_, hosts_[0].id(), now_)->host.posture, PostureState::kNeedsUpdate);
}

TEST_F(Fleet, AHostWhoseClockIsTenYearsOffIsFoundAndLosesNoOtherFinding) {
  add_hosts(1);
  auto kinds = [&] {
    auto detail = plane_->host(admin_, hosts_[0].id(), now_);
    std::vector<FindingKind> open;
    for (const FindingView& view : detail->findings)
      if (view.state == "open") open.push_back(view.finding.kind);
    std::ranges::sort(open);
    return open;
  };
  auto before = kinds();
  ASSERT_EQ(std::ranges::count(before, FindingKind::kMissingSecurityUpdate), 1);
  for (auto off : {std::chrono::hours(24 * 3652), -std::chrono::hours(24 * 3652)}) {
    ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({}, now_ + off), now_));
    auto during = kinds();
    EXPECT_EQ(std::erase(during, FindingKind::kClockOff), 1u);
    EXPECT_EQ(during, before);
    EXPECT_EQ(plane_->host(admin_, hosts_[0].id(), now_)->host.posture, PostureState::kBroken);
    ASSERT_TRUE(plane_->receive(hosts_[0].id(), hosts_[0].report({}, now_), now_));
    EXPECT_EQ(kinds(), before);
  }
}

TEST_F(Fleet, TakesALongReasonWhoseCutFallsIntoACharacter) {
  Order order = start_rollout(1);
  RunOutcome outcome = outcome_of(order, RunState::kReverted);
  outcome.reason = std::string(kAuditSentenceBytesMax - 1, 'a') + "\xc3\xa9 and more";
  Notice notice{"events-dropped", outcome.reason, now_};
  Report report = hosts_[0].report({hosts_[0].event("runs", kEventOutcome, to_json(outcome), now_), hosts_[0].event("runs", kEventNotice, to_json(notice), now_)}, now_);
  report.agent_version = std::string(kAgentVersionBytesMax - 1, '1') + "\xc3\xa9";

  auto received = plane_->receive(hosts_[0].id(), report, now_);

  ASSERT_TRUE(received) << received.error().text();
  EXPECT_EQ(plane_->run(admin_, order.run)->state, RunState::kReverted);
  EXPECT_TRUE(audit_verdict()->sound());
}

TEST_F(Fleet, AStolenHostSpeaksForItselfOnly) {
  Order order = start_rollout(2);
  auto forged = plane_->receive(hosts_[1].id(), hosts_[1].report({hosts_[1].event("runs", kEventOutcome, to_json(outcome_of(order, RunState::kVerified)), now_)}, now_), now_);
  EXPECT_FALSE(forged);
  RunOutcome claimed = outcome_of(order, RunState::kVerified);
  claimed.host = hosts_[1].id();
  forged = plane_->receive(hosts_[1].id(), hosts_[1].report({hosts_[1].event("runs", kEventOutcome, to_json(claimed), now_)}, now_), now_);
  EXPECT_FALSE(forged);
  EXPECT_EQ(plane_->run(admin_, order.run)->state, RunState::kOrdered);
}

TEST_F(Fleet, ScopesAreKept) {
  Caller reader{"token:r", "r", {Scope::kRead}};
  EXPECT_TRUE(plane_->status(reader, now_));
  EXPECT_EQ(make_plan().error().kind(), ErrorKind::kNotFound);
  PlanRequest request;
  request.selector = "all";
  EXPECT_EQ(plane_->make_plan(reader, request, now_).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(plane_->add_token(reader, {"x", {Scope::kAdmin}, seconds(3600)}, now_).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(plane_->set_trust(admin_, {"example", {keys_.ada.public_key()}, 1}, now_).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(set_policy(1).error().kind(), ErrorKind::kConflict);
}

// Runs a whole rollout over hosts that answer, killing the control plane before its n-th use of the store, and again after each
// restart, until it ends. Each host must have been ordered exactly once, whatever the moment.
class KilledControlPlane : public Fleet {
 protected:
  // One pass of everybody: hosts poll, do what they were told once, report, beat.
  void step(std::map<HostId, std::vector<RunId>>& done, std::map<HostId, std::vector<Event>>& unsent) {
    for (PlayedHost& host : hosts_) {
      auto directions = plane_->directions(host.id(), 0, 1, now_);
      ASSERT_TRUE(directions);
      for (const Envelope& envelope : directions->orders) {
        Order order = order_in(envelope);
        auto& runs = done[host.id()];
        if (std::ranges::find(runs, order.run) != runs.end()) continue;  // the executor takes a sequence once
        runs.push_back(order.run);
        unsent[host.id()].push_back(host.event("runs", kEventOutcome, to_json(outcome_of(order, RunState::kVerified)), now_));
      }
      auto received = plane_->receive(host.id(), host.report(unsent[host.id()], now_), now_);
      ASSERT_TRUE(received) << received.error().text();
      unsent[host.id()].clear();
    }
    now_ += seconds(6);
    auto ticked = plane_->tick(now_);
    ASSERT_TRUE(ticked) << ticked.error().text();
  }

  // @return the operations that a run without a kill takes.
  std::size_t run_with_kill_at(std::optional<std::size_t> first) {
    add_hosts(4);
    auto plan = make_plan();
    EXPECT_TRUE(plan);
    EXPECT_TRUE(approve(*plan, keys_.ada, "ada"));
    store_->kill_at(first ? *first : 1'000'000);
    std::map<HostId, std::vector<RunId>> done;
    std::map<HostId, std::vector<Event>> unsent;
    std::optional<RolloutId> id;
    std::size_t operations = 0;
    int deaths = 0;
    for (int round = 0; round < 60; ++round) {
      try {
        if (!id) {
          auto started = plane_->start_rollout(admin_, {plan->id, plan->digest}, now_);
          if (started) id = started->rollout.id;
          else id = plane_->plan(admin_, plan->id, now_)->started_as;  // the answer was lost, the act was not
        }
        step(done, unsent);
        if (id && is_end(plane_->rollout(admin_, *id, now_)->rollout.state)) break;
      } catch (const Killed&) {
        ++deaths;
        operations = 0;
        store_->bury();
        restart();
        if (deaths < 3) store_->kill_at(*first + static_cast<std::size_t>(deaths) * 7);
      }
    }
    operations += store_->operations();
    store_->live_on();
    EXPECT_TRUE(id);
    auto ended = plane_->rollout(admin_, *id, now_);
    EXPECT_EQ(ended->rollout.state, RolloutState::kSucceeded) << ended->sentence << " after a kill at " << first.value_or(0);
    for (PlayedHost& host : hosts_) EXPECT_EQ(done[host.id()].size(), 1u) << "kill at " << first.value_or(0);
    auto verdict = audit_verdict();
    EXPECT_TRUE(verdict && verdict->sound());
    if (first) {
      EXPECT_GT(deaths, 0);
    }
    return operations;
  }
};

TEST_F(KilledControlPlane, FinishesWithoutAKill) { EXPECT_GT(run_with_kill_at(std::nullopt), 100u); }

class KilledAt : public KilledControlPlane, public ::testing::WithParamInterface<std::size_t> {};
TEST_P(KilledAt, OrdersEachHostOnce) { run_with_kill_at(GetParam()); }
// Every operation of the first rounds, in which the orders are given.
INSTANTIATE_TEST_SUITE_P(EveryStep, KilledAt, ::testing::Range<std::size_t>(1, 400, 3));

}  // namespace
}  // namespace prunella::testing
