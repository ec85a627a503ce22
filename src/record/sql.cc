#include "record/sql.h"

#include <algorithm>

#include "base/text.h"

namespace prunella {

std::string_view type_name(const SqlValue& value) {
  switch (value.index()) {
    case 0: return "NULL";
    case 1: return "a whole number";
    default: return "a text";
  }
}

Result<Row> Rows::one(std::string_view what) const {
  if (size() == 1) return Row(*this, 0);
  if (empty()) return not_found(std::string(what) + " does not exist");
  return corrupt(std::string(what) + " exists " + std::to_string(size()) + " times, once would be right (" + statement_ + ")");
}

const SqlValue* Row::find(std::string_view column) const {
  const auto& columns = rows_->columns_;
  auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) return nullptr;
  return &rows_->values_[index_ * columns.size() + static_cast<std::size_t>(found - columns.begin())];
}

const SqlValue* RowReader::value(std::string_view column) {
  const SqlValue* found = row_.find(column);
  if (!found) fail(column, "is not in the result");
  return found;
}

const std::int64_t* RowReader::integer(std::string_view column) {
  const SqlValue* found = value(column);
  if (!found) return nullptr;
  const auto* number = std::get_if<std::int64_t>(found);
  if (!number) fail(column, "holds " + std::string(type_name(*found)) + " where a whole number should be");
  return number;
}

const std::string* RowReader::text(std::string_view column) {
  const SqlValue* found = value(column);
  if (!found) return nullptr;
  const auto* text = std::get_if<std::string>(found);
  if (!text) fail(column, "holds " + std::string(type_name(*found)) + " where a text should be");
  return text;
}

void RowReader::fail(std::string_view column, std::string what) {
  if (error_) return;
  error_ = corrupt(std::string(row_.rows().statement()) + ": column " + quoted(column) + " " + std::move(what));
}

Status RowReader::finish() && {
  if (error_) return *std::move(error_);
  return {};
}

namespace {

// What one store takes and the other does not is refused for both: PostgreSQL's text holds no NUL byte and only valid UTF-8.
Status check_values(const std::vector<SqlValue>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto* text = std::get_if<std::string>(&values[i]);
    if (!text) continue;
    std::string parameter = "$" + std::to_string(i + 1);
    if (text->size() > kSqlTextBytesMax)
      return exhausted(parameter + " has " + bytes_text(text->size()) + ", the limit is " + bytes_text(kSqlTextBytesMax));
    if (text->find('\0') != std::string::npos) return invalid_input(parameter + " holds a NUL byte: " + quoted(*text));
    if (!is_valid_utf8(*text)) return invalid_input(parameter + " is no valid UTF-8: " + quoted(*text));
  }
  return {};
}

}  // namespace

Status SqlConnection::refuse_if_failed() const {
  if (state_ != State::kFailed) return {};
  return first_error_->during("the transaction failed before and can only be rolled back");
}

Result<Rows> SqlConnection::run(const Statement& statement, std::vector<SqlValue> values) {
  if (auto alive = refuse_if_failed(); !alive) return std::move(alive).error().during(statement.name);
  if (state_ == State::kIdle) lost_race_ = false;
  auto rows = [&]() -> Result<Rows> {
    if (auto fit = check_values(values); !fit) return std::move(fit).error();
    return do_run(statement, values);
  }();
  if (rows) return rows;
  Error error = std::move(rows).error().during(statement.name);
  if (state_ == State::kOpen) {
    state_ = State::kFailed;
    first_error_ = error;
  }
  return error;
}

Status SqlConnection::run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) {
  check(state_ != State::kIdle, "run_each outside a transaction");
  if (auto alive = refuse_if_failed(); !alive) return std::move(alive).error().during(statement.name);
  Status ran = [&]() -> Status {
    for (const auto& values : rows)
      if (auto fit = check_values(values); !fit) return fit;
    return do_run_each(statement, rows);
  }();
  if (ran) return {};
  first_error_ = std::move(ran).error().during(statement.name);
  state_ = State::kFailed;
  return *first_error_;
}

Status SqlConnection::begin(Access access) {
  check(state_ == State::kIdle, "begin within a transaction");
  lost_race_ = false;
  if (auto began = do_begin(access); !began) return std::move(began).error().during("beginning a transaction");
  state_ = State::kOpen;
  return {};
}

Status SqlConnection::commit() {
  check(state_ != State::kIdle, "commit without begin");
  if (auto alive = refuse_if_failed(); !alive) {
    (void)rollback();  // the first error counts
    return std::move(alive).error().during("committing");
  }
  Status committed = do_commit();
  if (committed) {
    state_ = State::kIdle;
    return {};
  }
  (void)rollback();
  return std::move(committed).error().during("committing");
}

Status SqlConnection::rollback() {
  if (state_ == State::kIdle) return {};
  state_ = State::kIdle;
  first_error_.reset();
  if (auto ended = do_rollback(); !ended) return std::move(ended).error().during("rolling back");
  return {};
}

Result<SqlTransaction> SqlTransaction::begin(SqlConnection& connection, Access access) {
  if (auto began = connection.begin(access); !began) return std::move(began).error();
  return SqlTransaction(connection);
}

SqlTransaction::~SqlTransaction() {
  // Nobody can be told here, and a store that can't roll back drops the transaction with the connection.
  if (connection_) (void)connection_->rollback();
}

Status SqlTransaction::commit() {
  check(connection_ != nullptr, "commit of a transaction that has ended");
  return std::exchange(connection_, nullptr)->commit();
}

}  // namespace prunella
