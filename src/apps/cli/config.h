#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/codec.h"
#include "record/audit.h"

/// What the program keeps between calls, in one directory that only its owner may read.
namespace prunella::cli {

/// A control plane, how it is known, and the token for it.
struct Context {
  std::string server;                    ///< "https://10.213.0.1:8443"
  std::optional<std::string> ca_pem;     ///< one of these two
  std::optional<std::string> ca_sha256;  ///< pins the authority's certificate, or the server's own
  std::optional<std::string> token;      ///< secret
  bool operator==(const Context&) const = default;
};
template <class F>
void fields(F& f, Context& c) {
  f("server", c.server);
  f("ca_pem", c.ca_pem);
  f("ca_sha256", c.ca_sha256);
  f("token", c.token);
}

struct Contexts {
  std::optional<std::string> current;
  std::map<std::string, Context> contexts;
};
template <class F>
void fields(F& f, Contexts& c) {
  f("current", c.current);
  f("contexts", c.contexts);
}

/// What is remembered of an audit log: later it must still hold what these signed.
struct AuditMemory {
  PublicKey key;                             ///< that signed them, believed since it was first seen
  std::vector<AuditCheckpoint> checkpoints;  ///< newest last
};
template <class F>
void fields(F& f, AuditMemory& m) {
  f("key", m.key);
  f("checkpoints", m.checkpoints);
}
inline constexpr std::size_t kCheckpointsKept = 16;

/// A server's address in pieces.
struct ServerAddress {
  std::string host;
  std::uint16_t port = 0;
};
/// @error kInvalidInput  not https://NAME[:PORT] with nothing behind it.
Result<ServerAddress> parse_server(std::string_view url);

class ConfigDir {
 public:
  explicit ConfigDir(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Empty when there is none yet.
  /// @error kInvalidInput  the file can't be understood; kDenied, kUnavailable it can't be read.
  Result<Contexts> contexts() const;
  Status save(const Contexts& contexts) const;

  Result<std::map<std::string, AuditMemory>> audit_memory() const;
  Status save(const std::map<std::string, AuditMemory>& memory) const;

  /// "operator.key" or "approver.key". @error kNotFound there is none; kDenied others may read it; kInvalidInput it is none.
  Result<PrivateKey> key(std::string_view name) const;
  /// A new key, written before it is returned. An existing one is never replaced. @error kConflict
  Result<PrivateKey> make_key(std::string_view name, Random& random) const;

 private:
  std::string path_;
};

/// @error kNotFound, kDenied, kUnavailable; kExhausted above `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = 64 << 20);
/// Writes beside it, syncs and renames, so that the old or the new content is there, whatever happens.
Status write_file(const std::string& path, std::string_view text, unsigned mode);
/// True when the group or others may read or write it.
bool is_open_to_others(const std::string& path);

}  // namespace prunella::cli
