#include "apps/agent/config.h"

#include "adapters/linux/files.h"

namespace prunella::agent {

Result<ServerAddress> parse_server(std::string_view url) {
  auto wrong = [&](std::string_view what) { return invalid_input(quoted(url) + " " + std::string(what) + "; it must be https://HOST:PORT"); };
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) return wrong("does not start with https://");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ ") != std::string_view::npos) return wrong("has more than a host and a port");
  ServerAddress address;
  std::string_view port;
  if (rest.starts_with('[')) {
    std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong("has a '[' without ']'");
    address.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest[0] != ':') return wrong("has something other than a port after ']'");
    if (!rest.empty()) port = rest.substr(1);
  } else {
    std::size_t colon = rest.find(':');
    address.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return wrong("is an IPv6 address without brackets");
  }
  if (address.host.empty() || address.host.size() > 253) return wrong("names no host");
  if (port.empty()) return address;
  auto number = parse_uint(port);
  if (!number || *number == 0 || *number > 65535) return wrong("has no port from 1 to 65535");
  address.port = static_cast<std::uint16_t>(*number);
  return address;
}

Status check_config(const AgentConfig& config) {
  if (auto server = parse_server(config.server); !server) return std::move(server).error().during("server");
  if (config.host.empty()) return invalid_input("host is empty");
  if (config.operators.empty()) return invalid_input("operators is empty: no policy could be believed");
  if (config.threshold == 0 || config.threshold > config.operators.size())
    return invalid_input("threshold is " + std::to_string(config.threshold) + ", it must be from 1 to the " + std::to_string(config.operators.size()) + " operators");
  // Below a minute the lists would be fetched without end; above a month they'd say nothing.
  for (const auto& every : {config.lists_every, config.full_check_every})
    if (every && (*every < std::chrono::minutes(1) || *every > std::chrono::hours(24 * 31)))
      return invalid_input("an interval of " + to_text(*every) + ", it must be from 1m to 31d");
  return {};
}

Result<AgentConfig> read_config(const std::string& path) {
  auto text = read_file(path, 1 << 20);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return not_found("this host is not enrolled: there is no " + path);
  if (!text) return std::move(text).error();
  auto config = from_json_text<AgentConfig>(*text);
  if (!config) return std::move(config).error().during(path);
  if (auto checked = check_config(*config); !checked) return std::move(checked).error().during(path);
  return config;
}

}  // namespace prunella::agent
