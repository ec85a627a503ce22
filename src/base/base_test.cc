#include <gtest/gtest.h>

#include "base/codec.h"
#include "base/ed25519.h"
#include "base/encoding.h"
#include "../tests/support/counting_random.h"

namespace prunella {
namespace {

struct Point {
  int x = 0;
  std::optional<std::string> label;
  bool operator==(const Point&) const = default;
};
template <class F>
void fields(F& f, Point& p) {
  f("x", p.x);
  f("label", p.label);
}

/// Points in everything that can hold a value.
struct Drawing {
  Point origin;
  std::vector<Point> corners;
  std::map<std::string, Point> named;
  std::optional<Point> cursor;
  bool operator==(const Drawing&) const = default;
};
template <class F>
void fields(F& f, Drawing& d) {
  f("origin", d.origin);
  f("corners", d.corners);
  f("named", d.named);
  f("cursor", d.cursor);
}

TEST(Json, CanonicalTextIsAFixedPoint) {
  for (std::string text : {R"({"a":[1,-2,true,null,"x\n\u0001"],"b":{"c":1.5}})", "[]", "{}", "0", "1e+30", "\"\xc3\xa9\""}) {
    auto value = parse_json(text);
    ASSERT_TRUE(value) << value.error().text();
    EXPECT_EQ(to_canonical(*value), text);
    EXPECT_EQ(*parse_json(to_pretty(*value)), *value);
  }
}

TEST(Json, RefusesWhatHasTwoMeanings) {
  for (std::string text : {R"({"a":1,"a":2})", "9007199254740993", "01", "[1,]", "nul", "\"\\ud800\"", "\"\xff\"", "1 2", "", "1e999", "\"\t\"", "+1", "1.", "{a:1}"})
    EXPECT_FALSE(parse_json(text)) << text;
  EXPECT_EQ(parse_json(std::string(40, '[')).error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(parse_json("[1,2]", {.bytes_max = 3}).error().kind(), ErrorKind::kExhausted);
}

TEST(Json, NamesThePlaceOfAMistake) { EXPECT_EQ(parse_json("{\n \"a\": x}").error().text(), "line 2 column 7: no JSON value starts with 'x'"); }

TEST(Codec, ReadsBackWhatItWrites) {
  Point point{3, "here"};
  EXPECT_EQ(to_canonical_text(point), R"({"label":"here","x":3})");
  EXPECT_EQ(*from_json<Point>(to_json(point)), point);
  EXPECT_EQ(to_canonical_text(Point{}), R"({"x":0})");
}

TEST(Codec, RefusesUnknownMissingAndWrong) {
  EXPECT_EQ(from_json_text<Point>(R"({"x":1,"lable":"a"})").error().text(), "unknown key 'lable'; did you mean 'label'?");
  EXPECT_EQ(from_json_text<Point>("{}").error().text(), "'x' is missing");
  EXPECT_EQ(from_json_text<Point>(R"({"x":"1"})").error().text(), "x: expected a whole number, got a text '1'");
  EXPECT_EQ(from_json_text<Point>(R"({"x":4294967296})").error().text(), "x: 4294967296 is out of range");
}

TEST(Codec, RefusesAnUnknownKeyAtEachLevelAndIgnoresItWhereTheReaderSaysSo) {
  const Drawing drawing{{1, {}}, {{2, {}}}, {{"door", {3, {}}}}, Point{4, {}}};
  ASSERT_EQ(*from_json_text<Drawing>(R"({"origin":{"x":1},"corners":[{"x":2}],"named":{"door":{"x":3}},"cursor":{"x":4}})"), drawing);
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"origin":{"x":1},"corners":[{"x":2}],"named":{"door":{"x":3}},"cursor":{"x":4},"new":{"x":[1]}})", "unknown key 'new'"},
      {R"({"origin":{"x":1,"new":0},"corners":[{"x":2}],"named":{"door":{"x":3}},"cursor":{"x":4}})", "origin: unknown key 'new'"},
      {R"({"origin":{"x":1},"corners":[{"x":2,"new":0}],"named":{"door":{"x":3}},"cursor":{"x":4}})", "corners: [0]: unknown key 'new'"},
      {R"({"origin":{"x":1},"corners":[{"x":2}],"named":{"door":{"x":3,"new":0}},"cursor":{"x":4}})", "named: door: unknown key 'new'"},
      {R"({"origin":{"x":1},"corners":[{"x":2}],"named":{"door":{"x":3}},"cursor":{"x":4,"new":0}})", "cursor: unknown key 'new'"}};
  for (const auto& [text, refusal] : cases) {
    EXPECT_EQ(from_json_text<Drawing>(text).error().text(), refusal);
    auto lenient = from_json_text<Drawing>(text, {}, UnknownKeys::kIgnore);
    ASSERT_TRUE(lenient) << lenient.error().text();
    EXPECT_EQ(*lenient, drawing);
  }
}

