#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <set>

#include "adapters/http/problem.h"
#include "adapters/http/server.h"
#include "adapters/http/testing.h"
#include "adapters/linux/descriptor.h"
#include "adapters/linux/files.h"
#include "apps/agent/config.h"
#include "model/api.h"
#include "model/link.h"

namespace prunella::agent {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing_http::Authority;
using testing_http::eventually;
using testing_http::wall_now;

PrivateKey key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return PrivateKey(seed);
}
constexpr std::uint8_t kOperator = 1, kDirector = 2;

/// A folder that goes with the test.
struct Folder {
  Folder() {
    char name[] = "/tmp/prunella-agent-link-XXXXXX";
    check(::mkdtemp(name) != nullptr, "a folder for the test");
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

/// The program, ended with the test. What it says goes to a file.
class Program {
 public:
  Program(std::vector<std::string> arguments, const std::string& log) {
    arguments.insert(arguments.begin(), PRUNELLA_AGENT);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    check(::posix_spawn(&pid_, PRUNELLA_AGENT, &actions, nullptr, argv.data(), environ) == 0, "the agent starts");
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ > 0) stop();
  }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int stop(int signal = SIGTERM) {
    ::kill(pid_, signal);
    return wait();
  }

 private:
  pid_t pid_ = -1;
};

/// A control plane as far as an agent sees it, that does what a test tells it to.
class ControlPlane {
 public:
  explicit ControlPlane(std::uint64_t authority_seed = 1) : authority(authority_seed) {
    KeyAndCertificate server = authority.server();
    HttpServerOptions options;
    options.certificate_pem = server.certificate_pem;
    options.key_pem = server.key_pem;
    options.client_ca_pem = authority.ca.certificate_pem();
    options.body_bytes_max = kReportBytesMax;
    options.on_tls_failure = [this](const TlsFailure&) { ++tls_failures; };
    server_ = HttpServer::start(options, [this](HttpRequest request, const Peer& peer, Responder responder) { serve(request, peer, responder); }).value();
  }
  ~ControlPlane() {
    for (auto& [responder, after] : polls_) responder.answer(json(Directions{}));
    server_->stop();
  }

  std::string url() const { return "https://127.0.0.1:" + std::to_string(server_->port()); }
  OperatorTrust trust() const { return {"example", {key_of(kOperator).public_key()}, 1}; }

  void order(const Envelope& envelope, std::uint64_t sequence) {
    std::lock_guard lock(mutex);
    orders_.emplace(sequence, envelope);
    for (auto& [responder, after] : polls_) responder.answer(json(directions(after)));
    polls_.clear();
  }
  template <class F>
  bool sees(F holds) {
    return eventually([&] {
      std::lock_guard lock(mutex);
      return holds();
    });
  }

  Authority authority;
  std::atomic<int> tls_failures = 0;
  std::mutex mutex;  // guards what follows
  int enrolments = 0;
  bool token_used = false;
  std::set<std::string> instances;
  std::map<std::string, Event> newest;              // by source
  std::map<std::string, std::uint64_t> received;
  std::vector<RunProgress> progress;
  std::map<RunId, std::vector<RunOutcome>> outcomes;  // every copy with a new number
  std::set<std::string> certificates;               // shown with reports
  int renewals = 0;
  int refuse_next = 0;                              // answer 503 before the report is looked at
  int lose_next = 0;                                // take the report, and answer 503 all the same
  int gaps = 0;
  std::optional<Envelope> policy;
  std::uint64_t policy_serial = 0;
  std::vector<std::string> resync;

 private:
  template <class T>
  static HttpResponse json(const T& value) {
    HttpResponse response;
    response.headers = {{"Content-Type", "application/json"}};
    response.body = to_canonical_text(value);
    return response;
  }
  Directions directions(std::uint64_t after) {
    Directions d;
    for (const auto& [sequence, envelope] : orders_)
      if (sequence > after) d.orders.push_back(envelope);
    return d;
  }

