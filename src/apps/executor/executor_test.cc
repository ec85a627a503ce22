#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "apps/executor/config.h"
#include "apps/executor/seccomp.h"
#include "apps/executor/socket.h"

namespace prunella {
namespace {

TEST(Messages, AreTakenWholeOrNotAtAll) {
  std::string frame = frame_message("{\"verb\":\"status\"}") + frame_message("{}"), buffer;
  std::vector<std::string> messages;
  for (char c : frame) {
    buffer += c;
    auto message = take_message(buffer, 100);
    ASSERT_TRUE(message);
    if (*message) messages.push_back(**message);
  }
  EXPECT_EQ(messages, std::vector<std::string>({"{\"verb\":\"status\"}", "{}"}));
  std::string large("\xff\xff\xff\xff", 4);
  EXPECT_EQ(take_message(large, 100).error().kind(), ErrorKind::kExhausted);
  EXPECT_TRUE(read_request("{\"verb\":\"status\"}"));
  EXPECT_FALSE(read_request("{\"verb\":\"shell\"}"));
  EXPECT_FALSE(read_request("{\"verb\":\"status\",\"extra\":1}"));
}

TEST(Config, TakesAbsentFieldsButNoUnknownOnes) {
  EXPECT_TRUE(from_json_text<ExecutorConfig>("{}"));
  EXPECT_FALSE(from_json_text<ExecutorConfig>("{\"helth_command\":[]}"));
}

TEST(Config, NamesTheFieldThatIsWrong) {
  auto checked = [](const std::string& text) { return check_executor_config(*from_json_text<ExecutorConfig>(text)); };
  EXPECT_TRUE(checked(R"({"health_command":["/usr/bin/true","-x"],"health_user":"nobody","health_timeout_ms":1000,"socket":"/run/x","state":"/s"})"));
  for (auto [field, text] : {std::pair("health_command", R"({"health_command":[]})"), std::pair("health_command", R"({"health_command":["true"]})"),
                             std::pair("health_command", R"({"health_command":["/usr/bin/true","\u0000"]})"), std::pair("health_user", R"({"health_user":"a b"})"),
                             std::pair("health_timeout_ms", R"({"health_timeout_ms":999})"), std::pair("health_timeout_ms", R"({"health_timeout_ms":3600001})"),
                             std::pair("state", R"({"state":"var"})"), std::pair("agent_stage", R"({"agent_stage":""})"), std::pair("agent_user", R"({"agent_user":""})")}) {
    auto result = checked(text);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().text().find(field), std::string::npos) << result.error().text();
  }
  EXPECT_FALSE(checked("{\"socket\":\"/" + std::string(kSocketPathMax, 'x') + "\"}"));
}

volatile sig_atomic_t told_to_stop = 0;

TEST(Socket, EndsAlsoForASignalThatComesJustBeforeItWaits) {
  std::string folder = ::testing::TempDir() + "prunella-executor-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  auto listening = ExecutorSocket::listen_at(folder + "/socket", ::getegid());
  ASSERT_TRUE(listening) << listening.error().text();
  ExecutorSocket socket(*std::move(listening), ::getuid(), [](const std::string&) {});
  struct sigaction ours {}, before {};
  ours.sa_handler = [](int) { told_to_stop = 1; };
  ::sigaction(SIGTERM, &ours, &before);
  int asked = 0;

  // It's asked, says no, and is told to stop before anything waits. Without an end this test runs into its time limit.
  socket.serve([](const ExecutorRequest&, const ExecutorSocket::Send&) {},
               [&] {
                 bool stop = told_to_stop != 0;
                 if (++asked == 1) ::raise(SIGTERM);
                 return stop;
               });

  EXPECT_EQ(asked, 2);
  ::sigaction(SIGTERM, &before, nullptr);
  ::unlink((folder + "/socket").c_str());
  ::rmdir(folder.c_str());
}

/// What `call` gives in a process that is confined: its errno, 0 for success.
int confined(const std::function<long()>& call) {
  pid_t child = ::fork();
  if (child == 0) {
    if (!confine()) ::_exit(255);
    errno = 0;
    ::_exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Confinement, TakesAwayWhatNobodyHereNeeds) {
  if (::geteuid() != 0) GTEST_SKIP() << "a filter without no_new_privs needs root";
  for (int family : {AF_INET, AF_INET6, AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_XDP, 39})
    EXPECT_EQ(confined([=] { return ::syscall(SYS_socket, family, SOCK_STREAM, 0); }), EAFNOSUPPORT) << family;
  for (long number : {static_cast<long>(SYS_ptrace), static_cast<long>(SYS_process_vm_readv), static_cast<long>(SYS_process_vm_writev), static_cast<long>(SYS_kcmp),
                      static_cast<long>(SYS_pidfd_getfd), static_cast<long>(SYS_bpf), static_cast<long>(SYS_perf_event_open), static_cast<long>(SYS_userfaultfd),
                      static_cast<long>(SYS_io_uring_setup), static_cast<long>(SYS_io_uring_enter), static_cast<long>(SYS_io_uring_register),
                      static_cast<long>(SYS_init_module), static_cast<long>(SYS_finit_module), static_cast<long>(SYS_delete_module), static_cast<long>(SYS_kexec_load),
                      static_cast<long>(SYS_mount), static_cast<long>(SYS_umount2), static_cast<long>(SYS_pivot_root), static_cast<long>(SYS_move_mount),
                      static_cast<long>(SYS_open_tree), static_cast<long>(SYS_fsopen), static_cast<long>(SYS_fsmount), static_cast<long>(SYS_fspick),
                      static_cast<long>(SYS_swapon), static_cast<long>(SYS_swapoff), static_cast<long>(SYS_reboot), static_cast<long>(SYS_quotactl),
                      static_cast<long>(SYS_acct), static_cast<long>(SYS_vhangup), static_cast<long>(SYS_add_key), static_cast<long>(SYS_request_key),
                      static_cast<long>(SYS_keyctl), static_cast<long>(SYS_settimeofday), static_cast<long>(SYS_clock_settime), static_cast<long>(SYS_adjtimex),
                      static_cast<long>(SYS_open_by_handle_at), static_cast<long>(SYS_setns), static_cast<long>(SYS_fanotify_init)})
    EXPECT_EQ(confined([=] { return ::syscall(number, 0, 0, 0, 0, 0, 0); }), EPERM) << number;
}

TEST(Confinement, LeavesWhatMaintainerScriptsNeed) {
  if (::geteuid() != 0) GTEST_SKIP() << "a filter without no_new_privs needs root";
  EXPECT_EQ(confined([] { return ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(confined([] { return ::syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }), 0);
  EXPECT_EQ(confined([] { return static_cast<long>(::chroot("/")); }), 0);
  EXPECT_EQ(confined([]() -> long {
              pid_t child = ::fork();
              if (child == 0) ::_exit(0);
              int status = 0;
              return ::waitpid(child, &status, 0) == child ? 0 : -1;
            }),
            0);
}

}  // namespace
}  // namespace prunella
