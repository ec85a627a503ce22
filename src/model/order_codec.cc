#include "model/order.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(RolloutPlan)
PRUNELLA_DEFINE_CODEC(Approval)
PRUNELLA_DEFINE_CODEC(Order)
PRUNELLA_DEFINE_CODEC(ExecutorPolicy)
PRUNELLA_DEFINE_CODEC(HostTrust)

}  // namespace prunella
