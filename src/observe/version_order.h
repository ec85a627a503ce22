#pragma once

#include <functional>
#include <string_view>

namespace prunella {

/// How two Debian versions compare: negative, 0 or positive. Passed in, since a stage knows no other stage; model/deb_version.h
/// has the order that agrees with `dpkg --compare-versions`.
using VersionOrder = std::function<int(std::string_view, std::string_view)>;

}  // namespace prunella