TEST(Codec, IgnoresUnknownKeysAndNothingElse) {
  auto refusal = [](std::string_view text, JsonLimits limits = {}) { return from_json_text<Drawing>(text, limits, UnknownKeys::kIgnore).error().text(); };
  EXPECT_EQ(refusal(R"({"origin":{"new":1},"corners":[],"named":{}})"), "origin: 'x' is missing");
  EXPECT_EQ(refusal(R"({"origin":{"x":1,"label":2,"new":0},"corners":[],"named":{}})"), "origin: label: expected a text, got a whole number 2");
  EXPECT_EQ(refusal(R"({"origin":[],"corners":[],"named":{}})"), "origin: expected an object, got a list");
  EXPECT_EQ(refusal(R"({"origin":{"x":1,"new":0,"new":1},"corners":[],"named":{}})"), "line 1 column 31: the key 'new' stands here twice");
  EXPECT_EQ(refusal(R"({"origin":{"x":1},"corners":[],"named":{},"new":[[[0]]]})", {.depth_max = 3}), "nested deeper than 3");
}

TEST(Time, ReadsBackWhatItWrites) {
  auto at = parse_rfc3339("2026-11-24T03:02:48.123Z");
  ASSERT_TRUE(at);
  EXPECT_EQ(to_rfc3339(*at), "2026-11-24T03:02:48.123Z");
  for (auto text : {"2026-11-24", "2026-02-30T00:00:00Z", "2026-11-24T25:00:00Z", "2026-11-24T03:02:48+01:00", "2026-11-24T03:02:48.Z"})
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  EXPECT_EQ(to_text(*parse_duration("90s")), "90s");
  EXPECT_FALSE(parse_duration("9 s"));
  EXPECT_FALSE(parse_duration("99999999d"));
}

TEST(Encoding, MatchesTheRfcsVectors) {
  EXPECT_EQ(to_base64(as_bytes("foob")), "Zm9vYg==");
  EXPECT_EQ(as_text(*from_base64("Zm9vYmE=")), "fooba");
  for (auto text : {"Zm9vYmE", "Zm9vYmF=", "Zm9v\n", "Zm=v"}) EXPECT_FALSE(from_base64(text)) << text;
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);  // RFC 3720's check value
  EXPECT_EQ(sha256("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Ed25519, MatchesRfc8032AndRefusesChanges) {
  // RFC 8032 section 7.1, test 2.
  auto key = PrivateKey::from_hex_seed("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->public_key().hex(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  Bytes message = {0x72};
  Signature signature = key->sign(message);
  EXPECT_EQ(to_hex(signature.bytes).substr(0, 16), "92a009a9f0d4cab8");
  EXPECT_TRUE(verify(key->public_key(), message, signature));
  for (std::size_t i = 0; i < signature.bytes.size(); ++i) {
    Signature changed = signature;
    changed.bytes[i] ^= 1;
    EXPECT_FALSE(verify(key->public_key(), message, changed));
  }
}

TEST(Ids, AreReadableAndChecked) {
  testing::CountingRandom random;
  auto id = make_id<PlanId>("PLN", random);
  EXPECT_EQ(id.text().size(), 12u);
  EXPECT_TRUE(check_name("an id", id.text()));
  for (auto text : {"", "-x", "a b", "a/b", ".."}) EXPECT_FALSE(check_name("an id", text)) << text;
}

TEST(Text, FindsInvalidUtf8WhereverItStands) {
  for (std::size_t size = 0; size < 40; ++size)
    for (std::size_t at = 0; at <= size; ++at) {
      std::string text(size, 'a');
      EXPECT_TRUE(is_valid_utf8(text.substr(0, at) + "\xc3\xa9" + text.substr(at)));
      for (const char* bad : {"\xc3", "\x80", "\xed\xa0\x80", "\xff"}) EXPECT_FALSE(is_valid_utf8(text.substr(0, at) + bad + text.substr(at))) << size << " " << at;
    }
}

TEST(Text, CutsNoCharacterInTwo) {
  std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb1";
  for (std::size_t max = 0; max <= text.size() + 1; ++max) {
    std::string_view cut = cut_text(text, max);
    EXPECT_LE(cut.size(), max);
    EXPECT_TRUE(text.starts_with(cut) && is_valid_utf8(cut)) << max;
    EXPECT_GT(cut.size() + 4, std::min(max, text.size())) << max;
  }
  EXPECT_EQ(cut_text("\x80\x80\x80\x80\x80", 4).size(), 1u) << "what is no UTF-8 is cut too, and near the limit";
}

TEST(Json, EscapesWhereverItStands) {
  for (const char* escaped : {"\\\"", "\\\\", "\\n", "\\u0001", "\\\"\\\\"})
    for (std::size_t before = 0; before < 3; ++before)
      for (std::size_t after = 0; after < 3; ++after) {
        std::string text = "\"" + std::string(before, 'a') + escaped + std::string(after, 'b') + "\"";
        EXPECT_EQ(to_canonical(*parse_json(text)), text);
      }
}

TEST(Text, QuotesWhatCouldHurtATerminal) {
  EXPECT_EQ(quoted("a\x1b[31m\xff"), "'a\\x1b[31m\\xff'");
  EXPECT_EQ(bytes_text(1'234'567), "1.2 MB");
  EXPECT_EQ(*nearest_word("hots", {"host", "plan"}), "host");
  EXPECT_EQ(join({"", "a"}, ","), ",a");
}

}  // namespace
}  // namespace prunella
