#include "agent_process.h"

#include <algorithm>

namespace prunella::sim {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {
// The slow full check that repairs what events missed: six hours in the product; here the hours are few.
constexpr Duration kFullCheck = minutes(6);
}  // namespace

AgentProcess::AgentProcess(std::size_t number, ExecutorProcess::Surroundings around, HostTrust trust, std::uint64_t seed, HostEvents& events, ExecutorProcess& executor, Uplink& uplink)
    : number_(number), around_(around), trust_(std::move(trust)), dice_(seed), events_(events), executor_(executor), uplink_(uplink) {}

void AgentProcess::start_in(Duration delay) {
  around_.scheduler.after(delay, [this] {
    if (core_) return;
    ++life_;
    random_ = std::make_unique<Dice>(dice_.next());
    core_ = std::make_unique<agent::Core>(agent::CoreSetup{trust_, "i" + std::to_string(number_) + "-" + std::to_string(life_), "0", true}, memory_, kept_policy_, *random_, now());
    tick_at_ = Monotonic::max();
    looks_.clear();
    work_.clear();
    working_ = false;
    events_.note("agent: started");
    for (const auto& [section, word] : enum_words(Section{})) look_in(section, dice_.wait(milliseconds(20), milliseconds(800)));
    feed(agent::Tick{});
    later(kFullCheck, [this] { check_everything(); });
  });
}

void AgentProcess::check_everything() {
  for (Section section : {Section::kPackages, Section::kUnits, Section::kDisk, Section::kSystem}) changed(section);
  later(kFullCheck, [this] { check_everything(); });
}

void AgentProcess::kill(const std::string& why) {
  if (!core_) return;
  core_.reset();
  ++life_;
  events_.note("agent: died: " + why);
}

std::optional<agent::Core::Link> AgentProcess::link() const { return core_ ? std::optional(core_->link()) : std::nullopt; }

void AgentProcess::feed(agent::Input input) {
  agent::Effects effects = core_->handle(std::move(input), now());
  for (agent::Effect& effect : effects) {
    // It may die between two effects: what was to be remembered before is durable then, what comes after never happens.
    if (around_.faults_on && around_.faults.agent_crash && dice_.chance(around_.faults.crash_rate / 40)) {
      kill("killed between two effects");
      start_in(dice_.wait(seconds(1), seconds(5)));
      return;
    }
    carry_out(effect);
  }
  schedule_tick();
}

void AgentProcess::schedule_tick() {
  Monotonic wake = core_->wake();
  if (wake == Monotonic::max() || wake >= tick_at_) return;
  tick_at_ = wake;
  around_.scheduler.at(wake, [this, life = life_, wake] {
    if (!core_ || life != life_ || tick_at_ != wake) return;
    tick_at_ = Monotonic::max();
    feed(agent::Tick{});
  });
}

void AgentProcess::changed(Section section) {
  if (!core_) return;
  switch (section) {
    case Section::kPackages:
      look_in(Section::kPackages, milliseconds(100));
      look_in(Section::kUpdates, seconds(3));
      look_in(Section::kProcesses, seconds(3));
      return;
    case Section::kUnits:
      look_in(Section::kUnits, milliseconds(20));
      look_in(Section::kProcesses, seconds(3));
      return;
    case Section::kProcesses: return look_in(section, seconds(3));
    default: return look_in(section, milliseconds(100));
  }
}

void AgentProcess::look_in(Section section, Duration delay) {
  if (!looks_.insert(section).second) return;  // a look that is to come sees this change too
  later(delay, [this, section] {
    looks_.erase(section);
    look(section);
  });
}

void AgentProcess::look(Section section) {
  ModelHost& model = executor_.model();
  Instant at = model.now();
  auto sense = [&](auto value) { feed(agent::SectionSensed{agent::SectionValue(sensed(std::move(value), at))}); };
  switch (section) {
    case Section::kSystem: return sense(model.system_facts(trust_.host.text()));
    case Section::kPackages: return sense(*model.packages());
    case Section::kUpdates: return sense(model.updates(true));
    case Section::kKernel: return sense(model.kernel_facts());
    case Section::kUnits: return sense(model.unit_facts());
    case Section::kDisk: return sense(model.disk_facts());
    case Section::kExecutor: return;  // the core asks for it itself
    case Section::kProcesses: {
      ExecutorRequest request;
      request.verb = ExecutorVerb::kObserveProcesses;
      return to_executor(
          std::move(request),
          [this](const ExecutorAnswer& answer) {
            if (answer.processes) feed(agent::SectionSensed{agent::SectionValue(sensed(*answer.processes, executor_.model().now()))});
            return true;
          },
          [this](const std::string& why) {
            feed(agent::SectionSensed{agent::SectionValue(not_sensed<ProcessFacts>(why, executor_.model().now()))});
            look_in(Section::kProcesses, seconds(20));
          });
    }
  }
}

void AgentProcess::to_executor(ExecutorRequest request, std::function<bool(const ExecutorAnswer&)> answer, std::function<void(std::string)> broke) {
  work_.push_back({std::move(request), std::move(answer), std::move(broke)});
  next_for_executor();
}

void AgentProcess::next_for_executor() {
  if (working_ || work_.empty()) return;
  working_ = true;
  Work work = std::move(work_.front());
  work_.pop_front();
  auto done = std::make_shared<bool>(false);
  auto finish = [this, done] {
    *done = true;
    working_ = false;
    next_for_executor();
  };
  std::uint64_t life = life_;
  executor_.connect({std::move(work.request),
                     [this, life, done, finish, answer = std::move(work.answer)](const ExecutorAnswer& given) {
                       if (!core_ || life != life_ || *done) return;
                       bool last = answer(given);
                       if (core_ && life == life_ && last) finish();
                     },
                     [this, life, done, finish, broke = std::move(work.broke)](std::string why) {
                       if (!core_ || life != life_ || *done) return;
                       broke(std::move(why));
                       if (core_ && life == life_) finish();
                     }});
}

void AgentProcess::stage(agent::StageFiles& effect) {
  bool away = around_.faults_on && around_.faults.archive_away && dice_.chance(0.15);
  Duration time = dice_.wait(milliseconds(200), seconds(8));
  if (away) return later(time, [this, run = effect.run] { feed(agent::StagingFailed{run, "the archive doesn't answer"}); });
  later(time, [this, effect] {
    std::set<Digest>& files = executor_.model().agent_stage[effect.run];
    for (const agent::WantedFile& wanted : effect.files) {
      files.insert(wanted.file.sha256);
      executor_.model().spoilt.erase(wanted.file.sha256);
      if (around_.faults_on && around_.faults.bad_download && dice_.chance(0.03)) executor_.model().spoilt.insert(wanted.file.sha256);
    }
    feed(agent::Staged{effect.run});
  });
}

void AgentProcess::carry_out(agent::Effect& effect) {
  auto ask = [](ExecutorVerb verb) {
    ExecutorRequest request;
    request.verb = verb;
    return request;
  };
  std::uint64_t life = life_;
  auto alive = [this, life] { return core_ && life == life_; };
  if (auto* send = std::get_if<agent::SendReport>(&effect)) {
    uplink_.report(number_, std::move(send->body), [this, alive](Result<ReportAnswer> answer) {
      if (!alive()) return;
      if (answer)
        feed(agent::ReportAnswered{*std::move(answer)});
      else
        feed(agent::ReportFailed{answer.error()});
    });
  } else if (auto* fetch = std::get_if<agent::FetchDirections>(&effect)) {
    uplink_.directions(number_, *fetch, [this, alive](Result<Directions> answer) {
      if (!alive()) return;
      if (answer)
        feed(agent::DirectionsReceived{*std::move(answer)});
      else
        feed(agent::DirectionsFailed{answer.error()});
    });
  } else if (auto* files = std::get_if<agent::StageFiles>(&effect)) {
    stage(*files);
  } else if (auto* order = std::get_if<agent::HandOrder>(&effect)) {
    ExecutorRequest request = ask(ExecutorVerb::kOrder);
    request.envelope = order->order;
    to_executor(
        std::move(request),
        [this, run = order->run](const ExecutorAnswer& answer) {
          if (answer.progress) feed(agent::Progressed{*answer.progress});
          if (answer.outcome) feed(agent::Ended{*answer.outcome});
          if (answer.error) feed(agent::OrderLost{run, *answer.error});
          return !answer.progress;
        },
        [this, run = order->run](const std::string& why) { feed(agent::OrderLost{run, why}); });
  } else if (std::holds_alternative<agent::AskExecutor>(effect)) {
    to_executor(
        ask(ExecutorVerb::kStatus),
        [this, ask](const ExecutorAnswer& status) {
          // The second question comes right behind the first, before anything else that waits.
          work_.push_front({ask(ExecutorVerb::kOutcomes),
                            [this, facts = status.status](const ExecutorAnswer& answer) {
                              feed(agent::ExecutorAnswered{*facts, *answer.outcomes});
                              return true;
                            },
                            [this](const std::string& why) { feed(agent::ExecutorLost{why}); }});
          return true;
        },
        [this](const std::string& why) { feed(agent::ExecutorLost{why}); });
  } else if (auto* forget = std::get_if<agent::ForgetOutcome>(&effect)) {
    ExecutorRequest request = ask(ExecutorVerb::kForget);
    request.run = forget->run;
    to_executor(std::move(request), [](const ExecutorAnswer&) { return true; }, [](const std::string&) {});
  } else if (auto* install = std::get_if<agent::InstallPolicy>(&effect)) {
    ExecutorRequest request = ask(ExecutorVerb::kInstallPolicy);
    request.envelope = install->policy;
    to_executor(
        std::move(request),
        [this, serial = install->serial](const ExecutorAnswer& answer) {
          if (answer.error)
            feed(agent::PolicyNotInstalled{*answer.error, false});
          else
            feed(agent::PolicyInstalled{serial});
          return true;
        },
        [this](const std::string& why) { feed(agent::PolicyNotInstalled{why, true}); });
  } else if (auto* keep = std::get_if<agent::KeepPolicy>(&effect)) {
    kept_policy_ = keep->policy;
  } else if (auto* standing = std::get_if<agent::RequestStanding>(&effect)) {
    ExecutorRequest request = ask(ExecutorVerb::kStanding);
    request.trigger = standing->trigger;
    request.unit = standing->unit;
    auto end = [this, trigger = standing->trigger, unit = standing->unit](std::optional<std::string> error) { feed(agent::StandingAnswered{trigger, unit, std::move(error)}); };
    to_executor(
        std::move(request),
        [this, end, alive](const ExecutorAnswer& answer) {
          if (answer.progress) {
            feed(agent::Progressed{*answer.progress});
            return false;
          }
          if (answer.outcome) feed(agent::Ended{*answer.outcome});
          if (alive()) end(answer.error);
          return true;
        },
        [end](const std::string& why) { end(why); });
  } else if (auto* refresh = std::get_if<agent::RefreshSection>(&effect)) {
    look_in(refresh->section, milliseconds(10));
  } else if (auto* remember = std::get_if<agent::Remember>(&effect)) {
    memory_ = remember->memory;
  } else if (auto* drop = std::get_if<agent::DropStage>(&effect)) {
    executor_.model().agent_stage.erase(drop->run);
  } else if (auto* say = std::get_if<agent::Say>(&effect)) {
    events_.note("agent: " + say->text);
  }
}

}  // namespace prunella::sim
