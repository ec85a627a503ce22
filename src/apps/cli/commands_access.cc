// enroll, token, operator, policy: who may do what.
#include <algorithm>
#include <set>

#include "apps/cli/handlers.h"
#include "apps/cli/table.h"
#include "apps/cli/trust.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

// The first policy: careful enough to leave in force, useful enough to patch with. An hour's budget lets one host be patched, fail
// and be patched again, and no loop.
constexpr Duration kPolicyLifetime = std::chrono::days(90);
constexpr std::uint32_t kTransactionsPerHour = 4;
constexpr std::uint32_t kRestartsPerHour = 12;

constexpr std::string_view kAlnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool made_of(std::string_view text, std::string_view more) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) { return kAlnum.find(c) != std::string_view::npos || more.find(c) != std::string_view::npos; });
}

/// The line that a person pastes into a root shell: every piece that the control plane gave is checked, since it must not be able to
/// put anything else in there.
Result<std::string> installer_line(const EnrolmentTokenView& view, const std::optional<std::string>& name) {
  auto wrong = [](std::string_view what, const std::string& value) { return corrupt("the control plane's " + std::string(what) + " is " + quoted(value) + ", which doesn't go into a command line"); };
  if (auto address = parse_server(view.server); !address) return wrong("address", view.server);
  if (!made_of(view.server, ":/.-_[]")) return wrong("address", view.server);
  std::string pin = view.server_key_pin.starts_with("sha256//") ? view.server_key_pin.substr(8) : view.server_key_pin;
  if (pin.size() != 44 || !made_of(pin, "+/=")) return wrong("key pin", view.server_key_pin);
  if (auto digest = parse_digest(view.ca_sha256); !digest) return wrong("authority's digest", view.ca_sha256);
  if (auto digest = parse_digest(view.operators_sha256); !digest) return wrong("operators' digest", view.operators_sha256);
  if (!view.token.secret || !made_of(*view.token.secret, "_")) return corrupt("the control plane's enrolment token has characters that don't go into a command line");
  std::string quoted_pin = "'sha256//" + pin + "'";
  std::string line = "curl -fsS --tlsv1.3 -k --pinnedpubkey " + quoted_pin + " " + view.server + "/install | sudo sh -s -- --server " + view.server + " --token " + *view.token.secret +
                     " --ca-sha256 " + view.ca_sha256 + " --operators-sha256 " + view.operators_sha256 + " --pin " + quoted_pin;
  if (name) line += " --name " + *name;
  return line;
}

std::string login_name(const Session& session) {
  auto& variables = const_cast<Session&>(session).environment().variables;
  for (const char* name : {"SUDO_USER", "USER", "LOGNAME"})
    if (auto found = variables.find(name); found != variables.end() && !found->second.empty()) return found->second;
  return "operator";
}

ExecutorPolicy first_policy(const std::string& organisation, const PublicKey& director, const std::string& name, const PublicKey& approver, Instant now) {
  ExecutorPolicy policy;
  policy.serial = 1;
  policy.organisation = organisation;
  policy.issued = now;
  policy.expires = now + kPolicyLifetime;
  policy.directors = {director};
  policy.approvers = {{name, approver}};
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 1}, {ActionKind::kDpkgRepair, {"*"}, {"*"}, 1}, {ActionKind::kServiceRestart, {}, {"*"}, 1}};
  policy.budget = {kTransactionsPerHour, kRestartsPerHour};
  return policy;
}

Result<PrivateKey> key_or_new(Session& session, const char* name, bool* made) {
  auto key = session.config().key(name);
  *made = false;
  if (key || key.error().kind() != ErrorKind::kNotFound) return key;
  *made = true;
  return session.config().make_key(name, session.environment().random);
}

std::string tokens_scopes(const TokenView& token) {
  std::vector<std::string> scopes;
  for (Scope scope : token.scopes) scopes.emplace_back(to_text(scope));
  return scopes.empty() ? "-" : join(scopes, ",");
}

}  // namespace

