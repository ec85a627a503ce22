#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/text.h"
#include "record/audit.h"
#include "store_fixture.h"
#include "../support/counting_random.h"

namespace prunella::contract {
namespace {

const Statement kCreate{"test.create", R"(
CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, number BIGINT, word TEXT, truth BIGINT NOT NULL CHECK (truth IN (0, 1))))"};
const Statement kCreateParts{"test.create_parts",
                             "CREATE TABLE parts (thing TEXT NOT NULL REFERENCES things (id), part TEXT NOT NULL)"};
const Statement kInsert{"test.insert", "INSERT INTO things (id, number, word, truth) VALUES ($1, $2, $3, $4)"};
const Statement kUpsert{"test.upsert", R"(
INSERT INTO things (id, number, word, truth) VALUES ($1, $2, $3, 0)
ON CONFLICT (id) DO UPDATE SET number = things.number + excluded.number RETURNING id, number)"};
const Statement kSelect{"test.select", "SELECT id, number, word, truth FROM things WHERE id = $1"};
const Statement kIds{"test.ids", "SELECT id FROM things ORDER BY id"};
const Statement kCount{"test.count", "SELECT count(*) AS n FROM things"};

class Store : public ::testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    store_ = GetParam().make();
    if (!store_) GTEST_SKIP() << GetParam().missing;
    connection_ = store_->connect();
    must(connection_->run(kCreate));
  }
  SqlConnection& db() { return *connection_; }
  std::int64_t count(SqlConnection& connection) {
    Rows rows = must(connection.run(kCount));
    RowReader row(rows[0]);
    return row.get<std::int64_t>("n");
  }
  std::int64_t count() { return count(db()); }
  Status insert(const std::string& id, SqlValue number = nullptr, SqlValue word = nullptr, SqlValue truth = std::int64_t{0}) {
    auto ran = db().run(kInsert, {id, std::move(number), std::move(word), std::move(truth)});
    if (!ran) return std::move(ran).error();
    return {};
  }

  std::unique_ptr<StoreUnderTest> store_;
  std::unique_ptr<SqlConnection> connection_;
};

