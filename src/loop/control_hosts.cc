// The control plane's ear: reports of hosts become facts, findings, run outcomes and inputs of rollouts.
#include <algorithm>
#include <set>

#include "loop/control_ingest.h"
#include "loop/control_plane.h"
#include "match/findings.h"

namespace prunella {

bool ControlPlane::is_silent(Instant heard, Instant now) const {
  // A moment in the future says nothing about how long ago it was: our clock went back, and the next report tells.
  constexpr Duration kClockStepMax = std::chrono::seconds(5);
  return now - heard > options_.stale_after || heard - now > kClockStepMax;
}

std::optional<Instant> ControlPlane::last_seen(const HostRow& row) const {
  auto heard = last_seen_.find(row.id);
  if (heard != last_seen_.end()) return heard->second;
  return row.last_seen;
}

void ControlPlane::heard(const HostId& id, Instant now) {
  last_seen_[id] = now;
  last_seen_unsaved_.insert(id);
}

Status ControlPlane::save_last_seen(Instant now) {
  Duration since = now - last_seen_saved_;  // below zero: our clock went back
  if (last_seen_unsaved_.empty() || (since >= Duration(0) && since < options_.last_seen_checkpoint)) return {};
  std::vector<HostId> batch;
  for (const HostId& id : last_seen_unsaved_)
    if (batch.size() < kLastSeenBatch) batch.push_back(id);
  auto saved = in_transaction([&]() -> Status {
    for (const HostId& id : batch)
      if (auto done = store_.save_last_seen(id, last_seen_.at(id)); !done) return done;
    return {};
  });
  if (!saved) return saved;
  for (const HostId& id : batch) last_seen_unsaved_.erase(id);
  if (last_seen_unsaved_.empty()) last_seen_saved_ = now;
  return {};
}

HostView ControlPlane::view_of(const HostRow& row, Instant now) const {
  HostView view;
  view.id = row.id;
  view.name = row.name;
  view.state = row.state;
  view.labels = row.labels;
  view.os = row.notes.os;
  view.kernel = row.notes.kernel;
  view.enrolled = row.enrolled;
  view.agent_version = row.notes.agent_version;
  view.findings_open = row.notes.findings_open;
  view.cves_open = row.notes.cves_open.size();
  view.reboot = row.notes.reboot;
  view.clock_skew_ms = row.notes.clock_skew_ms;
  view.last_seen = last_seen(row);
  view.posture = row.notes.posture;
  view.sentence = row.notes.sentence;
  if (row.state == HostState::kRevoked) {
    view.posture = PostureState::kUnknown;
    view.sentence = "revoked: nothing that it says is taken";
  } else if (!view.last_seen) {
    view.posture = PostureState::kUnknown;
    view.sentence = "it has not reported yet";
  } else if (is_silent(*view.last_seen, now)) {
    // Rule 7: what was healthy when it was last heard is not healthy now.
    view.posture = PostureState::kStale;
    view.sentence = "silent since " + to_rfc3339(*view.last_seen) + "; before that: " + row.notes.sentence;
  } else if (auto work = at_work_.find(row.id); work != at_work_.end()) {
    // What is half installed in the middle of an upgrade is a fact, and no alarm.
    view.sentence = work->second.text() + " is at work on it; now: " + row.notes.sentence;
  }
  return view;
}

Result<HostView> ControlPlane::view_of(const HostId& id, Instant now) {
  auto row = store_.host(id);
  if (!row) return std::move(row).error();
  HostView view = view_of(*row, now);
  auto expiry = store_.certificate_expiry(id);
  if (!expiry) return std::move(expiry).error();
  view.certificate_expires = *expiry;
  return view;
}

Result<ReportAnswer> ControlPlane::receive(const HostId& id, const Report& report, Instant now) {
  if (report.events.size() > kReportEventsMax)
    return exhausted("a report of " + std::to_string(report.events.size()) + " events, at most " + std::to_string(kReportEventsMax));
  if (report.instance.empty() || report.instance.size() > 64) return invalid_input("a report's instance must have 1 to 64 characters");
  std::optional<Ingest> taken;
  auto answer = in_transaction([&]() -> Result<ReportAnswer> {
    Ingest in;
    in.now = now;
    auto row = store_.host(id);
    if (!row) return std::move(row).error();
    in.host = *std::move(row);
    auto sources = store_.sources(id);
    if (!sources) return std::move(sources).error();
    in.sources = *std::move(sources);
    bool row_changed = false;
    if (in.host.notes.instance != report.instance) {
      // A new start of the agent numbers its events from 1 again.
      if (auto forgot = store_.forget_sources(id); !forgot) return std::move(forgot).error();
      in.sources.clear();
      in.host.notes.instance = report.instance;
      row_changed = true;
    }
    if (auto version = cut_text(report.agent_version, kAgentVersionBytesMax); in.host.notes.agent_version != version) in.host.notes.agent_version = version, row_changed = true;
    if (in.host.notes.dropped != report.dropped) in.host.notes.dropped = report.dropped, row_changed = true;
    std::int64_t skew = (report.sent - now).count();
    // Travel time and rounding make the skew tremble; a second is what a person cares about.
    if (!in.host.notes.clock_skew_ms || std::abs(*in.host.notes.clock_skew_ms - skew) > 1000) {
      bool was_off = in.host.notes.clock_skew_ms && Duration(std::abs(*in.host.notes.clock_skew_ms)) > kClockSkewFound;
      in.host.notes.clock_skew_ms = skew, row_changed = true;
      if (was_off || Duration(std::abs(skew)) > kClockSkewFound) in.facts_changed = true;  // a finding opens, changes or clears
    }

    for (const Event& event : report.events)
      if (auto done = take_event(in, event); !done) return std::move(done).error();
    if (in.facts_changed) {
      if (auto found = find(in); !found) return std::move(found).error();
      row_changed = true;
    }
    if (row_changed || !in.host.last_seen) {
      in.host.last_seen = now;
      if (auto saved = store_.save_host(in.host); !saved) return std::move(saved).error();
      changed("host", id.text());
    }
    for (const std::string& source : in.sources_changed)
      if (auto saved = store_.save_source(id, source, in.sources[source], now); !saved) return std::move(saved).error();
    for (const RunOutcome& outcome : in.outcomes)
      if (auto done = take_outcome(in, outcome); !done) return std::move(done).error();
    if (auto done = take_health(in); !done) return std::move(done).error();

    ReportAnswer out;
    out.now = now;
    out.heartbeat_seconds = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(options_.heartbeat).count());
    for (const auto& [source, state] : in.sources) {
      out.received[source] = state.last_sequence;
      if (state.resync) out.resync.push_back(source);
    }
    return out;
  });
  if (answer) heard(id, now);
  return answer;
}

