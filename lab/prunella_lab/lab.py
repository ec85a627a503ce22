"""A lab: a bridge, the machines on it, and the record by which everything can be found and removed again."""
import concurrent.futures
import contextlib
import os
import re
import shutil

from . import archive, limits, machine as machines, system, tree
from .system import LabError, say

STATE_VERSION = 1
NAME = re.compile(r"[a-z][a-z0-9-]{0,19}\Z")
# Package installations at the same time. They are bound by the processor and the disk, not by the network.
WORKERS_MAX = 4


def directory(name):
    return f"{limits.RUN_DIR}/{name}"


def load(name):
    """The record of a lab, or None when there is no such lab."""
    return system.read_json(f"{directory(name)}/state.json")


def save(state):
    system.write_json(f"{directory(state['name'])}/state.json", state)


@contextlib.contextmanager
def changing(name):
    """Holds a lab for changes, so that two commands do not boot, reset or end its machines at once."""
    check_name(name, "lab")
    with system.locked(f"{limits.RUN_DIR}/.lock-{name}"):
        yield


def check_name(name, what):
    if not NAME.match(name):
        raise LabError(f"'{name}' is not a {what} name", "use a small letter, then up to 19 of a-z, 0-9 and '-'")


def names():
    """Every lab that has a record, running or crashed."""
    if not os.path.isdir(limits.RUN_DIR):
        return []
    return [name for name in sorted(os.listdir(limits.RUN_DIR))
            if not name.startswith(".") and os.path.exists(f"{directory(name)}/state.json")]


def find(text):
    """(lab record, machine record) for 'web-1' or 'lab1/web-1'."""
    lab_name, _, name = text.rpartition("/")
    found = [(state, machine) for state in (load(lab) for lab in ([lab_name] if lab_name else names())) if state
             for machine in state["machines"] if machine["name"] == name]
    if not found:
        known = [f"{lab}/{machine['name']}" for lab in names() for machine in load(lab)["machines"]]
        raise LabError(f"there is no machine '{text}'",
                       f"there are: {', '.join(known)}" if known else "boot some: prunella-lab up 4")
    if len(found) > 1:
        raise LabError(f"'{text}' is in several labs", "say which: " + " or ".join(f"{s['name']}/{name}" for s, _ in found))
    return found[0]


# --- up -------------------------------------------------------------------------------------------------------------------


def up(name, count, suite, trixie, prefix, packages, update, disk_mib):
    """Makes a lab. Leaves a complete lab or, on any failure or signal, nothing."""
    check_name(prefix, "machine")
    if not 1 <= count <= limits.MACHINES_MAX:
        raise LabError(f"{count} machines", f"ask for 1 to {limits.MACHINES_MAX}")
    if not 0 <= trixie <= count:
        raise LabError(f"{trixie} of {count} machines with trixie", f"ask for 0 to {count}")
    for package in packages:
        if not os.path.isfile(package) or not package.endswith(".deb"):
            raise LabError(f"'{package}' is not a .deb file", "build the packages first, or check the path")
    suites = [suite] * (count - trixie) + ["trixie"] * trixie
    for wanted in sorted(set(suites)):
        tree.ensure(wanted)
    with changing(name):
        old = load(name)
        if old and any(machines.running(machine) for machine in old["machines"]):
            raise LabError(f"lab '{name}' is running", f"'prunella-lab down --name {name}' ends it; --name makes another one")
        if old:
            say(f"lab: removing what a crash left of '{name}'")
            _remove(old)
        with archive.proxy():
            try:
                state = _allocate(name, suites, prefix, disk_mib)
                _make_bridge(state)
                _make_ssh_key(state)
                state["packages"] = _keep_packages(name, packages)
                save(state)
                boot(state, state["machines"])
                if packages or update:
                    install(state, state["machines"])
            except BaseException:
                system.ignore_signals()
                say(f"lab: removing '{name}' again")
                state = load(name)
                if state:
                    _remove(state)
                raise
            return state


def _allocate(name, suites, prefix, disk_mib):
    """Chooses a network for the lab and writes the record before the first thing that it names is made."""
    with system.locked(f"{limits.RUN_DIR}/.lock-numbers"):
        taken = {load(other)["number"] for other in names()}
        number = next((n for n in range(limits.LABS_MAX)
                       if n not in taken and not os.path.exists(f"/sys/class/net/plab{n}")), None)
        if number is None:
            raise LabError(f"all {limits.LABS_MAX} lab networks are taken", "prunella-lab down --all")
        network = f"{limits.NET_PREFIX}.{number}"
        state = {
            "version": STATE_VERSION, "name": name, "number": number, "bridge": f"plab{number}", "gateway": f"{network}.1",
            "subnet": f"{network}.0/24", "archive": archive.PROXY_URL, "packages": [], "machines": [],
            "ssh_key": f"{directory(name)}/ssh_key",
        }
        for index, suite in enumerate(suites, start=1):
            state["machines"].append({
                "name": f"{prefix}-{index}", "suite": suite, "ip": f"{network}.{limits.FIRST_HOST + index - 1}",
                "veth": f"plab{number}m{index}", "nspawn_name": f"plab-{name}-{prefix}-{index}", "disk_mib": disk_mib,
                "supervisor": None, "leader": None, "state": "new", "faults": {},
            })
        os.makedirs(machines.directory(name), exist_ok=True)
        save(state)
    return state


