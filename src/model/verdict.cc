#include "model/verdict.h"

#include <algorithm>
#include <iterator>

namespace prunella {

void Brakes::wait(std::string code, std::string text, std::string would_change) {
  reasons_.push_back({VerdictKind::kWait, std::move(code), std::move(text), std::move(would_change)});
}

void Brakes::deny(std::string code, std::string text, std::string would_change) {
  reasons_.push_back({VerdictKind::kDeny, std::move(code), std::move(text), std::move(would_change)});
}

void Brakes::add(std::vector<VerdictReason> reasons) { std::ranges::move(reasons, std::back_inserter(reasons_)); }

Verdict Brakes::verdict() && {
  Verdict verdict;
  verdict.kind = VerdictKind::kAllow;
  for (const VerdictReason& reason : reasons_) verdict.kind = std::max(verdict.kind, reason.kind);
  std::ranges::stable_sort(reasons_, [](const VerdictReason& a, const VerdictReason& b) { return a.kind > b.kind; });
  verdict.reasons = std::move(reasons_);
  verdict.escalate = escalate_;
  return verdict;
}

}  // namespace prunella
