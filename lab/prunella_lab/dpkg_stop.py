"""Kills dpkg at an exact point of its work, the same point every time.

dpkg reports each change of a package's state on --status-fd just before it writes it down (dpkg(1)). The reports go into a
pipe of packets with room for one (pipe(2), O_DIRECT; fcntl(2), F_SETPIPE_SZ). Left unread, a report blocks dpkg at its next
one. tee(2) looks at a report without taking it. So when the report of the wanted state is seen, dpkg writes that state down,
does the work of that state, and then stands still in write(2), where it is killed.
"""
import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import time

from . import limits, machine as machines, system
from .system import LabError

F_SETPIPE_SZ = 1031
PAGE_BYTES = 4096
STAGES = ("half-installed", "unpacked", "half-configured")


def run_and_kill(state, machine, argv, package, stage):
    """Runs `argv` (a dpkg command line) in the machine until `package` is at `stage`, then kills dpkg with SIGKILL.

    half-installed: the new files are all in place, the database knows the package as half-installed.
    unpacked: the unpacking is complete, no postinst has run.
    half-configured: the package's postinst has run, the database knows it as half-configured.
    LabError when dpkg ends before that; what it did is then as dpkg left it.
    """
    if stage not in STAGES:
        raise LabError(f"unknown stage '{stage}'", f"use one of: {', '.join(STAGES)}")
    reader, writer = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    # Standard output of the command is the report pipe; what dpkg says to a person goes to standard error.
    script = 'exec "$0" --status-fd 3 "$@" 3>&1 1>&2'
    try:
        fcntl.fcntl(writer, F_SETPIPE_SZ, PAGE_BYTES)
        child = subprocess.Popen(
            machines.inside(state, machine, ["sh", "-c", script, argv[0], *argv[1:]], {"DEBIAN_FRONTEND": "noninteractive"}),
            stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        _follow(reader, child, package, stage)
        dpkg = _dpkg_below(child.pid)
        system.wait_until(lambda: _stands_still(dpkg["pid"]), limits.APT_SECONDS_MAX, f"dpkg at the end of {stage}")
        if not system.kill_and_wait(dpkg):
            raise LabError(f"dpkg (pid {dpkg['pid']}) did not end after SIGKILL")
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        child.wait()


def _follow(reader, child, package, stage):
    """Takes reports until the wanted one, which stays in the pipe."""
    libc = ctypes.CDLL(None, use_errno=True)
    side_reader, side_writer = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    deadline = time.monotonic() + limits.APT_SECONDS_MAX
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    # An upgrade passes through half-configured and unpacked twice: first while the old version is taken apart. The second
    # time is meant, when the new version is being put in place, and half-installed lies between the two.
    passed = stage == "half-installed"
    try:
        while time.monotonic() < deadline:
            if not poll.poll(1000):
                continue
            if libc.tee(reader, side_writer, PAGE_BYTES, 0) <= 0:
                raise LabError(f"dpkg ended (code {child.wait()}) before {package} was {stage}",
                               "is a newer version there, and does its upgrade pass through that state?")
            # "status: libssl3:amd64: half-installed"; the architecture is there for packages of kind 'same'.
            fields = os.read(side_reader, PAGE_BYTES).decode(errors="replace").strip().split(": ")
            if fields[0] == "status" and fields[1].partition(":")[0] == package:
                if passed and fields[-1] == stage:
                    return
                passed = passed or fields[-1] == "half-installed"
            os.read(reader, PAGE_BYTES)
        raise LabError(f"{package} was not {stage} within {limits.APT_SECONDS_MAX} s")
    finally:
        os.close(side_reader)
        os.close(side_writer)


def _dpkg_below(pid):
    """The record of dpkg: nsenter stays outside as its parent."""
    for directory in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{directory}/children", encoding="utf-8") as file:
            for child in file.read().split():
                with open(f"/proc/{child}/comm", encoding="utf-8") as name:
                    if name.read().strip() == "dpkg":
                        return system.process_record(int(child))
    raise LabError("dpkg is not where nsenter should have started it")


def _stands_still(pid):
    """Whether the process waits in a write to the report pipe: proc(5), syscall: number, then its arguments."""
    try:
        with open(f"/proc/{pid}/syscall", encoding="utf-8") as file:
            fields = file.read().split()
    except (FileNotFoundError, ProcessLookupError):
        raise LabError("dpkg ended by itself before it was killed") from None
    # write is call 1 on x86-64 and 64 on arm64; 3 is the descriptor that dpkg was given.
    return len(fields) > 2 and fields[0] in ("1", "64") and fields[1] == "0x3"
