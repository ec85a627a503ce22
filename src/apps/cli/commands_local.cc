// context, doctor, completion, man, version, help: this program itself.
#include <algorithm>
#include <istream>
#include <ostream>

#include "apps/cli/handlers.h"
#include "apps/cli/table.h"
#include "apps/cli/trust.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

Result<std::string> read_or_stdin(Session& session, const std::string& path) {
  constexpr std::size_t kMax = 1 << 20;
  if (path != "-") return read_file(path, kMax);
  std::string text;
  char buffer[4096];
  while (session.environment().in.read(buffer, sizeof buffer) || session.environment().in.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(session.environment().in.gcount()));
    if (text.size() > kMax) return exhausted("standard input has more than " + bytes_text(kMax));
  }
  return text;
}

/// What prunellad init printed.
struct InitOutput {
  std::string token;
  std::string ca_pem;
};
template <class F>
void fields(F& f, InitOutput& o) {
  f("token", o.token);
  f("ca_pem", o.ca_pem);
}

enum class Health { kGood, kWarning, kBad, kUnknown };
std::string_view word(Health health) {
  switch (health) {
    case Health::kGood: return "ok";
    case Health::kWarning: return "warn";
    case Health::kBad: return "FAIL";
    case Health::kUnknown: return "?";
  }
  return "?";
}
std::string_view colour(Health health) {
  switch (health) {
    case Health::kGood: return "32";
    case Health::kWarning:
    case Health::kUnknown: return "33";
    case Health::kBad: return "31";
  }
  return "";
}

struct Finding_ {
  std::string check;
  Health health;
  std::string text;
  std::string fix;
};

class Doctor {
 public:
  void add(std::string check, Health health, std::string text, std::string fix = {}) { findings_.push_back({std::move(check), health, std::move(text), std::move(fix)}); }
  const std::vector<Finding_>& findings() const { return findings_; }

 private:
  std::vector<Finding_> findings_;
};

constexpr Duration kSkewGood = std::chrono::seconds(30);
constexpr Duration kPolicySoon = std::chrono::days(14);
constexpr Duration kCertificateSoon = std::chrono::hours(6);

void examine_files(Session& session, Doctor& doctor) {
  ConfigDir config = session.config();
  auto contexts = config.contexts();
  if (!contexts) {
    doctor.add("context", Health::kBad, contexts.error().text(), "repair or remove " + config.file("context.json"));
  } else if (is_open_to_others(config.file("context.json"))) {
    doctor.add("context", Health::kBad, "context.json holds tokens and can be read by others", "chmod 600 " + config.file("context.json") + ", and make new tokens");
  }
  for (const char* name : {"operator.key", "approver.key"}) {
    auto key = config.key(name);
    if (key) doctor.add(name, Health::kGood, "key " + key->public_key().key_id());
    else if (key.error().kind() == ErrorKind::kNotFound) doctor.add(name, Health::kWarning, "there is none here", std::string(name) == "operator.key" ? "not needed, unless you sign policies" : "prunella operator init, or ask an operator to add your key");
    else doctor.add(name, Health::kBad, key.error().text(), "chmod 600 it");
  }
}

void examine_trust(Session& session, Doctor& doctor) {
  auto trust = get_trust(session);
  if (!trust) {
    doctor.add("policy", Health::kBad, trust.error().text(), "don't approve anything until it is understood");
    return;
  }
  if (!trust->view.trust) {
    doctor.add("operators", Health::kBad, "none is named, so hosts can't enrol", "prunella operator init");
    return;
  }
  doctor.add("operators", Health::kGood, count_text(trust->view.trust->operators.size(), "key", "keys") + ", " + std::to_string(trust->view.trust->threshold) + " must sign a policy");
  if (auto key = session.config().key("operator.key")) {
    bool mine = std::ranges::find(trust->view.trust->operators, key->public_key()) != trust->view.trust->operators.end();
    if (!mine) doctor.add("operators", Health::kWarning, "your operator key is not among them", "use the configuration of this control plane, or don't mind if you sign no policies");
  }
  if (!trust->policy) {
    doctor.add("policy", Health::kBad, "none is in force: no host acts", "prunella operator init");
    return;
  }
  Instant now = session.now();
  const ExecutorPolicy& policy = *trust->policy;
  std::string serial = "serial " + std::to_string(policy.serial);
  if (policy.expires <= now) doctor.add("policy", Health::kBad, serial + " expired " + ago(policy.expires, now) + ": no host acts", "prunella policy show --json, new expiry, prunella policy sign");
  else if (policy.expires - now < kPolicySoon) doctor.add("policy", Health::kWarning, serial + " expires in " + rough(policy.expires - now), "prunella policy show --json, new expiry, prunella policy sign");
  else doctor.add("policy", Health::kGood, serial + ", for another " + rough(policy.expires - now));
  bool knows_director = std::ranges::find(policy.directors, trust->view.director) != policy.directors.end();
  if (!knows_director) doctor.add("policy", Health::kBad, "it doesn't name this control plane's key, so hosts refuse its orders", "add " + trust->view.director.hex() + " to directors and sign it anew");
  if (auto key = session.config().key("approver.key")) {
    auto me = std::ranges::find(policy.approvers, key->public_key(), &PolicyApprover::key);
    if (me != policy.approvers.end()) doctor.add("approver", Health::kGood, "you approve as " + me->name);
    else doctor.add("approver", Health::kWarning, "your approver key isn't in the policy", "an operator adds {\"key\":\"" + key->public_key().hex() + "\",\"name\":...} to approvers and signs it");
  }
}

