#include "store_fixture.h"

namespace prunella::contract {

StoreKind postgres() {
  return {"Postgres", [] { return std::unique_ptr<StoreUnderTest>(); }, "PostgreSQL 15 is not installed"};
}

}  // namespace prunella::contract
