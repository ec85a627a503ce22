"""One machine: how it is started, entered and ended.

Everything that a machine needs of the kernel (its disk, its overlay, its network) is made inside namespaces that only the
machine's own processes hold. When they end, for whatever reason, the kernel takes all of it away; there is nothing to
unmount on the host. What remains is a disk image, a control group and a state file, all with known names.
"""
import contextlib
import ctypes
import os
import select
import shutil
import socket
import subprocess
import time
import uuid

from . import archive, limits, system, tree
from .system import LabError

# sched.h, linux/prctl.h
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIGKILL = 9

PATH_INSIDE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def directory(lab):
    return f"{limits.RUN_DIR}/{lab}/machines"


def image_of(lab, name):
    return f"{limits.DATA_DIR}/{lab}/{name}.img"


def group_of(lab, name):
    return f"lab-{lab}/{name}"


# --- start ----------------------------------------------------------------------------------------------------------------


class Boot:
    """A machine on its way up: its supervisor runs, and tells on a socket when it and the system in it are ready."""

    def __init__(self, state, machine):
        self.lab = state["name"]
        self.machine = machine
        self.base = f"{directory(self.lab)}/{machine['name']}"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.base}.notify")
        self.notify.bind(f"{self.base}.notify")
        self.started = time.monotonic()
        self._make_disk()
        system.write_json(f"{self.base}.spec.json", self._spec(state))
        entry = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "prunella-lab")
        with open(f"{self.base}.console", "w", encoding="utf-8") as console:
            # The environment is the machine's business, not the caller's.
            self.child = subprocess.Popen(
                [entry, "launch", f"{self.base}.spec.json"], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True, cwd="/", env={"PATH": os.environ.get("PATH", PATH_INSIDE) + ":/usr/sbin:/sbin",
                                                      "NOTIFY_SOCKET": f"{self.base}.notify", "LC_ALL": "C.UTF-8"})
        machine["supervisor"] = system.process_record(self.child.pid)
        machine["leader"] = None

    def _make_disk(self):
        image = image_of(self.lab, self.machine["name"])
        os.makedirs(os.path.dirname(image), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(image)
        with open(image, "wb") as file:
            file.truncate(self.machine["disk_mib"] << 20)
        # A new sparse file reads as zeros, so tables and journal need not be written. No reserved blocks: a full disk is
        # then full for root too, which is what dpkg runs as.
        system.run(["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", image],
                   "making the machine's disk")

    def _spec(self, state):
        machine = self.machine
        hosts = "".join(f"{other['ip']}\t{other['name']}\n" for other in state["machines"])
        return {
            "lab": self.lab, "name": machine["name"], "parent": os.getpid(), "lower": tree.ensure(machine["suite"]),
            "image": image_of(self.lab, machine["name"]), "mount": f"{self.base}.disk", "veth": machine["veth"],
            "bridge": state["bridge"], "gateway": state["gateway"], "address": f"{machine['ip']}/24",
            "group": group_of(self.lab, machine["name"]), "nspawn_name": machine["nspawn_name"],
            "files": {
                "/etc/hostname": machine["name"] + "\n",
                "/etc/hosts": f"127.0.0.1\tlocalhost\n{state['gateway']}\tprunella prunella-lab\n{hosts}",
                "/etc/machine-id": uuid.uuid4().hex + "\n",
                "/etc/resolv.conf": "# The lab has no name service; /etc/hosts names everything that there is.\n",
                "/etc/apt/sources.list": archive.sources(machine["suite"]),
                "/etc/apt/apt.conf.d/90prunella-lab": archive.apt_settings(),
            },
            "ssh_key": f"{limits.RUN_DIR}/{self.lab}/ssh_key.pub",
        }

    def close(self):
        self.notify.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.base}.notify")

    def read_notice(self):
        """Takes in one message (sd_notify(3)). Returns True when the system in the machine has finished starting."""
        text = self.notify.recv(4096).decode(errors="replace")
        for line in text.splitlines():
            if line.startswith("X_NSPAWN_LEADER_PID="):
                self.machine["leader"] = system.process_record(int(line.partition("=")[2]))
        return "READY=1" in text.splitlines()

    def failure(self, what):
        with open(f"{self.base}.console", encoding="utf-8", errors="replace") as file:
            tail = "\n".join(file.read().replace("\r", "").splitlines()[-12:])
        return LabError(f"{self.machine['name']} {what}. The end of its console:\n{tail}", f"all of it: {self.base}.console")


