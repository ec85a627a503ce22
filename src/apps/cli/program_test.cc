#include "apps/cli/program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "adapters/http/problem.h"
#include "apps/cli/checked_plan.h"
#include "apps/cli/golden.h"
#include "base/text.h"
#include "model/merkle.h"
#include "model/order.h"
#include "record/audit.h"
#include "../tests/support/counting_random.h"
#include "../tests/support/stepping_clock.h"

namespace prunella::cli {
namespace {

const Instant kNow = *parse_rfc3339("2026-11-24T10:00:00.000Z");

/// What the fake control plane answers, and what it was asked.
struct World {
  std::map<std::string, std::string> replies;   ///< "GET /v1/status" -> body
  std::map<std::string, Error> errors;          ///< "POST /v1/plans" -> what is said instead
  std::vector<std::string> asked;               ///< "POST /v1/rollouts {...}"
  bool timeout = false;

  template <class T>
  void answer(const std::string& what, const T& value) {
    replies[what] = to_canonical_text(value);
  }
};

class FakeApi : public ApiClient {
 public:
  explicit FakeApi(World& world) : world_(world) {}
  Result<HttpResponse> send(const HttpRequest& request) override {
    if (world_.timeout) return unavailable("no answer in time");
    std::string what = request.method + " " + request.target;
    world_.asked.push_back(what + (request.body.empty() ? "" : " " + request.body));
    if (auto error = world_.errors.find(what); error != world_.errors.end()) return error->second;
    auto found = world_.replies.find(what);
    if (found == world_.replies.end()) return not_found("nothing is served at " + prunella::quoted(request.target));
    HttpResponse response;
    response.body = found->second;
    return response;
  }
  Status stream(const HttpRequest&, const std::function<bool(std::string_view)>&) override { return denied("no events here"); }
  void cancel() override {}
  bool timed_out() const override { return world_.timeout; }

 private:
  World& world_;
};

struct Outcome {
  ExitCode code;
  std::string out, err;
};

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/prunella-cli-test-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    folder_ = path;
    Contexts contexts;
    contexts.current = "lab";
    contexts.contexts["lab"] = {"https://10.0.0.1:8443", std::nullopt, std::string(64, 'a'), "prunella_x_y_z"};
    ASSERT_TRUE(ConfigDir(folder_).save(contexts));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Outcome run(std::vector<std::string> words, const std::string& typed = "", bool terminal = false) {
    std::ostringstream out, err;
    std::istringstream in(typed);
    Environment environment{out, err, in, false, terminal, 100, {{"PRUNELLA_CONFIG_DIR", folder_}, {"USER", "ada"}}, clock_, random_, {}, {}};
    environment.connect = [this](const Context&, Duration) -> Result<std::unique_ptr<ApiClient>> { return std::unique_ptr<ApiClient>(new FakeApi(world_)); };
    ExitCode code = run_program(environment, words);
    return {code, out.str(), err.str()};
  }

  World world_;
  testing::SteppingClock clock_{kNow};
  testing::CountingRandom random_;
  std::string folder_;
};

HostView a_host(const std::string& id, PostureState posture) {
  HostView host;
  host.id = HostId(id);
  host.name = id.substr(0, id.rfind('-'));
  host.posture = posture;
  host.sentence = "2 security updates are missing";
  host.labels = {{"ring", "canary"}};
  host.os = "Debian GNU/Linux 12 (bookworm)";
  host.last_seen = kNow - std::chrono::seconds(12);
  host.enrolled = kNow - std::chrono::days(3);
  host.agent_version = "0.1.0";
  host.findings_open = 2;
  host.cves_open = 5;
  host.reboot = RebootNeed::kNo;
  return host;
}

/// A plan for two hosts, with every digest right.
PlanView a_plan() {
  PlanView view;
  view.id = PlanId("PLN-1");
  view.approvals_required = 1;
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < 2; ++i) {
    Plan plan;
    plan.host = HostId("web-" + std::to_string(i));
    plan.purpose = "security updates";
    plan.created = kNow;
    plan.deadline = std::chrono::minutes(30);
    plan.expectation.stable_for = std::chrono::seconds(10);
    plan.reboot_after = RebootNeed::kNo;
    plan.download_bytes = 2'800'000;
    Action action;
    action.transaction = PackageTransaction{};
    action.transaction->changes.push_back({{"openssl", "amd64"}, "3.0.15-1~deb12u1", DebFile{"3.0.15-1~deb12u1", sha256("old"), 1'400'000}, {"3.0.17-1~deb12u2", sha256("new"), 1'400'000}});
    action.transaction->restarts = {"nginx.service"};
    plan.actions.push_back(action);
    HostPlan host{i, plan.host, digest_of(plan), plan};
    leaves.push_back(rollout_leaf(i, host.host, host.digest));
    view.hosts.push_back(host);
  }
  view.rollout.id = view.id;
  view.rollout.created = kNow;
  view.rollout.created_by = "token:ada";
  view.rollout.purpose = "security updates";
  view.rollout.selector = "all";
  view.rollout.host_count = 2;
  view.rollout.merkle_root = merkle_root(leaves);
  view.rollout.wave_ends = {1, 2};
  view.rollout.failures_percent_max = 5;
  view.rollout.soak_reports = 3;
  view.rollout.wave_deadline = std::chrono::hours(4);
  view.digest = digest_of(view.rollout);
  return view;
}