Result<CheckedTrust> get_trust(Session& session) {
  auto view = session.get<TrustView>("/v1/trust");
  if (!view) return std::move(view).error();
  CheckedTrust out;
  out.view = *std::move(view);
  if (!out.view.policy) return out;
  if (!out.view.trust) return corrupt("there is a policy, but no operator who could have signed it");
  auto bytes = open_envelope(*out.view.policy, kExecutorPolicyType, out.view.trust->operators, std::max<std::size_t>(out.view.trust->threshold, 1));
  if (!bytes) return corrupt("the policy in force isn't signed by the operators: " + bytes.error().text());
  auto policy = from_json_text<ExecutorPolicy>(*bytes);
  if (!policy) return std::move(policy).error().during("the policy in force");
  out.policy = *std::move(policy);
  return out;
}

std::string policy_text(const ExecutorPolicy& policy, Instant now) {
  auto patterns = [](const std::vector<std::string>& list) {
    std::vector<std::string> out;
    for (const std::string& pattern : list) out.push_back(shown(pattern));
    return out.empty() ? std::string("none") : join(out, ", ");
  };
  std::string out = "Policy " + std::to_string(policy.serial) + " of " + shown(policy.organisation) + ", issued " + to_rfc3339(policy.issued).substr(0, 10) + ", ";
  out += policy.expires <= now ? "EXPIRED " + ago(policy.expires, now) : "holds for another " + rough(policy.expires - now);
  out += ".\nHosts do this, and nothing else, whoever orders it:\n";
  for (const PolicyRule& rule : policy.rules) {
    std::string line = "  " + std::string(to_text(rule.action));
    line.resize(24, ' ');
    if (!rule.packages.empty()) line += "packages " + patterns(rule.packages) + "; ";
    if (!rule.units.empty()) line += "units " + patterns(rule.units) + "; ";
    out += line + (rule.approvals == 0 ? "WITHOUT approval" : "with " + count_text(rule.approvals, "approval", "approvals")) + "\n";
  }
  if (policy.rules.empty()) out += "  nothing\n";
  out += policy.standing.empty() ? "By themselves, without an order, they do nothing.\n" : "By themselves, without an order:\n";
  for (const StandingRule& rule : policy.standing)
    out += "  restart " + patterns(rule.units) + " on " + std::string(to_text(rule.trigger)) + ", at most once in " + to_text(rule.cooldown) + " for each\n";
  out += "At most " + count_text(policy.budget.package_transactions_per_hour, "package transaction", "package transactions") + " and " +
         count_text(policy.budget.service_restarts_per_hour, "service restart", "service restarts") + " an hour on each host.\n";
  out += "Never: the built-in list";
  if (!policy.never_packages.empty()) out += "; packages " + patterns(policy.never_packages);
  if (!policy.never_units.empty()) out += "; units " + patterns(policy.never_units);
  out += ".\nApprovers: ";
  std::vector<std::string> names;
  for (const PolicyApprover& approver : policy.approvers) names.push_back(shown(approver.name) + " (" + approver.key.key_id() + ")");
  out += names.empty() ? "none" : join(names, ", ");
  out += ".\n";
  return out;
}

ExitCode run_enroll(Session& session, const Invocation& invocation) {
  EnrolmentTokenRequest request;
  request.name = invocation.option("name");
  if (request.name)
    if (auto named = check_name("a host's name", *request.name); !named) return session.fail(named.error());
  if (auto text = invocation.option("lifetime")) {
    auto lifetime = parse_duration(*text);
    if (!lifetime) return session.fail(std::move(lifetime).error().during("--lifetime"));
    request.lifetime = *lifetime;
  }
  std::map<std::string, std::string> labels;
  for (const std::string& word : invocation.all("label")) {
    std::size_t equal = word.find('=');
    if (equal == std::string::npos || equal == 0) return session.fail(invalid_input("--label " + quoted(word) + ": it must be key=value"));
    labels[word.substr(0, equal)] = word.substr(equal + 1);
  }
  if (!labels.empty()) request.labels = labels;

  auto trust = session.get<TrustView>("/v1/trust");
  if (!trust) return session.fail(trust.error());
  if (!trust->trust) {
    session.fail(ExitCode::kPrecondition, "no operator is named yet, so a host could believe nobody");
    session.next("prunella operator init");
    return ExitCode::kPrecondition;
  }
  auto view = session.send<EnrolmentTokenView>("POST", "/v1/enrolment-tokens", request);
  if (!view) return session.fail(view.error());
  // Whoever answers could name operators of his own, and the host would believe them for ever. Ours must be among them.
  if (digest_of(*trust->trust).hex() != view->operators_sha256) return session.fail(ExitCode::kFailed, "the control plane gives two answers about its operators: don't use this line");
  if (auto key = session.config().key("operator.key")) {
    if (std::ranges::find(trust->trust->operators, key->public_key()) == trust->trust->operators.end())
      return session.fail(ExitCode::kPrecondition, "your operator key " + key->public_key().key_id() + " is not among the operators that the control plane names: don't use a line of it");
  } else {
    session.say("you have no operator key here, so nothing proves that the operators in this line are yours; compare " + digest_of(*trust->trust).brief() + " with one who has");
  }
  auto line = installer_line(*view, request.name);
  if (!line) return session.fail(line.error());
  if (session.print_json(to_json(*view))) return ExitCode::kOk;
  session.print(*line + "\n");
  session.say("run it on the host, within " + rough(view->token.expires - session.now()) + "; it works once" + (request.name ? ", and only as " + *request.name : ""));
  session.next("prunella host ls --watch");
  return ExitCode::kOk;
}

