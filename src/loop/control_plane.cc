#include "loop/control_plane.h"

#include <algorithm>

#include "match/findings.h"

namespace prunella {

bool Caller::may(Scope scope) const {
  // admin may all; to approve or operate includes to plan, and every scope includes to read.
  for (Scope have : scopes) {
    if (have == Scope::kAdmin || have == scope) return true;
    if (scope == Scope::kRead) return true;
    if (scope == Scope::kPlan && (have == Scope::kApprove || have == Scope::kOperate)) return true;
  }
  return false;
}

ControlPlane::ControlPlane(Ports ports, ControlOptions options, Listener listener)
    : ports_(ports), options_(std::move(options)), listener_(std::move(listener)), store_(ports.store) {}

Status ControlPlane::start(std::string_view holder, Instant now) {
  return in_transaction([&]() -> Status {
    auto epoch = store_.take_epoch(holder, now);
    if (!epoch) return std::move(epoch).error();
    epoch_ = *epoch;
    return note("control-plane", "control-plane.started", {}, "term " + std::to_string(epoch_) + " began; orders of earlier terms are fenced off", now);
  });
}

Status ControlPlane::note(std::string_view actor, std::string_view kind, AuditSubject subject, std::string why, Instant now, Json details) {
  auto appended = append_audit(ports_.store, {std::string(actor), std::string(kind), std::move(subject), std::move(why), std::move(details)}, now);
  if (!appended) return std::move(appended).error().during("writing the audit log");
  changed("audit", std::to_string(appended->sequence));
  return {};
}

void ControlPlane::changed(std::string_view kind, std::string_view id, std::optional<RunProgress> progress) {
  pending_notices_.push_back({std::string(kind), std::string(id), std::move(progress)});
}

void ControlPlane::publish() {
  std::vector<ChangeNotice> notices = std::exchange(pending_notices_, {});
  if (!listener_) return;
  for (const ChangeNotice& notice : notices) listener_(notice);
}

Status ControlPlane::require(const Caller& caller, Scope scope) const {
  if (caller.may(scope)) return {};
  return denied("this token may not do that: it wants the scope " + std::string(to_text(scope)));
}

// --- tokens -------------------------------------------------------------------------------------------------------------------

namespace {

// prunella_<id>_<secret>_<crc>: scanners can find a leaked one by its form. 32 characters of base 32 are 160 bits.
std::string make_token_text(std::string_view id, Random& random) {
  std::string body = "prunella_" + std::string(id) + "_" + random_id_text(random, 32);
  std::uint32_t crc = crc32c(as_bytes(body));
  Bytes bytes = {static_cast<std::uint8_t>(crc >> 24), static_cast<std::uint8_t>(crc >> 16), static_cast<std::uint8_t>(crc >> 8), static_cast<std::uint8_t>(crc)};
  return body + "_" + to_hex(bytes);
}

TokenView view_of_token(const TokenRow& row) {
  TokenView view;
  view.id = row.id;
  view.kind = row.kind;
  view.name = row.name;
  view.scopes = row.scopes;
  view.created = row.created;
  view.expires = row.expires;
  view.used = row.used;
  view.revoked = row.revoked;
  view.last_used = row.last_used;
  return view;
}

// Between two writes of a token's last use: it's for people who look for unused tokens, not for accounting.
constexpr Duration kTokenTouchInterval = std::chrono::minutes(5);
constexpr Duration kEnrolmentTokenMax = std::chrono::hours(1);
constexpr Duration kApiTokenMax = std::chrono::days(90);

}  // namespace

Result<Caller> ControlPlane::caller_of(std::string_view bearer, Instant now) {
  auto wrong = [] { return denied("no such token: it's mistyped, or was never made here"); };
  if (bearer.size() > 256 || !bearer.starts_with("prunella_")) return wrong();
  auto row = store_.token_by_hash(sha256(bearer));
  if (!row) return std::move(row).error();
  if (!*row || (*row)->kind != "api") return wrong();
  const TokenRow& token = **row;
  if (token.revoked) return denied("the token " + quoted(token.name) + " was revoked at " + to_rfc3339(*token.revoked));
  if (token.expires <= now) return denied("the token " + quoted(token.name) + " expired at " + to_rfc3339(token.expires));
  if (!token.last_used || now - *token.last_used > kTokenTouchInterval)
    if (auto touched = store_.touch_token(token.id, now); !touched) return std::move(touched).error();
  return Caller{"token:" + token.name, token.id, token.scopes};
}

Result<TokenView> ControlPlane::first_token(std::string_view name, Instant now) {
  Caller owner{"owner of the data directory", "", {Scope::kAdmin}};
  return add_token(owner, {std::string(name), {Scope::kAdmin}, kApiTokenMax}, now);
}

Result<TokenView> ControlPlane::add_token(const Caller& caller, const TokenRequest& request, Instant now) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return std::move(allowed).error();
  if (auto named = check_name("a token's name", request.name); !named) return std::move(named).error();
  if (request.scopes.empty()) return invalid_input("a token without scopes: name at least one of read, plan, approve, operate, admin");
  if (request.lifetime < Duration(60'000) || request.lifetime > kApiTokenMax)
    return invalid_input("a lifetime of " + to_text(request.lifetime) + ": it must be from 1m to 90d");
  return in_transaction([&]() -> Result<TokenView> {
    TokenRow row;
    row.id = random_id_text(ports_.random, 8);
    std::string secret = make_token_text(row.id, ports_.random);
    row.hash = sha256(secret);
    row.kind = "api";
    row.name = request.name;
    row.scopes = request.scopes;
    row.created = now;
    row.expires = now + request.lifetime;
    if (auto added = store_.add_token(row); !added) return std::move(added).error();
    AuditSubject subject;
    subject.token = row.id;
    if (auto noted = note(caller.actor, "token.made", subject, "API token " + quoted(row.name) + " until " + to_rfc3339(row.expires), now, to_json(row.scopes).is_null() ? Json::Object() : Json(Json::Object{{"scopes", to_json(row.scopes)}})); !noted)
      return std::move(noted).error();
    TokenView view = view_of_token(row);
    view.secret = secret;
    return view;
  });
}

Result<TokenView> ControlPlane::add_enrolment_token(const Caller& caller, const EnrolmentTokenRequest& request, Instant now) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return std::move(allowed).error();
  if (request.name)
    if (auto named = check_name("a host's name", *request.name); !named) return std::move(named).error();
  Duration lifetime = request.lifetime.value_or(kEnrolmentTokenMax);
  if (lifetime < Duration(1000) || lifetime > kEnrolmentTokenMax)
    return invalid_input("a lifetime of " + to_text(lifetime) + ": an enrolment token lives from 1s to 1h");
  auto labels = request.labels.value_or(std::map<std::string, std::string>());
  if (auto checked = check_labels(labels); !checked) return std::move(checked).error();
  return in_transaction([&]() -> Result<TokenView> {
    if (auto trust = store_.meta("trust"); !trust || !*trust)
      return trust ? conflict("no operator keys are registered yet: run prunella operator init first, so that hosts know whom to believe") : std::move(trust).error();
    TokenRow row;
    row.id = random_id_text(ports_.random, 8);
    std::string secret = make_token_text(row.id, ports_.random);
    row.hash = sha256(secret);
    row.kind = "enrolment";
    row.name = request.name.value_or("");
    row.created = now;
    row.expires = now + lifetime;
    row.labels = labels;
    if (auto added = store_.add_token(row); !added) return std::move(added).error();
    AuditSubject subject;
    subject.token = row.id;
    std::string why = "single-use enrolment token until " + to_rfc3339(row.expires) + (row.name.empty() ? "" : " for the host " + quoted(row.name));
    if (auto noted = note(caller.actor, "token.made", subject, why, now); !noted) return std::move(noted).error();
    TokenView view = view_of_token(row);
    view.secret = secret;
    return view;
  });
}

Result<Page<TokenView>> ControlPlane::tokens(const Caller& caller, const PageRequest& page) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return std::move(allowed).error();
  auto rows = store_.tokens(page);
  if (!rows) return std::move(rows).error();
  Page<TokenView> out;
  for (const TokenRow& row : *rows) out.items.push_back(view_of_token(row));
  if (rows->size() == page.limit) out.next = rows->back().id;
  return out;
}