def wait_ready(boots, on_ready):
    """Waits by event until every machine has started; calls on_ready(boot) as each one has.

    LabError when a supervisor ends first or the deadline passes; the machines are left as they are then.
    """
    deadline = time.monotonic() + limits.BOOT_SECONDS_MAX
    poll = select.poll()
    by_handle = {}
    pidfds = []
    try:
        for boot in boots:
            poll.register(boot.notify, select.POLLIN)
            by_handle[boot.notify.fileno()] = (boot, True)
            handle = os.pidfd_open(boot.child.pid)
            pidfds.append(handle)
            poll.register(handle, select.POLLIN)
            by_handle[handle] = (boot, False)
        waiting = set(boots)
        while waiting:
            events = poll.poll(max(0, deadline - time.monotonic()) * 1000)
            if not events:
                raise next(iter(waiting)).failure(f"had not started within {limits.BOOT_SECONDS_MAX} s")
            for handle, _ in events:
                boot, is_notice = by_handle[handle]
                if not is_notice:
                    boot.child.wait()
                    raise boot.failure("ended while starting")
                if boot.read_notice() and boot in waiting:
                    waiting.remove(boot)
                    boot.machine["boot_seconds"] = round(time.monotonic() - boot.started, 2)
                    on_ready(boot)
    finally:
        for handle in pidfds:
            os.close(handle)


def launch(spec_path):
    """Becomes the supervisor of a machine: makes its namespaces, disk, network and files, then is systemd-nspawn.

    Runs as a process of its own. Until it has entered its control group, by which `down` finds it, it dies with `up`.
    """
    spec = system.read_json(spec_path)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != spec["parent"]:
        raise LabError("the command that started this machine is gone")
    group = system.cgroup_make(spec["group"])
    with open(f"{group}/cgroup.procs", "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))
    libc.prctl(PR_SET_PDEATHSIG, 0)

    host_network = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise LabError(f"unshare: {os.strerror(ctypes.get_errno())}", "the lab needs root")
    during = f"preparing {spec['name']}"

    def do(*argv):
        system.run(list(argv), during, pass_fds=(host_network,))

    do("mount", "--make-rprivate", "/")
    _make_network(spec, host_network, do)
    os.close(host_network)
    root = _mount_root(spec, do)
    _write_files(spec, root)
    # systemd-nspawn takes the layout from what it finds here. On a hybrid host it would give the machine a layout which
    # newer releases of systemd refuse, so the machine's namespace has the unified tree and nothing else.
    if any(place == "/sys/fs/cgroup" for place, _ in system.mounts()):
        do("umount", "--lazy", "--recursive", "/sys/fs/cgroup")
    do("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    os.execvp("systemd-nspawn", [
        "systemd-nspawn", f"--directory={root}", "--boot", "--register=no", "--keep-unit",
        f"--machine={spec['nspawn_name']}", f"--hostname={spec['name']}", "--network-namespace-path=/proc/self/ns/net",
        "--capability=CAP_NET_ADMIN", "--system-call-filter=@sandbox bpf perf_event_open", "--resolv-conf=off",
        "--timezone=off", "--link-journal=no", "--settings=no", "--notify-ready=yes", "--console=read-only"])


