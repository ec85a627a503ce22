// audit: the record, and its proof on this machine.
#include <algorithm>

#include "apps/cli/handlers.h"
#include "apps/cli/table.h"
#include "base/text.h"
#include "record/audit.h"

namespace prunella::cli {

namespace {

constexpr std::size_t kTailDefault = 20;
constexpr std::size_t kTailMax = 10'000;

/// A checkpoint with the key that signed it, as the API gives it and as it's kept in files.
struct SignedCheckpoint {
  AuditCheckpoint checkpoint;
  PublicKey key;
};
template <class F>
void fields(F& f, SignedCheckpoint& c) {
  f("checkpoint", c.checkpoint);
  f("key", c.key);
}

/// Lines of the export after `after`, a page at a time, until there are no more or `take` says false.
Status each_line(Session& session, std::int64_t after, const std::function<bool(std::string_view)>& take) {
  auto client = session.api();
  if (!client) return std::move(client).error();
  for (;;) {
    HttpRequest request;
    request.target = target("/v1/audit", {{"after", std::to_string(after)}, {"limit", std::to_string(kAuditPageMax)}});
    auto response = (*client)->send(request);
    if (!response) return std::move(response).error();
    if (response->body.empty()) return {};
    std::string_view rest = response->body;
    std::int64_t lines = 0;
    while (!rest.empty()) {
      std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) return corrupt("the export ends within a line");
      ++lines;
      if (!take(rest.substr(0, end))) return {};
      rest.remove_prefix(end + 1);
    }
    // Sequences have no gaps: what was read says where the next page begins, whatever the lines claim. A gap is the verifier's find.
    after += lines;
  }
}

Result<std::int64_t> last_sequence(Session& session) {
  auto client = session.api();
  if (!client) return std::move(client).error();
  auto exists = [&](std::int64_t sequence) -> Result<bool> {
    HttpRequest request;
    request.target = target("/v1/audit", {{"after", std::to_string(sequence - 1)}, {"limit", "1"}});
    auto response = (*client)->send(request);
    if (!response) return std::move(response).error();
    return !response->body.empty();
  };
  // Doubling, then halving: the log has no route that tells its length.
  std::int64_t low = 0, high = 1024;
  for (;; low = high, high *= 2) {
    auto there = exists(high);
    if (!there) return std::move(there).error();
    if (!*there) break;
    if (high > (std::int64_t{1} << 50)) return corrupt("the audit log has no end");
  }
  while (high - low > 1) {
    std::int64_t middle = low + (high - low) / 2;
    auto there = exists(middle);
    if (!there) return std::move(there).error();
    (*there ? low : high) = middle;
  }
  return low;
}

std::string entry_text(const Session& session, const AuditEntry& entry) {
  std::string subject;
  if (const Json json = to_json(entry.subject); json.as_object())
    for (const auto& [key, value] : *json.as_object())
      if (const std::string* text = value.as_string()) subject += " " + shown(*text);
  return std::to_string(entry.sequence) + "  " + to_rfc3339(entry.at).substr(0, 19) + "Z  " + session.bold(shown(entry.kind)) + subject + "  by " + shown(entry.actor) + "\n      " + shown(entry.why) + "\n";
}

std::string verdict_text(const AuditVerdict& verdict) {
  if (verdict.broken)
    return "BROKEN at entry " + std::to_string(verdict.broken->sequence) + " (line " + std::to_string(verdict.broken->line) + "): " + std::string(to_text(verdict.broken->fault)) + ": " +
           shown(verdict.broken->text) + "\n" + std::to_string(verdict.entries) + " entries before it are sound; what follows can't be trusted";
  std::string out = "sound: " + count_text(static_cast<std::uint64_t>(verdict.entries), "entry", "entries") + " in one chain, the last is " + std::to_string(verdict.last_sequence) + " with the hash " +
                    verdict.last_hash.brief() + "; " + count_text(static_cast<std::uint64_t>(verdict.checkpoints), "signature", "signatures") + " checked";
  if (verdict.checkpoints_unchecked) out += "; " + std::to_string(verdict.checkpoints_unchecked) + " not checked for want of the key (--key)";
  return out;
}

Json verdict_json(const AuditVerdict& verdict) {
  Json out{Json::Object{}};
  out["sound"] = Json(verdict.sound());
  out["entries"] = Json(verdict.entries);
  out["last_sequence"] = Json(verdict.last_sequence);
  out["last_hash"] = Json(verdict.last_hash.hex());
  out["checkpoints_checked"] = Json(verdict.checkpoints);
  out["checkpoints_unchecked"] = Json(verdict.checkpoints_unchecked);
  if (verdict.broken) {
    Json broken{Json::Object{}};
    broken["fault"] = Json(to_text(verdict.broken->fault));
    broken["sequence"] = Json(verdict.broken->sequence);
    broken["line"] = Json(verdict.broken->line);
    broken["text"] = Json(verdict.broken->text);
    out["broken"] = std::move(broken);
  }
  return out;
}

ExitCode show_verdict(Session& session, const AuditVerdict& verdict) {
  if (!session.print_json(verdict_json(verdict))) session.print(verdict_text(verdict) + "\n");
  return verdict.sound() ? ExitCode::kOk : ExitCode::kFailed;
}

Result<SignedCheckpoint> read_checkpoint(const std::string& path) {
  auto text = read_file(path, 1 << 20);
  if (!text) return std::move(text).error();
  auto checkpoint = from_json_text<SignedCheckpoint>(*text, {}, UnknownKeys::kIgnore);
  if (!checkpoint) return std::move(checkpoint).error().during("reading the checkpoint in " + path);
  return checkpoint;
}

}  // namespace

