#pragma once

#include <algorithm>

#include "base/time.h"

namespace prunella {

/// How long ago `at` was. A moment in the future is just now: our clock went back, and what happened did happen.
inline Duration ago(Instant at, Instant now) { return std::max(Duration(0), now - at); }

}  // namespace prunella
