"""Old and new packages for crash tests: the release's version and the security archive's, downloaded and checked by apt."""
import hashlib
import os
import re
import time

from . import archive, limits, system
from .system import LabError, say

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")


def fetch(suite, packages, refresh):
    """Downloads both versions of each package into the cache. `new` is null when no newer version is published."""
    if suite not in limits.SUITES:
        raise LabError(f"unknown suite '{suite}'", f"use one of: {', '.join(limits.SUITES)}")
    for package in packages:
        if not PACKAGE.match(package):
            raise LabError(f"'{package}' is not a package name", "use names as apt prints them, such as libssl3")
    base = f"{limits.CACHE_DIR}/fetch/{suite}"
    with system.locked(f"{base}/.lock"), archive.proxy():
        old = _private_apt(base, "old", archive.sources(suite, security=False), refresh)
        new = _private_apt(base, "new", archive.sources(suite), refresh)
        rows = []
        for package in packages:
            before = _download(f"{base}/debs", old, package)
            after = _download(f"{base}/debs", new, package)
            rows.append({"name": package, "old": before, "new": None if after["version"] == before["version"] else after})
    return {"suite": suite, "packages": rows}


def _private_apt(base, kind, sources, refresh):
    """An apt that knows one set of sources and nothing of the host's state; returns its configuration file."""
    root = f"{base}/apt-{kind}"
    for place in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/sources.list.d"):
        os.makedirs(f"{root}/{place}", exist_ok=True)
    open(f"{root}/status", "a", encoding="utf-8").close()
    config = f"{root}/apt.conf"
    stamp = f"{root}/updated"
    with open(f"{root}/etc/sources.list", "a+", encoding="utf-8") as file:
        file.seek(0)
        changed = file.read() != sources
    system.write_file(f"{root}/etc/sources.list", sources)
    system.write_file(config, "".join(f'{key} "{value}";\n' for key, value in {
        "Dir::State": f"{root}/state", "Dir::State::status": f"{root}/status", "Dir::Cache": f"{root}/cache",
        "Dir::Etc": f"{root}/etc", "Dir::Etc::parts": "/dev/null", "Dir::Etc::main": "/dev/null",
        "Dir::Etc::sourcelist": f"{root}/etc/sources.list", "Dir::Etc::sourceparts": f"{root}/etc/sources.list.d",
        "Dir::Etc::trusted": "/dev/null", "Dir::Etc::trustedparts": "/usr/share/keyrings/", "APT::Sandbox::User": "root",
    }.items()) + archive.apt_settings())
    fresh = not changed and os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < limits.LISTS_FRESH_SECONDS
    if refresh or not fresh:
        say(f"lab: reading the archive's lists ({kind})")
        system.run(["apt-get", "-q", "update"], "reading the archive's lists", limits.APT_SECONDS_MAX, env=_environment(config))
        system.write_file(stamp, "")
    return config


def _environment(config):
    return {**os.environ, "APT_CONFIG": config, "LC_ALL": "C.UTF-8"}


def _download(target, config, package):
    """Fetches the newest version that this apt knows; apt compares it with the signed index's digest."""
    text = system.run(["apt-cache", "--no-all-versions", "show", package], f"looking for {package}", env=_environment(config))
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith(" "))
    os.makedirs(target, exist_ok=True)
    name = f"{package}_{fields['Version'].replace(':', '%3a')}_{fields['Architecture']}.deb"
    path = f"{target}/{name}"
    if not os.path.exists(path) or _sha256(path) != fields["SHA256"]:
        say(f"lab: downloading {package} {fields['Version']}")
        system.run(["apt-get", "-q", "download", f"{package}={fields['Version']}"], f"downloading {package}",
                   limits.APT_SECONDS_MAX, env=_environment(config), cwd=target)
    if not os.path.exists(path) or _sha256(path) != fields["SHA256"]:
        raise LabError(f"{path} is missing or not what the archive's index says", "try again with --refresh")
    return {"path": path, "version": fields["Version"], "sha256": fields["SHA256"], "size_bytes": os.path.getsize(path),
            "source": fields.get("Source", package)}


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
