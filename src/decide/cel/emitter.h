#pragma once

#include <memory>
#include <vector>

#include "decide/cel/ast.h"
#include "decide/cel/environment.h"
#include "decide/cel/program.h"
#include "decide/cel/resolver.h"
#include "decide/cel/source.h"

namespace prunella::cel {

struct Emitted {
  std::shared_ptr<const Program> program;
  std::vector<Problem>
      problems;  ///< constants that can be seen to be wrong, such as a pattern; the program fails there in the run
};

/// Turns a resolved tree into a program. Constant parts are worked out now. What has no meaning (an unknown name, a function that
/// there isn't) becomes an error in the run, so that `true || nonsense` is true: the checker is there to refuse it earlier.
Emitted emit(const Ast& ast, const Resolved& resolved, const Environment& environment, Slots& slots);

}  // namespace prunella::cel
