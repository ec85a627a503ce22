#include "decide/cel/slots.h"

#include "base/text.h"
#include "decide/cel/operators.h"

namespace prunella::cel {

SlotId Slots::root(std::string_view name) {
  if (const SlotId found = find(name); found != kNoSlot) return found;
  slots_.push_back({kNoSlot, Value(), std::string(name)});
  const auto id = static_cast<SlotId>(slots_.size() - 1);
  roots_.emplace(name, id);
  return id;
}

SlotId Slots::child(SlotId parent, std::string_view field) {
  const auto [place, fresh] = children_.try_emplace({parent, std::string(field)}, static_cast<SlotId>(slots_.size()));
  if (fresh) {
    Value name = Value::string(field);
    name.freeze();
    slots_.push_back({parent, std::move(name), slots_[parent].path + "." + std::string(field)});
  }
  return place->second;
}

SlotId Slots::find(std::string_view name) const {
  const auto found = roots_.find(name);
  return found == roots_.end() ? kNoSlot : found->second;
}

Activation::Activation(const Slots& slots) : slots_(slots), below_(slots.size()), cells_(slots.size()) {
  for (SlotId slot = 0; slot < slots.size(); ++slot)
    if (const SlotId parent = slots.at(slot).parent; parent != kNoSlot) below_[parent].push_back(slot);
}

void Activation::reset() { ++round_; }

void Activation::replace(SlotId slot, Value value) {
  forget_below(slot);
  set(slot, std::move(value));
}

void Activation::forget_below(SlotId slot) {
  for (const SlotId child : below_[slot]) {
    if (cells_[child].round != round_) continue;  // what is below it was looked up through it
    cells_[child].round = 0;
    forget_below(child);
  }
}

void Activation::set(SlotId slot, Value value) {
  cells_[slot].value = std::move(value);
  cells_[slot].round = round_;
}
void Activation::set(std::string_view name, Value value) {
  const SlotId slot = slots_.find(name);
  if (slot != kNoSlot) set(slot, std::move(value));
}
void Activation::set_unknown(SlotId slot) { set(slot, Value::unknown({slots_.at(slot).path})); }

void Activation::look_up(SlotId slot) {
  const Slots::Slot& place = slots_.at(slot);
  if (place.parent == kNoSlot) {
    set(slot, Value::error(ErrorCode::kNoValue, "the variable " + quoted(place.path) + " has no value"));
  } else {
    // Deep as the longest path in a program, which the parser bounds.
    set(slot, select_field(value(place.parent), place.field));
  }
}

}  // namespace prunella::cel
