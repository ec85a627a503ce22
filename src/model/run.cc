#include "model/run.h"

namespace prunella {

bool is_end(RunState state) {
  switch (state) {
    case RunState::kVerified:
    case RunState::kReverted:
    case RunState::kEscalated:
    case RunState::kRefused: return true;
    case RunState::kOrdered:
    case RunState::kAccepted:
    case RunState::kStaging:
    case RunState::kRepairing:
    case RunState::kActing:
    case RunState::kRestarting:
    case RunState::kVerifying:
    case RunState::kReverting: return false;
  }
  return false;
}

}  // namespace prunella
