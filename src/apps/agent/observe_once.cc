#include "apps/agent/observe_once.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "adapters/linux/host.h"
#include "adapters/linux/programs.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/apt_worker.h"
#include "apps/agent/observer.h"
#include "apps/agent/status.h"
#include "match/findings.h"

namespace prunella::agent {

namespace {

/// `prunella-agent observe --json`.
struct Observation {
  Posture posture;
  std::vector<Finding> findings;
  HostFacts facts;
};
template <class F>
void fields(F& f, Observation& o) {
  f("posture", o.posture);
  f("findings", o.findings);
  f("facts", o.facts);
}

Sensed<UpdateFacts> look_at_updates(const Places& places, const HostFacts& facts, Lists lists) {
  SystemClock clock;
  auto unknown = [&](std::string why) { return not_sensed<UpdateFacts>(std::move(why), clock.now()); };
  if (!facts.packages->value) return unknown("dpkg's database could not be read");
  LinuxPrograms programs;
  AptPlaces apt;
  apt.directory = places.apt();
  for (const std::string& directory : {places.state_dir, places.stage()})
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return unknown(directory + ": " + std::strerror(errno));
  auto view = AptView::open(apt, programs);
  if (!view) return unknown(view.error().text());
  if (lists == Lists::kFetch) {
    std::fprintf(stderr, "fetching package lists into %s\n", apt.directory.c_str());
    if (auto fetched = view->refresh(clock.now()); !fetched) std::fprintf(stderr, "prunella-agent: %s\n", fetched.error().text().c_str());
  }
  std::string codename = facts.system && facts.system->value ? facts.system->value->os_codename : "";
  auto updates = view->simulate(*facts.packages->value, codename, debian_order());
  if (!updates) return unknown(updates.error().text());
  (void)view->study(*updates, *facts.packages->value, debian_order(), places.stage(), lists == Lists::kFetch ? std::min(kPrefetchBytesDefault, spare_bytes(places.stage())) : 0);
  return sensed(*std::move(updates), clock.now());
}

}  // namespace

int observe_once(const Places& places, Output output, Lists lists) {
  SystemClock clock;
  HostFacts facts;
  facts.packages = look_at_packages_once();
  facts.system = look_at_system(facts.packages->value);
  facts.kernel = sensed(sense_kernel("", facts.packages->value), clock.now());
  facts.disk = look_at_disk_once();
  auto units = UnitBus(clock).units();
  facts.units = units ? sensed(*std::move(units), clock.now()) : not_sensed<UnitFacts>(units.error().text(), clock.now());
  facts.processes = look_at_processes_once("this is a look without an executor");
  facts.updates = look_at_updates(places, facts, lists);
  facts.executor = not_sensed<ExecutorFacts>("this is a look without an executor", clock.now());
  Observation seen;
  HostId host(facts.system->value ? facts.system->value->hostname : "this-host");
  for (Finding& finding : findings_of(host, facts, clock.now()))
    // That no executor was asked is how this look is made, and no breach.
    if (!(finding.kind == FindingKind::kUnknown && finding.subject == to_text(Section::kExecutor))) seen.findings.push_back(std::move(finding));
  seen.posture = posture_of(seen.findings, clock.now(), clock.now());
  seen.facts = std::move(facts);
  if (output == Output::kJson)
    std::printf("%s\n", to_pretty(to_json(seen)).c_str());
  else
    std::printf("%s", posture_text(seen.posture, seen.findings, section_views(seen.facts)).c_str());
  return seen.facts.packages->value && seen.facts.system->value ? 0 : 1;
}

}  // namespace prunella::agent
