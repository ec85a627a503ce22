// Runs a command and kills one program among it and its children with SIGKILL at its N-th call that changes something.
//   txkill-killat VICTIM N COMMAND ARGUMENT...
// VICTIM is the file name of the program ("prunella-executor", "dpkg"). The call itself doesn't happen. N = 0 only counts.
// Writes "killed PID at call K (NAME)" or "counted K" as its last line to descriptor 9, and ends when the last process has.
//
// A seccomp filter stops only the calls of interest (SECCOMP_RET_TRACE), so that everything else runs at full speed.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

namespace {

const std::map<long, const char*> kChanging = {
    {SYS_write, "write"}, {SYS_pwrite64, "pwrite64"}, {SYS_writev, "writev"}, {SYS_fsync, "fsync"}, {SYS_fdatasync, "fdatasync"},
    {SYS_sync_file_range, "sync_file_range"}, {SYS_ftruncate, "ftruncate"}, {SYS_unlinkat, "unlinkat"}, {SYS_mkdirat, "mkdirat"},
    {SYS_linkat, "linkat"}, {SYS_symlinkat, "symlinkat"}, {SYS_renameat, "renameat"}, {SYS_renameat2, "renameat2"},
    {SYS_fchmod, "fchmod"}, {SYS_fchmodat, "fchmodat"}, {SYS_fchown, "fchown"}, {SYS_fchownat, "fchownat"},
    {SYS_utimensat, "utimensat"}, {SYS_fsetxattr, "fsetxattr"}, {SYS_clone, "clone"}, {SYS_execve, "execve"},
    {SYS_execveat, "execveat"}, {SYS_sendto, "sendto"}, {SYS_fallocate, "fallocate"}, {SYS_copy_file_range, "copy_file_range"},
#ifdef __x86_64__
    {SYS_rename, "rename"}, {SYS_unlink, "unlink"}, {SYS_rmdir, "rmdir"}, {SYS_mkdir, "mkdir"}, {SYS_link, "link"},
    {SYS_symlink, "symlink"}, {SYS_chmod, "chmod"}, {SYS_chown, "chown"}, {SYS_lchown, "lchown"}, {SYS_utimes, "utimes"},
    {SYS_fork, "fork"}, {SYS_vfork, "vfork"},
#endif
};

void fail(const char* what) {
  fprintf(stderr, "txkill-killat: %s: %s\n", what, strerror(errno));
  _exit(125);
}

void filter_calls() {
  std::vector<sock_filter> program = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offsetof(seccomp_data, nr))}};
  for (const auto& [number, name] : kChanging) {
    program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<uint32_t>(number)});
    program.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRACE});
  }
  program.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) fail("seccomp");
}

bool runs(pid_t pid, const std::string& victim) {
  char program[4096];
  ssize_t length = readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), program, sizeof program);
  if (length <= 0) return false;
  std::string path(program, static_cast<size_t>(length));
  return path.substr(path.rfind('/') + 1) == victim;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "txkill-killat VICTIM N COMMAND ARGUMENT...\n");
    return 2;
  }
  std::string victim = argv[1];
  long wanted = atol(argv[2]), count = 0;
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) fail("ptrace");
    raise(SIGSTOP);
    filter_calls();
    execvp(argv[3], argv + 3);
    fail(argv[3]);
  }
  int status = 0;
  waitpid(child, &status, 0);
  long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  if (ptrace(PTRACE_SETOPTIONS, child, nullptr, options) != 0) fail("ptrace options");
  ptrace(PTRACE_CONT, child, nullptr, nullptr);
  bool done = false;
  while (true) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) break;
    if (!WIFSTOPPED(status)) continue;
    int signal_number = WSTOPSIG(status), event = status >> 16;
    long pass = 0;
    if (event == PTRACE_EVENT_SECCOMP && !done && runs(pid, victim)) {
      __ptrace_syscall_info info{};
      ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
      ++count;
      if (count == wanted) {
        kill(pid, SIGKILL);
        auto it = kChanging.find(static_cast<long>(info.seccomp.nr));
        dprintf(9, "killed %d at call %ld (%s)\n", pid, count, it == kChanging.end() ? "?" : it->second);
        done = true;
      }
    } else if (event == 0 && signal_number != SIGTRAP && signal_number != SIGSTOP) {
      pass = signal_number;
    }
    ptrace(PTRACE_CONT, pid, nullptr, pass);
  }
  if (!done) dprintf(9, "counted %ld\n", count);
  return 0;
}
