// status, host, finding, patch, cve, why: what is.
#include <algorithm>
#include <set>

#include "apps/cli/handlers.h"
#include "apps/cli/resolve.h"
#include "apps/cli/table.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

constexpr std::size_t kRecentShown = 5;

std::string_view colour_of(Severity severity) {
  switch (severity) {
    case Severity::kCritical:
    case Severity::kHigh: return "31";
    case Severity::kMedium: return "33";
    case Severity::kLow:
    case Severity::kInfo: return "";
  }
  return "";
}

/// Findings of the hosts that --selector names; all without it.
Result<std::vector<FindingView>> findings_of(Session& session, const Invocation& invocation, std::vector<std::pair<std::string, std::string>> query, bool* more) {
  auto findings = session.list<FindingView>("/v1/findings", std::move(query), more);
  if (!findings) return findings;
  auto selector = invocation.option("selector");
  if (!selector) return findings;
  auto hosts = session.list<HostView>("/v1/hosts", {{"selector", *selector}});
  if (!hosts) return std::move(hosts).error();
  std::set<HostId> chosen;
  for (const HostView& host : *hosts) chosen.insert(host.id);
  std::erase_if(*findings, [&](const FindingView& view) { return !chosen.contains(view.finding.host); });
  return findings;
}

template <class T>
Json page_json(const std::vector<T>& items, bool more) {
  Json::Array array;
  for (const T& item : items) array.push_back(to_json(item));
  Json out{Json::Object{}};
  out["items"] = Json(std::move(array));
  if (more) out["more"] = Json(true);
  return out;
}

void say_more(Session& session, bool more) {
  if (more) session.say("there are more: --limit N, or fewer hosts with --selector");
}

std::string certificate_text(const HostView& host, Instant now) {
  if (!host.certificate_expires) return "not known";
  if (*host.certificate_expires <= now) return "expired " + ago(host.certificate_expires, now);
  return "for " + rough(*host.certificate_expires - now);
}

std::string sensed_line(std::string_view what, const std::optional<std::string>& known, const std::optional<std::string>& unknown, bool absent, Instant at, Instant now) {
  std::string left = "  " + std::string(what);
  left.resize(14, ' ');
  if (absent) return left + "not known: the host never told\n";
  if (unknown) return left + "not known: " + shown(*unknown) + " (" + ago(at, now) + ")\n";
  return left + known.value_or("") + " (" + ago(at, now) + ")\n";
}

template <class T, class F>
std::string section(std::string_view what, const std::optional<Sensed<T>>& sensed, Instant now, F text) {
  if (!sensed) return sensed_line(what, {}, {}, true, {}, now);
  std::optional<std::string> known;
  if (sensed->value) known = shown(text(*sensed->value));
  return sensed_line(what, known, sensed->value ? std::nullopt : std::optional(sensed->unknown.value_or("no reason given")), false, sensed->at, now);
}

