// What only one kind of store has: files that are damaged, servers that go away.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "adapters/sqlite/sqlite.h"
#include "record/audit.h"
#include "store_fixture.h"
#include "../support/counting_random.h"

#ifdef PRUNELLA_POSTGRES
#include "adapters/postgres/postgres.h"
#endif

namespace prunella::contract {
namespace {

using ::testing::HasSubstr;

const Statement kCreate{"test.create", "CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY, word TEXT)"};
const Statement kInsert{"test.insert", "INSERT INTO things (id, word) VALUES ($1, $2)"};
const Statement kIds{"test.ids", "SELECT id FROM things ORDER BY id"};

// --- SQLite -------------------------------------------------------------------------------------------------------------------

class SqliteStore : public ::testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "prunella.db"; }
  TemporaryFolder folder_;
};

// The child commits rows and says each number only after commit() returned. It's killed in the middle of that.
TEST_F(SqliteStore, HasEveryAcknowledgedRowAfterKillNine) {
  constexpr std::int64_t kAcknowledged = 200;
  must(must(SqliteConnection::open(file()))->run(kCreate));
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  pid_t child = ::fork();
  if (child == 0) {
    auto db = SqliteConnection::open(file());
    if (!db) ::_exit(1);
    for (std::int64_t i = 1; i < 1'000'000; ++i) {
      auto done = with_transaction(**db, [&]() -> Status {
        for (std::int64_t part : {0, 1})
          if (auto ran = (*db)->run(kInsert, sql_values(2 * i + part, "w")); !ran) return std::move(ran).error();
        return {};
      });
      if (!done || ::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(2);
    }
    ::_exit(3);
  }
  ::close(ends[1]);
  std::int64_t last = 0;
  while (last < kAcknowledged) ASSERT_EQ(::read(ends[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
  ::kill(child, SIGKILL);
  for (std::int64_t more = 0; ::read(ends[0], &more, sizeof more) == sizeof more;) last = more;  // acknowledged before it died
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ends[0]);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it was killed, and didn't end by itself: " << status;

  auto db = must(SqliteConnection::open(file()));

  must(db->check_integrity());
  std::set<std::int64_t> ids;
  Rows rows = must(db->run(kIds));
  for (Row each : rows) {
    RowReader row(each);
    ids.insert(row.get<std::int64_t>("id"));
  }
  for (std::int64_t i = 1; i <= last; ++i) {
    EXPECT_TRUE(ids.contains(2 * i)) << i;
    EXPECT_TRUE(ids.contains(2 * i + 1)) << i;
  }
  EXPECT_EQ(ids.size() % 2, 0u) << "no half of a transaction";
  EXPECT_LE(ids.size(), 2u * static_cast<std::size_t>(last) + 2) << "at most the one that was committed but not yet said";
}

TEST_F(SqliteStore, IsReadableByItsOwnerOnly) {
  auto db = must(SqliteConnection::open(file()));
  must(db->run(kCreate));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat status {};
    ASSERT_EQ(::stat((file().string() + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(SqliteStore, NamesTheFileThatItCannotOpen) {
  auto missing = SqliteConnection::open(folder_.path() / "nowhere" / "prunella.db");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(missing.error().text(), HasSubstr("nowhere/prunella.db"));
}

TEST_F(SqliteStore, RefusesWhatIsNoDatabaseAndLeavesItAlone) {
  std::ofstream(file()) << std::string(5000, 'x');
  auto opened = SqliteConnection::open(file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kCorrupt) << opened.error().text();
  EXPECT_THAT(opened.error().text(), HasSubstr(file().string()));
  EXPECT_EQ(std::filesystem::file_size(file()), 5000u);
}

TEST_F(SqliteStore, RefusesTheDatabaseOfAnotherProgram) {
  {
    auto db = must(SqliteConnection::open(file()));
    must(db->run({"test.other", "PRAGMA application_id=252006674"}));
  }
  auto opened = SqliteConnection::open(file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(opened.error().text(), HasSubstr("another program (application id 252006674"));
}

TEST_F(SqliteStore, CallsADamagedPageCorrupt) {
  {
    auto db = must(SqliteConnection::open(file()));
    must(db->run(kCreate));
    std::vector<std::vector<SqlValue>> rows;
    for (std::int64_t i = 0; i < 2000; ++i) rows.push_back(sql_values(i, std::string(100, 'x')));
    must(with_transaction(*db, [&] { return db->run_each(kInsert, rows); }));
    must(db->check_integrity());
  }
  {
    std::fstream stream(file(), std::ios::in | std::ios::out | std::ios::binary);
    for (std::streamoff page = 8; page < 40; ++page) {
      stream.seekp(page * 4096);
      stream << std::string(64, '\xee');
    }
  }
  auto db = must(SqliteConnection::open(file()));

  auto read = db->run({"test.read", "SELECT count(word) AS n FROM things"});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt) << read.error().text();
  auto checked = db->check_integrity();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::kCorrupt) << checked.error().text();
}

TEST_F(SqliteStore, CallsAFullDiskExhaustedAndGoesOnWhenThereIsSpace) {
  auto db = must(SqliteConnection::open(file()));
  must(db->run(kCreate));
  must(db->run({"test.limit", "PRAGMA max_page_count=20"}));  // SQLite reports this limit as it reports ENOSPC
  std::vector<std::vector<SqlValue>> rows;
  for (std::int64_t i = 0; i < 100; ++i) rows.push_back(sql_values(i, std::string(4000, 'x')));

  auto full = with_transaction(*db, [&] { return db->run_each(kInsert, rows); });

  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::kExhausted) << full.error().text();
  EXPECT_FALSE(db->in_transaction());
  EXPECT_EQ(must(db->run(kIds)).size(), 0u);
  must(db->run({"test.limit", "PRAGMA max_page_count=1000"}));
  must(with_transaction(*db, [&] { return db->run_each(kInsert, rows); }));
  EXPECT_EQ(must(db->run(kIds)).size(), 100u);
}

TEST_F(SqliteStore, GivesUpOnABusyFileAfterItsTimeout) {
  auto writer = must(SqliteConnection::open(file()));
  must(writer->run(kCreate));
  auto other = must(SqliteConnection::open(file(), {.busy_timeout = Duration(1)}));
  must(writer->begin());

  auto busy = other->begin();

  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().kind(), ErrorKind::kUnavailable) << busy.error().text();
  EXPECT_FALSE(other->in_transaction());
  must(writer->commit());
  must(other->begin());
  must(other->commit());
}

TEST_F(SqliteStore, EmptiesItsCacheWhenItIsFloodedWithStatements) {
  auto db = must(SqliteConnection::open(file()));
  for (std::size_t i = 0; i < 2 * kSqliteStatementsMax + 5; ++i) {
    std::string sql = "SELECT " + std::to_string(i) + " AS n";
    Rows rows = must(db->run({"test.many", sql.c_str()}));
    EXPECT_EQ(*rows[0].find("n"), SqlValue(static_cast<std::int64_t>(i)));
  }
}

TEST_F(SqliteStore, RefusesFractionsAndBlobs) {
  auto db = must(SqliteConnection::open(file()));
  for (const char* sql : {"SELECT 1.5 AS n", "SELECT x'00' AS n"}) {
    auto rows = db->run({"test.type", sql});
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(rows.error().text(), HasSubstr("column 'n'"));
  }
}

// --- the second verifier ------------------------------------------------------------------------------------------------------

struct Said {
  int code;
  std::string text;
};
Said run_python(const std::string& arguments) {
  std::string command = "PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  check(pipe != nullptr, "popen");
  std::string text;
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}
const std::string kTools = std::string(PRUNELLA_SOURCE_DIR) + "/tools/verify/";

/// A log of some 64 KB with a checkpoint inside and a copy of it outside, in a database and exported.
class SecondVerifier : public SqliteStore {
 protected:
  void SetUp() override {
    if (::access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "Python 3 is not installed";
    db_ = must(SqliteConnection::open(file()));
    must(migrate(*db_, at_ms(0)));
    append(150);
    auto checkpoint = must(with_transaction(*db_, [&] { return append_audit_checkpoint(*db_, key_, at_ms(999)); }));
    append(20);
    export_ = (folder_.path() / "audit.ndjson").string();
    std::ofstream out(export_, std::ios::binary);
    must(export_audit(*db_, 0, [&](std::string_view line) -> Status {
      out << line << '\n';
      return {};
    }));
    checkpoints_ = (folder_.path() / "checkpoints").string();
    std::ofstream(checkpoints_) << to_canonical_text(checkpoint) << '\n';
    trust_ = " --key " + key_.public_key().hex() + " --checkpoint " + checkpoints_ + " ";
  }
  void append(int count) {
    must(with_transaction(*db_, [&]() -> Status {
      for (int i = 0; i < count; ++i) {
        AuditRecord record{
            .actor = "policy:web-tier",
            .kind = "finding.opened",
            .subject = {.host = HostId("web-" + std::to_string(i)), .finding = FindingId("FND-0123456789")},
            .why = "openssl 3.0.14-1 is older than 3.0.15-1 \xe2\x80\x93 \"fixed\"\t\x7f",
            .details = Json(Json::Object{{"cves", Json(Json::Array{Json("CVE-2026-0001"), Json(i), Json(nullptr)})}})};
        if (auto added = append_audit(*db_, record, at_ms(i)); !added) return std::move(added).error();
      }
      return {};
    }));
  }
  Said verify(const std::string& arguments) { return run_python(kTools + "prunella_verify.py" + arguments); }
  void tamper(const char* sql) { ASSERT_GT(must(db_->run({"test.tamper", sql})).affected(), 0); }

  testing::CountingRandom random_;
  PrivateKey key_ = PrivateKey::generate(random_);
  std::unique_ptr<SqliteConnection> db_;
  std::string export_, checkpoints_, trust_;
};

TEST_F(SecondVerifier, AgreesThatASoundLogIsSound) {
  Said of_export = verify(trust_ + export_), of_database = verify(trust_ + file().string());
  EXPECT_EQ(of_export.code, 0) << of_export.text;
  EXPECT_THAT(of_export.text, HasSubstr("sound: 171 entries"));
  EXPECT_THAT(of_export.text, HasSubstr("2 checkpoints checked"));
  EXPECT_EQ(of_database.code, 0) << of_database.text;
  EXPECT_EQ(of_database.text, of_export.text);
  EXPECT_THAT(verify(" " + export_).text, HasSubstr("1 not checked for want of a --key"));
}

TEST_F(SecondVerifier, FindsEveryFlippedByteAndEveryMovedLine) {
  Said said = run_python(kTools + "prunella_verify_test.py " + export_ + " " + key_.public_key().hex() + " " + checkpoints_);
  EXPECT_EQ(said.code, 0) << said.text;
  EXPECT_THAT(said.text, HasSubstr("0 missed"));
  EXPECT_GE(std::filesystem::file_size(export_), 64u << 10);
}

TEST_F(SecondVerifier, FindsWhatWasChangedInTheDatabase) {
  tamper("UPDATE audit SET host = 'web-99' WHERE sequence = 7");
  tamper("UPDATE audit SET at = at + 1 WHERE sequence = 9");
  tamper("UPDATE audit SET document = replace(document, 'older', 'newer') WHERE sequence = 11");
  tamper("DELETE FROM audit WHERE sequence = 13");

  Said said = verify(trust_ + file().string());

  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.text, HasSubstr("line 7: changed: a column says something else"));
  EXPECT_THAT(said.text, HasSubstr("line 9: changed: a column says something else"));
  EXPECT_THAT(said.text, HasSubstr("line 11 (entry 11 should be here): changed: its hash says"));
  EXPECT_THAT(said.text, HasSubstr("line 13 (entry 13 should be here): removed or reordered: here stands entry 14"));
}

TEST_F(SecondVerifier, SaysWhenItCannotJudge) {
  EXPECT_EQ(verify(" " + (folder_.path() / "nowhere").string()).code, 2);
  EXPECT_EQ(verify(" --key zz " + export_).code, 2);
  EXPECT_EQ(verify("").code, 2);
  EXPECT_EQ(verify(" --key " + std::string(64, '0') + " --checkpoint " + checkpoints_ + " " + export_).code, 1)
      << "a checkpoint of a key that isn't trusted";
}

// --- PostgreSQL ---------------------------------------------------------------------------------------------------------------

#ifdef PRUNELLA_POSTGRES

class PostgresStore : public ::testing::Test {
 protected:
  void SetUp() override {
    auto kind = postgres();
    store_ = kind.make();
    if (!store_) GTEST_SKIP() << kind.missing;
    db_ = store_->connect();
    other_ = store_->connect();
    must(db_->run(kCreate));
  }
  // What a restart of the server does to a connection, done to one.
  void cut() {
    Rows rows = must(db_->run({"test.pid", "SELECT CAST(pg_backend_pid() AS BIGINT) AS pid"}));
    RowReader row(rows[0]);
    auto pid = row.get<std::int64_t>("pid");
    // Waits until it's really gone.
    must(other_->run({"test.cut", "SELECT pg_terminate_backend(CAST($1 AS INTEGER), 10000)"}, sql_values(pid)));
  }
  std::unique_ptr<StoreUnderTest> store_;
  std::unique_ptr<SqlConnection> db_, other_;
};

TEST_F(PostgresStore, FailsTheTransactionWhoseConnectionIsLostAndGoesOnWithTheNext) {
  must(db_->begin());
  must(db_->run(kInsert, sql_values(1, "w")));
  cut();

  auto lost = db_->run(kInsert, sql_values(2, "w"));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), ErrorKind::kUnavailable) << lost.error().text();
  auto still = db_->run(kInsert, sql_values(3, "w"));
  ASSERT_FALSE(still) << "not on a new connection, where the transaction would have a hole";
  must(db_->rollback());

  must(with_transaction(*db_, [&]() -> Status {
    must(db_->run(kInsert, sql_values(4, "w")));
    return {};
  }));
  EXPECT_EQ(must(db_->run(kIds)).size(), 1u);
}

TEST_F(PostgresStore, SaysThatALostCommitMayHaveHappened) {
  must(db_->begin());
  must(db_->run(kInsert, sql_values(1, "w")));
  cut();

  auto committed = db_->commit();

  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(committed.error().text(), HasSubstr("it may have happened"));
  EXPECT_FALSE(db_->in_transaction());
}

TEST_F(PostgresStore, MakesALostConnectionAgainForBeginAndForTheRunAfterTheFailedOne) {
  cut();
  must(db_->begin());
  must(db_->commit());
  cut();
  EXPECT_EQ(db_->run(kIds).error().kind(), ErrorKind::kUnavailable) << "it may have been a write: not repeated by itself";
  EXPECT_EQ(must(db_->run(kIds)).size(), 0u);
}

TEST_F(PostgresStore, LosesABatchWholeWhenTheConnectionGoes) {
  std::vector<std::vector<SqlValue>> rows;
  for (std::int64_t i = 0; i < 100; ++i) rows.push_back(sql_values(i, "w"));
  must(db_->begin());
  must(db_->run_each(kInsert, rows));
  cut();
  for (auto& row : rows) std::get<std::int64_t>(row[0]) += 1000;
  auto lost = db_->run_each(kInsert, rows);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), ErrorKind::kUnavailable) << lost.error().text();
  must(db_->rollback());
  EXPECT_EQ(must(db_->run(kIds)).size(), 0u);
}