Status ControlPlane::revoke_token(const Caller& caller, std::string_view id, Instant now) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return allowed;
  return in_transaction([&]() -> Status {
    auto revoked = store_.revoke_token(id, now);
    if (!revoked) return std::move(revoked).error();
    if (!*revoked) return not_found("no token " + quoted(id) + " is in force");
    AuditSubject subject;
    subject.token = std::string(id);
    return note(caller.actor, "token.revoked", subject, "revoked by its owner's word", now);
  });
}

Status check_labels(const std::map<std::string, std::string>& labels) {
  constexpr std::size_t kLabelsMax = 64;
  if (labels.size() > kLabelsMax) return exhausted(std::to_string(labels.size()) + " labels, at most " + std::to_string(kLabelsMax));
  for (const auto& [key, value] : labels) {
    if (auto named = check_name("a label's name", key); !named) return named;
    for (std::string_view reserved : {"host", "os", "release", "codename", "posture"})
      if (key == reserved) return invalid_input(quoted(key) + " can't be a label: selectors use it for a fact");
    if (auto named = check_name("a label's value", value); !named) return std::move(named).error().during("label " + key);
  }
  return {};
}

// --- trust and policy ---------------------------------------------------------------------------------------------------------

Result<TrustView> ControlPlane::trust(const Caller& caller) {
  if (auto allowed = require(caller, Scope::kRead); !allowed) return std::move(allowed).error();
  TrustView view;
  view.director = ports_.director.public_key();
  view.ca_sha256 = ports_.issuer.authority_sha256();
  auto text = store_.meta("trust");
  if (!text) return std::move(text).error();
  if (*text) {
    auto read = from_json_text<OperatorTrust>(**text);
    if (!read) return corrupt("the stored operator keys: " + read.error().text());
    view.trust = *std::move(read);
  }
  auto envelope = store_.policy();
  if (!envelope) return std::move(envelope).error();
  view.policy = *std::move(envelope);
  return view;
}

