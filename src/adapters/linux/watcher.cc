#include "adapters/linux/watcher.h"

#include <sys/inotify.h>

#include <cerrno>
#include <cstring>

#include "adapters/linux/files.h"

namespace prunella {

namespace {

inline constexpr std::uint32_t kNames = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
inline constexpr std::uint32_t kSelf = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD;

std::string parent_of(const std::string& directory) {
  std::size_t slash = directory.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : directory.substr(0, slash);
}

}  // namespace

std::vector<WatchPath> host_watches(const std::string& root) {
  std::vector<WatchPath> paths = {
      {root + "/var/lib/dpkg", "packages", {"status", "updates"}, false},
      {root + "/var/lib/dpkg/updates", "packages", {}, false},
      {root + "/var/lib/apt/lists", "lists", {}, false},
      {root + "/boot", "kernel", {}, false},
      {root + "/run", "kernel", {"reboot-required", "reboot-required.pkgs"}, true},
  };
  for (const char* part : {"", "/sources.list.d", "/preferences.d", "/trusted.gpg.d", "/apt.conf.d", "/keyrings", "/auth.conf.d"})
    paths.push_back({root + "/etc/apt" + part, "sources", {}, true});
  return paths;
}

Result<Watcher> Watcher::open(std::vector<WatchPath> paths) {
  Watcher watcher;
  watcher.inotify_ = Descriptor(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!watcher.inotify_.is_open()) return system_error(errno, "inotify_init1 (see sysctl fs.inotify.max_user_instances)");
  for (WatchPath& path : paths) watcher.places_.push_back({std::move(path), -1});
  for (std::size_t i = 0; i < watcher.places_.size(); ++i)
    if (auto armed = watcher.arm(i); !armed) return std::move(armed).error();
  return watcher;
}

// Watches the place's directory, or the nearest ancestor that is there.
Status Watcher::arm(std::size_t index) {
  Place& place = places_[index];
  std::string directory = place.path.directory;
  for (;;) {
    bool own = directory == place.path.directory;
    std::uint32_t mask = kNames | kSelf | (own && place.path.content ? IN_CLOSE_WRITE : 0u);
    int descriptor = ::inotify_add_watch(inotify_.get(), directory.c_str(), mask);
    if (descriptor >= 0) {
      (own ? watched_ : ancestors_)[descriptor].insert(index);
      if (own) place.own = descriptor;
      return {};
    }
    // A directory that this user may not enter is as good as missing: its ancestor tells when that changes.
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
      return system_error(errno, "watching " + directory + " (see sysctl fs.inotify.max_user_watches)");
    if (directory == "/") return system_error(errno, "watching /");
    directory = parent_of(directory);
  }
}

void Watcher::forget(int descriptor) {
  if (auto found = watched_.find(descriptor); found != watched_.end()) {
    for (std::size_t index : found->second) places_[index].own = -1;
    watched_.erase(found);
  }
  ancestors_.erase(descriptor);
}

Result<WatchNews> Watcher::news() {
  WatchNews news;
  std::set<std::size_t> lost;  // places to arm afresh
  alignas(inotify_event) char buffer[16384];
  // 1,000 rounds of 16 KiB hold more than the kernel's queue (16,384 events): what comes after that is the next call's.
  for (int round = 0; round < 1000; ++round) {
    ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) return system_error(errno, "reading inotify");
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      const char* text = buffer + at + sizeof event;
      std::string name = event.len > 0 ? std::string(text, ::strnlen(text, event.len)) : std::string();
      at += static_cast<ssize_t>(sizeof event + event.len);
      if (event.mask & IN_Q_OVERFLOW) {
        news.overflow = true;
        continue;
      }
      if (auto waiting = ancestors_.find(event.wd); waiting != ancestors_.end()) lost.insert(waiting->second.begin(), waiting->second.end());
      auto found = watched_.find(event.wd);
      if (found == watched_.end()) {
        if (event.mask & (IN_IGNORED | IN_MOVE_SELF)) forget(event.wd);
        continue;
      }
      bool gone = (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
      for (std::size_t index : found->second) {
        const WatchPath& path = places_[index].path;
        if (gone || path.names.empty() || path.names.contains(name)) news.topics.insert(path.topic);
        if (gone) lost.insert(index);
      }
      if (event.mask & IN_MOVE_SELF) ::inotify_rm_watch(inotify_.get(), event.wd);
      if (gone) forget(event.wd);
    }
  }
  for (std::size_t index : lost) {
    bool was = places_[index].own >= 0;
    if (was) continue;
    for (auto& [descriptor, waiting] : ancestors_) waiting.erase(index);
    if (auto armed = arm(index); !armed) return std::move(armed).error();
    if (places_[index].own >= 0) news.topics.insert(places_[index].path.topic);
  }
  // Ancestors that nobody waits at any more would wake us for nothing.
  for (auto waiting = ancestors_.begin(); waiting != ancestors_.end();) {
    if (waiting->second.empty()) {
      if (!watched_.contains(waiting->first)) ::inotify_rm_watch(inotify_.get(), waiting->first);
      waiting = ancestors_.erase(waiting);
    } else {
      ++waiting;
    }
  }
  return news;
}

}  // namespace prunella
