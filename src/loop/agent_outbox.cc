#include "loop/agent_outbox.h"

#include <algorithm>

#include "loop/agent_sections.h"

namespace prunella::agent {

Outbox::Outbox(std::string instance, std::string agent_version)
    : instance_(std::move(instance)), agent_version_(std::move(agent_version)) {
  whole_.fill(true);
}

void Outbox::section_changed(Section section) { changed_[static_cast<std::size_t>(section)] = true; }

void Outbox::resync(Section section) {
  whole_[static_cast<std::size_t>(section)] = true;
  changed_[static_cast<std::size_t>(section)] = true;
}

void Outbox::add_progress(const RunProgress& progress) {
  Unsent item{kEventProgress, to_canonical_text(progress), progress.at, progress.run, progress.state, std::nullopt};
  for (auto waiting = unsent_.rbegin(); waiting != unsent_.rend(); ++waiting) {
    if (!waiting->step || waiting->run != progress.run) continue;
    if (waiting->step != progress.state) break;
    *waiting = std::move(item);
    return;
  }
  unsent_.push_back(std::move(item));
  shed_progress();
}

void Outbox::shed_progress() {
  auto is_step = [](const Unsent& item) { return item.step && !is_end(*item.step); };
  if (static_cast<std::size_t>(std::ranges::count_if(unsent_, is_step)) <= kProgressUnsentMax) return;
  unsent_.erase(std::ranges::find_if(unsent_, is_step));
  ++dropped_;
}

std::size_t Outbox::outcomes_held() const {
  auto unsent = std::ranges::count_if(unsent_, [](const Unsent& item) { return item.type == kEventOutcome; });
  auto sent = std::ranges::count_if(sources_[kRunSource].unacknowledged, [](const Sent& item) { return item.outcome.has_value(); });
  return static_cast<std::size_t>(unsent + sent);
}

bool Outbox::is_acknowledged(const RunOutcome& outcome) const {
  auto found = outcomes_known_.find(name_of(outcome));
  return found != outcomes_known_.end() && found->second;
}

void Outbox::settle(const std::vector<RunOutcome>& listed) {
  outcomes_turned_away_ = false;  // those without room are turned away again, from this list
  std::erase_if(outcomes_known_, [&](const auto& entry) {
    return entry.second && std::ranges::none_of(listed, [&](const RunOutcome& outcome) { return name_of(outcome) == entry.first; });
  });
}

Outbox::Added Outbox::add_outcome(const RunOutcome& outcome) {
  if (outcomes_known_.contains(name_of(outcome))) return Added::kAlreadyHere;
  if (outcomes_held() >= kOutcomesHeldMax) {
    outcomes_turned_away_ = true;
    return Added::kFull;
  }
  outcomes_known_.emplace(name_of(outcome), false);
  unsent_.push_back({kEventOutcome, to_canonical_text(outcome), outcome.ended, std::nullopt, std::nullopt, name_of(outcome)});
  return Added::kAdded;
}

void Outbox::add_notice(const Notice& notice) {
  unsent_.push_back({kEventNotice, to_canonical_text(notice), notice.at, std::nullopt, std::nullopt, std::nullopt});
  auto is_notice = [](const Unsent& item) { return item.type == kEventNotice; };
  if (static_cast<std::size_t>(std::ranges::count_if(unsent_, is_notice)) <= kNoticesUnsentMax) return;
  unsent_.erase(std::ranges::find_if(unsent_, is_notice));
  ++dropped_;
}

bool Outbox::has_news(const HostFacts& facts) const {
  if (!unsent_.empty()) return true;
  for (const Source& source : sources_)
    if (!source.unacknowledged.empty()) return true;
  const std::array<bool, kSections> known = {facts.system.has_value(), facts.packages.has_value(), facts.updates.has_value(),
                                             facts.kernel.has_value(), facts.processes.has_value(), facts.units.has_value(),
                                             facts.disk.has_value(), facts.executor.has_value()};
  for (std::size_t i = 0; i < kSections; ++i)
    if (changed_[i] && known[i]) return true;
  return false;
}

std::string_view Outbox::name_of(std::size_t source) const {
  return source == kRunSource ? kRunSourceName : to_text(static_cast<Section>(source));
}

Outbox::Sent& Outbox::number(std::size_t source, std::string_view type, Instant time, std::string_view data) {
  Source& s = sources_[source];
  std::uint64_t sequence = s.sequence_next++;
  s.unacknowledged.push_back({sequence, event_text(instance_, name_of(source), sequence, type, time, data), std::nullopt});
  return s.unacknowledged.back();
}

bool Outbox::make_section_event(Section section, const HostFacts& facts, Instant now) {
  std::size_t i = static_cast<std::size_t>(section);
  if (section == Section::kPackages && facts.packages) {
    const Sensed<PackageFacts>& packages = *facts.packages;
    bool delta_possible = !whole_[i] && base_ && packages.value;
    std::optional<std::string> delta = delta_possible ? packages_delta_data(*base_, *packages.value, packages.at) : std::nullopt;
    base_ = packages.value;
    if (delta) {
      number(i, kEventPackagesDelta, now, *delta);
      return true;
    }
  }
  auto data = section_data(facts, section);
  if (!data) return false;  // never sensed: a resync is answered when it is
  whole_[i] = false;
  number(i, kEventSection, now, *data);
  return true;
}

Outbox::Batch Outbox::compose(const HostFacts& facts, Instant now) {
  Batch batch;
  std::string head = R"({"agent_version":)" + to_canonical(Json(agent_version_)) + R"(,"dropped":)" + std::to_string(dropped_) + R"(,"events":[)";
  std::string tail = R"(],"instance":)" + to_canonical(Json(instance_)) + R"(,"sent":)" + to_canonical(Json(to_rfc3339(now))) + "}";
  std::vector<const std::string*> texts;
  std::size_t bytes = head.size() + tail.size();
  under_way_.clear();
  auto room = [&] { return under_way_.size() < events_max_; };
  /// An event that is too large for any report still goes, alone: the control plane's refusal then names it.
  auto take = [&](std::size_t source, const Sent& event) {
    if (!room() || (bytes + event.text.size() + 1 > kReportBytesMax && !under_way_.empty())) return false;
    bytes += event.text.size() + 1;
    texts.push_back(&event.text);
    under_way_.emplace_back(source, event.sequence);
    return true;
  };
  auto repeat = [&](std::size_t source) {
    for (const Sent& event : sources_[source].unacknowledged)
      if (!take(source, event)) return false;
    return true;
  };
  // Outcomes first: whatever else there is to say can wait for the next report. Nothing new of a source goes before its old.
  bool runs_complete = repeat(kRunSource);
  for (std::size_t i = 0; i < kSections; ++i) repeat(i);
  while (runs_complete && !unsent_.empty() && room() && bytes < kReportBytesMax / 2) {
    Unsent item = std::move(unsent_.front());
    unsent_.pop_front();
    Sent& sent = number(kRunSource, item.type, item.time, item.data);
    sent.outcome = std::move(item.outcome);
    if (!take(kRunSource, sent)) break;  // it's numbered and goes with the next report
  }
  for (std::size_t i = 0; i < kSections && room() && bytes < kReportBytesMax / 2; ++i) {
    if (!changed_[i] || !sources_[i].unacknowledged.empty()) continue;
    if (!make_section_event(static_cast<Section>(i), facts, now)) continue;
    changed_[i] = false;
    take(i, sources_[i].unacknowledged.back());
  }
  batch.events = texts.size();
  batch.body.reserve(bytes);
  batch.body = std::move(head);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) batch.body += ',';
    batch.body += *texts[i];
  }
  batch.body += tail;
  return batch;
}