std::string store_name(const ::testing::TestParamInfo<StoreKind>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(All, Store, ::testing::Values(sqlite_memory(), sqlite_file(), postgres()), store_name);

// --- values -------------------------------------------------------------------------------------------------------------------

TEST_P(Store, GivesBackWhatWasWritten) {
  const std::string odd = "a'b\"c\\d\n\t\x7f \xc3\xa9 \xf0\x9f\x8c\xbf ; DROP TABLE things; -- $1 ?";
  const std::vector<std::vector<SqlValue>> all = {{"a", std::int64_t{0}, "", std::int64_t{1}},
                                                  {"b", std::numeric_limits<std::int64_t>::max(), odd, std::int64_t{0}},
                                                  {"c", std::numeric_limits<std::int64_t>::min(), nullptr, std::int64_t{0}},
                                                  {"d", nullptr, std::string(100'000, 'x'), std::int64_t{0}},
                                                  {"", std::int64_t{-1}, "12", std::int64_t{0}}};

  for (const auto& values : all) EXPECT_EQ(must(db().run(kInsert, values)).affected(), 1);

  for (const auto& values : all) {
    Rows rows = must(db().run(kSelect, {values[0]}));
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_THAT(rows.columns(), ::testing::ElementsAre("id", "number", "word", "truth"));
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(*rows[0].find(rows.columns()[i]), values[i]);
  }
}

enum class Colour { kRed, kGreen };
constexpr auto enum_words(Colour) { return std::to_array<EnumWord<Colour>>({{Colour::kRed, "red"}, {Colour::kGreen, "green"}}); }

TEST_P(Store, ReadsColumnsAsTypedValues) {
  Digest digest = sha256("x");
  must(db().run(kInsert, sql_values(HostId("web-1"), at_ms(0), Colour::kGreen, true)));
  must(db().run(kInsert, sql_values("digest", std::optional<std::int64_t>(), digest, false)));
  must(db().run(kInsert, sql_values("json", Duration(90), Json(Json::Object{{"a", Json(1)}}), false)));

  Rows first = must(db().run(kSelect, {"web-1"}));
  RowReader a(first[0]);
  EXPECT_EQ(a.get<HostId>("id"), HostId("web-1"));
  EXPECT_EQ(a.get<Instant>("number"), at_ms(0));
  EXPECT_EQ(a.get<Colour>("word"), Colour::kGreen);
  EXPECT_EQ(a.get<bool>("truth"), true);
  must(a.finish());
  Rows second = must(db().run(kSelect, {"digest"}));
  RowReader b(second[0]);
  EXPECT_EQ(b.get<std::optional<std::int64_t>>("number"), std::nullopt);
  EXPECT_EQ(b.get<std::optional<Digest>>("word"), digest);
  must(b.finish());
  Rows third = must(db().run(kSelect, {"json"}));
  RowReader c(third[0]);
  EXPECT_EQ(c.get<Duration>("number"), Duration(90));
  EXPECT_EQ(to_canonical(c.get<Json>("word")), R"({"a":1})");
  must(c.finish());
}

TEST_P(Store, SaysWhichColumnHoldsSomethingElse) {
  must(insert("a", std::int64_t{7}, "seven"));
  Rows rows = must(db().run(kSelect, {"a"}));
  auto error = [&](auto read) {
    RowReader row(rows[0]);
    read(row);
    auto status = row.finish();
    EXPECT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kCorrupt);
    return status.error().text();
  };

  EXPECT_EQ(error([](RowReader& r) { r.get<std::string>("number"); }),
            "test.select: column 'number' holds a whole number where a text should be");
  EXPECT_EQ(error([](RowReader& r) { r.get<Instant>("word"); }),
            "test.select: column 'word' holds a text where a whole number should be");
  EXPECT_EQ(error([](RowReader& r) { r.get<bool>("number"); }), "test.select: column 'number' holds 7 where 0 or 1 should be");
  EXPECT_EQ(error([](RowReader& r) { r.get<std::string>("wrod"); }), "test.select: column 'wrod' is not in the result");
  EXPECT_EQ(error([](RowReader& r) { r.get<Colour>("word"); }), "test.select: column 'word' 'seven' is none of: red, green");
  EXPECT_THAT(error([](RowReader& r) { r.get<Digest>("word"); }), ::testing::HasSubstr("column 'word'"));
}

TEST_P(Store, RefusesValuesThatAStoreCannotKeep) {
  for (const std::string& text : {std::string("a\0b", 3), std::string("\xff"), std::string("\xed\xa0\x80")}) {
    auto status = insert("x", nullptr, text);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kInvalidInput);
    EXPECT_THAT(status.error().text(), ::testing::StartsWith("test.insert: $3"));
  }
  auto status = insert("x", nullptr, std::string(kSqlTextBytesMax + 1, 'x'));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(count(), 0);
}

TEST_P(Store, RefusesAnotherNumberOfValues) {
  for (std::size_t n : {0, 3, 5}) {
    auto ran = db().run(kInsert, std::vector<SqlValue>(n, "x"));
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error().kind(), ErrorKind::kInvalidInput) << ran.error().text();
  }
}

TEST_P(Store, TakesParametersInAnyOrderAndTwice) {
  const Statement statement{"test.order",
                            "SELECT id FROM things WHERE word = $2 AND (number = $1 OR number = $1 + 1) AND word = $2"};
  must(insert("a", std::int64_t{5}, "w"));

  EXPECT_EQ(must(db().run(statement, {std::int64_t{4}, "w"})).size(), 1u);
  EXPECT_EQ(must(db().run(statement, {std::int64_t{6}, "w"})).size(), 0u);
}

