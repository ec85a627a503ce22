#include "executor_process.h"

#include "loop/executor_core.h"

namespace prunella::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

ExecutorProcess::ExecutorProcess(std::size_t number, Surroundings around, HostTrust trust, std::uint64_t seed, HostEvents& events, ModelHost::Setting setting)
    : number_(number),
      around_(around),
      trust_(std::move(trust)),
      dice_(seed),
      own_random_(seed ^ 0x5bd1e995),
      events_(events),
      model_(around.scheduler, *this, events, dice_, std::move(setting)),
      journal_file_(*this, model_.disk, dice_, [this](bool replaced) { around_.oracle.journal_changed(number_, replaced); }),
      run_files_(*this, model_.disk),
      policy_store_(*this, model_.disk) {}

ExecutorProcess::~ExecutorProcess() { fiber_.reset(); }

void ExecutorProcess::say(const std::string& text) { events_.note("executor: " + text); }

void ExecutorProcess::start_in(Duration delay) {
  around_.scheduler.after(delay, [this] {
    if (fiber_ || !power_) return;
    ++life_;
    death_.clear();
    fiber_ = std::make_unique<Fiber>([this] { body(); });
    around_.oracle.executor_started(number_);
    go_on();
  });
}

void ExecutorProcess::go_on() {
  fiber_->resume();
  if (fiber_->done()) ended(death_.empty() ? "ended by itself" : death_);
}

void ExecutorProcess::ended(const std::string& why) {
  fiber_.reset();
  up_ = idle_ = false;
  ++deaths;
  say("died: " + why);
  model_.executor_died();
  if (current_) waiting_.push_front(*std::exchange(current_, std::nullopt));
  for (ExecutorCall& call : std::exchange(waiting_, {}))
    around_.scheduler.after(milliseconds(1), [broke = std::move(call.broke)] { broke("the connection was reset"); });
  if (std::exchange(power_cut_, false)) {
    journal_file_.lose_power();
    events_.power_lost();
  } else if (power_) {
    start_in(dice_.wait(seconds(1), seconds(5)));
  }
}

void ExecutorProcess::kill(const std::string& why) {
  if (!fiber_) return;
  death_ = why;
  fiber_->kill();
  ended(why);
}

void ExecutorProcess::lose_power() {
  power_ = false;
  kill("power loss");
  journal_file_.lose_power();
  power_ = true;
}

void ExecutorProcess::connect(ExecutorCall call) {
  // systemd listens while the executor starts: a request then waits in its socket. It waits for one that is gone, too, but we count
  // that as refused, so that agents see both.
  if (!fiber_) {
    around_.scheduler.after(milliseconds(1), [broke = std::move(call.broke)] { broke("connection refused"); });
    return;
  }
  waiting_.push_back(std::move(call));
  if (!idle_) return;
  idle_ = false;
  wake(life_, milliseconds(1));
}

void ExecutorProcess::wake(std::uint64_t life, Duration in) {
  around_.scheduler.after(in, [this, life] {
    if (fiber_ && life == life_ && !fiber_->running()) go_on();
  });
}

void ExecutorProcess::point(std::string_view where) {
  if (!around_.faults_on) return;
  if (around_.faults.power_loss && dice_.chance(around_.faults.crash_rate / 3)) {
    death_ = "power loss at " + std::string(where);
    power_cut_ = true;
    throw Killed{};
  }
  if (!around_.faults.executor_crash || !dice_.chance(around_.faults.crash_rate)) return;
  death_ = "killed at " + std::string(where);
  throw Killed{};
}

void ExecutorProcess::pause(Duration time) {
  wake(life_, time);
  fiber_->yield();
  point("waiting");
}

void ExecutorProcess::body() {
  auto opened = Journal::open(journal_file_, model_.now());
  if (!opened) {
    // A tear is no damage, and there is no other harm in the simulator: a journal must open after every crash (TX-6), save for a
    // disk that fails right now.
    if (opened.error().kind() == ErrorKind::kCorrupt) throw Violation{"TX-6 journal-readable", trust_.host.text() + ": " + opened.error().text()};
    death_ = opened.error().text();
    return;
  }
  Journal journal = *std::move(opened);
  HostTools tools{model_, model_, model_, model_, model_, model_, model_, model_, run_files_};
  ExecutorCore core(tools, journal, policy_store_, own_random_, {trust_, "0"}, [this] { return frozen; });
  up_ = true;
  if (auto outcome = core.start([this](const std::string& text) { say(text); })) say(outcome->run.text() + " recovered: " + std::string(to_text(outcome->state)) + ": " + outcome->reason);
  while (!journal.broken()) {
    if (waiting_.empty()) {
      idle_ = true;
      fiber_->yield();
      idle_ = false;
      continue;
    }
    current_ = std::move(waiting_.front());
    waiting_.pop_front();
    const ExecutorRequest& request = current_->request;
    around_.oracle.handling(number_, request.verb == ExecutorVerb::kOrder && request.envelope ? &*request.envelope : nullptr, request.verb == ExecutorVerb::kStanding);
    bool answered = false;
    core.handle(request, [&](const ExecutorAnswer& answer) {
      // The answer is on its way; that its reader is gone is no reason to stop.
      point("answer");
      if (answer.outcome) say(answer.outcome->run.text() + " " + std::string(to_text(answer.outcome->state)) + (answer.outcome->refusal ? " (" + std::string(to_text(*answer.outcome->refusal)) + ")" : "") + ": " + answer.outcome->reason);
      answered = answered || !answer.progress;
      around_.scheduler.after(milliseconds(1), [answer, give = current_->answer] { give(answer); });
    });
    if (!answered && !journal.broken()) throw Violation{"D3 answered", trust_.host.text() + ": a request to the executor has no last answer"};
    // Whoever has no last answer finds his connection reset.
    if (answered) current_.reset();
  }
  death_ = "its journal is broken";
}

}  // namespace prunella::sim
