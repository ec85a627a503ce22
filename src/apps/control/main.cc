// prunellad: the control plane. Wiring only.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "adapters/linux/files.h"
#include "adapters/linux/notify.h"
#include "adapters/linux/system_clock.h"
#include "adapters/postgres/postgres.h"
#include "adapters/sqlite/sqlite.h"
#include "apps/control/data_dir.h"
#include "apps/control/service.h"
#include "base/text.h"
#include "record/schema.h"

namespace prunella::control {
namespace {

constexpr const char* kVersion = PRUNELLA_VERSION;

constexpr const char* kUsage = R"(prunellad: the control plane of Prunella

  prunellad init --data DIR [--organisation NAME] [--listen ADDRESS:PORT] [--name NAME ...] [--packages DIR] [--postgres CONNECTION]
                 [--heartbeat DURATION]
      Makes the certificate authority, the director key and the settings in DIR, and prints the first API token as JSON.
  prunellad run --data DIR [--listen ADDRESS:PORT] [--ready-file FILE]
      Serves until SIGTERM. Writes {"port":N,"pid":N} to FILE once it answers.
  prunellad token --data DIR [--token-name NAME]
      Makes another API token with the scope admin: for who owns DIR and lost the first.
  prunellad version
)";

int fail(const Error& error) {
  std::fprintf(stderr, "prunellad: %s\n", error.text().c_str());
  switch (error.kind()) {
    case ErrorKind::kInvalidInput: return 64;
    case ErrorKind::kConflict: return 5;
    default: return 1;
  }
}

struct Arguments {
  std::string verb;
  std::optional<std::string> data, organisation, listen, packages, postgres, ready_file, token_name, heartbeat;
  std::vector<std::string> names;
};

Result<Arguments> read_arguments(int count, char** values) {
  Arguments out;
  if (count < 2) return invalid_input("no verb");
  out.verb = values[1];
  const std::map<std::string, std::optional<std::string>*> options = {
      {"--data", &out.data},         {"--organisation", &out.organisation}, {"--listen", &out.listen},         {"--packages", &out.packages},
      {"--postgres", &out.postgres}, {"--ready-file", &out.ready_file},     {"--token-name", &out.token_name},     {"--heartbeat", &out.heartbeat},
  };
  for (int i = 2; i < count; i += 2) {
    std::string option = values[i];
    if (i + 1 == count) return invalid_input(prunella::quoted(option) + " wants a value");
    if (option == "--name") {
      out.names.push_back(values[i + 1]);
      continue;
    }
    auto known = options.find(option);
    if (known == options.end()) {
      std::vector<std::string> words = {"--name"};
      for (const auto& [word, unused] : options) words.push_back(word);
      auto near = nearest_word(option, words);
      return invalid_input("unknown option " + prunella::quoted(option) + (near ? "; did you mean " + *near + "?" : ""));
    }
    *known->second = values[i + 1];
  }
  return out;
}

Status read_listen(const std::string& text, Settings& settings) {
  std::size_t colon = text.rfind(':');
  auto port = colon == std::string::npos ? Result<std::uint64_t>(invalid_input("no port")) : parse_uint(std::string_view(text).substr(colon + 1));
  if (!port || *port > 65535) return invalid_input(prunella::quoted(text) + " is not an address and port such as 127.0.0.1:8443 or [::]:8443");
  settings.address = text.substr(0, colon);
  if (settings.address.starts_with('[') && settings.address.ends_with(']')) settings.address = settings.address.substr(1, settings.address.size() - 2);
  settings.port = static_cast<std::uint16_t>(*port);
  return {};
}

class Issuer : public CertificateIssuer {
 public:
  Issuer(CertificateAuthority authority, Random& random) : authority_(std::move(authority)), random_(random) {}
  Result<Issued> issue(std::string_view csr_pem, const HostId& host, Instant now) override {
    auto pem = authority_.issue_client(csr_pem, host.text(), now, kHostLifetime, random_);
    if (!pem) return std::move(pem).error();
    auto info = parse_certificate(*pem);
    if (!info) return std::move(info).error();
    return Issued{*std::move(pem), info->sha256, info->serial, info->not_after};
  }
  std::string authority_pem() const override { return authority_.certificate_pem(); }
  std::string authority_sha256() const override { return authority_.info().sha256; }
  const CertificateAuthority& authority() const { return authority_; }

