#include "world.h"

#include <algorithm>
#include <array>

#include "adversary.h"
#include "agent_process.h"
#include "people.h"
#include "record/audit.h"

namespace prunella::sim {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

/// From the moment at which faults stop until everything must have come to its end. Rollouts have at most 25 minutes a wave, and at
/// most five waves; nearly all of them end in a fraction of that.
constexpr Duration kRestBound = hours(4);
constexpr Duration kReportTimeout = seconds(30);
constexpr Duration kPollTimeoutBeyondWait = seconds(10);

PrivateKey key_of(std::uint8_t number) { return PrivateKey(std::array<std::uint8_t, 32>{number}); }

const People::Keys& keys() {
  static const People::Keys keys = [] {
    People::Keys made{key_of(1), key_of(2), key_of(3), {}};
    made.approvers.push_back({"ada", key_of(4)});
    made.approvers.push_back({"bob", key_of(5)});
    made.approvers.push_back({"cyd", key_of(6)});
    return made;
  }();
  return keys;
}

/// One host: its system, its executor and its agent.
class SimHost : public HostEvents {
 public:
  SimHost(std::size_t number, const HostId& id, ExecutorProcess::Surroundings around, Dice& dice, ModelHost::Setting setting, Uplink& uplink)
      : number_(number),
        around_(around),
        id_(id),
        executor(number, around, trust(), dice.next(), *this, std::move(setting)),
        agent(number, around, trust(), dice.next(), *this, executor, uplink) {}

  void touching(Touch touch, const std::vector<std::string>& subjects) override {
    static constexpr std::string_view kWords[] = {"upgrade", "restore", "restart", "put back", "remove"};
    note("act: " + std::string(kWords[static_cast<std::size_t>(touch)]) + " " + join(subjects, " "));
    around_.oracle.touching(number_, touch, subjects);
  }
  void changed(Section section) override { agent.changed(section); }
  void foreign_change(const std::string& what) override { around_.oracle.foreign_change(number_, what); }
  void note(const std::string& text) override { around_.log.line(around_.scheduler.now(), id_.text() + " " + text); }

  void power_lost() override { be_off(seconds(30)); }
  void lose_power(Duration off) {
    executor.lose_power();
    be_off(off);
  }
  void be_off(Duration off) {
    note("power loss for " + to_text(off));
    agent.kill("power loss");
    around_.scheduler.after(off, [this] {
      if (executor.is_up() || agent.is_up()) return;
      executor.model().reboot();
      executor.start_in(seconds(2));
      agent.start_in(seconds(4));
    });
  }
  const HostId& id() const { return id_; }

 private:
  HostTrust trust() const {
    static const PublicKey kOperator = keys().offline.public_key();
    return {id_, "example", {kOperator}, 1};
  }
  std::size_t number_;
  ExecutorProcess::Surroundings around_;
  HostId id_;

 public:
  ExecutorProcess executor;
  AgentProcess agent;
};

class World : public Uplink {
 public:
  explicit World(const Options& options)
      : options_(options), dice_(options.seed * 0x9E3779B97F4A7C15ull + 1), log_(options.print), scheduler_(dice_.next()), oracle_(scheduler_) {
    faults_ = draw_faults(dice_);
    for (const auto& [name, on] : faults_.classes())
      if (options.calm || std::ranges::find(options.without, name) != options.without.end()) *on = false;
  }

  Outcome run() {
    Outcome outcome;
    outcome.faults = faults_.text();
    try {
      live();
    } catch (const Violation& violation) {
      outcome.violation = violation;
      log_.line(scheduler_.now(), "VIOLATION " + violation.invariant + ": " + violation.text);
    }
    outcome.at = scheduler_.now();
    outcome.figures = figures();
    outcome.log = log_.digest();
    return outcome;
  }

  // --- the network
  void report(std::size_t host, std::string body, std::function<void(Result<ReportAnswer>)> answer) override {
    auto once = answered_once<ReportAnswer>(std::move(answer), kReportTimeout);
    travel(host, faults_.request_loss, [this, host, body = std::move(body), once] {
      control_->receive(host, body, [this, host, once](Result<ReportAnswer> given) {
        travel(host, faults_.answer_loss, [once, given] { once(given); });
      });
    });
  }
  void directions(std::size_t host, agent::FetchDirections fetch, std::function<void(Result<Directions>)> answer) override {
    auto once = answered_once<Directions>(std::move(answer), fetch.wait + kPollTimeoutBeyondWait);
    travel(host, faults_.request_loss, [this, host, fetch, once] {
      control_->directions(host, fetch, [this, host, once](Result<Directions> given) {
        travel(host, faults_.answer_loss, [once, given] { once(given); });
      });
    });
  }

