// Runs the real apt, as whoever runs the test, over archives of the test's own (tests/corpus/observe/capture_apt.sh).
#include "adapters/apt/apt_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "adapters/apt/apt_files.h"
#include "adapters/apt/deb.h"
#include "adapters/linux/programs.h"
#include "base/text.h"
#include "observe/dpkg_status.h"

namespace prunella {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Good enough for the versions of these archives; the product passes the order of match/.
int order(std::string_view a, std::string_view b) { return a == b ? 0 : a < b ? -1 : 1; }

class AptViewTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    char name[] = "/tmp/prunella-apt-test-XXXXXX";
    base_ = new std::string(::mkdtemp(name));
    ProgramCall make;
    make.arguments = {"/bin/bash", PRUNELLA_SOURCE_DIR "/tests/corpus/observe/capture_apt.sh", *base_ + "/captured"};
    make.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PRUNELLA_KEEP_ROOT=" + *base_};
    make.time_max = 100s;
    auto made = LinuxPrograms().run(make);
    if (!made) *trouble_ = made.error().text();
    else if (!made->succeeded()) *trouble_ = ending_text("capture_apt.sh", *made);
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(*base_);
    delete base_;
  }

  void SetUp() override {
    for (const char* tool : {"/usr/bin/apt-get", "/usr/bin/dpkg-scanpackages", "/usr/bin/gpg"})
      if (!std::filesystem::exists(tool)) GTEST_SKIP() << tool << " isn't here: no archives can be made";
    ASSERT_EQ(*trouble_, "");
    std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    places_.directory = *base_ + "/" + test;
    places_.status = root() + "/var/lib/dpkg/status";
    places_.archives = root() + "/cache/archives";
    places_.etc = root() + "/etc/apt";
    places_.extra_configuration = "Dir::State \"" + root() + "\";\nDir::State::lists \"" + places_.directory + "/lists/\";\nDir::State::status \"" +
                                  places_.status + "\";\nDir::Log \"" + root() + "/log/\";\nAPT::Get::Never-Include-Phased-Updates \"true\";\n"
                                  "APT::Sandbox::User \"root\";\n";
    auto facts = parse_dpkg_status(read(places_.status), false);
    ASSERT_TRUE(facts) << facts.error().text();
    packages_ = *std::move(facts);
  }

  static std::string root() { return *base_ + "/root"; }
  static std::string read(const std::string& path) { return apt_files::read_whole(path, 1 << 20).value_or(""); }

  AptView opened() {
    auto view = AptView::open(places_, programs_);
    EXPECT_TRUE(view) << (view ? "" : view.error().text());
    return *std::move(view);
  }
  AptView refreshed() {
    AptView view = opened();
    auto done = view.refresh(Instant(1000ms));
    EXPECT_TRUE(done) << (done ? "" : done.error().text());
    return view;
  }
  UpdateFacts simulated(AptView& view) {
    auto facts = view.simulate(packages_, "bookworm", order);
    EXPECT_TRUE(facts) << (facts ? "" : facts.error().text());
    return facts ? *std::move(facts) : UpdateFacts();
  }
  static const Update* find(const UpdateFacts& facts, const std::string& name) {
    for (const Update& update : facts.updates)
      if (update.package.name == name) return &update;
    return nullptr;
  }
  static std::string block(const Update* update) { return !update ? "no update" : !update->block ? "free" : std::string(to_text(update->block->kind)); }
  static std::string arch(const PackageFacts& packages) { return *native_architecture(packages); }

  LinuxPrograms programs_;
  AptPlaces places_;
  PackageFacts packages_;

 private:
  static inline std::string* base_ = nullptr;
  static inline std::string* trouble_ = new std::string;
};

