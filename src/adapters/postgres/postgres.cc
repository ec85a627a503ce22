#include "adapters/postgres/postgres.h"

#include <libpq-fe.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace prunella {

namespace {

// Type identifiers of the catalogue; fixed for all versions. Source: postgresql/server/catalog/pg_type.dat
constexpr Oid kBool = 16, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25, kUnknown = 705, kVarchar = 1043;

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ClearResult>;

// The kind for an SQLSTATE. Source: PostgreSQL 15 manual, appendix A.
ErrorKind kind_of(std::string_view state) {
  if (state == "42501") return ErrorKind::kDenied;     // insufficient_privilege
  if (state == "25006") return ErrorKind::kDenied;     // read_only_sql_transaction
  if (state == "3D000") return ErrorKind::kNotFound;   // the database does not exist
  if (state == "54000") return ErrorKind::kExhausted;  // program_limit_exceeded, and its class below
  if (state == "XX001" || state == "XX002") return ErrorKind::kCorrupt;
  if (state == "55P03" || state == "57014") return ErrorKind::kUnavailable;  // lock_timeout, statement_timeout
  std::string_view category = state.substr(0, 2);
  if (category == "23" || category == "40") return ErrorKind::kConflict;
  if (category == "28") return ErrorKind::kDenied;
  if (category == "54") return ErrorKind::kExhausted;
  if (state == "53100" || state == "53200") return ErrorKind::kExhausted;  // disk_full, out_of_memory
  if (category == "22" || category == "42" || category == "0A" || category == "26") return ErrorKind::kInvalidInput;
  return ErrorKind::kUnavailable;  // 08 connection, 53300 too many of them, 57 shutting down, 58 I/O, 25P03 idle too long, ...
}

std::string first_line(const char* message) {
  std::string_view text = trim(message ? message : "");
  return std::string(text.substr(0, text.find('\n')));
}

// Errors come as results; what the server only remarks (a table that is there already) is nobody's concern.
void ignore_notice(void*, const PGresult*) {}

std::string milliseconds(Duration duration) { return std::to_string(duration.count()); }

}  // namespace

// Numbers are kept as text beside their pointers, so it stays where it was made.
struct PostgresConnection::Parameters {
  explicit Parameters(const std::vector<SqlValue>& values) : numbers(values.size()) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (const auto* number = std::get_if<std::int64_t>(&values[i])) {
        numbers[i] = std::to_string(*number);
        add(numbers[i], kInt8);
      } else if (const auto* text = std::get_if<std::string>(&values[i])) {
        add(*text, kText);
      } else {
        pointers.push_back(nullptr);
        types.push_back(0);  // the server takes the type that the place wants
        signature.push_back('0');
      }
    }
  }
  Parameters(const Parameters&) = delete;
  int count() const { return static_cast<int>(pointers.size()); }

  std::vector<std::string> numbers;
  std::vector<const char*> pointers;
  std::vector<Oid> types;
  std::string signature;  // "nt0": a number, a text, NULL

 private:
  void add(const std::string& text, Oid type) {
    pointers.push_back(text.c_str());  // no NUL within: the port refused it
    types.push_back(type);
    signature.push_back(type == kInt8 ? 'n' : 't');
  }
};

Result<std::unique_ptr<PostgresConnection>> PostgresConnection::open(std::string conninfo, PostgresOptions options) {
  std::unique_ptr<PostgresConnection> connection(new PostgresConnection(std::move(conninfo), options));
  if (auto connected = connection->connect(); !connected) return std::move(connected).error();
  return connection;
}

PostgresConnection::~PostgresConnection() { PQfinish(connection_); }  // the server rolls back what is open

bool PostgresConnection::lost() const { return !connection_ || PQstatus(connection_) != CONNECTION_OK; }