std::string facts_text(const HostFacts& facts, Instant now) {
  std::string out;
  out += section("system", facts.system, now, [](const SystemFacts& s) {
    return s.os_pretty + ", " + s.arch + ", " + count_text(s.cpus, "CPU", "CPUs") + ", " + bytes_text(s.memory_bytes) + (s.container ? ", in " + *s.container : "");
  });
  out += section("packages", facts.packages, now, [](const PackageFacts& p) {
    auto broken = std::ranges::count_if(p.packages, needs_repair);
    return count_text(p.packages.size(), "package", "packages") + (broken ? ", " + std::to_string(broken) + " half done" : "") + (p.updates_pending ? ", dpkg was interrupted" : "");
  });
  out += section("updates", facts.updates, now, [](const UpdateFacts& u) {
    auto security = std::ranges::count_if(u.updates, [](const Update& update) { return update.security; });
    auto bad = std::ranges::count_if(u.repositories, [](const Repository& repository) { return repository.state != RepositoryState::kOk; });
    return count_text(u.updates.size(), "update", "updates") + ", " + std::to_string(security) + " of them security; " + count_text(u.repositories.size(), "repository", "repositories") +
           (bad ? ", " + std::to_string(bad) + " not usable" : "") + (u.lists_at ? "; lists of " + to_rfc3339(*u.lists_at) : "; lists never fetched");
  });
  out += section("kernel", facts.kernel, now, [](const KernelFacts& k) {
    std::string text = k.running + ", reboot: " + std::string(to_text(k.reboot));
    for (const RebootReason& reason : k.reasons) text += "; " + reason.source + ": " + reason.detail;
    return text;
  });
  out += section("processes", facts.processes, now, [](const ProcessFacts& p) { return count_text(p.stale.size(), "process runs", "processes run") + " old code"; });
  out += section("units", facts.units, now, [](const UnitFacts& u) {
    std::vector<std::string> failed;
    for (const Unit& unit : u.units)
      if (unit.active == "failed") failed.push_back(unit.name);
    return count_text(u.units.size(), "unit", "units") + ", systemd says " + u.system + (failed.empty() ? "" : "; failed: " + join(failed, ", "));
  });
  out += section("disk", facts.disk, now, [](const DiskFacts& d) {
    std::vector<std::string> parts;
    for (const Filesystem& filesystem : d.filesystems) parts.push_back(filesystem.mount + " " + bytes_text(filesystem.free_bytes) + " free" + (filesystem.read_only ? " (read-only)" : ""));
    return join(parts, ", ");
  });
  out += section("executor", facts.executor, now, [](const ExecutorFacts& e) {
    std::string text = e.version + ", policy " + (e.policy_serial ? std::to_string(*e.policy_serial) : std::string("none, so it acts on nothing"));
    if (e.frozen) text += ", FROZEN by root on the host";
    if (e.busy_with) text += ", busy with " + *e.busy_with;
    return text;
  });
  return out;
}

/// Hosts of the command's arguments or of --selector; at least one.
Result<std::vector<HostView>> targets(Session& session, const Invocation& invocation, const std::vector<std::string>& names) {
  auto selector = invocation.option("selector");
  if (selector && !names.empty()) return invalid_input("hosts are named " + quoted(names[0]) + " and selected by " + quoted(*selector) + ": one of both");
  if (!selector && names.empty()) return invalid_input("which hosts? name them, or select them with -l");
  if (selector) {
    auto hosts = session.list<HostView>("/v1/hosts", {{"selector", *selector}});
    if (!hosts) return hosts;
    std::erase_if(*hosts, [](const HostView& host) { return host.state == HostState::kRevoked; });
    if (hosts->empty()) return not_found("no active host matches " + quoted(*selector));
    return hosts;
  }
  std::vector<HostView> out;
  for (const std::string& name : names) {
    auto host = find_host(session, name);
    if (!host) return std::move(host).error();
    out.push_back(std::move(host->host));
  }
  return out;
}

std::string names_of(const std::vector<HostView>& hosts) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < hosts.size() && i < kShown; ++i) names.push_back(shown(hosts[i].id.text()));
  return join(names, ", ") + (hosts.size() > kShown ? " and " + std::to_string(hosts.size() - kShown) + " more" : "");
}

}  // namespace

Result<HostDetail> find_host(Session& session, const std::string& name) {
  if (auto named = check_name("a host", name); !named) return std::move(named).error();
  auto exact = session.get<HostDetail>(target_of("/v1/hosts/", name));
  if (exact || exact.error().kind() != ErrorKind::kNotFound) return exact;
  // A person says the name; the id has four more digits.
  auto page = session.get<Page<HostView>>(target("/v1/hosts", {{"selector", "host:" + name + "*"}, {"limit", "20"}}));
  if (!page) return std::move(page).error();
  std::vector<std::string> same;
  std::vector<std::string> near;
  for (const HostView& host : page->items) {
    near.push_back(host.id.text());
    if (host.name == name) same.push_back(host.id.text());
  }
  if (same.size() == 1) return session.get<HostDetail>(target_of("/v1/hosts/", same[0]));
  if (same.size() > 1) return conflict(quoted(name) + " is the name of " + std::to_string(same.size()) + " hosts: say " + join(same, " or "));
  return not_found("there is no host " + quoted(name) + (near.empty() ? ": prunella host ls shows those that are there" : "; there are " + join(near, ", ")));
}

Result<HostId> find_host_id(Session& session, const std::string& name) {
  auto host = find_host(session, name);
  if (!host) return std::move(host).error();
  return host->host.id;
}

