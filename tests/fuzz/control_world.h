#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "../control/fleet.h"
#include "properties.h"

namespace prunella::fuzz {

/// A store that can be taken back to where it was, quickly: the product's transactions become savepoints within one that never
/// ends. It also notes which of the product's statements changed something that was kept.
class RewoundStore : public SqlConnection {
 public:
  explicit RewoundStore(SqlConnection& inner) : inner_(inner) {}

  /// Everything until now stays; what comes is taken back by rewind().
  void hold() { check(inner_.begin().has_value(), "holding the store"); }
  void rewind() {
    if (in_transaction()) (void)rollback().has_value();
    check(inner_.rollback().has_value(), "rewinding the store");
    check(inner_.begin().has_value(), "holding the store");
    kept_.clear();
  }
  /// Names of statements whose changes were kept since the last rewind.
  const std::set<std::string>& kept() const { return kept_; }
  std::string description() const override { return inner_.description(); }

 private:
  static constexpr Statement kSavepoint{"fuzz.savepoint", "SAVEPOINT product"};
  static constexpr Statement kRelease{"fuzz.release", "RELEASE product"};
  static constexpr Statement kBack{"fuzz.back", "ROLLBACK TO product"};

  Result<Rows> do_run(const Statement& statement, const std::vector<SqlValue>& values) override {
    auto rows = inner_.run(statement, values);
    if (!rows && !in_transaction()) start_over();
    if (rows && rows->affected() > 0) (in_transaction() ? pending_ : kept_).insert(statement.name);
    return rows;
  }
  Status do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) override {
    if (!rows.empty()) pending_.insert(statement.name);
    return inner_.run_each(statement, rows);
  }
  Status do_begin(Access) override {
    pending_.clear();
    return to_status(inner_.run(kSavepoint));
  }
  Status do_commit() override {
    auto released = inner_.run(kRelease);
    if (!released) return std::move(released).error();
    kept_.merge(pending_);
    pending_.clear();
    return {};
  }
  Status do_rollback() override {
    pending_.clear();
    // After a failed statement the whole transaction is lost, here as in the product: back to the beginning.
    if (!inner_.run(kBack) || !inner_.run(kRelease)) start_over();
    return {};
  }
  void start_over() {
    check(inner_.rollback().has_value() && inner_.begin().has_value(), "starting over");
    kept_.clear();
  }
  static Status to_status(const Result<Rows>& rows) { return rows ? Status() : Status(rows.error()); }

  SqlConnection& inner_;
  std::set<std::string> pending_;
  std::set<std::string> kept_;
};

/// A control plane with something of everything: trust and policy, a host with a missing update, a plan with its approval, a
/// rollout whose order waits for the host, tokens. The same at every start, and after each rewind().
class ControlWorld {
 public:
  ControlWorld() {
    sqlite_ = must(testing::store_in_memory(now));
    store = std::make_unique<RewoundStore>(*sqlite_);
    store->hold();
    restart();
    must(plane->set_trust(admin, keys.trust(), now));
    must(plane->set_policy(admin, keys.policy(1, now), now));
    add_host();
    PlanRequest request;
    request.selector = "all";
    request.waves = std::vector<std::string>{"1", "100%"};
    plan_view = must(plane->make_plan(admin, request, now));
    must(plane->approve(admin, plan_view.id, keys.approval(plan_view, keys.ada, "ada", now), now));
    rollout = must(plane->start_rollout(admin, {plan_view.id, plan_view.digest}, now)).rollout.id;
    Directions directions = must(plane->directions(host, 0, 0, now));
    check(directions.orders.size() == 1, "an order waits");
    order = must(keys.order_in(directions.orders[0]));
    spare_plan = must(plane->make_plan(admin, request, now));
    enrolment_token = *must(plane->add_enrolment_token(admin, {}, now)).secret;
    EnrolmentTokenRequest for_one;
    for_one.name = "only-this";
    named_token = *must(plane->add_enrolment_token(admin, for_one, now)).secret;
    TokenView spent = must(plane->add_enrolment_token(admin, {}, now));
    used_token = *spent.secret;
    must(plane->enroll({used_token, "web-2", "csr", "0"}, "192.0.2.2", now));
    api_token = must(plane->add_token(admin, {"ada", {Scope::kRead}, std::chrono::hours(24)}, now)).id;
    check(sqlite_->commit().has_value(), "keeping the world");
    store->hold();
    rewind();
  }

