#include "model/envelope.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(Envelope)

}  // namespace prunella
