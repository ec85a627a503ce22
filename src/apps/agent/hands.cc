#include "apps/agent/hands.h"

#include "adapters/linux/system_clock.h"
#include "base/text.h"

namespace prunella::agent {

namespace {

constexpr const char* kFull = "too many requests wait for the executor";

ExecutorRequest request_of(ExecutorVerb verb) {
  ExecutorRequest request;
  request.verb = verb;
  return request;
}

}  // namespace

Hands::Hands(std::string socket, HostId host, Inbox& inbox, std::function<Sensed<ProcessFacts>(std::string)> without_executor)
    : client_(std::move(socket)), host_(std::move(host)), inbox_(inbox), without_executor_(std::move(without_executor)) {
  thread_ = std::thread([this] { work(); });
}

Hands::~Hands() {
  queue_.close();
  client_.cancel();
  thread_.join();
}

void Hands::carry_out(HandOrder effect) {
  RunId run = effect.run;
  if (!queue_.try_push(std::move(effect))) inbox_.put(OrderLost{run, kFull});
}
void Hands::carry_out(AskExecutor effect) {
  if (!queue_.try_push(effect)) inbox_.put(ExecutorLost{kFull});
}
void Hands::carry_out(ForgetOutcome effect) {
  (void)queue_.try_push(std::move(effect));  // the executor lists it again, and it is asked again
}
void Hands::carry_out(InstallPolicy effect) {
  if (!queue_.try_push(std::move(effect))) inbox_.put(PolicyNotInstalled{kFull, true});
}
void Hands::carry_out(RequestStanding effect) {
  if (!queue_.try_push(effect)) inbox_.put(StandingAnswered{effect.trigger, effect.unit, kFull});
}
void Hands::carry_out(ObserveProcesses effect) {
  (void)queue_.try_push(effect);  // the next look comes
}

void Hands::work() {
  while (auto work = queue_.pop()) std::visit([this](auto& one) { do_one(one); }, *work);
}

void Hands::do_one(HandOrder& work) {
  ExecutorRequest request = request_of(ExecutorVerb::kOrder);
  request.envelope = std::move(work.order);
  auto outcome = client_.follow(request, [&](RunProgress progress) { inbox_.put(Progressed{std::move(progress)}); });
  if (outcome) return inbox_.put(Ended{*std::move(outcome)});
  if (outcome.error().kind() == ErrorKind::kUnavailable) return inbox_.put(OrderLost{work.run, outcome.error().text()});
  // It can't even read the request: sending it again would change nothing.
  RunOutcome refused;
  refused.run = work.run;
  refused.host = host_;
  refused.cause = "order";
  refused.state = RunState::kRefused;
  refused.refusal = Refusal::kMalformed;
  refused.reason = "the executor could not take the request: " + outcome.error().text();
  refused.started = refused.ended = SystemClock().now();
  inbox_.put(Ended{std::move(refused)});
}

void Hands::do_one(AskExecutor&) {
  auto status = client_.ask(request_of(ExecutorVerb::kStatus));
  if (!status) return inbox_.put(ExecutorLost{status.error().text()});
  auto outcomes = client_.ask(request_of(ExecutorVerb::kOutcomes));
  if (!outcomes) return inbox_.put(ExecutorLost{outcomes.error().text()});
  if (!status->status || !outcomes->outcomes) return inbox_.put(ExecutorLost{"the executor's answer has no status or no outcomes"});
  inbox_.put(ExecutorAnswered{*std::move(status->status), *std::move(outcomes->outcomes)});
}

void Hands::do_one(ForgetOutcome& work) {
  ExecutorRequest request = request_of(ExecutorVerb::kForget);
  request.run = std::move(work.run);
  (void)client_.ask(request);  // one that was not heard is asked again, since the executor still lists it
}

void Hands::do_one(InstallPolicy& work) {
  ExecutorRequest request = request_of(ExecutorVerb::kInstallPolicy);
  request.envelope = std::move(work.policy);
  auto answer = client_.ask(request);
  if (answer) return inbox_.put(PolicyInstalled{work.serial});
  inbox_.put(PolicyNotInstalled{answer.error().text(), answer.error().kind() == ErrorKind::kUnavailable});
}

void Hands::do_one(RequestStanding& work) {
  ExecutorRequest request = request_of(ExecutorVerb::kStanding);
  request.trigger = work.trigger;
  request.unit = work.unit;
  auto outcome = client_.follow(request, [&](RunProgress progress) { inbox_.put(Progressed{std::move(progress)}); });
  StandingAnswered answered{work.trigger, work.unit, std::nullopt};
  if (outcome)
    inbox_.put(Ended{*std::move(outcome)});
  else
    answered.error = outcome.error().text();
  inbox_.put(std::move(answered));
}

void Hands::do_one(ObserveProcesses&) {
  auto answer = client_.ask(request_of(ExecutorVerb::kObserveProcesses));
  Instant now = SystemClock().now();
  if (answer && answer->processes)
    inbox_.put(SectionSensed{sensed(*std::move(answer->processes), now)});
  else
    inbox_.put(SectionSensed{without_executor_(answer ? "the executor's answer has no processes" : answer.error().text())});
}

}  // namespace prunella::agent