void examine_hosts(Session& session, Doctor& doctor) {
  auto hosts = session.list<HostView>("/v1/hosts", {});
  if (!hosts) {
    doctor.add("hosts", Health::kBad, hosts.error().text());
    return;
  }
  if (hosts->empty()) {
    doctor.add("hosts", Health::kWarning, "none is enrolled", "prunella enroll --print");
    return;
  }
  Instant now = session.now();
  std::vector<std::string> stale, skewed, expiring, unknown;
  std::size_t active = 0;
  for (const HostView& host : *hosts) {
    if (host.state == HostState::kRevoked) continue;
    ++active;
    if (host.posture == PostureState::kStale || !host.last_seen) stale.push_back(host.id.text());
    if (host.posture == PostureState::kUnknown) unknown.push_back(host.id.text());
    if (host.clock_skew_ms && Duration(std::abs(*host.clock_skew_ms)) > kSkewGood) skewed.push_back(host.id.text());
    if (host.certificate_expires && *host.certificate_expires - now < kCertificateSoon) expiring.push_back(host.id.text());
  }
  auto some = [](const std::vector<std::string>& names) {
    std::vector<std::string> first(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(names.size(), 3)));
    return join(first, ", ") + (names.size() > 3 ? " and " + std::to_string(names.size() - 3) + " more" : "");
  };
  if (!stale.empty()) doctor.add("hosts", Health::kBad, some(stale) + ": silent", "systemctl status prunella-agent there; prunella host show " + stale[0]);
  if (!unknown.empty()) doctor.add("hosts", Health::kWarning, some(unknown) + ": not fully known", "prunella why " + unknown[0]);
  if (!skewed.empty()) doctor.add("hosts", Health::kWarning, some(skewed) + ": clock more than " + rough(kSkewGood) + " off; orders are bound to times", "set the clock there (chrony, systemd-timesyncd)");
  if (!expiring.empty()) doctor.add("hosts", Health::kWarning, some(expiring) + ": certificate ends within " + rough(kCertificateSoon), "journalctl -u prunella-agent there: renewal is due at half-life");
  if (stale.empty() && unknown.empty() && skewed.empty() && expiring.empty()) doctor.add("hosts", Health::kGood, count_text(active, "host", "hosts") + ", all heard and known");
}

/// False when nothing further can be asked.
bool examine_server(Session& session, Doctor& doctor) {
  auto context = session.context();
  if (!context) {
    doctor.add("context", Health::kBad, context.error().text(), "prunella context add NAME --server https://... --from FILE");
    return false;
  }
  doctor.add("context", Health::kGood, (session.context_name().empty() ? std::string() : session.context_name() + ": ") + context->server);
  auto client = session.api();
  if (!client) {
    doctor.add("server", Health::kBad, client.error().text(), "prunella context add NAME --server URL --ca FILE");
    return false;
  }
  HttpRequest request;
  request.target = "/healthz";
  auto health = (*client)->send(request);
  if (!health) {
    bool tls = health.error().kind() == ErrorKind::kDenied;
    doctor.add(tls ? "certificate" : "server", Health::kBad, health.error().text(),
               tls ? "prunella context add with the authority of that control plane (prunellad's ca.pem)" : "systemctl status prunellad there; is the address right, and the port open?");
    return false;
  }
  doctor.add("server", Health::kGood, "answers, and its certificate is the pinned one");
  request.target = "/readyz";
  if (auto ready = (*client)->send(request); !ready) doctor.add("server", Health::kBad, ready.error().text(), "journalctl -u prunellad there");
  Instant before = session.now();
  auto status = session.get<StatusView>("/v1/status");
  if (!status) {
    bool no_token = !context->token || context->token->empty();
    doctor.add("token", Health::kBad, no_token ? "there is none" : status.error().text(), "prunellad token --data DIR on the server, then prunella context add NAME --token-file -");
    return false;
  }
  doctor.add("token", Health::kGood, "is taken");
  Instant middle = before + (session.now() - before) / 2;
  Duration skew = status->now > middle ? status->now - middle : middle - status->now;
  if (skew > kSkewGood) doctor.add("clock", Health::kBad, "this machine and the control plane are " + rough(skew) + " apart; approvals are bound to times", "set the clock (chrony, systemd-timesyncd)");
  else doctor.add("clock", Health::kGood, std::to_string(skew.count()) + " ms from the control plane's");
  if (status->version != PRUNELLA_VERSION) doctor.add("version", Health::kWarning, "the control plane is " + status->version + ", this program " PRUNELLA_VERSION, "use the same version where it's easy; the API only grows");
  else doctor.add("version", Health::kGood, status->version);
  return true;
}

}  // namespace