  void serve(const HttpRequest& request, const Peer& peer, const Responder& responder) {
    std::lock_guard lock(mutex);
    if (request.path == "/agent/v1/enroll") return enroll(request, responder);
    if (!peer.certificate) return void(responder.answer(problem(401, "no certificate")));
    if (request.path == "/agent/v1/report") return report(request, peer, responder);
    if (request.path == "/agent/v1/renew") {
      ++renewals;
      auto body = from_json_text<RenewRequest>(request.body).value();
      responder.answer(json(RenewAnswer{authority.ca.issue_client(body.csr_pem, peer.certificate->common_name, wall_now(), hours(24), authority.random).value()}));
      return;
    }
    if (request.path == "/agent/v1/orders") {
      std::uint64_t after = parse_uint(*request.find_query("after")).value(), serial = parse_uint(*request.find_query("policy")).value();
      Directions d = directions(after);
      if (policy && serial < policy_serial) d.policy = policy;
      if (!d.orders.empty() || d.policy) return void(responder.answer(json(d)));
      polls_.emplace_back(responder, after);
      return;
    }
    responder.answer(problem(not_found(request.path)));
  }

  void enroll(const HttpRequest& request, const Responder& responder) {
    ++enrolments;
    auto body = from_json_text<EnrollRequest>(request.body);
    if (!body) return void(responder.answer(problem(body.error())));
    if (token_used) return void(responder.answer(problem(denied("the enrolment token was used"))));
    if (body->token != "good") return void(responder.answer(problem(denied("no such token"))));
    token_used = true;
    EnrollAnswer answer;
    answer.host = HostId("web-1");
    answer.certificate_pem = authority.ca.issue_client(body->csr_pem, "web-1", wall_now(), hours(24), authority.random).value();
    answer.ca_pem = authority.ca.certificate_pem();
    answer.organisation = trust().organisation;
    answer.operators = trust().operators;
    responder.answer(json(answer));
  }

  void report(const HttpRequest& request, const Peer& peer, const Responder& responder) {
    certificates.insert(peer.certificate->sha256);
    if (refuse_next > 0) {
      --refuse_next;
      return void(responder.answer(problem(unavailable("the store is away"))));
    }
    auto report = from_json_text<Report>(request.body, {.bytes_max = kReportBytesMax});
    if (!report) return void(responder.answer(problem(report.error())));
    if (instances.insert(report->instance).second) received.clear();
    for (const Event& event : report->events) {
      std::uint64_t& last = received[event.source];
      if (event.sequence <= last) continue;
      if (event.sequence != last + 1) ++gaps;
      last = event.sequence;
      newest[event.source] = event;
      if (event.type == kEventProgress) progress.push_back(from_json<RunProgress>(event.data).value());
      if (event.type != kEventOutcome) continue;
      auto outcome = from_json<RunOutcome>(event.data).value();
      outcomes[outcome.run].push_back(outcome);
    }
    if (lose_next > 0 && !report->events.empty()) {
      --lose_next;
      return void(responder.answer(problem(unavailable("the answer is lost"))));
    }
    ReportAnswer answer;
    answer.now = wall_now();
    answer.received = received;
    answer.heartbeat_seconds = 1;
    answer.resync = std::exchange(resync, {});
    responder.answer(json(answer));
  }

  std::map<std::uint64_t, Envelope> orders_;
  std::vector<std::pair<Responder, std::uint64_t>> polls_;
  std::unique_ptr<HttpServer> server_;
};

/// An executor as far as an agent sees it: takes each sequence once and keeps outcomes until they are to be forgotten.
class Executor {
 public:
  explicit Executor(const std::string& path) : path_(path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    listening_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    check(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "the executor's socket");
    ::listen(listening_.get(), 8);
    thread_ = std::thread([this] { serve(); });
  }
  ~Executor() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    thread_.join();
    ::unlink(path_.c_str());
  }