def _make_network(spec, host_network, do):
    host = ("nsenter", f"--net=/proc/self/fd/{host_network}")
    do(*host, "ip", "link", "add", spec["veth"], "type", "veth", "peer", "name", "host0", "netns", str(os.getpid()))
    do(*host, "ip", "link", "set", spec["veth"], "master", spec["bridge"], "up")
    do("ip", "link", "set", "lo", "up")
    do("ip", "addr", "add", spec["address"], "dev", "host0")
    do("ip", "link", "set", "host0", "up")
    # The archive's cache is the only thing beyond the bridge; there is no default route on purpose.
    do("ip", "route", "add", f"{limits.ARCHIVE_ADDRESS}/32", "via", spec["gateway"])


def _mount_root(spec, do):
    disk = spec["mount"]
    os.makedirs(disk, exist_ok=True)
    # mount -o loop gives a loop device that the kernel frees with the mount (loop(4), autoclear).
    do("mount", "-o", "loop", spec["image"], disk)
    for part in ("upper", "work", "root"):
        os.makedirs(f"{disk}/{part}", exist_ok=True)
    root = f"{disk}/root"
    do("mount", "-t", "overlay", "prunella-lab", "-o",
       tree.overlay_options(spec["lower"], f"{disk}/upper", f"{disk}/work"), root)
    return root


def _write_files(spec, root):
    for path, text in spec["files"].items():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(root + path)
        system.write_file(root + path, text)
    bus_id = f"{root}/var/lib/dbus/machine-id"
    if os.path.isdir(os.path.dirname(bus_id)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(bus_id)
        os.symlink("/etc/machine-id", bus_id)
    if os.path.exists(spec["ssh_key"]):
        os.makedirs(f"{root}/root/.ssh", mode=0o700, exist_ok=True)
        shutil.copyfile(spec["ssh_key"], f"{root}/root/.ssh/authorized_keys")
    host_key = f"{root}/etc/ssh/ssh_host_ed25519_key"
    if shutil.which("ssh-keygen") and os.path.exists(host_key):
        for path in (host_key, host_key + ".pub"):
            os.unlink(path)
        system.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{spec['name']}", "-f", host_key],
                   "making the machine's SSH key")


# --- enter ----------------------------------------------------------------------------------------------------------------


def running(machine):
    return system.alive(machine.get("leader"))


def inside(state, machine, argv, environment=None):
    """The command line that runs `argv` in a machine with a clean environment, as root, in /.

    A small shell first enters a control group within the machine's, so that the process belongs to the machine there
    too and what it sees in /proc/self/cgroup makes sense.
    """
    if not running(machine):
        raise LabError(f"{machine['name']} is not running", "see 'prunella-lab ls'; 'prunella-lab reset' boots it afresh")
    group = system.cgroup_path(group_of(state["name"], machine["name"])) + "/payload/prunella-lab-exec"
    with contextlib.suppress(OSError):
        os.makedirs(group, exist_ok=True)
    values = {"PATH": PATH_INSIDE, "HOME": "/root", "USER": "root", "LANG": "C.UTF-8", **(environment or {})}
    return ["sh", "-c", 'echo $$ > "$0" 2>/dev/null; exec "$@"', f"{group}/cgroup.procs", "nsenter",
            f"--target={machine['leader']['pid']}", "--all", "--", "env", "-i",
            *(f"{key}={value}" for key, value in values.items()), *argv]


def command(state, machine, argv, during="", timeout=limits.COMMAND_SECONDS_MAX, **options):
    """Runs a command in a machine and returns its standard output; LabError when it fails."""
    return system.run(inside(state, machine, argv, {"DEBIAN_FRONTEND": "noninteractive"}),
                      f"{machine['name']}: {during or argv[0]}", timeout, shown=argv, **options)