Result<TrustView> ControlPlane::set_trust(const Caller& caller, const OperatorTrust& trust, Instant now) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return std::move(allowed).error();
  if (auto named = check_name("an organisation", trust.organisation); !named) return std::move(named).error();
  if (trust.operators.empty() || trust.threshold < 1 || trust.threshold > trust.operators.size() || trust.operators.size() > kSignaturesMax)
    return invalid_input("a threshold of " + std::to_string(trust.threshold) + " of " + std::to_string(trust.operators.size()) + " operator keys");
  for (std::size_t i = 0; i < trust.operators.size(); ++i) {
    if (trust.operators[i] == ports_.director.public_key()) return invalid_input("the director's key can't be an operator's: it is online");
    for (std::size_t j = 0; j < i; ++j)
      if (trust.operators[i] == trust.operators[j]) return invalid_input("the operator key " + trust.operators[i].key_id() + " stands there twice");
  }
  auto set = in_transaction([&]() -> Status {
    auto have = store_.meta("trust");
    if (!have) return std::move(have).error();
    if (*have) return conflict("the operator keys are registered already; hosts that pinned them would not believe others");
    if (auto saved = store_.set_meta("trust", to_canonical_text(trust)); !saved) return saved;
    return note(caller.actor, "trust.registered", {}, std::to_string(trust.threshold) + " of " + std::to_string(trust.operators.size()) + " operator keys sign policies from now on",
                now, Json(Json::Object{{"operators", to_json(trust.operators)}, {"threshold", Json(trust.threshold)}}));
  });
  if (!set) return std::move(set).error();
  return this->trust(caller);
}

