#include "observe/relations.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "base/text.h"

namespace prunella {

namespace {

Result<Relation> parse_relation(std::string_view text) {
  Relation relation;
  std::size_t end = text.find_first_of(" ([<");
  std::string_view name = text.substr(0, end);
  std::string_view rest = end == std::string_view::npos ? std::string_view() : trim(text.substr(end));
  relation.name = name.substr(0, name.find(':'));
  if (auto checked = check_package_name({relation.name, "all"}); !checked) return std::move(checked).error();
  if (!rest.starts_with('(')) return relation;
  std::size_t close = rest.find(')');
  if (close == std::string_view::npos) return invalid_input(quoted(text) + " has no closing parenthesis");
  std::string_view inside = trim(rest.substr(1, close - 1));
  std::size_t digits = inside.find_first_not_of("<>=");
  if (digits == std::string_view::npos) return invalid_input(quoted(text) + " names no version");
  relation.relation = inside.substr(0, digits);
  // The obsolete forms "<" and ">" mean "<=" and ">=".
  if (relation.relation == "<" || relation.relation == ">") relation.relation += '=';
  if (relation.relation != "<<" && relation.relation != "<=" && relation.relation != "=" && relation.relation != ">=" && relation.relation != ">>")
    return invalid_input(quoted(text) + " has no relation such as >=");
  relation.version = trim(inside.substr(digits));
  if (auto checked = check_debian_version(relation.version); !checked) return std::move(checked).error();
  return relation;
}

bool holds(const Relation& relation, const std::string& version, const VersionOrder& order) {
  if (relation.relation.empty()) return true;
  int compared = order(version, relation.version);
  if (relation.relation == "<<") return compared < 0;
  if (relation.relation == "<=") return compared <= 0;
  if (relation.relation == "=") return compared == 0;
  if (relation.relation == ">=") return compared >= 0;
  return compared > 0;
}

// The fields of a record, read once.
struct ReadRecord {
  std::vector<Relation> wants;    // Depends and Pre-Depends
  std::vector<Relation> refuses;  // Conflicts and Breaks
  std::vector<Relation> provides;
  bool readable = true;
};

void read_field(const std::optional<std::string>& field, std::vector<Relation>& into, bool& readable) {
  if (!field) return;
  auto parsed = parse_relations(*field);
  readable = readable && parsed.has_value();
  if (parsed) std::ranges::move(*parsed, std::back_inserter(into));
}

ReadRecord read_record(const PackageRecord& record) {
  ReadRecord read;
  for (const auto* field : {&record.depends, &record.pre_depends}) read_field(*field, read.wants, read.readable);
  for (const auto* field : {&record.conflicts, &record.breaks}) read_field(*field, read.refuses, read.readable);
  read_field(record.provides, read.provides, read.readable);
  return read;
}

class NeedGraph {
 public:
  NeedGraph(const std::vector<Step>& steps, const VersionOrder& order) : steps_(steps), order_(order), edges_(steps.size()) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      before_.push_back(read_record(steps[i].before));
      after_.push_back(read_record(steps[i].after));
      by_name_.emplace(steps[i].after.package.name, i);
      if (steps[i].before.provides != steps[i].after.provides)
        for (const Relation& provided : after_[i].provides) by_new_provision_.emplace(provided.name, i);
    }
  }

  std::vector<std::set<std::size_t>> take() && {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      needs_of_new(i);
      if (is_there(i)) needs_of_old(i);
      if (!after_[i].readable || !before_[i].readable) join_to_all(i);
    }
    return std::move(edges_);
  }

 private:
  bool is_there(std::size_t i) const { return !steps_[i].before.version.empty(); }

  template <class Visit>
  static void each(const std::multimap<std::string, std::size_t>& index, const std::string& name, Visit visit) {
    auto [first, last] = index.equal_range(name);
    for (auto at = first; at != last; ++at) visit(at->second);
  }

  void add(std::size_t from, std::size_t to) {
    if (from != to) edges_[from].insert(to);
  }

  // The new i against what is there: a new package isn't, so that any mention of it counts.
  void needs_of_new(std::size_t i) {
    for (const Relation& want : after_[i].wants) {
      each(by_name_, want.name, [&](std::size_t j) {
        if (!is_there(j) || !holds(want, steps_[j].before.version, order_)) add(i, j);
      });
      each(by_new_provision_, want.name, [&](std::size_t j) { add(i, j); });
    }
    for (const Relation& refusal : after_[i].refuses)
      each(by_name_, refusal.name, [&](std::size_t j) {
        if (is_there(j) && holds(refusal, steps_[j].before.version, order_)) add(i, j);
      });
  }

  // What is there against the new ones: whoever breaks the old i needs i to go along.
  void needs_of_old(std::size_t i) {
    for (const Relation& want : before_[i].wants)
      each(by_name_, want.name, [&](std::size_t j) {
        if (!holds(want, steps_[j].after.version, order_)) add(j, i);
      });
    for (const Relation& refusal : before_[i].refuses)
      each(by_name_, refusal.name, [&](std::size_t j) {
        if (holds(refusal, steps_[j].after.version, order_)) add(j, i);
      });
  }

  void join_to_all(std::size_t i) {
    for (std::size_t j = 0; j < steps_.size(); ++j) add(i, j), add(j, i);
  }

  const std::vector<Step>& steps_;
  const VersionOrder& order_;
  std::vector<std::set<std::size_t>> edges_;
  std::vector<ReadRecord> before_, after_;
  std::multimap<std::string, std::size_t> by_name_, by_new_provision_;
};

}  // namespace

Result<std::vector<Relation>> parse_relations(std::string_view field) {
  std::vector<Relation> relations;
  for (std::string_view clause : split(field, ',')) {
    for (std::string_view alternative : split(clause, '|')) {
      // A folded field has newlines.
      while (!alternative.empty() && (alternative.front() == '\n' || alternative.front() == ' ' || alternative.front() == '\t'))
        alternative.remove_prefix(1);
      while (!alternative.empty() && (alternative.back() == '\n' || alternative.back() == ' ')) alternative.remove_suffix(1);
      if (alternative.empty()) continue;
      if (relations.size() == kRelationsMax) return exhausted("more than " + std::to_string(kRelationsMax) + " relationships");
      auto relation = parse_relation(alternative);
      if (!relation) return std::move(relation).error();
      relations.push_back(*std::move(relation));
    }
  }
  return relations;
}

std::vector<std::set<std::size_t>> need_edges(const std::vector<Step>& steps, const VersionOrder& order) {
  return NeedGraph(steps, order).take();
}

std::set<std::size_t> reachable(const std::vector<std::set<std::size_t>>& edges, std::size_t first) {
  std::set<std::size_t> seen = {first};
  std::vector<std::size_t> open = {first};
  while (!open.empty()) {
    std::size_t from = open.back();
    open.pop_back();
    for (std::size_t to : edges[from])
      if (seen.insert(to).second) open.push_back(to);
  }
  seen.erase(first);
  return seen;
}

}  // namespace prunella
