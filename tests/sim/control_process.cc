#include "control_process.h"

#include <algorithm>

#include "record/schema.h"

namespace prunella::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

ControlProcess::ControlProcess(ExecutorProcess::Surroundings around, std::uint64_t seed, const PrivateKey& director, const PrivateKey& recorder)
    : around_(around), dice_(seed), random_(seed ^ 0xc2b2ae35), director_(director), recorder_(recorder) {
  auto opened = SqliteConnection::open(":memory:");
  check(opened.has_value(), "SQLite in memory");
  sqlite_ = *std::move(opened);
  check(migrate(*sqlite_, now()).has_value(), "the schema");
  store_ = std::make_unique<testing::MortalStore>(*sqlite_);
  truth_ = std::make_unique<FleetStore>(*sqlite_);
  started();
}

std::size_t ControlProcess::number_of(const HostId& host) const { return numbers_.at(host); }

HostId ControlProcess::enroll(const std::string& name, bool canary) {
  EnrolmentTokenRequest request;
  if (canary) request.labels = std::map<std::string, std::string>{{"ring", "canary"}};
  auto token = plane_->add_enrolment_token(admin, request, now());
  check(token.has_value(), "an enrolment token");
  auto answer = plane_->enroll({*token->secret, name, "csr", "0"}, "192.0.2.1", now());
  check(answer.has_value(), "an enrolment");
  numbers_[answer->host] = hosts_.size();
  hosts_.push_back(answer->host);
  orders_seen_.push_back(0);
  notices_.clear();
  return answer->host;
}

void ControlProcess::started() {
  ++life_;
  store_->live_on();
  plane_ = std::make_unique<ControlPlane>(ControlPlane::Ports{*store_, random_, issuer_, director_, recorder_},
                                          ControlOptions{.heartbeat = kHeartbeat, .stale_after = kStaleAfter}, [this](const ChangeNotice& notice) { notices_.push_back(notice); });
  auto begun = plane_->start("sim", now());
  check(begun.has_value(), "a control plane that starts");
  auto rows = sqlite_->run(Statement{"sim.epoch", "SELECT epoch FROM leases"}, {});
  check(rows.has_value() && !rows->empty(), "the lease");
  around_.oracle.control_term_began(static_cast<std::uint64_t>(std::get<std::int64_t>(*(*rows)[0].find("epoch"))));
  say("started, term " + std::to_string(life_));
  around_.scheduler.after(kTick, [this, life = life_] {
    if (plane_ && life == life_) tick();
  });
}

void ControlProcess::start_in(Duration delay) {
  around_.scheduler.after(delay, [this] {
    if (!plane_) started();
  });
}

void ControlProcess::died(const std::string& why, std::optional<Duration> away) {
  plane_.reset();
  store_->live_on();
  store_->bury();
  notices_.clear();
  ++deaths;
  say("died: " + why);
  // Every connection breaks.
  for (Poll& poll : std::exchange(polls_, {}))
    around_.scheduler.after(milliseconds(1), [answer = std::move(poll.answer)] { answer(unavailable("the connection was reset")); });
  look_at_all();
  start_in(away ? *away : dice_.wait(seconds(1), seconds(8)));
}

void ControlProcess::kill(const std::string& why, std::optional<Duration> away) {
  if (plane_) died(why, away);
}

