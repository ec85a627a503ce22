#include "adapters/sqlite/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace prunella {

namespace {

// "PRNL": names our files in their header, so that the database of another program isn't taken for ours (and file(1) can tell).
constexpr std::int64_t kApplicationId = 0x50524e4c;
constexpr std::int64_t kWalBytesMax = 64 << 20;  // what a log that once grew keeps on disk after a checkpoint

const Statement kApplicationIdQuery{"sqlite.application_id", "PRAGMA application_id"};
const Statement kPageCount{"sqlite.page_count", "PRAGMA page_count"};
const Statement kJournalMode{"sqlite.journal_mode", "PRAGMA journal_mode=WAL"};
const Statement kSynchronous{"sqlite.synchronous", "PRAGMA synchronous"};
const Statement kQuickCheck{"sqlite.quick_check", "PRAGMA quick_check(10)"};

// The kind for an extended result code. Source: https://www.sqlite.org/rescode.html
ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return ErrorKind::kConflict;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT: return ErrorKind::kCorrupt;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG: return ErrorKind::kExhausted;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return ErrorKind::kDenied;
    case SQLITE_ERROR:  // no such table, a syntax error: a statement that this schema doesn't know
    case SQLITE_MISMATCH:
    case SQLITE_RANGE: return ErrorKind::kInvalidInput;
    default: return ErrorKind::kUnavailable;  // BUSY, LOCKED, IOERR, CANTOPEN, PROTOCOL, INTERRUPT, ...
  }
}

Result<std::int64_t> only_number(Result<Rows> rows) {
  if (!rows) return std::move(rows).error();
  if (rows->size() == 1 && rows->columns().size() == 1) {
    const SqlValue* value = (*rows)[0].find(rows->columns()[0]);
    if (const auto* number = std::get_if<std::int64_t>(value)) return *number;
  }
  return corrupt(std::string(rows->statement()) + " gave no number");
}

// The file and its name on disk before SQLite sees it: SQLite makes files that others may read, and the write-ahead log and its
// index take over the mode of the database.
Status make_private(const std::filesystem::path& path) {
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    if (errno == EEXIST) return {};
    int reason = errno;
    ErrorKind kind = reason == EACCES || reason == EPERM || reason == EROFS ? ErrorKind::kDenied : ErrorKind::kUnavailable;
    if (reason == ENOSPC || reason == EDQUOT) kind = ErrorKind::kExhausted;
    return Error(kind, std::string("making the file: ") + std::strerror(reason));
  }
  ::close(file);
  std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return unavailable(std::string("opening its folder: ") + std::strerror(errno));
  int synced = ::fsync(directory);
  int reason = errno;
  ::close(directory);
  if (synced != 0) return unavailable(std::string("fsync of its folder: ") + std::strerror(reason));
  return {};
}

}  // namespace

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const std::filesystem::path& path, SqliteOptions options) {
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(path));
  auto opened = connection->open_file(options);
  if (!opened) return std::move(opened).error().during("opening " + connection->description());
  return connection;
}

SqliteConnection::~SqliteConnection() {
  forget_statements();
  sqlite3_close(database_);  // an open transaction is rolled back
}

