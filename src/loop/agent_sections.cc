#include "loop/agent_sections.h"

#include <algorithm>

#include "base/digest.h"

namespace prunella::agent {

namespace {

/// Gives the canonical JSON of `facts` in pieces to `put`. Keys stand in byte order: "packages", "updates_pending".
template <class Put>
void write_packages(const PackageFacts& facts, Put put) {
  put(R"({"packages":[)");
  bool first = true;
  for (const Package& package : facts.packages) {
    if (!first) put(",");
    first = false;
    put(to_canonical_text(package));
  }
  put(facts.updates_pending ? R"(],"updates_pending":true})" : R"(],"updates_pending":false})");
}

}  // namespace

Digest digest_of(const PackageFacts& facts) {
  Sha256 hash;
  write_packages(facts, [&](std::string_view piece) { hash.add(as_bytes(piece)); });
  return hash.finish();
}

namespace {

std::string packages_data(const Sensed<PackageFacts>& packages) {
  if (!packages.value) return to_canonical_text(packages);
  std::string text = R"({"at":)" + to_canonical(Json(to_rfc3339(packages.at)));
  if (packages.unknown) text += R"(,"unknown":)" + to_canonical(Json(*packages.unknown));
  text += R"(,"value":)";
  write_packages(*packages.value, [&](std::string_view piece) { text += piece; });
  return text + "}";
}

}  // namespace

std::optional<std::string> section_data(const HostFacts& facts, Section section) {
  auto of = [](const auto& value) -> std::optional<std::string> {
    if (!value) return std::nullopt;
    return to_canonical_text(*value);
  };
  switch (section) {
    case Section::kSystem: return of(facts.system);
    case Section::kPackages:
      if (!facts.packages) return std::nullopt;
      return packages_data(*facts.packages);
    case Section::kUpdates: return of(facts.updates);
    case Section::kKernel: return of(facts.kernel);
    case Section::kProcesses: return of(facts.processes);
    case Section::kUnits: return of(facts.units);
    case Section::kDisk: return of(facts.disk);
    case Section::kExecutor: return of(facts.executor);
  }
  return std::nullopt;
}

std::optional<std::string> packages_delta_data(const PackageFacts& base, const PackageFacts& now, Instant at) {
  PackagesDelta delta;
  auto old_one = base.packages.begin();
  for (const Package& package : now.packages) {
    while (old_one != base.packages.end() && old_one->package < package.package) delta.gone.push_back((old_one++)->package);
    if (old_one != base.packages.end() && old_one->package == package.package) {
      if (*old_one != package) delta.changed.push_back(package);
      ++old_one;
    } else {
      delta.changed.push_back(package);
    }
  }
  for (; old_one != base.packages.end(); ++old_one) delta.gone.push_back(old_one->package);
  if (delta.changed.size() * 2 > now.packages.size()) return std::nullopt;
  delta.updates_pending = now.updates_pending;
  delta.at = at;
  delta.digest = digest_of(now);
  return to_canonical_text(delta);
}

std::string event_text(std::string_view instance, std::string_view source, std::uint64_t sequence, std::string_view type, Instant time,
                       std::string_view data) {
  std::string number = std::to_string(sequence);
  std::string id = std::string(instance) + "-" + std::string(source) + "-" + number;
  std::string text = R"({"data":)";
  text.reserve(data.size() + 300);
  text += data;
  text += R"(,"id":)" + to_canonical(Json(id));
  text += R"(,"sequence":)" + number;
  text += R"(,"source":)" + to_canonical(Json(source));
  text += R"(,"specversion":"1.0","time":)" + to_canonical(Json(to_rfc3339(time)));
  text += R"(,"type":)" + to_canonical(Json(type)) + "}";
  return text;
}

Status apply_delta(PackageFacts& facts, const PackagesDelta& delta) {
  PackageFacts next = facts;
  auto place = [&](const PackageName& name) {
    return std::ranges::lower_bound(next.packages, name, {}, [](const Package& p) -> const PackageName& { return p.package; });
  };
  for (const PackageName& name : delta.gone) {
    auto found = place(name);
    if (found != next.packages.end() && found->package == name) next.packages.erase(found);
  }
  for (const Package& package : delta.changed) {
    auto found = place(package.package);
    if (found != next.packages.end() && found->package == package.package)
      *found = package;
    else
      next.packages.insert(found, package);
  }
  next.updates_pending = delta.updates_pending;
  if (digest_of(next) != delta.digest) return conflict("the package list after the change is not the one that the host has");
  facts = std::move(next);
  return {};
}

namespace {

struct Take {
  HostFacts& facts;

  template <class T>
  static bool into(std::optional<Sensed<T>>& place, Sensed<T>&& value) {
    bool changed = !place || place->value != value.value || place->unknown != value.unknown;
    place = std::move(value);
    return changed;
  }
  bool operator()(Sensed<SystemFacts>&& v) { return into(facts.system, std::move(v)); }
  bool operator()(Sensed<PackageFacts>&& v) { return into(facts.packages, std::move(v)); }
  bool operator()(Sensed<UpdateFacts>&& v) { return into(facts.updates, std::move(v)); }
  bool operator()(Sensed<KernelFacts>&& v) { return into(facts.kernel, std::move(v)); }
  bool operator()(Sensed<ProcessFacts>&& v) { return into(facts.processes, std::move(v)); }
  bool operator()(Sensed<UnitFacts>&& v) { return into(facts.units, std::move(v)); }
  bool operator()(Sensed<DiskFacts>&& v) { return into(facts.disk, std::move(v)); }
  bool operator()(Sensed<ExecutorFacts>&& v) { return into(facts.executor, std::move(v)); }
};

}  // namespace

bool take_section(HostFacts& facts, SectionValue value) { return std::visit(Take{facts}, std::move(value)); }

}  // namespace prunella::agent