  std::mutex mutex;  // guards what follows
  std::uint64_t last_sequence = 0;
  std::optional<std::uint64_t> policy_serial;
  std::vector<RunOutcome> outcomes;
  std::map<RunId, int> executed;
  bool break_next = false;  // take the next order, and break the connection before its outcome

 private:
  void serve() {
    for (;;) {
      Descriptor peer(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.is_open()) return;
      std::string length(4, '\0');
      if (::recv(peer.get(), length.data(), 4, MSG_WAITALL) != 4) continue;
      std::size_t size = 0;
      for (char c : length) size = size << 8 | static_cast<unsigned char>(c);
      std::string text(size, '\0');
      if (::recv(peer.get(), text.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) continue;
      answer(peer.get(), from_json_text<ExecutorRequest>(text, {.bytes_max = kExecutorMessageMax}).value());
    }
  }
  static void send(int fd, const ExecutorAnswer& answer) {
    std::string json = to_canonical_text(answer), frame;
    for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>((json.size() >> shift) & 0xff);
    frame += json;
    ::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL);
  }
  void answer(int fd, const ExecutorRequest& request) {
    std::lock_guard lock(mutex);
    ExecutorAnswer answer;
    switch (request.verb) {
      case ExecutorVerb::kOrder: return order(fd, *request.envelope);
      case ExecutorVerb::kInstallPolicy:
        policy_serial = from_json_text<ExecutorPolicy>(as_text(*from_base64(request.envelope->payload)))->serial;
        break;
      case ExecutorVerb::kObserveProcesses: answer.processes = ProcessFacts{}; break;
      case ExecutorVerb::kOutcomes: answer.outcomes = outcomes; break;
      case ExecutorVerb::kForget: std::erase_if(outcomes, [&](const RunOutcome& o) { return o.run == request.run; }); break;
      case ExecutorVerb::kStatus:
      case ExecutorVerb::kStanding: break;
    }
    if (!answer.processes && !answer.outcomes) answer.status = ExecutorFacts{"test", policy_serial, std::nullopt, last_sequence, std::nullopt, false};
    send(fd, answer);
  }
  void order(int fd, const Envelope& envelope) {
    Order order = from_json_text<Order>(as_text(*from_base64(envelope.payload))).value();
    ExecutorAnswer last;
    last.outcome = RunOutcome{};
    last.outcome->run = order.run;
    last.outcome->host = order.host;
    last.outcome->order = order.id;
    last.outcome->cause = "order";
    if (order.sequence <= last_sequence) {
      last.outcome->state = RunState::kRefused;
      last.outcome->refusal = Refusal::kReplayed;
      return send(fd, last);
    }
    last_sequence = order.sequence;
    ++executed[order.run];
    last.outcome->state = RunState::kVerified;
    outcomes.push_back(*last.outcome);
    if (std::exchange(break_next, false)) return;
    ExecutorAnswer step;
    step.progress = RunProgress{order.run, RunState::kActing, wall_now(), "unpacking", 50};
    send(fd, step);
    send(fd, last);
  }

  std::string path_;
  Descriptor listening_;
  std::thread thread_;
};

