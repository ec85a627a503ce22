#include "apps/cli/session.h"

#include <istream>
#include <ostream>

#include "base/ids.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

constexpr Duration kAnswerTimeout = std::chrono::seconds(60);

std::string variable(const Environment& environment, const std::string& name) {
  auto found = environment.variables.find(name);
  return found == environment.variables.end() ? std::string() : found->second;
}

}  // namespace

Session::Session(Environment& environment, const Invocation& invocation) : environment_(environment), invocation_(invocation) {
  quiet_ = invocation.has("quiet");
  if (invocation.has("json")) form_ = Form::kJson;
  else if (invocation.has("jsonl")) form_ = Form::kJsonl;
  else if (quiet_) form_ = Form::kNames;
  else if (invocation.has("plain")) form_ = Form::kPlain;
  colour_ = environment.out_is_terminal && form_ == Form::kText && !invocation.has("no-color") && variable(environment, "NO_COLOR").empty();
  if (auto text = invocation.option("timeout")) {
    auto duration = parse_duration(*text);
    if (duration && *duration > Duration(0)) timeout_ = *duration;
    else bad_timeout_ = duration ? invalid_input("--timeout 0 leaves no time at all") : duration.error().during("--timeout");
  }
}

ConfigDir Session::config() const {
  if (std::string set = variable(environment_, "PRUNELLA_CONFIG_DIR"); !set.empty()) return ConfigDir(set);
  if (std::string xdg = variable(environment_, "XDG_CONFIG_HOME"); !xdg.empty()) return ConfigDir(xdg + "/prunella");
  return ConfigDir(variable(environment_, "HOME") + "/.config/prunella");
}

void Session::print(std::string_view text) { environment_.out << text << std::flush; }

void Session::say(std::string_view text) {
  if (!quiet_) environment_.err << text << "\n" << std::flush;
}

void Session::next(std::string_view command) {
  if (is_text()) environment_.err << "next: " << shown(command) << "\n" << std::flush;
}

ExitCode Session::fail(const Error& error) {
  ExitCode code = exit_code_of(error.kind());
  if (api_ && api_->timed_out()) code = ExitCode::kTimeout;
  return fail(code, error.text());
}

ExitCode Session::fail(ExitCode code, std::string_view text) {
  environment_.err << "prunella: " << display_text(text, 4096) << "\n" << std::flush;
  return code;
}

bool Session::print_json(const Json& value) {
  if (form_ == Form::kJson) {
    print(to_pretty(value) + "\n");
    return true;
  }
  if (form_ != Form::kJsonl) return false;
  const Json* items = value.find("items");
  if (items && items->as_array()) {
    for (const Json& item : *items->as_array()) print(to_canonical(item) + "\n");
  } else {
    print(to_canonical(value) + "\n");
  }
  return true;
}

std::string Session::styled(std::string_view text, std::string_view code) const {
  if (!colour_) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

Result<bool> Session::confirm(std::string_view question) {
  if (invocation_.has("yes")) return true;
  if (!environment_.in_is_terminal) return conflict("this asks first, and nobody is there to answer: look at it, then say --yes");
  environment_.err << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(environment_.in, answer);
  std::string word(trim(answer));
  return word == "y" || word == "Y" || word == "yes" || word == "Yes";
}

std::string Session::context_name() {
  if (auto named = invocation_.option("context")) return *named;
  if (std::string named = variable(environment_, "PRUNELLA_CONTEXT"); !named.empty()) return named;
  auto contexts = config().contexts();
  return contexts && contexts->current ? *contexts->current : std::string();
}

Result<Context> Session::context() {
  auto contexts = config().contexts();
  if (!contexts) return std::move(contexts).error();
  Context context;
  std::string name = context_name();
  if (!name.empty()) {
    auto found = contexts->contexts.find(name);
    if (found == contexts->contexts.end()) {
      std::vector<std::string> names;
      for (const auto& [known, unused] : contexts->contexts) names.push_back(known);
      auto near = nearest_word(name, names);
      return not_found("there is no context " + quoted(name) + (near ? "; did you mean " + *near + "?" : "; prunella context ls shows those that are there"));
    }
    context = found->second;
  }
  std::string server = invocation_.option("server").value_or(variable(environment_, "PRUNELLA_SERVER"));
  if (!server.empty()) context.server = server;
  if (std::string token = variable(environment_, "PRUNELLA_TOKEN"); !token.empty()) context.token = token;
  if (context.server.empty()) return not_found("no control plane is known: prunella context add NAME --server https://... --from FILE");
  return context;
}

Result<std::unique_ptr<ApiClient>> Session::another_api() {
  if (bad_timeout_) return *bad_timeout_;
  auto which = context();
  if (!which) return std::move(which).error();
  return environment_.connect(*which, timeout_.value_or(kAnswerTimeout));
}

Result<ApiClient*> Session::api() {
  if (!api_) {
    auto made = another_api();
    if (!made) return std::move(made).error();
    api_ = *std::move(made);
  }
  return api_.get();
}

Result<Json> Session::get_json(const std::string& target) { return send_json("GET", target, std::nullopt); }

Result<Json> Session::send_json(std::string_view method, const std::string& target, const std::optional<Json>& body) {
  auto client = api();
  if (!client) return std::move(client).error();
  HttpRequest request;
  request.method = std::string(method);
  request.target = target;
  request.headers.add("Accept", "application/json");
  if (body) {
    request.headers.add("Content-Type", "application/json");
    request.body = to_canonical(*body);
  }
  // New for each intent: should the answer get lost, the same command typed again asks anew, and says what it will do.
  if (method == "POST") request.headers.add("Idempotency-Key", random_id_text(environment_.random, 20));
  auto response = (*client)->send(request);
  if (!response) return std::move(response).error();
  if (response->body.empty()) return Json();
  auto json = parse_json(response->body, {.bytes_max = response->body.size() + 1, .depth_max = 64});
  if (!json) return corrupt("the answer of " + target + " is no JSON: " + json.error().text());
  return json;
}

Result<std::size_t> Session::limit() const {
  auto text = invocation_.option("limit");
  if (!text) return kListDefault;
  auto number = parse_uint(*text);
  if (!number || *number < 1 || *number > kListMax) return invalid_input("--limit " + quoted(*text) + ": it must be from 1 to " + std::to_string(kListMax));
  return static_cast<std::size_t>(*number);
}

}  // namespace prunella::cli
