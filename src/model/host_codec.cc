#include "model/host.h"

namespace prunella {

PRUNELLA_DEFINE_CODEC(Sensed<SystemFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<PackageFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<UpdateFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<KernelFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<ProcessFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<UnitFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<DiskFacts>)
PRUNELLA_DEFINE_CODEC(Sensed<ExecutorFacts>)
PRUNELLA_DEFINE_CODEC(PackageFacts)
PRUNELLA_DEFINE_CODEC(ProcessFacts)
PRUNELLA_DEFINE_CODEC(ExecutorFacts)
PRUNELLA_DEFINE_CODEC(HostFacts)

}  // namespace prunella