TEST_F(AptViewTest, TellsEachUpdateAndWhatStandsAgainstIt) {
  AptView view = refreshed();

  UpdateFacts facts = simulated(view);

  struct Case {
    const char* name;
    const char* block;
    bool security;
    const char* said;
  };
  const Case cases[] = {
      {"libfoo", "free", true, ""},     {"foo-tools", "free", true, ""},
      {"held", "held", true, "held"},   {"pinned", "pinned", true, "priority 500"},
      {"phased", "phased", true, "phased at 0 %"}, {"removes", "needs-removal", true, "victim"},
      {"plain", "free", false, ""},     {"third", "free", false, ""},
      {"needed", "free", false, ""},    {"closure", "free", true, ""},
      {"added", "free", true, ""},      {"rearch", "kept-back", true, "architecture changes from"},
      {"overtaken", "free", true, ""},
  };
  for (const Case& c : cases) {
    const Update* update = find(facts, c.name);
    EXPECT_EQ(block(update), c.block) << c.name;
    if (!update) continue;
    EXPECT_EQ(update->security, c.security) << c.name;
    EXPECT_THAT(update->block ? update->block->detail : "", HasSubstr(c.said)) << c.name;
    EXPECT_GT(update->to.size_bytes, 0u) << c.name;
    EXPECT_NE(update->to.sha256, Digest()) << c.name;
  }
  EXPECT_THAT(facts.updates, SizeIs(std::size(cases)));
  EXPECT_THAT(facts.removals, ElementsAre("victim:all"));
  EXPECT_EQ(find(facts, "overtaken")->to.version, "1.0-2") << "the point release is newer than the fix it has overtaken";
  EXPECT_EQ(find(facts, "overtaken")->archive, "Debian:stable");
  EXPECT_EQ(find(facts, "libfoo")->archive, "Debian-Security:stable-security");
}

TEST_F(AptViewTest, TellsWhatComesAlongAndTheWayBack) {
  AptView view = refreshed();
  std::string name = deb_file_name({"plain", arch(packages_)}, "1.0-1");
  std::ofstream(places_.archives + "/" + name) << "the installed version's file";

  UpdateFacts facts = simulated(view);

  std::filesystem::remove(places_.archives + "/" + name);
  std::string native = arch(packages_);
  EXPECT_THAT(*find(facts, "libfoo")->needs, IsEmpty());
  EXPECT_THAT(*find(facts, "foo-tools")->needs, ElementsAre("libfoo:" + native));
  EXPECT_THAT(*find(facts, "closure")->needs, ElementsAre("added:" + native, "needed:" + native));
  EXPECT_FALSE(find(facts, "plain")->needs) << "nobody asks about what is no security update";
  EXPECT_EQ(find(facts, "libfoo")->from->version, "1.0-1");
  ASSERT_TRUE(find(facts, "plain")->from) << "the host's cache has it";
  EXPECT_EQ(find(facts, "plain")->from->sha256, sha256("the installed version's file"));
  EXPECT_FALSE(find(facts, "needed")->from);
  EXPECT_FALSE(find(facts, "added")->from_version);
}

TEST_F(AptViewTest, NamesTheStateOfEachRepository) {
  AptView view = opened();
  UpdateFacts before = simulated(view);
  ASSERT_TRUE(view.refresh(Instant(5000ms)));
  UpdateFacts after = simulated(view);
  AptView again = opened();
  UpdateFacts remembered = simulated(again);

  ASSERT_THAT(before.repositories, SizeIs(3));
  for (const Repository& repository : before.repositories) EXPECT_EQ(repository.state, RepositoryState::kMissing);
  EXPECT_TRUE(before.repositories[1].security) << "by its name, as long as nothing better is known";
  EXPECT_THAT(before.updates, IsEmpty());
  EXPECT_FALSE(before.lists_at);
  for (const Repository& repository : after.repositories) EXPECT_EQ(repository.state, RepositoryState::kOk) << repository.detail;
  EXPECT_FALSE(after.repositories[2].security) << "a third party with the distribution's label";
  EXPECT_EQ(after.lists_at, Instant(5000ms));
  EXPECT_EQ(remembered.lists_at, Instant(5000ms));
  EXPECT_EQ(remembered.repositories, after.repositories);
}

