// The audit log as it is exported, checked and written, by the first byte: an export of somebody's making; a sound export with one
// edit, which must be found; a checkpoint; a record that is to be written.
#include <algorithm>

#include "properties.h"
#include "record/audit.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;

const Instant kNow = *parse_rfc3339("2026-11-24T03:00:00Z");

const PrivateKey& recorder() {
  static const PrivateKey key(sha256("the recorder").bytes);
  return key;
}

/// Five entries, the fourth a checkpoint.
const std::string& sound_export() {
  static const std::string made = [] {
    std::string out;
    std::int64_t sequence = 0;
    Digest hash;
    auto add = [&](const AuditRecord& record) {
      auto entry = make_audit_entry(sequence, hash, record, kNow + std::chrono::seconds(sequence));
      check(entry.has_value(), "an entry");
      sequence = entry->sequence;
      hash = entry->hash;
      out += audit_line(*entry) + "\n";
    };
    for (const char* kind : {"host.enrolled", "finding.opened", "plan.approved"}) {
      AuditRecord record{"person:ada", kind, {}, "because of the test \"ä\"", Json(Json::Object{{"number", Json(42)}})};
      record.subject.host = HostId("web-1");
      add(record);
    }
    AuditCheckpoint checkpoint = make_audit_checkpoint(sequence, hash, recorder(), kNow);
    add({"control-plane", std::string(kAuditCheckpointKind), {}, "signed", to_json(checkpoint)});
    add({"control-plane", "run.verified", {}, "it holds", Json(Json::Object{})});
    return out;
  }();
  return made;
}

void try_export(std::string_view text) {
  AuditExpectation expectation{.keys = {recorder().public_key()}};
  AuditVerdict verdict = verify_audit_export(text, expectation);
  auto lines = std::ranges::count(text, '\n');
  check(verdict.entries <= lines + 1, "no more entries than lines");
  if (verdict.broken) {
    check(!verdict.broken->text.empty() && verdict.broken->text.size() <= kErrorBytesMax, "a break is a sentence");
    check(verdict.broken->line <= lines + 2, "and has its line");
    return;
  }
  // A sound log is what we'd have written: each line again from its entry, and the chain from its records.
  std::string again;
  std::int64_t sequence = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.find('\n', at);
    check(end != std::string_view::npos, "a sound log's last line ends");
    auto entry = from_json_text<AuditEntry>(text.substr(at, end - at), {.bytes_max = kAuditLineBytesMax});
    check(entry && entry->sequence == ++sequence && audit_hash(*entry) == entry->hash, "each entry has its number and hash");
    again += audit_line(*entry) + "\n";
    at = end + 1;
  }
  check(again == text, "each line is canonical");
}

/// Bytes 0 and 1: where; then what to put there, instead of as many bytes. Nothing: one byte is taken out.
void try_edit(std::string_view edit) {
  if (edit.size() < 2) return;
  std::string text = sound_export();
  std::size_t at = (static_cast<unsigned char>(edit[0]) * 256u + static_cast<unsigned char>(edit[1])) % text.size();
  std::string_view put = edit.substr(2);
  text.replace(at, std::min(std::max<std::size_t>(1, put.size()), text.size() - at), put);
  AuditVerdict verdict = verify_audit_export(text, {.keys = {recorder().public_key()}});
  bool is_prefix = sound_export().starts_with(text) && (text.empty() || text.ends_with('\n'));
  check(verdict.sound() == (text == sound_export() || is_prefix), "an edit is found");
}

void try_record(std::string_view text) {
  auto json = parse_json(text);
  if (!json) return;
  auto word = [&](std::string_view key) {
    const Json* found = json->find(key);
    return found && found->as_string() ? *found->as_string() : std::string();
  };
  AuditRecord record;
  record.actor = word("actor");
  record.kind = word("kind");
  record.why = word("why");
  if (const Json* details = json->find("details")) record.details = *details;
  auto entry = make_audit_entry(0, {}, record, kNow);
  if (!entry) return check_error(entry.error());
  std::string line = audit_line(*entry);
  check(line.size() < kAuditLineBytesMax && line.find('\n') == std::string::npos, "an entry is one line");
  AuditVerdict verdict = verify_audit_export(line + "\n");
  check(verdict.sound() && verdict.entries == 1, "what we write is sound");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text = text_of(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0: try_export(text); break;
    case 1: try_edit(text); break;
    case 2:
      if (auto checkpoint = read_back<AuditCheckpoint>(text)) {
        static const AuditCheckpoint signed_one = make_audit_checkpoint(3, sha256("three"), recorder(), kNow);
        check(verify_checkpoint(*checkpoint, recorder().public_key()) == (*checkpoint == signed_one), "only what was signed is signed");
        check(verify_checkpoint(signed_one, recorder().public_key()), "what was signed verifies");
      }
      break;
    case 3: try_record(text); break;
  }
  return 0;
}
