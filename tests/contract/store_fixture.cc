#include "store_fixture.h"

#include <unistd.h>

#include <cstdlib>

#include "adapters/sqlite/sqlite.h"

namespace prunella::contract {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "prunella-contract-XXXXXX").string();
  check(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

namespace {

class SqliteMemory : public StoreUnderTest {
 public:
  std::unique_ptr<SqlConnection> connect() override { return must(SqliteConnection::open(":memory:")); }
  bool keeps() const override { return false; }
};

class SqliteFile : public StoreUnderTest {
 public:
  std::unique_ptr<SqlConnection> connect() override { return must(SqliteConnection::open(folder_.path() / "prunella.db")); }
  bool keeps() const override { return true; }

 private:
  TemporaryFolder folder_;
};

}  // namespace

StoreKind sqlite_memory() {
  return {"SqliteMemory", [] { return std::make_unique<SqliteMemory>(); }, ""};
}
StoreKind sqlite_file() {
  return {"SqliteFile", [] { return std::make_unique<SqliteFile>(); }, ""};
}

}  // namespace prunella::contract
