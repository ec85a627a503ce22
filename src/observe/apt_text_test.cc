// What apt writes: simulations, policies, records, updates, targets, changelogs, relationships. The input was captured from a real
// apt (tests/corpus/observe/README.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/text.h"
#include "observe/apt_cache.h"
#include "observe/apt_simulation.h"
#include "observe/apt_update.h"
#include "observe/changelog.h"
#include "observe/relations.h"

namespace prunella {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string corpus(const std::string& name) {
  std::ifstream file(std::string(PRUNELLA_SOURCE_DIR) + "/tests/corpus/observe/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

// Good enough for the versions of these tests; the product passes the order of match/.
int order(std::string_view a, std::string_view b) {
  auto weight = [](char c) { return c == '~' ? -1 : c == '\0' ? 0 : static_cast<int>(static_cast<unsigned char>(c)); };
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    int x = weight(i < a.size() ? a[i] : '\0'), y = weight(i < b.size() ? b[i] : '\0');
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

TEST(AptSimulation, ReadsInstallsRemovalsAndWhatIsKeptBack) {
  auto full = parse_apt_simulation(corpus("apt/simulate-dist-upgrade.txt"));
  auto plain = parse_apt_simulation(corpus("apt/simulate-upgrade.txt"));

  ASSERT_TRUE(full) << full.error().text();
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_THAT(full->removals, ElementsAre(SimulatedRemoval{"victim", std::nullopt, "1.0-1"}));
  EXPECT_THAT(full->kept_back, ElementsAre("held", "phased"));
  EXPECT_THAT(plain->removals, IsEmpty());
  EXPECT_THAT(plain->kept_back, ElementsAre("held", "phased", "removes"));
  ASSERT_EQ(full->installs.size(), 10u);
  EXPECT_EQ(full->installs[0], (SimulatedInstall{{"added", "amd64"}, std::nullopt, "1.0-1", {"Debian-Security:12/stable-security"}}));
  EXPECT_EQ(full->installs[3], (SimulatedInstall{{"libfoo", "amd64"}, "1.0-1", "1.0-1+deb12u1", {"Debian-Security:12/stable-security"}}));
}

TEST(AptSimulation, ReadsARealUpgradeAndItsOddForms) {
  auto real = parse_apt_simulation(corpus("apt/simulate-bookworm.txt"));
  auto odd = parse_apt_simulation(
      "Inst libc6:i386 [2.36-9] (2.36-9+deb12u9 Debian:12.11/stable, Debian-Security:12/stable-security [i386]) [libc6:amd64 on libc6:i386] [x:amd64 ]\n"
      "Inst tool (1.0 Vendor (the one):1/stable [all])\nRemv libx:i386 [1.0]\nRemv gone [1.0] [other:amd64 ]\n"
      "The following upgrades have been deferred due to phasing:\n  a b:i386\n  c\n0 upgraded\n");

  ASSERT_TRUE(real) << real.error().text();
  EXPECT_THAT(real->installs, SizeIs(17));
  ASSERT_TRUE(odd) << odd.error().text();
  EXPECT_EQ(odd->installs[0].package, (PackageName{"libc6", "i386"}));
  EXPECT_THAT(odd->installs[0].archives, ElementsAre("Debian:12.11/stable", "Debian-Security:12/stable-security"));
  EXPECT_EQ(odd->installs[1].package.arch, "all");
  EXPECT_EQ(odd->removals[0], (SimulatedRemoval{"libx", "i386", "1.0"}));
  EXPECT_EQ(odd->removals[1].name, "gone");
  EXPECT_THAT(odd->phased, ElementsAre("a", "b:i386", "c"));
}

TEST(AptSimulation, QuotesALineItDoesNotKnow) {
  for (const char* line : {"Inst x", "Inst x [1] 2", "Inst x (2 Debian:12)", "Inst X (2 D [amd64])", "Inst x (-2 D [amd64])", "Remv x", "Inst x [$(id)] (2 D [all])"}) {
    auto simulation = parse_apt_simulation(std::string("NOTE\n") + line + "\n");
    ASSERT_FALSE(simulation) << line;
    EXPECT_THAT(simulation.error().text(), AllOf(HasSubstr("line 2"), HasSubstr(quoted(line)))) << line;
  }
}

TEST(AptPolicy, TellsCandidatesPrioritiesAndWhoOffersWhat) {
  auto policies = parse_apt_policy(corpus("apt/policy.txt"));

  ASSERT_TRUE(policies) << policies.error().text();
  ASSERT_EQ(policies->size(), 13u);
  const PackagePolicy& libfoo = (*policies)[0];
  EXPECT_EQ(libfoo.name, "libfoo");
  EXPECT_EQ(libfoo.installed, "1.0-1");
  EXPECT_EQ(libfoo.candidate, "1.0-1+deb12u1");
  ASSERT_EQ(libfoo.versions.size(), 2u);
  EXPECT_FALSE(libfoo.versions[0].installed);
  EXPECT_TRUE(libfoo.versions[1].installed);
  EXPECT_EQ(libfoo.versions[0].offers[0], (Offer{500, "http://archive.example.org/security bookworm-security/main amd64 Packages"}));
  EXPECT_THAT(libfoo.versions[1].offers, SizeIs(2));
  EXPECT_EQ((*policies)[3].candidate, "1.0-1");
  EXPECT_EQ((*policies)[3].versions[1].priority, 1001);
  EXPECT_EQ((*policies)[4].versions[0].phased_percent, 0u);
}

TEST(AptPolicy, TakesForeignArchitecturesAndHidesCredentials) {
  auto policies = parse_apt_policy(
      "libc6:i386:\n  Installed: (none)\n  Candidate: (none)\n  Package pin: 2.36-9\n  Version table:\n     2.36-9 -1\n        "
      "-1 https://me:secret@host/debian bookworm/main i386 Packages\n");

  ASSERT_TRUE(policies) << policies.error().text();
  EXPECT_EQ((*policies)[0].arch, "i386");
  EXPECT_FALSE((*policies)[0].installed);
  EXPECT_EQ((*policies)[0].pin, "2.36-9");
  EXPECT_EQ((*policies)[0].versions[0].offers[0].index, "https://host/debian bookworm/main i386 Packages");
}

TEST(AptPolicy, QuotesALineItDoesNotKnow) {
  for (const char* text : {"  Installed: 1\n", "a:\n     1.0\n", "a:\n     1.0 high\n", "a:\n        500 x\n", "A:\n", "a:\n     -1 500\n", "a:\n     1 500 (phased 900%)\n"})
    EXPECT_FALSE(parse_apt_policy(text)) << text;
}

TEST(PackageRecords, ReadDigestsSizesAndSources) {
  auto records = parse_package_records(corpus("apt/show.txt"));

  ASSERT_TRUE(records) << records.error().text();
  ASSERT_EQ(records->size(), 4u);
  EXPECT_EQ((*records)[1].package, (PackageName{"foo-tools", "all"}));
  EXPECT_EQ((*records)[1].source, "foo");
  EXPECT_EQ((*records)[1].depends, "libfoo (>= 1.0-1)");
  EXPECT_TRUE((*records)[1].sha256.has_value());
  EXPECT_TRUE((*records)[1].size_bytes.has_value());
  EXPECT_FALSE(parse_package_records("Package: a1\nArchitecture: all\nVersion: 1\nSize: many\n"));
  EXPECT_FALSE(parse_package_records("Package: a1\nArchitecture: all\nVersion: 1\nSHA256: 12\n"));
}

TEST(PrintUris, ReadFilesAndHideCredentials) {
  auto items = parse_print_uris(corpus("apt/print-uris.txt"));
  auto secret = parse_print_uris("'http://me:p@ss@host/x_1%3a2.deb' x_1%3a2.deb 12 SHA256:" + std::string(64, 'a') + "\n");

  ASSERT_TRUE(items) << items.error().text();
  EXPECT_THAT(*items, SizeIs(10));
  ASSERT_TRUE(secret);
  EXPECT_EQ((*secret)[0].uri, "http://host/x_1%3a2.deb");
  EXPECT_EQ((*secret)[0].size_bytes, 12u);
  EXPECT_TRUE((*secret)[0].sha256);
  EXPECT_FALSE(parse_print_uris("'http://host/x\n"));
}

std::vector<IndexTarget> targets(const std::string& name) {
  auto parsed = parse_index_targets(corpus("apt/" + name));
  EXPECT_TRUE(parsed) << parsed.error().text();
  return parsed ? *parsed : std::vector<IndexTarget>();
}

TEST(IndexTargets, TellTheSecurityArchiveFromItsLookalike) {
  std::vector<IndexTarget> present = targets("indextargets.txt");

  ASSERT_EQ(present.size(), 3u);
  EXPECT_FALSE(is_security_archive(present[0]));
  EXPECT_TRUE(is_security_archive(present[1]));
  EXPECT_EQ(present[2].label, "Debian-Security");
  EXPECT_FALSE(is_security_archive(present[2])) << "its origin is " << *present[2].origin;
  EXPECT_EQ(present[1].description, "http://archive.example.org/security bookworm-security/main amd64 Packages");
}

TEST(IndexTargets, KnowDistributionsByTheirOrigin) {
  auto target = [](const char* origin, const char* label, const char* suite, const char* codename) {
    IndexTarget t;
    t.origin = origin, t.label = label, t.suite = suite, t.codename = codename;
    return t;
  };
  EXPECT_TRUE(is_security_archive(target("Debian", "debian-security", "stable", "bookworm")));
  EXPECT_TRUE(is_security_archive(target("Debian", "Debian", "stable-security", "x")));
  EXPECT_TRUE(is_security_archive(target("Ubuntu", "Ubuntu", "jammy-security", "jammy")));
  EXPECT_FALSE(is_security_archive(target("Ubuntu", "Ubuntu", "jammy-updates", "jammy")));
  EXPECT_FALSE(is_security_archive(target("LP-PPA-me", "Debian-Security", "jammy-security", "jammy")));
  EXPECT_FALSE(is_security_archive(IndexTarget()));
}

Repository after_update(const std::string& name) {
  auto report = parse_apt_update(corpus("apt/update-" + name + ".txt"));
  EXPECT_TRUE(report) << report.error().text();
  IndexTarget target;
  target.repo_uri = "http://archive.example.org/" + name;
  if (name.starts_with("apt3-")) target.repo_uri = "http://archive.example.org/apt3";
  if (name == "refused") target.repo_uri = "http://127.0.0.1:9/refused";
  if (name == "noname") target.repo_uri = "http://archive.invalid/debian";
  target.release = "bookworm";
  target.base_uri = target.repo_uri + "/dists/bookworm";
  target.origin = "Other";
  return repositories_of({target}, {target}, *report).at(0);
}

TEST(AptUpdate, NamesEachWayInWhichAnArchiveIsWrong) {
  struct Case {
    const char* name;
    RepositoryState state;
    const char* said;
  };
  const Case cases[] = {
      {"nokey", RepositoryState::kBadSignature, "NO_PUBKEY"},
      {"badsig", RepositoryState::kBadSignature, "BADSIG"},
      {"turned", RepositoryState::kBadSignature, "BADSIG"},
      {"expkey", RepositoryState::kBadSignature, "EXPKEYSIG"},
      {"unsigned", RepositoryState::kBadSignature, "is not signed"},
      {"changed", RepositoryState::kBadSignature, "changed its 'Origin' value from 'Other' to 'Foreign'"},
      {"expired", RepositoryState::kExpired, "is expired"},
      {"future", RepositoryState::kExpired, "not valid yet"},
      {"absent", RepositoryState::kMissing, "does not have a Release file"},
      {"nopackages", RepositoryState::kMissing, "404"},
      {"refused", RepositoryState::kUnreachable, "Connection refused"},
      {"noname", RepositoryState::kUnreachable, "Could not resolve"},
      {"hash", RepositoryState::kUnreachable, "unexpected size"},
      {"apt3-nokey", RepositoryState::kBadSignature, "Missing key"},
      {"apt3-badsig", RepositoryState::kBadSignature, "Message has been manipulated"},
      {"apt3-turned", RepositoryState::kBadSignature, "Message has been manipulated"},
      {"apt3-unsigned", RepositoryState::kBadSignature, "is not signed"},
      {"apt3-refused", RepositoryState::kUnreachable, "Unable to connect"},
      {"apt3-absent", RepositoryState::kMissing, "does not have a Release file"},
  };
  for (const Case& c : cases) {
    Repository repository = after_update(c.name);
    EXPECT_EQ(repository.state, c.state) << c.name << ": " << repository.detail;
    EXPECT_THAT(repository.detail, HasSubstr(c.said)) << c.name;
  }
}

TEST(AptUpdate, IsContentWithGoodArchives) {
  for (const char* name : {"apt/update-good.txt", "apt/update-again.txt"}) {
    auto report = parse_apt_update(corpus(name));
    ASSERT_TRUE(report);
    EXPECT_THAT(report->problems, IsEmpty()) << name;
    EXPECT_THAT(report->errors, IsEmpty()) << name;
  }
  std::vector<IndexTarget> wanted = targets("indextargets-all.txt"), present = targets("indextargets.txt");
  std::vector<Repository> repositories = repositories_of(wanted, present, {});
  ASSERT_EQ(repositories.size(), 3u);
  EXPECT_EQ(repositories[1], (Repository{"http://archive.example.org/security", "bookworm-security", RepositoryState::kOk, "", true}));
  EXPECT_FALSE(repositories[2].security);
  for (const Repository& repository : repositories_of(wanted, {}, {})) EXPECT_EQ(repository.state, RepositoryState::kMissing);
  EXPECT_TRUE(repositories_of(wanted, {}, {})[1].security);
}

TEST(AptUpdate, KeepsErrorsThatNameNoArchiveAndNoSecrets) {
  auto report = parse_apt_update(corpus("apt/update-malformed.txt"));
  auto secret = parse_apt_update("Err:1 https://me:s3cret@host/debian bookworm InRelease\n  401  Unauthorized\n"
                                 "W: Failed to fetch https://me:s3cret@host/debian/dists/bookworm/InRelease  401  Unauthorized for https://me:s3cret@host\n");

  ASSERT_TRUE(report);
  EXPECT_THAT(report->errors, ElementsAre(HasSubstr("Malformed line 2"), HasSubstr("could not be read")));
  ASSERT_TRUE(secret);
  ASSERT_THAT(secret->problems, SizeIs(2));
  for (const FetchProblem& problem : secret->problems) EXPECT_THAT(problem.uri + problem.detail, Not(HasSubstr("s3cret")));
}

TEST(Changelog, NamesTheCvesBetweenTwoVersions) {
  std::string text = corpus("changelog-openssl.txt");

  auto since = cves_since(text, "3.0.20-1~deb12u2", order);
  auto none = cves_since(text, "3.0.22-1~deb12u2", order);
  auto unknown = cves_since(text, "3.0.1-1", order);

  ASSERT_TRUE(since) << since.error().text();
  EXPECT_TRUE(since->complete);
  EXPECT_THAT(since->cves, SizeIs(12));
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->complete);
  EXPECT_THAT(none->cves, IsEmpty());
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(unknown->complete) << "the entry of the installed version is not in the text";
}

TEST(Changelog, TakesRebuildsAsTheirSourceAndKnowsWhatIsNoCve) {
  std::string text =
      "x (2-1+b3) sid; urgency=low, binary-only=yes\n\n  * Rebuild.\n\n -- A <a@b>  d\n\n"
      "x (2-1) sid; urgency=low\n\n  * cve-2024-12345, CVE-2024-123 CVE-2024-0002x XCVE-2024-9999 CVE-20a4-0001 (CVE-2023-1111)\n\n -- A <a@b>  d\n\n"
      "x (1-1) sid; urgency=low\n\n  * CVE-2022-0001\n";

  auto since = cves_since(text, "1-1+b2", order);
  auto missing = cves_since(text, "1-2", order);

  ASSERT_TRUE(since);
  EXPECT_TRUE(since->complete);
  EXPECT_THAT(since->cves, ElementsAre("CVE-2023-1111", "CVE-2024-0002", "CVE-2024-12345"));
  ASSERT_TRUE(missing);
  EXPECT_FALSE(missing->complete) << "1-2 has no entry: what was between it and 2-1 is not known";
  EXPECT_FALSE(cves_since("", "1", order));
  EXPECT_FALSE(cves_since("no changelog\n", "1", order));
}

TEST(Changelog, ChoosesTheSmallestFilesOfEachSource) {
  auto update = [](const char* name, const char* source, std::uint64_t size) {
    Update u;
    u.package = {name, "all"};
    u.from_version = "1";
    u.source = source;
    u.to.size_bytes = size;
    return u;
  };
  std::vector<Update> updates = {update("b2", "b", 5), update("a1", "a", 9), update("a2", "a", 3), update("a3", "a", 7)};

  std::vector<const Update*> carriers = changelog_carriers(updates, 2);

  ASSERT_THAT(carriers, SizeIs(3));
  EXPECT_EQ(carriers[0]->package.name, "a2");
  EXPECT_EQ(carriers[1]->package.name, "a3");
  EXPECT_EQ(carriers[2]->package.name, "b2");
}

TEST(Relations, ReadsAFieldWithAllItsForms) {
  auto relations = parse_relations("libc6 (>= 2.34), python3:any, a1 | b1 (<< 2)\n , c1 [amd64] <!nocheck>, d1 (= 1:2-3)");

  ASSERT_TRUE(relations) << relations.error().text();
  EXPECT_THAT(*relations, ElementsAre(Relation{"libc6", ">=", "2.34"}, Relation{"python3", "", ""}, Relation{"a1", "", ""}, Relation{"b1", "<<", "2"},
                                      Relation{"c1", "", ""}, Relation{"d1", "=", "1:2-3"}));
  for (const char* field : {"X", "a1 (>= )", "a1 (?? 1)", "a1 (>= 1", "a1 (>= $x)"}) EXPECT_FALSE(parse_relations(field)) << field;
}

Step step(const char* name, const char* before, const char* after, const char* depends_before = "", const char* depends_after = "") {
  Step s;
  s.before.package = s.after.package = {name, "all"};
  s.before.version = before;
  s.after.version = after;
  if (*depends_before) s.before.depends = depends_before;
  if (*depends_after) s.after.depends = depends_after;
  return s;
}

bool may_need(const Step& a, const Step& b, const VersionOrder& versions) { return need_edges({a, b}, versions)[0].contains(1); }

TEST(Relations, TellWhenAnUpdateCanComeAlone) {
  Step lib = step("lib", "1", "2"), tool_loose = step("tool", "1", "2", "lib (>= 1)", "lib (>= 1)"), tool_strict = step("tool", "1", "2", "lib (= 1)", "lib (= 2)");
  Step fresh = step("fresh", "", "1"), wants_fresh = step("tool", "1", "2", "", "fresh"), breaker = step("breaker", "1", "2");
  breaker.after.breaks = "lib (<< 2)";
  Step provider = step("provider", "1", "2"), user = step("user", "1", "2", "", "abi-2");
  provider.before.provides = "abi-1";
  provider.after.provides = "abi-2";
  Step damaged = step("damaged", "1", "2", "", "lib (>> ");

  EXPECT_FALSE(may_need(tool_loose, lib, order));
  EXPECT_FALSE(may_need(lib, tool_loose, order));
  EXPECT_TRUE(may_need(tool_strict, lib, order));
  EXPECT_TRUE(may_need(lib, tool_strict, order)) << "the old tool would be broken by the new lib";
  EXPECT_TRUE(may_need(wants_fresh, fresh, order));
  EXPECT_TRUE(may_need(breaker, lib, order));
  EXPECT_FALSE(may_need(lib, breaker, order));
  EXPECT_TRUE(may_need(user, provider, order));
  EXPECT_TRUE(may_need(damaged, lib, order)) << "what can't be read is no proof";
}

TEST(Relations, FollowNeedsThroughOthers) {
  Step a = step("aa", "1", "2", "", "bb (>= 2)"), b = step("bb", "1", "2", "", "cc (>= 2)"), c = step("cc", "1", "2"), d = step("dd", "1", "2");

  auto edges = need_edges({a, b, c, d}, order);

  EXPECT_THAT(reachable(edges, 0), ElementsAre(1u, 2u));
  EXPECT_THAT(reachable(edges, 2), IsEmpty());
}

TEST(Relations, OfAWholeDistributionTakeLittleTime) {
  std::vector<Step> steps;
  for (int i = 0; i < 3000; ++i) {
    std::string next = "package" + std::to_string(i + 1), name = "package" + std::to_string(i);
    steps.push_back(step(name.c_str(), "1", "2", "libc6 (>= 1), libx (= 1)", (next + " (>= 2), libc6 (>= 1)").c_str()));
  }

  auto edges = need_edges(steps, order);

  EXPECT_THAT(reachable(edges, 0), SizeIs(2999));
}

TEST(Credentials, AreTakenOutOfUris) {
  EXPECT_EQ(without_credentials("https://u:p@host/x@y"), "https://host/x@y");
  EXPECT_EQ(without_credentials("https://u:p@ss@host"), "https://host");
  EXPECT_EQ(without_credentials("file:/srv/a@b"), "file:/srv/a@b");
  EXPECT_EQ(without_credentials_within("a http://u:p@h/x 'ftp://u@h/y' b"), "a http://h/x 'ftp://h/y' b");
}

}  // namespace
}  // namespace prunella
