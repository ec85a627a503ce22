#pragma once

#include "model/host.h"

namespace prunella {

/// Free space trembles all the time: a look that differs by less from the last one told says nothing new.
inline constexpr std::uint64_t kDiskStepPercent = 1;

/// Whether `now` says something new after `told`: another filesystem, size or state, a filesystem that is full or not full any more
/// (match/findings.h), or free space that moved by more than kDiskStepPercent.
bool is_news(const DiskFacts& told, const DiskFacts& now);

}  // namespace prunella
