// Kernels, os-release, control groups, maps, units, mounts, progress, tar: the small readers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "observe/apt_status_fd.h"
#include "observe/cgroup.h"
#include "observe/conffiles.h"
#include "observe/kernel.h"
#include "observe/maps.h"
#include "observe/mounts.h"
#include "observe/os_release.h"
#include "observe/tar.h"
#include "observe/units.h"

namespace prunella {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Package image(const std::string& name, const std::string& version, PackageState state = PackageState::kInstalled) {
  Package package;
  package.package = {name, "amd64"};
  package.version = version;
  package.state = state;
  return package;
}

KernelProbe debian_probe() {
  KernelProbe probe;
  probe.release = "6.1.0-39-amd64";
  probe.build = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.148-1 (2025-08-26)";
  probe.packages = PackageFacts{{image("linux-image-6.1.0-39-amd64", "6.1.148-1"), image("linux-image-amd64", "6.1.153-1")}, false};
  probe.marker = RebootMarker{};
  probe.container_known = true;
  return probe;
}

TEST(Kernel, NeedsNoRebootWhenTheNewestImageRuns) {
  KernelFacts facts = kernel_facts(debian_probe());

  EXPECT_EQ(facts.reboot, RebootNeed::kNo);
  EXPECT_EQ(facts.running_version, "6.1.148-1");
  EXPECT_EQ(facts.newest_same_flavour, "6.1.0-39-amd64");
  EXPECT_THAT(facts.reasons, IsEmpty());
}

TEST(Kernel, NeedsARebootForANewerImageOfItsFlavour) {
  KernelProbe probe = debian_probe();
  probe.packages->packages.push_back(image("linux-image-6.1.0-100-amd64", "6.1.153-1"));

  KernelFacts facts = kernel_facts(probe);

  EXPECT_EQ(facts.reboot, RebootNeed::kYes);
  EXPECT_EQ(facts.newest_same_flavour, "6.1.0-100-amd64");
  ASSERT_EQ(facts.reasons.size(), 1u);
  EXPECT_EQ(facts.reasons[0].source, "kernel");
  EXPECT_EQ(facts.reasons[0].detail, "6.1.0-39-amd64 runs, 6.1.0-100-amd64 is installed");
}

TEST(Kernel, IgnoresOtherFlavoursDebugSymbolsAndRemovedImages) {
  KernelProbe probe = debian_probe();
  for (const char* name : {"linux-image-6.1.0-99-cloud-amd64", "linux-image-6.1.0-99-rt-amd64", "linux-image-6.1.0-99-amd64-dbg", "linux-headers-6.1.0-99-amd64"})
    probe.packages->packages.push_back(image(name, "6.1.200-1"));
  probe.packages->packages.push_back(image("linux-image-6.1.0-98-amd64", "6.1.199-1", PackageState::kConfigFiles));

  KernelFacts facts = kernel_facts(probe);

  EXPECT_EQ(facts.reboot, RebootNeed::kNo);
  EXPECT_EQ(facts.installed.size(), 3u);
}

TEST(Kernel, SeesThatTheRunningBuildIsOlderThanThePackageOfItsRelease) {
  KernelProbe probe = debian_probe();
  probe.packages->packages[0].version = "6.1.153-1";

  KernelFacts facts = kernel_facts(probe);

  EXPECT_EQ(facts.reboot, RebootNeed::kYes);
  EXPECT_THAT(facts.reasons.at(0).detail, HasSubstr("installed is 6.1.153-1"));
}

TEST(Kernel, IsUnknownWhenALookFailedAndNothingSaysYes) {
  KernelProbe no_packages = debian_probe(), no_marker = debian_probe(), foreign = debian_probe(), nothing;
  no_packages.packages.reset();
  no_marker.marker.reset();
  foreign.release = "6.18.44-custom";

  EXPECT_EQ(kernel_facts(no_packages).reboot, RebootNeed::kUnknown);
  EXPECT_EQ(kernel_facts(no_marker).reboot, RebootNeed::kUnknown);
  EXPECT_EQ(kernel_facts(foreign).reboot, RebootNeed::kUnknown);
  EXPECT_EQ(kernel_facts(nothing).reboot, RebootNeed::kUnknown);
  EXPECT_FALSE(kernel_facts(foreign).running_version.has_value());
}

TEST(Kernel, LeavesTheKernelToTheHostOfAContainer) {
  KernelProbe probe = debian_probe();
  probe.container = "systemd-nspawn";
  probe.packages->packages.push_back(image("linux-image-6.1.0-100-amd64", "6.1.153-1"));
  probe.marker = RebootMarker{true, {"linux-image-6.1.0-100-amd64"}};

  KernelFacts facts = kernel_facts(probe);
  probe.marker->packages.push_back("libc6");
  KernelFacts libc = kernel_facts(probe);
  probe.marker.reset();
  KernelFacts unseen = kernel_facts(probe);

  EXPECT_EQ(facts.reboot, RebootNeed::kNo);
  EXPECT_THAT(facts.reasons.at(0).detail, HasSubstr("systemd-nspawn"));
  EXPECT_EQ(libc.reboot, RebootNeed::kYes);
  EXPECT_EQ(unseen.reboot, RebootNeed::kUnknown);
}

TEST(Kernel, TakesTheMarkerWithItsPackages) {
  KernelProbe probe = debian_probe();
  probe.marker = RebootMarker{true, parse_reboot_packages("dbus\nlibc6\ndbus\n\n")};

  KernelFacts facts = kernel_facts(probe);

  EXPECT_EQ(facts.reboot, RebootNeed::kYes);
  EXPECT_EQ(facts.reasons.at(0).source, "/run/reboot-required");
  EXPECT_EQ(facts.reasons.at(0).detail, "asked for by dbus, libc6");
}

TEST(Kernel, ComparesReleasesByTheirNumbers) {
  const char* rising[] = {"5.10.0-9-amd64", "5.10.0-33-amd64", "6.1.0-9-amd64", "6.1.0-39-amd64", "6.1.0-100-amd64", "6.8.0-31-generic",
                          "6.8.0-100-generic", "6.12.9+bpo-amd64", "6.12.43+deb13-amd64"};
  for (std::size_t i = 0; i < std::size(rising); ++i)
    for (std::size_t j = 0; j < std::size(rising); ++j) {
      int compared = compare_kernel_releases(rising[i], rising[j]);
      EXPECT_EQ(compared < 0, i < j) << rising[i] << " and " << rising[j];
      EXPECT_EQ(compared == 0, i == j) << rising[i] << " and " << rising[j];
    }
}

TEST(Kernel, TellsFlavours) {
  EXPECT_EQ(kernel_flavour("6.1.0-40-amd64"), "amd64");
  EXPECT_EQ(kernel_flavour("6.1.0-40-cloud-amd64"), "cloud-amd64");
  EXPECT_EQ(kernel_flavour("6.1.0-0.deb11.7-amd64"), "amd64");
  EXPECT_EQ(kernel_flavour("6.12.43+deb13-amd64"), "amd64");
  EXPECT_EQ(kernel_flavour("6.8.0-1012-aws"), "aws");
  EXPECT_EQ(kernel_flavour("6.9.1"), "");
  EXPECT_FALSE(kernel_release_of_package("linux-image-amd64"));
  EXPECT_FALSE(kernel_release_of_package("linux-image-virtual"));
  EXPECT_EQ(kernel_release_of_package("linux-image-unsigned-6.8.0-31-generic"), "6.8.0-31-generic");
}

TEST(OsRelease, ReadsQuotesAndLeavesOutWhatIsAbsent) {
  auto debian = parse_os_release("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME='Debian'\nVERSION_ID=\"12\"\n# x\nVERSION_CODENAME=bookworm\nID=debian\n");
  auto testing = parse_os_release("ID=debian\nPRETTY_NAME=\"a \\\"quoted\\\" \\$name\"\n");

  ASSERT_TRUE(debian) << debian.error().text();
  EXPECT_EQ(*debian, (OsRelease{"debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"}));
  ASSERT_TRUE(testing);
  EXPECT_FALSE(testing->version_id.has_value());
  EXPECT_EQ(testing->pretty_name, "a \"quoted\" $name");
}

TEST(OsRelease, RefusesWhatIsNoAssignment) {
  for (const char* text : {"ID=\"debian\n", "ID=a b\n", "=x\n", "ID debian\n", "ID=\"x\"y\n"}) {
    auto release = parse_os_release(text);
    ASSERT_FALSE(release) << text;
    EXPECT_THAT(release.error().text(), HasSubstr("line 1 of os-release")) << text;
  }
}

TEST(Cgroup, TellsUnitsAndSessions) {
  struct Case {
    const char* text;
    const char* unit;
    bool session;
  };
  const Case cases[] = {
      {"0::/system.slice/nginx.service\n", "nginx.service", false},
      {"0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", false},
      {"0::/init.scope\n", "init.scope", false},
      {"0::/user.slice/user-1000.slice/session-3.scope\n", nullptr, true},
      {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service\n", nullptr, true},
      {"12:pids:/x\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron.service", false},
      {"9:name=systemd:/\n0::/system.slice/nginx.service\n", "nginx.service", false},
      {"0::/machine.slice/systemd-nspawn@a.service/payload/system.slice/nginx.service\n", "systemd-nspawn@a.service", false},
      {"0::/system.slice/_cpu.service\n", "cpu.service", false},
      {"0::/system.slice/dbus.service/sub/group\n", "dbus.service", false},
      {"0::/../other.slice/x.service\n", nullptr, false},
      {"0::/\n", nullptr, false},
      {"", nullptr, false},
      {"nonsense", nullptr, false},
  };
  for (const Case& c : cases) {
    CgroupPlace place = parse_cgroup(c.text);
    EXPECT_EQ(place.unit, c.unit ? std::optional<std::string>(c.unit) : std::nullopt) << c.text;
    EXPECT_EQ(place.user_session, c.session) << c.text;
  }
}

// Captured from an nginx whose libssl3 was upgraded under it (Debian 12), and lines that other programs have.
constexpr const char* kMaps =
    "55d1c8a00000-55d1c8a2a000 r--p 00000000 fe:01 131501                     /usr/sbin/nginx\n"
    "55d1c8a2a000-55d1c8b1e000 r-xp 0002a000 fe:01 131501                     /usr/sbin/nginx\n"
    "55d1ca3f0000-55d1ca432000 rw-p 00000000 00:00 0                          [heap]\n"
    "7f22d0a00000-7f22d0c00000 rw-s 00000000 00:01 2056                       /dev/zero (deleted)\n"
    "7f22d1000000-7f22d1085000 r--p 00000000 fe:01 132987                     /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n"
    "7f22d1085000-7f22d10e1000 r-xp 00085000 fe:01 132987                     /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n"
    "7f22d1200000-7f22d1300000 r--p 00000000 fe:01 140000                     /usr/lib/locale/locale-archive (deleted)\n"
    "7f22d1400000-7f22d1401000 r-xp 00000000 00:01 77                         /memfd:jit (deleted)\n"
    "7f22d1500000-7f22d1501000 r-xp 00000000 00:1d 78                         /tmp/jna-12/jna1.tmp (deleted)\n"
    "7f22d1600000-7f22d1601000 r-xp 00000000 fe:01 79                         /opt/with blank/lib\\012x.so (deleted)\n"
    "7f22d1700000-7f22d1701000 r-xp 00000000 00:00 0                          [vdso]\n"
    "7f22d1800000-7f22d1801000 rw-p 00000000 00:00 0 \n";

TEST(Maps, TellsOldCodeFromWhatProgramsDeleteOnPurpose) {
  auto files = parse_maps(kMaps);

  ASSERT_TRUE(files) << files.error().text();
  EXPECT_THAT(stale_files(*files), ElementsAre("/opt/with blank/lib\nx.so", "/usr/lib/x86_64-linux-gnu/libssl.so.3"));
}

TEST(Maps, RefusesOtherLinesWithTheirNumber) {
  auto files = parse_maps("55d1-55d2 r-xp 0 fe:01 12 /x\nnonsense\n");

  ASSERT_FALSE(files);
  EXPECT_THAT(files.error().text(), HasSubstr("line 2 of maps, 'nonsense'"));
  EXPECT_FALSE(parse_maps("55d1-55d2 r-xp 0 fe:01 12x /x\n"));
}

TEST(Units, ReadsWhatSystemctlShows) {
  auto units = parse_systemctl_show(
      "Id=nginx.service\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=2\n"
      "InvocationID=0123456789abcdef0123456789abcdef\n\nId=-.mount\nLoadState=loaded\nActiveState=active\nSubState=mounted\nInvocationID=\n\n"
      "Id=dev-sda.device\nLoadState=loaded\n");

  ASSERT_TRUE(units) << units.error().text();
  ASSERT_EQ(units->size(), 2u);
  EXPECT_EQ((*units)[0].name, "-.mount");
  EXPECT_FALSE((*units)[0].restarts.has_value());
  EXPECT_FALSE((*units)[0].invocation.has_value());
  EXPECT_EQ((*units)[1], (Unit{"nginx.service", "loaded", "active", "running", "success", 2u, "0123456789abcdef0123456789abcdef"}));
  EXPECT_FALSE(parse_systemctl_show("Id=x.service\nNRestarts=many\n"));
  EXPECT_FALSE(parse_systemctl_show("Id=x.service\nInvocationID=zz\n"));
  EXPECT_FALSE(parse_systemctl_show("nonsense\n"));
}

TEST(Mounts, FindsTheMountThatHoldsAPath) {
  auto mounts = parse_mount_points(
      "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n30 22 0:25 / /run rw - tmpfs tmpfs rw\n31 22 0:26 / /var\\040x rw shared:1 - tmpfs t rw\n"
      "32 22 0:27 / /var rw - tmpfs t rw\n");

  ASSERT_TRUE(mounts) << mounts.error().text();
  EXPECT_EQ(mount_point_of(*mounts, "/var/lib"), "/var");
  EXPECT_EQ(mount_point_of(*mounts, "/variable"), "/");
  EXPECT_EQ(mount_point_of(*mounts, "/var x/y"), "/var x");
  EXPECT_EQ(mount_point_of({}, "/"), std::nullopt);
  EXPECT_FALSE(parse_mount_points("22 1 254:1 /\n"));
}

TEST(AptStatusFd, ReadsProgressAndTroubles) {
  auto package = parse_apt_progress("pmstatus:libssl3:amd64:33.3333:Preparing libssl3:amd64 (amd64)\n");
  auto download = parse_apt_progress("dlstatus:1:20.5:Retrieving file 1 of 5 (12s remaining)");
  auto error = parse_apt_progress("pmerror:/var/cache/apt/archives/x_1_all.deb:50:trying to overwrite '/usr/x'");

  EXPECT_EQ(package, (AptProgress{AptProgressKind::kPackage, "libssl3:amd64", 33u, "Preparing libssl3:amd64 (amd64)"}));
  EXPECT_EQ(download, (AptProgress{AptProgressKind::kDownload, "1", 20u, "Retrieving file 1 of 5 (12s remaining)"}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, AptProgressKind::kError);
  for (const char* line : {"", "pmstatus", "pmstatus:x", "pmstatus:x:y:z", "other:x:1:y", "pmstatus:x:-1:y", "pmstatus:x:nan:y"})
    EXPECT_FALSE(parse_apt_progress(line)) << line;
}

std::string tar_header(std::string name, char type, std::size_t size, const std::string& link = "") {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 7, "0000644");
  char number[13];
  std::snprintf(number, sizeof number, "%011zo", size);
  block.replace(124, 11, number);
  block[156] = type;
  block.replace(157, link.size(), link);
  block.replace(257, 8, std::string("ustar\0" "00", 8));
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(number, sizeof number, "%06o", sum);
  block.replace(148, 7, std::string(number, 6) + '\0');
  return block;
}
std::string padded(std::string content) {
  content.resize((content.size() + 511) / 512 * 512, '\0');
  return content;
}

struct TarSeen {
  std::vector<TarEntry> entries;
  std::map<std::string, std::string> contents;
  std::vector<std::string> ended;
};
Status read_tar(std::string_view text, std::size_t piece, TarSeen& seen, bool* finished = nullptr) {
  TarReader reader(
      [&](const TarEntry& entry) {
        seen.entries.push_back(entry);
        return entry.type == '0' ? TarReader::Want::kRead : TarReader::Want::kSkip;
      },
      [&](const TarEntry& entry, std::string_view content) {
        if (content.empty()) seen.ended.push_back(entry.path);
        seen.contents[entry.path] += content;
      });
  for (std::size_t at = 0; at < text.size(); at += piece)
    if (auto added = reader.add(text.substr(at, piece)); !added) return added;
  if (finished) *finished = reader.finished();
  return {};
}

TEST(Tar, ReadsTheSameInPiecesOfAnySize) {
  std::string longname(300, 'n');
  std::string pax = "22 path=./a/pax-name\n\n";
  pax = "20 path=./a/paxname\n";
  std::string text = tar_header("./", '5', 0) + tar_header("./usr/file", '0', 5) + padded("hello") + tar_header("././@LongLink", 'L', 301) +
                     padded(longname + '\0') + tar_header("short", '0', 513) + padded(std::string(513, 'x')) + tar_header("PaxHeader", 'x', pax.size()) +
                     padded(pax) + tar_header("ignored", '0', 0) + tar_header("./link", '2', 0, "target") + std::string(1024, '\0');

  for (std::size_t piece : {1u, 7u, 512u, 100000u}) {
    TarSeen seen;
    bool finished = false;
    auto read = read_tar(text, piece, seen, &finished);
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_TRUE(finished);
    ASSERT_EQ(seen.entries.size(), 5u);
    EXPECT_EQ(seen.entries[0].path, "");
    EXPECT_EQ(seen.contents["usr/file"], "hello");
    EXPECT_EQ(seen.contents[longname], std::string(513, 'x'));
    EXPECT_EQ(seen.entries[3].path, "a/paxname");
    EXPECT_EQ(seen.entries[4].target, "target");
    EXPECT_THAT(seen.ended, ElementsAre("usr/file", longname, "a/paxname"));
  }
}

TEST(Tar, RefusesADamagedHeader) {
  std::string text = tar_header("file", '0', 0);
  text[0] = 'g';
  TarSeen seen;

  auto read = read_tar(text, 512, seen);

  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().text(), HasSubstr("checksum"));
}

TEST(Conffiles, PredictsWhatDpkgDoes) {
  PackageName package{"libfoo", "amd64"};
  std::vector<Conffile> recorded = {{"/etc/same", "aa", false, false}, {"/etc/clean", "bb", false, false}, {"/etc/edited", "cc", false, false},
                                    {"/etc/removed", "dd", false, false}, {"/etc/equal", "ee", false, false}};
  std::vector<ShippedConffile> shipped = {{"/etc/same", "aa"}, {"/etc/clean", "b2"}, {"/etc/edited", "c2"}, {"/etc/removed", "d2"},
                                          {"/etc/equal", "e2"}, {"/etc/new", "f2"}, {"/etc/there", "g2"}};
  std::map<std::string, std::string> disk = {{"/etc/same", "xx"}, {"/etc/clean", "bb"}, {"/etc/edited", "yy"}, {"/etc/equal", "e2"}, {"/etc/there", "zz"}};
  auto look = [&](const std::string& path) {
    auto found = disk.find(path);
    return found == disk.end() ? ConffileOnDisk{ConffileOnDisk::State::kMissing, ""} : ConffileOnDisk{ConffileOnDisk::State::kPresent, found->second};
  };

  auto changes = predict_conffiles(package, recorded, shipped, look);
  auto unreadable = predict_conffiles(package, recorded, shipped, [](const std::string&) { return ConffileOnDisk(); });

  ASSERT_TRUE(changes);
  EXPECT_THAT(*changes, ElementsAre(ConffileChange{"/etc/clean", package, ConffileFate::kReplaced}, ConffileChange{"/etc/edited", package, ConffileFate::kKept},
                                    ConffileChange{"/etc/new", package, ConffileFate::kNew}, ConffileChange{"/etc/removed", package, ConffileFate::kKept},
                                    ConffileChange{"/etc/there", package, ConffileFate::kKept}));
  EXPECT_FALSE(unreadable);
}

}  // namespace
}  // namespace prunella