 private:
  template <class T>
  std::function<void(Result<T>)> answered_once(std::function<void(Result<T>)> answer, Duration timeout) {
    auto open = std::make_shared<bool>(true);
    auto once = [open, answer = std::move(answer)](Result<T> given) {
      if (std::exchange(*open, false)) answer(std::move(given));
    };
    scheduler_.after(timeout, [once] { once(unavailable("timed out")); });
    return once;
  }

  void travel(std::size_t host, bool may_be_lost, std::function<void()> arrive) {
    Duration delay = dice_.wait(milliseconds(3), milliseconds(40));
    if (faults_on_) {
      if (partitioned_.contains(host)) return;
      if (may_be_lost && dice_.chance(faults_.loss_rate)) return;
      if (faults_.slow_network && dice_.chance(0.1)) delay = dice_.wait(milliseconds(100), seconds(40));
      if (faults_.duplication && dice_.chance(0.05)) scheduler_.after(dice_.wait(milliseconds(3), seconds(20)), arrive);
    }
    scheduler_.after(delay, std::move(arrive));
  }

  // --- the run
  void live() {
    log_.line(scheduler_.now(), "seed " + std::to_string(options_.seed) + ", " + std::to_string(options_.hosts) + " hosts, faults: " + faults_.text());
    ExecutorProcess::Surroundings around{scheduler_, log_, faults_, faults_on_, oracle_};
    control_ = std::make_unique<ControlProcess>(around, dice_.next(), keys().director, keys().recorder);
    people_ = std::make_unique<People>(around, dice_.next(), keys(), *control_, static_cast<std::uint32_t>(dice_.between(1, 2)));
    set_up(around);
    std::vector<HostId> ids;
    for (const auto& host : hosts_) ids.push_back(host->id());
    adversary_ = std::make_unique<Adversary>(around, dice_.next(), *people_, *control_, [this](std::size_t host) -> ExecutorProcess& { return hosts_[host]->executor; }, ids);
    people_->begin(dice_.wait(seconds(45), seconds(120)));
    look();
    Monotonic faults_end = scheduler_.now() + dice_.wait(minutes(10), minutes(22));
    if (options_.calm) faults_end = scheduler_.now() + minutes(5);
    scheduler_.after(seconds(20), [this] {
      faults_on_ = !options_.calm;
      chaos();
    });
    scheduler_.run(faults_end, nullptr);
    mend();
    Monotonic bound = scheduler_.now() + kRestBound;
    scheduler_.run(bound, [this] { return at_rest_; });
    if (!at_rest_) throw Violation{"liveness", "not at rest after " + to_text(kRestBound) + ": " + unrest()};
    the_end();
  }

  void set_up(ExecutorProcess::Surroundings around) {
    auto trust = control_->ask([&](ControlPlane& plane, Instant now) { return plane.set_trust(control_->admin, {"example", {keys().offline.public_key()}, 1}, now); });
    check(trust && *trust, "the operators' trust");
    people_->install_policy(1, false);
    static constexpr Harm kHarms[] = {Harm::kAtOnce, Harm::kSoon, Harm::kSoon, Harm::kLate, Harm::kHealthCommand, Harm::kScript};
    Harm harm = kHarms[dice_.below(6)];
    bool harms_nginx = dice_.chance(0.5), everywhere = dice_.chance(0.5);
    bool adds = dice_.chance(0.3), restarts = dice_.chance(0.4);
    for (std::size_t i = 0; i < options_.hosts; ++i) {
      HostId id = control_->enroll("web-" + std::to_string(i), i == 0);
      ModelHost::Setting setting;
      setting.adds_package = adds;
      setting.script_restarts = restarts;
      if (faults_.bad_patch && (everywhere || dice_.chance(0.1))) setting.harm[harms_nginx ? "nginx" : "libssl3"] = harm;
      hosts_.push_back(std::make_unique<SimHost>(i, id, around, dice_, std::move(setting), *this));
      SimHost& host = *hosts_.back();
      if (faults_.clock_skew) host.executor.model().skew = dice_.wait(-minutes(4), minutes(4));
      if (faults_.sync_error) host.executor.model().disk.sync_error_rate = faults_.sync_error_rate;
      Oracle::Host seen;
      seen.id = id;
      seen.model = &host.executor.model();
      seen.policy_text = &host.executor.policies().text();
      seen.frozen = [&host] { return host.executor.frozen; };
      seen.journal = [&host] { return host.executor.journal().durable(); };
      seen.executor_up = [&host] { return host.executor.is_up(); };
      oracle_.add_host(i, std::move(seen));
      // Most conffiles were edited long before anybody looked: what a version puts beside them is what a revert must find.
      Dice earlier(options_.seed * 1000 + i);
      for (const char* path : {"/etc/nginx.conf", "/etc/openssl.conf"})
        if (faults_.admin_edits && earlier.chance(0.5)) host.executor.model().edit(path);
      host.executor.start_in(dice_.wait(milliseconds(1), seconds(3)));
      host.agent.start_in(dice_.wait(milliseconds(1), seconds(10)));
    }
  }

