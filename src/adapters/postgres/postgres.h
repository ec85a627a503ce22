#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "record/sql.h"

struct pg_conn;
struct pg_result;

namespace prunella {

struct PostgresOptions {
  /// A server that doesn't answer within this is away.
  Duration connect_timeout = std::chrono::seconds(5);
  /// No statement of ours takes a tenth of this on a loaded server.
  Duration statement_timeout = std::chrono::seconds(30);
  /// Waiting for another writer's lock; as long as SQLite waits.
  Duration lock_timeout = std::chrono::seconds(5);
  /// A transaction that its owner forgot, or whose owner is hung, holds locks no longer than this.
  Duration idle_in_transaction_timeout = std::chrono::seconds(60);
};
/// Prepared statements kept on the server for a connection; then all are dropped and made anew.
inline constexpr std::size_t kPostgresStatementsMax = 512;
/// Statements of run_each on their way at once: enough to hide the round trip, little enough for the sockets' buffers.
inline constexpr std::size_t kPostgresPipelineMax = 500;

/// The store port on PostgreSQL 15, by libpq.
///
/// Writing transactions are SERIALIZABLE, so that one set of statements means the same as on SQLite, where writers really run
/// one after the other; READ COMMITTED would let two of them read the same "last" value and both go on. The price, that a
/// transaction can lose and must run again, is paid in with_transaction(). Reading ones are REPEATABLE READ, READ ONLY: one
/// view, which never fails. commit() returns after the log is flushed (synchronous_commit=on).
/// Source: https://www.postgresql.org/docs/15/transaction-iso.html
///
/// A lost connection is made again by the next begin(), or the next run() outside a transaction. What was in progress fails with
/// kUnavailable and is never repeated by itself.
class PostgresConnection final : public SqlConnection {
 public:
  /// `conninfo` as libpq takes it: "host=/run/postgresql dbname=prunella" or a postgresql:// URI.
  /// @error kUnavailable  the server doesn't answer.
  /// @error kNotFound     there is no such database.
  /// @error kDenied       a wrong password or missing permission; also a server older than 15, with fsync off, or a database that
  ///                      isn't UTF-8 or doesn't sort texts by bytes: what we promise could not be kept there.
  /// @error kInvalidInput `conninfo` can't be read. It isn't quoted: it may hold a password.
  static Result<std::unique_ptr<PostgresConnection>> open(std::string conninfo, PostgresOptions options = {});
  ~PostgresConnection() override;

  std::string description() const override { return description_; }

 private:
  PostgresConnection(std::string conninfo, PostgresOptions options) : conninfo_(std::move(conninfo)), options_(options) {}

  Result<Rows> do_run(const Statement& statement, const std::vector<SqlValue>& values) override;
  Status do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) override;
  Status do_begin(Access access) override;
  Status do_commit() override;
  Status do_rollback() override;

  struct Parameters;  // values in libpq's form
  struct Prepared {
    std::string name;
    std::size_t values = 0;
  };
  Status connect();
  Status check_server();
  Status connected();
  bool lost() const;
  Result<const Prepared*> prepare(const Statement& statement, const Parameters& parameters);
  Status simple(const char* sql);
  Error failure(const pg_result* result);
  void forget_statements();

  std::string conninfo_;  // may hold a password: never printed
  PostgresOptions options_;
  std::string description_ = "PostgreSQL";
  pg_conn* connection_ = nullptr;
  std::unordered_map<std::string, Prepared> statements_;  // by the types of the values, then the text
  std::uint64_t next_name_ = 1;
};

}  // namespace prunella
