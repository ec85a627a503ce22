"""The Debian archive as the lab's machines see it: where it is, and the caching proxy that is their only way to it."""
import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess

from . import limits, system
from .system import LabError

PROXY_DIR = f"{limits.RUN_DIR}/.proxy"
PROXY_STATE = f"{PROXY_DIR}/state.json"
PROXY_USERS_LOCK = f"{limits.RUN_DIR}/.proxy-users.lock"
PROXY_START_LOCK = f"{limits.RUN_DIR}/.proxy-start.lock"
PROXY_URL = f"http://{limits.ARCHIVE_ADDRESS}:{limits.ARCHIVE_PORT}"


def mirrors():
    """(release, security) addresses, taken from the host's own apt configuration, never from the lab.

    PRUNELLA_LAB_MIRROR and PRUNELLA_LAB_SECURITY_MIRROR override them, for a host that is not Debian.
    """
    release = os.environ.get("PRUNELLA_LAB_MIRROR")
    security = os.environ.get("PRUNELLA_LAB_SECURITY_MIRROR")
    if release and security:
        return release, security
    lines = system.run(["apt-get", "indextargets", "--format", "$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(REPO_URI)",
                        "Created-By: Packages"], "asking apt for the host's mirrors").splitlines()
    names = {*limits.SUITES, "stable", "oldstable", "testing"}
    for line in lines:
        name, component, origin, uri = line.split("|")
        # ORIGIN stays "$(ORIGIN)" while the list was never downloaded; another vendor's origin rules a source out.
        if component != "main" or (origin != "Debian" and not origin.startswith("$")):
            continue
        if name in names:
            release = release or uri
        elif name.endswith("-security"):
            security = security or uri
    if not release or not security:
        raise LabError(f"the host's apt sources name no Debian {'release' if not release else 'security'} archive",
                       "set PRUNELLA_LAB_MIRROR and PRUNELLA_LAB_SECURITY_MIRROR to the addresses to use")
    return release, security


def through_proxy(uri):
    """The same address as the proxy wants it: apt-cacher-ng reaches https sources by the name HTTPS///host/path."""
    return re.sub(r"^https://", "http://HTTPS///", uri).rstrip("/") + "/"


def sources(suite, security=True):
    """Text of a sources.list for a machine: the release, and unless told otherwise its security and update archives."""
    release_uri, security_uri = (through_proxy(uri) for uri in mirrors())
    text = f"deb {release_uri} {suite} main\n"
    if security:
        text += f"deb {security_uri} {suite}-security main\ndeb {release_uri} {suite}-updates main\n"
    return text


def apt_settings():
    """apt.conf text that leads apt to the proxy and nowhere else."""
    return (f'Acquire::http::Proxy "{PROXY_URL}";\n'
            'Acquire::https::Proxy "DIRECT";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Retries "2";\n')


def _bridge_up():
    if not os.path.exists(f"/sys/class/net/{limits.ARCHIVE_BRIDGE}"):
        system.run(["ip", "link", "add", limits.ARCHIVE_BRIDGE, "type", "bridge"], "making the archive's address")
    system.run(["ip", "addr", "replace", f"{limits.ARCHIVE_ADDRESS}/32", "dev", limits.ARCHIVE_BRIDGE],
               "making the archive's address")
    system.run(["ip", "link", "set", limits.ARCHIVE_BRIDGE, "up"], "making the archive's address")


def _answers():
    try:
        socket.create_connection((limits.ARCHIVE_ADDRESS, limits.ARCHIVE_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def _upstream():
    """The proxy that the host's own apt uses, if any: ours has to go the same way."""
    line = system.run(["apt-config", "shell", "PROXY", "Acquire::http::Proxy"], "asking apt for the host's proxy").strip()
    value = line.partition("=")[2].strip("'\"")
    return f"Proxy: {value}\n" if value and value != "DIRECT" else ""


def _start():
    program = shutil.which("apt-cacher-ng", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
    if not program:
        raise LabError("apt-cacher-ng is not installed", "sudo apt-get install apt-cacher-ng")
    user = "apt-cacher-ng"
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        raise LabError(f"the user '{user}' that the package makes does not exist", "reinstall apt-cacher-ng") from None
    config = f"{PROXY_DIR}/conf"
    places = {"cache": f"{limits.CACHE_DIR}/archive", "log": f"{PROXY_DIR}/log", "run": f"{PROXY_DIR}/run"}
    os.makedirs(config, exist_ok=True)
    for place in places.values():
        os.makedirs(place, exist_ok=True)
        os.chown(place, owner.pw_uid, owner.pw_gid)
    system.write_file(f"{config}/acng.conf",
                      f"BindAddress: {limits.ARCHIVE_ADDRESS}\nPort: {limits.ARCHIVE_PORT}\n"
                      f"CacheDir: {places['cache']}\nLogDir: {places['log']}\nSocketPath: {places['run']}/socket\n"
                      f"SupportDir: /usr/lib/apt-cacher-ng\nForeGround: 1\nAllowUserPorts: 0\nExThreshold: 30\n"
                      + _upstream())
    _bridge_up()
    group = system.cgroup_make("proxy")
    with open(f"{PROXY_DIR}/output", "w", encoding="utf-8") as output:
        child = subprocess.Popen([program, "-c", config], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 start_new_session=True, user=owner.pw_uid, group=owner.pw_gid, extra_groups=[], cwd="/")
    system.write_json(PROXY_STATE, system.process_record(child.pid))
    with open(f"{group}/cgroup.procs", "w", encoding="utf-8") as file:
        file.write(str(child.pid))

    def ready():
        if child.poll() is not None:
            with open(f"{PROXY_DIR}/output", encoding="utf-8", errors="replace") as file:
                raise LabError(f"apt-cacher-ng ended with {child.returncode} at once\n{file.read()[-2000:]}")
        return _answers()

    system.wait_until(ready, limits.ARCHIVE_START_SECONDS_MAX, "apt-cacher-ng listening")


@contextlib.contextmanager
def proxy():
    """Has the proxy running while the block runs, and afterwards for as long as a lab or another user needs it."""
    try:
        with system.locked(PROXY_USERS_LOCK, shared=True):
            with system.locked(PROXY_START_LOCK):
                if not (system.alive(system.read_json(PROXY_STATE)) and _answers()):
                    stop()
                    _start()
            yield PROXY_URL
    finally:
        stop_if_unused()


def labs_exist():
    return os.path.isdir(limits.RUN_DIR) and any(
        os.path.exists(f"{limits.RUN_DIR}/{name}/state.json") for name in os.listdir(limits.RUN_DIR)
        if not name.startswith("."))


def stop_if_unused():
    """Ends the proxy when no lab exists and no command is using it."""
    with system.locked(PROXY_USERS_LOCK, wait=False) as alone:
        if alone and not labs_exist():
            stop()


def stop():
    """Ends the proxy and removes its address. Its cache stays."""
    system.kill_and_wait(system.read_json(PROXY_STATE))
    system.cgroup_remove(system.cgroup_path("proxy"))
    if os.path.exists(f"/sys/class/net/{limits.ARCHIVE_BRIDGE}"):
        system.run(["ip", "link", "del", limits.ARCHIVE_BRIDGE], "removing the archive's address")
    shutil.rmtree(PROXY_DIR, ignore_errors=True)
