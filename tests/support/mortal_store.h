#pragma once

#include <optional>

#include "killed.h"
#include "loop/control_plane.h"

namespace prunella::testing {

/// Certificates that are only names.
class PaperIssuer : public CertificateIssuer {
 public:
  Result<Issued> issue(std::string_view, const HostId& host, Instant now) override {
    std::string text = host.text() + " " + std::to_string(++count_);
    return Issued{text, sha256(text).hex(), std::to_string(count_), now + std::chrono::hours(24)};
  }
  std::string authority_pem() const override { return "authority"; }
  std::string authority_sha256() const override { return sha256("authority").hex(); }

 private:
  int count_ = 0;
};

/// A store that kills its user before the n-th statement, commit or begin. When the n-th is a commit, `after_commit` lets it happen
/// first: the work is kept, and whoever asked for it never hears of it.
class MortalStore : public SqlConnection {
 public:
  explicit MortalStore(SqlConnection& inner) : inner_(inner) {}
  void kill_at(std::size_t operation, bool after_commit = false) { kill_at_ = operation, count_ = 0, after_commit_ = after_commit; }
  void live_on() { kill_at_.reset(); }
  std::size_t operations() const { return count_; }
  std::size_t commits() const { return commits_; }
  std::string description() const override { return inner_.description(); }
  /// What a process leaves that died: its open transaction is gone.
  void bury() {
    if (inner_.in_transaction()) (void)inner_.rollback().has_value();
    if (in_transaction()) (void)rollback().has_value();
  }

 private:
  void step() {
    ++count_;
    if (kill_at_ && count_ >= *kill_at_) throw Killed{};
  }
  Result<Rows> do_run(const Statement& statement, const std::vector<SqlValue>& values) override { return step(), inner_.run(statement, values); }
  Status do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) override { return step(), inner_.run_each(statement, rows); }
  Status do_begin(Access access) override { return step(), inner_.begin(access); }
  Status do_commit() override {
    if (!after_commit_) step();
    Status committed = inner_.commit();
    if (committed) ++commits_;
    if (after_commit_) step();
    return committed;
  }
  Status do_rollback() override { return inner_.in_transaction() ? inner_.rollback() : Status(); }

  SqlConnection& inner_;
  std::optional<std::size_t> kill_at_;
  bool after_commit_ = false;
  std::size_t count_ = 0;
  std::size_t commits_ = 0;
};

}  // namespace prunella::testing
