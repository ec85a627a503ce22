#include "apps/agent/status.h"

#include <algorithm>

#include "base/text.h"

namespace prunella::agent {

namespace {

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string text_of(const SystemFacts& s) {
  return s.os_pretty + ", " + s.arch + ", " + counted(s.cpus, "CPU", "CPUs") + ", " + bytes_text(s.memory_bytes) + (s.container ? ", in " + *s.container : "");
}
std::string text_of(const PackageFacts& p) {
  auto broken = std::ranges::count_if(p.packages, needs_repair);
  return counted(p.packages.size(), "package", "packages") + (broken > 0 ? ", " + std::to_string(broken) + " in need of repair" : "") +
         (p.updates_pending ? ", dpkg was interrupted" : "");
}
std::string text_of(const UpdateFacts& u) {
  auto security = std::ranges::count_if(u.updates, [](const Update& update) { return update.security; });
  auto blocked = std::ranges::count_if(u.updates, [](const Update& update) { return update.block.has_value(); });
  auto bad = std::ranges::count_if(u.repositories, [](const Repository& repository) { return repository.state != RepositoryState::kOk; });
  return counted(u.updates.size(), "update", "updates") + ", " + std::to_string(security) + " of them for security" +
         (blocked > 0 ? ", " + std::to_string(blocked) + " blocked" : "") + "; " + counted(u.repositories.size(), "repository", "repositories") +
         (bad > 0 ? ", " + std::to_string(bad) + " not usable" : "") + (u.lists_at ? ", lists of " + to_rfc3339(*u.lists_at) : ", lists never fetched");
}
std::string text_of(const KernelFacts& k) {
  std::string text = k.running + ", " + counted(k.installed.size(), "kernel", "kernels") + " installed, reboot needed: " + std::string(to_text(k.reboot));
  for (const RebootReason& reason : k.reasons) text += "; " + reason.source + ": " + reason.detail;
  return text;
}
std::string text_of(const ProcessFacts& p) { return counted(p.stale.size(), "process runs", "processes run") + " code that was replaced on the disk"; }
std::string text_of(const UnitFacts& u) {
  std::string text = counted(u.units.size(), "unit", "units") + ", system is " + u.system;
  std::vector<std::string> failed;
  for (const Unit& unit : u.units)
    if (unit.active == "failed") failed.push_back(unit.name);
  return failed.empty() ? text : text + ", failed: " + join(failed, ", ");
}
std::string text_of(const DiskFacts& d) {
  std::vector<std::string> parts;
  for (const Filesystem& f : d.filesystems) parts.push_back(f.mount + " " + bytes_text(f.free_bytes) + " free of " + bytes_text(f.size_bytes) + (f.read_only ? ", read-only" : ""));
  return join(parts, "; ");
}
std::string text_of(const ExecutorFacts& e) {
  return "version " + e.version + (e.policy_serial ? ", policy " + std::to_string(*e.policy_serial) : ", no policy: it acts on nothing") +
         (e.busy_with ? ", busy with " + *e.busy_with : "") + (e.frozen ? ", frozen" : "");
}

}  // namespace

std::map<std::string, SectionView> section_views(const HostFacts& facts) {
  std::map<std::string, SectionView> views;
  auto add = [&](Section section, const auto& value) {
    if (!value) return;
    views[std::string(to_text(section))] = {value->known(), value->value ? text_of(*value->value) : value->unknown.value_or("unknown"), value->at};
  };
  add(Section::kSystem, facts.system);
  add(Section::kPackages, facts.packages);
  add(Section::kUpdates, facts.updates);
  add(Section::kKernel, facts.kernel);
  add(Section::kProcesses, facts.processes);
  add(Section::kUnits, facts.units);
  add(Section::kDisk, facts.disk);
  add(Section::kExecutor, facts.executor);
  return views;
}

std::string posture_text(const Posture& posture, const std::vector<Finding>& findings, const std::map<std::string, SectionView>& sections) {
  std::string text = std::string(to_text(posture.state)) + ": " + posture.sentence + "\n";
  if (!findings.empty()) text += "\nFindings\n";
  for (const Finding& finding : findings) {
    text += "  " + std::string(to_text(finding.severity)) + "  " + finding.summary + "\n";
    if (!finding.cves.empty()) {
      constexpr std::size_t kShown = 6;
      std::vector<std::string> shown(finding.cves.begin(), finding.cves.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, finding.cves.size())));
      text += "        " + join(shown, " ") + (finding.cves.size() > kShown ? " and " + std::to_string(finding.cves.size() - kShown) + " more" : "") + "\n";
    }
  }
  text += "\nSections\n";
  for (const auto& [section, word] : enum_words(Section{})) {
    auto view = sections.find(std::string(word));
    std::string name = std::string(word) + std::string(11 - word.size(), ' ');
    if (view == sections.end())
      text += "  " + name + "unknown: not looked at yet\n";
    else
      text += "  " + name + (view->second.known ? "" : "unknown: ") + view->second.text + "\n";
  }
  return text;
}

std::string status_text(const StatusView& s) {
  std::string text = s.host.text() + " of " + s.server + "\n";
  if (s.connected)
    text += "connected, last answer " + to_rfc3339(*s.last_answer) + "\n";
  else
    text += "not connected" + (s.report_error ? ": " + *s.report_error : std::string(": no answer yet")) + "\n";
  if (s.directions_error) text += "orders can't be fetched: " + *s.directions_error + "\n";
  text += s.executor_error ? "executor: " + *s.executor_error + "\n" : "";
  if (s.clock_ahead && (*s.clock_ahead > kClockSkewMax || *s.clock_ahead < -kClockSkewMax))
    text += "this host's clock differs from the control plane's by " + std::to_string(s.clock_ahead->count() / 1000) + " s: orders will be refused\n";
  if (s.certificate_expires) text += "certificate until " + to_rfc3339(*s.certificate_expires) + "\n";
  text += s.policy_serial ? "policy " + std::to_string(*s.policy_serial) + "\n" : "no policy\n";
  if (s.orders_held > 0) text += std::to_string(s.orders_held) + " orders under way\n";
  if (s.outcomes_held > 0) text += std::to_string(s.outcomes_held) + " outcomes not yet acknowledged\n";
  if (s.dropped > 0) text += std::to_string(s.dropped) + " events dropped since the start\n";
  return text + "\n" + posture_text(s.posture, s.findings, s.sections);
}

}  // namespace prunella::agent