TEST_P(Store, RefusesAStatementThatTheSchemaDoesNotKnow) {
  for (const char* sql : {"SELECT nothing FROM things", "SELECT 1 FROM nowhere", "SELEC 1", "SELECT \"word\" FROM nowhere", ""}) {
    auto ran = db().run({"test.wrong", sql});
    ASSERT_FALSE(ran) << sql;
    EXPECT_EQ(ran.error().kind(), ErrorKind::kInvalidInput) << ran.error().text();
    EXPECT_THAT(ran.error().text(), ::testing::StartsWith("test.wrong: "));
  }
  EXPECT_FALSE(db().run({"test.two", "DELETE FROM things; DELETE FROM things"}));
}

TEST_P(Store, SortsTextsByTheirBytes) {
  const std::vector<std::string> sorted = {"", "-", "A", "Z", "_", "a", "a-b", "aB", "ab", "b", "\xc3\xa9", "\xf0\x9f\x8c\xbf"};
  for (auto id = sorted.rbegin(); id != sorted.rend(); ++id) must(insert(*id));

  std::vector<std::string> got;
  Rows rows = must(db().run(kIds));
  for (Row each : rows) {
    RowReader row(each);
    got.push_back(row.get<std::string>("id"));
  }
  EXPECT_EQ(got, sorted);
}

TEST_P(Store, NamesTheRowThatDoesNotExist) {
  Rows none = must(db().run(kSelect, {"x"}));
  auto row = none.one("thing 'x'");
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(row.error().text(), "thing 'x' does not exist");
}

TEST_P(Store, LimitsTheRowsOfAResult) {
  const Statement numbers{"test.numbers", R"(
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n)"};
  EXPECT_EQ(must(db().run(numbers, sql_values(kSqlRowsMax))).size(), kSqlRowsMax);
  auto more = db().run(numbers, sql_values(kSqlRowsMax + 1));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(count(), 0) << "the connection goes on";
}

// --- constraints --------------------------------------------------------------------------------------------------------------

TEST_P(Store, CallsABrokenConstraintAConflict) {
  must(db().run(kCreateParts));
  must(insert("a"));
  auto kind = [](auto result) {
    EXPECT_FALSE(result);
    return result.error().kind();
  };

  EXPECT_EQ(kind(insert("a")), ErrorKind::kConflict) << "unique";
  EXPECT_EQ(kind(insert("b", nullptr, nullptr, nullptr)), ErrorKind::kConflict) << "not null";
  EXPECT_EQ(kind(insert("b", nullptr, nullptr, std::int64_t{2})), ErrorKind::kConflict) << "check";
  EXPECT_EQ(kind(db().run({"test.part", "INSERT INTO parts (thing, part) VALUES ($1, $2)"}, {"nobody", "p"})),
            ErrorKind::kConflict)
      << "foreign key";
  EXPECT_EQ(count(), 1);
  EXPECT_FALSE(db().lost_race()) << "running it again would not help";
}

TEST_P(Store, InsertsOrUpdatesAndReturns) {
  EXPECT_EQ(*must(db().run(kUpsert, {"a", std::int64_t{2}, "w"}))[0].find("number"), SqlValue(std::int64_t{2}));
  Rows rows = must(db().run(kUpsert, {"a", std::int64_t{3}, "w"}));
  EXPECT_EQ(*rows[0].find("number"), SqlValue(std::int64_t{5}));
  EXPECT_EQ(rows.affected(), 1);
}

TEST_P(Store, CountsTheRowsItChanged) {
  for (const char* id : {"a", "b", "c"}) must(insert(id, std::int64_t{1}));
  EXPECT_EQ(must(db().run({"test.update", "UPDATE things SET number = $1 WHERE id <> $2"}, {std::int64_t{9}, "a"})).affected(),
            2);
  EXPECT_EQ(must(db().run(kIds)).affected(), 0);
  EXPECT_EQ(must(db().run({"test.delete", "DELETE FROM things WHERE number = $1"}, {std::int64_t{8}})).affected(), 0);
}

