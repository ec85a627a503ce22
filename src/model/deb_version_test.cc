#include "model/deb_version.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

#include "base/text.h"

namespace prunella {
namespace {

char relation(std::string_view a, std::string_view b) {
  auto order = compare_deb_versions(a, b);
  if (!order) return '!';
  return *order < 0 ? '<' : *order > 0 ? '>' : '=';
}

TEST(DebVersion, OrdersAsPolicySays) {
  struct Case {
    const char* a;
    char relation;
    const char* b;
  };
  for (const Case& c : std::vector<Case>{
           {"1.0", '=', "1.0"},
           {"0", '=', "0:0-0"},
           {"1.0000-1", '=', "1.0-1"},
           {"1.0", '=', "1.0-0"},
           {"1:0", '>', "9"},
           {"2:1", '>', "1:9"},
           {"1.0~rc1", '<', "1.0"},
           {"1.0~~", '<', "1.0~"},
           {"1.0~~a", '<', "1.0~"},
           {"1.0", '<', "1.0a"},
           {"1.0a", '<', "1.0+"},
           {"1.0a", '<', "1.0."},
           {"1.0-1~bpo12+1", '<', "1.0-1"},
           {"1.9", '<', "1.10"},
           {"1.09", '=', "1.9"},
           {"1-2-3", '>', "1-1-4"},      // split at the last '-': upstream 1-2 and 1-1
           {"1:2:3-4", '<', "1:2:4-1"},  // split at the first ':': upstream 2:3 and 2:4
           {"5.1-2+b3", '>', "5.1-2"},
           {"3.0.15-1~deb12u1", '<', "3.0.17-1~deb12u2"},
           {"6.8.0-31", '<', "6.8.0-100"},                             // as numbers, not as text
           {"1.18446744073709551616", '>', "1.18446744073709551615"},  // longer than any machine's number
           {"2147483647:1", '>', "1:1"},
       }) {
    EXPECT_EQ(relation(c.a, c.b), c.relation) << c.a << " " << c.b;
    char turned = c.relation == '<' ? '>' : c.relation == '>' ? '<' : '=';
    EXPECT_EQ(relation(c.b, c.a), turned) << c.b << " " << c.a;
  }
}

TEST(DebVersion, SplitsAtTheFirstColonAndTheLastDash) {
  auto version = parse_deb_version("1:2:3-4-5");

  ASSERT_TRUE(version);
  EXPECT_EQ(version->epoch, 1u);
  EXPECT_EQ(version->upstream, "2:3-4");
  EXPECT_EQ(version->revision, "5");
}

TEST(DebVersion, RefusesWhatHasNoOrder) {
  for (const char* text : {"", ":1", "a:1", "-1:1", "2147483648:1", "99999999999999999999:1", "1:", "1-", "-1", "a1", "~1", "1 2",
                           "1_2", "1-2_3", " 1", "1\n", "1.0\xc3\xa9", "1:-1"})
    EXPECT_FALSE(parse_deb_version(text)) << quoted(text);
  EXPECT_FALSE(parse_deb_version(std::string(513, '1')));
  auto error = parse_deb_version("a:1").error();
  EXPECT_EQ(error.kind(), ErrorKind::kInvalidInput);
  EXPECT_NE(error.text().find("'a'"), std::string::npos) << error.text();
}

TEST(DebVersion, AgreesWithTheKnownPairs) {
  std::string folder = std::string(PRUNELLA_SOURCE_DIR) + "/../shared/data/versions/";
  std::size_t pairs = 0;
  for (const char* name : {"debian-versions.txt", "debian-versions-generated.txt"}) {
    std::ifstream in(folder + name);
    if (!in) GTEST_SKIP() << folder << name << " is not here";
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line[0] == '#') continue;
      auto parts = split_blanks(line);
      ASSERT_EQ(parts.size(), 3u) << line;
      ++pairs;
      EXPECT_EQ(std::string(1, relation(parts[0], parts[2])), parts[1]) << line;
    }
  }
  EXPECT_GT(pairs, 1000u);
}

// Versions near each other, of the pieces that decide.
std::string random_version(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {"0", "00", "1", "01", "9",  "10",  "~",        "~~",    "a",       "b",
                                                   "Z", "rc", "+", ".",  ".0", "+b1", "~deb12u1", "+dfsg", "~bpo12+1"};
  auto pick = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  std::string text = pick(5) == 0 ? std::to_string(pick(3)) + ":" : "";
  text += std::to_string(pick(3));
  for (std::size_t i = pick(4); i > 0; --i) text += kPieces[pick(kPieces.size())];
  if (pick(2) == 0) {
    text += "-" + std::to_string(pick(3));
    for (std::size_t i = pick(3); i > 0; --i) text += kPieces[pick(kPieces.size())];
  }
  return text;
}

TEST(DebVersion, AgreesWithDpkgOnRandomPairs) {
  if (std::system("dpkg --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "dpkg is not here";
  constexpr std::uint32_t kSeed = 20261124;
  constexpr std::size_t kPairs = 300;  // a process of dpkg a question: two seconds
  std::mt19937 random(kSeed);
  std::vector<std::pair<std::string, std::string>> pairs;
  std::string script;
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.emplace_back(random_version(random), random_version(random));
    const auto& [a, b] = pairs.back();
    script += "if dpkg --compare-versions '" + a + "' lt '" + b + "'; then echo '<'; elif dpkg --compare-versions '" + a +
              "' eq '" + b + "'; then echo '='; else echo '>'; fi\n";
  }
  char path[] = "/tmp/prunella-versions-XXXXXX";
  int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, script.data(), script.size()), static_cast<ssize_t>(script.size()));
  close(fd);

  FILE* pipe = popen((std::string("sh ") + path).c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string answers;
  for (int c; (c = std::fgetc(pipe)) != EOF;)
    if (c != '\n') answers += static_cast<char>(c);
  EXPECT_EQ(pclose(pipe), 0);
  unlink(path);

  ASSERT_EQ(answers.size(), kPairs);
  for (std::size_t i = 0; i < kPairs; ++i)
    EXPECT_EQ(relation(pairs[i].first, pairs[i].second), answers[i])
        << "seed " << kSeed << ": " << pairs[i].first << " " << pairs[i].second;
}

TEST(DebVersion, IsAnOrder) {
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string a = random_version(random), b = random_version(random), c = random_version(random);
    char ab = relation(a, b), bc = relation(b, c), ac = relation(a, c);
    ASSERT_NE(ab, '!') << a << " " << b;
    ASSERT_EQ(relation(a, a), '=');
    if (ab == '<' && bc != '>') {
      ASSERT_EQ(ac, '<') << a << " " << b << " " << c;
    }
    if (ab == '=' && bc == '=') {
      ASSERT_EQ(ac, '=') << a << " " << b << " " << c;
    }
  }
}

}  // namespace
}  // namespace prunella