RolloutView a_rollout(RolloutState state) {
  PlanView plan = a_plan();
  RolloutView view;
  view.rollout.id = RolloutId("ROL-1");
  view.rollout.plan = plan.rollout;
  view.rollout.state = state;
  view.created = view.updated = kNow;
  view.sentence = "0 of 2 verified";
  for (const HostPlan& host : plan.hosts) {
    RolloutHost one;
    one.host = host.host;
    one.index = host.index;
    one.plan = host.digest;
    view.rollout.hosts.push_back(one);
  }
  return view;
}

/// Keys in the configuration directory, and a trust that knows them.
TrustView a_trust(const std::string& folder, bool with_policy = true) {
  testing::CountingRandom random;
  ConfigDir config(folder);
  auto operator_key = config.make_key("operator.key", random);
  auto approver_key = config.make_key("approver.key", random);
  TrustView trust;
  trust.ca_sha256 = std::string(64, 'a');
  trust.director = PrivateKey::generate(random).public_key();
  trust.trust = OperatorTrust{"example", {operator_key->public_key()}, 1};
  if (!with_policy) return trust;
  ExecutorPolicy policy;
  policy.serial = 3;
  policy.organisation = "example";
  policy.issued = kNow - std::chrono::days(1);
  policy.expires = kNow + std::chrono::days(80);
  policy.directors = {trust.director};
  policy.approvers = {{"ada", approver_key->public_key()}};
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 1}};
  policy.budget = {4, 12};
  trust.policy = sign_envelope(kExecutorPolicyType, to_canonical_text(policy), *operator_key);
  return trust;
}

TEST_F(Program, ShowsTheStatus) {
  StatusView status;
  status.now = kNow;
  status.version = PRUNELLA_VERSION;
  status.organisation = "example";
  status.hosts = 3;
  for (const auto& [posture, word] : enum_words(PostureState{})) status.tiles.push_back({posture, posture == PostureState::kHealthy ? 2u : posture == PostureState::kBroken ? 1u : 0u});
  status.findings_open = 1;
  status.cves_open = 5;
  status.waiting = {"rollout ROL-1 is paused: prunella rollout resume ROL-1"};
  status.recent = {"run RUN-1 verified on web-1"};
  status.sentence = "3 hosts: 1 is broken, 2 are healthy";
  status.next = "prunella finding ls";
  world_.answer("GET /v1/status", status);

  Outcome text = run({"status"});
  Outcome json = run({"status", "--json"});

  EXPECT_EQ(text.code, ExitCode::kOk);
  expect_golden("status", text.out + text.err);
  EXPECT_EQ(from_json_text<StatusView>(json.out)->sentence, status.sentence);
  EXPECT_EQ(json.err, "");
}

TEST_F(Program, ListsHostsInEachForm) {
  Page<HostView> page;
  page.items = {a_host("db-1-0a1b", PostureState::kHealthy), a_host("web-1-3f9a", PostureState::kNeedsUpdate)};
  page.items[0].last_seen.reset();
  page.items[0].os = "evil\x1b[2Jname\n";
  world_.answer("GET /v1/hosts?limit=500", page);

  Outcome text = run({"host", "ls"});

  expect_golden("host_ls", text.out + text.err + "--- plain\n" + run({"host", "ls", "--plain"}).out + "--- names\n" + run({"host", "ls", "-q"}).out);
  EXPECT_EQ(split(trim(run({"host", "ls", "--jsonl"}).out), '\n').size(), 2u);
}

