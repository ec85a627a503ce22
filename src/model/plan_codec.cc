#include "model/plan.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(Plan)

}  // namespace prunella
