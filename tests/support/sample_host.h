#pragma once

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "model/host.h"
#include "model/order.h"

/// One host's facts, small and complete, that the tests of the pure rooms share and change. Debian 12; openssl and libssl3 lack a
/// security update, nginx maps libssl3, a new kernel is offered, everything else is well.
namespace prunella::sample {

inline Instant at(std::string_view text) { return *parse_rfc3339(text); }
inline const Instant kNow = at("2026-11-24T03:00:00Z");
inline const HostId kHost("web-1-3f9a");

inline DebFile file_of(const std::string& name, const std::string& version, std::uint64_t size = 1'000'000) {
  return {version, sha256(name + "_" + version), size};
}

inline Package package(const std::string& name, const std::string& version, const std::string& source) {
  Package p;
  p.package = {name, "amd64"};
  p.version = version;
  p.source = source;
  p.source_version = version;
  p.state = PackageState::kInstalled;
  p.selection = PackageSelection::kInstall;
  return p;
}

inline Update update(const std::string& name, const std::string& from, const std::string& to, const std::string& source) {
  Update u;
  u.package = {name, "amd64"};
  if (!from.empty()) {
    u.from_version = from;
    u.from = file_of(name, from);
  }
  u.to = file_of(name, to);
  u.source = source;
  u.source_version = to;
  u.archive = "Debian-Security:12/stable-security";
  u.security = true;
  u.changelog_read = true;
  u.installed_size_kib = 3'000;
  return u;
}

inline HostFacts facts() {
  HostFacts f;
  SystemFacts system;
  system.hostname = "web-1";
  system.os_id = "debian";
  system.os_version = "12";
  system.os_codename = "bookworm";
  system.os_pretty = "Debian GNU/Linux 12 (bookworm)";
  system.arch = "amd64";
  system.boot_id = "5b1f2f0e-6a0a-4d5e-9a59-0d0b8c0e7a11";
  system.memory_bytes = 2'000'000'000;
  system.cpus = 2;
  f.system = sensed(system, kNow);

  PackageFacts packages;
  packages.packages = {package("libssl3", "3.0.15-1~deb12u1", "openssl"), package("nginx", "1.22.1-9", "nginx"),
                       package("openssl", "3.0.15-1~deb12u1", "openssl"), package("tzdata", "2024b-0+deb12u1", "tzdata")};
  f.packages = sensed(packages, kNow);

  UpdateFacts updates;
  updates.updates = {update("libssl3", "3.0.15-1~deb12u1", "3.0.17-1~deb12u2", "openssl"),
                     update("openssl", "3.0.15-1~deb12u1", "3.0.17-1~deb12u2", "openssl")};
  for (Update& u : updates.updates) u.cves = {"CVE-2025-9230", "CVE-2025-9232"};
  updates.repositories = {{"http://archive.example/debian", "bookworm", RepositoryState::kOk, "", false},
                          {"http://archive.example/debian-security", "bookworm-security", RepositoryState::kOk, "", true}};
  updates.lists_at = at("2026-11-24T02:30:00Z");
  f.updates = sensed(updates, kNow);

  KernelFacts kernel;
  kernel.running = "6.1.0-40-amd64";
  kernel.running_version = "6.1.153-1";
  kernel.installed = {{"6.1.0-40-amd64", "linux-image-6.1.0-40-amd64", "6.1.153-1"}};
  kernel.newest_same_flavour = "6.1.0-40-amd64";
  kernel.reboot = RebootNeed::kNo;
  f.kernel = sensed(kernel, kNow);

  ProcessFacts processes;
  processes.unit_packages = {{"nginx.service", {"libssl3:amd64", "nginx:amd64"}},
                             {"postfix.service", {"libssl3:amd64"}},
                             {"systemd-resolved.service", {"libssl3:amd64"}},
                             {"cron.service", {"libc6:amd64"}}};
  f.processes = sensed(processes, kNow);

  UnitFacts units;
  for (const char* name : {"cron.service", "nginx.service", "postfix.service", "systemd-resolved.service"})
    units.units.push_back({name, "loaded", "active", "running", "success", 0, "a1b2"});
  units.system = "running";
  f.units = sensed(units, kNow);

  DiskFacts disk;
  disk.filesystems = {{"/", 20'000'000'000, 8'000'000'000, 1'000'000, false}, {"/boot", 500'000'000, 300'000'000, 10'000, false}};
  f.disk = sensed(disk, kNow);

  ExecutorFacts executor;
  executor.version = "0.1.0";
  executor.policy_serial = 3;
  executor.policy_expires = at("2027-02-01T00:00:00Z");
  executor.last_sequence = 7;
  f.executor = sensed(executor, kNow);
  return f;
}

inline PublicKey key(std::uint8_t number) {
  PublicKey k;
  k.bytes[0] = number;
  return k;
}

/// Allows package transactions and restarts with one approval of ada or ben, and nginx and app-* to be restarted when they fail.
inline ExecutorPolicy policy() {
  ExecutorPolicy p;
  p.serial = 3;
  p.organisation = "example";
  p.issued = at("2026-11-01T00:00:00Z");
  p.expires = at("2027-02-01T00:00:00Z");
  p.directors = {key(1)};
  p.approvers = {{"ada", key(2)}, {"ben", key(3)}};
  p.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 1},
             {ActionKind::kDpkgRepair, {"*"}, {}, 1},
             {ActionKind::kServiceRestart, {}, {"*"}, 1}};
  p.standing = {{StandingTrigger::kUnitFailed, {"nginx.service", "app-*"}, std::chrono::minutes(1)}};
  p.budget = {4, 20};
  return p;
}

/// The text of tests/golden/NAME. With PRUNELLA_WRITE_GOLDEN set it is written first, for a person to review in the diff.
inline std::string golden(const std::string& name, const std::string& actual) {
  std::string path = std::string(PRUNELLA_SOURCE_DIR) + "/tests/golden/" + name;
  if (std::getenv("PRUNELLA_WRITE_GOLDEN")) std::ofstream(path, std::ios::binary) << actual;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace prunella::sample
