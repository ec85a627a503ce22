#!/usr/bin/env python3
"""kill -9 of the executor, or of dpkg, in the middle of a real upgrade; then a new start; then: all-old or all-new, and no trace.

For each point: a fresh copy of a Debian release tree, an executor on it (--root), a signed policy and a signed order that upgrades
real packages from the security archive. txkill-killat ends the victim at its N-th call that changes something. The executor is
started again. The tree must then be, file by file (digest, mode, owner, link), the tree before or the tree after an undisturbed
run, the outcome must be `reverted` or `verified` accordingly, and it must name the phase in which it was interrupted.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

SKIP = 77
SOURCE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(SOURCE, "..", "..", "..", "lab")
PACKAGES = ["openssl", "libssl3", "tzdata", "nginx-light", "nginx", "nginx-common"]
SECONDS_MAX = 240  # for one start to come to an end, on a machine that does ten other things
# What every dpkg run writes anew, whichever way it went: its logs, its own bookkeeping of before, caches that postinst makes.
VOLATILE = ("var/log/", "var/cache/", "var/lib/prunella", "var/lib/dpkg/status-old", "var/lib/dpkg/lock", "run/", "tmp/", "etc/prunella",
            "var/lib/dpkg/diversions-old", "var/lib/dpkg/triggers/Lock", "usr/sbin/policy-rc.d", "var/lib/apt/")


def say(text):
    print(text, flush=True)


def skip(reason):
    say(f"txkill: skipped: {reason}")
    sys.exit(SKIP)


def run(argv, **more):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


class Tree:
    """An overlay copy of a base tree in memory; `with` takes it away again."""

    def __init__(self, lower, work):
        self.lower, self.work = lower, work
        self.path = os.path.join(work, "root")

    def __enter__(self):
        for name in ("upper", "overlay", "root"):
            os.makedirs(os.path.join(self.work, name))
        run(["mount", "-t", "overlay", "txkill", "-o", f"lowerdir={self.lower},upperdir={self.work}/upper,workdir={self.work}/overlay", self.path])
        return self

    def __exit__(self, *_):
        for executor in list(Executor.running):
            executor.kill()
        run(["umount", "-l", self.path])
        shutil.rmtree(self.work)

    def changes(self):
        """What differs from the lower tree: path -> description. A path that is back to what it was isn't there."""
        found = {}
        upper = os.path.join(self.work, "upper")
        for directory, directories, files in os.walk(upper):
            for name in directories + files:
                path = os.path.relpath(os.path.join(directory, name), upper)
                if path.startswith(VOLATILE):
                    continue
                now = describe(os.path.join(self.path, path))
                if now != self.before(path):
                    found[path] = now
        return found

    def before(self, path):
        for layer in self.lower.split(":"):
            seen = describe(os.path.join(layer, path))
            if seen is not None:
                return seen
        return None


def describe(path):
    try:
        info = os.lstat(path)
    except OSError:
        return None
    kind = stat.S_IFMT(info.st_mode)
    what = [oct(info.st_mode), info.st_uid, info.st_gid]
    if kind == stat.S_IFLNK:
        return what[1:] + [os.readlink(path)]
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            content = file.read()
        if path.endswith("/var/lib/dpkg/status"):
            # The order of stanzas' fields is dpkg's own business, and Config-Version depends on how it came here.
            content = "\n\n".join(sorted(content.decode().split("\n\n"))).encode()
        what.append(hashlib.sha256(content).hexdigest())
    return what


