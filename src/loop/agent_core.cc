#include "loop/agent_core.h"

#include <algorithm>

#include "loop/agent_sections.h"
#include "model/envelope.h"

namespace prunella::agent {

namespace {

/// As much of a peer's words as a log line bears.
constexpr std::size_t kReasonMax = 300;

/// The serial in a policy that was refused. Nobody checked it: it only says what not to send again.
std::uint64_t claimed_serial(const Envelope& envelope) {
  auto payload = from_base64(envelope.payload);
  if (!payload) return 0;
  auto json = parse_json(as_text(*payload));
  if (!json) return 0;
  const Json* serial = json->find("serial");
  const std::int64_t* value = serial ? serial->as_int() : nullptr;
  return value && *value > 0 ? static_cast<std::uint64_t>(*value) : 0;
}

}  // namespace

Core::Core(CoreSetup setup, Memory memory, std::optional<Envelope> kept_policy, Random& random, Now now)
    : setup_(std::move(setup)),
      random_(random),
      outbox_(setup_.instance, setup_.agent_version),
      orders_(setup_.trust.host, memory),
      report_not_before_(now.steady),
      report_due_(now.steady),
      directions_not_before_(now.steady),
      ask_at_(now.steady) {
  for (const RunOutcome& outcome : memory.outcomes) outbox_.add_outcome(outcome);
  if (!kept_policy) return;
  auto policy = verified(*kept_policy);
  if (!policy) {
    first_.push_back(Say{Say::Level::kWarning, "the kept policy is not used: " + policy.error().text()});
    return;
  }
  policy_ = *std::move(policy);
  policy_envelope_ = *std::move(kept_policy);
}

Effects Core::handle(Input input, Now now) {
  Effects effects = std::move(first_);
  first_.clear();
  std::visit([&](auto& one) { on(one, now, effects); }, input);
  pump(now, effects);
  return effects;
}

// --- facts

void Core::sense(SectionValue value) {
  Section section = section_of(value);
  if (!take_section(facts_, std::move(value))) return;
  outbox_.section_changed(section);
  if (section == Section::kUnits || section == Section::kProcesses || section == Section::kPackages) standing_dirty_ = true;
}

void Core::on(SectionSensed& input, Now, Effects&) { sense(std::move(input.value)); }

void Core::tell(std::string kind, std::string text, Now now, Effects& effects) {
  effects.push_back(Say{Say::Level::kWarning, kind + ": " + text});
  outbox_.add_notice({std::move(kind), std::move(text), now.wall});
}

// --- runs

void Core::on(Progressed& input, Now, Effects&) { outbox_.add_progress(input.progress); }

void Core::on(Ended& input, Now now, Effects& effects) {
  ask_at_ = now.steady;  // it is free again, and what it counts has changed
  orders_.name_refusal(input.outcome);
  if (!orders_.ended(input.outcome, now, random_, effects)) return;
  outbox_.add_outcome(input.outcome);
  effects.push_back(RefreshSection{Section::kProcesses});
  effects.push_back(RefreshSection{Section::kKernel});
}

void Core::on(Staged& input, Now now, Effects&) { orders_.staged(input.run, now); }

void Core::on(StagingFailed& input, Now now, Effects& effects) {
  effects.push_back(Say{Say::Level::kWarning, input.run.text() + ": its files are not to be had: " + input.reason});
  orders_.staging_failed(input.run, input.reason, now);
}

void Core::on(ExecutorAnswered& input, Now now, Effects& effects) {
  asking_ = false;
  executor_asked_once_ = executor_present_ = true;
  if (executor_error_) effects.push_back(Say{Say::Level::kInfo, "the executor answers"});
  executor_error_.reset();
  executor_backoff_.succeeded();
  bool busy = input.facts.busy_with.has_value();
  ask_at_ = now.steady + (busy && !orders_.is_handed() && !standing_busy_ ? kAskWhileBusy : kExecutorAskEvery);
  outbox_.settle(input.outcomes);
  if (auto outcome = orders_.executor_answered(input.facts, input.outcomes, now, random_, effects)) outbox_.add_outcome(*outcome);
  for (const RunOutcome& outcome : input.outcomes) {
    if (outcome.host != setup_.trust.host) {
      effects.push_back(Say{Say::Level::kWarning, outcome.run.text() + " was a run of " + quoted(outcome.host.text()) + ", which this host was before: forgotten"});
      effects.push_back(ForgetOutcome{outcome.run});
    } else if (outbox_.is_acknowledged(outcome)) {
      effects.push_back(ForgetOutcome{outcome.run});
    } else {
      outbox_.add_outcome(outcome);
    }
  }
  sense(sensed(std::move(input.facts), now.wall));
}

void Core::on(ExecutorLost& input, Now now, Effects& effects) {
  asking_ = false;
  executor_asked_once_ = true;
  executor_present_ = false;
  if (executor_error_ != input.reason) effects.push_back(Say{Say::Level::kWarning, "the executor does not answer: " + input.reason});
  executor_error_ = input.reason;
  ask_at_ = now.steady + executor_backoff_.failed(random_);
  sense(not_sensed<ExecutorFacts>(input.reason, now.wall));
}

void Core::on(OrderLost& input, Now now, Effects& effects) {
  effects.push_back(Say{Say::Level::kWarning, input.run.text() + ": the connection to the executor broke: " + input.reason});
  orders_.lost(input.run, now, random_);
}

bool Core::is_executor_at_work() const { return standing_busy_ || installing_ || orders_.is_being_done(); }

bool Core::executor_is_free() const {
  return executor_present_ && !asking_ && !is_executor_at_work() && facts_.executor && facts_.executor->value &&
         !facts_.executor->value->busy_with;
}

// --- reports

void Core::on(ReportAnswered& input, Now now, Effects& effects) {
  reporting_ = false;
  if (report_error_) effects.push_back(Say{Say::Level::kInfo, "the control plane answers"});
  report_error_.reset();
  last_answer_ = now.wall;
  clock_ahead_ = std::chrono::duration_cast<Duration>(now.wall - input.answer.now);
  if (input.answer.heartbeat_seconds > 0)
    heartbeat_ = std::clamp<Duration>(std::chrono::seconds(input.answer.heartbeat_seconds), kHeartbeatMin, kHeartbeatMax);
  Outbox::Acknowledged acknowledged = outbox_.answered(input.answer);
  for (const std::string& source : acknowledged.odd)
    effects.push_back(Say{Say::Level::kWarning, "the control plane acknowledges more events of " + quoted(source) +
                                                    " than were sent: does another host use this host's key?"});
  for (Section section : acknowledged.lost)
    effects.push_back(Say{Say::Level::kWarning, "the control plane forgot the section " + std::string(to_text(section)) + ": it is sent whole again"});
  for (const auto& [run, refused] : acknowledged.outcomes) {
    orders_.acknowledged(run, effects);
    // What the executor keeps of a run that was refused may be what was done after all: it's looked at before it is forgotten.
    if (refused) ask_at_ = now.steady;
    else effects.push_back(ForgetOutcome{run});
  }
  for (const std::string& word : input.answer.resync)
    if (auto section = parse_word<Section>(word)) outbox_.resync(*section);
  if (acknowledged.nothing) {
    report_not_before_ = now.steady + report_backoff_.failed(random_);
    return;
  }
  report_backoff_.succeeded();
  report_not_before_ = now.steady;
}

void Core::on(ReportFailed& input, Now now, Effects& effects) {
  reporting_ = false;
  std::string reason(cut_text(input.error.text(), kReasonMax));
  if (report_error_ != reason) effects.push_back(Say{Say::Level::kWarning, "a report failed: " + reason});
  report_error_ = reason;
  report_not_before_ = now.steady + report_backoff_.failed(random_);
  if (input.error.kind() != ErrorKind::kInvalidInput) return outbox_.failed();
  if (auto given_up = outbox_.refused()) tell("events-dropped", "the control plane refuses " + *given_up + ": " + reason, now, effects);
}

// --- directions

void Core::on(DirectionsReceived& input, Now now, Effects& effects) {
  fetching_ = false;
  directions_error_.reset();
  // The policy first: it says whose orders are worth staging.
  std::uint64_t serial_before = policy_ ? policy_->serial : 0;
  if (input.directions.policy) offer_policy(*input.directions.policy, now, effects);
  bool policy_new = policy_ && policy_->serial > serial_before;
  for (const std::string& word : input.directions.refresh)
    if (auto section = parse_word<Section>(word)) effects.push_back(RefreshSection{*section});
  Orders::Taken taken = orders_.take(input.directions.orders, policy_, now, effects);
  bool useless = taken == Orders::Taken::kUseless || (input.directions.policy && !policy_new);
  if (taken == Orders::Taken::kNew || policy_new || !useless) directions_backoff_.succeeded();
  if (taken == Orders::Taken::kNew || policy_new)
    directions_not_before_ = now.steady;
  else if (useless)
    directions_not_before_ = now.steady + directions_backoff_.failed(random_);
  else
    directions_not_before_ = std::max(now.steady, fetched_at_ + kDirectionsMinInterval);
}

void Core::on(DirectionsFailed& input, Now now, Effects& effects) {
  fetching_ = false;
  std::string reason(cut_text(input.error.text(), kReasonMax));
  if (directions_error_ != reason && report_error_ != reason) effects.push_back(Say{Say::Level::kWarning, "orders can't be fetched: " + reason});
  directions_error_ = reason;
  directions_not_before_ = now.steady + directions_backoff_.failed(random_);
}

// --- policy

Result<ExecutorPolicy> Core::verified(const Envelope& envelope) const {
  auto payload = open_envelope(envelope, kExecutorPolicyType, setup_.trust.operators, setup_.trust.threshold);
  if (!payload) return std::move(payload).error();
  auto policy = from_json_text<ExecutorPolicy>(*payload);
  if (!policy) return policy;
  if (auto checked = check_executor_policy(*policy); !checked) return std::move(checked).error();
  if (policy->organisation != setup_.trust.organisation)
    return denied("the policy is for " + quoted(policy->organisation) + ", this host belongs to " + quoted(setup_.trust.organisation));
  return policy;
}

void Core::offer_policy(const Envelope& envelope, Now now, Effects& effects) {
  auto policy = verified(envelope);
  if (!policy) {
    Digest digest = sha256(envelope.payload);
    if (policy_refused_ != digest) tell("policy-refused", policy.error().text(), now, effects);
    policy_refused_ = digest;
    policy_skip_ = claimed_serial(envelope);
    policy_skip_until_ = now.steady + kPolicyRetry;
    return;
  }
  if (policy_ && policy->serial <= policy_->serial) return;
  policy_refused_.reset();
  policy_ = *std::move(policy);
  policy_envelope_ = envelope;
  standing_dirty_ = true;
  effects.push_back(Say{Say::Level::kInfo, "policy " + std::to_string(policy_->serial) + " of " + policy_->organisation + ", valid until " +
                                               to_rfc3339(policy_->expires)});
  effects.push_back(KeepPolicy{envelope});
}

void Core::on(PolicyInstalled&, Now now, Effects&) {
  installing_ = false;
  standing_dirty_ = true;
  ask_at_ = now.steady;
}

void Core::on(PolicyNotInstalled& input, Now now, Effects& effects) {
  installing_ = false;
  ask_at_ = now.steady;
  if (input.executor_away) {
    install_tried_ = 0;
    return;
  }
  tell("policy-refused", "the executor refuses policy " + std::to_string(install_tried_) + ": " + input.reason, now, effects);
}

// --- standing rules

void Core::on(StandingAnswered& input, Now now, Effects& effects) {
  standing_busy_ = false;
  ask_at_ = now.steady;
  if (!input.error) {
    standing_dirty_ = true;
    return;
  }
  standing_at_ = now.steady + kStandingLookAgain;
  if (auto notice = standing_.not_taken(input.trigger, input.unit, *input.error, now)) tell(notice->kind, notice->text, now, effects);
}

void Core::on(Tick&, Now, Effects&) {}

// --- what is due

void Core::pump(Now now, Effects& effects) {
  pump_standing(now, effects);
  orders_.advance(executor_is_free(), now, effects);
  pump_policy(now, effects);
  pump_executor(now, effects);
  pump_directions(now, effects);
  pump_report(now, effects);
}

void Core::pump_policy(Now now, Effects& effects) {
  if (!policy_ || !executor_is_free() || orders_.is_handed()) return;
  if (facts_.executor->value->policy_serial.value_or(0) >= policy_->serial) return;
  if (install_tried_ == policy_->serial && now.steady < install_not_before_) return;
  install_tried_ = policy_->serial;
  install_not_before_ = now.steady + kPolicyRetry;
  installing_ = true;
  effects.push_back(InstallPolicy{policy_envelope_, policy_->serial});
}

void Core::pump_standing(Now now, Effects& effects) {
  if (standing_at_ && now.steady >= *standing_at_) {
    standing_dirty_ = true;
    standing_at_.reset();
  }
  if (!standing_dirty_ || !policy_) return;
  if (!executor_is_free() || orders_.is_handed()) return;  // it stays dirty: the executor's next answer brings us here again
  Standing::Choice choice = standing_.choose(facts_, policy_, now);
  standing_dirty_ = false;
  standing_at_ = choice.look_again;
  for (const Notice& denial : choice.denials) tell(denial.kind, denial.text, now, effects);
  if (!choice.request) return;
  standing_busy_ = true;
  effects.push_back(Say{Say::Level::kInfo, "standing rule: restart of " + choice.request->unit + ", trigger " + std::string(to_text(choice.request->trigger))});
  effects.push_back(*std::move(choice.request));
}

Monotonic Core::ask_due() const {
  // Of an executor that isn't there, a missing outcome can't be had sooner than anything else.
  if (executor_present_ && orders_.ask_at()) return std::min(ask_at_, *orders_.ask_at());
  return ask_at_;
}

void Core::pump_executor(Now now, Effects& effects) {
  if (asking_ || is_executor_at_work()) return;
  bool room_again = outbox_.wants_outcomes() && executor_present_;
  if (now.steady < ask_due() && !room_again) return;
  asking_ = true;
  effects.push_back(AskExecutor{});
}

void Core::pump_directions(Now now, Effects& effects) {
  if (!setup_.has_control_plane || fetching_ || !executor_asked_once_ || now.steady < directions_not_before_ || !orders_.has_room()) return;
  fetching_ = true;
  fetched_at_ = now.steady;
  std::uint64_t serial = policy_ ? policy_->serial : 0;
  if (now.steady < policy_skip_until_) serial = std::max(serial, policy_skip_);
  effects.push_back(FetchDirections{orders_.taken(), serial, kDirectionsWait});
}

void Core::pump_report(Now now, Effects& effects) {
  if (!setup_.has_control_plane || reporting_ || now.steady < report_not_before_) return;
  for (const RunOutcome& outcome : orders_.memory().outcomes) outbox_.add_outcome(outcome);  // those that found no room before
  if (now.steady < report_due_ && !outbox_.has_news(facts_)) return;
  Outbox::Batch batch = outbox_.compose(facts_, now.wall);
  reporting_ = true;
  report_due_ = now.steady + heartbeat_;
  effects.push_back(SendReport{std::move(batch.body), batch.events});
}

Monotonic Core::wake() const {
  Monotonic wake = Monotonic::max();
  auto at = [&](Monotonic moment) { wake = std::min(wake, moment); };
  if (!asking_ && !is_executor_at_work()) at(ask_due());
  if (setup_.has_control_plane && !fetching_ && executor_asked_once_ && orders_.has_room()) at(directions_not_before_);
  if (setup_.has_control_plane && !reporting_) at(outbox_.has_news(facts_) ? report_not_before_ : std::max(report_not_before_, report_due_));
  if (standing_at_ && !standing_dirty_) at(*standing_at_);
  return wake;
}

Core::Link Core::link() const {
  return {last_answer_,        clock_ahead_,         report_error_,   directions_error_,       executor_error_,
          outbox_.dropped(),   orders_.taken(),      orders_.held(),  outbox_.outcomes_held()};
}

}  // namespace prunella::agent
