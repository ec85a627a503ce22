#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decide/cel/ast.h"
#include "decide/cel/environment.h"

namespace prunella::cel {

/// What a name in an expression means.
enum class Meaning : std::uint8_t {
  kOpen,      ///< nothing was looked up for this node: an operand decides
  kLocal,     ///< a variable of a macro: `number`
  kVariable,  ///< a declared variable: `name`
  kType,      ///< a type as a value: `name`
  kFunction,  ///< a call: `name` is the function; `namespaced`: children[0] is part of the name and no operand
  kMessage,   ///< a struct literal: `name` is the message
  kNothing,   ///< nothing has this name
};

struct Resolution {
  Meaning meaning = Meaning::kOpen;
  bool namespaced = false;
  std::uint32_t number = 0;
  std::string name;
};

struct Resolved {
  std::vector<Resolution> nodes;  ///< by NodeId
  std::uint32_t locals = 0;       ///< variables of macros that are alive at once, at most

  const Resolution& of(NodeId id) const { return nodes[id]; }
};

/// Finds what every name means: the variables of macros first, then the longest chain that is a declared variable or a type, in
/// the nearest container. Source: langdef.md, "Name Resolution".
Resolved resolve(const Ast& ast, const Environment& environment);

}  // namespace prunella::cel
