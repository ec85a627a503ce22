#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "decide/cel/ast.h"
#include "decide/cel/function.h"
#include "decide/cel/pattern.h"
#include "decide/cel/slots.h"

namespace prunella::cel {

enum class Op : std::uint8_t {
  kConstant,        ///< push constants[b]
  kSlot,            ///< push the activation's value of slot b
  kLocal,           ///< push local b
  kStore,           ///< pop into local b
  kForget,          ///< local b gives its value back
  kSelect,          ///< pop x, push x.constants[b]
  kSelectOptional,  ///< ... x.?constants[b]
  kHas,             ///< ... has(x.constants[b])
  kIndex,           ///< pop key and x, push x[key]
  kIndexOptional,
  kUnary,           ///< pop x, push `a` x
  kBinary,          ///< pop y and x, push x `a` y
  kSlotIsConstant,  ///< push slot b == constants[c], or != when `a` says so
  kSlotInConstant,  ///< push slot b in constants[c]
  kMatches,         ///< pop x, push whether patterns[b] is in it
  kDecide,          ///< && and || (`a`): when the top decides alone, jump to b
  kCombine,         ///< pop y and x, push x `a` y for && and ||
  kBranch,          ///< pop x; true: go on behind the next instruction; false: jump to b; else push why not and jump to c
  kJump,            ///< to b
  kCall,            ///< pop b arguments, push functions[c] of them; `a`: 1 as a member
  kList,            ///< pop b elements, push the list; c: 1 + the marks of optional ones, 0 without any
  kMap,             ///< pop b entries; c as in kList
  kStruct,          ///< pop the fields, push structs[b]
  kLoopBegin,       ///< pop the range; its loop is loops[b]
  kLoopNext,        ///< the next element into the locals of loops[b], or the result and a jump to its end
  kLoopCondition,   ///< pop the condition; go on, or back to kLoopNext, or end the loop with a result
  kLoopResult,      ///< pop the element's result, keep it, back to kLoopNext
  kFail,            ///< push constants[b], an error
};

struct Instruction {
  Op op;
  std::uint8_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
};

struct LoopPlan {
  LoopKind kind = LoopKind::kAll;
  std::uint32_t local = 0;  ///< the first of its variables
  std::uint32_t variables = 1;
  std::uint32_t next = 0;  ///< where its kLoopNext stands
  std::uint32_t end = 0;   ///< the instruction behind it
};

struct StructPlan {
  std::string message;
  std::vector<std::string> names;
  std::vector<bool> optionals;
};

/// What a condition demands: it is false unless the slot's value is one of these. They are bool, int, uint or string.
struct Selector {
  SlotId slot = kNoSlot;
  std::vector<Value> values;  ///< frozen
};

/// A compiled expression: a flat list of instructions for a stack machine, over slots. Immutable, for any number of threads.
struct Program {
  std::string source;
  std::vector<Instruction> code;
  std::vector<std::uint32_t> offsets;  ///< by instruction: in the source, in bytes
  std::vector<Value> constants;        ///< frozen
  std::vector<std::shared_ptr<const FunctionSet>> functions;
  std::vector<Pattern> patterns;
  std::vector<std::vector<bool>> marks;
  std::vector<LoopPlan> loops;
  std::vector<StructPlan> structs;
  std::vector<Selector> selectors;  ///< of the terms that && joins at the top
  std::uint32_t locals = 0;
};

}  // namespace prunella::cel