class AgentLink : public ::testing::Test {
 protected:
  std::string config_dir() const { return folder.path + "/config"; }
  std::string state_dir() const { return folder.path + "/state"; }
  std::string log_path() const { return folder.path + "/log"; }
  std::string log() const { return read_file(log_path(), 1 << 20).value_or(""); }
  std::vector<std::string> arguments(std::vector<std::string> first) const {
    for (const std::string& more : {std::string("--config-dir"), config_dir(), std::string("--state-dir"), state_dir(), std::string("--executor-socket"), folder.path + "/executor.sock"})
      first.push_back(more);
    return first;
  }
  int enroll(const std::string& token, std::optional<std::string> ca = std::nullopt, std::optional<std::string> operators = std::nullopt) {
    return Program(arguments({"enroll", "--server", plane.url(), "--token", token, "--ca-sha256", ca.value_or(certificate_sha256(plane.authority.ca.certificate_pem()).value()),
                              "--operators-sha256", operators.value_or(digest_of(plane.trust()).hex())}),
                   log_path())
        .wait();
  }
  /// Enrolled, without the archive: its lists take minutes and are another test's matter.
  void enrolled() {
    ASSERT_EQ(enroll("good"), 0) << log();
    change_config([](AgentConfig& config) { config.fetch_lists = false; });
  }
  template <class F>
  void change_config(F change) {
    std::string path = config_dir() + "/agent.json";
    auto config = read_config(path);
    ASSERT_TRUE(config) << config.error().text();
    change(*config);
    ASSERT_TRUE(write_file_atomically(path, to_canonical_text(*config), 0644));
  }
  Program run() { return Program(arguments({"run"}), log_path()); }
  Envelope order(std::uint64_t sequence, const std::string& run, const std::string& content) {
    Order order;
    order.id = OrderId(sha256(run).hex().substr(0, 32));
    order.host = HostId("web-1");
    order.sequence = sequence;
    order.run = RunId(run);
    order.issued = wall_now();
    order.expires = wall_now() + hours(1);
    order.rollout.id = PlanId("PLN-1");
    order.plan.host = order.host;
    order.plan.purpose = "test";
    order.plan.deadline = seconds(600);
    Action action;
    action.transaction = PackageTransaction{};
    action.transaction->changes.push_back({{"no-such-package-prunella", "all"}, std::nullopt, std::nullopt, {"1.0", sha256(content), content.size()}});
    order.plan.actions.push_back(action);
    return sign_envelope(kOrderType, to_canonical_text(order), key_of(kDirector));
  }
  void give_policy() {
    ExecutorPolicy policy;
    policy.serial = 1;
    policy.organisation = "example";
    policy.issued = wall_now();
    policy.expires = wall_now() + hours(1);
    policy.directors = {key_of(kDirector).public_key()};
    policy.budget = {10, 10};
    std::lock_guard lock(plane.mutex);
    plane.policy = sign_envelope(kExecutorPolicyType, to_canonical_text(policy), key_of(kOperator));
    plane.policy_serial = 1;
  }
  void stage(const std::string& content) {
    std::filesystem::create_directories(state_dir() + "/stage");
    ASSERT_TRUE(write_file_atomically(state_dir() + "/stage/" + sha256(content).hex() + ".deb", content, 0644));
  }

  Folder folder;
  ControlPlane plane;
};

