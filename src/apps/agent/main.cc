// prunella-agent: senses and reports, stages what is ordered, and changes nothing itself. Wiring only.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "apps/agent/enrol.h"
#include "apps/agent/observe_once.h"
#include "apps/agent/program.h"
#include "apps/agent/status.h"
#include "base/text.h"

namespace prunella::agent {
namespace {

constexpr const char* kUsage = R"(prunella-agent: the part of Prunella that looks at a host

  prunella-agent run         Looks, reports and stages until SIGTERM. Needs enrolment.
  prunella-agent enroll --server URL --ca-sha256 HEX --operators-sha256 HEX --token TOKEN [--name NAME]
                             Makes this host's key and joins a control plane. `prunella enroll --print` gives the line.
  prunella-agent unenroll    Removes key, certificate, trust and memory from this host.
  prunella-agent status [--json]
                             What the running agent sees, and how its link stands. Exit code 0: connected.
  prunella-agent observe [--json] [--no-fetch]
                             Looks at this machine once, without any control plane; --no-fetch uses the lists of the last look.
  prunella-agent version

Everywhere: --config-dir DIR (/etc/prunella), --state-dir DIR (/var/lib/prunella-agent), --executor-socket PATH
(/run/prunella/executor.sock), --status-socket PATH (status.sock in the state directory).
)";

constexpr int kUsageError = 64;  // as sysexits.h has it, and all programs of Prunella

struct Arguments {
  std::string verb;
  std::optional<std::string> config_dir, state_dir, executor_socket, status_socket, server, ca_sha256, operators_sha256, token, name;
  bool json = false, no_fetch = false;
};

Result<Arguments> read_arguments(int count, char** values) {
  Arguments out;
  if (count < 2) return invalid_input("no verb");
  out.verb = values[1];
  if (out.verb == "--help" || out.verb == "-h") out.verb = "help";
  if (out.verb == "--version") out.verb = "version";
  const std::map<std::string, std::optional<std::string>*> options = {
      {"--config-dir", &out.config_dir},
      {"--state-dir", &out.state_dir},
      {"--executor-socket", &out.executor_socket},
      {"--status-socket", &out.status_socket},
      {"--server", &out.server},
      {"--ca-sha256", &out.ca_sha256},
      {"--operators-sha256", &out.operators_sha256},
      {"--token", &out.token},
      {"--name", &out.name},
  };
  for (int i = 2; i < count; ++i) {
    std::string option = values[i];
    if (option == "--json") {
      out.json = true;
      continue;
    }
    if (option == "--no-fetch") {
      out.no_fetch = true;
      continue;
    }
    auto known = options.find(option);
    if (known == options.end()) {
      std::vector<std::string> words = {"--json", "--no-fetch"};
      for (const auto& [word, unused] : options) words.push_back(word);
      auto near = nearest_word(option, words);
      return invalid_input("unknown option " + quoted(option) + (near ? "; did you mean " + *near + "?" : ""));
    }
    if (++i == count) return invalid_input(quoted(option) + " wants a value");
    *known->second = values[i];
  }
  return out;
}

int fail(const Error& error, int code = 1) {
  std::fprintf(stderr, "prunella-agent: %s\n", error.text().c_str());
  return code;
}

Places places_of(const Arguments& arguments) {
  Places places;
  places.packaged = !arguments.config_dir && !arguments.state_dir;
  if (arguments.config_dir) places.config_dir = *arguments.config_dir;
  if (arguments.state_dir) places.state_dir = *arguments.state_dir;
  // A configuration may name the sockets, the command line has the last word.
  auto config = read_config(places.config());
  if (config && config->executor_socket) places.executor_socket = *config->executor_socket;
  places.status_socket = places.state_dir + "/status.sock";
  if (config && config->status_socket) places.status_socket = *config->status_socket;
  if (arguments.executor_socket) places.executor_socket = *arguments.executor_socket;
  if (arguments.status_socket) places.status_socket = *arguments.status_socket;
  return places;
}

int run(const Places& places) {
  auto config = read_config(places.config());
  if (!config) return fail(config.error());
  if (auto ran = run_agent(*config, places); !ran) return fail(ran.error());
  return 0;
}

int enroll(const Arguments& arguments, const Places& places) {
  for (const auto& [option, value] : {std::pair("--server", &arguments.server), std::pair("--ca-sha256", &arguments.ca_sha256),
                                      std::pair("--operators-sha256", &arguments.operators_sha256), std::pair("--token", &arguments.token)})
    if (!*value) return fail(invalid_input(std::string("enroll wants ") + option + "; `prunella enroll --print` gives the whole line"), kUsageError);
  auto enrolled = enrol({*arguments.server, *arguments.ca_sha256, *arguments.operators_sha256, *arguments.token, arguments.name}, places);
  if (!enrolled) return fail(enrolled.error(), enrolled.error().kind() == ErrorKind::kInvalidInput ? kUsageError : 1);
  std::printf("%s as %s of %s with %s\n", enrolled->already ? "this host is enrolled already," : "enrolled", enrolled->config.host.text().c_str(),
              enrolled->config.organisation.c_str(), enrolled->config.server.c_str());
  return 0;
}

int unenroll(const Places& places) {
  auto config = read_config(places.config());
  auto removed = unenrol(places);
  if (!removed) return fail(removed.error());
  if (*removed == 0) {
    std::printf("this host was not enrolled\n");
    return 0;
  }
  std::printf("%zu files removed; stop the services (systemctl disable --now prunella-agent prunella-executor)", *removed);
  if (config) std::printf(" and remove %s from %s", config->host.text().c_str(), config->server.c_str());
  std::printf("\n");
  return 0;
}

int status(const Arguments& arguments, const Places& places) {
  auto config = read_config(places.config());
  if (!config) return fail(config.error());
  auto text = ask_status(places.status_socket);
  if (!text) return fail(Error(text.error().kind(), config->host.text() + " is enrolled with " + config->server + ", but " + text.error().text()));
  auto json = parse_json(*text, {.bytes_max = kStatusBytesMax});
  if (!json) return fail(json.error());
  auto view = from_json<StatusView>(*json, UnknownKeys::kIgnore);
  if (!view) return fail(view.error());
  std::printf("%s", arguments.json ? (to_pretty(*json) + "\n").c_str() : status_text(*view).c_str());
  return view->connected ? 0 : 1;
}

/// Whoever may not write to the service's directory looks from a directory of his own.
Places places_to_observe(const Arguments& arguments, Places places) {
  if (arguments.state_dir || ::access(places.state_dir.c_str(), W_OK) == 0) return places;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache && *cache)
    places.state_dir = std::string(cache) + "/prunella-agent";
  else if (home && *home)
    places.state_dir = std::string(home) + "/.cache/prunella-agent";
  return places;
}

