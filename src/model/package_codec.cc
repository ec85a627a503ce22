#include "model/package.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(Package)
PRUNELLA_DEFINE_CODEC(Update)
PRUNELLA_DEFINE_CODEC(PackageName)

}  // namespace prunella