Status ControlPlane::take_event(Ingest& in, const Event& event) {
  if (event.source.empty() || event.source.size() > 32) return invalid_input("an event of the source " + quoted(event.source));
  if (in.sources.size() > 32 && !in.sources.contains(event.source)) return exhausted("a host with more than 32 sources of events");
  SourceRow& source = in.sources[event.source];
  if (event.sequence <= source.last_sequence) return {};  // it came before: an answer of ours was lost
  bool gap = event.sequence != source.last_sequence + 1;
  source.last_sequence = event.sequence;
  in.sources_changed.insert(event.source);
  if (gap) {
    AuditSubject subject;
    subject.host = in.host.id;
    if (auto noted = note("control-plane", "events.gap", subject,
                          "events of " + quoted(event.source) + " before number " + std::to_string(event.sequence) + " never came; asking for the whole section", in.now);
        !noted)
      return noted;
  }
  if (event.type == kEventSection) {
    source.resync = false;
    return take_section(in, event);
  }
  if (event.type == kEventPackagesDelta) return take_packages_delta(in, event, gap);
  if (gap) source.resync = false;  // runs and notices are kept by the agent until they are acknowledged: nothing to ask for
  if (event.type == kEventProgress) {
    auto progress = from_json<RunProgress>(event.data, UnknownKeys::kIgnore);
    if (!progress) return std::move(progress).error().during("a run's progress");
    return take_progress(in, *progress);
  }
  if (event.type == kEventOutcome) {
    auto outcome = from_json<RunOutcome>(event.data, UnknownKeys::kIgnore);
    if (!outcome) return std::move(outcome).error().during("a run's outcome");
    // A host speaks for itself only, whatever the document says.
    if (outcome->host != in.host.id) return denied("an outcome for the host " + quoted(outcome->host.text()) + " from " + in.host.id.text());
    in.outcomes.push_back(*std::move(outcome));
    return {};
  }
  if (event.type == kEventNotice) {
    auto notice = from_json<Notice>(event.data, UnknownKeys::kIgnore);
    if (!notice) return std::move(notice).error().during("a notice");
    if (auto named = check_name("a notice's kind", notice->kind); !named) return named;
    AuditSubject subject;
    subject.host = in.host.id;
    return note("host:" + in.host.id.text(), "notice." + notice->kind, subject, std::string(cut_text(notice->text, kAuditSentenceBytesMax)), in.now);
  }
  return {};  // a newer agent's event that we don't know: numbered, not understood
}

