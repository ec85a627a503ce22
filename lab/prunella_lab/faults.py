"""Faults: each is really there, has one cause, and can be taken away again.

A fault is a pair of functions. plant(state, machine, options) breaks the machine and returns what mend needs to know;
mend(state, machine, record) undoes it and may be called when it was undone by other means.
"""
import os

from . import dpkg_stop, limits, machine as machines, system
from .system import LabError

PLACE = "/usr/local/lib/prunella-lab"
FILL = "/var/lib/prunella-lab.fill"
DROP_IN = "50-prunella-lab-fault.conf"


def _in(state, machine, argv, during="", timeout=limits.COMMAND_SECONDS_MAX):
    return machines.command(state, machine, argv, during, timeout)


def _shell(state, machine, script, *arguments, during="", timeout=limits.COMMAND_SECONDS_MAX):
    return _in(state, machine, ["sh", "-euc", script, "sh", *arguments], during, timeout)


def upgradable(state, machine, packages):
    """Those of the packages for which the machine's apt knows a newer version (apt-cache(8), policy)."""
    text = _in(state, machine, ["apt-cache", "policy", *packages])
    found, name, installed = [], "", ""
    for line in text.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.strip().startswith("Installed:"):
            installed = line.split()[1]
        elif line.strip().startswith("Candidate:") and line.split()[1] != installed:
            found.append(name)
    return found


def _package(state, machine, options):
    targets = limits.TARGETS[machine["suite"]]
    return options.package or next(iter(upgradable(state, machine, targets)), targets[0])


def _unit(name):
    return name if "." in name else name + ".service"


# --- service-dies-after-patch ---------------------------------------------------------------------------------------------


def plant_service(state, machine, options):
    """The service checks the files of a package against digests taken now. While they are unchanged it runs as ever;
    with any other version on disk it fails to start, or with --after dies that many seconds later. With the old
    version back it runs again: cause and cure are the package's files and nothing else."""
    unit, package = _unit(options.service or "nginx"), _package(state, machine, options)
    digests = f"{PLACE}/{unit}.sha256"
    _in(state, machine, ["systemctl", "cat", unit], f"looking for {unit}")
    # Documentation is left out: it may be removed from a machine without anything being wrong.
    _shell(state, machine, 'mkdir -p "$1"; dpkg -L "$2" | grep -v "^/usr/share/\\(doc\\|man\\|locale\\)/" |'
           ' while read -r f; do if [ -f "$f" ] && [ ! -L "$f" ]; then echo "$f"; fi; done | xargs -d "\\n" sha256sum > "$3";'
           ' test -s "$3"', PLACE, package, digests, during=f"taking the digests of {package}")
    check = f"/usr/bin/sha256sum --check --quiet {digests}"
    if options.after is None:
        lines = f"ExecStartPre=+{check}"
    else:
        kill = f"/usr/bin/systemctl kill --kill-whom=all --signal=KILL {unit}"
        lines = (f"ExecStartPost=+/bin/sh -c '{check} || /usr/bin/systemd-run --collect --on-active={options.after} "
                 f"--timer-property=AccuracySec=50ms {kill}'")
    _shell(state, machine, 'mkdir -p "/etc/systemd/system/$1.d"; printf "%s\\n" "[Service]" "$2" >'
           ' "/etc/systemd/system/$1.d/$3"; systemctl daemon-reload; systemctl is-active --quiet "$1"',
           unit, lines, DROP_IN, during=f"planting the check in {unit}")
    how = "fails to start" if options.after is None else f"is killed {options.after} s after each start"
    return {"unit": unit, "package": package, "after": options.after}, f"{unit} {how} once {package} is another version"


def mend_service(state, machine, record):
    _shell(state, machine, 'rm -f "/etc/systemd/system/$1.d/$2" "$3/$1.sha256"; rmdir "/etc/systemd/system/$1.d" "$3" 2>'
           '/dev/null || true; systemctl daemon-reload; systemctl reset-failed "$1" 2>/dev/null || true; systemctl start "$1"',
           record["unit"], DROP_IN, PLACE, during=f"mending {record['unit']}")
    return f"{record['unit']} runs whatever version {record['package']} has"


# --- full-disk ------------------------------------------------------------------------------------------------------------


def plant_full_disk(state, machine, options):
    """Every machine's writes go to a disk image of its own, so its file system is filled by reserving blocks in it
    (fallocate(2)). Nothing is written, so the host's disk does not fill: the image stays as small as it was."""
    leave = (options.leave_kib or 0) * 1024
    root = f"/proc/{machine['leader']['pid']}/root"
    _shell(state, machine, 'rm -f "$1"; : > "$1"; sync -f "$1"', FILL, during="filling the disk")
    # A reservation needs blocks for its own bookkeeping, so it is made in ever smaller steps.
    descriptor = os.open(root + FILL, os.O_WRONLY)
    try:
        size = 0
        step = 1 << 30
        while step >= 4096:
            free = _free_bytes(root)
            if free - leave < step:
                step //= 2
                continue
            try:
                os.posix_fallocate(descriptor, size, step)
                size += step
            except OSError:
                step //= 2
    finally:
        os.close(descriptor)
    left = _free_bytes(root)
    return {"reserved_bytes": size}, f"/ of {machine['name']} has {left // 1024} KiB left: dpkg gets 'No space left on device'"


def _free_bytes(root):
    status = os.statvfs(root + "/var")
    return status.f_bavail * status.f_frsize


