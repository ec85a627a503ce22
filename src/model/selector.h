#pragma once

#include <string>
#include <vector>

#include "model/api.h"

namespace prunella {

/// Which hosts: "all", or terms "key:pattern" that must all hold, with '*' in patterns. Keys: host (id or name), os (os-release
/// ID and version as in "debian:12" is written os:debian release:12), release, codename, posture, label names otherwise. A label
/// that a host doesn't have matches nothing.
struct Selector {
  struct Term {
    std::string key;
    std::string pattern;
  };
  std::string text;         ///< as it was given
  bool all = false;
  std::vector<Term> terms;
};

/// @error kInvalidInput  empty (an empty selection is never "all"), a term without ':' or with an empty side, above 32 terms.
Result<Selector> parse_selector(std::string_view text);
bool selects(const Selector& selector, const HostView& host, const std::optional<SystemFacts>& system);

}  // namespace prunella