Status ControlPlane::take_section(Ingest& in, const Event& event) {
  auto section = parse_word<Section>(event.source);
  if (!section) return {};  // a newer agent's section that we don't know: numbered, not understood
  if (auto loaded = load_facts(in); !loaded) return loaded;
  auto take = [&]<class T>(std::optional<Sensed<T>>& into) -> Status {
    auto value = from_json<Sensed<T>>(event.data, UnknownKeys::kIgnore);
    if (!value) return std::move(value).error().during("the section " + event.source);
    if (value->known() == value->unknown.has_value()) return invalid_input("the section " + event.source + " must have either a value or a reason why it's unknown");
    if (auto saved = store_.save_section(in.host.id, *section, event.sequence, *value); !saved) return saved;
    into = *std::move(value);
    in.facts_changed = true;
    return {};
  };
  switch (*section) {
    case Section::kSystem: return take(in.facts.system);
    case Section::kPackages: return take(in.facts.packages);
    case Section::kUpdates: return take(in.facts.updates);
    case Section::kKernel: return take(in.facts.kernel);
    case Section::kProcesses: return take(in.facts.processes);
    case Section::kUnits: return take(in.facts.units);
    case Section::kDisk: return take(in.facts.disk);
    case Section::kExecutor: return take(in.facts.executor);
  }
  return {};
}

Status ControlPlane::take_packages_delta(Ingest& in, const Event& event, bool gap) {
  auto delta = from_json<PackagesDelta>(event.data, UnknownKeys::kIgnore);
  if (!delta) return std::move(delta).error().during("a change of packages");
  SourceRow& source = in.sources[event.source];
  if (!in.facts_loaded) {
    auto facts = store_.facts(in.host.id);
    if (!facts) return std::move(facts).error();
    in.facts = *std::move(facts);
    in.facts_loaded = true;
  }
  if (gap || source.resync || !in.facts.packages || !in.facts.packages->known()) {
    source.resync = true;
    return {};
  }
  Sensed<PackageFacts> after = *in.facts.packages;
  std::map<PackageName, Package> by_name;
  for (Package& package : after.value->packages) by_name[package.package] = std::move(package);
  for (const PackageName& gone : delta->gone) by_name.erase(gone);
  for (const Package& changed_package : delta->changed) by_name[changed_package.package] = changed_package;
  after.value->packages.clear();
  for (auto& [name, package] : by_name) after.value->packages.push_back(std::move(package));
  after.value->updates_pending = delta->updates_pending;
  after.at = delta->at;
  if (sha256(to_canonical_text(*after.value)) != delta->digest) {
    // We disagree about what was before: the whole list is the cure. A newer agent, whose digest is over keys that we don't know,
    // comes here with every change: a list each time until we are upgraded, where refusing its reports would make the host stale.
    source.resync = true;
    return {};
  }
  if (auto saved = store_.save_section(in.host.id, Section::kPackages, event.sequence, after); !saved) return saved;
  in.facts.packages = std::move(after);
  in.facts_changed = true;
  return {};
}