TEST_F(Program, FollowsThePagesOfAList) {
  Page<HostView> first, second;
  first.items = {a_host("a-1", PostureState::kHealthy)};
  first.next = "a-1";
  second.items = {a_host("b-1", PostureState::kHealthy)};
  world_.answer("GET /v1/hosts?limit=500", first);
  world_.answer("GET /v1/hosts?limit=500&cursor=a-1", second);

  EXPECT_EQ(run({"host", "ls", "-q"}).out, "a-1\nb-1\n");
}

TEST_F(Program, AnEmptyListIsNothingFound) {
  world_.answer("GET /v1/hosts?selector=host%3Ax&limit=500", Page<HostView>{});

  Outcome outcome = run({"host", "ls", "-l", "host:x"});

  EXPECT_EQ(outcome.code, ExitCode::kNothing);
  EXPECT_EQ(outcome.err, "no host matches 'host:x'\nnext: prunella host ls\n");
}

TEST_F(Program, FindsAHostByItsNameUnlessTwoHaveIt) {
  Page<HostView> page;
  page.items = {a_host("web-1-3f9a", PostureState::kHealthy)};
  HostDetail detail{page.items[0], {}, {}};
  world_.answer("GET /v1/hosts?selector=host%3Aweb-1%2A&limit=20", page);
  world_.answer("GET /v1/hosts/web-1-3f9a", detail);
  EXPECT_EQ(run({"host", "show", "web-1"}).code, ExitCode::kOk);

  page.items.push_back(a_host("web-1-77aa", PostureState::kHealthy));
  world_.answer("GET /v1/hosts?selector=host%3Aweb-1%2A&limit=20", page);
  Outcome two = run({"host", "show", "web-1"});

  EXPECT_EQ(two.code, ExitCode::kPrecondition);
  EXPECT_EQ(two.err, "prunella: 'web-1' is the name of 2 hosts: say web-1-3f9a or web-1-77aa\n");
}

TEST_F(Program, EndsWithTheDocumentedCodes) {
  EXPECT_EQ(run({"nonsense"}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"plan", "show", "PLN-x"}).code, ExitCode::kNothing);
  world_.errors.emplace("GET /v1/status", denied("this wants a token"));
  EXPECT_EQ(run({"status"}).code, ExitCode::kAuth);
  world_.errors.clear();
  world_.errors.emplace("GET /v1/status", corrupt("the store is damaged"));
  EXPECT_EQ(run({"status"}).code, ExitCode::kFailed);
  world_.errors.clear();
  world_.replies["GET /v1/status"] = "[]";
  EXPECT_EQ(run({"status"}).code, ExitCode::kFailed);
  world_.timeout = true;
  EXPECT_EQ(run({"status"}).code, ExitCode::kTimeout);
  world_.timeout = false;
  EXPECT_EQ(run({"status", "--timeout", "soon"}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"status", "--context", "lba"}).err, "prunella: there is no context 'lba'; did you mean lab?\n");
}

TEST_F(Program, ShowsAPlanFromItsBytesAndEndsWithChanges) {
  world_.answer("POST /v1/plans", a_plan());
  world_.answer("GET /v1/trust", a_trust(folder_));

  Outcome outcome = run({"plan", "-l", "all"});

  EXPECT_EQ(outcome.code, ExitCode::kChanges) << outcome.err;
  expect_golden("plan", outcome.out + outcome.err);
}

TEST_F(Program, RefusesAPlanThatIsNotWhatItsDigestsSay) {
  Json good = to_json(a_plan());
  ASSERT_TRUE(check_plan_view(good)) << check_plan_view(good).error().text();
  auto refused = [&](auto change) {
    PlanView view = a_plan();
    change(view);
    auto checked = check_plan_view(to_json(view));
    return !checked.has_value();
  };
  EXPECT_TRUE(refused([](PlanView& v) { v.digest = sha256("other"); }));
  EXPECT_TRUE(refused([](PlanView& v) { v.rollout.selector = "host:web-0"; }));
  EXPECT_TRUE(refused([](PlanView& v) { v.id = PlanId("PLN-2"); }));
  EXPECT_TRUE(refused([](PlanView& v) { v.hosts[0].plan.actions[0].transaction->restarts.push_back("ssh.service"); }));
  EXPECT_TRUE(refused([](PlanView& v) { v.hosts[0].digest = sha256("other"); }));
  EXPECT_TRUE(refused([](PlanView& v) { std::swap(v.hosts[0], v.hosts[1]); }));
  EXPECT_TRUE(refused([](PlanView& v) { v.hosts.pop_back(); }));
  EXPECT_TRUE(refused([](PlanView& v) { v.hosts[1].index = 0; }));
  // The plan and its own digest fit each other, but the root that is signed binds another plan.
  EXPECT_TRUE(refused([](PlanView& v) {
    v.hosts[0].plan.purpose = "something else";
    v.hosts[0].digest = digest_of(v.hosts[0].plan);
  }));
  // A member that this program doesn't know would be signed without being shown.
  Json more = good;
  more["rollout"]["hidden"] = Json("x");
  more["digest"] = Json(sha256(to_canonical(more["rollout"])).hex());
  EXPECT_NE(check_plan_view(more).error().text().find("unknown key 'hidden'"), std::string::npos) << check_plan_view(more).error().text();
}