Status PostgresConnection::connect() {
  PQfinish(connection_);
  connection_ = nullptr;
  statements_.clear();
  // Checked by itself first: a message about a malformed URI quotes it whole, password included.
  char* parse_error = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(conninfo_.c_str(), &parse_error);
  PQfreemem(parse_error);
  if (!parsed)
    return invalid_input(
        "the PostgreSQL connection text can't be read (it isn't shown: it may hold a password); "
        "'host=/run/postgresql dbname=prunella' or 'postgresql://host/prunella' would be right");
  PQconninfoFree(parsed);

  std::string seconds = std::to_string(std::max<std::int64_t>(2, options_.connect_timeout.count() / 1000));
  const std::pair<const char*, const char*> settings[] = {
      {"dbname", conninfo_.c_str()},
      {"connect_timeout", seconds.c_str()},
      {"client_encoding", "UTF8"},
      {"fallback_application_name", "prunellad"},
      // A peer that vanished without a word is noticed: after 30 s idle, or 30 s without an acknowledgement.
      {"keepalives", "1"},
      {"keepalives_idle", "30"},
      {"keepalives_interval", "10"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "30000"},
  };
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : settings) keys.push_back(key), values.push_back(value);
  keys.push_back(nullptr), values.push_back(nullptr);
  connection_ = PQconnectdbParams(keys.data(), values.data(), 1);
  if (!connection_) return exhausted("no memory for a PostgreSQL connection");
  PQsetNoticeReceiver(connection_, ignore_notice, nullptr);
  auto or_dash = [](const char* text) { return std::string(text && *text ? text : "-"); };
  description_ = "PostgreSQL database " + or_dash(PQdb(connection_)) + " on " + or_dash(PQhost(connection_)) + ":" +
                 or_dash(PQport(connection_));
  if (PQstatus(connection_) != CONNECTION_OK) {
    std::string text = first_line(PQerrorMessage(connection_));
    // A refused connection has no SQLSTATE in libpq 15, only the server's words.
    ErrorKind kind = ErrorKind::kUnavailable;
    if (text.find("authentication failed") != std::string::npos || text.find("no pg_hba.conf entry") != std::string::npos)
      kind = ErrorKind::kDenied;
    else if (text.find("database ") != std::string::npos && text.find("does not exist") != std::string::npos)
      kind = ErrorKind::kNotFound;
    return Error(kind, "connecting to " + description_ + ": " + text);
  }
  if (auto fits = check_server(); !fits) {
    PQfinish(connection_);
    connection_ = nullptr;
    return std::move(fits).error().during("connecting to " + description_);
  }
  // SET and not the connection's options, which a pooler between us and the server drops.
  std::string set =
      "SET synchronous_commit = on; SET default_transaction_isolation = 'serializable';"
      "SET standard_conforming_strings = on; SET client_min_messages = 'warning'; SET statement_timeout = " +
      milliseconds(options_.statement_timeout) + "; SET lock_timeout = " + milliseconds(options_.lock_timeout) +
      "; SET idle_in_transaction_session_timeout = " + milliseconds(options_.idle_in_transaction_timeout);
  return simple(set.c_str());
}

Status PostgresConnection::check_server() {
  if (PQserverVersion(connection_) < 150000)
    return denied("the server has version " + std::to_string(PQserverVersion(connection_) / 10000) + ", 15 or newer is needed");
  ResultHandle result(PQexec(connection_,
                             "SELECT datcollate, pg_encoding_to_char(encoding), current_setting('fsync'), "
                             "current_setting('full_page_writes') FROM pg_database "
                             "WHERE datname = current_database()"));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) return failure(result.get());
  std::string collation = PQgetvalue(result.get(), 0, 0), encoding = PQgetvalue(result.get(), 0, 1);
  // C.UTF-8 of the C library sorts by code points, which for UTF-8 is by bytes.
  constexpr std::string_view kByBytes[] = {"C", "POSIX", "C.UTF-8", "C.utf8"};
  if (std::ranges::find(kByBytes, collation) == std::end(kByBytes) || encoding != "UTF8")
    return denied("the database sorts by " + prunella::quoted(collation) + " in " + prunella::quoted(encoding) +
                  "; make it with: createdb --template=template0 --encoding=UTF8 --locale=C NAME");
  for (int i : {2, 3})
    if (std::strcmp(PQgetvalue(result.get(), 0, i), "on") != 0)
      return denied(std::string(PQfname(result.get(), i)) +
                    ": the server runs with fsync or full_page_writes off and would lose "
                    "what it acknowledged");
  return {};
}