TEST_F(AgentLink, EnrolsOnceAndKeepsTheKeyToItself) {
  ASSERT_EQ(enroll("good"), 0) << log();
  EXPECT_EQ(enroll("good"), 0) << "a second time is no mistake";
  EXPECT_EQ(plane.enrolments, 1) << "and uses no token";
  struct stat info {};
  ASSERT_EQ(::stat((state_dir() + "/identity.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto trust = from_json_text<HostTrust>(*read_file(config_dir() + "/trust.json", 1 << 16));
  ASSERT_TRUE(trust) << trust.error().text();
  EXPECT_EQ(trust->host, HostId("web-1"));
  EXPECT_EQ(trust->operators, plane.trust().operators);
  EXPECT_EQ(Program(arguments({"unenroll"}), log_path()).wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(state_dir() + "/identity.json"));
  EXPECT_EQ(Program(arguments({"run"}), log_path()).wait(), 1);
  EXPECT_NE(log().find("not enrolled"), std::string::npos);
}

TEST_F(AgentLink, RefusesAWrongTokenAWrongAuthorityAndOtherOperators) {
  EXPECT_EQ(enroll("bad"), 1);
  EXPECT_NE(log().find("no such token"), std::string::npos) << log();
  EXPECT_EQ(enroll("good", sha256("another").hex()), 1);
  EXPECT_EQ(plane.enrolments, 1) << "the token was not shown to a stranger";
  EXPECT_EQ(enroll("good", std::nullopt, sha256("others").hex()), 1);
  EXPECT_NE(log().find("names operators"), std::string::npos) << log();
  EXPECT_FALSE(std::filesystem::exists(config_dir() + "/agent.json"));
  EXPECT_EQ(enroll("good"), 1);
  EXPECT_NE(log().find("was used"), std::string::npos) << log();
  EXPECT_EQ(enroll("good", std::string("xyz")), 64);
}

TEST_F(AgentLink, ReportsThisMachineThroughLostAnswersWithoutAGap) {
  enrolled();
  plane.refuse_next = 2;
  plane.lose_next = 2;
  Program agent = run();
  for (const char* section : {"system", "packages", "kernel", "disk", "units", "processes", "executor"})
    EXPECT_TRUE(plane.sees([&] { return plane.newest.contains(section); })) << section << "\n" << log();
  EXPECT_TRUE(plane.sees([&] { return plane.refuse_next + plane.lose_next == 0; }));
  std::lock_guard lock(plane.mutex);
  EXPECT_EQ(plane.gaps, 0);
  auto packages = from_json<Sensed<PackageFacts>>(plane.newest["packages"].data);
  ASSERT_TRUE(packages) << packages.error().text();
  EXPECT_TRUE(packages->known());
  auto executor = from_json<Sensed<ExecutorFacts>>(plane.newest["executor"].data);
  EXPECT_FALSE(executor->known()) << "there is none";
}

TEST_F(AgentLink, SendsASectionWholeWhenAsked) {
  enrolled();
  Program agent = run();
  ASSERT_TRUE(plane.sees([&] { return plane.received["packages"] >= 1; })) << log();
  {
    std::lock_guard lock(plane.mutex);
    plane.resync = {"packages"};
  }
  EXPECT_TRUE(plane.sees([&] { return plane.received["packages"] >= 2 && plane.newest["packages"].type == kEventSection; })) << log();
}

TEST_F(AgentLink, StagesHandsOverFollowsAndReportsARunOnce) {
  enrolled();
  Executor executor(folder.path + "/executor.sock");
  stage("a package");
  give_policy();
  Program agent = run();
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(executor.mutex);
    return executor.policy_serial == 1;
  })) << log();
  plane.order(order(1, "RUN-1", "a package"), 1);
  ASSERT_TRUE(plane.sees([&] { return plane.outcomes.contains(RunId("RUN-1")); })) << log();
  // The executor may forget, the stage and the order are done, the next one comes over the same poll; its connection breaks.
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(executor.mutex);
    return executor.outcomes.empty();
  })) << log();
  {
    std::lock_guard lock(executor.mutex);
    executor.break_next = true;
  }
  plane.order(order(2, "RUN-2", "a package"), 2);
  ASSERT_TRUE(plane.sees([&] { return plane.outcomes.contains(RunId("RUN-2")); })) << log();
  std::scoped_lock lock(plane.mutex, executor.mutex);
  for (const char* run : {"RUN-1", "RUN-2"}) {
    EXPECT_EQ(plane.outcomes[RunId(run)].size(), 1u);
    EXPECT_EQ(plane.outcomes[RunId(run)][0].state, RunState::kVerified);
    EXPECT_EQ(executor.executed[RunId(run)], 1);
  }
  EXPECT_TRUE(std::ranges::any_of(plane.progress, [](const RunProgress& p) { return p.run == RunId("RUN-1") && p.state == RunState::kStaging; }));
  EXPECT_TRUE(std::ranges::any_of(plane.progress, [](const RunProgress& p) { return p.run == RunId("RUN-1") && p.state == RunState::kActing; }));
}

TEST_F(AgentLink, RefusesWhatNoArchiveHasAndTheExecutorIsNotAsked) {
  enrolled();
  Executor executor(folder.path + "/executor.sock");
  give_policy();
  Program agent = run();
  plane.order(order(1, "RUN-1", "content that nobody has"), 1);
  ASSERT_TRUE(plane.sees([&] { return plane.outcomes.contains(RunId("RUN-1")); })) << log();
  std::scoped_lock lock(plane.mutex, executor.mutex);
  EXPECT_EQ(plane.outcomes[RunId("RUN-1")][0].refusal, Refusal::kNotStaged);
  EXPECT_TRUE(executor.executed.empty());
}

