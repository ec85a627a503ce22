#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/link.h"

/// What goes into the agent's core and what comes out of it. The core touches nothing: whoever runs it carries out the effects, in
/// order, and brings back what became of them as inputs.
namespace prunella::agent {

/// Both clocks at one moment: the wall clock for stamps, the steady one for delays.
struct Now {
  Instant wall{};
  Monotonic steady{};
};

/// What the agent must still know after a restart. Everything else is sensed, asked of the executor or fetched again.
struct Memory {
  std::uint64_t refused_sequence = 0;   ///< highest order that was refused, by the agent or by the executor, which keeps no refusal
  std::vector<RunOutcome> outcomes;     ///< of such refusals, until the control plane has stored them
  bool operator==(const Memory&) const = default;
};
template <class F>
void fields(F& f, Memory& m) {
  f("refused_sequence", m.refused_sequence);
  f("outcomes", m.outcomes);
}

/// One look at one section. The alternatives stand in the order of Section's enumerators.
using SectionValue = std::variant<Sensed<SystemFacts>, Sensed<PackageFacts>, Sensed<UpdateFacts>, Sensed<KernelFacts>,
                                  Sensed<ProcessFacts>, Sensed<UnitFacts>, Sensed<DiskFacts>, Sensed<ExecutorFacts>>;
inline Section section_of(const SectionValue& value) { return static_cast<Section>(value.index()); }
inline constexpr std::size_t kSections = std::variant_size_v<SectionValue>;

// --- inputs

struct SectionSensed {
  SectionValue value;
};
/// A step of a run: of the executor, or of the staging.
struct Progressed {
  RunProgress progress;
};
/// The end of a run that the executor reports on the connection over which it got the order.
struct Ended {
  RunOutcome outcome;
};
struct ReportAnswered {
  ReportAnswer answer;
};
struct ReportFailed {
  Error error;  ///< kInvalidInput or kExhausted: the control plane refuses this content; anything else may go well later
};
struct DirectionsReceived {
  Directions directions;
};
struct DirectionsFailed {
  Error error;
};
/// All files of the order are in the staging directory, with the right digests.
struct Staged {
  RunId run;
};
struct StagingFailed {
  RunId run;
  std::string reason;
};
/// The executor's status and the outcomes that it keeps.
struct ExecutorAnswered {
  ExecutorFacts facts;
  std::vector<RunOutcome> outcomes;
};
/// The executor could not be asked.
struct ExecutorLost {
  std::string reason;
};
/// The connection with this order on it broke, or could not be made, before the outcome: the executor may have taken it or not.
struct OrderLost {
  RunId run;
  std::string reason;
};
struct PolicyInstalled {
  std::uint64_t serial = 0;
};
struct PolicyNotInstalled {
  std::string reason;
  bool executor_away = false;  ///< it didn't refuse, it wasn't there
};
/// A standing request ended: the outcome comes as Ended, a refusal of the request itself as `error`.
struct StandingAnswered {
  StandingTrigger trigger = StandingTrigger::kUnitFailed;
  std::string unit;
  std::optional<std::string> error;
};
/// Time passed. Must come no later than the core's wake().
struct Tick {};

using Input = std::variant<SectionSensed, Progressed, Ended, ReportAnswered, ReportFailed, DirectionsReceived, DirectionsFailed, Staged,
                           StagingFailed, ExecutorAnswered, ExecutorLost, OrderLost, PolicyInstalled, PolicyNotInstalled, StandingAnswered, Tick>;

// --- effects

/// POST this to /agent/v1/report; answer with ReportAnswered or ReportFailed. One is under way at a time.
struct SendReport {
  std::string body;       ///< a Report in JSON
  std::size_t events = 0;
};
/// Long-poll /agent/v1/orders; answer with DirectionsReceived or DirectionsFailed. One is under way at a time.
struct FetchDirections {
  std::uint64_t after = 0;
  std::uint64_t policy = 0;
  Duration wait{};
};
/// One .deb of a plan.
struct WantedFile {
  PackageName package;
  DebFile file;
  bool operator==(const WantedFile&) const = default;
};
/// Bring the files into the staging directory as <sha256>.deb; answer with Staged or StagingFailed.
struct StageFiles {
  RunId run;
  std::vector<WantedFile> files;  ///< each digest once
};
/// Hand the order to the executor; answer with Progressed..., then Ended or OrderLost.
struct HandOrder {
  RunId run;
  Envelope order;
};
/// Ask the executor for its status and outcomes; answer with ExecutorAnswered or ExecutorLost.
struct AskExecutor {};
/// The control plane has this outcome: the executor may forget it. No answer; it is asked again when it is still there.
struct ForgetOutcome {
  RunId run;
};
/// Give a policy to the executor; answer with PolicyInstalled or PolicyNotInstalled.
struct InstallPolicy {
  Envelope policy;
  std::uint64_t serial = 0;
};
/// Keep this verified policy over restarts.
struct KeepPolicy {
  Envelope policy;
};
/// Ask the executor to restart a unit by its own standing rule; answer with Progressed..., Ended or nothing, then StandingAnswered.
struct RequestStanding {
  StandingTrigger trigger = StandingTrigger::kUnitFailed;
  std::string unit;
};
/// Look at the section afresh; the answer is a SectionSensed.
struct RefreshSection {
  Section section = Section::kSystem;
};
/// Make this memory durable before any later effect of the same answer is carried out.
struct Remember {
  Memory memory;
};
/// The files of this run are not needed any more.
struct DropStage {
  RunId run;
};
/// One line for the log.
struct Say {
  enum class Level { kInfo, kWarning };
  Level level = Level::kInfo;
  std::string text;
};

using Effect = std::variant<SendReport, FetchDirections, StageFiles, HandOrder, AskExecutor, ForgetOutcome, InstallPolicy, KeepPolicy,
                            RequestStanding, RefreshSection, Remember, DropStage, Say>;
using Effects = std::vector<Effect>;

}  // namespace prunella::agent