// Before a transaction or a statement of its own: makes a lost connection again, once.
Status PostgresConnection::connected() {
  if (!lost()) return {};
  return connect();
}

Error PostgresConnection::failure(const PGresult* result) {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  const char* primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
  if (!state || lost()) {
    std::string text = primary ? primary : first_line(PQerrorMessage(connection_));
    return unavailable("the connection to " + description_ + " was lost: " + text);
  }
  std::string text = std::string(primary ? primary : "failed") + " (SQLSTATE " + state + ")";
  // serialization_failure and deadlock_detected: nothing of it stays, and another try may succeed.
  if (std::strcmp(state, "40001") == 0 || std::strcmp(state, "40P01") == 0) note_lost_race();
  return {kind_of(state), std::move(text)};
}

Status PostgresConnection::simple(const char* sql) {
  ResultHandle result(PQexec(connection_, sql));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return failure(result.get());
  return {};
}

void PostgresConnection::forget_statements() {
  statements_.clear();
  ResultHandle result(PQexec(connection_, "DEALLOCATE ALL"));  // a failure shows in the next PQprepare
}

Result<const PostgresConnection::Prepared*> PostgresConnection::prepare(const Statement& statement,
                                                                        const Parameters& parameters) {
  std::string key = parameters.signature + ":" + statement.sql;
  auto found = statements_.find(key);
  if (found == statements_.end()) {
    if (statements_.size() >= kPostgresStatementsMax) forget_statements();
    Prepared prepared{.name = "p" + std::to_string(next_name_++), .values = 0};
    ResultHandle made(PQprepare(connection_, prepared.name.c_str(), statement.sql, parameters.count(), parameters.types.data()));
    if (PQresultStatus(made.get()) != PGRES_COMMAND_OK) return failure(made.get());
    ResultHandle described(PQdescribePrepared(connection_, prepared.name.c_str()));
    if (PQresultStatus(described.get()) != PGRES_COMMAND_OK) return failure(described.get());
    prepared.values = static_cast<std::size_t>(PQnparams(described.get()));
    found = statements_.emplace(std::move(key), std::move(prepared)).first;
  }
  return &found->second;
}

namespace {

Result<SqlValue> value_of(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column)) return SqlValue(nullptr);
  std::string_view text(PQgetvalue(result, row, column), static_cast<std::size_t>(PQgetlength(result, row, column)));
  switch (Oid type = PQftype(result, column)) {
    case kInt8:
    case kInt4:
    case kInt2: {
      auto number = parse_int(text);
      if (!number) return std::move(number).error();
      return SqlValue(*number);
    }
    case kBool: return SqlValue(std::int64_t{text == "t"});  // a comparison as a column: 0 or 1, as SQLite has it
    case kText:
    case kVarchar:
    case kUnknown: return SqlValue(std::string(text));
    default:
      return corrupt("column " + quoted(PQfname(result, column)) + " has the type " + std::to_string(type) +
                     " where only whole numbers and texts are kept");
  }
}

Result<Rows> rows_of(const Statement& statement, PGresult* result) {
  std::vector<std::string> columns;
  for (int i = 0; i < PQnfields(result); ++i) columns.emplace_back(PQfname(result, i));
  Rows rows(statement.name, std::move(columns));
  if (static_cast<std::size_t>(PQntuples(result)) > kSqlRowsMax)
    return exhausted("more than " + std::to_string(kSqlRowsMax) + " rows; read it in pages");
  for (int row = 0; row < PQntuples(result); ++row)
    for (int column = 0; column < PQnfields(result); ++column) {
      auto value = value_of(result, row, column);
      if (!value) return std::move(value).error();
      rows.add_value(*std::move(value));
    }
  // "INSERT 0 3": PQcmdTuples also counts what SELECT read, which isn't a change.
  std::string_view tag = PQcmdStatus(result);
  if (!tag.starts_with("SELECT"))
    if (auto changed = parse_int(PQcmdTuples(result)); changed) rows.set_affected(*changed);
  return rows;
}

}  // namespace

