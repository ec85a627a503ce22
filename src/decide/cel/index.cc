#include "decide/cel/index.h"

#include <algorithm>
#include <map>

namespace prunella::cel {

namespace {

/// How many rules demand each value of each slot.
class Demand {
 public:
  void count(const Selector& selector) {
    auto& values = counts_[selector.slot];
    for (const Value& value : selector.values) ++values[key(value)];
  }
  std::size_t of(const Selector& selector) const {
    std::size_t total = 0;
    for (const Value& value : selector.values) total += counts_.at(selector.slot).at(key(value));
    return total;
  }

 private:
  /// Numbers that are equal give different texts for int and uint: that makes a choice less good, never wrong.
  static std::string key(const Value& value) {
    if (value.is(Kind::kString)) return "s" + std::string(value.as_text());
    return std::to_string(static_cast<int>(value.kind())) + ":" + std::to_string(value.as_int());
  }
  std::map<SlotId, std::map<std::string, std::size_t>> counts_;
};

}  // namespace

void RuleIndex::add(RuleId rule, std::vector<std::string> triggers, std::shared_ptr<const Program> program) {
  std::sort(triggers.begin(), triggers.end());
  triggers.erase(std::unique(triggers.begin(), triggers.end()), triggers.end());
  rules_.push_back({rule, std::move(triggers), std::move(program)});
}

void RuleIndex::build() {
  std::map<std::string, std::vector<const Rule*>> by_trigger;
  for (const Rule& rule : rules_) {
    for (const std::string& trigger : rule.triggers) by_trigger[trigger].push_back(&rule);
  }
  groups_.clear();
  for (const auto& [trigger, rules] : by_trigger) groups_.emplace(trigger, make_group(rules));
}

RuleIndex::Group RuleIndex::make_group(const std::vector<const Rule*>& rules) {
  Demand demand;
  for (const Rule* rule : rules) {
    for (const Selector& selector : rule->program->selectors) demand.count(selector);
  }
  Group group;
  std::map<SlotId, std::vector<std::pair<const Selector*, RuleId>>> chosen;
  for (const Rule* rule : rules) {
    const auto& selectors = rule->program->selectors;
    const auto best = std::min_element(selectors.begin(), selectors.end(),
                                       [&](const Selector& a, const Selector& b) { return demand.of(a) < demand.of(b); });
    if (best == selectors.end()) {
      group.always.push_back(rule->id);
    } else {
      chosen[best->slot].emplace_back(&*best, rule->id);
    }
  }
  for (const auto& [slot, entries] : chosen) {
    Table table;
    table.slot = slot;
    MapBuilder buckets(entries.size());
    for (const auto& [selector, rule] : entries) {
      table.all.push_back(rule);
      for (const Value& value : selector->values) {
        const Value* bucket = buckets.find(value);
        if (bucket == nullptr) {
          // It isn't there, so that adding can't fail.
          (void)buckets.add(value, Value::integer(static_cast<std::int64_t>(table.rules.size())));
          table.rules.emplace_back();
          bucket = buckets.find(value);
        }
        auto& list = table.rules[static_cast<std::size_t>(bucket->as_int())];
        if (list.empty() || list.back() != rule) list.push_back(rule);
      }
    }
    table.buckets = std::move(buckets).finish();
    table.buckets.freeze();
    group.tables.push_back(std::move(table));
  }
  return group;
}

void RuleIndex::candidates(std::string_view trigger, Activation& activation, std::vector<RuleId>& out) const {
  out.clear();
  const auto found = groups_.find(trigger);
  if (found == groups_.end()) return;
  const Group& group = found->second;
  out.insert(out.end(), group.always.begin(), group.always.end());
  for (const Table& table : group.tables) {
    const Value& value = activation.value(table.slot);
    if (!value.is_proper()) {
      out.insert(out.end(), table.all.begin(), table.all.end());
    } else if (const Value* bucket = table.buckets.as_map().find(value)) {
      const auto& rules = table.rules[static_cast<std::size_t>(bucket->as_int())];
      out.insert(out.end(), rules.begin(), rules.end());
    }
  }
  std::sort(out.begin(), out.end());
}

}  // namespace prunella::cel