TEST_F(Program, ReadsAnswersOfANewerControlPlane) {
  HostDetail detail{a_host("web-1-3f9a", PostureState::kHealthy), {}, {}};
  detail.facts.units = sensed(UnitFacts{{{"nginx.service", "loaded", "active", "running", "success", 0u, "i1"}}, "running"}, kNow);
  Json newer = to_json(detail);
  newer["new"] = Json(Json::Object{{"x", Json(1)}});
  newer["host"]["new"] = Json(1);
  newer["facts"]["new"] = Json(1);
  newer["facts"]["units"]["value"]["new"] = Json(1);
  (*newer["facts"]["units"]["value"]["units"].as_array())[0]["new"] = Json(1);
  world_.answer("GET /v1/hosts/web-1-3f9a", newer);
  world_.answer("GET /v1/hosts?selector=host%3Aweb-1-3f9a%2A&limit=20", Json(Json::Object{{"items", Json(Json::Array{newer["host"]})}}));
  Json plan = to_json(a_plan());
  (*plan["hosts"].as_array())[0]["new"] = Json(1);
  plan["approvals"] = Json(Json::Array{Json(Json::Object{
      {"approver", Json("ada")}, {"key_id", Json("key")}, {"at", to_json(kNow)}, {"expires", to_json(kNow)}, {"new", Json(Json::Array{})}})});
  world_.answer("GET /v1/plans/PLN-1", plan);

  Outcome host = run({"host", "show", "web-1-3f9a"});
  Outcome shown = run({"plan", "show", "PLN-1"});
  newer["host"]["posture"] = Json(1);
  world_.answer("GET /v1/hosts/web-1-3f9a", newer);
  Outcome wrong = run({"host", "show", "web-1-3f9a"});

  EXPECT_EQ(host.code, ExitCode::kOk) << host.err;
  EXPECT_EQ(shown.code, ExitCode::kOk) << shown.err;
  EXPECT_EQ(wrong.code, ExitCode::kFailed);
  EXPECT_NE(wrong.err.find("host: posture: expected a text, got a whole number 1"), std::string::npos) << wrong.err;
}

TEST_F(Program, SaysWhyThereIsNoPlanAndOnlyNothingToDoIsSuccess) {
  auto plan_with = [&](Error error, std::vector<std::string> words) {
    world_.errors.clear();
    world_.errors.emplace("POST /v1/plans", std::move(error));
    return run(std::move(words));
  };
  auto nothing_to_do = [] { return conflict("nothing to plan: 1 host needs nothing; web-0: no security update is missing").of_type(kNothingToPlan); };

  Outcome nothing = plan_with(nothing_to_do(), {"plan", "-l", "all"});
  Outcome json = plan_with(nothing_to_do(), {"plan", "-l", "all", "--json"});
  Outcome no_undo = plan_with(nothing_to_do(), {"plan", "--undo", "RUN-1"});
  Outcome nobody = plan_with(not_found("no active host matches 'host:x'").of_type(kNoHostMatches), {"plan", "-l", "host:x"});
  Outcome unknown = plan_with(conflict("nothing can be planned: 1 of 1 host can't be; web-0: not planned: silent").of_type(kNothingCanBePlanned), {"plan", "-l", "all"});
  Outcome unknown_json = plan_with(conflict("silent").of_type(kNothingCanBePlanned), {"plan", "-l", "all", "--json"});
  Outcome other = plan_with(conflict("somebody else was first"), {"plan", "-l", "all"});

  EXPECT_EQ(nothing.code, ExitCode::kOk);
  EXPECT_EQ(nothing.err, "nothing to plan: 1 host needs nothing; web-0: no security update is missing\nnext: prunella status\n");
  EXPECT_EQ(json.code, ExitCode::kOk);
  EXPECT_EQ(json.out, "{\n  \"hosts\": []\n}\n");
  EXPECT_EQ(no_undo.code, ExitCode::kPrecondition);
  EXPECT_EQ(nobody.code, ExitCode::kNothing);
  EXPECT_EQ(nobody.err, "prunella: no active host matches 'host:x'\nnext: prunella host ls\n");
  EXPECT_EQ(unknown.code, ExitCode::kPrecondition);
  EXPECT_EQ(unknown_json.code, ExitCode::kPrecondition);
  EXPECT_EQ(unknown_json.out, json.out);
  EXPECT_EQ(unknown.err, "prunella: nothing can be planned: 1 of 1 host can't be; web-0: not planned: silent\nnext: prunella host ls -l 'all', and prunella why HOST\n");
  EXPECT_EQ(other.code, ExitCode::kPrecondition);
}