Result<Rows> PostgresConnection::do_run(const Statement& statement, const std::vector<SqlValue>& values) {
  if (in_transaction() && lost()) return unavailable("the connection to " + description_ + " was lost within the transaction");
  if (auto ready = connected(); !ready) return std::move(ready).error();
  Parameters parameters(values);
  auto prepared = prepare(statement, parameters);
  if (!prepared) return std::move(prepared).error();
  if (values.size() != (*prepared)->values)
    return invalid_input(std::to_string(values.size()) + " values for " + std::to_string((*prepared)->values) + " parameters");
  ResultHandle result(PQexecPrepared(connection_, (*prepared)->name.c_str(), parameters.count(), parameters.pointers.data(),
                                     nullptr, nullptr, 0));
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK: return rows_of(statement, result.get());
    case PGRES_EMPTY_QUERY: return invalid_input("one statement should be here, got none");
    default: return failure(result.get());
  }
}

// In pipeline mode statements go out without waiting for the answers of those before. libpq reads while it writes when the
// socket is full, so neither side can wait for the other for ever. Source: PostgreSQL 15 manual, 34.5.
Status PostgresConnection::do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) {
  for (std::size_t from = 0; from < rows.size(); from += kPostgresPipelineMax) {
    std::size_t to = std::min(rows.size(), from + kPostgresPipelineMax);
    std::vector<std::unique_ptr<Parameters>> chunk;
    std::vector<std::string> names;  // by name: making room for one statement may move the others
    for (std::size_t i = from; i < to; ++i) {
      if (lost()) return unavailable("the connection to " + description_ + " was lost within the transaction");
      chunk.push_back(std::make_unique<Parameters>(rows[i]));
      auto prepared = prepare(statement, *chunk.back());
      if (!prepared) return std::move(prepared).error();
      if (rows[i].size() != (*prepared)->values)
        return invalid_input(std::to_string(rows[i].size()) + " values for " + std::to_string((*prepared)->values) +
                             " parameters");
      names.push_back((*prepared)->name);
    }
    if (!PQenterPipelineMode(connection_)) return failure(nullptr);
    bool sent = true;
    for (std::size_t i = 0; i < chunk.size() && sent; ++i)
      sent = PQsendQueryPrepared(connection_, names[i].c_str(), chunk[i]->count(), chunk[i]->pointers.data(), nullptr, nullptr,
                                 0) == 1;
    sent = sent && PQpipelineSync(connection_) == 1;
    std::optional<Error> error;
    if (!sent) error = failure(nullptr);
    // Each statement gives results up to a nullptr, and the end of the pipeline gives PGRES_PIPELINE_SYNC.
    for (bool synced = !sent; !synced;) {
      ResultHandle result(PQgetResult(connection_));
      if (!result) {
        if (!lost()) continue;
        if (!error) error = failure(nullptr);
        break;
      }
      ExecStatusType status = PQresultStatus(result.get());
      if (status == PGRES_PIPELINE_SYNC)
        synced = true;
      else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_ABORTED && !error)
        error = failure(result.get());
    }
    bool left = !lost() && PQexitPipelineMode(connection_) == 1;
    if (error) return *std::move(error);
    if (!left) return failure(nullptr);
  }
  return {};
}

// BEGIN changes nothing, so a connection that turns out to be lost is made again and asked once more.
Status PostgresConnection::do_begin(Access access) {
  const char* sql = access == Access::kWrite ? "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE"
                                             : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  if (auto ready = connected(); !ready) return ready;
  auto began = simple(sql);
  if (began || !lost()) return began;
  if (auto again = connect(); !again) return again;
  return simple(sql);
}

Status PostgresConnection::do_commit() {
  if (lost()) return unavailable("the connection to " + description_ + " was lost within the transaction; nothing of it stays");
  ResultHandle result(PQexec(connection_, "COMMIT"));
  if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) {
    // The server ends a transaction that had failed with "ROLLBACK" and calls that a success.
    if (std::strcmp(PQcmdStatus(result.get()), "COMMIT") == 0) return {};
    return conflict("the server rolled the transaction back");
  }
  Error error = failure(result.get());
  if (lost()) return std::move(error).during("it may have happened");
  return error;
}

Status PostgresConnection::do_rollback() {
  if (lost()) return {};  // the server rolled back when the connection went
  return simple("ROLLBACK");
}

}  // namespace prunella
