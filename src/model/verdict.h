#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/codec.h"

namespace prunella {

enum class VerdictKind { kAllow, kWait, kDeny };
constexpr std::array<EnumWord<VerdictKind>, 3> enum_words(VerdictKind) {
  return {{{VerdictKind::kAllow, "allow"}, {VerdictKind::kWait, "wait"}, {VerdictKind::kDeny, "deny"}}};
}

/// One brake that holds.
struct VerdictReason {
  VerdictKind kind = VerdictKind::kDeny;  ///< kWait or kDeny
  std::string code;                       ///< stable, for programs: "host-stale"
  std::string text;                       ///< one sentence with the values
  std::string would_change;               ///< what would take the brake off
  bool operator==(const VerdictReason&) const = default;
};
template <class F>
void fields(F& f, VerdictReason& r) {
  f("kind", r.kind);
  f("code", r.code);
  f("text", r.text);
  f("would_change", r.would_change);
}

/// The gate's answer with every reason, not only the first. Without a reason it is allow.
struct Verdict {
  VerdictKind kind = VerdictKind::kDeny;
  std::vector<VerdictReason> reasons;
  bool escalate = false;  ///< a person must look: acting again would only hide the fault
  bool operator==(const Verdict&) const = default;
};
template <class F>
void fields(F& f, Verdict& v) {
  f("kind", v.kind);
  f("reasons", v.reasons);
  f("escalate", v.escalate);
}

/// Collects the brakes that hold, and makes the verdict of them.
class Brakes {
 public:
  void wait(std::string code, std::string text, std::string would_change);
  void deny(std::string code, std::string text, std::string would_change);
  void add(std::vector<VerdictReason> reasons);
  void escalate() { escalate_ = true; }
  bool empty() const { return reasons_.empty(); }
  /// Deny outweighs wait; no reason at all is allow. Denials come first, otherwise the order in which they were added stays.
  Verdict verdict() &&;

 private:
  std::vector<VerdictReason> reasons_;
  bool escalate_ = false;
};

}  // namespace prunella