  SimHost& any_host() { return *hosts_[dice_.below(hosts_.size())]; }

  /// Every ten seconds or so something happens, of the classes that are on.
  void chaos() {
    if (!faults_on_) return;
    std::vector<void (World::*)()> deeds;
    auto may = [&](bool on, void (World::*deed)(), int weight) {
      for (int i = 0; on && i < weight; ++i) deeds.push_back(deed);
    };
    may(faults_.executor_crash, &World::kill_executor, 2);
    may(faults_.agent_crash, &World::kill_agent, 2);
    may(faults_.control_crash, &World::doom_control, 4);
    may(faults_.power_loss, &World::cut_power, 2);
    may(faults_.disk_full, &World::fill_disk, 1);
    may(faults_.partition, &World::cut_network, 1);
    may(faults_.control_down, &World::stop_control, 1);
    may(faults_.clock_jump, &World::jump, 1);
    may(faults_.control_clock_jump, &World::jump_control, 1);
    may(faults_.foreign_apt, &World::foreign_apt, 2);
    may(faults_.admin_edits, &World::edit, 2);
    may(faults_.unit_trouble, &World::fail_unit, 2);
    may(faults_.frozen, &World::freeze, 1);
    may(faults_.new_policy, &World::new_policy, 1);
    may(faults_.forged_orders || faults_.replays || faults_.forged_database, &World::strike, 6);
    if (!deeds.empty()) (this->*deeds[dice_.below(deeds.size())])();
    scheduler_.after(dice_.wait(milliseconds(200), seconds(8)), [this] { chaos(); });
  }

  /// A host on which something goes on, if there is one.
  SimHost& busy_host() {
    std::vector<SimHost*> busy;
    for (const auto& host : hosts_)
      if (host->executor.is_up() && !host->executor.is_idle()) busy.push_back(host.get());
    return busy.empty() || dice_.chance(0.3) ? any_host() : *busy[dice_.below(busy.size())];
  }

