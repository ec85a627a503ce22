#pragma once

#include <string>
#include <vector>

#include "kernel.h"

namespace prunella::sim {

/// What may go wrong in one simulation. Each class is on or off by the seed ("swarm testing", Groce et al. 2012: leaving features
/// out finds more than having all of them in each run), and has a rate of its own.
struct Faults {
  bool executor_crash = false;   ///< kill -9 of the executor at any of its steps, also while it recovers
  bool agent_crash = false;
  bool control_crash = false;    ///< before any store operation, or right after a commit
  bool power_loss = false;       ///< of a host: what wasn't synced is lost or torn
  bool sync_error = false;       ///< EIO on fsync; the pages count as clean afterwards
  bool disk_full = false;
  bool slow_network = false;     ///< delays of up to 40 s, so that messages overtake each other
  bool request_loss = false;
  bool answer_loss = false;      ///< it happened, and whoever asked for it never hears
  bool duplication = false;
  bool partition = false;        ///< hosts that nobody reaches for minutes
  bool control_down = false;     ///< the control plane is away for minutes
  bool clock_skew = false;       ///< hosts up to four minutes off
  bool clock_jump = false;       ///< hosts whose clock goes ten years forward or back, and perhaps back again
  bool control_clock_jump = false;
  bool bad_patch = false;        ///< the new version fails: at once, after seconds, in its script, by its health command, or late
  bool foreign_apt = false;      ///< somebody else holds dpkg's lock, and changes packages
  bool admin_edits = false;      ///< conffiles edited, packages held, units restarted by hand
  bool archive_away = false;     ///< the agent can't fetch packages
  bool bad_download = false;     ///< a staged file with other content
  bool slow_people = false;      ///< approvals late or never, rollouts paused, aborted, promoted
  bool unit_trouble = false;     ///< units fail by themselves: standing rules have work
  bool frozen = false;           ///< root freezes an executor for a while
  bool new_policy = false;       ///< a second policy, narrower than the first
  bool forged_orders = false;    ///< an adversary has the director's key
  bool stolen_approver = false;  ///< and, with this, one approver's key too
  bool replays = false;          ///< captured orders and old policies are sent again
  bool forged_database = false;  ///< rows of approvals written into the control plane's database
  double crash_rate = 0;         ///< at each step of an executor
  double sync_error_rate = 0;
  double loss_rate = 0;

  /// Name and value of each class, for printing and masking.
  std::vector<std::pair<std::string, bool*>> classes();
  std::string text();
};

/// Each class on with a probability that the seed draws too: 6, 20 or 50 per cent.
Faults draw_faults(Dice& dice);

}  // namespace prunella::sim
