#include "catalogue.h"

#include <algorithm>

namespace prunella::sim {

const Catalogue& Catalogue::get() {
  static const Catalogue catalogue;
  return catalogue;
}

Catalogue::Catalogue() {
  installed_ = {{"libssl3", "3.0.15-1~deb12u1"}, {"openssl", "3.0.15-1~deb12u1"},  {"nginx", "1.22.1-9"},
                {"tzdata", "2024a-0+deb12u1"},   {"prunella-agent", "0.1.0"}};
  offered_ = {{"libssl3", "3.0.17-1~deb12u2"}, {"openssl", "3.0.17-1~deb12u2"}, {"nginx", "1.22.1-9+deb12u2"}, {"tzdata", "2024b-0+deb12u1"},
              {"libssl3-legacy", "3.0.17-1~deb12u2"}, {"prunella-agent", "0.2.0"}};
  sources_ = {{"libssl3", "openssl"}, {"openssl", "openssl"}, {"libssl3-legacy", "openssl"}};
  for (const auto* set : {&installed_, &offered_})
    for (const auto& [package, version] : *set) add(package, version, package == "openssl" || package == "nginx", package == "nginx" ? "nginx.service" : "");
  for (const auto& [key, deb] : debs_) by_digest_[deb.file.sha256] = &deb;
}

void Catalogue::add(const std::string& package, const std::string& version, bool conffile, const std::string& service) {
  Deb deb;
  deb.package = amd64(package);
  deb.file = {version, sha256(package + "_" + version), 100'000 + 1'000 * version.size()};
  auto content = [&](const std::string& path) { return sha256(path + " of " + version); };
  auto regular = [&](const std::string& path) { deb.paths.push_back({path, false, content(path)}); };
  std::string lib = "/usr/lib/" + package;
  deb.paths.push_back({lib, true, std::nullopt});
  regular(lib + "/main");
  // Each version has a file of its own in a directory of its own: what a revert must sweep.
  deb.paths.push_back({lib + "/" + version, true, std::nullopt});
  regular(lib + "/" + version + "/plugin");
  if (conffile) {
    deb.conffile = "/etc/" + package + ".conf";
    regular(deb.conffile);
  }
  deb.service = service;
  std::ranges::sort(deb.paths, {}, &PackagedPath::path);
  debs_.emplace(std::pair(package, version), std::move(deb));
}

const Deb* Catalogue::find(const Digest& sha256) const {
  auto found = by_digest_.find(sha256);
  return found == by_digest_.end() ? nullptr : found->second;
}

const Deb& Catalogue::deb(const std::string& package, const std::string& version) const { return debs_.at({package, version}); }

std::string Catalogue::source_of(const std::string& package) const {
  auto found = sources_.find(package);
  return found == sources_.end() ? package : found->second;
}

}  // namespace prunella::sim
