#include "model/rollout.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(RolloutHost)
PRUNELLA_DEFINE_CODEC(Rollout)

}  // namespace prunella