ExitCode run_status(Session& session, const Invocation&) {
  auto status = session.get<StatusView>("/v1/status");
  if (!status) return session.fail(status.error());
  if (session.print_json(to_json(*status))) return ExitCode::kOk;
  if (session.form() == Form::kNames) {
    session.print(shown(status->sentence) + "\n");
    return ExitCode::kOk;
  }
  if (session.form() == Form::kPlain) {
    Table table({"POSTURE", "HOSTS"});
    for (const Tile& tile : status->tiles) table.add({std::string(to_text(tile.posture)), std::to_string(tile.hosts)});
    session.print(table.text(session));
    return ExitCode::kOk;
  }
  std::string out = session.bold(shown(status->sentence)) + "\n";
  if (status->hosts > 0) {
    out += "\n";
    for (const Tile& tile : status->tiles) {
      std::string count = std::to_string(tile.hosts);
      std::string sign(sign_of(tile.posture));
      sign.resize(5, ' ');
      std::string line = "  " + sign + std::string(count.size() < 6 ? 6 - count.size() : 0, ' ') + count + "  " + std::string(to_text(tile.posture));
      out += (tile.hosts ? session.styled(line, colour_of(tile.posture)) : line) + "\n";
    }
    out += "\n" + count_text(status->findings_open, "finding is open", "findings are open") + "; the changelogs read so far name " + count_text(status->cves_open, "CVE", "CVEs") + ".\n";
  }
  if (!status->waiting.empty()) {
    out += "\nWaits for you:\n";
    for (const std::string& line : status->waiting) out += "  - " + shown(line) + "\n";
  }
  if (!status->recent.empty()) {
    out += "\nDone last:\n";
    for (std::size_t i = 0; i < status->recent.size() && i < kRecentShown; ++i) out += "  - " + shown(status->recent[i]) + "\n";
  }
  session.print(out);
  session.next(status->next);
  return ExitCode::kOk;
}

ExitCode run_host_ls(Session& session, const Invocation& invocation) {
  bool more = false;
  auto hosts = session.list<HostView>("/v1/hosts", {{"selector", invocation.option("selector").value_or("")}}, &more);
  if (!hosts) return session.fail(hosts.error());
  if (session.print_json(page_json(*hosts, more))) return hosts->empty() ? ExitCode::kNothing : ExitCode::kOk;
  Instant now = session.now();
  Table table({"HOST", "POSTURE", "FINDINGS", "CVES", "REBOOT", "SEEN", "OS"});
  for (const HostView& host : *hosts) {
    std::string posture = host.state == HostState::kRevoked ? "revoked" : std::string(to_text(host.posture));
    table.add({host.id.text(), posture, std::to_string(host.findings_open), std::to_string(host.cves_open), host.reboot ? std::string(to_text(*host.reboot)) : "unknown",
               ago(host.last_seen, now), host.os.value_or("unknown")},
              std::string(colour_of(host.posture)));
  }
  if (!hosts->empty() || !session.is_text()) session.print(table.text(session));
  say_more(session, more);
  if (hosts->empty()) {
    session.say(invocation.has("selector") ? "no host matches " + quoted(*invocation.option("selector")) : "no host is enrolled");
    session.next(invocation.has("selector") ? "prunella host ls" : "prunella enroll --print");
    return ExitCode::kNothing;
  }
  auto worst = std::ranges::find_if(*hosts, [](const HostView& host) { return host.posture == PostureState::kBroken || host.posture == PostureState::kNeedsUpdate; });
  session.next(worst == hosts->end() ? "prunella host show " + hosts->front().id.text() : "prunella why " + worst->id.text());
  return ExitCode::kOk;
}