  void kill_executor() { busy_host().executor.kill("kill -9"); }
  void kill_agent() {
    SimHost& host = dice_.chance(0.5) ? busy_host() : any_host();
    if (!host.agent.is_up()) return;
    host.agent.kill("kill -9");
    host.agent.start_in(dice_.wait(seconds(1), seconds(40)));
  }
  void doom_control() { control_->doom(1 + dice_.below(80), dice_.chance(0.5)); }
  void cut_power() { busy_host().lose_power(dice_.wait(seconds(5), seconds(90))); }
  void fill_disk() {
    SimHost& host = dice_.chance(0.5) ? busy_host() : any_host();
    host.note("the disk is full");
    host.executor.model().disk.full = true;
    host.agent.changed(Section::kDisk);
    scheduler_.after(dice_.wait(seconds(2), minutes(4)), [&host] {
      host.executor.model().disk.full = false;
      host.agent.changed(Section::kDisk);
    });
  }
  void cut_network() {
    std::set<std::size_t> cut;
    for (std::size_t i = 0; i < hosts_.size(); ++i)
      if (dice_.chance(0.2)) cut.insert(i);
    Duration time = dice_.wait(seconds(10), minutes(5));
    log_.line(scheduler_.now(), "partition of " + std::to_string(cut.size()) + " hosts for " + to_text(time));
    for (std::size_t host : cut) partitioned_.insert(host);
    scheduler_.after(time, [this, cut] {
      for (std::size_t host : cut) partitioned_.erase(host);
    });
  }
  void stop_control() { control_->kill("stopped", dice_.wait(seconds(15), minutes(4))); }
  void jump() {
    std::size_t number = dice_.below(hosts_.size());
    SimHost& host = *hosts_[number];
    Duration by = hours(24 * 3650) * (dice_.chance(0.5) ? 1 : -1);
    auto move = [this, &host, number](Duration to) {
      if (to > host.executor.model().skew) oracle_.clock_went_forward(number);
      host.note("its clock goes " + std::string(to > host.executor.model().skew ? "forward" : "back"));
      host.executor.model().skew = to;
    };
    Duration before = host.executor.model().skew;
    if (before > hours(1) || before < -hours(1)) return;
    move(by);
    scheduler_.after(dice_.wait(seconds(10), minutes(10)), [move, before] { move(before); });
  }
  void jump_control() {
    control_->skew += dice_.chance(0.5) ? -dice_.wait(minutes(1), hours(24 * 3650)) : dice_.wait(minutes(1), hours(3));
    log_.line(scheduler_.now(), "the control plane's clock says " + to_rfc3339(control_->now()));
  }
  void foreign_apt() { (dice_.chance(0.3) ? busy_host() : any_host()).executor.model().foreign_apt(dice_.wait(seconds(2), dice_.chance(0.2) ? minutes(12) : minutes(1)), dice_.chance(0.7) ? "tzdata" : "nginx"); }
  void edit() {
    SimHost& host = dice_.chance(0.5) ? busy_host() : any_host();
    ModelHost& model = host.executor.model();
    switch (dice_.below(3)) {
      case 0: return model.edit(dice_.chance(0.5) ? "/etc/nginx.conf" : "/etc/openssl.conf");
      case 1: {
        ModelPackage& package = model.table.at("nginx");
        package.selection = package.selection == PackageSelection::kHold ? PackageSelection::kInstall : PackageSelection::kHold;
        host.note("somebody holds or releases nginx");
        return host.agent.changed(Section::kPackages);
      }
      default: return model.admin_restart(dice_.chance(0.5) ? "app.service" : "cron.service");
    }
  }
  void fail_unit() { any_host().executor.model().unit_trouble(dice_.chance(0.5) ? "app.service" : "nginx.service"); }
  void freeze() {
    SimHost& host = dice_.chance(0.5) ? busy_host() : any_host();
    host.note("frozen");
    host.executor.frozen = true;
    scheduler_.after(dice_.wait(seconds(10), minutes(4)), [&host] { host.executor.frozen = false; });
  }
  void new_policy() {
    if (policy_changed_) return;
    policy_changed_ = true;
    people_->install_policy(2, true);
  }
  void strike() { adversary_->strike(); }

  /// Faults stop: everybody comes back, clocks are right, disks have space.
  void mend() {
    log_.line(scheduler_.now(), "faults stop");
    mended_at_ = scheduler_.now();
    faults_on_ = false;
    partitioned_.clear();
    control_->live_on();
    control_->skew = Duration(0);
    control_->start_in(seconds(1));
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      SimHost& host = *hosts_[i];
      ModelHost& model = host.executor.model();
      if (model.skew < Duration(0)) oracle_.clock_went_forward(i);
      model.skew = Duration(0);
      model.disk = {};
      host.agent.changed(Section::kDisk);
      host.executor.frozen = false;
      host.executor.start_in(seconds(3));
      host.agent.start_in(seconds(5));
    }
    adversary_->found_out();
    people_->mend();
    mended_ = true;
  }