def _make_bridge(state):
    during = "making the lab's network"
    system.run(["ip", "link", "add", state["bridge"], "type", "bridge"], during)
    system.run(["ip", "addr", "add", f"{state['gateway']}/24", "dev", state["bridge"]], during)
    system.run(["ip", "link", "set", state["bridge"], "up"], during)


def _make_ssh_key(state):
    """A key for this lab only, for tools that reach machines by SSH. Without ssh-keygen there is none, and no harm."""
    if shutil.which("ssh-keygen"):
        system.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {state['name']}", "-f", state["ssh_key"]],
                   "making the lab's SSH key")
    else:
        state["ssh_key"] = None


def _keep_packages(name, packages):
    """Copies the packages, so that `reset` installs the same ones again even when the originals were rebuilt."""
    kept = f"{limits.DATA_DIR}/{name}/packages"
    os.makedirs(kept, exist_ok=True)
    for package in packages:
        shutil.copy2(package, kept)
    return [f"{kept}/{os.path.basename(package)}" for package in packages]


def boot(state, wanted):
    """Boots machines beside each other and waits until each is running or degraded."""
    boots = []
    try:
        for machine in wanted:
            say(f"lab: booting {machine['name']} ({machine['suite']}, {machine['ip']})")
            machine["faults"] = {}
            boots.append(machines.Boot(state, machine))
            save(state)

        def ready(started):
            machine = started.machine
            machine["state"], failed = machines.system_state(state, machine)
            say(f"lab: {machine['name']} is {machine['state']} after {machine['boot_seconds']} s"
                + (f" (failed: {', '.join(failed)})" if failed else ""))
            if machine["state"] not in ("running", "degraded"):
                raise started.failure(f"is '{machine['state']}', neither running nor degraded")
            save(state)

        machines.wait_ready(boots, ready)
    finally:
        for started in boots:
            started.close()


def install(state, wanted):
    """Reads the archive's lists in each machine and installs the lab's packages there with apt, as a user would."""
    def one(machine):
        say(f"lab: {machine['name']}: apt-get update" + (" and install" if state["packages"] else ""))
        machines.command(state, machine, ["apt-get", "-q", "update"], "apt-get update", limits.APT_SECONDS_MAX)
        if not state["packages"]:
            return
        machines.command(state, machine, ["mkdir", "-p", "/root/packages"])
        for package in state["packages"]:
            machines.push(state, machine, package, "/root/packages")
        paths = [f"/root/packages/{os.path.basename(package)}" for package in state["packages"]]
        machines.command(state, machine, ["apt-get", "-q", "-y", "--no-install-recommends", "install", *paths],
                         "installing the packages", limits.APT_SECONDS_MAX)

    pool = concurrent.futures.ThreadPoolExecutor(WORKERS_MAX)
    try:
        # list() brings the first failure here.
        list(pool.map(one, wanted))
    finally:
        # After a failure or a signal nobody waits for the rest: ending the machines ends what runs in them.
        pool.shutdown(wait=False, cancel_futures=True)


# --- look -----------------------------------------------------------------------------------------------------------------


def look(state):
    """The record as data for a reader, with what only the running machines know."""
    rows = []
    for machine in state["machines"]:
        word, failed = machines.system_state(state, machine)
        leader = machine["leader"]["pid"] if machines.running(machine) else None
        rows.append({
            "name": machine["name"], "suite": machine["suite"], "ip": machine["ip"], "leader": leader, "state": word,
            "failed_units": failed, "faults": sorted(machine["faults"]), "boot_seconds": machine.get("boot_seconds"),
            "memory_bytes": machines.memory_bytes(state, machine) if leader else None, "veth": machine["veth"],
            "root": f"/proc/{leader}/root" if leader else None,
        })
    return {"name": state["name"], "gateway": state["gateway"], "subnet": state["subnet"], "bridge": state["bridge"],
            "archive": state["archive"], "ssh_key": state["ssh_key"], "packages": state["packages"], "machines": rows}


# --- down and reset -------------------------------------------------------------------------------------------------------


def reset(state, wanted):
    """Boots machines afresh from their base tree and installs the lab's packages again; everything else in them is lost."""
    with changing(state["name"]), archive.proxy():
        for machine in wanted:
            machines.stop(state["name"], machine)
            save(state)
        boot(state, wanted)
        if state["packages"]:
            install(state, wanted)


def down(name):
    """Ends a lab, running or crashed, and removes everything it had. Returns False when there was none."""
    with changing(name):
        state = load(name)
        if state:
            _remove(state)
        # A crash between making a directory and writing the record leaves the directory only.
        shutil.rmtree(directory(name), ignore_errors=True)
        shutil.rmtree(f"{limits.DATA_DIR}/{name}", ignore_errors=True)
        if os.path.isdir(system.cgroup_path(f"lab-{name}")):
            system.cgroup_remove(system.cgroup_path(f"lab-{name}"))
    archive.stop_if_unused()
    return state is not None


def _remove(state):
    for machine in state["machines"]:
        machines.stop(state["name"], machine)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(machines.image_of(state["name"], machine["name"]))
    system.cgroup_remove(system.cgroup_path(f"lab-{state['name']}"))
    if os.path.exists(f"/sys/class/net/{state['bridge']}"):
        system.run(["ip", "link", "del", state["bridge"]], "removing the lab's bridge")
    shutil.rmtree(f"{limits.DATA_DIR}/{state['name']}", ignore_errors=True)
    shutil.rmtree(directory(state["name"]), ignore_errors=True)
