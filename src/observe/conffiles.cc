#include "observe/conffiles.h"

#include <algorithm>

namespace prunella {

namespace {

enum class Fate { kUnchanged, kReplaced, kKept, kNew, kUnknown };

Fate fate_of(const ShippedConffile& shipped, const Conffile* recorded, const std::function<ConffileOnDisk(const std::string&)>& disk) {
  // What the last version shipped is shipped again: dpkg leaves the file alone, changed or not.
  if (recorded && recorded->md5 == shipped.md5 && !recorded->obsolete) return Fate::kUnchanged;
  ConffileOnDisk now = disk(shipped.path);
  if (now.state == ConffileOnDisk::State::kUnreadable) return Fate::kUnknown;
  // A conffile that the administrator removed stays removed; one that is new to the host is installed.
  if (now.state == ConffileOnDisk::State::kMissing) return recorded ? Fate::kKept : Fate::kNew;
  if (now.md5 == shipped.md5) return Fate::kUnchanged;
  return recorded && now.md5 == recorded->md5 ? Fate::kReplaced : Fate::kKept;
}

}  // namespace

std::optional<std::vector<ConffileChange>> predict_conffiles(const PackageName& package, const std::vector<Conffile>& recorded,
                                                             const std::vector<ShippedConffile>& shipped,
                                                             const std::function<ConffileOnDisk(const std::string&)>& disk) {
  std::vector<ConffileChange> changes;
  for (const ShippedConffile& file : shipped) {
    auto found = std::ranges::find_if(recorded, [&](const Conffile& c) { return c.path == file.path; });
    switch (fate_of(file, found == recorded.end() ? nullptr : &*found, disk)) {
      case Fate::kUnknown: return std::nullopt;
      case Fate::kUnchanged: break;
      case Fate::kReplaced: changes.push_back({file.path, package, ConffileFate::kReplaced}); break;
      case Fate::kKept: changes.push_back({file.path, package, ConffileFate::kKept}); break;
      case Fate::kNew: changes.push_back({file.path, package, ConffileFate::kNew}); break;
    }
  }
  std::ranges::sort(changes, {}, &ConffileChange::path);
  return changes;
}

}  // namespace prunella