TEST_F(Program, ApprovesWithASignatureOverTheDigestThatItComputed) {
  PlanView plan = a_plan();
  world_.answer("GET /v1/plans/PLN-1", plan);
  world_.answer("GET /v1/trust", a_trust(folder_));
  plan.approvals = {{"ada", "key", kNow, kNow + std::chrono::hours(4)}};
  world_.answer("POST /v1/plans/PLN-1/approvals", plan);

  Outcome outcome = run({"approve", "PLN-1", "--yes"});

  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  std::string sent;
  for (const std::string& asked : world_.asked)
    if (asked.starts_with("POST /v1/plans/PLN-1/approvals ")) sent = asked.substr(asked.find('{'));
  auto envelope = from_json_text<Envelope>(sent);
  ASSERT_TRUE(envelope);
  auto key = ConfigDir(folder_).key("approver.key");
  auto payload = open_envelope(*envelope, kApprovalType, {key->public_key()}, 1);
  ASSERT_TRUE(payload);
  auto approval = from_json_text<Approval>(*payload);
  EXPECT_EQ(approval->plan_digest, plan.digest);
  EXPECT_EQ(approval->approver, "ada");
  EXPECT_EQ(approval->expires - approval->at, std::chrono::hours(4));
}

TEST_F(Program, SignsNothingWithoutAYes) {
  world_.answer("GET /v1/plans/PLN-1", a_plan());
  world_.answer("GET /v1/trust", a_trust(folder_));

  Outcome nobody = run({"approve", "PLN-1"});
  Outcome no = run({"approve", "PLN-1"}, "no\n", true);
  Outcome other = run({"approve", "PLN-1", "--yes", "--digest", std::string(64, '0')});

  EXPECT_EQ(nobody.code, ExitCode::kPrecondition);
  EXPECT_EQ(no.code, ExitCode::kPrecondition);
  EXPECT_EQ(other.code, ExitCode::kPrecondition);
  for (const std::string& asked : world_.asked) EXPECT_FALSE(asked.starts_with("POST")) << asked;
}

TEST_F(Program, ApplyApprovesStartsAndWatchesToTheEnd) {
  PlanView plan = a_plan();
  world_.answer("GET /v1/plans/PLN-1", plan);
  world_.answer("GET /v1/trust", a_trust(folder_));
  world_.answer("POST /v1/plans/PLN-1/approvals", plan);
  world_.answer("POST /v1/rollouts", a_rollout(RolloutState::kRunning));
  RolloutView ended = a_rollout(RolloutState::kSucceeded);
  for (RolloutHost& host : ended.rollout.hosts) host.state = RolloutHostState::kVerified;
  world_.answer("GET /v1/rollouts/ROL-1", ended);

  Outcome good = run({"apply", "PLN-1"}, "y\n", true);
  EXPECT_EQ(good.code, ExitCode::kOk) << good.err;
  EXPECT_NE(good.out.find("succeeded"), std::string::npos) << good.out;

  ended.rollout.state = RolloutState::kStopped;
  ended.rollout.hosts[1].state = RolloutHostState::kReverted;
  ended.rollout.hosts[1].reason = "nginx.service failed";
  world_.answer("GET /v1/rollouts/ROL-1", ended);
  EXPECT_EQ(run({"rollout", "watch", "ROL-1"}).code, ExitCode::kPartly);
  ended.rollout.hosts[0].state = RolloutHostState::kReverted;
  world_.answer("GET /v1/rollouts/ROL-1", ended);
  EXPECT_EQ(run({"rollout", "watch", "ROL-1"}).code, ExitCode::kFailed);
  world_.answer("GET /v1/rollouts/ROL-1", a_rollout(RolloutState::kRunning));
  EXPECT_EQ(run({"rollout", "watch", "ROL-1", "--timeout", "1s"}).code, ExitCode::kRunning);
}

