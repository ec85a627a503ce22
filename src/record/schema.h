#pragma once

#include <span>
#include <string_view>

#include "base/digest.h"
#include "record/sql.h"

namespace prunella {

/// A step of the schema: once released it never changes, and what comes later is a new step.
struct Migration {
  std::int64_t version;  ///< 1, 2, 3, ... without gaps
  const char* name;
  std::span<const Statement> statements;

  /// SHA-256 over the texts of its statements, each ended by a NUL byte; kept in the database, so that an edited step is found.
  Digest digest() const;
};

/// All steps, oldest first. schema.cc says what each table and column is for.
std::span<const Migration> migrations();

/// Brings the database to the newest version, in one transaction: all of it or nothing. Does nothing when it's there already.
/// @error kConflict  the database is newer than this program: "schema version 9, this program knows 1 to 3".
/// @error kCorrupt   a step that was applied isn't the step that this program has.
Status migrate(SqlConnection& connection, Instant now);

/// The same over other steps, for tests of upgrades.
Status migrate(SqlConnection& connection, std::span<const Migration> steps, Instant now);

}  // namespace prunella
