#pragma once

#include <string>

#include "base/text.h"
#include "model/verdict.h"

namespace prunella {

/// For tests: the codes of a verdict's reasons, "cooldown,flapping". Empty: it allows.
inline std::string codes_of(const Verdict& verdict) {
  std::vector<std::string> codes;
  for (const VerdictReason& reason : verdict.reasons) codes.push_back(reason.code);
  return join(codes, ",");
}

}  // namespace prunella
