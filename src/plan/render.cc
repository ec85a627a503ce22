#include "plan/render.h"

#include <algorithm>
#include <map>

#include "base/display.h"
#include "model/merkle.h"

namespace prunella {

namespace {

std::string show(std::string_view text) { return display_text(text); }

std::string count_text(std::size_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string show_list(const std::vector<std::string>& items, std::size_t max) {
  std::vector<std::string> shown;
  for (const std::string& item : items) {
    if (shown.size() == max) break;
    shown.push_back(show(item));
  }
  return join(shown, ", ") + (items.size() > max ? " and " + std::to_string(items.size() - max) + " more" : "");
}

/// Reads a signed value, and insists that its bytes are the only ones that it has: otherwise what is shown could differ from what
/// is signed.
template <class T>
Result<T> read_canonical(std::string_view bytes, std::string_view what) {
  auto value = from_json_text<T>(bytes, {.bytes_max = 8 << 20});
  if (!value) return std::move(value).error().during("reading " + std::string(what));
  if (to_canonical_text(*value) != bytes)
    return invalid_input(std::string(what) + " is not in canonical form: its digest would not be that of what is shown");
  return value;
}

Result<Plan> read_plan(std::string_view bytes) {
  auto plan = read_canonical<Plan>(bytes, "the plan");
  if (!plan) return plan;
  if (auto checked = check_plan(*plan); !checked) return std::move(checked).error().during("checking the plan");
  return plan;
}

/// A piece of a plan as one line, under a heading, with the hosts that share it.
class Grouped {
 public:
  void add(const std::string& line, std::size_t host) { hosts_[line].push_back(host); }
  bool empty() const { return hosts_.empty(); }
  /// Lines by text; with `all` hosts above 1, how many share each unless all do.
  std::string text(std::string_view heading, std::size_t all) const {
    if (hosts_.empty()) return {};
    std::string out = std::string(heading) + "\n";
    for (const auto& [line, hosts] : hosts_) {
      out += "  " + line;
      if (all > 1) out += hosts.size() == all ? "  [all hosts]" : "  [" + count_text(hosts.size(), "host", "hosts") + "]";
      out += "\n";
    }
    return out;
  }

 private:
  std::map<std::string, std::vector<std::size_t>> hosts_;
};

/// What one or many plans do, grouped.
struct Effects {
  Grouped repairs, upgrades, additions, conffiles, restarts, own_restarts, not_restarted, space, no_way_back, verified;
  std::size_t changes = 0, reboots = 0, reboots_unknown = 0, irreversible = 0, short_of_space = 0;
  std::uint64_t bytes = 0;
};

std::string change_line(const PackageChange& change) {
  std::string line = show(change.package.text()) + " ";
  if (change.from_version) line += show(*change.from_version) + " -> ";
  line += show(change.to.version) + "  (" + change.to.sha256.brief() + ", " + bytes_text(change.to.size_bytes);
  if (change.from_version) line += change.from ? ", back: " + change.from->sha256.brief() : ", NO WAY BACK";
  return line + ")";
}

std::string fate_text(ConffileFate fate) {
  switch (fate) {
    case ConffileFate::kReplaced: return "replaced by the new version, since nobody changed it";
    case ConffileFate::kKept: return "changed here: kept, the new one lies beside it";
    case ConffileFate::kNew: return "new";
  }
  return {};
}

std::string verify_text(const Plan& plan) {
  return "every unit that was healthy before stays healthy for " + to_text(plan.expectation.stable_for) +
         (plan.expectation.health_command ? " and the host's own health command passes (where it has one)" : "") + ", within " +
         to_text(plan.deadline) + " of the start";
}

void collect(const Plan& plan, std::size_t host, bool many, Effects& effects) {
  for (const Action& action : plan.actions) {
    if (action.repair) {
      if (action.repair->packages.empty()) effects.repairs.add("dpkg's own journal is finished", host);
      for (const PackageChange& change : action.repair->packages)
        effects.repairs.add(
            show(change.package.text()) + " " + show(change.to.version) +
                (change.to.sha256 == Digest{} ? " is configured"
                                              : " is unpacked again and configured  (" + change.to.sha256.brief() + ")"),
            host);
    }
    if (action.transaction) {
      for (const PackageChange& change : action.transaction->changes) {
        (change.from_version ? effects.upgrades : effects.additions).add(change_line(change), host);
        ++effects.changes;
      }
      for (const ConffileChange& conffile : action.transaction->conffiles)
        effects.conffiles.add(show(conffile.path) + " of " + show(conffile.package.text()) + ": " + fate_text(conffile.fate),
                              host);
      for (const std::string& unit : action.transaction->restarts) effects.restarts.add(show(unit), host);
      for (const std::string& unit : action.transaction->not_restarted) effects.not_restarted.add(show(unit), host);
    }
    if (action.restart) effects.own_restarts.add(show(action.restart->unit) + ": " + show(action.restart->reason), host);
  }
  effects.verified.add(verify_text(plan), host);
  effects.bytes += plan.download_bytes;
  effects.reboots += plan.reboot_after == RebootNeed::kYes;
  effects.reboots_unknown += plan.reboot_after == RebootNeed::kUnknown;
  bool lacks = false;
  for (const SpaceNeed& need : plan.space) {
    bool too_little = need.needed_bytes > need.free_bytes;
    lacks = lacks || too_little;
    // Over many hosts the free space differs everywhere: only where it's too little does the value matter.
    std::string free = many && !too_little ? std::string(", which is free") : " of " + bytes_text(need.free_bytes) + " free";
    effects.space.add(show(need.mount) + ": needs " + bytes_text(need.needed_bytes) + free + (too_little ? ": TOO LITTLE" : ""),
                      host);
  }
  effects.short_of_space += lacks;
  if (plan.irreversible) effects.no_way_back.add(show(*plan.irreversible), host);
  effects.irreversible += plan.irreversible.has_value() || blast_class(plan) == BlastClass::kIrreversible;
}

std::string effects_text(const Effects& effects, std::size_t hosts) {
  std::string out;
  auto section = [&](const std::string& text) {
    if (!text.empty()) out += text + "\n";
  };
  section(effects.repairs.text("Repair first, since dpkg was interrupted:", hosts));
  section(effects.upgrades.text("Upgrade:", hosts));
  section(effects.additions.text("Add, since the upgrades need them:", hosts));
  section(effects.conffiles.text("Configuration files:", hosts));
  section(effects.restarts.text("Restart, if they still run old code afterwards:", hosts));
  section(effects.own_restarts.text("Restart:", hosts));
  section(effects.not_restarted.text("Run old code afterwards and are not restarted (a finding stays):", hosts));
  section(effects.verified.text("Done when (otherwise it is taken back, where there is a way back):", hosts));
  section(effects.space.text("Space:", hosts));
  section(effects.no_way_back.text("NO WAY BACK:", hosts));
  return out;
}

std::string reboot_text(const Effects& effects, std::size_t hosts) {
  if (hosts == 1)
    return effects.reboots           ? "needed afterwards, and not done by this plan"
           : effects.reboots_unknown ? "not known whether one is needed afterwards"
                                     : "not needed";
  if (effects.reboots == 0 && effects.reboots_unknown == 0) return "not needed";
  std::string text = "needed afterwards on " + count_text(effects.reboots, "host", "hosts") + ", and not done by this plan";
  if (effects.reboots_unknown) text += "; not known of " + std::to_string(effects.reboots_unknown);
  return text;
}

std::string approvals_text(const RenderOptions& options) {
  std::string text = options.approvals_needed ? std::to_string(*options.approvals_needed) + " needed by the executor policy"
                                              : "how many the executor policy needs is not known";
  if (!options.approvers.empty()) text += "; may approve: " + show_list(options.approvers, 16);
  text += options.approved_by.empty() ? "; approved by nobody yet" : "; approved by " + show_list(options.approved_by, 16);
  return text;
}

std::string summary_tail(const Effects& effects, std::size_t hosts) {
  std::string out;
  out += "  reboot      " + reboot_text(effects, hosts) + "\n";
  out += "  download    " + bytes_text(effects.bytes) + " (new and old files, so that there is a way back)\n";
  out += "  way back    ";
  if (effects.irreversible == 0)
    out += "yes, by the old files\n";
  else
    out += hosts == 1 ? "NO\n" : "NOT on " + count_text(effects.irreversible, "host", "hosts") + "\n";
  if (effects.short_of_space)
    out += "  space       too little" +
           (hosts == 1 ? std::string() : " on " + count_text(effects.short_of_space, "host", "hosts")) +
           ": the gate will deny it there\n";
  return out;
}

}  // namespace

Result<std::string> render_plan(std::string_view plan_bytes, const RenderOptions& options) {
  auto plan = read_plan(plan_bytes);
  if (!plan) return std::move(plan).error();
  Effects effects;
  collect(*plan, 0, false, effects);
  std::string out = "Plan for " + show(plan->host.text()) + ": " + show(plan->purpose) + "\n\n";
  out += effects_text(effects, 1);
  out += "Summary:\n";
  out += "  changes     " + count_text(effects.changes, "package", "packages") + ", " +
         count_text(plan->actions.size(), "action", "actions") + ", removals: none\n";
  out += summary_tail(effects, 1);
  out += "  approvals   " + approvals_text(options) + "\n";
  out += "  digest      " + sha256(plan_bytes).hex() + "\n";
  return out;
}

Result<std::string> render_rollout(std::string_view rollout_plan_bytes, const std::vector<RolloutMember>& members,
                                   const RenderOptions& options) {
  auto rollout = read_canonical<RolloutPlan>(rollout_plan_bytes, "the rollout plan");
  if (!rollout) return std::move(rollout).error();
  if (auto checked = check_rollout_plan(*rollout); !checked)
    return std::move(checked).error().during("checking the rollout plan");
  if (members.size() != rollout->host_count)
    return corrupt("the rollout plan is for " + std::to_string(rollout->host_count) + " hosts, " +
                   std::to_string(members.size()) + " were given");

  std::vector<Digest> leaves;
  Effects effects;
  for (std::size_t i = 0; i < members.size(); ++i) {
    auto plan = read_plan(members[i].plan_bytes);
    if (!plan) return std::move(plan).error().during("host " + quoted(members[i].host.text()));
    if (plan->host != members[i].host)
      return invalid_input("the plan of " + quoted(members[i].host.text()) + " is for " + quoted(plan->host.text()));
    leaves.push_back(rollout_leaf(i, members[i].host, sha256(members[i].plan_bytes)));
    collect(*plan, i, members.size() > 1, effects);
  }
  if (merkle_root(leaves) != rollout->merkle_root)
    return corrupt(
        "the hosts' plans are not those that the rollout plan binds: somebody changed a plan, a host or the order; don't approve "
        "it");

  std::size_t hosts = members.size();
  std::string out = show(rollout->id.text()) + ": " + show(rollout->purpose) + " on " + count_text(hosts, "host", "hosts") +
                    " (" + show(rollout->selector) + ")\n\n";
  out += effects_text(effects, hosts);
  out += "Waves:\n";
  std::uint64_t begin = 0;
  for (std::size_t wave = 0; wave < rollout->wave_ends.size(); ++wave) {
    std::uint64_t end = rollout->wave_ends[wave];
    std::vector<std::string> names;
    for (std::uint64_t i = begin; i < end; ++i) names.push_back(members[i].host.text());
    constexpr std::size_t kHostsShownMax = 8;  // a line of a terminal; the whole list is in the plan's JSON
    out += "  " + std::to_string(wave + 1) + (wave == 0 ? " canary" : "") + "  " + count_text(names.size(), "host", "hosts") +
           ": " + show_list(names, kHostsShownMax) + "\n";
    begin = end;
  }
  out += "  A wave begins when each host of the one before sent " +
         count_text(rollout->soak_reports, "healthy report", "healthy reports") + " in a row after its run.\n";
  out += "  It stops when a host of the first wave fails, above " + std::to_string(rollout->failures_percent_max) +
         " % failed hosts, or when a wave takes longer than " + to_text(rollout->wave_deadline) + ".\n\n";
  out += "Summary:\n";
  out += "  changes     " + count_text(effects.changes, "package", "packages") + " on " + count_text(hosts, "host", "hosts") +
         ", removals: none\n";
  out += summary_tail(effects, hosts);
  out += "  made by     " + show(rollout->created_by) + " at " + to_rfc3339(rollout->created) + "\n";
  out += "  approvals   " + approvals_text(options) + "\n";
  out += "  digest      " + sha256(rollout_plan_bytes).hex() + "\n";
  return out;
}

}  // namespace prunella
