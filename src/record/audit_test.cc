#include "record/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../tests/support/counting_random.h"

namespace prunella {
namespace {

PrivateKey key_of(unsigned char seed) {
  testing::CountingRandom random(seed);
  return PrivateKey::generate(random);
}

Instant at_ms(std::int64_t ms) { return Instant(Duration(1'795'489'368'123 + ms)); }

AuditRecord record_of(std::int64_t i) {
  return {
      .actor = "person:mara",
      .kind = "plan.approved",
      .subject = {.host = HostId("web-" + std::to_string(i)), .plan = PlanId("PLN-1")},
      .why = "because of \"\xc3\xa9\xf0\x9f\x8c\xbf\"\n\x01\x7f",
      .details = Json(Json::Object{{"number", Json(i)}, {"list", Json(Json::Array{Json(true), Json(nullptr), Json("x/\\")})}})};
}

std::vector<AuditEntry> chain(std::int64_t length) {
  std::vector<AuditEntry> entries;
  Digest last;
  for (std::int64_t i = 1; i <= length; ++i) {
    auto entry = make_audit_entry(i - 1, last, record_of(i), at_ms(i));
    EXPECT_TRUE(entry) << entry.error().text();
    last = entry->hash;
    entries.push_back(*entry);
  }
  return entries;
}

std::vector<std::string> lines_of(const std::vector<AuditEntry>& entries) {
  std::vector<std::string> lines;
  for (const AuditEntry& entry : entries) lines.push_back(audit_line(entry) + "\n");
  return lines;
}

AuditVerdict verify_lines(const std::vector<std::string>& lines, AuditExpectation expectation = {}) {
  std::string text;
  for (const std::string& line : lines) text += line;
  return verify_audit_export(text, std::move(expectation));
}

// The line and its hash were written down with Python's json and hashlib.
TEST(AuditEntry, HasTheCanonicalFormThatAnotherProgramBuilds) {
  AuditEntry entry = chain(1)[0];
  const std::string without_hash =
      "{\"actor\":\"person:mara\",\"at\":\"2026-11-24T03:02:48.124Z\",\"details\":{\"list\":[true,null,\"x/\\\\\"],\"number\":1},"
      "\"kind\":\"plan.approved\",\"previous_hash\":\"0000000000000000000000000000000000000000000000000000000000000000\","
      "\"sequence\":1,\"subject\":{\"host\":\"web-1\",\"plan\":\"PLN-1\"},"
      "\"why\":\"because of \\\"\xc3\xa9\xf0\x9f\x8c\xbf\\\"\\n\\u0001\x7f\"}";
  EXPECT_EQ(entry.hash, sha256(without_hash));
  EXPECT_EQ(entry.hash.hex(), "56299a37f5c13024ce2b1e08134351b8673dd818e91f768871d15d5f56254025");
  EXPECT_EQ(*from_json_text<AuditEntry>(audit_line(entry)), entry);
}

TEST(AuditEntry, RefusesWhatDoesNotBelongIntoTheLog) {
  auto refused = [](auto change) {
    AuditRecord record = record_of(1);
    change(record);
    auto entry = make_audit_entry(0, {}, record, at_ms(0));
    EXPECT_FALSE(entry);
    return entry ? std::string() : entry.error().text();
  };
  using ::testing::HasSubstr;

  EXPECT_THAT(refused([](auto& r) { r.actor = ""; }), HasSubstr("the actor is empty"));
  EXPECT_THAT(refused([](auto& r) { r.kind = "two words"; }), HasSubstr("two words"));
  EXPECT_THAT(refused([](auto& r) { r.why = ""; }), HasSubstr("why is empty"));
  EXPECT_THAT(refused([](auto& r) { r.why = std::string(kAuditWhyBytesMax + 1, 'x'); }), HasSubstr("4097 bytes"));
  EXPECT_THAT(refused([](auto& r) { r.why = "\xff"; }), HasSubstr("no valid UTF-8"));
  EXPECT_THAT(refused([](auto& r) { r.details = Json("text"); }), HasSubstr("not an object"));
  EXPECT_THAT(refused([](auto& r) { r.details["load"] = Json(1.5); }), HasSubstr("load is a fraction"));
  EXPECT_THAT(refused([](auto& r) { r.details["big"] = Json((std::int64_t{1} << 53) + 1); }), HasSubstr("beyond 2^53"));
  EXPECT_THAT(refused([](auto& r) { r.details["text"] = Json(std::string(kAuditDetailsBytesMax, 'x')); }),
              HasSubstr("the limit is"));
  EXPECT_THAT(refused([](auto& r) { r.details["a"]["password"] = Json("hunter2"); }), HasSubstr("secrets never go"));
  std::string pem = refused([](auto& r) { r.details["file"] = Json("-----BEGIN PRIVATE KEY-----\nMC4CAQ"); });
  EXPECT_THAT(pem, HasSubstr("a private key"));
  EXPECT_THAT(pem, ::testing::Not(HasSubstr("MC4CAQ"))) << "and the refusal doesn't repeat it";
  Json deep;
  for (int i = 0; i < 40; ++i) deep = Json(Json::Object{{"a", deep}});
  EXPECT_THAT(refused([&](auto& r) { r.details = deep; }), HasSubstr("nest deeper"));
}

TEST(AuditVerifier, FindsASoundChainSound) {
  auto verdict = verify_lines(lines_of(chain(50)));
  EXPECT_TRUE(verdict.sound());
  EXPECT_EQ(verdict.entries, 50);
  EXPECT_EQ(verdict.last_sequence, 50);
  EXPECT_TRUE(verify_audit_export("").sound()) << "an empty log is sound until a checkpoint says otherwise";
}

TEST(AuditVerifier, FindsEveryFlippedByte) {
  auto entries = chain(180);
  auto lines = lines_of(entries);
  std::size_t flipped = 0;
  for (std::size_t i = 0; i < lines.size() && flipped < 64 << 10; ++i) {
    // The lines before are as they were, so verification starts behind them; the line after may be what shows the damage.
    AuditExpectation here{.start_sequence = static_cast<std::int64_t>(i), .start_hash = entries[i].previous_hash};
    std::string window = lines[i] + (i + 1 < lines.size() ? lines[i + 1] : "");
    ASSERT_TRUE(verify_audit_export(window, here).sound());
    for (std::size_t byte = 0; byte < lines[i].size(); ++byte, ++flipped) {
      std::string damaged = window;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << (flipped % 8)));
      auto verdict = verify_audit_export(damaged, here);
      ASSERT_FALSE(verdict.sound()) << "line " << i + 1 << " byte " << byte;
      ASSERT_EQ(verdict.broken->sequence, static_cast<std::int64_t>(i) + 1) << verdict.broken->text;
    }
  }
  EXPECT_GE(flipped, 64u << 10);
}

