#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "act/ports.h"

struct sd_bus;

namespace prunella {

/// systemd over its own socket (/run/systemd/private, which root alone may use), or over the system bus where there is none.
///
/// In the same process, because starting systemctl(1) costs some 25 ms of processor time, ten times what systemd needs to answer,
/// and a run asks several times. A connection is made for each question and closed after it: one that stayed open would be sent every
/// change of every unit, and nobody would read it while the executor waits for orders.
class BusUnitTool : public UnitTool {
 public:
  /// Opens and starts a connection, and gives 0 or a negative errno as sd-bus does. Another one than systemd's is for tests.
  using Opener = std::function<int(sd_bus**)>;
  BusUnitTool();
  explicit BusUnitTool(Opener opener) : opener_(std::move(opener)) {}

  Result<std::vector<UnitState>> list() override;
  Result<std::optional<UnitState>> find(const std::string& unit) override;
  /// Queues a restart job, as `systemctl restart` does, and waits for it. @error kUnavailable  also when the connection was lost or the
  /// deadline came: the job may go on then.
  Status restart(const std::string& unit, const ToolWatch& watch) override;

 private:
  Opener opener_;
};

}  // namespace prunella