TEST_F(AptViewTest, KeepsWhatItHasOfAnArchiveThatWentWrong) {
  AptView view = refreshed();
  std::string release = root() + "/../archive/security/dists/bookworm-security/InRelease";
  std::string good = read(release), bad = good;
  bad.replace(bad.find("Debian-Security"), 15, "Xebian-Security");
  std::ofstream(release) << bad;

  auto done = view.refresh(Instant(9000ms));
  UpdateFacts facts = simulated(view);

  std::ofstream(release) << good;
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(facts.repositories.at(1).state, RepositoryState::kBadSignature);
  EXPECT_THAT(facts.repositories[1].detail, HasSubstr("BADSIG"));
  EXPECT_TRUE(facts.repositories[1].security);
  EXPECT_EQ(facts.lists_at, Instant(1000ms)) << "not complete this time";
  EXPECT_EQ(block(find(facts, "libfoo")), "free") << "the lists it has are still those that were signed";
}

TEST_F(AptViewTest, SaysWhatAptSaidWhenItsConfigurationIsBroken) {
  AptView view = refreshed();
  std::string extra = root() + "/etc/apt/sources.list.d/broken.list";
  std::ofstream(extra) << "nonsense\n";

  auto refreshed_again = view.refresh(Instant(9000ms));
  auto facts = view.simulate(packages_, "bookworm", order);

  std::filesystem::remove(extra);
  ASSERT_FALSE(refreshed_again);
  EXPECT_THAT(refreshed_again.error().text(), HasSubstr("Malformed"));
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().kind(), ErrorKind::kUnavailable);
}

TEST_F(AptViewTest, RunsNoHookOfTheHostAndTakesNothingUnsigned) {
  AptView view = opened();
  ProgramCall dump;
  dump.arguments = {"/usr/bin/apt-config", "-c", places_.directory + "/apt.conf", "dump"};
  dump.environment = {"PATH=/usr/bin:/bin"};
  dump.time_max = 20s;

  auto configuration = programs_.run(dump);

  ASSERT_TRUE(configuration);
  EXPECT_THAT(configuration->output, Not(HasSubstr("Invoke:: ")));
  EXPECT_THAT(configuration->output, Not(HasSubstr("Pre-Install-Pkgs:: ")));
  EXPECT_THAT(configuration->output, HasSubstr("Acquire::AllowInsecureRepositories \"false\""));
  EXPECT_THAT(configuration->output, HasSubstr("APT::Get::AllowUnauthenticated \"false\""));
}

TEST_F(AptViewTest, ReadsCvesAndConffilesFromTheFiles) {
  AptView view = refreshed();
  UpdateFacts facts = simulated(view);

  std::vector<std::string> reasons = view.study(facts, packages_, order, places_.directory + "/stage", 1 << 20);
  UpdateFacts later = simulated(view);

  EXPECT_THAT(*find(facts, "libfoo")->conffiles, ElementsAre(ConffileChange{"/etc/foo/foo.conf", {"libfoo", arch(packages_)}, ConffileFate::kKept}))
      << "the file isn't on this machine: dpkg keeps that";
  for (const UpdateFacts* told : {&facts, &later})
    for (const char* name : {"libfoo", "foo-tools"}) {
      EXPECT_THAT(find(*told, name)->cves, ElementsAre("CVE-2024-0001")) << name << ", one source's changelog is that of all";
      EXPECT_TRUE(find(*told, name)->changelog_read) << name;
    }
  EXPECT_FALSE(find(facts, "closure")->changelog_read) << "it carries none";
  EXPECT_THAT(*find(facts, "closure")->conffiles, IsEmpty());
  EXPECT_FALSE(find(facts, "plain")->conffiles) << "no security update";
  EXPECT_THAT(reasons, IsEmpty());
}

