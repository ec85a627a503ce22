#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/sqlite/sqlite.h"
#include "loop/control_plane.h"
#include "record/schema.h"

/// A control plane with hosts that the test plays.
namespace prunella::testing {

/// Seeded randomness: the same seed, the same run.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) {
      // splitmix64 (Steele, Lea, Flood 2014): any seed is good, and the sequence is the same everywhere.
      state_ += 0x9E3779B97F4A7C15ull;
      std::uint64_t z = state_;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
      b = static_cast<std::byte>((z ^ (z >> 31)) & 0xFF);
    }
  }

 private:
  std::uint64_t state_;
};

/// Certificates that are only names.
class PaperIssuer : public CertificateIssuer {
 public:
  Result<Issued> issue(std::string_view, const HostId& host, Instant now) override {
    std::string text = host.text() + " " + std::to_string(++count_);
    return Issued{text, sha256(text).hex(), std::to_string(count_), now + std::chrono::hours(24)};
  }
  std::string authority_pem() const override { return "authority"; }
  std::string authority_sha256() const override { return sha256("authority").hex(); }

 private:
  int count_ = 0;
};

/// The process was killed: everything in memory is gone, and what was committed stays.
struct Killed {};

/// A store that kills its user before the n-th statement, commit or begin.
class MortalStore : public SqlConnection {
 public:
  explicit MortalStore(SqlConnection& inner) : inner_(inner) {}
  void kill_at(std::size_t operation) { kill_at_ = operation, count_ = 0; }
  void live_on() { kill_at_.reset(); }
  std::size_t operations() const { return count_; }
  std::string description() const override { return inner_.description(); }
  /// What a process leaves that died: its open transaction is gone.
  void bury() {
    if (inner_.in_transaction()) (void)inner_.rollback().has_value();
    if (in_transaction()) (void)rollback().has_value();
  }

 private:
  void step() {
    ++count_;
    if (kill_at_ && count_ >= *kill_at_) throw Killed{};
  }
  Result<Rows> do_run(const Statement& statement, const std::vector<SqlValue>& values) override { return step(), inner_.run(statement, values); }
  Status do_run_each(const Statement& statement, const std::vector<std::vector<SqlValue>>& rows) override { return step(), inner_.run_each(statement, rows); }
  Status do_begin(Access access) override { return step(), inner_.begin(access); }
  Status do_commit() override { return step(), inner_.commit(); }
  Status do_rollback() override { return inner_.in_transaction() ? inner_.rollback() : Status(); }

  SqlConnection& inner_;
  std::optional<std::size_t> kill_at_;
  std::size_t count_ = 0;
};

inline PrivateKey test_key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return PrivateKey(seed);
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