ExitCode run_context_ls(Session& session, const Invocation&) {
  auto contexts = session.config().contexts();
  if (!contexts) return session.fail(contexts.error());
  Json::Array items;
  Table table({"CONTEXT", "SERVER", "KNOWN BY", "TOKEN"});
  for (const auto& [name, context] : contexts->contexts) {
    bool current = contexts->current == name;
    std::string known = context.ca_pem ? "authority" : context.ca_sha256 ? "pin " + context.ca_sha256->substr(0, 12) : "nothing";
    // Never the token itself.
    items.push_back(Json(Json::Object{{"name", Json(name)}, {"server", Json(context.server)}, {"current", Json(current)}, {"has_token", Json(context.token.has_value())}}));
    table.add({name + (current && session.is_text() ? " *" : ""), context.server, known, context.token ? "yes" : "none"});
  }
  if (session.print_json(Json(Json::Object{{"items", Json(std::move(items))}}))) return ExitCode::kOk;
  if (contexts->contexts.empty()) {
    session.say("no control plane is known");
    session.next("prunella context add NAME --server https://... --from FILE");
    return ExitCode::kNothing;
  }
  session.print(table.text(session));
  session.next("prunella doctor");
  return ExitCode::kOk;
}

ExitCode run_context_add(Session& session, const Invocation& invocation) {
  const std::string& name = invocation.arguments[0];
  if (auto named = check_name("a context", name); !named) return session.fail(named.error());
  auto contexts = session.config().contexts();
  if (!contexts) return session.fail(contexts.error());
  Context context;
  bool existed = contexts->contexts.contains(name);
  if (existed) context = contexts->contexts[name];
  if (auto server = invocation.option("server")) context.server = *server;
  if (context.server.empty()) return session.fail(invalid_input("--server https://... is missing"));
  if (auto address = parse_server(context.server); !address) return session.fail(address.error());
  int authorities = invocation.has("from") + invocation.has("ca") + invocation.has("ca-sha256");
  if (authorities > 1) return session.fail(invalid_input("--from, --ca and --ca-sha256 all name the authority: give one"));
  if (auto path = invocation.option("from")) {
    auto text = read_or_stdin(session, *path);
    if (!text) return session.fail(text.error());
    auto init = from_json_text<InitOutput>(*text, {}, UnknownKeys::kIgnore);
    if (!init) return session.fail(std::move(init).error().during("reading what prunellad init printed in " + *path));
    context.ca_pem = init->ca_pem;
    context.ca_sha256.reset();
    context.token = init->token;
  }
  if (auto path = invocation.option("ca")) {
    auto text = read_or_stdin(session, *path);
    if (!text) return session.fail(text.error());
    if (text->find("-----BEGIN CERTIFICATE-----") == std::string::npos) return session.fail(invalid_input(*path + " holds no certificate in PEM"));
    context.ca_pem = *text;
    context.ca_sha256.reset();
  }
  if (auto hex = invocation.option("ca-sha256")) {
    if (auto digest = parse_digest(*hex); !digest) return session.fail(std::move(digest).error().during("--ca-sha256"));
    context.ca_sha256 = *hex;
    context.ca_pem.reset();
  }
  if (!context.ca_pem && !context.ca_sha256) return session.fail(invalid_input("how is the control plane known? --from FILE (what prunellad init printed), --ca FILE or --ca-sha256 HEX"));
  if (auto path = invocation.option("token-file")) {
    auto text = read_or_stdin(session, *path);
    if (!text) return session.fail(text.error());
    std::string token(trim(*text));
    if (!token.starts_with("prunella_")) return session.fail(invalid_input("what stands in " + *path + " is no token: it begins with prunella_"));
    context.token = token;
  }
  contexts->contexts[name] = context;
  if (!contexts->current) contexts->current = name;
  if (auto saved = session.config().save(*contexts); !saved) return session.fail(saved.error());
  session.say((existed ? "changed " : "added ") + name + (contexts->current == name ? ", and it is in use" : "") + (context.token ? "" : "; it has no token yet (--token-file)"));
  session.next(contexts->current == name ? "prunella doctor" : "prunella context use " + name);
  return ExitCode::kOk;
}