TEST_F(AgentLink, KilledAndStartedAgainItLosesNoOutcome) {
  enrolled();
  auto executor = std::make_unique<Executor>(folder.path + "/executor.sock");
  executor->outcomes.push_back(RunOutcome{});
  executor->outcomes[0].run = RunId("RUN-9");
  executor->outcomes[0].host = HostId("web-1");
  executor->outcomes[0].state = RunState::kReverted;
  {
    std::lock_guard lock(plane.mutex);
    plane.lose_next = 1000;  // the control plane has it, and the agent can't know
  }
  {
    Program agent = run();
    ASSERT_TRUE(plane.sees([&] { return plane.outcomes.contains(RunId("RUN-9")); })) << log();
    agent.stop(SIGKILL);
  }
  {
    std::lock_guard lock(plane.mutex);
    plane.lose_next = 0;
  }
  Program agent = run();
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(executor->mutex);
    return executor->outcomes.empty();
  })) << log();
  std::lock_guard lock(plane.mutex);
  EXPECT_EQ(plane.instances.size(), 2u);
  for (const RunOutcome& outcome : plane.outcomes[RunId("RUN-9")]) EXPECT_EQ(outcome.state, RunState::kReverted);
}

TEST_F(AgentLink, RenewsItsCertificateAtHalfItsLifeAndUsesTheNewOne) {
  enrolled();
  // Issued ten hours ago for eleven.
  KeyAndCertificate old = plane.authority.client("web-1", wall_now() - hours(10), hours(11));
  Json identity{Json::Object{}};
  identity["key_pem"] = old.key_pem;
  identity["certificate_pem"] = old.certificate_pem;
  ASSERT_TRUE(write_file_atomically(state_dir() + "/identity.json", to_canonical(identity), 0600));
  Program agent = run();
  ASSERT_TRUE(plane.sees([&] { return plane.certificates.size() == 2; })) << log();
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(state_dir() + "/identity.new.json"); }));
  EXPECT_EQ(agent.stop(), 0);
  auto kept = parse_json(*read_file(state_dir() + "/identity.json", 1 << 16));
  ASSERT_TRUE(kept);
  EXPECT_NE(*kept->find("certificate_pem")->as_string(), old.certificate_pem);
  std::lock_guard lock(plane.mutex);
  EXPECT_EQ(plane.renewals, 1);
  EXPECT_TRUE(plane.certificates.contains(certificate_sha256(*kept->find("certificate_pem")->as_string()).value()));
}

TEST_F(AgentLink, TellsAControlPlaneThatItsAuthorityDidNotCertifyNothing) {
  enrolled();
  ControlPlane stranger(2);
  change_config([&](AgentConfig& config) { config.server = stranger.url(); });
  Program agent = run();
  EXPECT_TRUE(eventually([&] { return log().find("a report failed") != std::string::npos; })) << log();
  EXPECT_TRUE(eventually([&] { return stranger.tls_failures > 0; }));  // the agent may know before the server does
  EXPECT_EQ(Program(arguments({"status"}), log_path()).wait(), 1);
  EXPECT_NE(log().find("not connected"), std::string::npos) << log();
  std::lock_guard lock(stranger.mutex);
  EXPECT_TRUE(stranger.instances.empty());
}

TEST_F(AgentLink, StopsAtOnceWhenAsked) {
  enrolled();
  Program agent = run();
  ASSERT_TRUE(plane.sees([&] { return plane.newest.contains("packages"); })) << log();
  EXPECT_EQ(Program(arguments({"status", "--json"}), log_path()).wait(), 0) << log();
  auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(agent.stop(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(10));
  EXPECT_FALSE(std::filesystem::exists(state_dir() + "/status.sock"));
}

}  // namespace
}  // namespace prunella::agent