def mend_full_disk(state, machine, record):
    _in(state, machine, ["rm", "-f", FILL])
    return f"{record['reserved_bytes'] >> 20} MiB are free again"


# --- held-package ---------------------------------------------------------------------------------------------------------


def plant_hold(state, machine, options):
    package = _package(state, machine, options)
    _in(state, machine, ["apt-mark", "hold", package])
    held = _in(state, machine, ["apt-mark", "showhold"]).split()
    if package not in held:
        raise LabError(f"{package} is not held: apt-mark lists {held or 'nothing'}")
    return {"package": package}, f"apt keeps {package} back"


def mend_hold(state, machine, record):
    _in(state, machine, ["apt-mark", "unhold", record["package"]])
    return f"apt upgrades {record['package']} again"


# --- lost-network ---------------------------------------------------------------------------------------------------------


def plant_network(_, machine, __):
    system.run(["ip", "link", "set", machine["veth"], "down"], "taking the link down")
    return {}, f"{machine['name']} sees its link without carrier"


def mend_network(_, machine, __):
    system.run(["ip", "link", "set", machine["veth"], "up"], "taking the link up")
    return f"{machine['name']} has its link again"


# --- killed-agent ---------------------------------------------------------------------------------------------------------


def plant_kill(state, machine, options):
    """SIGKILL to the main process, as the kernel's OOM killer would. The unit's own Restart= decides what comes next."""
    unit = _unit(options.service or "prunella-agent")
    pid = _in(state, machine, ["systemctl", "show", "--property=MainPID", "--value", unit]).strip()
    if pid in ("", "0"):
        raise LabError(f"{unit} does not run in {machine['name']}", "install it with 'up --package', or name one: --service")
    _in(state, machine, ["kill", "-KILL", pid])
    return {"unit": unit}, f"the main process of {unit}, {pid}, was killed"


def mend_kill(state, machine, record):
    _shell(state, machine, 'systemctl reset-failed "$1" 2>/dev/null || true; systemctl start "$1"', record["unit"])
    return f"{record['unit']} runs"


# --- interrupted-dpkg -----------------------------------------------------------------------------------------------------


def plant_dpkg(state, machine, options):
    """A real upgrade of a package, whose dpkg is killed when the database says what --stage names."""
    _shell(state, machine, "ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get -q update",
           during="apt-get update", timeout=limits.APT_SECONDS_MAX)
    package = _package(state, machine, options)
    stage = options.stage or "half-configured"
    directory = f"/var/cache/prunella-lab-{package}"
    _shell(state, machine, 'mkdir -p "$1/partial"; rm -f "$1"/*.deb;'
           ' apt-get -q -y --no-install-recommends --download-only -o "Dir::Cache::archives=$1" install "$2"',
           directory, package, during=f"downloading {package}", timeout=limits.APT_SECONDS_MAX)
    debs = _shell(state, machine, 'ls "$1"/*.deb 2>/dev/null || true', directory).split()
    if not debs:
        raise LabError(f"{package} has no newer version in {machine['name']}", "name one that has: --package NAME "
                       "('apt-get -s upgrade' in the machine lists them)")
    dpkg_stop.run_and_kill(state, machine, ["dpkg", "--install", *debs], package, stage)
    seen = _in(state, machine, ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${db:Status-Status}", package]).strip()
    if not seen.endswith(stage):
        raise LabError(f"{package} is '{seen}' after the kill, not {stage}", f"reset it: prunella-lab reset {machine['name']}")
    return {"package": package, "directory": directory}, f"dpkg was killed; {package} is '{seen}'"


def mend_dpkg(state, machine, record):
    _shell(state, machine, 'if ls "$1"/*.deb >/dev/null 2>&1; then dpkg --force-confold --install "$1"/*.deb; fi;'
           ' dpkg --force-confold --configure -a; rm -rf "$1"; test -z "$(dpkg --audit)"', record["directory"],
           during="mending dpkg", timeout=limits.APT_SECONDS_MAX)
    return f"{record['package']} is installed whole"


FAULTS = {
    "service-dies-after-patch": (plant_service, mend_service, "a service that does not survive the upgrade of a package"),
    "full-disk": (plant_full_disk, mend_full_disk, "no space left in the machine (the host's disk does not fill)"),
    "held-package": (plant_hold, mend_hold, "a package that apt-mark holds back"),
    "lost-network": (plant_network, mend_network, "the machine's link without carrier"),
    "killed-agent": (plant_kill, mend_kill, "SIGKILL to the main process of prunella-agent (or --service)"),
    "interrupted-dpkg": (plant_dpkg, mend_dpkg, "a real upgrade whose dpkg was killed in the middle"),
}


def plant(state, machine, what, options):
    if what in machine["faults"]:
        raise LabError(f"{machine['name']} has the fault {what} already", f"prunella-lab mend {machine['name']} {what}")
    if not machines.running(machine):
        raise LabError(f"{machine['name']} is not running", f"prunella-lab reset {machine['name']}")
    record, text = FAULTS[what][0](state, machine, options)
    machine["faults"][what] = record
    return text


def mend(state, machine, what):
    record = machine["faults"].get(what)
    if record is None:
        return f"{machine['name']} does not have the fault {what}"
    text = FAULTS[what][1](state, machine, record)
    del machine["faults"][what]
    return text


def explain():
    return "\n".join(f"  {name:26}{text}" for name, (_, _, text) in FAULTS.items())
