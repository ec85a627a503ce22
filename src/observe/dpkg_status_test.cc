#include "observe/dpkg_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "observe/stanza.h"

namespace prunella {
namespace {

using ::testing::HasSubstr;

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string output_of(const char* command) {
  std::string output;
  FILE* pipe = popen(command, "r");
  if (!pipe) return output;
  char buffer[65536];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  return pclose(pipe) == 0 ? output : std::string();
}

std::string stanza(std::string_view status, std::string_view more = "", std::string_view version = "1.0-1") {
  return "Package: libssl3\nStatus: " + std::string(status) + "\nArchitecture: amd64\nVersion: " + std::string(version) + "\n" +
         std::string(more) + "\n";
}

TEST(DpkgStatus, ReadsEveryStateAndFlag) {
  struct Case {
    const char* status;
    PackageSelection selection;
    bool reinst;
    PackageState state;
  };
  const Case cases[] = {
      {"install ok installed", PackageSelection::kInstall, false, PackageState::kInstalled},
      {"hold ok installed", PackageSelection::kHold, false, PackageState::kInstalled},
      {"install reinstreq half-installed", PackageSelection::kInstall, true, PackageState::kHalfInstalled},
      {"install ok unpacked", PackageSelection::kInstall, false, PackageState::kUnpacked},
      {"install ok half-configured", PackageSelection::kInstall, false, PackageState::kHalfConfigured},
      {"install ok triggers-awaited", PackageSelection::kInstall, false, PackageState::kTriggersAwaited},
      {"install ok triggers-pending", PackageSelection::kInstall, false, PackageState::kTriggersPending},
      {"deinstall ok config-files", PackageSelection::kDeinstall, false, PackageState::kConfigFiles},
      {"purge ok config-files", PackageSelection::kPurge, false, PackageState::kConfigFiles},
      {"unknown ok installed", PackageSelection::kUnknown, false, PackageState::kInstalled},
  };
  for (const Case& c : cases) {
    auto facts = parse_dpkg_status(stanza(c.status), false);
    ASSERT_TRUE(facts) << c.status << ": " << facts.error().text();
    ASSERT_EQ(facts->packages.size(), 1u) << c.status;
    EXPECT_EQ(facts->packages[0].selection, c.selection) << c.status;
    EXPECT_EQ(facts->packages[0].reinst_required, c.reinst) << c.status;
    EXPECT_EQ(facts->packages[0].state, c.state) << c.status;
  }
}

TEST(DpkgStatus, LeavesOutPackagesThatAreNotInstalled) {
  auto facts = parse_dpkg_status("Package: hello\nStatus: install ok not-installed\n\nPackage: hello\nStatus: purge ok not-installed\n", true);

  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_TRUE(facts->packages.empty());
  EXPECT_TRUE(facts->updates_pending);
}

TEST(DpkgStatus, KeepsAPackageWhoseFirstUnpackingWasInterrupted) {
  auto facts = parse_dpkg_status("Package: hello\nStatus: install reinstreq half-installed\nArchitecture: amd64\n", false);

  ASSERT_TRUE(facts) << facts.error().text();
  ASSERT_EQ(facts->packages.size(), 1u);
  EXPECT_EQ(facts->packages[0].version, "");
  EXPECT_TRUE(needs_repair(facts->packages[0]));
}

TEST(DpkgStatus, TakesTheSourceOfEachBinary) {
  struct Case {
    const char* version;
    const char* field;
    const char* source;
    const char* source_version;
  };
  const Case cases[] = {
      {"5.1-2+b3", "", "libssl3", "5.1-2"},
      {"2:2.6.2+samba4.17.12+dfsg-0+deb12u1", "Source: samba (2:4.17.12+dfsg-0+deb12u1)\n", "samba", "2:4.17.12+dfsg-0+deb12u1"},
      {"3.0.15-1~deb12u1", "Source: openssl\n", "openssl", "3.0.15-1~deb12u1"},
      {"1.0-1+b2", "Source: foo (1.0-1)\n", "foo", "1.0-1"},
      {"1.0-1+b", "", "libssl3", "1.0-1+b"},
      {"1.0-1+deb12u1", "", "libssl3", "1.0-1+deb12u1"},
      {"6.5.0-1ubuntu0.1", "", "libssl3", "6.5.0-1ubuntu0.1"},
  };
  for (const Case& c : cases) {
    auto facts = parse_dpkg_status(stanza("install ok installed", c.field, c.version), false);
    ASSERT_TRUE(facts) << c.version << ": " << facts.error().text();
    EXPECT_EQ(facts->packages.at(0).source, c.source) << c.version;
    EXPECT_EQ(facts->packages.at(0).source_version, c.source_version) << c.version;
  }
}

TEST(DpkgStatus, QuotesTheWrongValueAndItsLine) {
  struct Case {
    std::string text;
    const char* said;
  };
  const Case cases[] = {
      {stanza("install ok instaled"), "line 2: package 'libssl3': state: 'instaled' is none of"},
      {stanza("instal ok installed"), "'instal' is none of"},
      {stanza("install bad installed"), "'bad' is not an error flag"},
      {stanza("install installed"), "'install installed' is not three words"},
      {stanza("install ok installed", "", "-rf"), "line 4: '-rf' is not a Debian version"},
      {"Package: ../x\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n", "line 1: '../x' is not a package name"},
      {"Package: hello\nStatus: install ok installed\nArchitecture: amd64\n", "has no Version"},
      {"Package: hello\nVersion: 1\n", "has no Status"},
      {"Status: install ok installed\n", "without Package"},
      {"Package: hello\nnonsense\n", "line 2: 'nonsense' is not a field"},
      {" leading\n", "continues a field"},
      {std::string("Package: a\0b\n", 13), "NUL"},
      {stanza("install ok installed", "Source: x (1\n"), "is not 'name' or 'name (version)'"},
  };
  for (const Case& c : cases) {
    auto facts = parse_dpkg_status(c.text, false);
    ASSERT_FALSE(facts) << c.text;
    EXPECT_EQ(facts.error().kind(), ErrorKind::kInvalidInput) << c.text;
    EXPECT_THAT(facts.error().text(), HasSubstr(c.said)) << c.text;
  }
}

TEST(DpkgStatus, RefusesAPackageThatStandsThereTwice) {
  std::string once = stanza("install ok installed");

  auto facts = parse_dpkg_status(once + once, false);

  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(facts.error().text(), HasSubstr("line 6: 'libssl3:amd64'"));
}

TEST(DpkgStatus, LaysFragmentsOverTheStatusInOrder) {
  std::string base = stanza("install ok installed");
  std::string half = stanza("install reinstreq half-installed");
  std::string unpacked = stanza("install ok unpacked", "", "2.0-1");
  std::string added = "Package: hello\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 2\n";
  std::string purged = "Package: libssl3\nStatus: purge ok not-installed\nArchitecture: amd64\n";

  auto updated = parse_dpkg_database(base, {half, unpacked, added});
  auto gone = parse_dpkg_database(base, {purged});
  auto clean = parse_dpkg_database(base, {});

  ASSERT_TRUE(updated) << updated.error().text();
  ASSERT_EQ(updated->packages.size(), 2u);
  EXPECT_EQ(updated->packages[0].package.name, "hello");
  EXPECT_EQ(updated->packages[1].version, "2.0-1");
  EXPECT_EQ(updated->packages[1].state, PackageState::kUnpacked);
  EXPECT_FALSE(updated->packages[1].reinst_required);
  EXPECT_TRUE(updated->updates_pending);
  ASSERT_TRUE(gone);
  EXPECT_TRUE(gone->packages.empty());
  ASSERT_TRUE(clean);
  EXPECT_FALSE(clean->updates_pending);
}

TEST(DpkgStatus, KnowsWhichFilesAreFragments) {
  EXPECT_TRUE(is_dpkg_fragment_name("0003"));
  EXPECT_FALSE(is_dpkg_fragment_name("tmp.i"));
  EXPECT_FALSE(is_dpkg_fragment_name(""));
}

TEST(DpkgStatus, ReadsConffilesWithTheirMarks) {
  const char* field =
      "Conffiles:\n /etc/ssl/openssl.cnf 6c5d4b0d6f2b5c3e6f3c3b9d7a1e2f40\n"
      " /etc/with blank 00000000000000000000000000000001 obsolete\n /etc/new newconffile\n"
      " /etc/gone 00000000000000000000000000000002 remove-on-upgrade\n";

  auto all = parse_conffiles(stanza("install ok installed", field));

  ASSERT_TRUE(all) << all.error().text();
  const std::vector<Conffile>& list = all->at({"libssl3", "amd64"});
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[0], (Conffile{"/etc/ssl/openssl.cnf", "6c5d4b0d6f2b5c3e6f3c3b9d7a1e2f40", false, false}));
  EXPECT_EQ(list[1], (Conffile{"/etc/with blank", "00000000000000000000000000000001", true, false}));
  EXPECT_EQ(list[2].md5, "newconffile");
  EXPECT_TRUE(list[3].remove_on_upgrade);
  EXPECT_FALSE(parse_conffiles(stanza("install ok installed", "Conffiles:\n relative 00000000000000000000000000000001\n")));
  EXPECT_FALSE(parse_conffiles(stanza("install ok installed", "Conffiles:\n /etc/x 123\n")));
}

// The oracle is dpkg itself, over this machine's own database.
TEST(DpkgStatus, AgreesWithDpkgQueryAboutThisMachine) {
  std::string theirs = output_of(
      "LC_ALL=C dpkg-query --show --showformat='${Package}\\t${Architecture}\\t${Version}\\t${source:Package}\\t${source:Version}"
      "\\t${Status}\\n' | sort");
  if (theirs.empty()) GTEST_SKIP() << "no dpkg-query here";

  auto facts = parse_dpkg_status(read_whole("/var/lib/dpkg/status"), false);

  ASSERT_TRUE(facts) << facts.error().text();
  std::vector<std::string> lines;
  for (const Package& p : facts->packages) {
    lines.push_back(p.package.name + "\t" + p.package.arch + "\t" + p.version + "\t" + p.source + "\t" + p.source_version + "\t" +
                    std::string(to_text(p.selection)) + (p.reinst_required ? " reinstreq " : " ok ") + std::string(to_text(p.state)));
  }
  std::ranges::sort(lines);
  std::vector<std::string> expected;
  std::istringstream stream(theirs);
  for (std::string line; std::getline(stream, line);)
    if (!line.ends_with("not-installed")) expected.push_back(line);
  std::ranges::sort(expected);
  EXPECT_EQ(lines, expected);
}

TEST(DpkgStatus, ReadsFiveThousandPackagesWithinFiftyMilliseconds) {
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "Package: package-number-" + std::to_string(i) +
            "\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 1234\n"
            "Maintainer: Somebody <somebody@example.org>\nArchitecture: amd64\nMulti-Arch: same\nSource: something (1:1.2.3-4)\n"
            "Version: 1:1.2.3-4+b1\nDepends: libc6 (>= 2.34), libssl3 (>= 3.0.0), libgcc-s1 (>= 3.0)\nConffiles:\n /etc/a" +
            std::to_string(i) + " 00000000000000000000000000000001\nDescription: a package\n with a long text\n .\n of three lines\n" +
            "Homepage: https://example.org/\n\n";

  auto start = std::chrono::steady_clock::now();
  auto facts = parse_dpkg_status(text, false);
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);

  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(facts->packages.size(), 5000u);
  RecordProperty("milliseconds", static_cast<int>(took.count()));
#if defined(__has_feature)  // clang names its sanitizers so, GCC by macros
#define PRUNELLA_CLANG_SANITIZES (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define PRUNELLA_CLANG_SANITIZES 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !PRUNELLA_CLANG_SANITIZES && defined(__OPTIMIZE__)
  EXPECT_LT(took.count(), 50);
#endif
}

TEST(Stanza, KeepsContinuationLinesAndSkipsComments) {
  StanzaReader reader("# remark\nSuites: a b\nSigned-By:\n -----BEGIN\n .\n -----END\n\n\n# x\nTypes: deb\n");
  std::vector<StanzaField> fields;

  auto first = reader.next(fields);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ(field_value(fields, "suites"), "a b");
  EXPECT_EQ(field_value(fields, "Signed-By"), "\n -----BEGIN\n .\n -----END");
  EXPECT_EQ(fields[0].line, 2u);
  auto second = reader.next(fields);
  ASSERT_TRUE(second && *second);
  EXPECT_EQ(field_value(fields, "Types"), "deb");
  auto end = reader.next(fields);
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

}  // namespace
}  // namespace prunella
