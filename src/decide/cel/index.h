#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decide/cel/program.h"
#include "decide/cel/slots.h"

namespace prunella::cel {

/// The number of a rule, given by whoever adds it.
using RuleId = std::uint32_t;

/// Finds the rules whose conditions an event can make true, without running the others: first by what triggers them, then by the
/// most selective constant that a condition demands (`event.unit == 'nginx.service' && ...`, or `in` a list of constants).
///
/// Exact: a rule that is left out has a condition that is false. A rule whose demanded value is an error or an unknown for this
/// event is never left out, since then the whole condition may be one as well.
class RuleIndex {
 public:
  /// `program` is the rule's condition; it must read from the slots that lookups use.
  void add(RuleId rule, std::vector<std::string> triggers, std::shared_ptr<const Program> program);
  /// Chooses each rule's constant, now that all are known. Adding more rules needs another call.
  void build();
  /// The rules to run for an event of the kind `trigger`, ascending, into `out` (cleared first).
  void candidates(std::string_view trigger, Activation& activation, std::vector<RuleId>& out) const;

 private:
  struct Rule {
    RuleId id;
    std::vector<std::string> triggers;
    std::shared_ptr<const Program> program;
  };
  /// The rules of one trigger that demand something of one slot.
  struct Table {
    SlotId slot = kNoSlot;
    Value buckets;  ///< a map: demanded value -> number in `rules`
    std::vector<std::vector<RuleId>> rules;
    std::vector<RuleId> all;
  };
  struct Group {
    std::vector<RuleId> always;  ///< demand nothing
    std::vector<Table> tables;
  };
  static Group make_group(const std::vector<const Rule*>& rules);

  std::vector<Rule> rules_;
  std::map<std::string, Group, std::less<>> groups_;
};

}  // namespace prunella::cel
