"""Processes, files, locks and control groups: what the lab needs of the host, and nothing about machines."""
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time

from . import limits


class LabError(Exception):
    """A failure that can be expected. `hint` says what the reader can do about it."""

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


def say(text):
    """Progress for a person: standard error, so that standard output stays data."""
    print(text, file=sys.stderr, flush=True)


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived. Not an Exception, so that nothing but the clean-up on the way out sees it."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def raise_on_signals():
    def interrupt(number, _):
        raise Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def ignore_signals():
    """Once clean-up has begun, a second Ctrl-C must not cut it short."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def run(argv, during, timeout=limits.COMMAND_SECONDS_MAX, shown=None, **options):
    """Runs a command to its end and returns its standard output. An error shows `shown` as the command that failed.

    Raises LabError with the end of what it wrote when it fails or is still running after `timeout` seconds
    (it is killed then; whether it had done its work is not known).
    """
    shown = " ".join(shown or argv)
    try:
        done = subprocess.run(argv, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, text=True, errors="replace", **options)
    except FileNotFoundError:
        raise LabError(f"{during}: the program '{argv[0]}' is not installed",
                       "sudo apt-get install systemd-container debootstrap apt-cacher-ng iproute2 e2fsprogs") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{during}: '{shown}' was still running after {timeout} s and was killed") from None
    if done.returncode != 0:
        tail = "\n".join((done.stderr + done.stdout).strip().splitlines()[-8:])
        raise LabError(f"{during}: '{shown}' ended with {done.returncode}\n{tail}")
    return done.stdout


def write_file(path, text, mode=0o644):
    """Replaces a file in one step: a reader sees the old text or the new one."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    os.replace(temporary, path)


def write_json(path, value):
    write_file(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path):
    """The value in a file, or None when there is no such file. A damaged file is an error that names it."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabError(f"{path} is not JSON: {error}", f"remove {path} and run 'prunella-lab down --all'") from None


@contextlib.contextmanager
def locked(path, shared=False, wait=True):
    """Holds a file lock (flock(2)); the kernel lets go of it when the process dies. Yields False when it was not had."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            yield False
            return
        yield True


def start_ticks(pid):
    """Start time of a process in clock ticks since boot (proc(5), stat field 22); None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name in parentheses may hold blanks, so the fields are counted from the last parenthesis.
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def process_record(pid):
    return {"pid": pid, "start_ticks": start_ticks(pid)}


def alive(record):
    """Whether the very process of the record runs. A pid that was given to another process is not it."""
    return bool(record) and record["start_ticks"] is not None and start_ticks(record["pid"]) == record["start_ticks"]


def kill_and_wait(record, seconds=limits.STOP_SECONDS_MAX, signal_number=signal.SIGKILL):
    """Ends the process of a record and waits for its end. Returns False when it did not end in time.

    The pidfd is opened before the start time is compared, so the process that was compared is the one that is signalled.
    """
    if not record:
        return True
    try:
        handle = os.pidfd_open(record["pid"])
    except ProcessLookupError:
        return True
    try:
        if not alive(record):
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal_number)
        return wait_end(handle, seconds)
    finally:
        os.close(handle)


def wait_gone(record, seconds=limits.STOP_SECONDS_MAX):
    """Waits for a process that is about to end by itself. Returns False when it did not in time."""
    if not record:
        return True
    try:
        handle = os.pidfd_open(record["pid"])
    except ProcessLookupError:
        return True
    try:
        return not alive(record) or wait_end(handle, seconds)
    finally:
        os.close(handle)


def wait_end(handle, seconds):
    """Waits until the process of a pidfd has ended. A child of ours that ended is reaped."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(seconds * 1000))
    if ended:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG)
    return ended


def wait_until(test, seconds, what):
    """For states without an event: looks until `test()` is true; LabError names `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds} s")
        time.sleep(limits.POLL_SECONDS)


def mounts():
    """(place, type) of every mount of this process, oldest first (proc(5); blanks are written \\040 there)."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        lines = [line.split() for line in file]
    return [(fields[1].replace("\\040", " "), fields[2]) for fields in lines]


def cgroup_root():
    """Where the host mounts the unified control group tree: /sys/fs/cgroup, or .../unified on a hybrid host."""
    for place, kind in mounts():
        if kind == "cgroup2":
            return place
    raise LabError("no cgroup2 file system is mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")


def cgroup_path(name):
    return os.path.join(cgroup_root(), "prunella-lab", name)


def cgroup_make(name):
    """Makes a control group and gives it what controllers the host lets it have (none on a hybrid host)."""
    path = cgroup_path(name)
    os.makedirs(path, exist_ok=True)
    parent = os.path.dirname(path)
    while parent.startswith(cgroup_root()) and parent != os.path.dirname(cgroup_root()):
        for controller in ("cpu", "io", "memory", "pids"):
            with contextlib.suppress(OSError), open(f"{parent}/cgroup.subtree_control", "w", encoding="utf-8") as file:
                file.write(f"+{controller}")
        parent = os.path.dirname(parent)
    return path


def cgroup_pids(path):
    """Every process in a control group and below it, by the host's numbers."""
    pids = []
    for directory, _, _ in os.walk(path):
        with contextlib.suppress(OSError), open(f"{directory}/cgroup.procs", encoding="utf-8") as file:
            pids += [int(line) for line in file]
    return pids


def cgroup_remove(path):
    """Kills whatever is in a control group (cgroup.kill, Linux 5.14) and removes it.

    Nothing but the lab puts processes there, so this needs no pid that could have been reused.
    """
    if not os.path.isdir(path):
        return
    if cgroup_pids(path):
        with open(f"{path}/cgroup.kill", "w", encoding="utf-8") as file:
            file.write("1")

    def removed():
        for directory, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        return not os.path.isdir(path)

    wait_until(removed, limits.STOP_SECONDS_MAX, f"removing control group {path}")
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))
        os.rmdir(os.path.join(cgroup_root(), "prunella-lab"))


def run_in_group(name, argv, during, timeout, **options):
    """As run(), but nothing that the command started is left running when it returns or raises."""
    path = cgroup_make(name)

    def enter():
        with open(f"{path}/cgroup.procs", "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))

    try:
        return run(argv, during, timeout, preexec_fn=enter, **options)
    finally:
        cgroup_remove(path)