TEST_F(Program, ApplyRefusesWhenTheWorldMoved) {
  world_.answer("GET /v1/plans/PLN-1", a_plan());
  world_.answer("GET /v1/trust", a_trust(folder_));
  world_.answer("POST /v1/plans/PLN-1/approvals", a_plan());
  world_.errors.emplace("POST /v1/rollouts", conflict("web-0 has another version by now"));

  Outcome outcome = run({"apply", "PLN-1", "--yes", "--no-watch"});

  EXPECT_EQ(outcome.code, ExitCode::kPrecondition);
  EXPECT_NE(outcome.err.find("next: prunella plan -l 'all'"), std::string::npos) << outcome.err;
}

TEST_F(Program, SteeringSaysWhatItDoesToHowMany) {
  RolloutView view = a_rollout(RolloutState::kRunning);
  view.rollout.hosts[0].state = RolloutHostState::kOrdered;
  world_.answer("GET /v1/rollouts/ROL-1", view);

  Outcome outcome = run({"rollout", "abort", "ROL-1"}, "n\n", true);

  EXPECT_EQ(outcome.code, ExitCode::kPrecondition);
  EXPECT_NE(outcome.err.find("Abort: 1 waiting host gets no order any more; 1 host at work finishes; 0 hosts keep what they have"), std::string::npos) << outcome.err;
}

TEST_F(Program, AnInstallerLineHoldsNothingButWhatItShould) {
  TrustView trust = a_trust(folder_);
  world_.answer("GET /v1/trust", trust);
  EnrolmentTokenView view;
  view.token.secret = "prunella_abc_def_123";
  view.token.expires = kNow + std::chrono::hours(1);
  view.ca_sha256 = std::string(64, 'c');
  view.operators_sha256 = digest_of(*trust.trust).hex();
  view.server = "https://10.213.0.1:8443";
  view.server_key_pin = to_base64(sha256("key").bytes);
  world_.answer("POST /v1/enrolment-tokens", view);
  Outcome good = run({"enroll", "--print"});
  EXPECT_EQ(good.code, ExitCode::kOk) << good.err;
  expect_golden("enroll", good.out + good.err);

  auto refused = [&](auto change) {
    EnrolmentTokenView bad = view;
    change(bad);
    world_.answer("POST /v1/enrolment-tokens", bad);
    Outcome outcome = run({"enroll"});
    return outcome.code != ExitCode::kOk && outcome.out.empty();
  };
  EXPECT_TRUE(refused([](auto& v) { v.server = "https://10.0.0.1;reboot"; }));
  EXPECT_TRUE(refused([](auto& v) { v.server = "https://10.0.0.1/$(reboot)"; }));
  EXPECT_TRUE(refused([](auto& v) { v.token.secret = "prunella_a_b_c; reboot"; }));
  EXPECT_TRUE(refused([](auto& v) { v.server_key_pin = "';reboot;'"; }));
  EXPECT_TRUE(refused([](auto& v) { v.ca_sha256 = "x"; }));
  EXPECT_TRUE(refused([](auto& v) { v.operators_sha256 = std::string(64, '0'); }));
}