void ControlProcess::tick() {
  auto done = ask([](ControlPlane& plane, Instant now) { return plane.tick(now); });
  if (!done) return;
  if (!*done) say("a tick failed: " + done->error().text());
  for (std::size_t i = 0; i < polls_.size();) {
    if (around_.scheduler.now() >= polls_[i].until) {
      around_.scheduler.after(milliseconds(1), [answer = std::move(polls_[i].answer)] { answer(Directions{}); });
      polls_.erase(polls_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  around_.scheduler.after(kTick, [this, life = life_] {
    if (plane_ && life == life_) tick();
  });
}

// ---- what the oracle is told -------------------------------------------------------------------------------------------------

void ControlProcess::look_at_run(const RunId& id) {
  auto run = truth_->run(id);
  if (!run || !run->outcome) return;
  // Twice when what was done after all came after a refusal.
  if (auto [seen, is_new] = outcomes_seen_.try_emplace(id, run->state); !is_new && std::exchange(seen->second, run->state) == run->state) return;
  say(id.text() + " of " + run->host.text() + " is known to be " + std::string(to_text(run->state)));
  around_.oracle.outcome_stored(number_of(run->host), *run->outcome);
}

void ControlProcess::look_at_rollout(const RolloutId& id) {
  auto view = truth_->rollout(id);
  if (!view) return;
  rollouts_seen_.insert(id);
  around_.oracle.rollout_seen(view->rollout);
  if (on_rollout) on_rollout(id);
}

void ControlProcess::look_at_orders(std::size_t host) {
  auto orders = truth_->pending_orders(hosts_[host], orders_seen_[host]);
  if (!orders) return;
  for (const OrderRow& row : *orders) {
    orders_seen_[host] = std::max(orders_seen_[host], row.sequence);
    around_.oracle.director_signed(row.envelope);
    captured_.push_back(row.envelope);
    auto payload = from_base64(row.envelope.payload);
    auto order = payload ? from_json_text<Order>(as_text(*payload), {3u << 20, 32}) : Result<Order>(payload.error());
    check(order.has_value(), "an order of the control plane that can be read");
    auto rollout = truth_->rollout_of_plan(order->rollout.id);
    check(rollout && *rollout, "the rollout of an order");
    auto view = truth_->rollout(**rollout);
    check(view.has_value(), "the rollout of an order");
    say("order " + std::to_string(order->sequence) + " to " + order->host.text() + " for " + order->run.text() + ", wave " + std::to_string(view->rollout.wave + 1));
    around_.oracle.control_order(*order, view->rollout);
  }
}

void ControlProcess::settle() {
  std::vector<ChangeNotice> notices = std::exchange(notices_, {});
  std::set<std::size_t> directed;
  bool all = false;
  for (const ChangeNotice& notice : notices)
    if (notice.kind == "run" && !notice.progress) look_at_run(RunId(notice.id));
  std::set<std::string> rollouts;
  for (const ChangeNotice& notice : notices) {
    if (notice.kind == "rollout" && rollouts.insert(notice.id).second) look_at_rollout(RolloutId(notice.id));
    if (notice.kind == "directions") directed.insert(number_of(HostId(notice.id)));
    all = all || notice.kind == "policy";
  }
  for (std::size_t host : directed) look_at_orders(host);
  if (directed.empty() && !all) return;
  // As the service does: whoever waits is answered when there is something for him.
  around_.scheduler.after(milliseconds(1), [this, life = life_, directed, all] {
    if (!plane_ || life != life_) return;
    for (std::size_t i = 0; i < polls_.size();) {
      if (!all && !directed.contains(polls_[i].host)) {
        ++i;
        continue;
      }
      Poll poll = std::move(polls_[i]);
      polls_.erase(polls_.begin() + static_cast<std::ptrdiff_t>(i));
      if (!answer(poll)) {
        if (!plane_) return;
        polls_.insert(polls_.begin() + static_cast<std::ptrdiff_t>(i++), std::move(poll));
      }
    }
  });
}

void ControlProcess::look_at_all() {
  PageRequest page{"", kPageMax};
  if (auto runs = truth_->runs(std::nullopt, std::nullopt, page))
    for (const RunView& run : *runs)
      if (run.outcome) look_at_run(run.id);
  if (auto rollouts = truth_->rollouts(page))
    for (const RolloutView& view : *rollouts) look_at_rollout(view.rollout.id);
  for (std::size_t host = 0; host < hosts_.size(); ++host) look_at_orders(host);
}

// ---- hosts -------------------------------------------------------------------------------------------------------------------

void ControlProcess::receive(std::size_t host, const std::string& body, std::function<void(Result<ReportAnswer>)> answer) {
  if (!plane_) return answer(unavailable("connection refused"));
  auto report = from_json_text<Report>(body, {.bytes_max = kReportBytesMax, .depth_max = 32});
  if (!report) throw Violation{"D3 readable", hosts_[host].text() + " sent a report that can't be read: " + report.error().text()};
  ++reports;
  std::size_t commits = store_->commits();
  Instant at = now();
  auto heard = [&] { around_.oracle.report_committed(host, at, kHeartbeat); };
  try {
    notices_.clear();
    auto received = plane_->receive(hosts_[host], *report, at);
    for (const ChangeNotice& notice : notices_)
      if (notice.kind == "run" && !notice.progress) look_at_run(RunId(notice.id));
    if (received)
      heard();
    else
      say("refuses a report of " + hosts_[host].text() + ": " + received.error().text());
    settle();
    answer(std::move(received));
  } catch (const Killed&) {
    // The oracle first hears of the outcomes, then of the report, as the real one does.
    if (store_->commits() > commits) {
      if (auto runs = truth_->recent_runs(hosts_[host], 20))
        for (const RunView& run : *runs)
          if (run.outcome) look_at_run(run.id);
      heard();
    }
    died("killed in its store");
    answer(unavailable("the connection was reset"));
  }
}

bool ControlProcess::answer(Poll& poll) {
  auto directions = ask([&](ControlPlane& plane, Instant at) { return plane.directions(hosts_[poll.host], poll.fetch.after, poll.fetch.policy, at); });
  if (!directions) {
    poll.answer(unavailable("the connection was reset"));
    return true;
  }
  around_.oracle.heard(poll.host);
  bool empty = *directions && (*directions)->orders.empty() && !(*directions)->policy && (*directions)->refresh.empty();
  if (empty) return false;
  poll.answer(*std::move(directions));
  return true;
}

void ControlProcess::directions(std::size_t host, const agent::FetchDirections& fetch, std::function<void(Result<Directions>)> given) {
  if (!plane_) return given(unavailable("connection refused"));
  std::erase_if(polls_, [&](Poll& other) {
    if (other.host != host) return false;
    around_.scheduler.after(milliseconds(1), [answer = std::move(other.answer)] { answer(Directions{}); });
    return true;
  });
  Poll poll{host, fetch, around_.scheduler.now() + fetch.wait, std::move(given)};
  if (!answer(poll)) polls_.push_back(std::move(poll));
}

void ControlProcess::check_shown() {
  auto page = ask([&](ControlPlane& plane, Instant at) { return plane.hosts(admin, "all", {"", kPageMax}, at); });
  if (!page || !*page) return;
  for (const HostView& view : (*page)->items) around_.oracle.shown(number_of(view.id), view.posture, kStaleAfter);
}

}  // namespace prunella::sim