 private:
  CertificateAuthority authority_;
  Random& random_;
};

Result<std::unique_ptr<SqlConnection>> open_store(const DataDir& data, Instant now) {
  std::unique_ptr<SqlConnection> store;
  if (data.settings.postgres) {
    auto postgres = PostgresConnection::open(*data.settings.postgres);
    if (!postgres) return std::move(postgres).error();
    store = *std::move(postgres);
  } else {
    auto sqlite = SqliteConnection::open(data.database());
    if (!sqlite) return std::move(sqlite).error();
    store = *std::move(sqlite);
  }
  if (auto migrated = migrate(*store, now); !migrated) return std::move(migrated).error();
  return store;
}

int init(const Arguments& arguments) {
  if (!arguments.data) return fail(invalid_input("init wants --data DIR"));
  Settings settings;
  if (arguments.organisation) settings.organisation = *arguments.organisation;
  if (arguments.listen)
    if (auto read = read_listen(*arguments.listen, settings); !read) return fail(read.error());
  if (arguments.heartbeat) {
    auto heartbeat = parse_duration(*arguments.heartbeat);
    if (!heartbeat) return fail(heartbeat.error());
    settings.heartbeat = *heartbeat;
  }
  settings.names = arguments.names;
  settings.packages = arguments.packages;
  settings.postgres = arguments.postgres;
  if (auto checked = check_settings(settings); !checked) return fail(checked.error());
  SystemClock clock;
  SystemRandom random;
  if (auto made = make_data_dir(*arguments.data, settings, clock.now(), random); !made) return fail(made.error());
  auto data = open_data_dir(*arguments.data);
  if (!data) return fail(data.error());
  auto store = open_store(*data, clock.now());
  if (!store) return fail(store.error());
  auto authority = CertificateAuthority::load(data->authority);
  if (!authority) return fail(authority.error());
  Issuer issuer(*std::move(authority), random);
  ControlPlane plane({**store, random, issuer, data->director, data->recorder}, {.version = kVersion, .organisation = settings.organisation}, nullptr);
  auto token = plane.first_token(arguments.token_name.value_or("first"), clock.now());
  if (!token) return fail(token.error());
  Json out;
  out["token"] = Json(*token->secret);
  out["expires"] = Json(to_rfc3339(token->expires));
  out["ca_pem"] = Json(data->authority.certificate_pem);
  out["ca_sha256"] = Json(issuer.authority_sha256());
  out["director"] = Json(data->director.public_key().hex());
  std::printf("%s\n", to_pretty(out).c_str());
  std::fprintf(stderr, "initialised %s; next: prunellad run --data %s\n", arguments.data->c_str(), arguments.data->c_str());
  return 0;
}

int make_token(const Arguments& arguments) {
  if (!arguments.data) return fail(invalid_input("token wants --data DIR"));
  SystemClock clock;
  SystemRandom random;
  auto data = open_data_dir(*arguments.data);
  if (!data) return fail(data.error());
  auto store = open_store(*data, clock.now());
  if (!store) return fail(store.error());
  auto authority = CertificateAuthority::load(data->authority);
  if (!authority) return fail(authority.error());
  Issuer issuer(*std::move(authority), random);
  ControlPlane plane({**store, random, issuer, data->director, data->recorder}, {.version = kVersion, .organisation = data->settings.organisation}, nullptr);
  auto token = plane.first_token(arguments.token_name.value_or("admin"), clock.now());
  if (!token) return fail(token.error());
  std::printf("%s\n", token->secret->c_str());
  return 0;
}

// What curl --pinnedpubkey compares: SHA-256 of the SubjectPublicKeyInfo (RFC 7469 section 2.4).
std::string public_key_pin(const std::string& certificate_pem) {
  BIO* bio = BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  check(certificate != nullptr, "a certificate that we made ourselves");
  unsigned char* der = nullptr;
  int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  check(size > 0, "a certificate has a public key");
  std::string pin = to_base64(sha256(BytesView(der, static_cast<std::size_t>(size))).bytes);
  OPENSSL_free(der);
  X509_free(certificate);
  return pin;
}

bool is_address(const std::string& name) { return name.find_first_not_of("0123456789.") == std::string::npos || name.find(':') != std::string::npos; }

// The server's certificate is made anew at every start and lives long: hosts pin the authority. Its key is kept, so that a pin in
// an installer line stays good over a restart.
constexpr Duration kServerLifetime = std::chrono::days(397);

Result<KeyAndCertificate> server_certificate(const DataDir& data, const CertificateAuthority& authority, Instant now, Random& random) {
  auto key = read_file((data.path / "server.key").string(), kKeyFileBytesMax);
  auto pem = read_file((data.path / "server.pem").string(), kKeyFileBytesMax);
  auto names = read_file((data.path / "server.names").string(), kKeyFileBytesMax);
  std::string wanted = join(data.settings.names, "\n") + "\n" + data.settings.address;
  if (key && pem && names && *names == wanted) {
    auto info = parse_certificate(*pem);
    if (info && info->not_after - now > std::chrono::days(30)) return KeyAndCertificate{*std::move(key), *std::move(pem)};
  }
  CertificateAuthority::ServerNames server_names;
  server_names.dns = {"localhost"};
  server_names.addresses = {"127.0.0.1", "::1"};
  auto add = [&](const std::string& name) {
    auto& list = is_address(name) ? server_names.addresses : server_names.dns;
    if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  };
  for (const std::string& name : data.settings.names) add(name);
  if (data.settings.address != "0.0.0.0" && data.settings.address != "::") add(data.settings.address);
  auto issued = authority.issue_server(server_names, now, kServerLifetime, random);
  if (!issued) return issued;
  for (const auto& [name, text] : {std::pair{"server.key", issued->key_pem}, {"server.pem", issued->certificate_pem}, {"server.names", wanted}})
    if (auto written = write_file_atomically((data.path / name).string(), text, 0600); !written) return std::move(written).error();
  return issued;
}

int run(const Arguments& arguments) {
  if (!arguments.data) return fail(invalid_input("run wants --data DIR"));
  SystemClock clock;
  SystemRandom random;
  auto data = open_data_dir(*arguments.data);
  if (!data) return fail(data.error());
  if (arguments.listen)
    if (auto read = read_listen(*arguments.listen, data->settings); !read) return fail(read.error());
  if (arguments.packages) data->settings.packages = arguments.packages;
  for (const std::string& name : arguments.names) data->settings.names.push_back(name);
  auto store = open_store(*data, clock.now());
  if (!store) return fail(store.error());
  auto authority = CertificateAuthority::load(data->authority);
  if (!authority) return fail(authority.error());
  Issuer issuer(*std::move(authority), random);
  auto server_pair = server_certificate(*data, issuer.authority(), clock.now(), random);
  if (!server_pair) return fail(server_pair.error());

  // Signals come through a descriptor, so that nothing runs in a handler; blocked before any thread starts.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  Service* service_pointer = nullptr;
  ControlOptions options{.version = kVersion, .organisation = data->settings.organisation, .heartbeat = data->settings.heartbeat};
  options.stale_after = options.heartbeat * 3;
  ControlPlane plane({**store, random, issuer, data->director, data->recorder}, options, [&](const ChangeNotice& notice) {
    if (service_pointer) service_pointer->on_change(notice);
  });
  std::string holder = "pid " + std::to_string(::getpid());
  if (auto started = plane.start(holder, clock.now()); !started) return fail(started.error());

  Service::Options service_options{.server = {.url = "", .key_pin = public_key_pin(server_pair->certificate_pem)},
                                   .version = kVersion,
                                   .packages = data->settings.packages.value_or("")};
  std::string advertised = data->settings.names.empty() ? data->settings.address : data->settings.names.front();
  if (advertised.find(':') != std::string::npos) advertised = "[" + advertised + "]";

  HttpServerOptions server_options;
  server_options.address = data->settings.address;
  server_options.port = data->settings.port;
  server_options.certificate_pem = server_pair->certificate_pem;
  server_options.key_pem = server_pair->key_pem;
  server_options.client_ca_pem = data->authority.certificate_pem;
  server_options.path_limits = {{"/agent/v1/report", kReportBytesMax}};
  std::mutex gate;  // requests that come before the service is there wait for it
  std::unique_lock starting(gate);
  std::unique_ptr<Service> service;
  server_options.on_tls_failure = [&](const TlsFailure& failure) {
    { std::lock_guard wait(gate); }
    service->tls_failed(failure);
  };
  auto server = HttpServer::start(server_options, [&](HttpRequest request, const Peer& peer, Responder responder) {
    { std::lock_guard wait(gate); }
    service->handle(std::move(request), peer, std::move(responder));
  });
  if (!server) return fail(std::move(server).error().during("listening on " + data->settings.address + ":" + std::to_string(data->settings.port)));
  service_options.server.url = "https://" + advertised + ":" + std::to_string((*server)->port());
  service = std::make_unique<Service>(plane, clock, service_options);
  service_pointer = service.get();
  service->set_server(server->get());
  starting.unlock();

  std::fprintf(stderr, "prunellad %s serves %s (store: %s)\n", kVersion, service_options.server.url.c_str(), (*store)->description().c_str());
  if (arguments.ready_file) {
    Json ready;
    ready["port"] = Json((*server)->port());
    ready["pid"] = Json(::getpid());
    if (auto written = write_file_atomically(*arguments.ready_file, to_canonical(ready), 0600); !written) return fail(written.error());
  }
  notify_systemd("READY=1");
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
  signalfd_siginfo info{};
  while (::read(signal_fd, &info, sizeof info) < 0 && errno == EINTR) {
  }
  notify_systemd("STOPPING=1");
  (*server)->stop();
  service->stop();
  ::close(signal_fd);
  return 0;
}

}  // namespace
}  // namespace prunella::control

int main(int count, char** values) {
  using namespace prunella;
  auto arguments = control::read_arguments(count, values);
  if (!arguments) {
    std::fprintf(stderr, "prunellad: %s\n\n%s", arguments.error().text().c_str(), control::kUsage);
    return 64;
  }
  if (arguments->verb == "init") return control::init(*arguments);
  if (arguments->verb == "run") return control::run(*arguments);
  if (arguments->verb == "token") return control::make_token(*arguments);
  if (arguments->verb == "version") return std::printf("prunellad %s\n", control::kVersion), 0;
  if (arguments->verb == "help" || arguments->verb == "--help" || arguments->verb == "-h") return std::fputs(control::kUsage, stdout), 0;
  std::fprintf(stderr, "prunellad: unknown verb %s\n\n%s", prunella::quoted(arguments->verb).c_str(), control::kUsage);
  return 64;
}