TEST_F(Program, AnInstallerLineWithForeignOperatorsIsRefused) {
  TrustView trust = a_trust(folder_);
  testing::CountingRandom random;
  random.next();
  trust.trust->operators = {PrivateKey::generate(random).public_key()};
  trust.policy.reset();
  world_.answer("GET /v1/trust", trust);
  EnrolmentTokenView view;
  view.operators_sha256 = digest_of(*trust.trust).hex();
  world_.answer("POST /v1/enrolment-tokens", view);

  Outcome outcome = run({"enroll"});

  EXPECT_EQ(outcome.code, ExitCode::kPrecondition);
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Program, OperatorInitMakesKeysAndSignsACarefulPolicy) {
  StatusView status;
  status.organisation = "example";
  world_.answer("GET /v1/status", status);
  TrustView before;
  testing::CountingRandom random;
  before.director = PrivateKey::generate(random).public_key();
  world_.answer("GET /v1/trust", before);
  // The reply to PUT names whoever asked; the fake can't, so it's made after the keys are known.
  Outcome first = run({"operator", "init", "--yes"});
  EXPECT_NE(first.code, ExitCode::kOk);
  auto operator_key = ConfigDir(folder_).key("operator.key");
  auto approver_key = ConfigDir(folder_).key("approver.key");
  ASSERT_TRUE(operator_key);
  ASSERT_TRUE(approver_key);
  struct stat info {};
  ASSERT_EQ(::stat((folder_ + "/operator.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  TrustView after = before;
  after.trust = OperatorTrust{"example", {operator_key->public_key()}, 1};
  world_.answer("PUT /v1/trust", after);
  world_.answer("PUT /v1/policy", after);

  Outcome outcome = run({"operator", "init", "--yes"});

  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  std::string sent;
  for (const std::string& asked : world_.asked)
    if (asked.starts_with("PUT /v1/policy ")) sent = asked.substr(asked.find('{'));
  auto payload = open_envelope(*from_json_text<Envelope>(sent), kExecutorPolicyType, {operator_key->public_key()}, 1);
  ASSERT_TRUE(payload);
  auto policy = from_json_text<ExecutorPolicy>(*payload);
  ASSERT_TRUE(policy);
  EXPECT_TRUE(check_executor_policy(*policy));
  EXPECT_EQ(policy->serial, 1u);
  EXPECT_EQ(policy->directors, std::vector<PublicKey>{before.director});
  EXPECT_EQ(policy->approvers[0].key, approver_key->public_key());
  EXPECT_TRUE(policy->standing.empty());
  for (const PolicyRule& rule : policy->rules) EXPECT_EQ(rule.approvals, 1u);
  EXPECT_EQ(policy->expires - policy->issued, std::chrono::days(90));
}

TEST_F(Program, APolicyNeedsAHigherSerialAndTheOperatorsKey) {
  TrustView trust = a_trust(folder_);
  world_.answer("GET /v1/trust", trust);
  world_.answer("PUT /v1/policy", trust);
  Outcome shown = run({"policy", "show", "--json"});
  ASSERT_EQ(shown.code, ExitCode::kOk) << shown.err;
  std::string path = folder_ + "/policy.json";
  ASSERT_TRUE(write_file(path, shown.out, 0600));
  Outcome same = run({"policy", "sign", path, "--yes"});
  EXPECT_EQ(same.code, ExitCode::kPrecondition) << same.err;

  std::string higher = shown.out;
  higher.replace(higher.find("\"serial\": 3"), 11, "\"serial\": 4");
  ASSERT_TRUE(write_file(path, higher, 0600));
  EXPECT_EQ(run({"policy", "sign", path, "--yes"}).code, ExitCode::kOk);

  ASSERT_TRUE(write_file(path, "{\"serial\": 5}", 0600));
  EXPECT_EQ(run({"policy", "sign", path, "--yes"}).code, ExitCode::kUsage);
}

TEST_F(Program, NeverUsesAKeyThatOthersCanRead) {
  world_.answer("GET /v1/plans/PLN-1", a_plan());
  world_.answer("GET /v1/trust", a_trust(folder_));
  ASSERT_EQ(::chmod((folder_ + "/approver.key").c_str(), 0644), 0);

  Outcome outcome = run({"approve", "PLN-1", "--yes"});

  EXPECT_EQ(outcome.code, ExitCode::kAuth);
  EXPECT_NE(outcome.err.find("can be read by others"), std::string::npos) << outcome.err;
}

TEST_F(Program, AuditVerifyFindsAChangedByteAndALogThatWasCutOffLater) {
  testing::CountingRandom random;
  PrivateKey recorder = PrivateKey::generate(random);
  std::vector<std::string> lines;
  std::int64_t sequence = 0;
  Digest hash;
  for (int i = 0; i < 5; ++i) {
    auto entry = make_audit_entry(sequence, hash, {"token:ada", "plan.proposed", {}, "number " + std::to_string(i), Json(Json::Object{})}, kNow);
    ASSERT_TRUE(entry);
    sequence = entry->sequence;
    hash = entry->hash;
    lines.push_back(audit_line(*entry) + "\n");
  }
  auto serve = [&](std::size_t count) {
    std::string body;
    for (std::size_t i = 0; i < count; ++i) body += lines[i];
    world_.replies["GET /v1/audit?after=0&limit=500"] = body;
    world_.replies["GET /v1/audit?after=" + std::to_string(count) + "&limit=500"] = "";
  };
  auto checkpoint = [&](std::int64_t at_sequence, const Digest& at_hash) {
    Json json(Json::Object{{"checkpoint", to_json(make_audit_checkpoint(at_sequence, at_hash, recorder, kNow))}, {"key", Json(recorder.public_key().hex())}});
    world_.replies["GET /v1/audit/checkpoint"] = to_canonical(json);
  };
  serve(5);
  checkpoint(sequence, hash);
  Outcome sound = run({"audit", "verify"});
  EXPECT_EQ(sound.code, ExitCode::kOk) << sound.out << sound.err;

  // The control plane forgets the last two entries and signs what is left: only the checkpoint kept here tells.
  auto third = from_json_text<AuditEntry>(lines[2]);
  serve(3);
  checkpoint(3, third->hash);
  Outcome cut = run({"audit", "verify"});
  EXPECT_EQ(cut.code, ExitCode::kFailed);
  EXPECT_NE(cut.out.find("truncated"), std::string::npos) << cut.out;

  std::string path = folder_ + "/export.jsonl";
  std::string text = lines[0] + lines[1] + lines[2];
  ASSERT_TRUE(write_file(path, text, 0600));
  EXPECT_EQ(run({"audit", "verify", "--file", path}).code, ExitCode::kOk);
  text[text.find("number 1") + 7] = '7';
  ASSERT_TRUE(write_file(path, text, 0600));
  Outcome changed = run({"audit", "verify", "--file", path, "--json"});
  EXPECT_EQ(changed.code, ExitCode::kFailed);
  EXPECT_EQ(*parse_json(changed.out)->find("broken")->find("sequence")->as_int(), 2);
}

TEST_F(Program, ContextsKeepTheirTokenToThemselves) {
  std::string init = folder_ + "/init.json";
  ASSERT_TRUE(write_file(init, R"({"token":"prunella_t_s_c","ca_pem":"-----BEGIN CERTIFICATE-----\n","director":"x"})", 0600));

  Outcome added = run({"context", "add", "prod", "--server", "https://p.example:8443", "--from", init});
  EXPECT_EQ(added.code, ExitCode::kOk) << added.err;
  EXPECT_EQ(run({"context", "use", "prod"}).code, ExitCode::kOk);
  Outcome listed = run({"context", "ls"});

  expect_golden("context_ls", listed.out + listed.err);
  EXPECT_EQ(run({"context", "ls", "--json"}).out.find("prunella_t_s_c"), std::string::npos);
  EXPECT_EQ(*ConfigDir(folder_).contexts()->contexts["prod"].token, "prunella_t_s_c");
  EXPECT_FALSE(is_open_to_others(folder_ + "/context.json"));
  EXPECT_EQ(run({"context", "add", "x", "--server", "http://p.example"}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"context", "add", "x", "--server", "https://p.example"}).code, ExitCode::kUsage);
}

TEST_F(Program, DoctorNamesAFixForWhatIsWrong) {
  StatusView status;
  status.now = kNow - std::chrono::minutes(3);
  status.version = PRUNELLA_VERSION;
  world_.replies["GET /healthz"] = "{}";
  world_.replies["GET /readyz"] = "{}";
  world_.answer("GET /v1/status", status);
  world_.answer("GET /v1/trust", a_trust(folder_));
  Page<HostView> page;
  page.items = {a_host("web-1-3f9a", PostureState::kStale), a_host("db-1-0a1b", PostureState::kHealthy)};
  page.items[1].clock_skew_ms = 90'000;
  world_.answer("GET /v1/hosts?limit=500", page);

  Outcome outcome = run({"doctor"});

  EXPECT_EQ(outcome.code, ExitCode::kFailed);
  std::string text = outcome.out + outcome.err;
  for (std::size_t found; (found = text.find(folder_)) != std::string::npos;) text.replace(found, folder_.size(), "DIR");
  expect_golden("doctor", text);
}

TEST_F(Program, HelpIsAsItWas) { expect_golden("help", run({"help"}).out + "=== plan\n" + run({"plan", "--help"}).out + "=== host\n" + run({"host", "-h"}).out); }

TEST(ParseServer, TakesHttpsAddressesOnly) {
  EXPECT_EQ(parse_server("https://10.0.0.1:8443")->port, 8443);
  EXPECT_EQ(parse_server("https://[::1]:8443/")->host, "::1");
  EXPECT_EQ(parse_server("https://p.example")->port, 443);
  EXPECT_TRUE(parse_server("https://" + std::string(253, 'a')));
  EXPECT_FALSE(parse_server("https://" + std::string(254, 'a'))) << "longer than a DNS name can be, and the agent refuses it too";
  for (const char* bad : {"", "p.example", "http://p.example", "https://", "https://a:0", "https://a:70000", "https://a:x", "https://a b", "https://a/b", "https://u@a", "https://[::1"})
    EXPECT_FALSE(parse_server(bad)) << bad;
}

}  // namespace
}  // namespace prunella::cli
