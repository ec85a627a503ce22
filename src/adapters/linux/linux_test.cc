#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "adapters/linux/files.h"
#include "adapters/linux/host.h"
#include "adapters/linux/programs.h"
#include "adapters/linux/system_clock.h"
#include "adapters/linux/watcher.h"

namespace prunella {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// A directory that goes with the test.
class LinuxTest : public ::testing::Test {
 protected:
  LinuxTest() {
    char name[] = "/tmp/prunella-linux-test-XXXXXX";
    root = ::mkdtemp(name);
  }
  ~LinuxTest() override { std::filesystem::remove_all(root); }
  void put(const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path, std::ios::binary) << content;
  }
  std::string root;
};

ProgramCall shell(const std::string& script) {
  ProgramCall call;
  call.arguments = {"/bin/sh", "-c", script};
  call.environment = {"PATH=/usr/bin:/bin"};
  call.time_max = 20s;
  return call;
}

using Files = LinuxTest;

TEST_F(Files, ReadsWholeFilesAndTheKernelsOwn) {
  put("/file", std::string(200'000, 'x'));

  auto file = read_file(root + "/file", 200'000);
  auto kernel = read_file("/proc/self/status", 1 << 20);

  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->size(), 200'000u);
  ASSERT_TRUE(kernel);
  EXPECT_THAT(*kernel, HasSubstr("Pid:"));
}

TEST_F(Files, RefusesWhatIsTooLargeMissingOrNoFile) {
  put("/file", std::string(1000, 'x'));
  ASSERT_EQ(::mkfifo((root + "/pipe").c_str(), 0600), 0);

  EXPECT_EQ(read_file(root + "/file", 999).error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(read_file("/dev/zero", 10).error().kind(), ErrorKind::kInvalidInput);
  EXPECT_EQ(read_file(root + "/pipe", 10).error().kind(), ErrorKind::kInvalidInput);
  EXPECT_EQ(read_file(root, 10).error().kind(), ErrorKind::kInvalidInput);
  EXPECT_EQ(read_file(root + "/none", 10).error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(read_file(root + "/none", 10).error().text(), HasSubstr(root + "/none"));
  EXPECT_EQ(read_file("/proc/self/status", 10).error().kind(), ErrorKind::kExhausted);
}

TEST_F(Files, ReplacesAFileWithItsMode) {
  put("/file", "old");

  auto written = write_file_atomically(root + "/file", "new", 0640);

  ASSERT_TRUE(written) << written.error().text();
  EXPECT_EQ(*read_file(root + "/file", 10), "new");
  struct stat about{};
  ASSERT_EQ(::stat((root + "/file").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0640u);
  EXPECT_THAT(*list_directory(root, 10), ElementsAre("file"));
  EXPECT_EQ(write_file_atomically(root + "/none/file", "x", 0600).error().kind(), ErrorKind::kNotFound);
}

TEST_F(Files, ListsNamesInOrderUpToALimit) {
  put("/b", ""), put("/a", ""), put("/.c", "");

  EXPECT_THAT(*list_directory(root, 3), ElementsAre(".c", "a", "b"));
  EXPECT_EQ(list_directory(root, 2).error().kind(), ErrorKind::kExhausted);
}

TEST(Programs, KeepBothStreamsAndTheExitCode) {
  LinuxPrograms programs;

  auto result = programs.run(shell("echo out; echo err >&2; exit 3"));

  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\n");
  EXPECT_EQ(result->errors, "err\n");
  EXPECT_FALSE(result->succeeded());
  EXPECT_EQ(ending_text("sh", *result), "sh ended with 3: 'err'");
}

TEST(Programs, MergeStreamsAndTellSignals) {
  LinuxPrograms programs;
  ProgramCall call = shell("echo a; echo b >&2; echo c; kill -TERM $$");
  call.merge_stderr = true;

  auto result = programs.run(call);

  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "a\nb\nc\n");
  EXPECT_EQ(result->signal, SIGTERM);
  EXPECT_FALSE(result->exit_code);
}

TEST(Programs, GetNothingButWhatTheCallSays) {
  LinuxPrograms programs;
  ::setenv("PRUNELLA_SECRET", "1", 1);
  int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, on purpose
  ProgramCall call = shell("env; pwd; cat; ls /proc/self/fd");
  call.directory = "/usr";

  auto result = programs.run(call);

  ::close(leaked);
  ASSERT_TRUE(result);
  EXPECT_THAT(result->output, ::testing::Not(HasSubstr("PRUNELLA_SECRET")));
  EXPECT_THAT(result->output, HasSubstr("/usr\n"));
  // 0, 1, 2, and the directory that ls reads.
  EXPECT_TRUE(result->output.ends_with("0\n1\n2\n3\n")) << result->output;
}

TEST(Programs, AreKilledWithTheirChildrenWhenTimeIsOver) {
  LinuxPrograms programs;
  ProgramCall call = shell("sleep 1000 & echo $!; exec 1>&-; wait");
  std::string child;
  call.on_stdout = [&](std::string_view piece) {
    child += piece;
    return true;
  };
  call.time_max = 300ms;

  auto result = programs.run(call);

  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(result.error().text(), HasSubstr("did not end within 300ms"));
  ASSERT_GT(std::atoi(child.c_str()), 1);
  // The signal was sent; on a busy machine its receiver dies a moment later. A descriptor tells when (pidfd_open(2)).
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, std::atoi(child.c_str()), 0));
  if (fd < 0) return;  // it is gone already
  pollfd ended{fd, POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 10'000), 1);
  ::close(fd);
}

TEST(Programs, DoNotKeepUsWaitingForWhatTheyLeftBehind) {
  LinuxPrograms programs;

  auto result = programs.run(shell("sleep 1000 & echo done"));

  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->output, "done\n");
  EXPECT_EQ(result->exit_code, 0);
}

TEST(Programs, AreKilledWhenTheyWriteTooMuchOrNeverStop) {
  LinuxPrograms programs;
  ProgramCall much = shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
  much.stdout_max = 10'000;
  ProgramCall endless = shell("exec cat /dev/zero");
  endless.on_stdout = [](std::string_view) { return true; };
  endless.time_max = 300ms;

  auto exhausted = programs.run(much);
  auto late = programs.run(endless);

  ASSERT_FALSE(exhausted);
  EXPECT_EQ(exhausted.error().kind(), ErrorKind::kExhausted);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::kUnavailable);
}

TEST(Programs, EndWhenTheReaderHasEnough) {
  LinuxPrograms programs;
  ProgramCall call = shell("while :; do echo x; done");
  std::size_t bytes = 0;
  call.on_stdout = [&](std::string_view piece) { return (bytes += piece.size()) < 100'000; };

  auto result = programs.run(call);

  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->stopped_early);
  EXPECT_TRUE(result->succeeded());
}

TEST(Programs, TellTheirProgressOnDescriptorThree) {
  LinuxPrograms programs;
  ProgramCall call = shell("echo pmstatus:a:10:x >&3; printf half >&3; printf 'line\\n' >&3; echo out");
  std::vector<std::string> lines;
  call.on_status_line = [&](std::string_view line) { lines.emplace_back(line); };

  auto result = programs.run(call);

  ASSERT_TRUE(result);
  EXPECT_THAT(lines, ElementsAre("pmstatus:a:10:x", "halfline"));
  EXPECT_EQ(result->output, "out\n");
}

TEST(Programs, AreNotFoundWithTheirName) {
  LinuxPrograms programs;
  ProgramCall call = shell("");
  call.arguments = {"/usr/bin/prunella-no-such-program"};

  auto result = programs.run(call);

  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(result.error().text(), HasSubstr("prunella-no-such-program"));
}

TEST(SystemClockAndRandom, GiveWhatTheKernelHas) {
  SystemClock clock;
  SystemRandom random;

  EXPECT_GT(clock.now().time_since_epoch().count(), 1'600'000'000'000);
  Monotonic before = clock.steady();
  EXPECT_LE(before, clock.steady());
  EXPECT_NE(random.next(), random.next());
}

class WatcherTest : public LinuxTest {
 protected:
  // What the watcher tells within five seconds, or nothing.
  static WatchNews wait_for_news(Watcher& watcher) {
    for (int round = 0; round < 50; ++round) {
      pollfd polled{watcher.fd(), POLLIN, 0};
      if (::poll(&polled, 1, 100) <= 0) continue;
      auto news = watcher.news();
      EXPECT_TRUE(news) << (news ? "" : news.error().text());
      if (!news || !news->empty()) return news ? *news : WatchNews();
    }
    return {};
  }
};

TEST_F(WatcherTest, SeesThatDpkgReplacesItsStatus) {
  put("/var/lib/dpkg/status", "old");
  std::filesystem::create_directories(root + "/var/lib/dpkg/updates");
  auto watcher = Watcher::open(host_watches(root));
  ASSERT_TRUE(watcher) << watcher.error().text();

  put("/var/lib/dpkg/status-new", "new");
  std::filesystem::rename(root + "/var/lib/dpkg/status-new", root + "/var/lib/dpkg/status");
  WatchNews replaced = wait_for_news(*watcher);
  put("/var/lib/dpkg/updates/0001", "x");
  WatchNews fragment = wait_for_news(*watcher);
  put("/var/lib/dpkg/lock", "");
  auto other = watcher->news();

  EXPECT_THAT(replaced.topics, ElementsAre("packages"));
  EXPECT_THAT(fragment.topics, ElementsAre("packages"));
  ASSERT_TRUE(other);
  EXPECT_THAT(other->topics, IsEmpty()) << "the lock is nobody's fact";
}

TEST_F(WatcherTest, WaitsForDirectoriesThatComeAndSurvivesThatTheyGo) {
  auto watcher = Watcher::open({{root + "/a/b", "topic", {}, true}});
  ASSERT_TRUE(watcher) << watcher.error().text();

  std::filesystem::create_directory(root + "/a");
  (void)watcher->news();
  std::filesystem::create_directory(root + "/a/b");
  WatchNews came = wait_for_news(*watcher);
  put("/a/b/file", "x");
  WatchNews changed = wait_for_news(*watcher);
  std::filesystem::remove_all(root + "/a");
  WatchNews gone = wait_for_news(*watcher);
  (void)watcher->news();
  std::filesystem::create_directories(root + "/a/b");
  WatchNews again = wait_for_news(*watcher);
  put("/a/b/file", "y");
  WatchNews last = wait_for_news(*watcher);

  for (const WatchNews* news : {&came, &changed, &gone, &again, &last}) EXPECT_THAT(news->topics, ElementsAre("topic"));
}

TEST_F(WatcherTest, FollowsADirectoryThatIsReplacedByRename) {
  std::filesystem::create_directories(root + "/lists");
  std::filesystem::create_directories(root + "/new");
  auto watcher = Watcher::open({{root + "/lists", "lists", {}, true}});
  ASSERT_TRUE(watcher);

  std::filesystem::rename(root + "/lists", root + "/old");
  std::filesystem::rename(root + "/new", root + "/lists");
  WatchNews moved = wait_for_news(*watcher);
  (void)watcher->news();
  put("/old/file", "x");
  auto of_old = watcher->news();
  put("/lists/file", "x");
  WatchNews of_new = wait_for_news(*watcher);

  EXPECT_THAT(moved.topics, ElementsAre("lists"));
  EXPECT_THAT(of_old->topics, IsEmpty());
  EXPECT_THAT(of_new.topics, ElementsAre("lists"));
}

TEST_F(WatcherTest, SaysThatTheKernelLostChanges) {
  put("/d/file", "x");
  std::ifstream limit_file("/proc/sys/fs/inotify/max_queued_events");
  int limit = 0;
  limit_file >> limit;
  if (limit <= 0 || limit > 20'000) GTEST_SKIP() << "a queue of " << limit << " events is not filled in reasonable time";
  auto watcher = Watcher::open({{root + "/d", "topic", {"nothing"}, true}});
  ASSERT_TRUE(watcher);

  // Two events a round, never equal to the one before, so that the kernel can't merge them.
  for (int i = 0; i < limit / 2 + 10; ++i) {
    ASSERT_EQ(::rename((root + "/d/file").c_str(), (root + "/d/other").c_str()), 0);
    ASSERT_EQ(::rename((root + "/d/other").c_str(), (root + "/d/file").c_str()), 0);
  }
  auto news = watcher->news();

  ASSERT_TRUE(news);
  EXPECT_TRUE(news->overflow);
}

class HostTest : public LinuxTest {
 protected:
  HostTest() {
    put("/var/lib/dpkg/status",
        "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n\n"
        "Package: linux-image-6.1.0-40-amd64\nStatus: install ok installed\nArchitecture: amd64\nVersion: 6.1.153-1\nSource: linux-signed-amd64 (6.1.153+1)\n");
    put("/var/lib/dpkg/updates/0000", "Package: dpkg\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 1.21.23\n");
    put("/var/lib/dpkg/updates/tmp.i", "half");
    put("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    put("/proc/sys/kernel/random/boot_id", "02b05e35-8c98-4c86-b712-52e9203b9185\n");
    put("/proc/meminfo", "MemTotal:       24683620 kB\nMemFree: 1 kB\n");
  }
};

TEST_F(HostTest, ReadsPackagesWithUnfinishedUpdates) {
  auto facts = sense_packages(root);

  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_TRUE(facts->updates_pending);
  ASSERT_THAT(facts->packages, SizeIs(2));
  EXPECT_EQ(facts->packages[0].version, "1.21.23");
  EXPECT_EQ(facts->packages[0].state, PackageState::kUnpacked);
}

TEST_F(HostTest, TellsTheSystemAndTheContainerItRunsIn) {
  auto packages = sense_packages(root);
  auto bare = sense_system(root, *packages);
  put("/run/systemd/container", "systemd-nspawn\n");
  auto contained = sense_system(root, *packages);

  ASSERT_TRUE(bare) << bare.error().text();
  EXPECT_EQ(bare->os_codename, "bookworm");
  EXPECT_EQ(bare->arch, "amd64");
  EXPECT_EQ(bare->boot_id, "02b05e35-8c98-4c86-b712-52e9203b9185");
  EXPECT_EQ(bare->memory_bytes, 24683620ull * 1024);
  EXPECT_GE(bare->cpus, 1u);
  EXPECT_FALSE(bare->container);
  ASSERT_TRUE(contained);
  EXPECT_EQ(contained->container, "systemd-nspawn");
}

TEST_F(HostTest, IsUnknownWhereAFactIsMissing) {
  auto packages = sense_packages(root);
  put("/etc/os-release", "ID=debian\n");

  EXPECT_THAT(sense_system(root, *packages).error().text(), HasSubstr("no VERSION_ID"));
  std::filesystem::remove(root + "/var/lib/dpkg/status");
  EXPECT_EQ(sense_packages(root).error().kind(), ErrorKind::kNotFound);
}

TEST_F(HostTest, SeesTheRebootMarker) {
  auto packages = sense_packages(root);
  put("/run/reboot-required", "*** System restart required ***\n");
  put("/run/reboot-required.pkgs", "libc6\ndbus\n");

  KernelFacts facts = sense_kernel(root, *packages);

  EXPECT_EQ(facts.reboot, RebootNeed::kYes);
  EXPECT_EQ(facts.reasons.at(0).detail, "asked for by libc6, dbus");
  EXPECT_THAT(facts.installed, SizeIs(1));
}

TEST(Disk, KnowsTheFilesystemsOfThisMachine) {
  auto facts = sense_disk();

  ASSERT_TRUE(facts) << facts.error().text();
  ASSERT_FALSE(facts->filesystems.empty());
  EXPECT_THAT(facts->filesystems[0].mount, StartsWith("/"));
  EXPECT_GT(facts->filesystems[0].size_bytes, 0u);
}

}  // namespace
}  // namespace prunella