Result<std::optional<ExecutorPolicy>> ControlPlane::policy() {
  auto envelope = store_.policy();
  if (!envelope) return std::move(envelope).error();
  if (!*envelope) return std::optional<ExecutorPolicy>();
  auto payload = from_base64((*envelope)->payload);
  if (!payload) return corrupt("the stored executor policy: " + payload.error().text());
  auto policy = from_json_text<ExecutorPolicy>(as_text(*payload));
  if (!policy) return corrupt("the stored executor policy: " + policy.error().text());
  return std::optional<ExecutorPolicy>(*std::move(policy));
}

Result<TrustView> ControlPlane::set_policy(const Caller& caller, const Envelope& envelope, Instant now) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return std::move(allowed).error();
  auto set = in_transaction([&]() -> Status {
    auto text = store_.meta("trust");
    if (!text) return std::move(text).error();
    if (!*text) return conflict("no operator keys are registered: PUT /v1/trust first");
    auto trust = from_json_text<OperatorTrust>(**text);
    if (!trust) return corrupt("the stored operator keys: " + trust.error().text());
    auto payload = open_envelope(envelope, kExecutorPolicyType, trust->operators, trust->threshold);
    if (!payload) return std::move(payload).error().during("the executor policy");
    auto policy = from_json_text<ExecutorPolicy>(*payload);
    if (!policy) return std::move(policy).error().during("the executor policy");
    if (auto checked = check_executor_policy(*policy); !checked) return std::move(checked).error().during("the executor policy");
    if (policy->organisation != trust->organisation)
      return invalid_input("the policy is for " + quoted(policy->organisation) + ", this is " + quoted(trust->organisation));
    if (policy->expires <= now) return expired("the policy expired at " + to_rfc3339(policy->expires));
    auto current = this->policy();
    if (!current) return std::move(current).error();
    if (*current && policy->serial <= (*current)->serial)
      return conflict("serial " + std::to_string(policy->serial) + " isn't above " + std::to_string((*current)->serial) + ", which is in force: hosts never go back");
    if (std::ranges::find(policy->directors, ports_.director.public_key()) == policy->directors.end())
      return invalid_input("the policy doesn't name this control plane's director key " + ports_.director.public_key().hex() + ": no host would take its orders");
    if (auto added = store_.add_policy(policy->serial, envelope, sha256(*payload), now, policy->expires); !added) return added;
    AuditSubject subject;
    subject.policy = PolicyId("POL-" + std::to_string(policy->serial));
    changed("policy", subject.policy->text());
    return note(caller.actor, "policy.installed", subject, "serial " + std::to_string(policy->serial) + ", signed by the operators, until " + to_rfc3339(policy->expires), now,
                Json(Json::Object{{"digest", Json(sha256(*payload).hex())}}));
  });
  if (!set) return std::move(set).error();
  return trust(caller);
}

// --- enrolment ----------------------------------------------------------------------------------------------------------------

