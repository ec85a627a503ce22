// The store port on both stores, side by side in one run: transactions of one row, rows in batches, audit entries, and how fast a
// chain is verified. Each figure is one line of JSON. SQLite writes into the folder for temporary files (or --folder=PATH before
// Google Benchmark's own options), PostgreSQL is a server of our own beside it; both wait for the disk at each commit.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "../tests/contract/postgres_cluster.h"
#include "adapters/postgres/postgres.h"
#include "adapters/sqlite/sqlite.h"
#include "record/audit.h"
#include "record/schema.h"

namespace prunella {
namespace {

std::filesystem::path folder;

template <class T>
T must(Result<T> result) {
  if (!result) std::fprintf(stderr, "%s\n", result.error().text().c_str());
  check(result.has_value(), "a benchmark whose store fails");
  return *std::move(result);
}
void must(Status status) {
  if (!status) std::fprintf(stderr, "%s\n", status.error().text().c_str());
  check(status.has_value(), "a benchmark whose store fails");
}

enum class Store { kSqlite, kPostgres };

SqlConnection& store_of(Store store) {
  static std::map<Store, std::unique_ptr<SqlConnection>> open;
  auto& connection = open[store];
  if (connection) return *connection;
  if (store == Store::kSqlite) {
    connection = must(SqliteConnection::open(folder / "bench.db"));
  } else {
    connection = must(PostgresConnection::open(contract::PostgresCluster::get().empty_space()));
  }
  must(migrate(*connection, Instant()));
  must(
      connection->run({"bench.create", "CREATE TABLE rows (id BIGINT NOT NULL PRIMARY KEY, host TEXT NOT NULL, document TEXT)"}));
  return *connection;
}

const Statement kInsert{"bench.insert", "INSERT INTO rows (id, host, document) VALUES ($1, $2, $3)"};
std::int64_t next_id = 1;
std::vector<SqlValue> row() { return sql_values(next_id++, "web-1-3f9a", std::string(200, 'x')); }

void single_rows(benchmark::State& state, Store store) {
  SqlConnection& db = store_of(store);
  for (auto _ : state)
    must(with_transaction(db, [&]() -> Status {
      auto ran = db.run(kInsert, row());
      if (!ran) return std::move(ran).error();
      return {};
    }));
  state.SetItemsProcessed(state.iterations());
}

void batched_rows(benchmark::State& state, Store store) {
  constexpr int kBatch = 1000;
  SqlConnection& db = store_of(store);
  for (auto _ : state) {
    std::vector<std::vector<SqlValue>> rows;
    for (int i = 0; i < kBatch; ++i) rows.push_back(row());
    must(with_transaction(db, [&] { return db.run_each(kInsert, rows); }));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}

AuditRecord record() {
  return {.actor = "policy:web-tier",
          .kind = "finding.opened",
          .subject = {.host = HostId("web-1-3f9a"), .finding = FindingId("FND-0123456789")},
          .why = "openssl 3.0.14-1 is older than 3.0.15-1, which fixes CVE-2026-0001",
          .details = Json(Json::Object{{"cves", Json(Json::Array{Json("CVE-2026-0001")})}, {"severity", Json("high")}})};
}

// An act of one row and its entry, each pair a transaction: what the control plane does all day.
void act_with_audit(benchmark::State& state, Store store) {
  SqlConnection& db = store_of(store);
  for (auto _ : state)
    must(with_transaction(db, [&]() -> Status {
      if (auto ran = db.run(kInsert, row()); !ran) return std::move(ran).error();
      auto added = append_audit(db, record(), Instant());
      if (!added) return std::move(added).error();
      return {};
    }));
  state.SetItemsProcessed(state.iterations());
}

void audit_batched(benchmark::State& state, Store store) {
  constexpr int kBatch = 100;
  SqlConnection& db = store_of(store);
  for (auto _ : state)
    must(with_transaction(db, [&]() -> Status {
      for (int i = 0; i < kBatch; ++i)
        if (auto added = append_audit(db, record(), Instant()); !added) return std::move(added).error();
      return {};
    }));
  state.SetItemsProcessed(state.iterations() * kBatch);
}

void verify_in_store(benchmark::State& state, Store store) {
  SqlConnection& db = store_of(store);
  std::int64_t entries = 0;
  for (auto _ : state) {
    auto verdict = must(verify_audit(db));
    check(verdict.sound(), "the log that the benchmark wrote is sound");
    entries += verdict.entries;
  }
  state.SetItemsProcessed(entries);
}

void verify_export(benchmark::State& state) {
  std::string text;
  Digest last;
  for (std::int64_t i = 0; i < 1000; ++i) {
    auto entry = must(make_audit_entry(i, last, record(), Instant()));
    last = entry.hash;
    text.append(audit_line(entry)).push_back('\n');
  }
  for (auto _ : state) check(verify_audit_export(text).entries == 1000, "the log that the benchmark wrote is sound");
  state.SetItemsProcessed(state.iterations() * 1000);
}

/// One line of JSON a figure.
class LineReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (auto rate = run.counters.find("items_per_second"); rate != run.counters.end())
        std::cout << to_canonical(
                         Json(Json::Object{{"figure", Json(run.benchmark_name())},
                                           {"iterations", Json(static_cast<std::int64_t>(run.iterations))},
                                           {"cpu_microseconds_each",
                                            Json(static_cast<std::int64_t>(run.cpu_accumulated_time * 1e6 /
                                                                           (rate->second.value * run.real_accumulated_time)))},
                                           {"per_second", Json(static_cast<std::int64_t>(rate->second.value))}}))
                  << std::endl;
  }
};

void add(const char* figure, void (*run)(benchmark::State&, Store)) {
  auto with = [&](Store store, const char* name) {
    benchmark::RegisterBenchmark((std::string(figure) + "/" + name).c_str(), run, store)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  with(Store::kSqlite, "sqlite");
  if (contract::PostgresCluster::installed()) with(Store::kPostgres, "postgres");
}

}  // namespace
}  // namespace prunella

int main(int argc, char** argv) {
  using namespace prunella;
  std::string parent = std::filesystem::temp_directory_path().string();
  if (std::string first = argc > 1 ? argv[1] : ""; first.starts_with("--folder=")) {
    parent = first.substr(9);
    --argc, ++argv;
  }
  std::string pattern = parent + "/prunella-store-bench-XXXXXX";
  check(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  folder = pattern;
  add("single_row_transactions", single_rows);
  add("rows_in_batches_of_1000", batched_rows);
  add("act_with_audit_transactions", act_with_audit);
  add("audit_appends_in_batches_of_100", audit_batched);
  add("audit_verified_in_store", verify_in_store);
  benchmark::RegisterBenchmark("audit_verified_from_export", verify_export)->UseRealTime();
  benchmark::Initialize(&argc, argv);
  LineReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}