// --- transactions -------------------------------------------------------------------------------------------------------------

TEST_P(Store, KeepsACommittedTransactionAndNothingOfAnother) {
  {
    auto transaction = must(SqlTransaction::begin(db()));
    must(insert("kept"));
    must(transaction.commit());
  }
  {
    auto transaction = must(SqlTransaction::begin(db()));
    must(insert("dropped"));
    EXPECT_TRUE(db().in_transaction());
  }
  EXPECT_FALSE(db().in_transaction());
  EXPECT_EQ(count(), 1);
}

TEST_P(Store, RollsBackWhatTheFunctionOfATransactionRefuses) {
  auto result = with_transaction(db(), [&]() -> Result<int> {
    must(insert("a"));
    return denied("changed my mind");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text(), "changed my mind");
  EXPECT_EQ(count(), 0);

  EXPECT_EQ(must(with_transaction(db(),
                                  [&]() -> Result<int> {
                                    must(insert("a"));
                                    return 7;
                                  })),
            7);
  EXPECT_EQ(count(), 1);
}

TEST_P(Store, HasNothingLeftButRollbackAfterAStatementFailed) {
  must(insert("a"));
  must(db().begin());
  must(insert("b"));
  ASSERT_FALSE(insert("a"));

  auto after = insert("c");
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(after.error().text(), ::testing::HasSubstr("the transaction failed before"));
  auto committed = db().commit();
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().kind(), ErrorKind::kConflict);
  EXPECT_FALSE(db().in_transaction());
  EXPECT_EQ(count(), 1);
}

TEST_P(Store, DoesAllOfABatchOrNothing) {
  std::vector<std::vector<SqlValue>> rows;
  for (int i = 0; i < 1234; ++i)
    rows.push_back({"t" + std::to_string(i), i % 3 ? SqlValue(std::int64_t{i}) : SqlValue(nullptr), "w", std::int64_t{0}});
  must(with_transaction(db(), [&] { return db().run_each(kInsert, rows); }));
  EXPECT_EQ(count(), 1234);

  for (auto& row : rows) std::get<std::string>(row[0]).insert(0, "u");
  rows[900][0] = "t1";
  auto failed = with_transaction(db(), [&] { return db().run_each(kInsert, rows); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::kConflict) << failed.error().text();
  EXPECT_EQ(count(), 1234);
  must(insert("goes on"));
}

TEST_P(Store, RefusesToWriteInAReadingTransaction) {
  must(insert("a"));
  must(db().begin(Access::kRead));
  EXPECT_EQ(count(), 1);
  auto refused = insert("b");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied) << refused.error().text();
  must(db().rollback());
  must(insert("b"));
}

TEST_P(Store, ShowsAReaderOneUnchangingView) {
  if (!store_->keeps()) GTEST_SKIP() << "a store in memory has one connection";
  auto other = store_->connect();
  must(insert("a"));
  must(other->begin(Access::kRead));
  EXPECT_EQ(count(*other), 1);

  must(insert("b"));
  EXPECT_EQ(count(*other), 1);
  must(other->commit());
  EXPECT_EQ(count(*other), 2);
}

TEST_P(Store, ShowsNothingUncommittedToOthers) {
  if (!store_->keeps()) GTEST_SKIP() << "a store in memory has one connection";
  auto other = store_->connect();
  must(db().begin());
  must(insert("a"));
  EXPECT_EQ(count(*other), 0);
  must(db().commit());
  EXPECT_EQ(count(*other), 1);
}

TEST_P(Store, KeepsCommittedDataAcrossConnectionsAndDropsTheRest) {
  if (!store_->keeps()) GTEST_SKIP() << "a store in memory ends with its connection";
  must(insert("kept"));
  must(db().begin());
  must(insert("dropped"));
  connection_.reset();

  connection_ = store_->connect();
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(must(db().run(kSelect, {"kept"})).size(), 1u);
}