ExitCode run_context_use(Session& session, const Invocation& invocation) {
  auto contexts = session.config().contexts();
  if (!contexts) return session.fail(contexts.error());
  const std::string& name = invocation.arguments[0];
  if (!contexts->contexts.contains(name)) {
    std::vector<std::string> names;
    for (const auto& [known, unused] : contexts->contexts) names.push_back(known);
    auto near = nearest_word(name, names);
    return session.fail(not_found("there is no context " + quoted(name) + (near ? "; did you mean " + *near + "?" : names.empty() ? "" : "; there are " + join(names, ", "))));
  }
  contexts->current = name;
  if (auto saved = session.config().save(*contexts); !saved) return session.fail(saved.error());
  session.say("using " + name + " (" + shown(contexts->contexts[name].server) + ")");
  session.next("prunella status");
  return ExitCode::kOk;
}

ExitCode run_doctor(Session& session, const Invocation&) {
  Doctor doctor;
  examine_files(session, doctor);
  if (examine_server(session, doctor)) {
    examine_trust(session, doctor);
    examine_hosts(session, doctor);
  }
  bool bad = false;
  std::string first_fix;
  Json::Array items;
  for (const Finding_& finding : doctor.findings()) {
    bad = bad || finding.health == Health::kBad;
    if (finding.health == Health::kBad && first_fix.empty()) first_fix = finding.fix;
    std::string state(word(finding.health));
    std::ranges::transform(state, state.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    Json one(Json::Object{{"check", Json(finding.check)}, {"state", Json(state == "?" ? "unknown" : state)}, {"text", Json(finding.text)}});
    if (!finding.fix.empty()) one["fix"] = Json(finding.fix);
    items.push_back(std::move(one));
  }
  if (!session.print_json(Json(Json::Object{{"items", Json(std::move(items))}}))) {
    std::string out;
    for (const Finding_& finding : doctor.findings()) {
      if (session.form() == Form::kPlain || session.form() == Form::kNames) {
        out += finding.check + "\t" + std::string(word(finding.health)) + "\t" + shown(finding.text) + "\t" + shown(finding.fix) + "\n";
        continue;
      }
      std::string health(word(finding.health));
      std::string check = finding.check;
      check.resize(std::max<std::size_t>(check.size(), 13), ' ');
      out += session.styled(health, colour(finding.health)) + std::string(6 - health.size(), ' ') + check + " " + shown(finding.text) + "\n";
      if (!finding.fix.empty() && finding.health != Health::kGood) out += std::string(20, ' ') + "fix: " + shown(finding.fix) + "\n";
    }
    session.print(out);
  }
  session.next(bad ? (first_fix.empty() ? "prunella doctor again, when it's repaired" : first_fix) : "prunella status");
  return bad ? ExitCode::kFailed : ExitCode::kOk;
}

ExitCode run_completion(Session& session, const Invocation& invocation) {
  auto script = completion_script(invocation.arguments[0]);
  if (!script) return session.fail(script.error());
  session.print(*script);
  return ExitCode::kOk;
}

ExitCode run_man(Session& session, const Invocation&) {
  session.print(man_page(PRUNELLA_VERSION));
  return ExitCode::kOk;
}

ExitCode run_version(Session& session, const Invocation&) {
  if (!session.print_json(Json(Json::Object{{"version", Json(PRUNELLA_VERSION)}}))) session.print("prunella " PRUNELLA_VERSION "\n");
  return ExitCode::kOk;
}

ExitCode run_help(Session& session, const Invocation& invocation) {
  auto text = help_text(invocation.arguments);
  if (!text) return session.fail(text.error());
  session.print(*text);
  return ExitCode::kOk;
}

}  // namespace prunella::cli