TEST_F(PostgresStore, AcknowledgesOnlyWhatIsOnDisk) {
  for (auto [setting, value] :
       {std::pair{"synchronous_commit", "on"}, std::pair{"idle_in_transaction_session_timeout", "1min"}}) {
    Rows rows = must(db_->run({"test.setting", "SELECT current_setting($1) AS value"}, {setting}));
    EXPECT_EQ(*rows[0].find("value"), SqlValue(value));
  }
}

TEST_F(PostgresStore, RefusesADatabaseThatSortsTextsOtherwise) {
  must(other_->run({"test.utf8", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"}));
  std::string conninfo = postgres_conninfo();
  conninfo.replace(conninfo.find("dbname="), std::string::npos, "dbname=latin");
  auto refused = PostgresConnection::open(conninfo);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(refused.error().text(), HasSubstr("createdb --template=template0 --encoding=UTF8 --locale=C"));
}

TEST_F(PostgresStore, NamesWhatIsMissing) {
  std::string conninfo = postgres_conninfo();
  conninfo.replace(conninfo.find("dbname="), std::string::npos, "dbname=nothing");
  auto missing = PostgresConnection::open(conninfo);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound) << missing.error().text();
}

TEST(PostgresOpen, NeverShowsThePassword) {
  for (const char* conninfo :
       {"postgresql://u:hunter2@[::1/x", "host=/nowhere password=hunter2", "host=/nowhere password='hunter2"}) {
    auto failed = PostgresConnection::open(conninfo);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().text(), ::testing::Not(HasSubstr("hunter2")));
  }
}

#endif

}  // namespace
}  // namespace prunella::contract
