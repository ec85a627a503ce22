#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/random.h"
#include "base/result.h"

namespace prunella {

/// A name whose kind the compiler knows: a HostId can't be passed where a PlanId is wanted.
template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}
  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Id&) const = default;

 private:
  std::string text_;
};

using HostId = Id<struct HostTag>;          ///< "web-1-3f9a": the host's name and four digits of its key
using PlanId = Id<struct PlanTag>;          ///< "PLN-5k2m9x"
using RolloutId = Id<struct RolloutTag>;    ///< "ROL-5k2m9x"
using RunId = Id<struct RunTag>;            ///< "RUN-5k2m9x"
using FindingId = Id<struct FindingTag>;    ///< "FND-" and 10 digits of the digest of host, kind and subject: stable
using OrderId = Id<struct OrderTag>;        ///< 32 hexadecimal digits
using PolicyId = Id<struct PolicyTag>;

/// `count` characters of Crockford's base 32 in lower case (no i, l, o, u): 5 bits each.
std::string random_id_text(Random& random, std::size_t count);

/// A new id such as "PLN-5k2m9x". Eight characters: 40 bits, so that a million of them rarely collide and a person can say one.
template <class IdType>
IdType make_id(std::string_view prefix, Random& random) {
  return IdType(std::string(prefix) + "-" + random_id_text(random, 8));
}

/// A text that may be used as a name: 1 to 128 of [A-Za-z0-9._:+@~-], first not '-' or '.'.
/// @error kInvalidInput  with the wrong text quoted.
Status check_name(std::string_view what, std::string_view text);

}  // namespace prunella

template <class Tag>
struct std::hash<prunella::Id<Tag>> {
  std::size_t operator()(const prunella::Id<Tag>& id) const { return std::hash<std::string>()(id.text()); }
};