Status SqliteConnection::open_file(SqliteOptions options) {
  bool in_memory = path_ == ":memory:";
  if (!in_memory)
    if (auto made = make_private(path_); !made) return made;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;  // one thread at a time: no mutex
  if (int code = sqlite3_open_v2(path_.c_str(), &database_, flags, nullptr); code != SQLITE_OK) return failure(code);
  sqlite3_busy_timeout(database_, static_cast<int>(options.busy_timeout.count()));
  // Double quotes around a text are an error as in PostgreSQL, and no statement can write the file's own structures.
  for (int off : {SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL, SQLITE_DBCONFIG_TRUSTED_SCHEMA})
    if (int code = sqlite3_db_config(database_, off, 0, nullptr); code != SQLITE_OK) return failure(code);
  for (int on : {SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY})
    if (int code = sqlite3_db_config(database_, on, 1, nullptr); code != SQLITE_OK) return failure(code);
  if (auto claimed = claim(); !claimed) return claimed;

  auto mode = run(kJournalMode);
  if (!mode) return std::move(mode).error();
  RowReader row((*mode)[0]);
  auto got = row.get<std::string>("journal_mode");
  if (auto read = row.finish(); !read) return read;
  if (got != (in_memory ? "memory" : "wal"))
    return unavailable("the file system takes no write-ahead log (journal_mode is " + prunella::quoted(got) +
                       "); use a local one");
  std::string settings =
      "PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=" + std::to_string(kWalBytesMax);
  if (auto set = simple(settings.c_str()); !set) return set;
  auto synchronous = only_number(run(kSynchronous));
  if (!synchronous) return std::move(synchronous).error();
  check(*synchronous == 2, "synchronous=FULL was not taken");
  return {};
}

