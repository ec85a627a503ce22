#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "model/api.h"

/// What is shown of work on many hosts. One pure function takes what happened to what is shown; three renderers write it, so that
/// they can't disagree.
namespace prunella::cli {

/// Hosts of one wave, or of all. Done + in flight + cannot + waiting are all of them.
struct Counts {
  std::uint64_t total = 0;
  std::uint64_t done = 0;       ///< verified
  std::uint64_t in_flight = 0;  ///< ordered, no outcome yet
  std::uint64_t failed = 0;     ///< reverted, escalated, refused for another cause than a moved world, no answer
  std::uint64_t cannot = 0;     ///< failed and those that were left out: skipped, or moved on
  std::uint64_t waiting = 0;
  bool operator==(const Counts&) const = default;
};

struct WaveDisplay {
  std::string name;  ///< "canary", "wave 2"
  Counts counts;
  bool current = false;
  bool passed = false;  ///< a later wave began, or the rollout succeeded
  bool operator==(const WaveDisplay&) const = default;
};

/// A host at work now.
struct HostDisplay {
  std::string host;
  RunState state = RunState::kOrdered;
  std::string detail;
  std::optional<std::uint32_t> percent;
  bool operator==(const HostDisplay&) const = default;
};
struct FailureDisplay {
  std::string host;
  RolloutHostState state = RolloutHostState::kEscalated;
  std::string reason;
  bool operator==(const FailureDisplay&) const = default;
};

struct Display {
  std::string rollout;
  std::string plan;
  std::string purpose;
  RolloutState state = RolloutState::kWaitingForApproval;
  std::string reason;    ///< why it waits, stopped or was aborted
  std::string sentence;  ///< the control plane's own
  Counts all;
  std::vector<WaveDisplay> waves;
  std::vector<HostDisplay> working;      ///< by host
  std::vector<FailureDisplay> failures;  ///< in the rollout's order
  std::optional<double> per_minute;      ///< hosts that finished, measured over kRateWindow
  /// How long the current wave's hosts still take, at least and at most. Absent under kEtaFinishedMin finished hosts.
  std::optional<std::pair<Duration, Duration>> eta;
  std::optional<std::string> waits_for;  ///< set when nothing happened for kSilence
  std::optional<std::string> held;       ///< why a host of this wave has no order yet: the gate's word
  std::optional<std::string> soak;       ///< which health reports this wave still waits for
  bool ended = false;

  // What the reducer remembers.
  std::map<std::string, Instant> ended_at;       ///< host -> when its end was seen
  std::map<std::string, Duration> took;          ///< host -> order to end, of those whose end was seen
  std::map<std::string, std::string> host_of_run;
  std::optional<Instant> last_change;
  bool operator==(const Display&) const = default;
};

inline constexpr std::size_t kEtaFinishedMin = 5;                         // fewer say nothing about the rest
inline constexpr Duration kSilence = std::chrono::seconds(10);            // longer, and a person wonders whether it hangs
inline constexpr Duration kRateWindow = std::chrono::minutes(5);

/// What happened: the rollout was read again, a run made a step, or time passed.
struct Tick {};
using ProgressEvent = std::variant<RolloutView, RunProgress, Tick>;

/// The display after `event`. Pure: `now` is the reader's clock.
Display reduce(Display display, const ProgressEvent& event, Instant now);

/// Lines for a terminal, at most `columns` wide, with bars. `colour` adds SGR codes.
std::vector<std::string> bars(const Display& display, std::size_t columns, bool colour);
/// One line for a log.
std::string progress_line(const Display& display, Instant now);
/// The display as JSON, without what the reducer remembers.
Json progress_json(const Display& display, Instant now);
/// How it ended, in a sentence or more, for a person.
std::string end_text(const Display& display);

}  // namespace prunella::cli