ExitCode run_token_ls(Session& session, const Invocation&) {
  bool more = false;
  auto tokens = session.list<TokenView>("/v1/tokens", {}, &more);
  if (!tokens) return session.fail(tokens.error());
  Json::Array items;
  for (const TokenView& token : *tokens) items.push_back(to_json(token));
  if (session.print_json(Json(Json::Object{{"items", Json(std::move(items))}}))) return ExitCode::kOk;
  Instant now = session.now();
  Table table({"ID", "KIND", "NAME", "SCOPES", "STATE", "MADE", "LAST USED"});
  for (const TokenView& token : *tokens) {
    std::string state = token.revoked ? "revoked " + ago(token.revoked, now) : token.kind == "enrolment" && token.used ? "used " + ago(token.used, now) : token.expires <= now ? "expired" : "for " + rough(token.expires - now);
    table.add({token.id, token.kind, token.name, tokens_scopes(token), state, ago(token.created, now), ago(token.last_used, now)});
  }
  session.print(table.text(session));
  session.next("prunella token create NAME --scope read");
  return ExitCode::kOk;
}

ExitCode run_token_create(Session& session, const Invocation& invocation) {
  TokenRequest request;
  request.name = invocation.arguments[0];
  auto scopes = invocation.all("scope");
  if (scopes.empty()) scopes = {"read"};
  std::set<Scope> chosen;
  for (const std::string& word : scopes) {
    auto scope = parse_word<Scope>(word);
    if (!scope) return session.fail(std::move(scope).error().during("--scope"));
    if (chosen.insert(*scope).second) request.scopes.push_back(*scope);
  }
  request.lifetime = std::chrono::days(30);
  if (auto text = invocation.option("lifetime")) {
    auto lifetime = parse_duration(*text);
    if (!lifetime) return session.fail(std::move(lifetime).error().during("--lifetime"));
    request.lifetime = *lifetime;
  }
  auto token = session.send<TokenView>("POST", "/v1/tokens", request);
  if (!token) return session.fail(token.error());
  if (session.print_json(to_json(*token))) return ExitCode::kOk;
  session.print(token->secret.value_or("") + "\n");
  session.say("this is shown once; it may " + tokens_scopes(*token) + ", for " + rough(token->expires - session.now()) + "; its id is " + shown(token->id));
  session.next("prunella token revoke " + token->id + " when it's no longer needed");
  return ExitCode::kOk;
}

ExitCode run_token_revoke(Session& session, const Invocation& invocation) {
  const std::string& id = invocation.arguments[0];
  if (id.starts_with("prunella_")) return session.fail(invalid_input("that is a token itself, not its id: the id is the part between the first two underscores"));
  if (auto named = check_name("a token's id", id); !named) return session.fail(named.error());
  auto agreed = session.confirm("Revoke the token " + shown(id) + "? Whoever uses it is refused from now on.");
  if (!agreed) return session.fail(agreed.error());
  if (!*agreed) return session.fail(ExitCode::kPrecondition, "not revoked");
  auto done = session.send_json("DELETE", target_of("/v1/tokens/", id), std::nullopt);
  if (!done) return session.fail(done.error());
  session.say(shown(id) + " is revoked");
  session.next("prunella token ls");
  return ExitCode::kOk;
}