ExitCode run_host_show(Session& session, const Invocation& invocation) {
  auto detail = find_host(session, invocation.arguments[0]);
  if (!detail) return session.fail(detail.error());
  if (session.print_json(to_json(*detail))) return ExitCode::kOk;
  const HostView& host = detail->host;
  Instant now = session.now();
  if (session.form() == Form::kNames) {
    session.print(host.id.text() + "\n");
    return ExitCode::kOk;
  }
  std::string out = session.bold(shown(host.id.text())) + ": " + session.styled(shown(host.sentence), colour_of(host.posture)) + "\n\n";
  auto row = [&](std::string_view what, const std::string& text) {
    std::string left = "  " + std::string(what);
    left.resize(14, ' ');
    out += left + text + "\n";
  };
  row("state", std::string(to_text(host.state)) + ", " + std::string(to_text(host.posture)));
  row("seen", ago(host.last_seen, now) + ", enrolled " + to_rfc3339(host.enrolled).substr(0, 10));
  std::vector<std::string> labels;
  for (const auto& [key, value] : host.labels) labels.push_back(shown(key + "=" + value));
  row("labels", labels.empty() ? "none" : join(labels, " "));
  row("agent", shown(host.agent_version) + ", certificate " + certificate_text(host, now));
  if (host.clock_skew_ms) row("clock", std::to_string(*host.clock_skew_ms) + " ms from the control plane's");
  out += "\n" + facts_text(detail->facts, now);
  if (!detail->findings.empty()) {
    out += "\nFindings:\n";
    for (const FindingView& view : detail->findings) {
      std::string severity(to_text(view.finding.severity));
      out += "  " + session.styled(severity, colour_of(view.finding.severity)) + std::string(severity.size() < 10 ? 10 - severity.size() : 1, ' ') + shown(view.finding.summary) + " (" +
             ago(view.opened, now) + ")\n";
    }
  }
  session.print(out);
  session.next("prunella why " + host.id.text() + (detail->findings.empty() ? "" : " " + detail->findings[0].finding.subject));
  return ExitCode::kOk;
}

ExitCode run_host_refresh(Session& session, const Invocation& invocation) {
  auto hosts = targets(session, invocation, invocation.arguments);
  if (!hosts) return session.fail(hosts.error());
  if (hosts->size() > 1) {
    auto agreed = session.confirm("Ask " + count_text(hosts->size(), "host", "hosts") + " to look at everything afresh (" + names_of(*hosts) + ")?");
    if (!agreed) return session.fail(agreed.error());
    if (!*agreed) return session.fail(ExitCode::kPrecondition, "not done");
  }
  std::size_t done = 0;
  std::optional<Error> failed;
  for (const HostView& host : *hosts) {
    auto answer = session.send_json("POST", target_of("/v1/hosts/", host.id.text(), "/refresh"), std::nullopt);
    if (answer) ++done;
    else if (!failed) failed = answer.error().during(host.id.text());
  }
  if (failed) {
    session.fail(*failed);
    return done ? ExitCode::kPartly : exit_code_of(failed->kind());
  }
  session.print_json(Json(Json::Object{{"asked", Json(done)}}));
  session.say(count_text(done, "host is", "hosts are") + " asked; what they see comes within a minute");
  session.next(hosts->size() == 1 ? "prunella host show " + hosts->front().id.text() : "prunella host ls");
  return ExitCode::kOk;
}

ExitCode run_host_label(Session& session, const Invocation& invocation) {
  std::vector<std::string> names;
  std::map<std::string, std::optional<std::string>> changes;
  for (const std::string& word : invocation.arguments) {
    std::size_t equal = word.find('=');
    if (equal != std::string::npos && equal > 0) changes[word.substr(0, equal)] = word.substr(equal + 1);
    else if (word.size() > 1 && word.ends_with('-')) changes[word.substr(0, word.size() - 1)] = std::nullopt;
    else names.push_back(word);
  }
  if (changes.empty()) return session.fail(invalid_input("no label: key=value sets one, key- takes it away"));
  for (const auto& [key, value] : changes)
    if (auto named = check_name("a label", key); !named) return session.fail(named.error());
  auto hosts = targets(session, invocation, names);
  if (!hosts) return session.fail(hosts.error());
  if (hosts->size() > 1) {
    auto agreed = session.confirm("Change labels of " + count_text(hosts->size(), "host", "hosts") + " (" + names_of(*hosts) + ")?");
    if (!agreed) return session.fail(agreed.error());
    if (!*agreed) return session.fail(ExitCode::kPrecondition, "not done");
  }
  std::size_t done = 0;
  std::optional<Error> failed;
  std::vector<HostView> after;
  for (const HostView& host : *hosts) {
    auto labels = host.labels;
    for (const auto& [key, value] : changes) {
      if (value) labels[key] = *value;
      else labels.erase(key);
    }
    auto changed = session.send<HostView>("PUT", target_of("/v1/hosts/", host.id.text(), "/labels"), labels);
    if (changed) {
      ++done;
      after.push_back(*std::move(changed));
    } else if (!failed) {
      failed = changed.error().during(host.id.text());
    }
  }
  if (failed) {
    session.fail(*failed);
    return done ? ExitCode::kPartly : exit_code_of(failed->kind());
  }
  if (session.print_json(page_json(after, false))) return ExitCode::kOk;
  session.say(count_text(done, "host has", "hosts have") + " the labels");
  session.next("prunella host ls -l '" + changes.begin()->first + ":" + changes.begin()->second.value_or("*") + "'");
  return ExitCode::kOk;
}

