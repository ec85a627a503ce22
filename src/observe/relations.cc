#include "observe/relations.h"

#include <algorithm>

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

// What `field` says of `name`; everything when the field can't be read.
struct Said {
  std::vector<Relation> relations;
  bool readable = true;
};
Said said_of(const std::optional<std::string>& field, std::string_view name) {
  Said said;
  if (!field) return said;
  auto parsed = parse_relations(*field);
  if (!parsed) return {{}, false};
  for (Relation& relation : *parsed)
    if (relation.name == name) said.relations.push_back(std::move(relation));
  return said;
}

// `from` requires something of `to`'s name that its version is not. A new package has no version: any mention counts.
bool dependency_broken(const PackageRecord& from, const PackageRecord& to, const VersionOrder& order) {
  for (const auto* field : {&from.depends, &from.pre_depends}) {
    Said said = said_of(*field, to.package.name);
    if (!said.readable) return true;
    for (const Relation& relation : said.relations)
      if (to.version.empty() || !holds(relation, to.version, order)) return true;
  }
  return false;
}

bool conflict_present(const PackageRecord& from, const PackageRecord& to, const VersionOrder& order) {
  if (to.version.empty()) return false;
  for (const auto* field : {&from.conflicts, &from.breaks}) {
    Said said = said_of(*field, to.package.name);
    if (!said.readable) return true;
    for (const Relation& relation : said.relations)
      if (holds(relation, to.version, order)) return true;
  }
  return false;
}

// `a` depends on a name that the new `b` provides otherwise than the old one did.
bool wants_new_provision(const PackageRecord& a, const Step& b) {
  if (b.after.provides == b.before.provides || !b.after.provides) return false;
  auto provided = parse_relations(*b.after.provides);
  if (!provided) return true;
  for (const auto* field : {&a.depends, &a.pre_depends}) {
    if (!*field) continue;
    auto wanted = parse_relations(**field);
    if (!wanted) return true;
    for (const Relation& relation : *wanted)
      if (std::ranges::any_of(*provided, [&](const Relation& p) { return p.name == relation.name; })) return true;
  }
  return false;
}

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

bool may_need(const Step& a, const Step& b, const VersionOrder& order) {
  if (dependency_broken(a.after, b.before, order) || conflict_present(a.after, b.before, order)) return true;
  bool b_is_there = !b.before.version.empty();
  if (b_is_there && (dependency_broken(b.before, a.after, order) || conflict_present(b.before, a.after, order))) return true;
  return wants_new_provision(a.after, b);
}

}  // namespace prunella
