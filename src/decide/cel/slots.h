#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decide/cel/value.h"

namespace prunella::cel {

using SlotId = std::uint32_t;
inline constexpr SlotId kNoSlot = ~SlotId{0};

/// The variables and the paths below them (`event`, `event.unit`) that a set of programs reads, each with a number. All programs
/// that run on one Activation share it, so that a path is looked up once for an event however many policies ask for it.
class Slots {
 public:
  SlotId root(std::string_view name);
  SlotId child(SlotId parent, std::string_view field);
  /// kNoSlot: no program reads a variable of this name.
  SlotId find(std::string_view name) const;
  std::size_t size() const { return slots_.size(); }

  struct Slot {
    SlotId parent = kNoSlot;
    Value field;  ///< a string, frozen
    std::string path;
  };
  const Slot& at(SlotId id) const { return slots_[id]; }

 private:
  std::vector<Slot> slots_;
  std::map<std::string, SlotId, std::less<>> roots_;
  std::map<std::pair<SlotId, std::string>, SlotId> children_;
};

/// The values of one event. Give it the variables, run the programs, reset() and go on with the next event. One thread at a time;
/// it must not outlive `slots`, which must not grow between its making and its last use.
class Activation {
 public:
  explicit Activation(const Slots& slots);

  /// Forgets all values.
  void reset();
  void set(SlotId slot, Value value);
  /// For a value that comes after programs ran: what was looked up below the slot is forgotten.
  void replace(SlotId slot, Value value);
  /// Nothing happens when no program reads the variable.
  void set(std::string_view name, Value value);
  /// Says that `name` (a variable, or a path such as "host.labels" that a program reads) is not known yet: what depends on it
  /// becomes an unknown that names it.
  void set_unknown(SlotId slot);

  /// A variable without a value is an error.
  const Value& value(SlotId slot) {
    Cell& cell = cells_[slot];
    if (cell.round != round_) [[unlikely]]
      look_up(slot);
    return cell.value;
  }
  const Slots& slots() const { return slots_; }

 private:
  struct Cell {
    Value value;
    std::uint64_t round = 0;  ///< of the event that `value` belongs to
  };
  void look_up(SlotId slot);
  void forget_below(SlotId slot);

  const Slots& slots_;
  std::vector<std::vector<SlotId>> below_;  ///< by slot: its children
  std::vector<Cell> cells_;
  std::uint64_t round_ = 1;
};

}  // namespace prunella::cel