int main_with(int count, char** values) {
  auto arguments = read_arguments(count, values);
  if (!arguments) {
    fail(arguments.error());
    std::fprintf(stderr, "%s", kUsage);
    return kUsageError;
  }
  Places places = places_of(*arguments);
  if (arguments->verb == "run") return run(places);
  if (arguments->verb == "enroll") return enroll(*arguments, places);
  if (arguments->verb == "unenroll") return unenroll(places);
  if (arguments->verb == "status") return status(*arguments, places);
  if (arguments->verb == "observe")
    return observe_once(places_to_observe(*arguments, places), arguments->json ? Output::kJson : Output::kText, arguments->no_fetch ? Lists::kAsTheyAre : Lists::kFetch);
  if (arguments->verb == "version" || arguments->verb == "help") {
    std::printf("%s\n", arguments->verb == "version" ? PRUNELLA_VERSION : kUsage);
    return 0;
  }
  std::vector<std::string> verbs = {"run", "enroll", "unenroll", "status", "observe", "version"};
  auto near = nearest_word(arguments->verb, verbs);
  fail(invalid_input("unknown verb " + quoted(arguments->verb) + (near ? "; did you mean " + *near + "?" : "")));
  std::fprintf(stderr, "%s", kUsage);
  return kUsageError;
}

}  // namespace
}  // namespace prunella::agent

int main(int count, char** values) { return prunella::agent::main_with(count, values); }