ExitCode run_operator_init(Session& session, const Invocation& invocation) {
  std::string name = invocation.option("name").value_or(login_name(session));
  if (auto named = check_name("an approver's name", name); !named) return session.fail(std::move(named).error().during("--name"));
  auto status = session.get<StatusView>("/v1/status");
  if (!status) return session.fail(status.error());
  auto trust = session.get<TrustView>("/v1/trust");
  if (!trust) return session.fail(trust.error());

  bool made_operator = false, made_approver = false;
  auto operator_key = session.config().key("operator.key");
  if (!operator_key && operator_key.error().kind() == ErrorKind::kNotFound && trust->trust)
    return session.fail(ExitCode::kPrecondition, "the control plane has its operators already, and you have none of their keys here");
  operator_key = key_or_new(session, "operator.key", &made_operator);
  if (!operator_key) return session.fail(operator_key.error());
  auto approver_key = key_or_new(session, "approver.key", &made_approver);
  if (!approver_key) return session.fail(approver_key.error());

  OperatorTrust wanted{status->organisation, {operator_key->public_key()}, 1};
  if (!trust->trust) {
    auto agreed = session.confirm("Name yourself (key " + operator_key->public_key().key_id() + ") as the operator of " + shown(status->organisation) +
                                  "? Hosts that enrol believe this key for ever; it can't be changed over the API.");
    if (!agreed) return session.fail(agreed.error());
    if (!*agreed) return session.fail(ExitCode::kPrecondition, "not done");
    trust = session.send<TrustView>("PUT", "/v1/trust", wanted);
    if (!trust) return session.fail(trust.error());
  } else if (std::ranges::find(trust->trust->operators, operator_key->public_key()) == trust->trust->operators.end()) {
    return session.fail(ExitCode::kPrecondition, "the control plane's operators are others: your key " + operator_key->public_key().key_id() + " is not among them");
  }
  if (trust->policy) {
    auto checked = get_trust(session);
    if (!checked) return session.fail(checked.error());
    if (session.print_json(to_json(checked->view))) return ExitCode::kOk;
    session.print(policy_text(*checked->policy, session.now()));
    session.say("a policy is in force already; nothing was changed");
    session.next("prunella policy show --json > policy.json, edit it, raise the serial, prunella policy sign policy.json");
    return ExitCode::kOk;
  }
  if (trust->trust->threshold > 1)
    return session.fail(ExitCode::kPrecondition, "a policy wants the signatures of " + std::to_string(trust->trust->threshold) + " operators: prunella policy sign FILE --out FILE");
  ExecutorPolicy policy = first_policy(trust->trust->organisation, trust->director, name, approver_key->public_key(), session.now());
  if (auto good = check_executor_policy(policy); !good) return session.fail(good.error());
  auto after = session.send<TrustView>("PUT", "/v1/policy", sign_envelope(kExecutorPolicyType, to_canonical_text(policy), *operator_key));
  if (!after) return session.fail(after.error());
  if (session.print_json(to_json(*after))) return ExitCode::kOk;
  session.print(policy_text(policy, session.now()));
  if (made_operator || made_approver)
    session.say("keys are in " + session.config().path() + "; keep operator.key offline once the policy is right: whoever has it decides what hosts may do");
  session.next("prunella enroll --print");
  return ExitCode::kOk;
}

ExitCode run_policy_show(Session& session, const Invocation&) {
  auto trust = get_trust(session);
  if (!trust) return session.fail(trust.error());
  if (!trust->policy) {
    session.fail(ExitCode::kNothing, "no policy is in force: no host acts on anything");
    session.next("prunella operator init");
    return ExitCode::kNothing;
  }
  if (session.print_json(to_json(*trust->policy))) return ExitCode::kOk;
  session.print(policy_text(*trust->policy, session.now()));
  session.next("prunella policy show --json > policy.json, edit it, raise the serial, prunella policy sign policy.json");
  return ExitCode::kOk;
}

