#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/codec.h"
#include "base/digest.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

/// The store port. One schema and one set of statements serve every store (docs/decisions/0002-store-port.md), so a statement
/// keeps to what SQLite 3.40 and PostgreSQL 15 both take and read alike:
///
///   - parameters $1, $2, ...; types BIGINT and TEXT only. Bytes are hexadecimal or base64 TEXT, moments are BIGINT milliseconds
///     since 1970 UTC, truth is BIGINT 0 or 1, documents are canonical JSON in TEXT;
///   - texts compare by bytes, so that paging by a text gives one order everywhere (the PostgreSQL adapter refuses a database
///     that sorts otherwise);
///   - ON CONFLICT ... DO UPDATE, RETURNING, common table expressions; sum() and the like inside CAST(... AS BIGINT); no
///     functions of one dialect, no double quotes around names.
///
/// tests/contract runs the same suite on each adapter.
namespace prunella {

/// One statement of the product: a constant whose name stands in every error about it.
struct Statement {
  const char* name;  ///< "audit.append"
  const char* sql;
};

/// NULL, BIGINT or TEXT. NULL stands for "unknown" or "not yet", and is never written as 0 or "".
using SqlValue = std::variant<std::nullptr_t, std::int64_t, std::string>;

/// A text above this size belongs into a file: the largest real one, the packages of a host with 5,000 of them, has about 2 MB.
inline constexpr std::size_t kSqlTextBytesMax = 16 << 20;
/// A result with more rows isn't a page, and a reader that needs more pages through it.
inline constexpr std::size_t kSqlRowsMax = 100'000;
/// How often with_transaction runs its function again after it lost against another writer. Ten, since each time somebody else
/// made progress, and as many losses in a row mean that something is wrong.
inline constexpr int kTransactionAttemptsMax = 10;

/// "NULL", "a whole number", "a text".
std::string_view type_name(const SqlValue& value);

// What goes in: to_sql(value) for every type that RowReader::get() brings back.
inline SqlValue to_sql(std::nullptr_t) { return nullptr; }
inline SqlValue to_sql(bool value) { return std::int64_t{value}; }
template <class I>
requires(std::integral<I> && !std::same_as<I, bool>) SqlValue to_sql(I value) {
  check(std::in_range<std::int64_t>(value), "a number that BIGINT can't hold");
  return static_cast<std::int64_t>(value);
}
inline SqlValue to_sql(std::string value) { return value; }
inline SqlValue to_sql(std::string_view value) { return std::string(value); }
inline SqlValue to_sql(const char* value) { return std::string(value); }
inline SqlValue to_sql(Instant at) { return std::int64_t{at.time_since_epoch().count()}; }
inline SqlValue to_sql(Duration duration) { return std::int64_t{duration.count()}; }
inline SqlValue to_sql(const Digest& digest) { return digest.hex(); }
inline SqlValue to_sql(const Json& document) { return to_canonical(document); }
template <class Tag>
SqlValue to_sql(const Id<Tag>& id) {
  return id.text();
}
template <WordedEnum E>
SqlValue to_sql(E value) {
  return std::string(to_text(value));
}
template <class T>
SqlValue to_sql(const std::optional<T>& value) {
  return value ? to_sql(*value) : SqlValue(nullptr);
}

/// The values of one run, each through to_sql: conn.run(kStatement, sql_values(host.id, now, digest)).
template <class... T>
std::vector<SqlValue> sql_values(const T&... values) {
  std::vector<SqlValue> out;
  out.reserve(sizeof...(values));
  (out.push_back(to_sql(values)), ...);
  return out;
}

namespace sql_detail {
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
}  // namespace sql_detail

class Row;

/// What a statement gave back, wholly in memory.
class Rows {
 public:
  Rows() = default;
  Rows(const char* statement, std::vector<std::string> columns) : statement_(statement), columns_(std::move(columns)) {}

  std::size_t size() const { return columns_.empty() ? 0 : values_.size() / columns_.size(); }
  bool empty() const { return size() == 0; }
  Row operator[](std::size_t index) const;
  /// The only row.
  /// @error kNotFound  there is none; `what` is named: "host 'web-1' does not exist".
  /// @error kCorrupt   there are several.
  Result<Row> one(std::string_view what) const;

  /// Rows that the statement inserted, updated or deleted; 0 for one that reads.
  std::int64_t affected() const { return affected_; }
  const char* statement() const { return statement_; }
  const std::vector<std::string>& columns() const { return columns_; }

  // For adapters: the values of each row one after the other.
  template <class V>
  void add_value(V&& value) {
    values_.emplace_back(std::forward<V>(value));
  }
  void set_affected(std::int64_t affected) { affected_ = affected; }