// Marks a new file as ours and refuses one that another program made.
Status SqliteConnection::claim() {
  auto id = only_number(run(kApplicationIdQuery));
  if (!id) return std::move(id).error();
  if (*id == kApplicationId) return {};
  auto pages = only_number(run(kPageCount));
  if (!pages) return std::move(pages).error();
  if (*id != 0 || *pages > 0)
    return denied("this is the SQLite database of another program (application id " + std::to_string(*id) + ", ours is " +
                  std::to_string(kApplicationId) + ")");
  return simple(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
}

Status SqliteConnection::check_integrity() {
  auto rows = run(kQuickCheck);
  if (!rows) return std::move(rows).error().during("checking " + description());
  std::vector<std::string> found;
  for (Row each : *rows) {
    RowReader row(each);
    auto text = row.get<std::string>("quick_check");
    if (auto read = row.finish(); !read) return read;
    if (text != "ok") found.push_back(text);
  }
  if (!found.empty()) return corrupt(description() + " is damaged: " + join(found, "; "));
  return {};
}

Error SqliteConnection::failure(int code) {
  std::string text = database_ && sqlite3_extended_errcode(database_) == code ? sqlite3_errmsg(database_) : sqlite3_errstr(code);
  Error error(kind_of(code), text + " (SQLite " + std::to_string(code) + ", " + path_.string() + ")");
  return error;
}

Status SqliteConnection::simple(const char* sql) {
  if (int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) return failure(code);
  return {};
}

void SqliteConnection::forget_statements() {
  for (auto& [sql, prepared] : statements_) sqlite3_finalize(prepared.handle);
  statements_.clear();
}

Result<const SqliteConnection::Prepared*> SqliteConnection::prepare(const Statement& statement) {
  if (auto found = statements_.find(statement.sql); found != statements_.end()) return &found->second;
  if (statements_.size() >= kSqliteStatementsMax) forget_statements();
  Prepared prepared;
  const char* rest = nullptr;
  int code = sqlite3_prepare_v3(database_, statement.sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared.handle, &rest);
  if (code != SQLITE_OK) return failure(code);
  if (!prepared.handle || !trim(rest).empty()) {
    sqlite3_finalize(prepared.handle);
    return invalid_input("one statement should be here, got " + quoted(statement.sql));
  }
  prepared.reads_only = sqlite3_stmt_readonly(prepared.handle) != 0;
  // SQLite takes $1 for a name and numbers names by their first place in the text; the port means the number.
  for (int i = 1; i <= sqlite3_bind_parameter_count(prepared.handle); ++i) {
    const char* name = sqlite3_bind_parameter_name(prepared.handle, i);
    auto number = parse_uint(name && *name == '$' ? std::string_view(name + 1) : std::string_view());
    if (!number || *number == 0 || *number > 999) {
      sqlite3_finalize(prepared.handle);
      return invalid_input("the parameter " + quoted(name ? name : "?") + " should be $1, $2, ...");
    }
    prepared.positions.push_back(*number - 1);
    prepared.values = std::max<std::size_t>(prepared.values, *number);
  }
  return &statements_.emplace(statement.sql, std::move(prepared)).first->second;
}

// Binds by reference (SQLITE_STATIC): `values` outlives the steps.
Status SqliteConnection::bind(const Prepared& prepared, const std::vector<SqlValue>& values) {
  if (values.size() != prepared.values)
    return invalid_input(std::to_string(values.size()) + " values for " + std::to_string(prepared.values) + " parameters");
  for (std::size_t i = 0; i < prepared.positions.size(); ++i) {
    int at = static_cast<int>(i) + 1;
    const SqlValue& value = values[prepared.positions[i]];
    int code = SQLITE_OK;
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      code = sqlite3_bind_int64(prepared.handle, at, *number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      code = sqlite3_bind_text64(prepared.handle, at, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
    } else {
      code = sqlite3_bind_null(prepared.handle, at);
    }
    if (code != SQLITE_OK) return failure(code);
  }
  return {};
}

Result<Rows> SqliteConnection::do_run(const Statement& statement, const std::vector<SqlValue>& values) {
  auto found = prepare(statement);
  if (!found) return std::move(found).error();
  const Prepared& prepared = **found;
  if (in_transaction() && access_ == Access::kRead && !prepared.reads_only)
    return denied("a statement that writes within a transaction that reads");
  if (auto bound = bind(prepared, values); !bound) return std::move(bound).error();

  int count = sqlite3_column_count(prepared.handle);
  std::vector<std::string> columns;
  for (int i = 0; i < count; ++i) columns.emplace_back(sqlite3_column_name(prepared.handle, i));
  Rows rows(statement.name, std::move(columns));
  std::optional<Error> error;
  for (;;) {
    int code = sqlite3_step(prepared.handle);
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) {
      error = failure(code);
      break;
    }
    if (rows.size() >= kSqlRowsMax) {
      error = exhausted("more than " + std::to_string(kSqlRowsMax) + " rows; read it in pages");
      break;
    }
    for (int i = 0; i < count && !error; ++i) {
      switch (int type = sqlite3_column_type(prepared.handle, i)) {
        case SQLITE_INTEGER: rows.add_value(sqlite3_column_int64(prepared.handle, i)); break;
        case SQLITE_NULL: rows.add_value(nullptr); break;
        case SQLITE_TEXT: {
          const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(prepared.handle, i));
          rows.add_value(std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(prepared.handle, i))));
          break;
        }
        default:
          error = corrupt("column " + quoted(sqlite3_column_name(prepared.handle, i)) + " holds " +
                          (type == SQLITE_FLOAT ? "a fraction" : "a blob") + " where only whole numbers and texts are kept");
      }
    }
    if (error) break;
  }
  if (!prepared.reads_only) rows.set_affected(sqlite3_changes64(database_));
  sqlite3_reset(prepared.handle);  // its code repeats the one of step
  sqlite3_clear_bindings(prepared.handle);
  if (error) return *std::move(error);
  return rows;
}

Status SqliteConnection::do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) {
  for (const auto& values : rows)
    if (auto ran = do_run(statement, values); !ran) return std::move(ran).error();
  return {};
}

// A writer takes the lock at once (IMMEDIATE): one that first reads and then wants it could only fail when another wrote
// meanwhile.
Status SqliteConnection::do_begin(Access access) {
  access_ = access;
  return simple(access == Access::kWrite ? "BEGIN IMMEDIATE" : "BEGIN DEFERRED");
}

Status SqliteConnection::do_commit() { return simple("COMMIT"); }

// After a full disk or an I/O error SQLite may have rolled back by itself.
Status SqliteConnection::do_rollback() {
  if (sqlite3_get_autocommit(database_) != 0) return {};
  return simple("ROLLBACK");
}

}  // namespace prunella