Result<EnrollAnswer> ControlPlane::enroll(const EnrollRequest& request, std::string_view remote, Instant now) {
  auto refuse = [&](const std::string& why) -> Error {
    auto noted = in_transaction([&]() -> Status {
      return note("host:unknown", "enrolment.refused", {}, why, now, Json(Json::Object{{"remote", Json(std::string(remote))}, {"hostname", Json(quoted(request.hostname))}}));
    });
    if (!noted) return std::move(noted).error();
    return denied(why);
  };
  if (auto named = check_name("a host name", request.hostname); !named) return std::move(named).error();
  auto row = store_.token_by_hash(sha256(request.token));
  if (!row) return std::move(row).error();
  if (!*row || (*row)->kind != "enrolment") return refuse("the enrolment token is unknown here: it's mistyped, or of another control plane");
  const TokenRow& token = **row;
  if (token.used) return refuse("the enrolment token " + token.id + " was used at " + to_rfc3339(*token.used) + ": each works once");
  if (token.revoked) return refuse("the enrolment token " + token.id + " was revoked at " + to_rfc3339(*token.revoked));
  if (token.expires <= now) return refuse("the enrolment token " + token.id + " expired at " + to_rfc3339(token.expires));
  if (!token.name.empty() && token.name != request.hostname)
    return refuse("the enrolment token " + token.id + " is for the host " + quoted(token.name) + ", not for " + quoted(request.hostname));
  auto trust_text = store_.meta("trust");
  if (!trust_text) return std::move(trust_text).error();
  if (!*trust_text) return conflict("no operator keys are registered yet");
  auto trust = from_json_text<OperatorTrust>(**trust_text);
  if (!trust) return corrupt("the stored operator keys: " + trust.error().text());

  // 64 bytes are the most that a certificate's common name takes: the name is cut, the four random characters keep it unique.
  HostId id(request.hostname.substr(0, 50) + "-" + random_id_text(ports_.random, 4));
  auto issued = ports_.issuer.issue(request.csr_pem, id, now);
  if (!issued) return std::move(issued).error().during("the certificate request");
  bool was_first = false;
  auto added = in_transaction([&]() -> Status {
    auto used = store_.use_token(token.id, id.text(), now);
    if (!used) return std::move(used).error();
    was_first = *used;
    if (!was_first) return denied("used meanwhile");
    HostRow host;
    host.id = id;
    host.name = request.hostname;
    host.key_fingerprint = issued->fingerprint;
    host.labels = token.labels;
    host.enrolled = now;
    host.notes.agent_version = cut_text(request.agent_version, kAgentVersionBytesMax);
    host.notes.sentence = "enrolled, has not reported yet";
    if (auto saved = store_.add_host(host); !saved) return saved;
    if (auto saved = store_.add_certificate({issued->serial, id, issued->fingerprint, now, issued->not_after, std::nullopt}); !saved) return saved;
    AuditSubject subject;
    subject.host = id;
    subject.token = token.id;
    changed("host", id.text());
    return note("host:" + id.text(), "host.enrolled", subject, "enrolled from " + std::string(remote) + " with the token " + token.id, now,
                Json(Json::Object{{"certificate", Json(issued->fingerprint)}}));
  });
  if (!added && !was_first && added.error().kind() == ErrorKind::kDenied) return refuse("the enrolment token " + token.id + " was used a moment ago: each works once");
  if (!added) return std::move(added).error();
  EnrollAnswer answer;
  answer.host = id;
  answer.certificate_pem = issued->pem;
  answer.ca_pem = ports_.issuer.authority_pem();
  answer.organisation = trust->organisation;
  answer.operators = trust->operators;
  answer.threshold = trust->threshold;
  return answer;
}

Result<RenewAnswer> ControlPlane::renew(const HostId& host, const RenewRequest& request, Instant now) {
  auto issued = ports_.issuer.issue(request.csr_pem, host, now);
  if (!issued) return std::move(issued).error().during("the certificate request");
  auto saved = in_transaction([&]() -> Status {
    auto row = store_.host(host);
    if (!row) return std::move(row).error();
    row->key_fingerprint = issued->fingerprint;
    if (auto kept = store_.save_host(*row); !kept) return kept;
    if (auto kept = store_.add_certificate({issued->serial, host, issued->fingerprint, now, issued->not_after, std::nullopt}); !kept) return kept;
    AuditSubject subject;
    subject.host = host;
    return note("host:" + host.text(), "certificate.renewed", subject, "valid until " + to_rfc3339(issued->not_after), now, Json(Json::Object{{"certificate", Json(issued->fingerprint)}}));
  });
  if (!saved) return std::move(saved).error();
  return RenewAnswer{issued->pem};
}

