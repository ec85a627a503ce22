#include "apps/executor/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace prunella {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "name this architecture's AUDIT_ARCH_ constant"
#endif

// By number and not by name where Debian 12's headers might not know a call; numbers above 424 are the same everywhere.
constexpr int kDenied[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd,
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,  // it opens sockets past this filter
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load,
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    SYS_swapon, SYS_swapoff, SYS_reboot, SYS_quotactl, SYS_acct, SYS_vhangup, SYS_syslog,
    SYS_add_key, SYS_request_key, SYS_keyctl,
    SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
    SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_lookup_dcookie, SYS_nfsservctl,
    SYS_setns, SYS_fanotify_init,
#if defined(__x86_64__)
    SYS_kexec_file_load, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat, SYS_sysfs, SYS__sysctl, SYS_create_module,
    SYS_get_kernel_syms, SYS_query_module,
#endif
};

}  // namespace

Status confine() {
  std::vector<sock_filter> program;
  auto add = [&](std::uint16_t code, std::uint32_t k, std::uint8_t yes = 0, std::uint8_t no = 0) { program.push_back({code, yes, no, k}); };
  constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS, kEqual = BPF_JMP | BPF_JEQ | BPF_K, kReturn = BPF_RET | BPF_K;
  auto fail = [](int number) { return SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(number) & SECCOMP_RET_DATA); };

  add(kLoad, offsetof(seccomp_data, arch));
  add(kEqual, kArchitecture, 1, 0);
  add(kReturn, fail(ENOSYS));
  add(kLoad, offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  // The x32 numbers would be a second way to every call.
  add(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
  add(kReturn, fail(ENOSYS));
#endif
  for (int number : kDenied) {
    add(kEqual, static_cast<std::uint32_t>(number), 0, 1);
    add(kReturn, fail(EPERM));
  }
  for (int number : {SYS_socket, SYS_socketpair}) {
    add(kEqual, static_cast<std::uint32_t>(number), 0, 5);
    add(kLoad, offsetof(seccomp_data, args[0]));  // the low half: little-endian, as both architectures above are
    add(kEqual, AF_UNIX, 2, 0);
    add(kEqual, AF_NETLINK, 1, 0);
    add(kReturn, fail(EAFNOSUPPORT));
    add(kReturn, SECCOMP_RET_ALLOW);
  }
  add(kReturn, SECCOMP_RET_ALLOW);

  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  // Without no_new_privs (root may do that): with it, a maintainer script's `runuser` and file capabilities would change their meaning.
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) return unavailable(std::string("the system call filter: ") + std::strerror(errno));
  return {};
}

}  // namespace prunella
