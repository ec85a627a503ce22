#pragma once

#include <array>
#include <string>

#include "base/codec.h"

namespace prunella {

/// How a host is, in one word, for tiles and lists. Only kHealthy is safe: everything else, also the lack of data, is shown and
/// counted (DESIGN.md rule 7).
enum class PostureState {
  kHealthy,        ///< everything was looked at, nothing is missing
  kPending,        ///< fixed on the disk, but old code still runs: a restart or a reboot is due
  kUnknown,        ///< something could not be looked at, or the host never reported
  kNeedsUpdate,    ///< a security update is missing
  kBroken,         ///< interrupted dpkg, broken package, failed unit, archive that can't be trusted
  kStale,          ///< the host is late: what is known of it is old
};
constexpr std::array<EnumWord<PostureState>, 6> enum_words(PostureState) {
  return {{{PostureState::kHealthy, "healthy"},
           {PostureState::kPending, "restart-or-reboot-pending"},
           {PostureState::kUnknown, "unknown"},
           {PostureState::kNeedsUpdate, "needs-update"},
           {PostureState::kBroken, "broken"},
           {PostureState::kStale, "stale"}}};
}
struct Posture {
  PostureState state = PostureState::kUnknown;
  std::string sentence;
  bool operator==(const Posture&) const = default;
};
template <class F>
void fields(F& f, Posture& p) {
  f("state", p.state);
  f("sentence", p.sentence);
}

}  // namespace prunella