class Executor:
    """One start of the program on a tree."""
    running = set()

    def __init__(self, build, tree, victim=None, at=0):
        self.socket_path = os.path.join(tree.work, "socket")
        argv = [f"{build}/bin/prunella-executor", "serve", "--root", tree.path, "--socket", self.socket_path]
        self.report, write_end = os.pipe()
        if os.path.exists(self.socket_path):
            os.unlink(self.socket_path)
        if victim:
            os.dup2(write_end, 9)
            argv = [f"{build}/bin/txkill-killat", victim, str(at)] + argv
        self.log = open(os.path.join(tree.work, "log"), "a+", encoding="utf-8")
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=[9] if victim else [],
                                        start_new_session=True)
        os.close(write_end)
        if victim:
            os.close(9)
        self.killed = "" if victim else "left alone"
        Executor.running.add(self)

    def kill(self):
        """Ends what is left of it, whatever state it is in: its own session and those of the tools that it started."""
        Executor.running.discard(self)
        if self.process.poll() is None:
            children = run(["ps", "-o", "pid=,ppid=", "-A"]).splitlines()
            mine = {self.process.pid}
            for _ in range(8):
                mine |= {int(line.split()[0]) for line in children if int(line.split()[1]) in mine}
            for pid in mine:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait(SECONDS_MAX)

    def poll_report(self, wait):
        """The killer's line, once it's there."""
        import select
        while not self.killed:
            if not select.select([self.report], [], [], wait)[0]:
                return False
            piece = os.read(self.report, 4096).decode()
            if not piece:
                self.killed = "ended"
            self.killed += piece.strip()
        return True

    def connect(self):
        """A connection once it is ready; None when it was killed before."""
        until = time.monotonic() + SECONDS_MAX
        while time.monotonic() < until:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self.socket_path)
                connection.settimeout(SECONDS_MAX)
                return connection
            except OSError:
                connection.close()
            if not self.killed.startswith("left") and self.poll_report(0.02):
                return None
            if self.process.poll() is not None:
                return None
            time.sleep(0.02)
        raise RuntimeError("the executor didn't get ready: " + self.said())

    def said(self):
        self.log.seek(0)
        return self.log.read()[-3000:]

    def end(self):
        """Lets an idle executor end, and the tracer with it."""
        if self.process.poll() is None:
            for line in run(["ps", "-o", "pid=,ppid=,comm=", "-A"]).splitlines():
                pid, parent, command = line.split(None, 2)
                if int(pid) == self.process.pid and "killat" in command:
                    continue
                if self.process.pid in (int(pid), int(parent)) and command.startswith("prunella-exec"):
                    os.kill(int(pid), signal.SIGTERM)
        while not self.poll_report(1) and self.process.poll() is None:
            pass
        self.process.wait(SECONDS_MAX)
        self.close()

    def close(self):
        Executor.running.discard(self)
        os.close(self.report)
        self.log.close()


def ask(connection, request):
    """The answers to one request, up to the one that ends it; None when the connection broke."""
    text = json.dumps(request).encode()
    answers = []
    try:
        connection.sendall(len(text).to_bytes(4, "big") + text)
        while True:
            head = receive(connection, 4)
            answer = json.loads(receive(connection, int.from_bytes(head, "big")))
            answers.append(answer)
            if "progress" not in answer:
                return answers
    except (OSError, EOFError):
        return None


