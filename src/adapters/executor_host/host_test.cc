#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "adapters/executor_host/files.h"
#include "adapters/executor_host/health.h"

namespace prunella {
namespace {

namespace fs = std::filesystem;

/// A root of its own for each test; tests of ownership need to be root.
class Host : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the executor's files belong to root: run as root";
    char name[] = "/tmp/executor-host-XXXXXX";
    directory_ = ::mkdtemp(name);
    for (std::string path : {"etc", "usr/bin", "var/lib/dpkg/info", "var/lib/dpkg/updates", "stage", "var/lib/state"}) fs::create_directories(directory_ / path);
    fs::permissions(directory_ / "var/lib/state", fs::perms::owner_all);
    paths_.state = "/var/lib/state";
    paths_.agent_stage = "/stage";
    root_.emplace(*HostRoot::open(directory_.string()));
    ASSERT_TRUE(prepare_state(*root_, paths_));
  }
  void TearDown() override {
    root_.reset();
    if (!directory_.empty()) fs::remove_all(directory_);
  }
  void write(const std::string& path, const std::string& text) { std::ofstream(directory_ / path.substr(1)) << text; }

  fs::path directory_;
  ExecutorPaths paths_;
  std::optional<HostRoot> root_;
};

TEST_F(Host, FilesComeBackExactlyAsTheyWere) {
  HostFiles files(*root_, paths_);
  write("/etc/a", "mine");
  ::chmod((directory_ / "etc/a").c_str(), 04751);
  ASSERT_EQ(::chown((directory_ / "etc/a").c_str(), 7, 8), 0);
  ::chmod((directory_ / "etc/a").c_str(), 04751);
  FileState before = *files.look("/etc/a");
  EXPECT_EQ(before.mode, 04751u);
  ASSERT_TRUE(files.keep(before));

  fs::remove(directory_ / "etc/a");
  write("/etc/a", "another");
  ASSERT_TRUE(files.put_back(before));

  EXPECT_EQ(*files.look("/etc/a"), before);
}

TEST_F(Host, LinksAndDirectoriesComeBackOverWhateverStandsThere) {
  HostFiles files(*root_, paths_);
  fs::create_symlink("a", directory_ / "etc/link");
  fs::create_directory(directory_ / "etc/dir");
  FileState link = *files.look("/etc/link"), directory = *files.look("/etc/dir");
  fs::remove(directory_ / "etc/link");
  fs::create_directory(directory_ / "etc/link");
  fs::remove(directory_ / "etc/dir");
  write("/etc/dir", "x");

  ASSERT_TRUE(files.put_back(link));
  ASSERT_TRUE(files.put_back(directory));

  EXPECT_EQ(*files.look("/etc/link"), link);
  EXPECT_EQ(*files.look("/etc/dir"), directory);
}

TEST_F(Host, PathsNeverLeaveTheRoot) {
  HostFiles files(*root_, paths_);
  fs::create_directory_symlink("/", directory_ / "etc/up");
  fs::create_directory_symlink("../../../../../..", directory_ / "etc/far");
  write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nagent:x:501:502::/:/bin/sh\n");
  Digest inside = *files.look("/etc/passwd")->sha256;
  EXPECT_EQ(files.look("/etc/up/etc/passwd")->sha256, inside);
  EXPECT_EQ(files.look("/etc/far/etc/passwd")->sha256, inside);
  EXPECT_EQ(files.look("/../../../etc/passwd")->sha256, inside);
  EXPECT_EQ(account_of(*root_, "agent")->gid, 502u);
  EXPECT_EQ(account_of(*root_, "nobody").error().kind(), ErrorKind::kNotFound);
}

