#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "base/time.h"
#include "loop/agent_values.h"

namespace prunella::agent {

/// What needs more work than reading a file (apt, every process's maps) waits until changes have been quiet for this long.
inline constexpr Duration kQuiet = std::chrono::seconds(3);
/// And yet no longer than this when they never are.
inline constexpr Duration kQuietMax = std::chrono::seconds(60);

/// When the agent looks at each section of its host next. Not safe for threads.
class LookSchedule {
 public:
  /// Look at `at`, or earlier when that was marked before.
  void mark(Section section, Monotonic at) {
    std::optional<Monotonic>& due = of(section).due;
    if (!due || at < *due) due = at;
  }
  /// Something changed: look when nothing has for kQuiet, kQuietMax after the first change at the latest.
  void when_quiet(Section section, Monotonic now) {
    Entry& entry = of(section);
    if (!entry.first_change) entry.first_change = now;
    entry.quiet = std::min(now + kQuiet, *entry.first_change + kQuietMax);
  }
  /// While an order is carried out, apt, every process and the kernels wait: what they would see is half of a change, and ten hosts
  /// on one machine spent as much on looking as on upgrading. What came due meanwhile is due at once afterwards.
  void hold(bool on) { held_ = on; }

  /// Whether to look now. If so, what was marked is forgotten.
  bool take(Section section, Monotonic now) {
    auto due = due_of(section);
    if (!due || *due > now) return false;
    of(section) = {};
    return true;
  }
  /// The next look; nothing when none is marked.
  std::optional<Monotonic> next() const {
    std::optional<Monotonic> next;
    for (std::size_t i = 0; i < kSections; ++i)
      if (auto due = due_of(static_cast<Section>(i)); due && (!next || *due < *next)) next = due;
    return next;
  }

 private:
  struct Entry {
    std::optional<Monotonic> due, first_change, quiet;
  };
  Entry& of(Section section) { return entries_[static_cast<std::size_t>(section)]; }
  std::optional<Monotonic> due_of(Section section) const {
    const Entry& entry = entries_[static_cast<std::size_t>(section)];
    if (held_ && (section == Section::kUpdates || section == Section::kProcesses || section == Section::kKernel)) return std::nullopt;
    return entry.due && entry.quiet ? std::min(*entry.due, *entry.quiet) : entry.due ? entry.due : entry.quiet;
  }

  std::array<Entry, kSections> entries_;
  bool held_ = false;
};

}  // namespace prunella::agent
