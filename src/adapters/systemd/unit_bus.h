#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/time.h"
#include "model/host.h"

struct sd_bus;

namespace prunella {

/// What came over the bus since the last look.
struct UnitNews {
  std::set<std::string> changed;  ///< names of units that changed, came or went
  bool everything = false;        ///< the connection is new, or systemd reloaded: look at all units
  bool empty() const { return changed.empty() && !everything; }
};

/// systemd's units over the system bus, without privileges. Details of a service are asked for again only after the bus said that
/// it changed, so that an idle host costs nothing.
///
/// One thread at a time, and always the same one: libsystemd's objects belong to the thread that made them.
///
///     poll(bus.fd(), bus.events(), min(bus.wait(), ...));  auto news = bus.process();  if (!news->empty()) send(bus.units());
///
/// Source: org.freedesktop.systemd1(5), sd-bus(3).
class UnitBus {
 public:
  /// Opens a connection: returns 0 and sets the pointer, or a negative errno. The default is sd_bus_open_system.
  using Opener = std::function<int(sd_bus**)>;

  explicit UnitBus(Clock& clock, Opener opener = {});
  ~UnitBus();
  UnitBus(const UnitBus&) = delete;
  UnitBus& operator=(const UnitBus&) = delete;

  /// All units now; connects when that is due.
  /// @error kUnavailable  there is no system bus, no systemd on it, or it did not answer within five seconds: the section is
  ///                      unknown then, and the connection is tried again after wait().
  Result<UnitFacts> units();

  /// For poll(2): -1 while there is no connection.
  int fd() const;
  short events() const;
  /// After this time process() has something to do even when nothing came: a time-out of the bus, or the next try to connect.
  /// Never more than five minutes.
  Duration wait() const;

  /// Takes what came; connects when that is due. Bounded: what is left is taken by the next call.
  /// @error kUnavailable  no connection, with the reason.
  Result<UnitNews> process();

 private:
  struct Connection;

  Status connect();
  Status take_messages();
  Error lost(std::string what, int code);
  struct Listed {
    Unit unit;
    std::string path;
    bool answered = false;  ///< all that was asked about it
  };
  /// Also remembers them, for as long as the unit doesn't change.
  Status add_details(std::span<Listed> services);

  Clock& clock_;
  Opener opener_;
  std::unique_ptr<Connection> connection_;
  std::optional<Monotonic> next_try_;   // absent: at once
  Duration backoff_{};
  std::string reason_;                  // why there is no connection
  UnitNews news_;
  std::map<std::string, Unit> details_;  // services whose details are known
};

}  // namespace prunella