// Each adds one to what it read: an update is lost unless writers run as if one after the other.
TEST_P(Store, LosesNoUpdateOfTwoWriters) {
  if (!store_->keeps()) GTEST_SKIP() << "a store in memory has one connection";
  constexpr int kEach = 40;
  must(insert("counter", std::int64_t{0}));
  auto add = [&](SqlConnection& connection) -> Status {
    return with_transaction(connection, [&]() -> Status {
      auto rows = connection.run(kSelect, {"counter"});
      if (!rows) return std::move(rows).error();
      RowReader row((*rows)[0]);
      auto next = row.get<std::int64_t>("number") + 1;
      auto ran = connection.run({"test.set", "UPDATE things SET number = $1 WHERE id = $2"}, {next, "counter"});
      if (!ran) return std::move(ran).error();
      return {};
    });
  };
  std::atomic<int> done = 0;
  auto work = [&] {
    auto connection = store_->connect();
    for (int i = 0; i < kEach; ++i)
      if (add(*connection)) ++done;  // a race that is lost ten times in a row may be reported, never lost silently
  };

  std::thread a(work), b(work);
  a.join();
  b.join();

  EXPECT_EQ(*must(db().run(kSelect, {"counter"}))[0].find("number"), SqlValue(std::int64_t{done.load()}));
  EXPECT_GE(done.load(), kEach) << "at least one of the two always makes progress";
}

// --- migrations ---------------------------------------------------------------------------------------------------------------

TEST_P(Store, MigratesAnEmptyDatabaseAndThenDoesNothing) {
  must(migrate(db(), at_ms(0)));
  must(migrate(db(), at_ms(1)));

  Rows rows = must(db().run({"test.versions", "SELECT version, applied_at FROM schema_version ORDER BY version"}));
  ASSERT_EQ(rows.size(), migrations().size());
  for (Row each : rows) EXPECT_EQ(*each.find("applied_at"), to_sql(at_ms(0)));
}

constexpr Statement kStepOne[] = {{"one", "CREATE TABLE steps (a BIGINT)"}};
constexpr Statement kStepTwo[] = {{"two", "ALTER TABLE steps ADD COLUMN b TEXT"}, {"fill", "UPDATE steps SET b = 'new'"}};
constexpr Statement kBroken[] = {{"add", "CREATE TABLE more (a BIGINT)"}, {"wrong", "UPDATE nowhere SET a = 1"}};

TEST_P(Store, MigratesStepByStepAndKeepsTheData) {
  constexpr Migration kOne[] = {{1, "one", kStepOne}};
  constexpr Migration kTwo[] = {{1, "one", kStepOne}, {2, "two", kStepTwo}};
  must(migrate(db(), kOne, at_ms(0)));
  must(db().run({"test.fill", "INSERT INTO steps (a) VALUES (5)"}));

  must(migrate(db(), kTwo, at_ms(1)));

  Rows rows = must(db().run({"test.read", "SELECT a, b FROM steps"}));
  EXPECT_EQ(*rows[0].find("a"), SqlValue(std::int64_t{5}));
  EXPECT_EQ(*rows[0].find("b"), SqlValue("new"));
}

TEST_P(Store, KeepsTheOldSchemaWhenAMigrationFails) {
  constexpr Migration kOne[] = {{1, "one", kStepOne}};
  constexpr Migration kWrong[] = {{1, "one", kStepOne}, {2, "broken", kBroken}};
  must(migrate(db(), kOne, at_ms(0)));

  auto failed = migrate(db(), kWrong, at_ms(1));

  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().text(), ::testing::HasSubstr("schema version 2: wrong: "));
  EXPECT_FALSE(db().run({"test.more", "SELECT a FROM more"})) << "nothing of the broken step stays";
  must(migrate(db(), kOne, at_ms(2)));
}

