#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "faults.h"
#include "kernel.h"

namespace prunella::sim {

struct Options {
  std::uint64_t seed = 1;
  std::size_t hosts = 50;
  bool print = false;
  bool calm = false;                       ///< no fault at all: then every host must be verified
  std::vector<std::string> without = {};   ///< classes that stay off
};

struct Figures {
  std::uint64_t runs = 0, verified = 0, reverted = 0, escalated = 0, not_begun = 0, standing = 0, orders = 0, effects = 0;
  std::uint64_t rollouts = 0, executor_deaths = 0, control_deaths = 0, reports = 0, events = 0, lines = 0;
  std::uint64_t forged = 0;
  std::uint64_t healthy = 0;  ///< hosts, at the end
  Duration longest_rest{};    ///< from the end of the faults until everything was at rest
  Duration virtual_time{};
  void add(const Figures& other);
};

struct Outcome {
  std::optional<Violation> violation;
  Monotonic at{};
  Digest log;
  std::string faults;
  Figures figures;
};

/// One fleet from its enrolment to its rest, under the faults that the seed draws. Equal options give an equal outcome.
Outcome simulate(const Options& options);

}  // namespace prunella::sim
