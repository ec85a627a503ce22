#include "store_fixture.h"

#ifdef PRUNELLA_POSTGRES
#include "adapters/postgres/postgres.h"
#include "postgres_cluster.h"
#endif

namespace prunella::contract {

#ifdef PRUNELLA_POSTGRES

namespace {

class Postgres : public StoreUnderTest {
 public:
  Postgres() : conninfo_(PostgresCluster::get().empty_space()) {}
  std::unique_ptr<SqlConnection> connect() override { return must(PostgresConnection::open(conninfo_)); }
  bool keeps() const override { return true; }

 private:
  std::string conninfo_;
};

}  // namespace

std::string postgres_conninfo() {
  if (!PostgresCluster::installed()) return "";
  return PostgresCluster::get().conninfo("postgres");
}

#else
std::string postgres_conninfo() { return ""; }
#endif

StoreKind postgres() {
  StoreKind kind{"Postgres", [] { return std::unique_ptr<StoreUnderTest>(); }, "PostgreSQL 15 is not installed"};
#ifdef PRUNELLA_POSTGRES
  if (PostgresCluster::installed()) kind.make = [] { return std::make_unique<Postgres>(); };
#endif
  return kind;
}

}  // namespace prunella::contract
