#include "decide/why.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "model/never_restart.h"

namespace prunella {

namespace {

template <class T>
const T* value(const std::optional<Sensed<T>>& section) {
  return section && section->value ? &*section->value : nullptr;
}

bool is_cve(std::string_view text) { return text.starts_with("CVE-"); }

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view item) { return std::ranges::find(list, item) != list.end(); }

std::string capitalised(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// True when `names` has "libssl3:amd64" for the subject "libssl3" or "libssl3:amd64".
bool names_package(const std::vector<std::string>& names, const std::string& subject) {
  return std::ranges::any_of(names, [&](const std::string& name) {
    return name == subject || (name.starts_with(subject) && name.size() > subject.size() && name[subject.size()] == ':');
  });
}

/// The subject, and what the facts make of it.
class Explainer {
 public:
  explicit Explainer(const WhyInput& in) : in_(in) {
    if (in.subject) subject_ = is_cve(upper(*in.subject)) ? upper(*in.subject) : *in.subject;
  }

  Explanation run() {
    for (const Finding& finding : in_.findings)
      if (concerns(finding)) about_.push_back(&finding);
    freshness();
    if (!in_.subject)
      whole_host();
    else if (about_.empty())
      nothing_found();
    else
      found();
    return std::move(out_);
  }

 private:
  void evidence(std::string text, std::string source, std::optional<Instant> at = std::nullopt) {
    constexpr std::size_t kLinesMax = 60;  // one screen and a little; what is left out is named in the last line
    if (out_.evidence.size() == kLinesMax) {
      out_.evidence.back() = {"More is left out: `--json` on findings, plans and runs has all.", "prunella", std::nullopt};
      return;
    }
    out_.evidence.push_back({std::move(text), std::move(source), at});
  }
  void would_change(std::string text) {
    if (!text.empty() && !contains(out_.would_change, text)) out_.would_change.push_back(std::move(text));
  }

  bool concerns(const Finding& finding) const {
    if (!in_.subject) return true;
    if (is_cve(subject_)) return contains(finding.cves, subject_);
    return finding.subject == subject_ || names_package(finding.packages, subject_) || names_package({finding.subject}, subject_);
  }

  bool concerns(const Plan& plan) const {
    if (!in_.subject) return true;
    for (const Finding* finding : about_)
      if (std::ranges::find(plan.findings, finding->id) != plan.findings.end()) return true;
    for (const Action& action : plan.actions) {
      if (action.restart && action.restart->unit == subject_) return true;
      if (action.repair)
        for (const PackageChange& change : action.repair->packages)
          if (names_package({change.package.text()}, subject_)) return true;
      if (!action.transaction) continue;
      if (contains(action.transaction->restarts, subject_)) return true;
      for (const PackageChange& change : action.transaction->changes)
        if (names_package({change.package.text()}, subject_) || packages_of_findings().contains(change.package.text()))
          return true;
    }
    return false;
  }

  std::set<std::string> packages_of_findings() const {
    std::set<std::string> packages;
    for (const Finding* finding : about_) packages.insert(finding->packages.begin(), finding->packages.end());
    return packages;
  }

  void freshness() {
    if (!in_.last_seen)
      evidence("The host has never reported.", "control plane", in_.now);
    else if (in_.posture.state == PostureState::kStale)
      evidence("The host is stale: " + in_.posture.sentence, "control plane", in_.now);
  }

  bool is_stale() const { return !in_.last_seen || in_.posture.state == PostureState::kStale; }

  // ------------------------------------------------------------------ the host as a whole
  void whole_host() {
    out_.verdict = in_.host.text() + " is " + std::string(to_text(in_.posture.state)) + ": " + in_.posture.sentence;
    for (const Finding* finding : about_) evidence(finding->summary, "finding " + finding->id.text());
    std::optional<std::string> obstacle = plans_and_gates();
    if (is_stale())
      would_change("The host reports again: look at prunella-agent.service on it.");
    else if (about_.empty())
      would_change("A sensor finds something, or the host stops reporting.");
    for (const Finding* finding : about_) would_change(finding->clears_when);
    if (obstacle) out_.verdict += " " + *obstacle;
  }

  // ------------------------------------------------------------------ a subject with findings
  void found() {
    const Finding& worst = **std::ranges::max_element(about_, {}, [](const Finding* finding) { return finding->severity; });
    for (const Finding* finding : about_) {
      evidence(finding->summary, "finding " + finding->id.text());
      for (const std::string& line : finding->evidence) evidence(line, "finding " + finding->id.text());
    }
    std::optional<std::string> done = plans_and_gates();
    out_.verdict = in_.host.text() + ": " + worst.summary;
    if (is_cve(subject_)) out_.verdict = in_.host.text() + " is exposed to " + subject_ + ": " + worst.summary;
    std::string why_not = obstacle_of(worst);
    if (!why_not.empty()) out_.verdict += " " + why_not;
    if (done) out_.verdict += " " + *done;
    if (is_stale()) {
      out_.verdict += " The host is late, so this may have changed.";
      would_change("The host reports again: look at prunella-agent.service on it.");
    }
    would_change(worst.clears_when);
  }

  /// Why the finding isn't remedied by itself, from the finding alone.
  std::string obstacle_of(const Finding& finding) {
    switch (finding.exposure) {
      case Exposure::kFixAvailable: return "";
      case Exposure::kBlockedByHold:
        would_change("A person takes the hold away (`apt-mark unhold`); Prunella never overrides one.");
        return "Nothing is done, since a person held it.";
      case Exposure::kDeferredByPhasing:
        would_change("The archive phases the update in for this host.");
        return "Nothing is done yet, since the archive phases it in.";
      case Exposure::kBlockedByPin:
        would_change("A person changes the pin in apt's preferences; Prunella never overrides one.");
        return "Nothing is done, since apt's preferences pin another version.";
      case Exposure::kBlockedByConflict:
        would_change(
            "A person decides about the other changes that it needs (`apt full-upgrade` shows them); Prunella never removes a "
            "package.");
        return "Nothing is done, since it needs changes that no plan makes.";
      case Exposure::kInstalledNotActive:
        if (finding.kind == FindingKind::kRebootNeeded) {
          would_change("A person reboots the host.");
          return "Prunella does not reboot by itself.";
        }
        if (never_restarted(finding.subject)) would_change("A person restarts it or reboots the host in a quiet hour.");
        return "";
      case Exposure::kNotApplicable: return "";
    }
    return "";
  }

  // ------------------------------------------------------------------ plans, rollouts, runs, gate
  /// Adds what was planned and done, and gives the sentence about the first thing that stands in the way, or that happened last.
  std::optional<std::string> plans_and_gates() {
    std::optional<std::string> sentence;
    auto say = [&](std::string text) {
      if (!sentence) sentence = std::move(text);
    };
    std::set<RunId> own_runs;
    std::set<Digest> own_plans;
    std::size_t plans = 0;
    for (const WhyPlan& plan : in_.plans) {
      if (!concerns(plan.plan)) continue;
      ++plans;
      own_plans.insert(digest_of(plan.plan));
      std::string name = plan.id.text();
      evidence(name + " (" + plan.plan.purpose + ") concerns it; made at " + to_rfc3339(plan.plan.created) + ".", "plan " + name,
               plan.plan.created);
      if (!plan.rollout) {
        approval(plan, say);
        continue;
      }
      rollout(plan, say, own_runs);
    }
    for (const RunOutcome& run : in_.runs) {
      if (in_.subject && !own_runs.contains(run.run) && !own_plans.contains(run.plan) && !standing_run(run)) continue;
      std::string text = "The run " + run.run.text() + " (" + run.cause + ") ended " + std::string(to_text(run.state));
      if (run.refusal) text += " (" + std::string(to_text(*run.refusal)) + ")";
      evidence(text + ": " + run.reason, "run " + run.run.text(), run.ended);
      for (const Check& check : run.checks)
        if (check.holds != true)
          evidence("Expected: " + check.what + "; measured: " + check.measured + (check.holds ? "." : " (not known)."),
                   "run " + run.run.text(), run.ended);
      if (run.state != RunState::kVerified)
        would_change("The cause of " + run.run.text() + "'s end is removed; then a new plan.");
    }
    std::set<std::string> told;
    for (const WhyVerdict& given : in_.verdicts) {
      if (in_.subject && given.about.find(subject_) == std::string::npos && !about_rollout_of(given, own_runs)) continue;
      if (!told.insert(given.about).second) continue;  // newest first: older verdicts on the same thing are history
      for (const VerdictReason& reason : given.verdict.reasons) {
        evidence("The gate said " + std::string(to_text(reason.kind)) + " (" + reason.code + ") to " + given.about + ": " +
                     reason.text + ".",
                 "gate", given.at);
        would_change(capitalised(reason.would_change) + ".");
      }
      if (given.verdict.kind != VerdictKind::kAllow && !given.verdict.reasons.empty())
        say("The gate says " + std::string(to_text(given.verdict.kind)) + ": " + given.verdict.reasons.front().text + ".");
    }
    bool remediable =
        std::ranges::any_of(about_, [](const Finding* finding) { return finding->exposure == Exposure::kFixAvailable; });
    if (plans == 0 && remediable) {
      say("No plan was made for it yet.");
      would_change("`prunella plan host:" + in_.host.text() + "`, its approval and its rollout.");
    }
    return sentence;
  }

  bool standing_run(const RunOutcome& run) const { return run.cause != "order" && run.cause.find(subject_) != std::string::npos; }

  bool about_rollout_of(const WhyVerdict& given, const std::set<RunId>&) const {
    return std::ranges::any_of(in_.plans, [&](const WhyPlan& plan) {
      return plan.rollout && concerns(plan.plan) && given.about == plan.rollout->id.text();
    });
  }

  template <class Say>
  void approval(const WhyPlan& plan, Say& say) {
    std::string name = plan.id.text();
    std::size_t have = plan.approved_by.size();
    evidence(std::to_string(have) + " of " + std::to_string(plan.approvals_required) + " approvals" +
                 (have ? " (" + join(plan.approved_by, ", ") + ")" : std::string()) + ".",
             "plan " + name);
    if (have < plan.approvals_required) {
      say(name + " waits for approval.");
      would_change("`prunella approve " + name + "` by " + std::to_string(plan.approvals_required - have) + " more.");
    } else {
      say(name + " is approved and was not started.");
      would_change("`prunella apply " + name + "`.");
    }
  }

  template <class Say>
  void rollout(const WhyPlan& plan, Say& say, std::set<RunId>& own_runs) {
    const Rollout& rollout = *plan.rollout;
    std::string name = rollout.id.text();
    evidence(name + " is " + std::string(to_text(rollout.state)) + ": " + rollout.reason + ".", "rollout " + name,
             rollout.wave_started);
    auto host = std::ranges::find(rollout.hosts, in_.host, &RolloutHost::host);
    if (host == rollout.hosts.end()) return;
    if (host->run) own_runs.insert(*host->run);
    std::size_t wave = 0;
    while (wave < rollout.plan.wave_ends.size() && host->index >= rollout.plan.wave_ends[wave]) ++wave;
    std::string place = "The host is number " + std::to_string(host->index + 1) + ", in wave " + std::to_string(wave + 1) +
                        " of " + std::to_string(rollout.plan.wave_ends.size());
    evidence(place + "; it is " + std::string(to_text(host->state)) + (host->reason.empty() ? "." : ": " + host->reason + "."),
             "rollout " + name, host->ordered_at);

    switch (host->state) {
      case RolloutHostState::kPending: return pending(plan, *host, wave, say);
      case RolloutHostState::kOrdered:
        return say(name + " ordered it" + (host->run ? " (" + host->run->text() + ")" : std::string()) +
                   ", and the run has not ended.");
      case RolloutHostState::kVerified:
        return say(name + " did it here, and it was verified; what is open now is what the facts say since.");
      case RolloutHostState::kReverted: return say(name + " tried it here, and it was taken back: " + host->reason + ".");
      case RolloutHostState::kEscalated: return say(name + " tried it here, and a person must look: " + host->reason + ".");
      case RolloutHostState::kRefused:
        would_change("A new plan from fresh facts.");
        return say("The host refused it in " + name + ": " + host->reason + ".");
      case RolloutHostState::kNoAnswer: return say(name + " ordered it, and no outcome came: " + host->reason + ".");
      case RolloutHostState::kSkipped:
        would_change("A new plan; " + name + " does not come back to a skipped host.");
        return say(name + " skipped the host: " + host->reason + ".");
    }
  }

  template <class Say>
  void pending(const WhyPlan& plan, const RolloutHost& host, std::size_t wave, Say& say) {
    const Rollout& rollout = *plan.rollout;
    std::string name = rollout.id.text();
    switch (rollout.state) {
      case RolloutState::kWaitingForApproval: return approval(plan, say);
      case RolloutState::kPaused: would_change("`prunella rollout resume " + name + "`."); return say(name + " is paused.");
      case RolloutState::kStopped:
      case RolloutState::kAborted:
        would_change("The cause is removed, then a new plan.");
        return say(name + " was " + std::string(to_text(rollout.state)) + " before this host's turn: " + rollout.reason + ".");
      case RolloutState::kSucceeded: return say(name + " ended without this host.");
      case RolloutState::kRunning: break;
    }
    if (wave > rollout.wave) {
      would_change("Wave " + std::to_string(rollout.wave + 1) + " is through: each of its hosts verified and healthy.");
      return say(name + " is at wave " + std::to_string(rollout.wave + 1) + ", this host is in wave " + std::to_string(wave + 1) +
                 ".");
    }
    say(name + " has not ordered it yet" + (host.reason.empty() ? std::string(".") : ": it " + host.reason + "."));
  }

  // ------------------------------------------------------------------ a subject without findings
  void nothing_found() {
    const UpdateFacts* updates = value(in_.facts.updates);
    const PackageFacts* packages = value(in_.facts.packages);
    std::optional<std::string> done = plans_and_gates();
    const std::string& host = in_.host.text();
    if (subject_.ends_with(".service") || subject_.ends_with(".socket") || subject_.ends_with(".timer") ||
        subject_.ends_with(".mount"))
      return unit(done);
    bool unknown_lists = !updates || !updates->lists_at;
    if (is_cve(subject_)) {
      if (unknown_lists) return unknown("Whether " + host + " is affected by " + subject_ + " is unknown", done);
      std::vector<std::string> unread;
      for (const Update& update : updates->updates)
        if (update.security && update.from_version && !update.changelog_read) unread.push_back(update.source);
      lists(*updates);
      out_.verdict = host + " is not known to be affected by " + subject_ + ", as of lists fetched at " +
                     to_rfc3339(*updates->lists_at) + ".";
      if (!unread.empty()) {
        std::ranges::sort(unread);
        unread.erase(std::unique(unread.begin(), unread.end()), unread.end());
        out_.verdict = "Whether " + host + " is affected by " + subject_ +
                       " is unknown: the changelogs of pending updates were not read yet.";
        evidence("Not read: " + join(unread, ", ") + ".", "section updates", in_.facts.updates->at);
        would_change("The changelogs are read.");
      }
      evidence("Only what the archives' changelogs name is known: a CVE without a fix in the archives does not show.",
               "prunella");
    } else {
      if (!packages) return unknown("What " + host + " has of " + subject_ + " is unknown", done);
      std::vector<const Package*> matching;
      for (const Package& package : packages->packages)
        if (package.package.text() == subject_ || package.package.name == subject_ || package.source == subject_)
          matching.push_back(&package);
      for (const Package* package : matching)
        evidence(package->package.text() + " " + package->version + " is " + std::string(to_text(package->state)) + " (source " +
                     package->source + " " + package->source_version + ").",
                 "section packages", in_.facts.packages->at);
      if (matching.empty()) {
        evidence("dpkg has no package and no source of this name.", "section packages", in_.facts.packages->at);
        out_.verdict = subject_ + " is not installed on " + host + ".";
        would_change("It is installed.");
      } else if (unknown_lists) {
        return unknown("Whether " + subject_ + " on " + host + " lacks an update is unknown", done);
      } else {
        lists(*updates);
        plain_update();
        out_.verdict = subject_ + " on " + host + " lacks no security update that its archives offer, as of lists fetched at " +
                       to_rfc3339(*updates->lists_at) + ".";
      }
    }
    old_code();
    untrusted_archives();
    if (done) out_.verdict += " " + *done;
    if (is_stale()) {
      out_.verdict += " The host is late, so this may have changed.";
      would_change("The host reports again: look at prunella-agent.service on it.");
    }
    would_change("An archive offers a security update for it.");
  }

  void unknown(std::string what, const std::optional<std::string>& done) {
    const auto& updates = in_.facts.updates;
    if (!updates)
      evidence("The section updates never came.", "control plane", in_.now);
    else if (!updates->value)
      evidence("The section updates is unknown: " + updates->unknown.value_or("the host gave no reason") + ".", "section updates",
               updates->at);
    else if (!updates->value->lists_at)
      evidence("The package lists were never fetched completely.", "section updates", updates->at);
    if (!in_.facts.packages) evidence("The section packages never came.", "control plane", in_.now);
    untrusted_archives();
    out_.verdict = std::move(what) + ": its package lists never came.";
    if (updates && updates->value && updates->value->lists_at)
      out_.verdict = out_.verdict.substr(0, out_.verdict.rfind(':')) + ": its packages are not known.";
    if (done) out_.verdict += " " + *done;
    would_change("The host's agent fetches its package lists and reports them.");
  }

  void lists(const UpdateFacts& updates) {
    evidence("The package lists were fetched at " + to_rfc3339(*updates.lists_at) + ".", "section updates", updates.lists_at);
  }

  void plain_update() {
    for (const Update& update : value(in_.facts.updates)->updates)
      if (!update.security && update.from_version &&
          (update.package.name == subject_ || update.package.text() == subject_ || update.source == subject_))
        evidence(update.package.text() + " has a newer version " + update.to.version + " in " + update.archive +
                     ", which is no security archive.",
                 "section updates", in_.facts.updates->at);
  }

  // A fix on the disk is no fix in a process that mapped the old file; which CVE such code has is not known once the update is
  // done.
  void old_code() {
    bool any = false;
    for (const Finding& finding : in_.findings) {
      if (finding.exposure != Exposure::kInstalledNotActive) continue;
      any = true;
      evidence(finding.summary, "finding " + finding.id.text());
      would_change(finding.clears_when);
    }
    if (any) out_.verdict += " Old code still runs on the host, so a fix that is installed may not be active everywhere.";
  }

  void untrusted_archives() {
    const UpdateFacts* updates = value(in_.facts.updates);
    if (!updates) return;
    for (const Repository& repository : updates->repositories) {
      if (repository.state == RepositoryState::kOk) continue;
      evidence("The archive " + repository.uri + " " + repository.suite + " is " + std::string(to_text(repository.state)) + ": " +
                   repository.detail + ".",
               "section updates", in_.facts.updates->at);
      would_change("The index of " + repository.uri + " " + repository.suite + " is fetched again with a good signature.");
    }
  }

  void unit(const std::optional<std::string>& done) {
    const UnitFacts* units = value(in_.facts.units);
    if (!units) {
      evidence(in_.facts.units
                   ? "The section units is unknown: " + in_.facts.units->unknown.value_or("the host gave no reason") + "."
                   : "The section units never came.",
               "section units", in_.now);
      out_.verdict = "How " + subject_ + " on " + in_.host.text() + " is, is unknown: its units are not known.";
      would_change("The host reports the section units.");
      return;
    }
    auto found = std::ranges::find(units->units, subject_, &Unit::name);
    if (found == units->units.end()) {
      out_.verdict = subject_ + " is not loaded on " + in_.host.text() + ".";
      evidence("systemd has no such unit loaded.", "section units", in_.facts.units->at);
    } else {
      out_.verdict = subject_ + " on " + in_.host.text() + " is " + found->active + " (" + found->sub + ")";
      bool processes = value(in_.facts.processes) != nullptr;
      out_.verdict += processes ? " and runs no old code." : "; whether it runs old code is unknown.";
      evidence("systemd says: " + found->active + " (" + found->sub + ")" +
                   (found->result ? ", result " + *found->result : std::string()) + ".",
               "section units", in_.facts.units->at);
      if (auto why = never_restarted(subject_))
        evidence("Prunella never restarts it: " + std::string(*why) + ".", "never-restart list");
    }
    if (done) out_.verdict += " " + *done;
    if (is_stale()) {
      out_.verdict += " The host is late, so this may have changed.";
      would_change("The host reports again: look at prunella-agent.service on it.");
    }
    would_change("It fails, or runs old code.");
  }

  const WhyInput& in_;
  std::string subject_;
  std::vector<const Finding*> about_;
  Explanation out_;
};

}  // namespace

Explanation explain(const WhyInput& input) { return Explainer(input).run(); }

}  // namespace prunella