ExitCode run_host_revoke(Session& session, const Invocation& invocation) {
  auto hosts = targets(session, invocation, invocation.arguments);
  if (!hosts) return session.fail(hosts.error());
  auto agreed = session.confirm("Revoke " + names_of(*hosts) + "? It gets no orders and its reports are refused from then on; there is no undo save enrolling it anew.");
  if (!agreed) return session.fail(agreed.error());
  if (!*agreed) return session.fail(ExitCode::kPrecondition, "not revoked");
  for (const HostView& host : *hosts) {
    auto revoked = session.post<HostView>(target_of("/v1/hosts/", host.id.text(), "/revoke"));
    if (!revoked) return session.fail(revoked.error());
    if (!session.print_json(to_json(*revoked))) session.say(shown(revoked->id.text()) + " is revoked");
  }
  session.next("prunella enroll --print --name " + hosts->front().name);
  return ExitCode::kOk;
}

ExitCode run_finding_ls(Session& session, const Invocation& invocation) {
  bool more = false;
  std::string host;
  if (auto name = invocation.option("host")) {
    auto id = find_host_id(session, *name);
    if (!id) return session.fail(id.error());
    host = id->text();
  }
  auto findings = findings_of(session, invocation, {{"host", host}, {"kind", invocation.option("kind").value_or("")}, {"state", invocation.option("state").value_or("")}}, &more);
  if (!findings) return session.fail(findings.error());
  std::ranges::stable_sort(*findings, [](const FindingView& a, const FindingView& b) { return a.finding.severity > b.finding.severity; });
  if (session.print_json(page_json(*findings, more))) return findings->empty() ? ExitCode::kNothing : ExitCode::kOk;
  Instant now = session.now();
  Table table({"FINDING", "SEVERITY", "HOST", "KIND", "SINCE", "WHAT"});
  for (const FindingView& view : *findings)
    table.add({view.finding.id.text(), std::string(to_text(view.finding.severity)), view.finding.host.text(), std::string(to_text(view.finding.kind)),
               ago(view.opened, now) + (view.state == "cleared" ? ", cleared" : ""), view.finding.summary},
              std::string(colour_of(view.finding.severity)));
  if (!findings->empty() || !session.is_text()) session.print(table.text(session));
  say_more(session, more);
  if (findings->empty()) {
    session.say("nothing was found" + std::string(invocation.has("host") || invocation.has("kind") || invocation.has("selector") ? " that matches" : ""));
    session.next("prunella status");
    return ExitCode::kNothing;
  }
  const Finding& first = findings->front().finding;
  session.next("prunella why " + first.host.text() + " " + first.subject);
  return ExitCode::kOk;
}