  /// The world as it was made, and a control plane that has just started in it.
  void rewind() {
    store->rewind();
    restart();
    store_kept_at_start_ = store->kept();
  }

  /// What the input did to the store beside what is written for a refusal too (the audit log, when a token was last used).
  std::set<std::string> changes() const {
    std::set<std::string> out;
    for (const std::string& name : store->kept())
      if (!store_kept_at_start_.contains(name) && !name.starts_with("audit.") && name != "tokens.touch") out.insert(name);
    return out;
  }

  /// `text` with the world's names put in: @HOST, @PLAN, @SPARE, @DIGEST (of the spare plan), @ROLLOUT, @RUN, @ORDER, @TOKEN, @ENROL,
  /// @NAMED, @USED.
  std::string fill_in(std::string_view text) const {
    const std::pair<std::string_view, std::string> names[] = {{"@HOST", host.text()},          {"@PLAN", plan_view.id.text()},     {"@SPARE", spare_plan.id.text()},
                                                              {"@DIGEST", spare_plan.digest.hex()}, {"@ROLLOUT", rollout.text()},  {"@RUN", order.run.text()},
                                                              {"@ORDER", order.id.text()},     {"@TOKEN", api_token},              {"@ENROL", enrolment_token},
                                                              {"@NAMED", named_token},         {"@USED", used_token}};
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      bool found = false;
      for (const auto& [name, value] : names) {
        if (text[at] != '@' || !text.substr(at).starts_with(name)) continue;
        out += value;
        at += name.size();
        found = true;
        break;
      }
      if (!found) out += text[at++];
    }
    return out;
  }

  template <class T>
  static T must(Result<T> result) {
    if (!result) std::fprintf(stderr, "%s\n", result.error().text().c_str());
    return *std::move(result);
  }

  const Instant now = *parse_rfc3339("2026-11-24T03:00:00Z");
  const testing::Signers keys;
  const Caller admin{"token:test", "t", {Scope::kAdmin}};
  std::unique_ptr<RewoundStore> store;
  std::unique_ptr<ControlPlane> plane;
  HostId host;
  PlanView plan_view, spare_plan;
  RolloutId rollout;
  Order order;
  std::string enrolment_token, named_token, used_token, api_token;

 private:
  void restart() {
    random_.emplace(starts_++ == 0 ? 7u : 8u);  // the same for every input
    plane = std::make_unique<ControlPlane>(ControlPlane::Ports{*store, *random_, issuer_, keys.director, keys.recorder}, ControlOptions{}, nullptr);
    check(plane->start("fuzz", now).has_value(), "starting");
  }
  void add_host() {
    std::string token = *must(plane->add_enrolment_token(admin, {}, now)).secret;
    host = must(plane->enroll({token, "web-1", "csr", "0"}, "192.0.2.1", now)).host;
    testing::PlayedHost played(host, "one");
    must(plane->receive(host, played.all_sections(testing::sick_facts(now), now), now));
  }

  std::optional<testing::SeededRandom> random_;
  testing::PaperIssuer issuer_;
  std::unique_ptr<SqliteConnection> sqlite_;
  std::set<std::string> store_kept_at_start_;
  int starts_ = 0;
};

/// Made at the first input and used for all.
inline ControlWorld& control_world() {
  static ControlWorld world;
  return world;
}

}  // namespace prunella::fuzz
