#include "apps/agent/enrol.h"

#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "adapters/http/client.h"
#include "adapters/http/problem.h"
#include "adapters/linux/files.h"
#include "adapters/linux/system_clock.h"
#include "apps/agent/identity.h"
#include "model/api.h"
#include "model/link.h"

namespace prunella::agent {

namespace {

constexpr const char* kServiceUser = "prunella-agent";

Status make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  if (errno == EACCES || errno == EPERM || errno == EROFS) return denied(path + " can't be made: " + std::strerror(errno) + " (enrolment needs root, or --config-dir and --state-dir)");
  return unavailable(path + " can't be made: " + std::strerror(errno));
}

/// Root enrols, the service's own user reads: the identity is given to it.
Status give_to_service(const std::string& path) {
  if (::geteuid() != 0) return {};
  const passwd* user = ::getpwnam(kServiceUser);
  if (!user) return not_found(std::string("there is no user ") + kServiceUser + ": the agent's package makes it");
  if (::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) return unavailable(path + ": " + std::strerror(errno));
  return {};
}

std::string machine_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// An identity that is good for more than another hour.
bool is_usable(const Identity& identity) {
  auto info = parse_certificate(identity.certificate_pem);
  return info && info->not_after > SystemClock().now() + std::chrono::hours(1);
}

std::string key_path(const Places& places) { return places.state_dir + "/enrolment.key.pem"; }

/// The same key in each attempt: a certificate whose answer was lost is then no certificate for a key that nobody has.
Result<KeyAndRequest> host_key(const Places& places) {
  if (auto kept = read_file(key_path(places), 16 * 1024))
    if (auto request = make_request(*kept)) return request;
  auto made = make_host_key();
  if (!made) return made;
  if (auto written = write_file_atomically(key_path(places), made->key_pem, 0600); !written) return std::move(written).error();
  return made;
}

Result<EnrollAnswer> ask(const EnrolOptions& options, const ServerAddress& address, const std::string& request_pem) {
  HttpClientOptions http;
  http.host = address.host;
  http.port = address.port;
  http.pinned_sha256 = options.ca_sha256;
  auto client = HttpClient::make(http);
  if (!client) return std::move(client).error();
  HttpRequest request;
  request.method = "POST";
  request.target = "/agent/v1/enroll";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = to_canonical_text(EnrollRequest{options.token, options.name.value_or(machine_name()), request_pem, PRUNELLA_VERSION});
  auto response = (*client)->send(request);
  if (!response && response.error().kind() == ErrorKind::kDenied)
    return denied("TLS with " + options.server + " was refused: " + response.error().text() + " (is --ca-sha256 from this control plane?)");
  if (!response) return std::move(response).error().during("asking " + options.server);
  if (response->status != 200) return to_error(*response).during(options.server + " refuses to enrol this host");
  return from_json_text<EnrollAnswer>(response->body, {}, UnknownKeys::kIgnore);
}

Status check_answer(const EnrollAnswer& answer, const EnrolOptions& options) {
  auto ca = certificate_sha256(answer.ca_pem);
  if (!ca) return std::move(ca).error().during("the control plane's authority");
  if (*ca != options.ca_sha256) return denied("the control plane gives an authority with the SHA-256 " + *ca + ", the installer line names " + options.ca_sha256);
  Digest operators = digest_of(OperatorTrust{answer.organisation, answer.operators, answer.threshold});
  if (operators.hex() != options.operators_sha256)
    return denied("the control plane names operators with the digest " + operators.hex() + ", the installer line names " + options.operators_sha256 +
                  ": whoever runs it is not who gave you the line");
  return {};
}

Status lay_down(const AgentConfig& config, const Identity& identity, const Places& places) {
  if (auto written = write_identity(places.identity(), identity); !written) return written;
  if (places.packaged)
    if (auto given = give_to_service(places.identity()); !given) return given;
  // The executor reads it; it must be root's, and so it is when root enrols.
  if (auto written = write_file_atomically(places.trust(), to_pretty(to_json(config.trust())) + "\n", 0644); !written) return written;
  // Last: from here on the host counts as enrolled.
  return write_file_atomically(places.config(), to_pretty(to_json(config)) + "\n", 0644);
}

}  // namespace

Result<Enrolled> enrol(const EnrolOptions& options, const Places& places) {
  auto address = parse_server(options.server);
  if (!address) return std::move(address).error();
  for (const auto& [what, text] : {std::pair("--ca-sha256", &options.ca_sha256), std::pair("--operators-sha256", &options.operators_sha256)})
    if (auto digest = parse_digest(*text); !digest) return std::move(digest).error().during(what);
  if (auto before = read_config(places.config())) {
    if (before->server != options.server)
      return conflict("this host is enrolled as " + before->host.text() + " with " + before->server + "; `prunella-agent unenroll` first");
    auto identity = read_identity(places.identity());
    if (identity && is_usable(*identity)) return Enrolled{*std::move(before), true};
  } else if (before.error().kind() != ErrorKind::kNotFound) {
    return conflict(before.error().text() + "; `prunella-agent unenroll` removes it");
  }
  if (auto made = make_directory(places.config_dir, 0755); !made) return std::move(made).error();
  if (auto made = make_directory(places.state_dir, 0750); !made) return std::move(made).error();
  if (places.packaged && ::geteuid() == 0)
    if (auto given = give_to_service(places.state_dir); !given) return std::move(given).error();
  auto key = host_key(places);
  if (!key) return std::move(key).error();
  auto answer = ask(options, *address, key->request_pem);
  if (!answer) return std::move(answer).error();
  if (auto checked = check_answer(*answer, options); !checked) return std::move(checked).error();
  AgentConfig config;
  config.server = options.server;
  config.host = answer->host;
  config.organisation = answer->organisation;
  config.operators = answer->operators;
  config.threshold = answer->threshold;
  config.ca_pem = answer->ca_pem;
  if (auto checked = check_config(config); !checked) return std::move(checked).error().during("the control plane's answer");
  Identity identity{key->key_pem, answer->certificate_pem};
  HttpClientOptions trial;
  trial.host = address->host;
  trial.port = address->port;
  trial.ca_pem = config.ca_pem;
  trial.certificate_pem = identity.certificate_pem;
  trial.key_pem = identity.key_pem;
  if (auto client = HttpClient::make(trial); !client) return std::move(client).error().during("the certificate that the control plane gave");
  // What belongs to an earlier life of this host.
  for (const std::string& path : {places.identity_new(), places.memory(), places.policy()}) ::unlink(path.c_str());
  if (auto laid = lay_down(config, identity, places); !laid) return std::move(laid).error();
  ::unlink(key_path(places).c_str());
  return Enrolled{std::move(config), false};
}

Result<std::size_t> unenrol(const Places& places) {
  std::size_t removed = 0;
  // agent.json first: without it nothing of the rest counts.
  for (const std::string& path : {places.config(), places.trust(), places.identity(), places.identity_new(), places.memory(), places.policy(), key_path(places)}) {
    if (::unlink(path.c_str()) == 0) {
      ++removed;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return denied(path + " can't be removed: " + std::strerror(errno));
    }
  }
  return removed;
}

}  // namespace prunella::agent