ExitCode run_audit_tail(Session& session, const Invocation& invocation) {
  std::size_t count = kTailDefault;
  if (auto text = invocation.option("lines")) {
    auto number = parse_uint(*text);
    if (!number || *number < 1 || *number > kTailMax) return session.fail(invalid_input("--lines " + quoted(*text) + ": it must be from 1 to " + std::to_string(kTailMax)));
    count = static_cast<std::size_t>(*number);
  }
  auto last = last_sequence(session);
  if (!last) return session.fail(last.error());
  std::int64_t after = std::max<std::int64_t>(*last - static_cast<std::int64_t>(count), 0);
  std::optional<Error> wrong;
  auto read = each_line(session, after, [&](std::string_view line) {
    auto entry = from_json_text<AuditEntry>(line, {}, UnknownKeys::kIgnore);
    if (!entry) {
      wrong = std::move(entry).error().during("an entry of the audit log");
      return false;
    }
    if (session.form() == Form::kJson || session.form() == Form::kJsonl) session.print(std::string(line) + "\n");
    else if (session.form() == Form::kPlain || session.form() == Form::kNames)
      session.print(std::to_string(entry->sequence) + "\t" + to_rfc3339(entry->at) + "\t" + shown(entry->kind) + "\t" + shown(entry->actor) + "\t" + shown(entry->why) + "\n");
    else session.print(entry_text(session, *entry));
    return true;
  });
  if (!read) return session.fail(read.error());
  if (wrong) return session.fail(*wrong);
  session.next("prunella audit verify");
  return *last == 0 ? ExitCode::kNothing : ExitCode::kOk;
}

ExitCode run_audit_export(Session& session, const Invocation& invocation) {
  std::int64_t after = 0;
  if (auto text = invocation.option("after")) {
    auto number = parse_int(*text);
    if (!number || *number < 0) return session.fail(invalid_input("--after " + quoted(*text) + ": it must be a sequence, 0 or more"));
    after = *number;
  }
  auto read = each_line(session, after, [&](std::string_view line) {
    session.environment().out << line << "\n";
    return static_cast<bool>(session.environment().out);
  });
  session.environment().out << std::flush;
  if (!read) return session.fail(read.error());
  if (!session.environment().out) return session.fail(ExitCode::kFailed, "standard output can't be written: the export isn't complete");
  return ExitCode::kOk;
}

ExitCode run_audit_verify(Session& session, const Invocation& invocation) {
  AuditExpectation expectation;
  if (auto hex = invocation.option("key")) {
    auto key = parse_public_key(*hex);
    if (!key) return session.fail(std::move(key).error().during("--key"));
    expectation.keys.push_back(*key);
  }
  for (const std::string& path : invocation.all("checkpoint")) {
    auto kept = read_checkpoint(path);
    if (!kept) return session.fail(kept.error());
    // Without --key the file's own word has to do: it was kept where the control plane can't reach.
    if (!invocation.has("key")) expectation.keys.push_back(kept->key);
    expectation.checkpoints.push_back(kept->checkpoint);
  }
  if (auto path = invocation.option("file")) {
    auto text = read_file(*path, std::size_t{4} << 30);
    if (!text) return session.fail(text.error());
    return show_verdict(session, verify_audit_export(*text, std::move(expectation)));
  }

  auto context = session.context();
  if (!context) return session.fail(context.error());
  auto memory = session.config().audit_memory();
  if (!memory) return session.fail(memory.error());
  auto fresh = session.get<SignedCheckpoint>("/v1/audit/checkpoint");
  if (!fresh) return session.fail(fresh.error());
  if (!verify_checkpoint(fresh->checkpoint, fresh->key)) return session.fail(ExitCode::kFailed, "the control plane's newest checkpoint has a signature that doesn't hold");
  AuditMemory& known = (*memory)[context->server];
  if (!known.checkpoints.empty() && known.key != fresh->key)
    return session.fail(ExitCode::kFailed, "the key that signs checkpoints is " + fresh->key.key_id() + ", and was " + known.key.key_id() +
                                               " before: the control plane was made anew, or it is another one. If that is right, remove its part of " +
                                               session.config().file("audit.json"));
  if (!invocation.has("key")) expectation.keys.push_back(fresh->key);
  expectation.checkpoints.insert(expectation.checkpoints.end(), known.checkpoints.begin(), known.checkpoints.end());
  expectation.checkpoints.push_back(fresh->checkpoint);

  AuditVerifier verifier(std::move(expectation));
  std::int64_t lines = 0;
  auto read = each_line(session, 0, [&](std::string_view line) {
    verifier.add_line(line);
    if (++lines % 50'000 == 0 && session.is_text()) session.say(std::to_string(lines) + " entries so far");
    return true;
  });
  if (!read) return session.fail(read.error());
  AuditVerdict verdict = verifier.finish();
  ExitCode code = show_verdict(session, verdict);
  if (!verdict.sound()) {
    session.next("prunella audit export > audit.jsonl, and keep it: it is evidence");
    return code;
  }
  known.key = fresh->key;
  known.checkpoints.push_back(fresh->checkpoint);
  if (known.checkpoints.size() > kCheckpointsKept) known.checkpoints.erase(known.checkpoints.begin());
  session.say("checkpoints are signed by the key " + fresh->key.hex() + "; this one is kept in " + session.config().file("audit.json"));
  if (auto saved = session.config().save(*memory); !saved) return session.fail(std::move(saved).error().during("keeping the checkpoint"));
  session.next("prunella audit tail");
  return code;
}

}  // namespace prunella::cli