TEST_P(Store, RefusesADatabaseOfANewerProgram) {
  constexpr Migration kOne[] = {{1, "one", kStepOne}};
  constexpr Migration kTwo[] = {{1, "one", kStepOne}, {2, "two", kStepTwo}};
  must(migrate(db(), kTwo, at_ms(0)));

  auto refused = migrate(db(), kOne, at_ms(1));

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(refused.error().text(), ::testing::HasSubstr("the database has schema version 2 (two), this program knows 1 to 1"));
}

TEST_P(Store, RefusesAMigrationThatWasEditedAfterItRan) {
  constexpr Migration kOne[] = {{1, "one", kStepOne}};
  constexpr Migration kEdited[] = {{1, "one", kStepTwo}};
  must(migrate(db(), kOne, at_ms(0)));

  auto refused = migrate(db(), kEdited, at_ms(1));

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
}

TEST_P(Store, HasTheTablesOfTheProductWithTheirRules) {
  must(migrate(db(), at_ms(0)));
  const Statement host{"test.host", R"(
INSERT INTO hosts (id, name, key_fingerprint, state, environment, labels, enrolled_at, document)
VALUES ($1, $2, $3, 'active', 'lab', '{}', $4, '{}'))"};
  must(db().run(host, sql_values("h1", "web", "k1", at_ms(0))));
  must(db().run({"test.plan", R"(
INSERT INTO plans (id, digest, state, created_at, created_by, document) VALUES ('p1', 'd1', 'proposed', 0, 'mara', '{}'))"}));
  const Statement approval{"test.approval",
                           "INSERT INTO approvals (plan, approver, key_id, at, envelope) VALUES ('p1', $1, $2, 0, '')"};
  must(db().run(approval, {"mara", "key-1"}));
  const Statement order{"test.order", R"(
INSERT INTO orders (id, host, sequence, epoch, state, issued_at, expires_at, envelope) VALUES ($1, 'h1', $2, 1, 'issued', 0, 1, ''))"};
  must(db().run(order, {"o1", std::int64_t{1}}));
  must(db().run({"test.rollout", R"(
INSERT INTO rollouts (id, plan, state, wave, generation, created_at, updated_at, document)
VALUES ('r1', 'p1', 'running', 0, 1, 0, 0, '{}'))"}));
  const Statement rollout_host{"test.rollout_host", R"(
INSERT INTO rollout_hosts (rollout, host, wave, state, updated_at, document) VALUES ('r1', 'h1', $1, 'waiting', 0, '{}'))"};
  must(db().run(rollout_host, {std::int64_t{0}}));
  auto refused = [&](const Statement& statement, std::vector<SqlValue> values) {
    auto ran = db().run(statement, std::move(values));
    return !ran && ran.error().kind() == ErrorKind::kConflict;
  };

  EXPECT_TRUE(refused(host, sql_values("h2", "web", "k1", at_ms(0)))) << "one key, one host";
  EXPECT_TRUE(refused(approval, {"mara", "key-2"})) << "a person approves once";
  EXPECT_TRUE(refused(approval, {"noor", "key-1"})) << "one key doesn't speak for two persons";
  EXPECT_TRUE(refused(order, {"o2", std::int64_t{1}})) << "a sequence number is used once";
  EXPECT_TRUE(refused(rollout_host, {std::int64_t{1}})) << "a rollout has a host once";
}

// Of any number of claims on a token that works once, one wins.
TEST_P(Store, LetsOneClaimOfATokenWin) {
  must(migrate(db(), at_ms(0)));
  must(db().run({"test.token", R"(
INSERT INTO tokens (id, hash, kind, name, scopes, created_at, expires_at, document)
VALUES ('t1', 'h', 'enrol', 'lab', '', 0, 100, '{}'))"}));
  const Statement claim{"test.claim", R"(
UPDATE tokens SET used_at = $1, used_by = $2
WHERE hash = $3 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $1 RETURNING id)"};

  EXPECT_EQ(must(db().run(claim, {std::int64_t{100}, "late", "h"})).size(), 0u);
  EXPECT_EQ(must(db().run(claim, {std::int64_t{50}, "first", "h"})).size(), 1u);
  EXPECT_EQ(must(db().run(claim, {std::int64_t{51}, "second", "h"})).size(), 0u);
}

// --- audit --------------------------------------------------------------------------------------------------------------------

AuditRecord record_of(int i) {
  return {
      .actor = "person:mara",
      .kind = "plan.approved",
      .subject = {.host = HostId("web-" + std::to_string(i)), .plan = PlanId("PLN-1")},
      .why = "because of \"\xc3\xa9\xf0\x9f\x8c\xbf\"\n\x01\x7f",
      .details = Json(Json::Object{{"number", Json(i)}, {"list", Json(Json::Array{Json(true), Json(nullptr), Json("x/\\")})}})};
}

class Audit : public Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    if (IsSkipped()) return;
    must(migrate(db(), at_ms(0)));
  }
  void append(int from, int to) {
    must(with_transaction(db(), [&]() -> Status {
      for (int i = from; i <= to; ++i)
        if (auto added = append_audit(db(), record_of(i), at_ms(i)); !added) return std::move(added).error();
      return {};
    }));
  }
  AuditCheckpoint checkpoint() {
    return must(with_transaction(db(), [&] { return append_audit_checkpoint(db(), key_, at_ms(999)); }));
  }
  testing::CountingRandom random_;
  PrivateKey key_ = PrivateKey::generate(random_);
};
INSTANTIATE_TEST_SUITE_P(All, Audit, ::testing::Values(sqlite_memory(), sqlite_file(), postgres()), store_name);

TEST_P(Audit, KeepsAnActAndItsEntryTogetherOrNotAtAll) {
  auto failed = with_transaction(db(), [&]() -> Status {
    must(insert("act"));
    must(append_audit(db(), record_of(1), at_ms(1)));
    return insert("act");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(must(read_audit(db(), 0, 10)).size(), 0u);
  EXPECT_EQ(count(), 0);

  append(1, 1);
  EXPECT_EQ(must(read_audit(db(), 0, 10)).size(), 1u);
}

TEST_P(Audit, ReadsBackTheEntriesInPages) {
  append(1, 25);
  auto page = must(read_audit(db(), 10, 10));
  ASSERT_EQ(page.size(), 10u);
  EXPECT_EQ(page.front().sequence, 11);
  EXPECT_EQ(page.front().subject, record_of(11).subject);
  EXPECT_EQ(page.front().why, record_of(11).why);
  EXPECT_EQ(page.front().at, at_ms(11));
  EXPECT_EQ(must(read_audit(db(), 25, 10)).size(), 0u);
}

TEST_P(Audit, ExportsWhatBothFormsOfVerificationFindSound) {
  append(1, 30);
  AuditCheckpoint early = checkpoint();
  append(32, 600);

  std::string text;
  must(export_audit(db(), 0, [&](std::string_view line) -> Status {
    text.append(line).push_back('\n');
    return {};
  }));
  AuditExpectation expectation{.keys = {key_.public_key()}, .checkpoints = {early}};
  for (const AuditVerdict& verdict : {verify_audit_export(text, expectation), must(verify_audit(db(), expectation))}) {
    EXPECT_TRUE(verdict.sound()) << verdict.broken->text;
    EXPECT_EQ(verdict.entries, 600);
    EXPECT_EQ(verdict.checkpoints, 2) << "the entry and the copy kept elsewhere";
  }
}

TEST_P(Audit, FindsAnEntryThatWasChangedRemovedOrCutOffInTheDatabase) {
  struct Case {
    const char* sql;
    AuditFault fault;
    std::int64_t sequence;
  };
  const Case cases[] = {
      {"UPDATE audit SET document = replace(document, 'mara', 'nora') WHERE sequence = 5", AuditFault::kChanged, 5},
      {"UPDATE audit SET host = 'other' WHERE sequence = 6", AuditFault::kChanged, 6},
      {"UPDATE audit SET at = at + 1 WHERE sequence = 7", AuditFault::kChanged, 7},
      {"UPDATE audit SET run = 'RUN-1' WHERE sequence = 7", AuditFault::kChanged, 7},
      {"DELETE FROM audit WHERE sequence IN (3, 4)", AuditFault::kRemoved, 3},
      {"DELETE FROM audit WHERE sequence >= 9", AuditFault::kTruncated, 9},
      {"DELETE FROM audit", AuditFault::kTruncated, 1},
  };
  append(1, 9);
  AuditExpectation expectation{.keys = {key_.public_key()}, .checkpoints = {checkpoint()}};
  for (const Case& each : cases) {
    auto before = must(read_audit(db(), 0, 100));
    ASSERT_TRUE(must(verify_audit(db(), expectation)).sound());
    // Undone afterwards by writing the sound entries again, as nothing else may touch the table.
    ASSERT_GT(must(db().run({"test.tamper", each.sql})).affected(), 0);

    auto verdict = must(verify_audit(db(), expectation));

    ASSERT_FALSE(verdict.sound()) << each.sql;
    EXPECT_EQ(verdict.broken->fault, each.fault) << each.sql << ": " << verdict.broken->text;
    EXPECT_EQ(verdict.broken->sequence, each.sequence) << each.sql;
    must(db().run({"test.clear", "DELETE FROM audit"}));
    for (const AuditEntry& entry : before)
      if (entry.kind == kAuditCheckpointKind)
        checkpoint();
      else
        append(static_cast<int>(entry.sequence), static_cast<int>(entry.sequence));
  }
}

TEST_P(Audit, RefusesACheckpointOfAnEmptyLog) {
  auto none = with_transaction(db(), [&] { return append_audit_checkpoint(db(), key_, at_ms(0)); });
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
}

TEST_P(Audit, SignsItsLastEntryWithoutWriting) {
  EXPECT_EQ(sign_last_audit_entry(db(), key_, at_ms(0)).error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(must(last_audit_entry(db())));
  EXPECT_FALSE(must(last_audit_checkpoint(db())));
  append(1, 3);

  auto asked = must(sign_last_audit_entry(db(), key_, at_ms(10)));
  auto kept = checkpoint();

  EXPECT_EQ(asked.sequence, 3);
  EXPECT_TRUE(verify_checkpoint(asked, key_.public_key()));
  EXPECT_EQ(kept.sequence, 3) << "what was only asked for is no entry";
  append(5, 5);
  EXPECT_EQ(must(last_audit_entry(db()))->sequence, 5);
  EXPECT_EQ(must(last_audit_checkpoint(db()))->sequence, 4);
  EXPECT_EQ(must(last_audit_checkpoint(db()))->at, at_ms(999));
  EXPECT_TRUE(must(verify_audit(db(), {.keys = {key_.public_key()}, .checkpoints = {asked}})).sound());
}

TEST_P(Audit, KeepsTheChainWholeUnderTwoWriters) {
  if (!store_->keeps()) GTEST_SKIP() << "a store in memory has one connection";
  constexpr int kEach = 30;
  std::atomic<int> done = 0;
  auto work = [&] {
    auto connection = store_->connect();
    for (int i = 1; i <= kEach; ++i)
      if (with_transaction(*connection, [&] { return append_audit(*connection, record_of(i), at_ms(i)); })) ++done;
  };
  std::thread a(work), b(work);
  a.join();
  b.join();

  auto verdict = must(verify_audit(db()));
  EXPECT_TRUE(verdict.sound()) << verdict.broken->text;
  EXPECT_EQ(verdict.entries, done.load());
  EXPECT_GE(done.load(), kEach);
}

}  // namespace
}  // namespace prunella::contract
