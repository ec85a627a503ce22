// Measures the TLS server and client on loopback, both in this process (so the figures include both sides' work):
//   http_bench                    handshakes and requests a second
//   http_bench client PORT CAPEM  only a client: prints its resident memory while connected, then waits for its standard input
//   http_bench serve              a server that prints its port and CA and serves until its standard input ends

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

#include "adapters/http/ca.h"
#include "adapters/http/client.h"
#include "adapters/http/server.h"

namespace {

using namespace prunella;
using SteadyClock = std::chrono::steady_clock;

class KernelRandom : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    if (::getentropy(out.data(), out.size()) != 0) std::abort();
  }
};

Instant now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

struct World {
  KernelRandom random;
  KeyAndCertificate pem = make_authority("Bench CA", now(), kAuthorityLifetime, random).value();
  CertificateAuthority ca = CertificateAuthority::load(pem).value();
  KeyAndCertificate server = ca.issue_server({{}, {"127.0.0.1"}}, now(), std::chrono::hours(24), random).value();
  KeyAndRequest host = make_host_key().value();
  std::string certificate = ca.issue_client(host.request_pem, "bench", now(), kHostLifetime, random).value();

  std::unique_ptr<HttpServer> start() {
    HttpServerOptions options;
    options.certificate_pem = server.certificate_pem;
    options.key_pem = server.key_pem;
    options.client_ca_pem = pem.certificate_pem;
    return HttpServer::start(options, [](HttpRequest, const Peer&, Responder responder) {
             responder.answer({.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = "{\"ok\":true}\n"});
           })
        .value();
  }
  HttpClientOptions client_options(std::uint16_t port) {
    HttpClientOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    options.ca_pem = pem.certificate_pem;
    options.certificate_pem = certificate;
    options.key_pem = host.key_pem;
    return options;
  }
};

void print_figure(const char* name, double value, const char* unit) {
  std::printf("{\"bench\":\"http\",\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}\n", name, value, unit);
  std::fflush(stdout);
}

template <class F>
double per_second(F once, Duration how_long) {
  auto begin = SteadyClock::now();
  long count = 0;
  while (SteadyClock::now() - begin < how_long) {
    once();
    ++count;
  }
  return static_cast<double>(count) / std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

long resident_kb(const char* field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word)
    if (word == field) {
      long kb = 0;
      status >> kb;
      return kb;
    }
  return -1;
}

int run_figures() {
  World world;
  auto server = world.start();
  auto client = HttpClient::make(world.client_options(server->port())).value();
  HttpRequest request;
  double handshakes = per_second(
      [&] {
        client->disconnect();
        if (!client->send(request)) std::abort();
      },
      std::chrono::seconds(3));
  print_figure("mtls_handshake_and_request", handshakes, "1/s");
  double requests = per_second([&] { if (!client->send(request)) std::abort(); }, std::chrono::seconds(3));
  print_figure("keep_alive_request", requests, "1/s");

  long before = resident_kb("VmRSS:");
  std::vector<std::unique_ptr<HttpClient>> idle;
  constexpr int kIdle = 400;
  for (int i = 0; i < kIdle; ++i) {
    idle.push_back(HttpClient::make(world.client_options(server->port())).value());
    if (!idle.back()->send(request)) std::abort();
  }
  print_figure("idle_connection_both_sides", static_cast<double>(resident_kb("VmRSS:") - before) / kIdle, "kB");
  return 0;
}

int run_server() {
  World world;
  auto server = world.start();
  std::ofstream("/tmp/http_bench_ca.pem") << world.pem.certificate_pem;
  std::printf("%u /tmp/http_bench_ca.pem\n", static_cast<unsigned>(server->port()));
  std::fflush(stdout);
  while (std::cin.get() != EOF) continue;
  return 0;
}

int run_client(const char* port, const char* ca_path) {
  std::ifstream file(ca_path);
  HttpClientOptions options;
  options.host = "127.0.0.1";
  options.port = static_cast<std::uint16_t>(std::stoi(port));
  options.ca_pem.assign(std::istreambuf_iterator<char>(file), {});
  long before = resident_kb("VmRSS:");
  auto client = HttpClient::make(options).value();
  HttpRequest request;
  for (int i = 0; i < 10; ++i)
    if (!client->send(request)) std::abort();
  print_figure("process_before_tls_rss", static_cast<double>(before), "kB");
  print_figure("connected_client_rss", static_cast<double>(resident_kb("VmRSS:")), "kB");
  print_figure("connected_client_rss_anonymous", static_cast<double>(resident_kb("RssAnon:")), "kB");
  print_figure("connected_client_rss_file", static_cast<double>(resident_kb("RssFile:")), "kB");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  std::string_view what = count > 1 ? arguments[1] : "";
  if (what.empty()) return run_figures();
  if (what == "serve") return run_server();
  if (what == "client" && count == 4) return run_client(arguments[2], arguments[3]);
  std::fprintf(stderr, "usage: http_bench [serve | client PORT CAPEM]\n");
  return 64;
}