Status ControlPlane::load_facts(Ingest& in) {
  if (!in.facts_loaded) {
    auto facts = store_.facts(in.host.id);
    if (!facts) return std::move(facts).error();
    in.facts = *std::move(facts);
    in.facts_loaded = true;
  }
  return {};
}

Status ControlPlane::find(Ingest& in) {
  if (auto loaded = load_facts(in); !loaded) return loaded;
  auto before = store_.open_findings(in.host.id);
  if (!before) return std::move(before).error();
  std::vector<Finding> old_findings;
  for (const FindingView& view : *before) old_findings.push_back(view.finding);
  Knowledge knowledge;
  if (in.host.notes.clock_skew_ms) knowledge.clock_skew = Duration(*in.host.notes.clock_skew_ms);
  std::vector<Finding> findings = findings_of(in.host.id, in.facts, in.now, knowledge);
  FindingsDiff diff = diff_findings(old_findings, findings);
  auto say = [&](const Finding& finding, std::string_view kind, std::string why) {
    AuditSubject subject;
    subject.host = in.host.id;
    subject.finding = finding.id;
    changed("finding", finding.id.text());
    return note("host:" + in.host.id.text(), kind, subject, std::move(why), in.now);
  };
  for (const Finding& finding : diff.opened) {
    if (auto saved = store_.open_finding(finding, in.now); !saved) return saved;
    if (auto said = say(finding, "finding.opened", finding.summary); !said) return said;
  }
  for (const auto& [earlier, finding] : diff.changed)
    if (auto saved = store_.change_finding(finding, in.now); !saved) return saved;
  for (const Finding& finding : diff.cleared) {
    if (auto saved = store_.clear_finding(finding.id, in.now); !saved) return saved;
    if (auto said = say(finding, "finding.cleared", finding.clears_when); !said) return said;
  }
  HostNotes& notes = in.host.notes;
  Posture posture = posture_of(findings, in.now, in.now);
  notes.posture = posture.state;
  notes.sentence = posture.sentence;
  notes.findings_open = findings.size();
  std::set<std::string> cves;
  for (const Finding& finding : findings) cves.insert(finding.cves.begin(), finding.cves.end());
  notes.cves_open.assign(cves.begin(), cves.end());
  if (in.facts.system && in.facts.system->known()) notes.os = in.facts.system->value->os_pretty;
  if (in.facts.kernel && in.facts.kernel->known()) {
    notes.kernel = in.facts.kernel->value->running;
    notes.reboot = in.facts.kernel->value->reboot;
  }
  return {};
}

Status ControlPlane::take_progress(Ingest& in, const RunProgress& progress) {
  auto run = store_.run(progress.run);
  if (!run) return run.error().kind() == ErrorKind::kNotFound ? Status() : std::move(run).error();  // a standing rule's own run is told at its end
  if (run->host != in.host.id) return denied("the run " + progress.run.text() + " is another host's");
  if (is_end(run->state)) return {};
  bool new_state = run->state != progress.state;
  progress_[progress.run] = progress;
  at_work_.insert_or_assign(in.host.id, progress.run);
  changed("run", progress.run.text(), progress);
  if (!new_state) return {};  // percents stay in memory: they come again by themselves
  run->state = is_end(progress.state) ? run->state : progress.state;
  run->progress = progress;
  return store_.save_run(*run);
}

Result<Directions> ControlPlane::directions(const HostId& id, std::uint64_t after, std::uint64_t policy_serial, Instant now) {
  Directions out;
  auto orders = store_.pending_orders(id, after);
  if (!orders) return std::move(orders).error();
  for (OrderRow& order : *orders)
    if (order.expires > now) out.orders.push_back(std::move(order.envelope));
  auto current = policy();
  if (!current) return std::move(current).error();
  if (*current && (*current)->serial > policy_serial) {
    auto envelope = store_.policy();
    if (!envelope) return std::move(envelope).error();
    out.policy = *std::move(envelope);
  }
  if (auto asked = refresh_.find(id); asked != refresh_.end()) {
    out.refresh = std::move(asked->second);
    refresh_.erase(asked);
  }
  heard(id, now);
  return out;
}

}  // namespace prunella
