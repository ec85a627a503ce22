#include "model/finding.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(Finding)

}  // namespace prunella