  class Iterator;
  Iterator begin() const;
  Iterator end() const;

 private:
  friend class Row;
  const char* statement_ = "";
  std::vector<std::string> columns_;
  std::vector<SqlValue> values_;  // size() * columns_.size(), row by row: one allocation for the table
  std::int64_t affected_ = 0;
};

/// One row of a Rows, which must outlive it.
class Row {
 public:
  Row(const Rows& rows, std::size_t index) : rows_(&rows), index_(index) {}
  /// nullptr when the statement has no such column.
  const SqlValue* find(std::string_view column) const;
  const Rows& rows() const { return *rows_; }

 private:
  const Rows* rows_;
  std::size_t index_;
};

class Rows::Iterator {
 public:
  Iterator(const Rows& rows, std::size_t index) : rows_(&rows), index_(index) {}
  Row operator*() const { return {*rows_, index_}; }
  Iterator& operator++() { return ++index_, *this; }
  bool operator==(const Iterator&) const = default;

 private:
  const Rows* rows_;
  std::size_t index_;
};

/// Typed reading of a row; the first error is kept, so that a function reads all its columns and asks once:
///
///     RowReader row(rows[0]);
///     Host host{.id = row.get<HostId>("id"), .seen = row.get<std::optional<Instant>>("last_seen_at")};
///     if (auto read = row.finish(); !read) return std::move(read).error();
class RowReader {
 public:
  explicit RowReader(Row row) : row_(row) {}

  /// The column as T: integers, bool, std::string, Instant, Duration, Digest, Id<...>, enumerations with words, Json, or an
  /// optional of these (empty for NULL). A default T after an error, which finish() reports.
  template <class T>
  T get(std::string_view column);
  /// The column's canonical JSON as a described value (base/codec.h).
  template <class T>
  T document(std::string_view column, UnknownKeys unknown = UnknownKeys::kRefuse);

  /// @error kCorrupt  a column is missing, NULL where it can't be, or of another type than expected, with its name.
  Status finish() &&;
  Status finish() & { return std::move(*this).finish(); }

 private:
  const std::int64_t* integer(std::string_view column);
  const std::string* text(std::string_view column);
  const SqlValue* value(std::string_view column);
  void fail(std::string_view column, std::string what);

  Row row_;
  std::optional<Error> error_;
};

enum class Access {
  kRead,   ///< one unchanging view of the store; a statement that writes is refused (kDenied)
  kWrite,  ///< as if no other writer ran at the same time
};

/// Port: a connection to a store. One thread at a time; a store serves many connections.
///
/// Outside begin() and commit() each run() is a transaction of its own. After a statement has failed within a transaction, all
/// that is left is to roll it back (PostgreSQL has it so, and SQLite is held to the same).
///
/// Errors of every member: kConflict for a broken constraint (unique, foreign key, not null, check) or a race lost against
/// another writer; kUnavailable for a busy store, an I/O error or a lost connection; kCorrupt for a damaged database; kExhausted
/// for a full disk or a named limit; kDenied for a write in a reading transaction or a missing permission; kInvalidInput for a
/// statement that the schema doesn't know, or values that it doesn't take (another count, a NUL byte, invalid UTF-8).
class SqlConnection {
 public:
  virtual ~SqlConnection() = default;
  SqlConnection(const SqlConnection&) = delete;
  SqlConnection& operator=(const SqlConnection&) = delete;

  /// @error kUnavailable  outside a transaction, and of a statement that writes: it may have happened.
  Result<Rows> run(const Statement& statement, std::vector<SqlValue> values = {});
  /// The statement once for each list of values, in as few round trips as the store allows; results are dropped. Within a
  /// transaction only, so that all or none of it stays.
  Status run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows);

  /// Within a transaction it's a mistake of ours.
  Status begin(Access access = Access::kWrite);
  /// Ends the transaction. When it returns good, the changes survive the loss of power.
  /// @error kUnavailable  it may have happened: read back before you repeat it. With every other kind nothing of it stays.
  Status commit();
  /// Ends the transaction, if there is one, and nothing of it stays; also when it fails (the store itself drops what a lost
  /// connection left open).
  Status rollback();

  bool in_transaction() const { return state_ != State::kIdle; }
  /// True when the last transaction failed only because another writer was faster: running all of it again may succeed.
  bool lost_race() const { return lost_race_; }

  /// What is connected, for errors and people: "SQLite /var/lib/prunella/prunella.db". No password.
  virtual std::string description() const = 0;

 protected:
  SqlConnection() = default;
  void note_lost_race() { lost_race_ = true; }

