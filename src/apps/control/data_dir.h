#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/http/ca.h"
#include "base/ed25519.h"
#include "base/random.h"

/// What a control plane has on disk beside its store: its certificate authority, its keys and its settings. One folder, readable
/// by its own user only.
namespace prunella::control {

/// prunellad.json. Every key has a default; an unknown one is an error.
struct Settings {
  std::string organisation = "example";
  std::string address = "127.0.0.1";          ///< to listen on
  std::uint16_t port = 8443;                  ///< 0: any
  std::vector<std::string> names;             ///< DNS names and addresses that the certificate shall carry, first one in installer lines
  std::optional<std::string> postgres;        ///< a libpq connection string; absent: SQLite in the data directory
  std::optional<std::string> packages;        ///< folder with the agent's .deb for /install
  Duration heartbeat = std::chrono::seconds(30);
};
template <class F>
void fields(F& f, Settings& s) {
  f("organisation", s.organisation);
  f("address", s.address);
  f("port", s.port);
  f("names", s.names);
  f("postgres", s.postgres);
  f("packages", s.packages);
  f("heartbeat_ms", s.heartbeat);
}

/// What settings must be besides their types: a name for the organisation, an address, a heartbeat from 1 s to 1 h, names that are not
/// empty. (Whether a certificate can carry them is told when it is made.) @error kInvalidInput with the field that is wrong.
Status check_settings(const Settings& settings);

struct DataDir {
  std::filesystem::path path;
  Settings settings;
  KeyAndCertificate authority;
  PrivateKey director;   ///< signs orders
  PrivateKey recorder;   ///< signs checkpoints of the audit log

  std::filesystem::path database() const { return path / "prunella.db"; }
};

/// Makes keys, authority and prunellad.json. Does nothing to what exists.
/// @error kConflict     the folder is initialised already.
/// @error kUnavailable  it can't be written; what was written so far is taken away again.
Status make_data_dir(const std::filesystem::path& path, const Settings& settings, Instant now, Random& random);
/// @error kNotFound  not initialised: says how. kInvalidInput, kCorrupt, kDenied with the file's name.
Result<DataDir> open_data_dir(const std::filesystem::path& path);

/// Keys, certificates and settings: a few kilobytes each.
inline constexpr std::size_t kKeyFileBytesMax = 1 << 20;

}  // namespace prunella::control