TEST_F(AptViewTest, StagesBothSetsByTheirDigests) {
  AptView view = refreshed();
  UpdateFacts facts = simulated(view);
  const Update& update = *find(facts, "libfoo");
  std::vector<WantedFile> files = {{update.package, update.to}, {update.package, *update.from}};
  std::string stage = places_.directory + "/stage";
  int told = 0;

  auto first = view.download(files, stage, 1 << 20, arch(packages_), [&](const AptProgress&) { ++told; });
  std::string staged = stage + "/" + update.to.sha256.hex() + ".deb";
  Digest digest = apt_files::hash_file(staged).value_or(Digest());
  std::ofstream(staged) << "damaged";
  auto repaired = view.download(files, stage, 1 << 20, arch(packages_), {});

  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(digest, update.to.sha256);
  EXPECT_TRUE(std::filesystem::exists(stage + "/" + update.from->sha256.hex() + ".deb"));
  ASSERT_TRUE(repaired) << repaired.error().text();
  EXPECT_EQ(*apt_files::hash_file(staged), update.to.sha256);
  EXPECT_EQ(std::filesystem::status(staged).permissions(), std::filesystem::perms(0644));
}

TEST_F(AptViewTest, RefusesToStageWhatIsTooMuchOrAnotherFile) {
  AptView view = refreshed();
  UpdateFacts facts = simulated(view);
  WantedFile good{find(facts, "libfoo")->package, find(facts, "libfoo")->to}, other = good, gone = good;
  other.file.sha256 = sha256("something else");
  gone.file.version = "9.9-9";
  gone.file.sha256 = sha256("gone");
  std::string stage = places_.directory + "/stage";

  auto too_much = view.download({good}, stage, 10, arch(packages_), {});
  auto moved = view.download({other}, stage, 1 << 20, arch(packages_), {});
  auto absent = view.download({gone}, stage, 1 << 20, arch(packages_), {});

  ASSERT_FALSE(too_much);
  ASSERT_FALSE(moved);
  ASSERT_FALSE(absent);
  EXPECT_EQ(too_much.error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(moved.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(absent.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(absent.error().text(), HasSubstr("9.9-9"));
  for (const WantedFile* wanted : {&good, &other, &gone}) EXPECT_FALSE(std::filesystem::exists(stage + "/" + wanted->file.sha256.hex() + ".deb"));
}

TEST_F(AptViewTest, ReadsAFilesControlAndRefusesWhatIsNoDeb) {
  AptView view = refreshed();
  UpdateFacts facts = simulated(view);
  std::string stage = places_.directory + "/stage";
  const Update& update = *find(facts, "libfoo");
  ASSERT_TRUE(view.download({{update.package, update.to}}, stage, 1 << 20, arch(packages_), {}));
  std::string deb = stage + "/" + update.to.sha256.hex() + ".deb";
  std::string cut = read(deb);
  std::ofstream(stage + "/cut.deb") << cut.substr(0, cut.size() / 2);
  std::ofstream(stage + "/text.deb") << "no archive\n";

  auto control = control_of(programs_, deb);
  auto changelog = changelog_of(programs_, deb, "libfoo");

  ASSERT_TRUE(control) << control.error().text();
  EXPECT_THAT(*control, HasSubstr("Package: libfoo\nVersion: 1.0-1+deb12u1"));
  ASSERT_TRUE(changelog) << changelog.error().text();
  EXPECT_THAT(*changelog, HasSubstr("CVE-2024-0001"));
  EXPECT_EQ(changelog_of(programs_, deb, "other").error().kind(), ErrorKind::kNotFound);
  for (const char* name : {"/text.deb", "/none.deb"}) {
    auto refused = control_of(programs_, stage + name);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << name;
  }
  auto cut_short = conffiles_of(programs_, stage + "/cut.deb");
  ASSERT_FALSE(cut_short) << "its control files are whole, its content isn't";
  EXPECT_EQ(cut_short.error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace prunella