TEST_F(Host, RemovesWhatIsEmptyAndKeepsWhatIsNot) {
  HostFiles files(*root_, paths_);
  fs::create_directory(directory_ / "etc/dir");
  write("/etc/dir/a", "x");
  EXPECT_EQ(files.remove("/etc/dir").error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(files.remove("/etc/dir/a"));
  EXPECT_TRUE(files.remove("/etc/dir"));
  EXPECT_TRUE(files.remove("/etc/dir"));
}

TEST_F(Host, StagesOnlyWhatHasTheDigest) {
  DpkgTool dpkg(*root_, paths_);
  HostStage stage(*root_, paths_, dpkg);
  DebFile file{"1", sha256("content"), 7};
  std::string name = "/stage/" + file.sha256.hex() + ".deb";
  EXPECT_EQ(stage.stage(file).error().kind(), ErrorKind::kNotFound);
  write(name, "c0ntent");
  EXPECT_EQ(stage.stage(file).error().kind(), ErrorKind::kCorrupt);
  write(name, "content and more");
  EXPECT_EQ(stage.stage(file).error().kind(), ErrorKind::kCorrupt);
  fs::remove(directory_ / name.substr(1));
  write("/etc/real", "content");
  fs::create_symlink("/etc/real", directory_ / name.substr(1));
  EXPECT_FALSE(stage.stage(file));  // a link isn't followed
  fs::remove(directory_ / name.substr(1));
  ASSERT_EQ(::mkfifo((directory_ / name.substr(1)).c_str(), 0600), 0);
  EXPECT_FALSE(stage.stage(file));  // nor does a pipe hang us
  fs::remove(directory_ / name.substr(1));
  write(name, "content");
  ASSERT_TRUE(stage.stage(file));
  fs::remove(directory_ / name.substr(1));
  EXPECT_TRUE(stage.stage(file));  // ours by now
  stage.clear();
  EXPECT_FALSE(stage.stage(file));
}

TEST_F(Host, KeepsASecondExecutorOutAndItsDirectoryToItself) {
  auto first = prepare_state(*root_, paths_);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(prepare_state(*root_, paths_).error().kind(), ErrorKind::kConflict);
  *first = Fd();
  fs::permissions(directory_ / "var/lib/state", fs::perms::owner_all | fs::perms::others_write);
  EXPECT_EQ(prepare_state(*root_, paths_).error().kind(), ErrorKind::kDenied);
}

TEST_F(Host, JournalFileAppendsAndReplaces) {
  HostJournalFile file(*root_, paths_);
  EXPECT_EQ(*file.read_all(), "");
  ASSERT_TRUE(file.replace("one"));
  ASSERT_TRUE(file.append(" two"));
  ASSERT_TRUE(file.sync());
  EXPECT_EQ(*file.read_all(), "one two");
  ASSERT_TRUE(file.replace("three"));
  ASSERT_TRUE(file.append("!"));
  EXPECT_EQ(*file.read_all(), "three!");
}

TEST_F(Host, JournalRecordsFillWhatWasWrittenAheadAndATearIsStillOne) {
  HostJournalFile file(*root_, paths_);
  Instant now = *parse_rfc3339("2026-11-24T04:00:00Z");
  Journal journal = *Journal::open(file, now);
  fs::path path = directory_ / "var/lib/state/journal";
  auto size = fs::file_size(path);
  std::size_t whole = 0;
  for (std::uint64_t number = 1; number <= 2; ++number) {
    whole = file.read_all()->size();
    JournalRecord record;
    record.at = now;
    record.accepted.emplace();
    record.accepted->run = RunId("RUN-" + std::to_string(number));
    record.accepted->host = record.accepted->plan.host = HostId("web-1");
    record.accepted->cause = std::string(2000, 'x');
    record.accepted->sequence = number;
    ASSERT_TRUE(journal.write(record));
    JournalRecord outcome;
    outcome.at = now;
    outcome.outcome.emplace();
    outcome.outcome->run = record.accepted->run;
    outcome.outcome->host = HostId("web-1");
    if (number == 1) {
      ASSERT_TRUE(journal.write(outcome));
    }
  }
  EXPECT_EQ(fs::file_size(path), size) << "else each sync waits for the file's new length";
  // The power goes while the second acceptance is written: its end never reached the disk.
  std::fstream disk(path, std::ios::in | std::ios::out | std::ios::binary);
  disk.seekp(static_cast<std::streamoff>(whole + 700));
  disk << std::string(file.read_all()->size() - whole - 700, '\0');
  disk.close();
  HostJournalFile after(*root_, paths_);
  auto opened = Journal::open(after, now);
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_TRUE(opened->torn());
  EXPECT_EQ(opened->state().memory.last_sequence, 1u);
  EXPECT_EQ(opened->state().outcomes.size(), 1u);
}

TEST_F(Host, PathsFollowDiversions) {
  DpkgTool dpkg(*root_, paths_);
  write("/var/lib/dpkg/info/tool.list", "/.\n/usr\n/usr/bin/tool\n");
  write("/var/lib/dpkg/info/lib:amd64.list", "/.\n/usr/lib/a\n");
  write("/var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.real\nother\n");
  EXPECT_EQ(*dpkg.paths({"tool", "amd64"}), std::vector<std::string>({"/usr", "/usr/bin/tool.real"}));
  EXPECT_EQ(*dpkg.paths({"lib", "amd64"}), std::vector<std::string>({"/usr/lib/a"}));
  EXPECT_EQ(dpkg.paths({"none", "amd64"}).error().kind(), ErrorKind::kNotFound);
}

TEST(RunTool, GivesLinesAndTheExitCodeOfAProgramWithACleanEnvironment) {
  if (::geteuid() != 0) GTEST_SKIP() << "programs are checked to be root's";
  ::setenv("LD_PRELOAD_PROBE", "1", 1);
  HostRoot root = *HostRoot::open("/");
  std::vector<std::string> lines;
  ToolCall call;
  call.program = "/usr/bin/env";
  call.deadline = HostClock().steady() + std::chrono::seconds(20);
  call.line = [&](std::string line) { lines.push_back(std::move(line)); };
  EXPECT_EQ(*run_tool(root, call), 0);
  EXPECT_EQ(lines, std::vector<std::string>({"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", std::string(kToolMark)}));
  call.program = "/usr/bin/false";
  EXPECT_EQ(*run_tool(root, call), 1);
}

TEST(RunTool, EndsAProgramAtItsDeadline) {
  if (::geteuid() != 0) GTEST_SKIP() << "programs are checked to be root's";
  HostRoot root = *HostRoot::open("/");
  ToolCall call;
  call.program = "/usr/bin/sleep";
  call.arguments = {"600"};
  call.deadline = HostClock().steady() + Duration(50);
  auto code = run_tool(root, call);
  ASSERT_FALSE(code);
  EXPECT_NE(code.error().text().find("deadline"), std::string::npos);
}

TEST_F(Host, RunsNoProgramThatOthersMayWrite) {
  write("/usr/bin/tool", "#!/bin/sh\n");
  fs::permissions(directory_ / "usr/bin/tool", fs::perms::all);
  ToolCall call;
  call.program = "/usr/bin/tool";
  EXPECT_EQ(run_tool(*root_, call).error().kind(), ErrorKind::kDenied);
  call.program = "/usr/bin/none";
  EXPECT_EQ(run_tool(*root_, call).error().kind(), ErrorKind::kNotFound);
}

TEST_F(Host, HealthCommandIsAbsentOrAskedOrUnknown) {
  ToolWatch watch;
  watch.deadline = HostClock().steady() + std::chrono::seconds(20);
  EXPECT_EQ(HostHealth(*root_, {}).healthy(watch).error().kind(), ErrorKind::kNotFound);
  write("/etc/passwd", "nobody:x:65534:65534::/:/bin/false\n");
  HealthCommand missing;
  missing.argv = {"/usr/bin/no-such-program"};
  EXPECT_EQ(HostHealth(*root_, missing).healthy(watch).error().kind(), ErrorKind::kUnavailable);
  HostRoot host = *HostRoot::open("/");
  HealthCommand yes, no;
  yes.argv = {"/usr/bin/true"};
  no.argv = {"/usr/bin/false"};
  EXPECT_EQ(*HostHealth(host, yes).healthy(watch), true);
  EXPECT_EQ(*HostHealth(host, no).healthy(watch), false);
}

}  // namespace
}  // namespace prunella
