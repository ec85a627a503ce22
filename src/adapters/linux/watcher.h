#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "adapters/linux/descriptor.h"
#include "base/result.h"

namespace prunella {

/// A directory to watch, and what a change in it is called.
struct WatchPath {
  std::string directory;
  std::string topic;             ///< "packages", "lists", "sources", "kernel"
  std::set<std::string> names;   ///< only these entries; empty: all of them
  bool content = true;           ///< writing to an entry counts too, not only making, moving and removing
};

/// What has changed since the last look.
struct WatchNews {
  std::set<std::string> topics;
  bool overflow = false;  ///< the kernel's queue was full and changes were lost: look at everything
  bool empty() const { return topics.empty() && !overflow; }
};

/// The places that tell when a section of a host must be looked at afresh. `root` is "" but in tests.
///   packages: /var/lib/dpkg/status (replaced by rename), /var/lib/dpkg/updates
///   lists:    /var/lib/apt/lists     sources: /etc/apt and what is below it
///   kernel:   /boot, /run/reboot-required and .pkgs
std::vector<WatchPath> host_watches(const std::string& root);

/// Changes below directories, by inotify(7). A directory that is missing or vanishes is waited for at its nearest ancestor, and
/// its coming and going is a change of its topic. One thread at a time.
class Watcher {
 public:
  /// @error kExhausted   the user's limit of inotify instances or watches (sysctl fs.inotify) is reached.
  /// @error kUnavailable
  static Result<Watcher> open(std::vector<WatchPath> paths);

  /// Readable when there is news: for poll(2), epoll(7). It stays the same.
  int fd() const { return inotify_.get(); }
  /// All news at once, without waiting; empty when there is none.
  /// @error as open: the watcher can no longer be trusted, open a new one and look at everything.
  Result<WatchNews> news();

 private:
  struct Place {
    WatchPath path;
    int own = -1;  // watch descriptor of the directory itself
  };

  Watcher() = default;
  Status arm(std::size_t index);
  void forget(int descriptor);

  Descriptor inotify_;
  std::vector<Place> places_;
  std::map<int, std::set<std::size_t>> watched_;    // descriptor -> places that it is the directory of
  std::map<int, std::set<std::size_t>> ancestors_;  // descriptor -> places that wait for something below it
};

}  // namespace prunella
