#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "record/schema.h"
#include "record/sql.h"

namespace prunella::contract {

/// A folder of its own in the folder for temporary files, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What the suite needs of a kind of store beyond the port.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  /// A connection to one and the same empty database, each time it's called.
  virtual std::unique_ptr<SqlConnection> connect() = 0;
  /// Committed data outlives the connection.
  virtual bool keeps() const = 0;
};

/// A kind of store; `make` gives nullptr when its server isn't installed, and `missing` says so.
struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
  std::string missing;
};
StoreKind sqlite_memory();
StoreKind sqlite_file();
StoreKind postgres();
/// Of a PostgreSQL server that this program runs for itself, its own database "postgres"; "" when it isn't installed.
std::string postgres_conninfo();

inline Instant at_ms(std::int64_t ms) { return Instant(Duration(1'795'489'368'123 + ms)); }  // 2026-11-24T03:02:48.123Z and on

/// The value, or a failed test that quotes the error.
template <class T>
T must(Result<T> result) {
  if (!result) ADD_FAILURE() << to_text(result.error().kind()) << ": " << result.error().text();
  return *std::move(result);
}
inline void must(Status status) { ASSERT_TRUE(status) << to_text(status.error().kind()) << ": " << status.error().text(); }

}  // namespace prunella::contract
