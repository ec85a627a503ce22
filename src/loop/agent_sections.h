#pragma once

#include <optional>
#include <string>

#include "loop/agent_values.h"

/// From the facts of a host to the events that tell of them.
namespace prunella::agent {

/// SHA-256 of the canonical JSON of `facts`, as PackagesDelta::digest wants it. It is made one package at a time: the JSON tree of
/// 5,000 packages would take more memory than the rest of the agent.
Digest digest_of(const PackageFacts& facts);

/// The canonical JSON of the section as it stands among the facts; std::nullopt when it never came. The packages are written one
/// by one for the same reason.
std::optional<std::string> section_data(const HostFacts& facts, Section section);

/// The canonical JSON of the PackagesDelta that leads from `base` to `now`; both sorted by package. std::nullopt when a whole
/// section would be no larger: more than half of the packages differ.
std::optional<std::string> packages_delta_data(const PackageFacts& base, const PackageFacts& now, Instant at);

/// Puts a look into its place among the facts.
/// @return whether it says something else than the last one: another fact or another reason for not knowing it, whenever seen.
bool take_section(HostFacts& facts, SectionValue value);

/// One CloudEvents event as JSON; `data` is JSON already.
std::string event_text(std::string_view instance, std::string_view source, std::uint64_t sequence, std::string_view type, Instant time,
                       std::string_view data);

/// Applies a delta as a receiver does: for tests, and for whoever stores facts.
/// @error kConflict  the result's digest is not the delta's: ask for the whole section. `facts` is then unchanged.
Status apply_delta(PackageFacts& facts, const PackagesDelta& delta);

}  // namespace prunella::agent