def receive(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Bench:
    """What all points share: the base tree with the files in it, the signed documents, the two good ends."""

    def __init__(self, build, work):
        self.build, self.work = build, work
        fetched = json.loads(run([sys.executable, f"{LAB}/prunella-lab", "fetch", *PACKAGES]))
        base = run([sys.executable, f"{LAB}/prunella-lab", "build", "--suite", "bookworm"]).split()[1]
        layer = os.path.join(work, "layer")
        stage = os.path.join(layer, "var/lib/prunella-agent/stage")
        os.makedirs(stage)
        os.makedirs(os.path.join(layer, "var/lib/prunella-executor"), 0o700)
        os.makedirs(os.path.join(layer, "etc/prunella"))
        os.makedirs(os.path.join(layer, "usr/sbin"), exist_ok=True)
        os.makedirs(os.path.join(layer, "etc/nginx"))
        with open(os.path.join(layer, "usr/sbin/policy-rc.d"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(os.path.join(layer, "usr/sbin/policy-rc.d"), 0o755)
        with open(os.path.join(layer, "etc/prunella/trust.json"), "w", encoding="utf-8") as file:
            file.write(run([f"{build}/bin/txkill-sign", "trust"]))
        # A conffile and a packaged file that somebody changed by hand: both must come out as they were.
        for path in ("etc/nginx/nginx.conf", "usr/share/nginx/html/index.html"):
            os.makedirs(os.path.dirname(os.path.join(layer, path)), exist_ok=True)
            with open(os.path.join(base, path), encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(layer, path), "w", encoding="utf-8") as file:
                file.write(text + "\n# changed by hand\n")
        for directory, directories, files in os.walk(layer):
            for name in directories + files:
                os.chown(os.path.join(directory, name), 0, 0)
        changes = []
        for row in fetched["packages"]:
            if row["new"] is None:
                continue
            for side in ("old", "new"):
                shutil.copy(row[side]["path"], os.path.join(stage, row[side]["sha256"] + ".deb"))
            deb = lambda side: {"version": row[side]["version"], "sha256": row[side]["sha256"], "size_bytes": row[side]["size_bytes"]}
            architecture = row["old"]["path"].rsplit("_", 1)[1][:-4]
            changes.append({"package": {"name": row["name"], "arch": architecture}, "from_version": row["old"]["version"], "from": deb("old"), "to": deb("new")})
        if not changes:
            skip("the archive has no newer version of any of: " + " ".join(PACKAGES))
        changes.sort(key=lambda change: (change["package"]["name"], change["package"]["arch"]))
        plan = {"version": 1, "host": "txkill-host", "purpose": "crash test", "created": "2026-01-01T00:00:00.000Z", "findings": [],
                "actions": [{"kind": "package.transaction", "transaction": {"changes": changes, "conffiles": [], "restarts": [], "not_restarted": []}}],
                "reboot_after": "no", "removals": [], "download_bytes": 0, "space": [],
                "expectation": {"stable_for_ms": 0, "health_command": False}, "deadline_ms": 1800000}
        self.plan = os.path.join(work, "plan.json")
        with open(self.plan, "w", encoding="utf-8") as file:
            json.dump(plan, file)
        self.lower = f"{layer}:{base}"
        self.changes = changes

    def tree(self, name):
        return Tree(self.lower, os.path.join(self.work, name))

    def order(self, connection):
        policy = json.loads(run([f"{self.build}/bin/txkill-sign", "policy", "1"]))
        answers = ask(connection, {"verb": "install-policy", "envelope": policy})
        if answers is None:
            return None
        if "error" in answers[-1]:
            raise RuntimeError(answers[-1]["error"])
        order = json.loads(run([f"{self.build}/bin/txkill-sign", "order", "1", "RUN-txkill", self.plan]))
        return ask(connection, {"verb": "order", "envelope": order})

    def undisturbed(self, victim):
        """The tree after a good run, and how many changing calls the victim makes in one."""
        with self.tree("good") as tree:
            executor = Executor(self.build, tree, victim, 0)
            connection = executor.connect()
            answers = self.order(connection)
            connection.close()
            outcome = answers[-1].get("outcome", answers[-1])
            if outcome.get("state") != "verified":
                raise RuntimeError("the undisturbed run wasn't verified: " + json.dumps(outcome, indent=1) + executor.said())
            new = tree.changes()
            executor.end()
            return new, int(executor.killed.split()[-1])


def stragglers(tree):
    """Wait for what the killed executor started, as far as it still runs in the tree."""
    until = time.monotonic() + SECONDS_MAX
    while time.monotonic() < until:
        alive = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/root").startswith(tree.path):
                    alive.append(pid)
            except OSError:
                pass
        if not alive:
            return
        time.sleep(0.02)
    raise RuntimeError(f"processes {alive} still run in the tree")


def one_point(bench, victim, at, new, depth, rng):
    """Returns (ending, where) or raises with everything that is known."""
    with bench.tree("point") as tree:
        executor = Executor(bench.build, tree, victim, at)
        connection = executor.connect()
        answers = bench.order(connection) if connection else None
        if connection:
            connection.close()
        outcome = answers[-1].get("outcome") if answers else None
        executor.poll_report(0 if answers else SECONDS_MAX)
        where = executor.killed
        executor.end() if outcome else executor.close()
        starts = 0
        while not outcome:
            # Crashes during recovery, `depth` levels deep, then a start that is left alone.
            disturbed = starts < depth
            starts += 1
            executor = Executor(bench.build, tree, "prunella-executor" if disturbed else None, rng.randint(1, 120))
            connection = executor.connect()
            if connection:
                answers = ask(connection, {"verb": "outcomes"})
                connection.close()
                if answers:
                    outcome = answers[-1]["outcomes"][-1] if answers[-1]["outcomes"] else {"state": "none", "reason": "nothing was accepted"}
            if outcome:
                executor.end()
            else:
                executor.poll_report(SECONDS_MAX)
                executor.close()
        stragglers(tree)
        changes = tree.changes()
        audit = run(["chroot", tree.path, "dpkg", "--audit"])
        ending = "all-old" if not changes else "all-new" if changes == new else "MIXED"
        expected = {"verified": "all-new", "reverted": "all-old", "none": "all-old", "refused": "all-old"}.get(outcome["state"])
        if ending != expected or audit:
            differs = {path: (value, new.get(path)) for path, value in changes.items() if new.get(path) != value}
            with open(os.path.join(tree.work, "log"), encoding="utf-8") as file:
                log = file.read()
            raise RuntimeError(f"{victim} at {at} ({where}): {ending}, outcome {outcome['state']}: {outcome['reason']}\naudit: {audit}\n"
                               f"differs: {json.dumps(differs, indent=1)[:4000]}\nlost: {[path for path in new if path not in changes][:20]}\n"
                               f"{json.dumps(outcome, indent=1)[-4000:]}\n{log[-4000:]}")
        return ending, where, outcome["reason"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="the build directory with bin/prunella-executor")
    parser.add_argument("--points", type=int, default=6)
    parser.add_argument("--victim", choices=["executor", "dpkg", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1, help="which points, when there are more calls than points")
    parser.add_argument("--at", type=int, help="only this call")
    parser.add_argument("--depth", type=int, default=0, help="so many crashes during recovery, one after the other")
    parser.add_argument("--json", action="store_true", help="one line of figures at the end")
    options = parser.parse_args()
    if os.geteuid() != 0:
        skip("it needs root, for overlay mounts and chroot")
    if not os.path.exists(f"{LAB}/prunella-lab"):
        skip("lab/prunella-lab isn't there")
    options.build = os.path.abspath(options.build)
    work = tempfile.mkdtemp(prefix="txkill-", dir="/var/tmp")
    run(["mount", "-t", "tmpfs", "-o", "size=3g,mode=0700", "txkill", work])
    rng = random.Random(options.seed)
    failures, endings, started = 0, {}, time.monotonic()
    try:
        try:
            bench = Bench(options.build, work)
        except subprocess.CalledProcessError as error:
            skip(f"no tree or no packages: {error}")
        for victim in {"both": ["prunella-executor", "dpkg"], "executor": ["prunella-executor"], "dpkg": ["dpkg"]}[options.victim]:
            new, total = bench.undisturbed(victim)
            points = [options.at] if options.at else sorted(rng.sample(range(1, total + 1), min(options.points, total)))
            say(f"txkill: {len(bench.changes)} packages, {len(new)} paths change; {victim} makes {total} changing calls, {len(points)} points are tried")
            for number, at in enumerate(points, 1):
                try:
                    ending, where, reason = one_point(bench, victim, at, new, options.depth, rng)
                    endings[(victim, ending)] = endings.get((victim, ending), 0) + 1
                    say(f"  {number}/{len(points)} {victim} at {at}: {ending}; {where}; {reason[:110]}")
                except RuntimeError as error:
                    failures += 1
                    say(f"  {number}/{len(points)} FAILED {error}")
    finally:
        run(["umount", "-l", work])
        os.rmdir(work)
    figures = {f"{victim} {ending}": count for (victim, ending), count in sorted(endings.items())}
    say(f"txkill: {figures}, {failures} failed, {time.monotonic() - started:.0f} s")
    if options.json:
        say(json.dumps({"bench": "txkill", "seed": options.seed, "depth": options.depth, **figures, "failed": failures}))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
