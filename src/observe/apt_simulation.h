#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/package.h"

/// What `apt-get --simulate` says it would do (LC_ALL=C.UTF-8).
namespace prunella {

/// 16 MiB: a distribution upgrade of 5,000 packages writes 2 MB.
inline constexpr std::size_t kAptOutputBytesMax = 16u << 20;

/// A package that apt would unpack.
struct SimulatedInstall {
  PackageName package;
  std::optional<std::string> from_version;  ///< absent: the package is new
  std::string to_version;
  std::vector<std::string> archives;  ///< as apt names them: "Debian-Security:12/oldstable-security"; by label, so no proof of origin
  bool operator==(const SimulatedInstall&) const = default;
};

/// A package that apt would remove. apt leaves out the native architecture's name.
struct SimulatedRemoval {
  std::string name;
  std::optional<std::string> arch;  ///< absent: the native one, or all
  std::string version;
  bool operator==(const SimulatedRemoval&) const = default;
};

struct AptSimulation {
  std::vector<SimulatedInstall> installs;  ///< in apt's order
  std::vector<SimulatedRemoval> removals;
  std::vector<std::string> kept_back;  ///< names (with ":arch" when foreign) under "have been kept back"
  std::vector<std::string> phased;     ///< names under "have been deferred due to phasing"
  bool operator==(const AptSimulation&) const = default;
};

/// Lines of other kinds (Conf, notes, headings, progress) are skipped.
/// Source: apt's apt-pkg/algorithms.cc (pkgSimulate), apt-private/private-output.cc; tests/corpus/observe.
/// @error kInvalidInput  an Inst or Remv line of another form: quoted, with its number.
/// @error kExhausted     larger than kAptOutputBytesMax.
Result<AptSimulation> parse_apt_simulation(std::string_view output);

}  // namespace prunella
