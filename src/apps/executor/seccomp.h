#pragma once

#include "base/result.h"

namespace prunella {

/// Takes away what neither the executor nor dpkg's maintainer scripts need, for this process and all that it starts: sockets other
/// than AF_UNIX and AF_NETLINK, ptrace, other processes' memory, bpf, perf, modules, kexec, mounts, swap, reboot, keys, clocks,
/// userfaultfd, io_uring, handles of files, and every system call of another architecture. They fail with EPERM (sockets with
/// EAFNOSUPPORT, as if the kernel had none), so that a script that can do without goes on.
/// Source: seccomp(2), the kernel's Documentation/userspace-api/seccomp_filter.rst.
/// @error kUnavailable  the kernel refused the filter.
Status confine();

}  // namespace prunella
