#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/sqlite/sqlite.h"
#include "loop/control_plane.h"
#include "record/schema.h"
#include "../support/mortal_store.h"
#include "../support/seeded_random.h"

/// A control plane with hosts that the test plays.
namespace prunella::testing {

inline PrivateKey test_key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return PrivateKey(seed);
}

/// The keys that a control plane works with and is told to trust, and what their holders sign.
struct Signers {
  PrivateKey director = test_key(1), recorder = test_key(2), operators = test_key(3), ada = test_key(4), bob = test_key(5);

  OperatorTrust trust() const { return {"example", {operators.public_key()}, 1}; }
  /// Upgrades and repairs, with so many approvals of ada and bob.
  Envelope policy(std::uint64_t serial, Instant now, std::uint32_t approvals = 1) const {
    ExecutorPolicy policy;
    policy.serial = serial;
    policy.organisation = "example";
    policy.issued = now;
    policy.expires = now + std::chrono::hours(24 * 90);
    policy.directors = {director.public_key()};
    policy.approvers = {{"ada", ada.public_key()}, {"bob", bob.public_key()}};
    policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, approvals}, {ActionKind::kDpkgRepair, {"*"}, {"*"}, approvals}};
    policy.budget = {10, 10};
    return sign_envelope(kExecutorPolicyType, to_canonical_text(policy), operators);
  }
  static Envelope approval(const PlanView& plan, const PrivateKey& key, std::string name, Instant now) {
    Approval approval{1, plan.id, plan.digest, std::move(name), now, now + std::chrono::hours(4)};
    return sign_envelope(kApprovalType, to_canonical_text(approval), key);
  }
  /// What the director signed.
  Result<Order> order_in(const Envelope& envelope) const {
    auto payload = open_envelope(envelope, kOrderType, {director.public_key()}, 1);
    if (!payload) return std::move(payload).error();
    return from_json_text<Order>(*payload);
  }
};

inline Result<std::unique_ptr<SqliteConnection>> store_in_memory(Instant now) {
  auto opened = SqliteConnection::open(":memory:");
  if (!opened) return opened;
  if (auto migrated = migrate(**opened, now); !migrated) return std::move(migrated).error();
  return opened;
}

/// What a host would say: Debian with one security update for openssl, nginx using it.
inline HostFacts sick_facts(Instant at) {
  HostFacts facts;
  SystemFacts system;
  system.hostname = "web";
  system.os_id = "debian";
  system.os_version = "12";
  system.os_codename = "bookworm";
  system.os_pretty = "Debian GNU/Linux 12 (bookworm)";
  system.arch = "amd64";
  system.boot_id = "boot-1";
  facts.system = sensed(system, at);
  Package package{{"libssl3", "amd64"}, "3.0.11-1", "openssl", "3.0.11-1", PackageState::kInstalled, false, PackageSelection::kInstall};
  facts.packages = sensed(PackageFacts{{package}, false}, at);
  Update update;
  update.package = package.package;
  update.from_version = package.version;
  update.to = {"3.0.17-1", sha256("new"), 2'000'000};
  update.from = DebFile{"3.0.11-1", sha256("old"), 2'000'000};
  update.source = "openssl";
  update.source_version = "3.0.17-1";
  update.archive = "Debian-Security:12/stable-security";
  update.security = true;
  update.cves = {"CVE-2024-5535"};
  update.changelog_read = true;
  UpdateFacts updates;
  updates.updates = {update};
  updates.repositories = {{"http://archive.example/security", "bookworm-security", RepositoryState::kOk, "", true}};
  updates.lists_at = at;
  facts.updates = sensed(updates, at);
  KernelFacts kernel;
  kernel.running = "6.1.0-40-amd64";
  kernel.reboot = RebootNeed::kNo;
  facts.kernel = sensed(kernel, at);
  ProcessFacts processes;
  processes.unit_packages["nginx.service"] = {"libssl3:amd64"};
  facts.processes = sensed(processes, at);
  UnitFacts units;
  units.system = "running";
  units.units = {{"nginx.service", "loaded", "active", "running", "success", 0u, "i1"}};
  facts.units = sensed(units, at);
  DiskFacts disk;
  disk.filesystems = {{"/", 20'000'000'000, 10'000'000'000, 1'000'000, false}};
  facts.disk = sensed(disk, at);
  ExecutorFacts executor;
  executor.version = "0";
  executor.policy_serial = 1;
  executor.policy_expires = at + std::chrono::hours(24 * 90);
  facts.executor = sensed(executor, at);
  return facts;
}

/// A host's side of the link: numbers its events and reports.
class PlayedHost {
 public:
  PlayedHost(HostId id, std::string instance) : id_(std::move(id)), instance_(std::move(instance)) {}
  const HostId& id() const { return id_; }
  void restart_agent(std::string instance) { instance_ = std::move(instance), sequences_.clear(); }

  Event event(std::string_view source, std::string_view type, Json data, Instant now) {
    std::uint64_t sequence = ++sequences_[std::string(source)];
    return {"1.0", instance_ + "-" + std::string(source) + "-" + std::to_string(sequence), std::string(source), std::string(type), now, sequence, std::move(data)};
  }
  Report report(std::vector<Event> events, Instant now) { return {instance_, now, "0", std::move(events), 0}; }
  Report all_sections(const HostFacts& facts, Instant now) {
    std::vector<Event> events;
    auto add = [&](const char* name, const auto& section) {
      if (section) events.push_back(event(name, kEventSection, to_json(*section), now));
    };
    add("system", facts.system);
    add("packages", facts.packages);
    add("updates", facts.updates);
    add("kernel", facts.kernel);
    add("processes", facts.processes);
    add("units", facts.units);
    add("disk", facts.disk);
    add("executor", facts.executor);
    return report(std::move(events), now);
  }
  void skip_number(const std::string& source) { ++sequences_[source]; }

 private:
  HostId id_;
  std::string instance_;
  std::map<std::string, std::uint64_t> sequences_;
};

}  // namespace prunella::testing
