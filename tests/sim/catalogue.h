#pragma once

#include <map>
#include <string>
#include <vector>

#include "act/ports.h"
#include "model/host.h"

namespace prunella::sim {

/// A package file of the simulated archive.
struct Deb {
  PackageName package;
  DebFile file;
  std::vector<PackagedPath> paths;  ///< sorted
  std::string conffile;             ///< one of the paths; "" for none
  std::string service;              ///< that its script restarts; "" for none
};

/// The packages that all simulated hosts and archives know. Made once.
class Catalogue {
 public:
  static const Catalogue& get();
  const Deb* find(const Digest& sha256) const;
  const Deb& deb(const std::string& package, const std::string& version) const;
  /// What a host has when it begins.
  const std::map<std::string, std::string>& installed() const { return installed_; }
  /// What the archive offers: package -> version.
  const std::map<std::string, std::string>& offered() const { return offered_; }
  std::string source_of(const std::string& package) const;

 private:
  Catalogue();
  void add(const std::string& package, const std::string& version, bool conffile, const std::string& service);
  std::map<std::string, std::string> installed_, offered_, sources_;
  std::map<std::pair<std::string, std::string>, Deb> debs_;
  std::map<Digest, const Deb*> by_digest_;
};

inline PackageName amd64(const std::string& name) { return {name, "amd64"}; }

}  // namespace prunella::sim