ExitCode run_patch_ls(Session& session, const Invocation& invocation) {
  bool more = false;
  auto findings = findings_of(session, invocation, {{"kind", "missing-security-update"}}, &more);
  if (!findings) return session.fail(findings.error());
  if (session.print_json(page_json(*findings, more))) return findings->empty() ? ExitCode::kNothing : ExitCode::kOk;
  struct Patch {
    Severity severity = Severity::kInfo;
    std::set<std::string> hosts, cves;
    std::map<Exposure, std::size_t> exposures;
  };
  std::map<std::string, Patch> patches;
  for (const FindingView& view : *findings) {
    Patch& patch = patches[view.finding.subject];
    patch.severity = std::max(patch.severity, view.finding.severity);
    patch.hosts.insert(view.finding.host.text());
    patch.cves.insert(view.finding.cves.begin(), view.finding.cves.end());
    ++patch.exposures[view.finding.exposure];
  }
  std::vector<std::pair<std::string, Patch>> sorted(patches.begin(), patches.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) {
    return std::pair(a.second.severity, a.second.hosts.size()) > std::pair(b.second.severity, b.second.hosts.size());
  });
  Table table({"SOURCE", "SEVERITY", "HOSTS", "CVES", "STATE"});
  for (const auto& [source, patch] : sorted) {
    std::vector<std::string> states;
    for (const auto& [exposure, count] : patch.exposures) states.push_back(std::string(to_text(exposure)) + (patch.exposures.size() > 1 ? " on " + std::to_string(count) : ""));
    std::string cves = std::to_string(patch.cves.size());
    if (!patch.cves.empty()) cves += " (" + *patch.cves.rbegin() + (patch.cves.size() > 1 ? ", ..." : "") + ")";
    table.add({source, std::string(to_text(patch.severity)), std::to_string(patch.hosts.size()), cves, join(states, ", ")}, std::string(colour_of(patch.severity)));
  }
  if (!sorted.empty() || !session.is_text()) session.print(table.text(session));
  say_more(session, more);
  if (sorted.empty()) {
    session.say("no security update is missing, as far as hosts told");
    session.next("prunella status");
    return ExitCode::kNothing;
  }
  session.next("prunella plan -l " + std::string(invocation.has("selector") ? "'" + *invocation.option("selector") + "'" : "all"));
  return ExitCode::kOk;
}

ExitCode run_cve_show(Session& session, const Invocation& invocation) {
  std::string cve = invocation.arguments[0];
  std::ranges::transform(cve, cve.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  bool more = false;
  auto findings = findings_of(session, invocation, {{"cve", cve}, {"state", "all"}}, &more);
  if (!findings) return session.fail(findings.error());
  if (session.print_json(page_json(*findings, more))) return findings->empty() ? ExitCode::kNothing : ExitCode::kOk;
  Instant now = session.now();
  Table table({"HOST", "STATE", "SOURCE", "EXPOSURE", "SINCE", "WHAT"});
  std::size_t open = 0;
  for (const FindingView& view : *findings) {
    open += view.state == "open";
    table.add({view.finding.host.text(), view.state, view.finding.subject, std::string(to_text(view.finding.exposure)), ago(view.state == "open" ? view.opened : view.cleared, now),
               view.finding.summary},
              view.state == "open" ? std::string(colour_of(view.finding.severity)) : std::string());
  }
  if (!findings->empty() || !session.is_text()) session.print(table.text(session));
  say_more(session, more);
  if (findings->empty()) {
    session.say("no host's missing updates name " + shown(cve) + "; that is not a proof that none is affected, only that no update that fixes it is missing");
    return ExitCode::kNothing;
  }
  session.say(shown(cve) + " is open on " + count_text(open, "host", "hosts") + " and was fixed on " + std::to_string(findings->size() - open));
  session.next(open ? "prunella why " + findings->front().finding.host.text() + " " + cve : "prunella status");
  return ExitCode::kOk;
}

ExitCode run_why(Session& session, const Invocation& invocation) {
  auto id = find_host_id(session, invocation.arguments[0]);
  if (!id) return session.fail(id.error());
  std::string subject = invocation.arguments.size() > 1 ? invocation.arguments[1] : "";
  auto explanation = session.get<Explanation>(target(target_of("/v1/why/", id->text()), {{"subject", subject}}));
  if (!explanation) return session.fail(explanation.error());
  if (session.print_json(to_json(*explanation))) return ExitCode::kOk;
  std::string out = session.bold(shown(explanation->verdict)) + "\n";
  if (!explanation->evidence.empty()) out += "\n";
  for (std::size_t i = 0; i < explanation->evidence.size(); ++i) {
    const EvidenceLine& line = explanation->evidence[i];
    out += "  [" + std::to_string(i + 1) + "] " + shown(line.text) + "\n      " + shown(line.source) + (line.at ? ", " + ago(line.at, session.now()) : "") + "\n";
  }
  if (!explanation->would_change.empty()) out += "\nWhat would change it:\n";
  for (const std::string& line : explanation->would_change) out += "  - " + shown(line) + "\n";
  session.print(out);
  session.next("prunella host show " + id->text());
  return ExitCode::kOk;
}

}  // namespace prunella::cli