TEST(AuditVerifier, NamesTheFirstEntryThatIsWrongAndWhy) {
  const auto sound = lines_of(chain(20));
  auto broken = [](std::vector<std::string> lines) {
    auto verdict = verify_lines(lines);
    EXPECT_FALSE(verdict.sound());
    return verdict.broken.value_or(AuditBreak{});
  };
  auto expect = [](const AuditBreak& got, AuditFault fault, std::int64_t sequence, std::int64_t line) {
    EXPECT_EQ(to_text(got.fault), to_text(fault)) << got.text;
    EXPECT_EQ(got.sequence, sequence) << got.text;
    EXPECT_EQ(got.line, line) << got.text;
  };

  for (std::size_t i = 0; i + 1 < sound.size(); ++i) {
    auto n = static_cast<std::int64_t>(i);
    auto lines = sound;
    lines.erase(lines.begin() + n);
    expect(broken(lines), AuditFault::kRemoved, n + 1, n + 1);

    lines = sound;
    lines.insert(lines.begin() + n, sound[i]);
    expect(broken(lines), AuditFault::kInserted, n + 1, n + 2);

    lines = sound;
    std::swap(lines[i], lines[i + 1]);
    expect(broken(lines), AuditFault::kReordered, n + 1, n + 1);

    lines = sound;
    lines.insert(lines.begin() + n, "\n");
    expect(broken(lines), AuditFault::kChanged, n + 1, n + 1);
  }
}

TEST(AuditVerifier, FindsAnEntryThatWasWrittenAnewWithARightHash) {
  auto entries = chain(10);
  AuditEntry& forged = entries[4];
  forged.why = "because I say so";
  forged.hash = audit_hash(forged);

  auto verdict = verify_lines(lines_of(entries));

  ASSERT_FALSE(verdict.sound());
  EXPECT_EQ(verdict.broken->fault, AuditFault::kUnlinked);
  EXPECT_EQ(verdict.broken->sequence, 6) << "5 is sound in itself; 6 doesn't continue it";
}

TEST(AuditVerifier, RefusesLinesThatOnlyMeanTheSame) {
  std::string line = lines_of(chain(1))[0];
  auto with = [&](std::string_view from, std::string_view to) {
    std::string changed = line;
    changed.replace(changed.find(from), from.size(), to);
    return verify_audit_export(changed).sound();
  };
  EXPECT_TRUE(verify_audit_export(line).sound());
  EXPECT_FALSE(with("\"sequence\":1", "\"sequence\": 1"));
  EXPECT_FALSE(with("\"sequence\":1", "\"sequence\":1.0"));
  EXPECT_FALSE(with("48.124Z", "48.1240Z"));
  EXPECT_FALSE(with("\\u0001", "\\U0001"));
  EXPECT_FALSE(with("x/\\\\", "x\\/\\\\"));
  EXPECT_FALSE(with("{\"actor\"", "{\"actor\":\"x\",\"actor\""));
  EXPECT_FALSE(with("{\"actor\"", "{\"a\":1,\"actor\""));
}

