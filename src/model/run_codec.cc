#include "model/run.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(RunProgress)
PRUNELLA_DEFINE_CODEC(RunOutcome)

}  // namespace prunella