 private:
  enum class State { kIdle, kOpen, kFailed };

  virtual Result<Rows> do_run(const Statement& statement, const std::vector<SqlValue>& values) = 0;
  virtual Status do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) = 0;
  virtual Status do_begin(Access access) = 0;
  virtual Status do_commit() = 0;
  virtual Status do_rollback() = 0;

  Status refuse_if_failed() const;

  State state_ = State::kIdle;
  bool lost_race_ = false;
  std::optional<Error> first_error_;  // set in kFailed
};

/// A transaction that is rolled back at the end of the scope unless commit() was called.
class SqlTransaction {
 public:
  static Result<SqlTransaction> begin(SqlConnection& connection, Access access = Access::kWrite);
  SqlTransaction(SqlTransaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  SqlTransaction& operator=(SqlTransaction&&) = delete;
  ~SqlTransaction();
  /// As SqlConnection::commit. Call it once.
  Status commit();

 private:
  explicit SqlTransaction(SqlConnection& connection) : connection_(&connection) {}
  SqlConnection* connection_;
};

/// Runs `work()`, which returns a Result, in a transaction: commits when it succeeds, rolls back when it fails. Runs it again
/// when it lost a race, so `work` does nothing outside the store that can't be done twice, and starts from fresh values.
/// @error what `work` or commit() returned; of kUnavailable only a commit may have happened.
template <class F>
auto with_transaction(SqlConnection& connection, F&& work, Access access = Access::kWrite) -> std::invoke_result_t<F&> {
  for (int attempt = 1;; ++attempt) {
    auto transaction = SqlTransaction::begin(connection, access);
    if (!transaction) return std::move(transaction).error();
    auto result = work();
    if (result) {
      Status committed = transaction->commit();
      if (committed) return result;
      if (!connection.lost_race() || attempt == kTransactionAttemptsMax) return std::move(committed).error();
    } else if (!connection.lost_race() || attempt == kTransactionAttemptsMax) {
      return result;
    }
  }
}

inline Row Rows::operator[](std::size_t index) const {
  check(index < size(), "a row beyond the last");
  return {*this, index};
}
inline Rows::Iterator Rows::begin() const { return {*this, 0}; }
inline Rows::Iterator Rows::end() const { return {*this, size()}; }

template <class T>
T RowReader::get(std::string_view column) {
  using namespace codec_detail;
  if constexpr (sql_detail::IsOptional<T>::value) {
    const SqlValue* found = value(column);
    if (!found || std::holds_alternative<std::nullptr_t>(*found)) return std::nullopt;
    return get<typename T::value_type>(column);
  } else if constexpr (std::is_same_v<T, bool>) {
    const std::int64_t* number = integer(column);
    if (number && *number != 0 && *number != 1) fail(column, "holds " + std::to_string(*number) + " where 0 or 1 should be");
    return number && *number == 1;
  } else if constexpr (std::is_integral_v<T>) {
    const std::int64_t* number = integer(column);
    if (!number) return T{};
    if (!std::in_range<T>(*number)) return fail(column, "holds " + std::to_string(*number) + ", which is out of range"), T{};
    return static_cast<T>(*number);
  } else if constexpr (std::is_same_v<T, Instant>) {
    const std::int64_t* number = integer(column);
    return number ? Instant(Duration(*number)) : T{};
  } else if constexpr (std::is_same_v<T, Duration>) {
    const std::int64_t* number = integer(column);
    return number ? Duration(*number) : T{};
  } else {
    const std::string* found = text(column);
    if (!found) return T{};
    auto take = [&](auto parsed) -> T {
      if (parsed) return *std::move(parsed);
      return fail(column, parsed.error().text()), T{};
    };
    if constexpr (std::is_same_v<T, std::string>)
      return *found;
    else if constexpr (IsId<T>::value)
      return T(*found);
    else if constexpr (std::is_same_v<T, Digest>)
      return take(parse_digest(*found));
    else if constexpr (std::is_same_v<T, Json>)
      return take(parse_json(*found, {.bytes_max = kSqlTextBytesMax}));
    else if constexpr (WordedEnum<T>)
      return take(parse_word<T>(*found));
    else
      static_assert(std::is_same_v<T, Json>, "this type has no column form; see RowReader::document");
  }
}

template <class T>
T RowReader::document(std::string_view column, UnknownKeys unknown) {
  const std::string* found = text(column);
  if (!found) return T{};
  auto parsed = from_json_text<T>(*found, {.bytes_max = kSqlTextBytesMax}, unknown);
  if (parsed) return *std::move(parsed);
  return fail(column, parsed.error().text()), T{};
}

}  // namespace prunella
