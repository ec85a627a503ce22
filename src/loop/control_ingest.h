#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "loop/control_plane.h"

namespace prunella {

/// One report on its way in, within one transaction.
struct ControlPlane::Ingest {
  HostRow host;
  HostFacts facts;
  bool facts_loaded = false;
  bool facts_changed = false;
  std::map<std::string, SourceRow> sources;
  std::set<std::string> sources_changed;
  std::vector<RunOutcome> outcomes;
  Instant now;
};

}  // namespace prunella