def system_state(state, machine):
    """(word, failed units): systemd's own word for the whole machine, 'stopped' when there is none to ask."""
    if not running(machine):
        return "stopped", []
    try:
        # This command's exit code says the same as its word, so it is not looked at.
        done = subprocess.run(inside(state, machine, ["systemctl", "is-system-running"]), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=limits.COMMAND_SECONDS_MAX)
        word = done.stdout.strip() or "unknown"
    except subprocess.TimeoutExpired:
        return "unknown", []
    if word != "degraded":
        return word, []
    listed = command(state, machine, ["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
    return word, [line.split()[0] for line in listed.splitlines() if line.strip()]


def memory_bytes(state, machine):
    """Proportional memory of all processes of a machine (proc(5), smaps_rollup: pages shared with others are divided)."""
    total = 0
    for pid in system.cgroup_pids(system.cgroup_path(group_of(state["name"], machine["name"]))):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return total


def push(state, machine, source, target):
    """Copies a file (into `target`, or into that directory) or the content of a directory into a machine."""
    if os.path.isdir(source):
        with subprocess.Popen(["tar", "-C", source, "-cf", "-", "."], stdout=subprocess.PIPE) as packed:
            command(state, machine, ["sh", "-c", 'mkdir -p "$1" && tar -C "$1" -xf -', "sh", target],
                    f"copying {source} to {target}", limits.APT_SECONDS_MAX, stdin=packed.stdout)
        if packed.returncode != 0:
            raise LabError(f"reading {source} failed")
        return
    script = 't=$1; [ -d "$t" ] && t="$t/$2"; cat > "$t" && chmod "$3" "$t"'
    try:
        with open(source, "rb") as file:
            mode = f"{os.fstat(file.fileno()).st_mode & 0o7777:o}"
            command(state, machine, ["sh", "-c", script, "sh", target, os.path.basename(source), mode],
                    f"copying {source} to {target}", limits.APT_SECONDS_MAX, stdin=file)
    except FileNotFoundError:
        raise LabError(f"there is no file {source}") from None


def pull(state, machine, source, target):
    """Copies a file (to `target`, or into that directory) or the content of a directory out of a machine."""
    kind = command(state, machine, ["sh", "-c", 'if [ -d "$1" ]; then echo d; elif [ -e "$1" ]; then echo f; fi', "sh", source])
    if not kind:
        raise LabError(f"{machine['name']} has no {source}")
    if kind.strip() == "d":
        os.makedirs(target, exist_ok=True)
        with subprocess.Popen(inside(state, machine, ["tar", "-C", source, "-cf", "-", "."]), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as packed:
            system.run(["tar", "-C", target, "-xf", "-"], f"copying {source}", limits.APT_SECONDS_MAX, stdin=packed.stdout)
        return
    if os.path.isdir(target):
        target = os.path.join(target, os.path.basename(source))
    with open(target, "wb") as file:
        if subprocess.run(inside(state, machine, ["cat", source]), stdin=subprocess.DEVNULL, stdout=file).returncode != 0:
            raise LabError(f"reading {source} in {machine['name']} failed")


# --- end ------------------------------------------------------------------------------------------------------------------


def stop(lab, machine):
    """Ends a machine at once, as a power cut would, and removes what is left of it but its disk image.

    Its init is killed first: the supervisor then tidies up and ends by itself. The control group is the net below.
    """
    was_running = running(machine)
    system.kill_and_wait(machine.get("leader"))
    if was_running:
        system.wait_gone(machine.get("supervisor"))
    system.kill_and_wait(machine.get("supervisor"))
    system.cgroup_remove(system.cgroup_path(group_of(lab, machine["name"])))
    if os.path.exists(f"/sys/class/net/{machine['veth']}"):
        # The kernel removes it with the namespace of its peer, a little later.
        subprocess.run(["ip", "link", "del", machine["veth"]], stderr=subprocess.DEVNULL, check=False)
    with contextlib.suppress(OSError):
        os.rmdir(f"/run/systemd/nspawn/propagate/{machine['nspawn_name']}")
    base = f"{directory(lab)}/{machine['name']}"
    for suffix in ("notify", "spec.json", "console"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{base}.{suffix}")
    with contextlib.suppress(OSError):
        os.rmdir(f"{base}.disk")
    machine["leader"] = machine["supervisor"] = None