  /// Every ten seconds the oracle looks at what no event shows it.
  void look() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      auto link = hosts_[i]->agent.link();
      oracle_.watch(i, link ? link->orders_held : 0, link ? link->outcomes_held : 0);
    }
    if (++looks_ % 6 == 0) control_->check_shown();
    if (mended_ && people_->is_done() && unrest().empty()) {
      if (!renewed_at_)
        renew();
      else
        at_rest_ = scheduler_.now() - *renewed_at_ >= seconds(30);
    }
    if (!at_rest_) scheduler_.after(seconds(10), [this] { look(); });
  }

  /// A person restarts what the product never touches, on most hosts: those may be shown as healthy then.
  void renew() {
    renewed_at_ = scheduler_.now();
    for (const auto& host : hosts_)
      if (dice_.chance(0.7)) host->executor.model().admin_restart("ssh.service");
  }

  /// What is not yet as it must be at the end; "" when all is.
  std::string unrest() {
    if (!people_->is_done()) return "a rollout goes on";
    if (oracle_.any_run_open()) return "a run is open";
    auto missing = oracle_.outcomes_missing();
    if (!missing.empty()) return std::to_string(missing.size()) + " outcomes are missing, the first: " + missing.front();
    // What costs little comes first: this is asked every ten seconds.
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      SimHost& host = *hosts_[i];
      auto link = host.agent.link();
      if (oracle_.is_silent(i, kStaleAfter)) return host.id().text() + " has not reported again";
      if (!link) return host.id().text() + "'s agent is down";
      if (link->orders_held + link->outcomes_held > 0) return host.id().text() + " holds " + std::to_string(link->orders_held) + " orders and " + std::to_string(link->outcomes_held) + " outcomes";
    }
    PageRequest page{"", kPageMax};
    auto runs = control_->truth().runs(std::nullopt, std::nullopt, page);
    for (const RunView& run : *runs)
      if (!is_end(run.state)) return run.id.text() + " of " + run.host.text() + " is " + std::string(to_text(run.state)) + " in the control plane";
    // Whoever was not yet at rest the last time is asked first.
    for (std::size_t left = hosts_.size(); left > 0; --left, restless_ = (restless_ + 1) % hosts_.size()) {
      SimHost& host = *hosts_[restless_];
      auto stored = control_->truth().facts(host.id());
      const HostFacts* have = host.agent.facts();
      if (!stored) return "no facts of " + host.id().text();
      auto same = [](const auto& a, const auto& b) { return a && b && a->value == b->value && a->unknown == b->unknown; };
      const std::pair<const char*, bool> sections[] = {{"packages", same(stored->packages, have->packages)}, {"units", same(stored->units, have->units)},
                                                       {"processes", same(stored->processes, have->processes)}, {"executor", same(stored->executor, have->executor)},
                                                       {"disk", same(stored->disk, have->disk)}};
      for (const auto& [name, equal] : sections)
        if (!equal) return "the control plane's " + std::string(name) + " of " + host.id().text() + " are not the agent's";
      if (have->packages->value != *host.executor.model().packages()) return "the agent's packages of " + host.id().text() + " are not the host's";
      if (have->units->value != host.executor.model().unit_facts()) return "the agent's units of " + host.id().text() + " are not the host's";
    }
    // A control plane that was started anew knows when it last heard a host only as of its store, and shows it as stale until it reports.
    auto shown = shown_hosts();
    if (!shown) return "the hosts can't be listed";
    for (const HostView& view : *shown)
      if (view.posture == PostureState::kStale) return view.id.text() + " is shown as stale: " + view.sentence;
    return "";
  }

  void the_end() {
    auto audited = verify_audit(control_->database(), {.keys = {keys().recorder.public_key()}});
    if (!audited) throw Violation{"I9 audit", audited.error().text()};
    if (!audited->sound()) throw Violation{"I9 audit", audited->broken->text};
    // Each run's end stands in the log once; a refusal may stand before it, when a copy of the order was carried out after all.
    std::set<std::string> refusals, ends;
    std::int64_t after = 0;
    for (;;) {
      auto entries = read_audit(control_->database(), after, kAuditPageMax);
      if (!entries || entries->empty()) break;
      for (const AuditEntry& entry : *entries) {
        bool refusal = entry.kind == "run.refused";
        bool end = entry.kind == "run.verified" || entry.kind == "run.reverted" || entry.kind == "run.escalated";
        if ((!end && !refusal) || !entry.subject.run) continue;
        const std::string& run = entry.subject.run->text();
        if (ends.contains(run) || !(refusal ? refusals : ends).insert(run).second) throw Violation{"I9 audit", entry.subject.run->text() + " ends twice in the audit log"};
      }
      after = entries->back().sequence;
    }
    for (const RunId& run : oracle_.runs_ended())
      if (!ends.contains(run.text()) && !refusals.contains(run.text())) throw Violation{"I9 audit", run.text() + "'s end is not in the audit log"};
    check_posture();
    if (options_.calm) {
      auto made = oracle_.figures();
      if (made.verified < options_.hosts) throw Violation{"calm", "without a fault, " + std::to_string(made.verified) + " of " + std::to_string(options_.hosts) + " hosts were verified"};
    }
    log_.line(scheduler_.now(), "at rest");
  }

  /// As a person sees them; nothing when they can't be listed.
  std::optional<std::vector<HostView>> shown_hosts() {
    auto page = control_->ask([&](ControlPlane& plane, Instant now) { return plane.hosts(control_->admin, "all", {"", kPageMax}, now); });
    if (!page || !*page || (*page)->items.size() != hosts_.size()) return std::nullopt;
    return std::move((*page)->items);
  }

  /// At rest, the word that the control plane has for each host is true.
  void check_posture() {
    auto shown = shown_hosts();
    if (!shown) throw Violation{"D7 posture", "the hosts can't be listed"};
    for (const HostView& view : *shown) {
      ModelHost& model = hosts_[control_->number_of(view.id)]->executor.model();
      std::string wrong;
      for (const auto& [name, unit] : model.units)
        if (unit.active == "failed") wrong = name + " has failed";
      for (const auto& [name, package] : model.table)
        if (package.state != PackageState::kInstalled) wrong = name + " is " + std::string(to_text(package.state));
      for (const Update& update : model.updates(true).updates)
        if (update.security && update.from_version) wrong = update.package.name + " lacks an update";
      auto processes = model.observe();
      check(processes.has_value(), "the model's processes");
      for (const StaleProcess& process : processes->stale) wrong = process.command + " runs replaced files";
      if (view.posture == PostureState::kHealthy && !wrong.empty()) throw Violation{"D7 posture", view.id.text() + " is shown as healthy, and " + wrong};
      if (view.posture == PostureState::kStale) throw Violation{"D7 posture", view.id.text() + " is shown as stale, and reports: " + view.sentence};
      if (view.posture == PostureState::kHealthy) ++healthy_;
      else log_.line(scheduler_.now(), view.id.text() + " is shown as " + std::string(to_text(view.posture)) + ": " + view.sentence);
    }
  }

  Figures figures() const {
    const Oracle::Figures& made = oracle_.figures();
    Figures f;
    f.runs = made.runs, f.verified = made.verified, f.reverted = made.reverted, f.escalated = made.escalated, f.not_begun = made.not_begun;
    f.standing = made.standing, f.orders = made.orders, f.effects = made.effects;
    if (people_) f.rollouts = people_->rollouts_started;
    for (const auto& host : hosts_) f.executor_deaths += host->executor.deaths;
    if (control_) f.control_deaths = control_->deaths, f.reports = control_->reports;
    if (adversary_) f.forged = adversary_->attempts;
    f.healthy = healthy_;
    if (mended_at_) f.longest_rest = std::chrono::duration_cast<Duration>(scheduler_.now() - *mended_at_);
    f.events = scheduler_.events();
    f.lines = log_.lines();
    f.virtual_time = std::chrono::duration_cast<Duration>(scheduler_.now().time_since_epoch());
    return f;
  }

  Options options_;
  Dice dice_;
  EventLog log_;
  Scheduler scheduler_;
  Oracle oracle_;
  Faults faults_;
  bool faults_on_ = false, mended_ = false, at_rest_ = false, policy_changed_ = false;
  std::uint64_t looks_ = 0, healthy_ = 0;
  std::size_t restless_ = 0;  // the host whose facts are compared first
  std::optional<Monotonic> mended_at_, renewed_at_;
  std::set<std::size_t> partitioned_;
  std::unique_ptr<ControlProcess> control_;
  std::unique_ptr<People> people_;
  std::vector<std::unique_ptr<SimHost>> hosts_;
  std::unique_ptr<Adversary> adversary_;
};

}  // namespace

void Figures::add(const Figures& other) {
  runs += other.runs, verified += other.verified, reverted += other.reverted, escalated += other.escalated, not_begun += other.not_begun;
  standing += other.standing, orders += other.orders, effects += other.effects, rollouts += other.rollouts, executor_deaths += other.executor_deaths;
  control_deaths += other.control_deaths, reports += other.reports, events += other.events, lines += other.lines, forged += other.forged, healthy += other.healthy, virtual_time += other.virtual_time;
  longest_rest = std::max(longest_rest, other.longest_rest);
}

Outcome simulate(const Options& options) { return World(options).run(); }

}  // namespace prunella::sim
