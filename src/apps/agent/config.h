#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/codec.h"
#include "model/order.h"

namespace prunella::agent {

/// /etc/prunella/agent.json: made by `prunella-agent enroll`; root may add the optional fields. Nothing in it is secret.
struct AgentConfig {
  std::string server;                ///< "https://prunella.example:8443"
  HostId host;
  std::string organisation;
  std::vector<PublicKey> operators;
  std::uint32_t threshold = 1;
  std::string ca_pem;                ///< the control plane's authority
  std::optional<std::string> executor_socket;       ///< "/run/prunella/executor.sock"
  std::optional<std::string> status_socket;         ///< "STATE-DIR/status.sock"
  std::optional<bool> fetch_lists;                  ///< false: package lists are never fetched, and what apt knows is what is there
  std::optional<Duration> lists_every;              ///< between two fetches of the package lists: 6 h, with a quarter of jitter
  std::optional<Duration> full_check_every;         ///< between two looks at everything, for what events missed: 6 h
  std::optional<std::uint64_t> prefetch_bytes_max;  ///< of security updates fetched ahead to read their changelogs: 500 MB; 0: none
  std::optional<std::uint64_t> download_bytes_max;  ///< of the files of one order: 4 GB
  bool operator==(const AgentConfig&) const = default;

  HostTrust trust() const { return {host, organisation, operators, threshold}; }
};
template <class F>
void fields(F& f, AgentConfig& c) {
  f("server", c.server);
  f("host", c.host);
  f("organisation", c.organisation);
  f("operators", c.operators);
  f("threshold", c.threshold);
  f("ca_pem", c.ca_pem);
  f("executor_socket", c.executor_socket);
  f("status_socket", c.status_socket);
  f("fetch_lists", c.fetch_lists);
  f("lists_every_ms", c.lists_every);
  f("full_check_every_ms", c.full_check_every);
  f("prefetch_bytes_max", c.prefetch_bytes_max);
  f("download_bytes_max", c.download_bytes_max);
}

/// Where the agent's things are. Absent options have the packaged places.
struct Places {
  std::string config_dir = "/etc/prunella";
  std::string state_dir = "/var/lib/prunella-agent";
  std::string executor_socket = "/run/prunella/executor.sock";
  std::string status_socket = "/var/lib/prunella-agent/status.sock";
  bool packaged = true;  ///< neither folder was named on the command line: a service user and the executor are set up too

  std::string config() const { return config_dir + "/agent.json"; }
  std::string trust() const { return config_dir + "/trust.json"; }
  std::string identity() const { return state_dir + "/identity.json"; }
  std::string identity_new() const { return state_dir + "/identity.new.json"; }
  std::string memory() const { return state_dir + "/memory.json"; }
  std::string policy() const { return state_dir + "/policy.json"; }
  std::string stage() const { return state_dir + "/stage"; }
  std::string apt() const { return state_dir + "/apt"; }
};

/// @error kNotFound  this host isn't enrolled. kInvalidInput  with the field that is wrong.
Result<AgentConfig> read_config(const std::string& path);
/// What a configuration must be besides its types. @error kInvalidInput
Status check_config(const AgentConfig& config);

struct ServerAddress {
  std::string host;
  std::uint16_t port = 443;
};
/// @error kInvalidInput  not "https://HOST[:PORT]" with nothing after it.
Result<ServerAddress> parse_server(std::string_view url);

}  // namespace prunella::agent
