#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loop/agent_values.h"

namespace prunella::agent {

/// Steps of runs that may wait unsent: a long run has some 40, and the outcome repeats them all.
inline constexpr std::size_t kProgressUnsentMax = 128;
inline constexpr std::size_t kNoticesUnsentMax = 32;
/// Outcomes that may wait here. The executor keeps every one on disk until it is told to forget it, so that the rest waits there
/// and is asked for again: none is lost, and memory stays bounded when the control plane is away for a month.
inline constexpr std::size_t kOutcomesHeldMax = 64;
inline constexpr std::size_t kRunSource = kSections;  // after the sections
inline constexpr std::string_view kRunSourceName = "runs";

/// What is to be reported, with its numbering.
///
/// A sequence number is given when an event is sent first, not when it comes up: what is coalesced or shed before leaves no gap.
/// A sent event keeps its bytes until it is acknowledged and is sent again with the same number, so that the receiver stores it
/// once, however often it comes. A section has at most one event that is not acknowledged; what changes meanwhile waits and goes
/// as one event with the newest value. Events about runs go in order.
class Outbox {
 public:
  Outbox(std::string instance, std::string agent_version);

  void section_changed(Section section);
  /// The next event of this section is a whole one.
  void resync(Section section);

  /// A newer step of the same state takes an unsent one's place. When too many wait, the oldest step that is no end is shed.
  void add_progress(const RunProgress& progress);
  enum class Added { kAdded, kAlreadyHere, kFull };
  Added add_outcome(const RunOutcome& outcome);
  /// When too many wait, the oldest notice is shed.
  void add_notice(const Notice& notice);

  /// Something waits that was not sent, or was sent in vain.
  bool has_news(const HostFacts& facts) const;

  struct Batch {
    std::string body;
    std::size_t events = 0;
  };
  /// The next report: first what was sent in vain, then what is new. One report is under way at a time.
  Batch compose(const HostFacts& facts, Instant now);

  /// An outcome by its name. A run that this agent refused, or the executor did, may be carried out after all when a copy of its order
  /// comes: that outcome is another one, and it must be told too.
  struct OutcomeName {
    RunId run;
    bool refused = false;
    auto operator<=>(const OutcomeName&) const = default;
  };
  static OutcomeName name_of(const RunOutcome& outcome) { return {outcome.run, outcome.state == RunState::kRefused}; }

  struct Acknowledged {
    std::vector<OutcomeName> outcomes;  ///< that the control plane has stored
    std::vector<std::string> odd;  ///< sources whose number is above all that was sent: not believed
    std::vector<Section> lost;     ///< acknowledged before and not any more; they go whole again
    bool nothing = false;          ///< the report had events, and none was acknowledged
  };
  Acknowledged answered(const ReportAnswer& answer);
  /// The report or its answer was lost: everything in it goes again.
  void failed();
  /// The control plane refuses what the report holds. Halves the next reports to find the event; one that is refused alone is given
  /// up (an outcome stays with the executor, a section goes whole when it changes next).
  /// @return what was given up, as a text for people.
  std::optional<std::string> refused();

  /// Events shed since the start.
  std::uint64_t dropped() const { return dropped_; }
  const std::string& instance() const { return instance_; }
  /// There is room for outcomes that kFull turned away before.
  bool wants_outcomes() const { return outcomes_turned_away_ && outcomes_held() < kOutcomesHeldMax; }
  std::size_t outcomes_held() const;
  /// The control plane has this outcome.
  bool is_acknowledged(const RunOutcome& outcome) const;
  /// The executor lists these outcomes and no other: what is acknowledged and not among them is over.
  void settle(const std::vector<RunOutcome>& listed);

 private:
  struct Unsent {
    std::string_view type;
    std::string data;
    Instant time{};
    std::optional<RunId> run;                  // of a progress
    std::optional<RunState> step;              // of a progress
    std::optional<OutcomeName> outcome;
  };
  struct Sent {
    std::uint64_t sequence = 0;
    std::string text;
    std::optional<OutcomeName> outcome;
  };
  struct Source {
    std::uint64_t sequence_next = 1;
    std::uint64_t acknowledged = 0;
    std::deque<Sent> unacknowledged;
  };

  std::string_view name_of(std::size_t source) const;
  Sent& number(std::size_t source, std::string_view type, Instant time, std::string_view data);
  bool make_section_event(Section section, const HostFacts& facts, Instant now);
  void shed_progress();

  std::string instance_;
  std::string agent_version_;
  std::array<Source, kSections + 1> sources_;
  std::array<bool, kSections> changed_{};
  std::array<bool, kSections> whole_{};
  std::optional<PackageFacts> base_;  // what the last packages event led to; empty: the next one is whole
  std::deque<Unsent> unsent_;
  std::map<OutcomeName, bool> outcomes_known_;  // queued, sent or given up in this instance; true: acknowledged
  std::vector<std::pair<std::size_t, std::uint64_t>> under_way_;  // source and sequence of the report that is out
  std::size_t events_max_ = kReportEventsMax;
  std::uint64_t dropped_ = 0;
  bool outcomes_turned_away_ = false;
};

}  // namespace prunella::agent
