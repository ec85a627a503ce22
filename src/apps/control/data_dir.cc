#include "apps/control/data_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "adapters/linux/files.h"
#include "base/codec.h"

namespace prunella::control {

Status check_settings(const Settings& settings) {
  if (auto named = check_name("an organisation", settings.organisation); !named) return std::move(named).error().during("organisation");
  if (settings.address.empty()) return invalid_input("address is empty; 127.0.0.1 is for this machine only, 0.0.0.0 for all");
  // Below a second agents do little else; above an hour a silent host would be called healthy for three.
  if (settings.heartbeat < std::chrono::seconds(1) || settings.heartbeat > std::chrono::hours(1))
    return invalid_input("heartbeat_ms is " + std::to_string(settings.heartbeat.count()) + ", it must be from 1000 to 3600000");
  for (const std::string& name : settings.names)
    if (name.empty() || name.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) return invalid_input("names holds " + prunella::quoted(name));
  return {};
}

Status make_data_dir(const std::filesystem::path& path, const Settings& settings, Instant now, Random& random) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (failed) return unavailable("making " + prunella::quoted(path.string(), 200) + ": " + failed.message());
  if (::chmod(path.c_str(), 0700) != 0) return system_error(errno, "setting the mode of " + prunella::quoted(path.string(), 200));
  if (std::filesystem::exists(path / "prunellad.json")) return conflict(prunella::quoted(path.string(), 200) + " is initialised already");
  auto authority = make_authority("Prunella " + settings.organisation, now, kAuthorityLifetime, random);
  if (!authority) return std::move(authority).error().during("making the certificate authority");
  PrivateKey director = PrivateKey::generate(random);
  PrivateKey recorder = PrivateKey::generate(random);
  // prunellad.json comes last: it is what says that the folder is complete.
  const std::pair<const char*, std::string> files[] = {{"ca.key", authority->key_pem},
                                                       {"ca.pem", authority->certificate_pem},
                                                       {"director.key", director.hex_seed() + "\n"},
                                                       {"recorder.key", recorder.hex_seed() + "\n"},
                                                       {"prunellad.json", to_pretty(to_json(settings)) + "\n"}};
  for (const auto& [name, text] : files) {
    if (auto written = write_file_atomically((path / name).string(), text, 0600); !written) {
      for (const auto& [other, unused] : files) ::unlink((path / other).c_str());
      return written;
    }
  }
  return {};
}

Result<DataDir> open_data_dir(const std::filesystem::path& path) {
  auto settings_text = read_file((path / "prunellad.json").string(), kKeyFileBytesMax);
  if (!settings_text) {
    if (settings_text.error().kind() == ErrorKind::kNotFound)
      return not_found("no control plane in " + prunella::quoted(path.string(), 200) + ": make one with prunellad init --data " + path.string());
    return std::move(settings_text).error();
  }
  auto settings = from_json_text<Settings>(*settings_text);
  if (!settings) return std::move(settings).error().during("reading " + (path / "prunellad.json").string());
  if (auto checked = check_settings(*settings); !checked) return std::move(checked).error().during("reading " + (path / "prunellad.json").string());
  auto secret = [&](const char* name) -> Result<PrivateKey> {
    auto text = read_file((path / name).string(), kKeyFileBytesMax);
    if (!text) return std::move(text).error();
    auto key = PrivateKey::from_hex_seed(trim(*text));
    if (!key) return corrupt((path / name).string() + ": " + key.error().text());
    return key;
  };
  auto ca_key = read_file((path / "ca.key").string(), kKeyFileBytesMax);
  if (!ca_key) return std::move(ca_key).error();
  auto ca = read_file((path / "ca.pem").string(), kKeyFileBytesMax);
  if (!ca) return std::move(ca).error();
  auto director = secret("director.key");
  if (!director) return std::move(director).error();
  auto recorder = secret("recorder.key");
  if (!recorder) return std::move(recorder).error();
  return DataDir{path, *std::move(settings), {*std::move(ca_key), *std::move(ca)}, *std::move(director), *std::move(recorder)};
}

}  // namespace prunella::control