Result<HostId> ControlPlane::authenticate(std::string_view fingerprint, std::string_view common_name, Instant now) {
  auto found = store_.certificate(fingerprint);
  if (!found) return std::move(found).error();
  std::string why;
  HostId id;
  if (!*found) {
    why = "a certificate for " + quoted(common_name) + " that this control plane never issued";
  } else {
    id = (*found)->host;
    if ((*found)->revoked) why = "the certificate of " + id.text() + " was revoked at " + to_rfc3339(*(*found)->revoked);
    else if ((*found)->not_after <= now) why = "the certificate of " + id.text() + " expired at " + to_rfc3339((*found)->not_after);
  }
  if (why.empty()) {
    auto row = store_.host(id);
    if (!row) return std::move(row).error();
    if (row->state == HostState::kActive) return id;
    why = "the host " + id.text() + " is revoked";
  }
  refused_connection(common_name, why, now);
  return denied(why);
}

void ControlPlane::refused_connection(std::string_view remote, std::string_view reason, Instant now) {
  // One entry a reason and minute: a broken host that tries every second must not fill the log. The count tells the rest.
  constexpr std::size_t kReasonsMax = 1000;
  std::string key = std::string(remote.substr(0, 64)) + "|" + std::string(reason.substr(0, 200));
  auto [entry, fresh] = refusals_.try_emplace(key, RefusalCount{});
  ++entry->second.count;
  if (!fresh && now - entry->second.noted < std::chrono::minutes(1)) return;
  std::uint64_t count = std::exchange(entry->second.count, 0);
  entry->second.noted = now;
  if (refusals_.size() > kReasonsMax) refusals_.clear();
  auto noted = in_transaction([&]() -> Status {
    return note("control-plane", "connection.refused", {}, std::string(reason), now,
                Json(Json::Object{{"remote", Json(quoted(remote))}, {"times", Json(count)}}));
  });
  // The refusal itself stands whether or not it could be written down; the store's trouble shows in /readyz.
  if (!noted) ++unrecorded_;
}

Result<HostView> ControlPlane::revoke(const Caller& caller, const HostId& id, Instant now) {
  if (auto allowed = require(caller, Scope::kAdmin); !allowed) return std::move(allowed).error();
  auto done = in_transaction([&]() -> Status {
    auto row = store_.host(id);
    if (!row) return std::move(row).error();
    row->state = HostState::kRevoked;
    if (auto saved = store_.save_host(*row); !saved) return saved;
    if (auto saved = store_.revoke_certificates(id, now); !saved) return saved;
    AuditSubject subject;
    subject.host = id;
    changed("host", id.text());
    return note(caller.actor, "host.revoked", subject, "its certificates are refused from now on, and it gets no orders", now);
  });
  if (!done) return std::move(done).error();
  return view_of(id, now);
}

Result<HostView> ControlPlane::label(const Caller& caller, const HostId& id, const std::map<std::string, std::string>& labels, Instant now) {
  if (auto allowed = require(caller, Scope::kOperate); !allowed) return std::move(allowed).error();
  if (auto checked = check_labels(labels); !checked) return std::move(checked).error();
  auto done = in_transaction([&]() -> Status {
    auto row = store_.host(id);
    if (!row) return std::move(row).error();
    row->labels = labels;
    if (auto saved = store_.save_host(*row); !saved) return saved;
    if (auto saved = store_.save_labels(id, labels); !saved) return saved;
    AuditSubject subject;
    subject.host = id;
    changed("host", id.text());
    return note(caller.actor, "host.labelled", subject, "labels replaced", now, Json(Json::Object{{"labels", to_json(labels)}}));
  });
  if (!done) return std::move(done).error();
  return view_of(id, now);
}

Status ControlPlane::refresh(const Caller& caller, const HostId& id, Instant now) {
  if (auto allowed = require(caller, Scope::kOperate); !allowed) return allowed;
  auto row = store_.host(id);
  if (!row) return std::move(row).error();
  refresh_[id] = {"updates"};
  changed("directions", id.text());
  AuditSubject subject;
  subject.host = id;
  return in_transaction([&]() -> Status { return note(caller.actor, "host.refresh-asked", subject, "look at the archives again now", now); });
}

}  // namespace prunella
