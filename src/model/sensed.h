#pragma once

#include <optional>
#include <string>

#include "base/codec.h"

namespace prunella {

/// What a sensor last said, or why it could not say anything. Unknown is a state of its own: there is no default value.
template <class T>
struct Sensed {
  std::optional<T> value;              ///< the fact, if the last look succeeded
  std::optional<std::string> unknown;  ///< otherwise the reason, in a sentence for people
  Instant at{};                        ///< when the host looked (the host's clock)

  bool known() const { return value.has_value(); }
  bool operator==(const Sensed&) const = default;
};

template <class F, class T>
void fields(F& f, Sensed<T>& s) {
  f("value", s.value);
  f("unknown", s.unknown);
  f("at", s.at);
}

template <class T>
Sensed<T> sensed(T value, Instant at) {
  return {std::move(value), std::nullopt, at};
}
template <class T>
Sensed<T> not_sensed(std::string reason, Instant at) {
  return {std::nullopt, std::move(reason), at};
}

}  // namespace prunella
