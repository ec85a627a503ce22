#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "act/journal.h"
#include "act/ports.h"
#include "verify/verify.h"

/// A run as a transaction: it ends with the planned set, whole and proven, or with the old one; after a crash at any point the next
/// start comes to one of these ends. Everything it learns comes from the ports, everything it decides is here.
namespace prunella {

/// How the next start goes on with a run that it finds open.
enum class Resume {
  kNotBegun,  ///< nothing on the host has changed: end it
  kRepair,    ///< a repair was going on: do it again, it has no old state to go back to
  kVerify,    ///< the act is done: restart what still needs it, measure again
  kRevert,    ///< in the middle of the act or of a revert: back to the old set
  kForward,   ///< in the middle of an act without a way back: on to the new set
};
/// | last of the journal's marks            | goes on with                                                               |
/// |----------------------------------------|----------------------------------------------------------------------------|
/// | none, prepared                         | kNotBegun: copies were made, the host wasn't touched                       |
/// | repair-intent                          | kRepair: half-repaired is worse than repaired, and there is no way back    |
/// | repaired, then an act was planned      | kNotBegun: the repair stays, the upgrade was not begun                     |
/// | repaired, nothing else planned         | kVerify                                                                    |
/// | act-intent                             | kRevert: dpkg may be anywhere; what a half-done act would verify as is luck |
/// | act-intent, no way back                | kForward                                                                   |
/// | acted, restart-intent, restarted       | kVerify: restarting twice is avoided by the units' own invocation ids      |
/// | revert-intent (whatever was before)    | kRevert: unpacking the old set twice changes nothing                       |
Resume resume_of(const OpenRun& run);

/// True when every changed package has the file to go back to.
bool has_way_back(const Plan& plan);

/// 0.7 of the deadline: the rest is for the way back, which does about the same work without the waiting.
inline constexpr int kForwardPercent = 70;
/// 10 minutes, and at most a quarter of the deadline: unattended-upgrades on a small machine needs three (TRUST.md TX-9).
inline constexpr Duration kLockWaitMax = std::chrono::minutes(10);
/// 30 s: what a service may take from "restarted" to "active" beyond its own start time-out.
inline constexpr Duration kSettleMax = std::chrono::seconds(30);
/// 16: a recovery that kills its own executor ends, after more tries than crashes ever came in a row.
inline constexpr std::size_t kRecoveriesMax = 16;
/// 3: dpkg needs a second go where the first one's failing script was replaced by it; a third is luck.
inline constexpr int kRestoreTriesMax = 3;
/// 40 lines, as RunOutcome says.
inline constexpr std::size_t kOutputLinesMax = 40;
inline constexpr std::size_t kStepsMax = 200;
/// 500 ms between two looks at units: each asks systemd a few hundred questions, and systemd's own restart delay is 100 ms.
inline constexpr Duration kUnitLookEvery = Duration(500);

class Transaction {
 public:
  using Tell = std::function<void(const RunProgress&)>;

  /// `frozen` is asked once more right before the act. `tell` may be empty.
  Transaction(HostTools tools, Journal& journal, Tell tell, std::function<bool()> frozen)
      : tools_(tools), journal_(journal), tell_(std::move(tell)), frozen_(std::move(frozen)) {}

  /// Carries out an accepted run to its end. Its acceptance is in the journal before anything else happens. Whoever has just looked at
  /// the units, by UnitTool::states() for the units of a plan of mere restarts, gives what he saw.
  /// @return the outcome, which is in the journal too unless that failed; then its state is kEscalated or kRefused and
  ///         Journal::broken() is true: end the program, the next start recovers.
  RunOutcome run(AcceptedRun accepted, std::optional<std::vector<UnitState>> seen = {});

  /// Ends the journal's open run. Nothing is open: nothing is returned.
  std::optional<RunOutcome> recover();

 private:
  struct Refused {
    Refusal code;
    std::string text;
  };
  /// A step that went wrong after the act began; the text becomes the reason.
  using Trouble = std::optional<std::string>;

  void begin(const AcceptedRun& accepted, Instant started);
  /// Acceptance and these first marks, in one write. @return why the journal can't take them
  std::optional<Refused> accept(std::vector<RunMark> marks);
  RunOutcome forward();
  /// A run that changes no package. All that recovery needs is known before it is accepted, so one write of the journal stands
  /// between the event and the act.
  RunOutcome run_restarts(std::optional<std::vector<UnitState>> seen);
  std::optional<Refused> prepare();
  std::optional<Refused> last_look();
  std::optional<Refused> preconditions(std::optional<std::vector<UnitState>> seen = {});
  std::optional<Refused> space();
  std::optional<Refused> take_lock(Monotonic until);
  std::optional<Refused> stage();
  std::optional<Refused> write_prestate();
  Trouble repair();
  Trouble act();
  Trouble restart_units();
  Trouble verify();
  Trouble settle(const std::set<std::string>& must_run, Duration stable_for, Monotonic until, std::vector<Check>& checks);
  RunOutcome finish_forward(Trouble trouble);
  RunOutcome verify_and_finish();
  RunOutcome revert(std::string why);
  Trouble restore_packages();
  void restore_files();
  void restart_after_revert();
  RunOutcome end(RunState state, std::string reason);
  RunOutcome refuse(const Refused& refused);

  Status mark(MarkKind kind, std::string subject = {}, std::optional<Digest> prestate = {});
  void tell(RunState state, std::string detail, std::optional<std::uint32_t> percent = {});
  ToolWatch watch(Monotonic deadline);
  Status read_prestate();
  Status look_at(const std::set<std::string>& paths, std::vector<FileState>& out);
  std::set<std::string> packaged_paths(std::map<std::string, Digest>& old_content, std::optional<Error>& error);
  bool touches_packages() const { return !changes_of(plan()).empty() || repairs_; }
  const Plan& plan() const { return accepted_.plan; }

  HostTools tools_;
  Journal& journal_;
  Tell tell_;
  std::function<bool()> frozen_;

  AcceptedRun accepted_;
  RunOutcome outcome_;
  RunState state_ = RunState::kAccepted;
  bool repairs_ = false;  ///< the plan has a repair action, also one without packages
  bool locked_ = false;
  std::string recovered_after_;  ///< the step after which an earlier start ended; empty for a run of this start
  Monotonic forward_until_{};
  Monotonic until_{};
  std::string intended_;  ///< the unit whose restart the journal announced together with the acceptance, until it's restarted
  HostBefore before_;
  std::vector<FileState> files_;  ///< before the act
  bool prestate_known_ = false;
};

}  // namespace prunella