TEST(AuditVerifier, SeesWithACheckpointWhatTheChainAloneCannotShow) {
  PrivateKey key = key_of(1);
  auto entries = chain(20);
  AuditExpectation expectation{.keys = {key.public_key()},
                               .checkpoints = {make_audit_checkpoint(15, entries[14].hash, key, at_ms(100))}};
  auto lines = lines_of(entries);
  ASSERT_TRUE(verify_lines(lines, expectation).sound());

  auto cut = lines;
  cut.resize(14);
  EXPECT_TRUE(verify_lines(cut).sound()) << "without it";
  auto verdict = verify_lines(cut, expectation);
  ASSERT_FALSE(verdict.sound());
  EXPECT_EQ(verdict.broken->fault, AuditFault::kTruncated);
  EXPECT_EQ(verdict.broken->sequence, 15);

  std::vector<std::string> anew;
  Digest last;
  for (std::int64_t i = 1; i <= 20; ++i) {
    auto record = record_of(i);
    if (i == 10) record.why = "history, written anew";
    auto entry = make_audit_entry(i - 1, last, record, at_ms(i));
    last = entry->hash;
    anew.push_back(audit_line(*entry) + "\n");
  }
  EXPECT_TRUE(verify_lines(anew).sound()) << "without it";
  verdict = verify_lines(anew, expectation);
  ASSERT_FALSE(verdict.sound());
  EXPECT_EQ(verdict.broken->fault, AuditFault::kRewritten);
  EXPECT_EQ(verdict.broken->sequence, 15);
}

TEST(AuditVerifier, BelievesOnlyCheckpointsOfTrustedKeys) {
  PrivateKey ours = key_of(1), other = key_of(2);
  auto entries = chain(5);
  AuditCheckpoint good = make_audit_checkpoint(5, entries[4].hash, ours, at_ms(9));
  auto fault_of = [&](AuditCheckpoint checkpoint) {
    auto verdict = verify_lines(lines_of(entries), {.keys = {ours.public_key()}, .checkpoints = {std::move(checkpoint)}});
    return verdict.broken ? std::string(to_text(verdict.broken->fault)) : "sound";
  };

  EXPECT_EQ(fault_of(good), "sound");
  EXPECT_EQ(fault_of(make_audit_checkpoint(5, entries[4].hash, other, at_ms(9))), "bad signature");
  for (auto change : {+[](AuditCheckpoint& c) { c.sequence = 4; }, +[](AuditCheckpoint& c) { c.at += Duration(1); },
                      +[](AuditCheckpoint& c) { c.hash.bytes[0] ^= 1; }, +[](AuditCheckpoint& c) { c.signature.bytes[0] ^= 1; },
                      +[](AuditCheckpoint& c) { c.key_id = "0000000000000000"; }}) {
    AuditCheckpoint changed = good;
    change(changed);
    EXPECT_EQ(fault_of(changed), "bad signature");
  }
}

TEST(AuditVerifier, ChecksTheCheckpointsInsideTheLog) {
  PrivateKey ours = key_of(1), other = key_of(2);
  auto with = [&](const AuditCheckpoint& checkpoint) {
    auto entries = chain(5);
    AuditRecord record{
        .actor = "control-plane", .kind = std::string(kAuditCheckpointKind), .why = "signed", .details = to_json(checkpoint)};
    entries.push_back(*make_audit_entry(5, entries[4].hash, record, at_ms(9)));
    return lines_of(entries);
  };
  Digest last = chain(5)[4].hash;
  AuditExpectation trusted{.keys = {ours.public_key()}};

  auto sound = with(make_audit_checkpoint(5, last, ours, at_ms(9)));
  EXPECT_EQ(verify_lines(sound, trusted).checkpoints, 1);
  EXPECT_EQ(verify_lines(sound).checkpoints_unchecked, 1);
  EXPECT_EQ(verify_lines(with(make_audit_checkpoint(5, last, other, at_ms(9))), trusted).broken->fault,
            AuditFault::kBadSignature);
  EXPECT_EQ(verify_lines(with(make_audit_checkpoint(4, last, ours, at_ms(9)))).broken->fault, AuditFault::kRewritten);
}

TEST(AuditVerifier, GoesOnFromABookmark) {
  auto lines = lines_of(chain(10));
  AuditVerifier first;
  for (std::size_t i = 0; i < 6; ++i) first.add_line(std::string_view(lines[i]).substr(0, lines[i].size() - 1));
  AuditVerifier second = first;
  for (std::size_t i = 6; i < 10; ++i) second.add_line(std::string_view(lines[i]).substr(0, lines[i].size() - 1));
  EXPECT_EQ(first.finish().entries, 6);
  EXPECT_EQ(second.finish().entries, 10);
  EXPECT_TRUE(second.finish().sound());
}

}  // namespace
}  // namespace prunella
