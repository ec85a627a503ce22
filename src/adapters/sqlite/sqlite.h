#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>

#include "record/sql.h"

struct sqlite3;
struct sqlite3_stmt;

namespace prunella {

/// How long a statement waits for another writer of the same file. Long beside any transaction of ours (milliseconds), short
/// beside a client's patience.
inline constexpr Duration kSqliteBusyTimeout = std::chrono::seconds(5);
/// Prepared statements kept. The product has about 150; when text of our own making ever floods the cache, it's emptied.
inline constexpr std::size_t kSqliteStatementsMax = 256;

struct SqliteOptions {
  Duration busy_timeout = kSqliteBusyTimeout;
};

/// The store port on SQLite 3.40: a write-ahead log with synchronous=FULL, so that commit() returns after fsync.
/// Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
class SqliteConnection final : public SqlConnection {
 public:
  /// Opens `path`, or makes it (readable by its owner only; the folder must exist). ":memory:" gives a private store that ends
  /// with the connection.
  /// @error kUnavailable  the file can't be opened, or its file system takes no write-ahead log.
  /// @error kCorrupt      it is no SQLite database, or its first page is damaged.
  /// @error kDenied       no permission, or it's the database of another program.
  /// Each with the path.
  static Result<std::unique_ptr<SqliteConnection>> open(const std::filesystem::path& path, SqliteOptions options = {});
  ~SqliteConnection() override;

  /// Reads every page (PRAGMA quick_check): seconds for a gigabyte, so only on demand.
  /// @error kCorrupt  with what SQLite found.
  Status check_integrity();

  std::string description() const override { return "SQLite " + path_.string(); }

 private:
  explicit SqliteConnection(std::filesystem::path path) : path_(std::move(path)) {}
  struct Prepared {
    sqlite3_stmt* handle = nullptr;
    std::vector<std::size_t> positions;  // SQLite's parameter i + 1 takes the value of $(positions[i] + 1)
    std::size_t values = 0;              // the highest $N
    bool reads_only = false;
  };

  Result<Rows> do_run(const Statement& statement, const std::vector<SqlValue>& values) override;
  Status do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) override;
  Status do_begin(Access access) override;
  Status do_commit() override;
  Status do_rollback() override;

  Status open_file(SqliteOptions options);
  Status claim();
  Result<const Prepared*> prepare(const Statement& statement);
  Status bind(const Prepared& prepared, const std::vector<SqlValue>& values);
  Status simple(const char* sql);
  Error failure(int code);
  void forget_statements();

  std::filesystem::path path_;
  sqlite3* database_ = nullptr;
  Access access_ = Access::kWrite;  // of the open transaction
  std::unordered_map<std::string, Prepared> statements_;
};

}  // namespace prunella
