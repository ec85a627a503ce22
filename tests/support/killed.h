#pragma once

namespace prunella::testing {

/// The process was killed: everything in memory is gone, and what was committed stays.
struct Killed {};

}  // namespace prunella::testing