ExitCode run_policy_sign(Session& session, const Invocation& invocation) {
  auto text = read_file(invocation.arguments[0], 1 << 20);
  if (!text) return session.fail(text.error());
  auto json = parse_json(*text);
  if (!json) return session.fail(std::move(json).error().during("reading " + invocation.arguments[0]));
  auto key = session.config().key("operator.key");
  if (!key) {
    if (key.error().kind() == ErrorKind::kNotFound) return session.fail(ExitCode::kPrecondition, "you have no operator key in " + session.config().path());
    return session.fail(key.error());
  }
  bool has_envelope = json->find("payloadType") != nullptr;
  Envelope envelope;
  std::string payload;
  if (has_envelope) {
    auto begun = from_json<Envelope>(*json);
    if (!begun) return session.fail(std::move(begun).error().during("reading " + invocation.arguments[0]));
    envelope = *std::move(begun);
    if (envelope.payload_type != kExecutorPolicyType) return session.fail(invalid_input("the envelope holds " + quoted(envelope.payload_type) + ", not a policy"));
    auto bytes = from_base64(envelope.payload);
    if (!bytes) return session.fail(std::move(bytes).error().during("reading the envelope"));
    payload = std::string(as_text(*bytes));
  }
  auto policy = has_envelope ? from_json_text<ExecutorPolicy>(payload) : from_json<ExecutorPolicy>(*json);
  if (!policy) return session.fail(std::move(policy).error().during("the policy in " + invocation.arguments[0]));
  if (auto good = check_executor_policy(*policy); !good) return session.fail(std::move(good).error().during("the policy in " + invocation.arguments[0]));
  if (has_envelope && payload != to_canonical_text(*policy)) return session.fail(invalid_input("the envelope's bytes are not in canonical form: what is shown could differ from what is signed"));

  auto trust = get_trust(session);
  if (!trust) return session.fail(trust.error());
  if (!trust->view.trust) return session.fail(ExitCode::kPrecondition, "no operator is named yet: prunella operator init");
  if (std::ranges::find(trust->view.trust->operators, key->public_key()) == trust->view.trust->operators.end())
    return session.fail(ExitCode::kPrecondition, "your operator key " + key->public_key().key_id() + " is not among the operators");
  if (trust->policy && policy->serial <= trust->policy->serial)
    return session.fail(ExitCode::kPrecondition, "the serial is " + std::to_string(policy->serial) + " and the policy in force has " + std::to_string(trust->policy->serial) + ": it must be higher, as hosts never go back");
  if (policy->expires <= session.now()) return session.fail(ExitCode::kPrecondition, "the policy expires at " + to_rfc3339(policy->expires) + ", which is over");

  if (session.is_text()) session.print(policy_text(*policy, session.now()));
  for (const PolicyRule& rule : policy->rules)
    if (rule.approvals == 0) session.say(session.styled("! ", "31") + std::string(to_text(rule.action)) + " would need nobody's approval: whoever has the control plane's key could order it");
  auto agreed = session.confirm("Sign this with the operator key " + key->public_key().key_id() + "?");
  if (!agreed) return session.fail(agreed.error());
  if (!*agreed) return session.fail(ExitCode::kPrecondition, "not signed");
  if (has_envelope) {
    if (auto added = add_signature(envelope, *key); !added) return session.fail(added.error());
  } else {
    envelope = sign_envelope(kExecutorPolicyType, to_canonical_text(*policy), *key);
  }
  if (auto path = invocation.option("out")) {
    if (auto written = write_file(*path, to_pretty(to_json(envelope)) + "\n", 0644); !written) return session.fail(written.error());
    session.say("signed; " + *path + " goes to the next operator");
    session.next("prunella policy sign " + *path);
    return ExitCode::kOk;
  }
  if (auto enough = open_envelope(envelope, kExecutorPolicyType, trust->view.trust->operators, trust->view.trust->threshold); !enough)
    return session.fail(ExitCode::kPrecondition, enough.error().text() + ": sign it with --out FILE and give it to the next operator");
  auto after = session.send<TrustView>("PUT", "/v1/policy", envelope);
  if (!after) return session.fail(after.error());
  if (session.print_json(to_json(*after))) return ExitCode::kOk;
  session.say("policy " + std::to_string(policy->serial) + " is in force; hosts get it when they ask next");
  session.next("prunella host ls");
  return ExitCode::kOk;
}

}  // namespace prunella::cli