Outbox::Acknowledged Outbox::answered(const ReportAnswer& answer) {
  Acknowledged result;
  bool any = false;
  for (std::size_t i = 0; i <= kSections; ++i) {
    auto found = answer.received.find(std::string(name_of(i)));
    std::uint64_t stored = found == answer.received.end() ? 0 : found->second;
    Source& source = sources_[i];
    if (stored >= source.sequence_next) {
      result.odd.emplace_back(name_of(i));
      continue;
    }
    if (stored < source.acknowledged && i < kSections) {
      // It forgot: restored from a backup, or a late report of this agent's last start made it count afresh.
      result.lost.push_back(static_cast<Section>(i));
      resync(static_cast<Section>(i));
    }
    source.acknowledged = stored;
    while (!source.unacknowledged.empty() && source.unacknowledged.front().sequence <= stored) {
      if (auto& outcome = source.unacknowledged.front().outcome) {
        outcomes_known_[*outcome] = true;
        result.outcomes.push_back(*std::move(outcome));
      }
      source.unacknowledged.pop_front();
      any = true;
    }
  }
  result.nothing = !under_way_.empty() && !any;
  under_way_.clear();
  if (!result.nothing) events_max_ = kReportEventsMax;
  return result;
}

void Outbox::failed() { under_way_.clear(); }

std::optional<std::string> Outbox::refused() {
  if (under_way_.size() != 1) {
    events_max_ = std::max<std::size_t>(1, under_way_.size() / 2);
    under_way_.clear();
    return std::nullopt;
  }
  auto [source, sequence] = under_way_.front();
  under_way_.clear();
  std::deque<Sent>& queue = sources_[source].unacknowledged;
  auto found = std::ranges::find(queue, sequence, &Sent::sequence);
  if (found == queue.end()) return std::nullopt;
  std::string what = "event " + std::to_string(sequence) + " of " + quoted(name_of(source));
  if (found->outcome) what += " (the outcome of " + found->outcome->run.text() + ", which the executor keeps)";
  queue.erase(found);
  ++dropped_;
  if (source < kSections) {
    whole_[source] = true;
    if (source == static_cast<std::size_t>(Section::kPackages)) base_.reset();
  }
  return what;
}

}  // namespace prunella::agent
