#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/package.h"
#include "model/sensed.h"

/// The facts of a host, one section a sensor. A section travels and is numbered on its own, so that a lost message is seen.
namespace prunella {

/// Facts that rarely change.
struct SystemFacts {
  std::string hostname;
  std::string os_id;          ///< os-release(5) ID: "debian"
  std::string os_version;     ///< VERSION_ID: "12"; "" is not used: absent fields make the section unknown
  std::string os_codename;    ///< VERSION_CODENAME
  std::string os_pretty;      ///< PRETTY_NAME
  std::string arch;           ///< dpkg's name of the native architecture
  std::string boot_id;        ///< /proc/sys/kernel/random/boot_id
  std::optional<std::string> container;  ///< what systemd says of a container ("systemd-nspawn"), absent on bare metal and VMs
  std::uint64_t memory_bytes = 0;
  std::uint32_t cpus = 0;
  bool operator==(const SystemFacts&) const = default;
};
template <class F>
void fields(F& f, SystemFacts& s) {
  f("hostname", s.hostname);
  f("os_id", s.os_id);
  f("os_version", s.os_version);
  f("os_codename", s.os_codename);
  f("os_pretty", s.os_pretty);
  f("arch", s.arch);
  f("boot_id", s.boot_id);
  f("container", s.container);
  f("memory_bytes", s.memory_bytes);
  f("cpus", s.cpus);
}

/// What the host's package database says, and whether dpkg was interrupted.
struct PackageFacts {
  std::vector<Package> packages;  ///< sorted by name and architecture; not-installed ones left out
  bool updates_pending = false;   ///< dpkg's updates directory isn't empty: it was stopped within a database write
  bool operator==(const PackageFacts&) const = default;
};
template <class F>
void fields(F& f, PackageFacts& p) {
  f("packages", p.packages);
  f("updates_pending", p.updates_pending);
}

/// How an archive's index was last fetched.
enum class RepositoryState { kOk, kUnreachable, kBadSignature, kExpired, kMissing };
constexpr std::array<EnumWord<RepositoryState>, 5> enum_words(RepositoryState) {
  return {{{RepositoryState::kOk, "ok"},
           {RepositoryState::kUnreachable, "unreachable"},
           {RepositoryState::kBadSignature, "bad-signature"},
           {RepositoryState::kExpired, "expired"},
           {RepositoryState::kMissing, "missing"}}};
}
struct Repository {
  std::string uri;    ///< as in the host's configuration, without user name and password
  std::string suite;  ///< "bookworm-security"
  RepositoryState state = RepositoryState::kUnreachable;
  std::string detail;  ///< apt's own words when the state is not ok
  bool security = false;
  bool operator==(const Repository&) const = default;
};
template <class F>
void fields(F& f, Repository& r) {
  f("uri", r.uri);
  f("suite", r.suite);
  f("state", r.state);
  f("detail", r.detail);
  f("security", r.security);
}

/// What apt would do, from lists that the agent keeps for itself.
struct UpdateFacts {
  std::vector<Update> updates;           ///< sorted by package
  std::vector<std::string> removals;     ///< packages that a full upgrade would remove ("name:arch"); never done by itself
  std::vector<Repository> repositories;
  std::optional<Instant> lists_at;       ///< when the lists were last fetched completely
  bool operator==(const UpdateFacts&) const = default;
};
template <class F>
void fields(F& f, UpdateFacts& u) {
  f("updates", u.updates);
  f("removals", u.removals);
  f("repositories", u.repositories);
  f("lists_at", u.lists_at);
}

struct InstalledKernel {
  std::string release;  ///< as uname -r will say: "6.1.0-40-amd64"
  std::string package;  ///< "linux-image-6.1.0-40-amd64"
  std::string version;  ///< of the package
  bool operator==(const InstalledKernel&) const = default;
};
template <class F>
void fields(F& f, InstalledKernel& k) {
  f("release", k.release);
  f("package", k.package);
  f("version", k.version);
}

enum class RebootNeed { kNo, kYes, kUnknown };
constexpr std::array<EnumWord<RebootNeed>, 3> enum_words(RebootNeed) {
  return {{{RebootNeed::kNo, "no"}, {RebootNeed::kYes, "yes"}, {RebootNeed::kUnknown, "unknown"}}};
}
/// Why a reboot is needed, and who says so.
struct RebootReason {
  std::string source;  ///< "/run/reboot-required", "kernel", "microcode"
  std::string detail;
  bool operator==(const RebootReason&) const = default;
};
template <class F>
void fields(F& f, RebootReason& r) {
  f("source", r.source);
  f("detail", r.detail);
}

struct KernelFacts {
  std::string running;                          ///< uname -r
  std::optional<std::string> running_version;   ///< version of the package that owns it, where one is installed
  std::vector<InstalledKernel> installed;       ///< bootable images, all flavours
  std::optional<std::string> newest_same_flavour;  ///< release of the newest installed image of the running flavour
  RebootNeed reboot = RebootNeed::kUnknown;
  std::vector<RebootReason> reasons;
  bool operator==(const KernelFacts&) const = default;
};
template <class F>
void fields(F& f, KernelFacts& k) {
  f("running", k.running);
  f("running_version", k.running_version);
  f("installed", k.installed);
  f("newest_same_flavour", k.newest_same_flavour);
  f("reboot", k.reboot);
  f("reasons", k.reasons);
}

/// A process that still runs code from files that were replaced or deleted.
struct StaleProcess {
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;      ///< /proc/PID/stat field 22: names the process together with its pid
  std::string command;                ///< /proc/PID/comm
  std::optional<std::string> unit;    ///< systemd system unit by cgroup; absent for user sessions and unmanaged processes
  bool user_session = false;          ///< it belongs to a person's session: reported, never killed
  std::vector<std::string> files;     ///< the mapped paths that no longer exist as mapped; sorted, at most 16
  bool operator==(const StaleProcess&) const = default;
};
template <class F>
void fields(F& f, StaleProcess& p) {
  f("pid", p.pid);
  f("start_ticks", p.start_ticks);
  f("command", p.command);
  f("unit", p.unit);
  f("user_session", p.user_session);
  f("files", p.files);
}
struct ProcessFacts {
  std::vector<StaleProcess> stale;
  /// Units and the packages' files that their processes map: unit -> packages ("name:arch"). What a plan predicts restarts from.
  std::map<std::string, std::vector<std::string>> unit_packages;
  bool operator==(const ProcessFacts&) const = default;
};
template <class F>
void fields(F& f, ProcessFacts& p) {
  f("stale", p.stale);
  f("unit_packages", p.unit_packages);
}

/// A unit as systemd reports it. Source: org.freedesktop.systemd1(5).
struct Unit {
  std::string name;
  std::string load;    ///< LoadState: "loaded", "not-found", "masked"
  std::string active;  ///< ActiveState: "active", "failed", "inactive", "activating", ...
  std::string sub;     ///< SubState
  std::optional<std::string> result;      ///< Result of a service: "success", "exit-code", "oom-kill", ...
  std::optional<std::uint32_t> restarts;  ///< NRestarts of a service
  std::optional<std::string> invocation;  ///< InvocationID: changes with every start
  bool operator==(const Unit&) const = default;
};
template <class F>
void fields(F& f, Unit& u) {
  f("name", u.name);
  f("load", u.load);
  f("active", u.active);
  f("sub", u.sub);
  f("result", u.result);
  f("restarts", u.restarts);
  f("invocation", u.invocation);
}
struct UnitFacts {
  std::vector<Unit> units;  ///< services, sockets, timers and mounts that are loaded; sorted by name
  std::string system;       ///< systemd's own state: "running", "degraded", "starting", ...
  bool operator==(const UnitFacts&) const = default;
};
template <class F>
void fields(F& f, UnitFacts& u) {
  f("units", u.units);
  f("system", u.system);
}

struct Filesystem {
  std::string mount;  ///< the directory asked about is on this mount: "/", "/boot", "/var"
  std::uint64_t size_bytes = 0;
  std::uint64_t free_bytes = 0;   ///< for an unprivileged writer
  std::uint64_t free_inodes = 0;
  bool read_only = false;
  bool operator==(const Filesystem&) const = default;
};
template <class F>
void fields(F& f, Filesystem& s) {
  f("mount", s.mount);
  f("size_bytes", s.size_bytes);
  f("free_bytes", s.free_bytes);
  f("free_inodes", s.free_inodes);
  f("read_only", s.read_only);
}
struct DiskFacts {
  std::vector<Filesystem> filesystems;  ///< those that hold /, /usr, /var, /boot and /tmp, each once
  bool operator==(const DiskFacts&) const = default;
};
template <class F>
void fields(F& f, DiskFacts& d) {
  f("filesystems", d.filesystems);
}

/// The executor's own word about itself.
struct ExecutorFacts {
  std::string version;
  std::optional<std::uint64_t> policy_serial;   ///< of the signed policy in force; absent: none, so it acts on nothing
  std::optional<Instant> policy_expires;
  std::uint64_t last_sequence = 0;              ///< highest order sequence accepted; 0 before the first
  std::optional<std::string> busy_with;         ///< run in progress
  bool frozen = false;                          ///< local root said `prunella freeze`
  bool operator==(const ExecutorFacts&) const = default;
};
template <class F>
void fields(F& f, ExecutorFacts& e) {
  f("version", e.version);
  f("policy_serial", e.policy_serial);
  f("policy_expires", e.policy_expires);
  f("last_sequence", e.last_sequence);
  f("busy_with", e.busy_with);
  f("frozen", e.frozen);
}

enum class Section { kSystem, kPackages, kUpdates, kKernel, kProcesses, kUnits, kDisk, kExecutor };
constexpr std::array<EnumWord<Section>, 8> enum_words(Section) {
  return {{{Section::kSystem, "system"},
           {Section::kPackages, "packages"},
           {Section::kUpdates, "updates"},
           {Section::kKernel, "kernel"},
           {Section::kProcesses, "processes"},
           {Section::kUnits, "units"},
           {Section::kDisk, "disk"},
           {Section::kExecutor, "executor"}}};
}

/// All that is known of a host. A section that never came is absent, which is unknown, and never healthy.
struct HostFacts {
  std::optional<Sensed<SystemFacts>> system;
  std::optional<Sensed<PackageFacts>> packages;
  std::optional<Sensed<UpdateFacts>> updates;
  std::optional<Sensed<KernelFacts>> kernel;
  std::optional<Sensed<ProcessFacts>> processes;
  std::optional<Sensed<UnitFacts>> units;
  std::optional<Sensed<DiskFacts>> disk;
  std::optional<Sensed<ExecutorFacts>> executor;
  bool operator==(const HostFacts&) const = default;
};
template <class F>
void fields(F& f, HostFacts& h) {
  f("system", h.system);
  f("packages", h.packages);
  f("updates", h.updates);
  f("kernel", h.kernel);
  f("processes", h.processes);
  f("units", h.units);
  f("disk", h.disk);
  f("executor", h.executor);
}

// Compiled once, in host_codec.cc.
PRUNELLA_DECLARE_CODEC(Sensed<SystemFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<PackageFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<UpdateFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<KernelFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<ProcessFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<UnitFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<DiskFacts>)
PRUNELLA_DECLARE_CODEC(Sensed<ExecutorFacts>)
PRUNELLA_DECLARE_CODEC(PackageFacts)
PRUNELLA_DECLARE_CODEC(ProcessFacts)
PRUNELLA_DECLARE_CODEC(ExecutorFacts)
PRUNELLA_DECLARE_CODEC(HostFacts)

}  // namespace prunella
