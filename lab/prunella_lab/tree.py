"""Base trees (one per suite, made by debootstrap, cached) and unbooted overlay copies of them for crash tests."""
import contextlib
import hashlib
import json
import os
import shutil
import time

from . import archive, limits, system
from .system import LabError, say

# What every machine has beyond debootstrap's minbase. No python3: the agent must not need it.
PACKAGES = ("ca-certificates", "curl", "dbus", "iproute2", "nginx-light", "openssh-server", "openssl", "procps", "systemd",
            "systemd-sysv")
# Raised when _finish() changes, so that a tree made by an older lab is not used.
RECIPE = 1
# Timers that would take apt's locks at a random time. A test that wants them unmasks them.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer")


def architecture():
    return system.run(["dpkg", "--print-architecture"], "asking for the architecture").strip()


def path_of(suite):
    """Where the tree of a suite is, or will be: the name holds a digest of everything that decides its content."""
    if suite not in limits.SUITES:
        raise LabError(f"unknown suite '{suite}'", f"use one of: {', '.join(limits.SUITES)}")
    recipe = json.dumps([suite, architecture(), PACKAGES, MASKED, RECIPE])
    return f"{limits.CACHE_DIR}/{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(suite):
    """Returns the path of a complete tree, making it first when there is none (one to two minutes).

    The tree is made beside its final name and renamed when complete, so a crash leaves nothing that looks finished.
    """
    path = path_of(suite)
    if os.path.isdir(path):
        return path
    with system.locked(f"{limits.CACHE_DIR}/.{suite}.lock"):
        if os.path.isdir(path):
            return path
        _remove_unfinished(suite)
        started = time.monotonic()
        say(f"lab: making the {suite} base tree with debootstrap (once; one to two minutes)")
        temporary = f"{limits.CACHE_DIR}/{suite}.making.{os.getpid()}"
        try:
            _make(suite, temporary)
        except BaseException:
            _remove_tree(temporary)
            raise
        os.rename(temporary, path)
        say(f"lab: made {path} in {time.monotonic() - started:.0f} s")
    return path


def _make(suite, target):
    """Makes a tree in memory, where dpkg's many fsync calls cost nothing, and copies it to `target` when it is complete.
    A host without the memory makes it in place, which takes longer."""
    memory = f"{target}.memory"
    os.makedirs(memory)
    if _free_memory_mib() > limits.TREE_MEMORY_MIB:
        system.run(["mount", "-t", "tmpfs", "-o", f"size={limits.TREE_MEMORY_MIB}m,mode=755", "prunella-lab", memory],
                   "making room for the tree")
    release, _ = archive.mirrors()
    try:
        with archive.proxy() as url:
            system.run_in_group(
                f"build-{suite}", ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite,
                                   f"{memory}/tree", archive.through_proxy(release)],
                f"making the {suite} tree", limits.TREE_SECONDS_MAX,
                env={**os.environ, "http_proxy": url, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})
        _finish(f"{memory}/tree")
        system.run(["cp", "-a", f"{memory}/tree", target], "copying the tree", limits.TREE_SECONDS_MAX)
        # Complete on the disk before it gets the name that says so.
        system.run(["sync", "-f", target], "writing the tree", limits.TREE_SECONDS_MAX)
    finally:
        _remove_tree(memory)


def _free_memory_mib():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return next((int(line.split()[1]) >> 10 for line in file if line.startswith("MemAvailable:")), 0)


def _remove_unfinished(suite):
    """What a build that was killed left: its processes first, then what they worked on."""
    system.cgroup_remove(system.cgroup_path(f"build-{suite}"))
    for name in os.listdir(limits.CACHE_DIR):
        if name.startswith(f"{suite}.making."):
            _remove_tree(f"{limits.CACHE_DIR}/{name}")


def _remove_tree(path):
    """debootstrap mounts proc and sys in the tree and leaves them there when it is killed."""
    for place in reversed([place for place, _ in system.mounts() if place == path or place.startswith(path + "/")]):
        system.run(["umount", place], "unmounting what debootstrap left")
    shutil.rmtree(path, ignore_errors=True)


def _finish(tree):
    """What a tree has to be for machines that share it: no downloads in it, no identity, no surprise timers."""
    for directory in ("var/cache/apt/archives", "var/lib/apt/lists"):
        for name in os.listdir(f"{tree}/{directory}"):
            if os.path.isfile(f"{tree}/{directory}/{name}") and name != "lock":
                os.unlink(f"{tree}/{directory}/{name}")
    for unit in MASKED:
        link = f"{tree}/etc/systemd/system/{unit}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink("/dev/null", link)
    for name in os.listdir(f"{tree}/etc/ssh"):
        # One key type is enough, and every machine gets its own.
        if name.startswith("ssh_host_") and "ed25519" not in name:
            os.unlink(f"{tree}/etc/ssh/{name}")


def overlay_options(lower, upper, work):
    """index and nfs_export give the overlay file handles, which fanotify needs to watch a whole file system; the machine's
    disk would give it them. https://docs.kernel.org/filesystems/overlayfs.html, 'NFS export'."""
    return f"lowerdir={lower},upperdir={upper},workdir={work},index=on,nfs_export=on"


def _copy_dir(target):
    return f"{limits.DATA_DIR}/trees/{hashlib.sha256(target.encode()).hexdigest()[:16]}"


def copy_make(target, suite):
    """Mounts a fresh writable copy of a base tree at `target`. Services are told not to start in it (policy-rc.d(8))."""
    target = os.path.abspath(target)
    if os.path.ismount(target):
        raise LabError(f"something is mounted at {target} already", f"prunella-lab chroot-tree --remove {target}")
    if os.path.isdir(target) and os.listdir(target):
        raise LabError(f"{target} is not empty", "name a directory that is empty or does not exist")
    lower = ensure(suite)
    layers = _copy_dir(target)
    shutil.rmtree(layers, ignore_errors=True)
    for part in ("upper", "work"):
        os.makedirs(f"{layers}/{part}")
    existed = os.path.isdir(target)
    os.makedirs(target, exist_ok=True)
    system.write_json(f"{layers}/state.json", {"target": target, "suite": suite, "target_existed": existed})
    system.run(["mount", "-t", "overlay", "prunella-lab", "-o", overlay_options(lower, f"{layers}/upper", f"{layers}/work"),
                target], f"mounting the copy at {target}")
    system.write_file(f"{target}/usr/sbin/policy-rc.d", "#!/bin/sh\n# Not a booted machine: no service is started here.\n"
                      "exit 101\n", 0o755)
    return {"path": target, "suite": suite, "base": lower, "upper": f"{layers}/upper"}


def copy_remove(target):
    """Takes a copy away with everything written in it. Doing it twice is not an error."""
    target = os.path.abspath(target)
    layers = _copy_dir(target)
    record = system.read_json(f"{layers}/state.json")
    if record is None and os.path.ismount(target):
        raise LabError(f"{target} is a mount point that the lab did not make", "unmount it yourself if it should go")
    for place, _ in reversed(system.mounts()):
        if record and (place == target or place.startswith(target + "/")):
            system.run(["umount", place], f"unmounting the copy at {target}")
    shutil.rmtree(layers, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(f"{limits.DATA_DIR}/trees")
    if record and not record["target_existed"]:
        with contextlib.suppress(OSError):
            os.rmdir(target)
    return record is not None


def copies():
    """Every copy that exists."""
    base = f"{limits.DATA_DIR}/trees"
    names = os.listdir(base) if os.path.isdir(base) else []
    return [record for record in (system.read_json(f"{base}/{name}/state.json") for name in sorted(names)) if record]
