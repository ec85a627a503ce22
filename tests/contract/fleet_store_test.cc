// What FleetStore promises, on each store.
#include "record/fleet_store.h"

#include <gtest/gtest.h>

#include "store_fixture.h"

namespace prunella::contract {
namespace {

class Fleets : public ::testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    store_ = GetParam().make();
    if (!store_) GTEST_SKIP() << GetParam().missing;
    connection_ = store_->connect();
    must(migrate(*connection_, at_ms(0)));
    fleet_ = std::make_unique<FleetStore>(*connection_);
  }
  std::unique_ptr<StoreUnderTest> store_;
  std::unique_ptr<SqlConnection> connection_;
  std::unique_ptr<FleetStore> fleet_;
};
std::string store_name(const ::testing::TestParamInfo<StoreKind>& kind) { return kind.param.name; }
INSTANTIATE_TEST_SUITE_P(All, Fleets, ::testing::Values(sqlite_memory(), sqlite_file(), postgres()), store_name);

TEST_P(Fleets, ListFindingsAndRunsWithAndWithoutFilters) {
  HostRow host;
  host.id = HostId("web-1");
  must(fleet_->add_host(host));
  Finding finding;
  finding.host = host.id;
  finding.kind = FindingKind::kMissingSecurityUpdate;
  finding.cves = {"CVE-2024-6387"};
  finding.id = finding_id(host.id, finding.kind, "openssh");
  must(fleet_->open_finding(finding, at_ms(0)));
  RunView run;
  run.id = RunId("RUN-1");
  run.host = host.id;
  must(fleet_->add_run(run, sha256("plan")));

  EXPECT_EQ(must(fleet_->findings({}, {})).items.size(), 1u);
  EXPECT_EQ(must(fleet_->findings({host.id, finding.kind, "open", "CVE-2024-6387"}, {})).items.size(), 1u);
  EXPECT_EQ(must(fleet_->findings({HostId("web-2"), {}, {}, {}}, {})).items.size(), 0u);
  EXPECT_EQ(must(fleet_->runs({}, {}, {})).size(), 1u);
  EXPECT_EQ(must(fleet_->runs(host.id, {}, {})).size(), 1u);
  EXPECT_EQ(must(fleet_->runs({}, RolloutId("ROL-1"), {})).size(), 0u);
}

}  // namespace
}  // namespace prunella::contract
