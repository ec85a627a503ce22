"""What the benchmarks on lab machines share: latency, footprint and fleet beside this folder."""
import argparse
import contextlib
import http.client
import json
import math
import os
import platform
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

from prunella_lab import fleet, lab as labs, limits, machine as machines, system  # noqa: E402  (the path above has to come first)
from prunella_lab.system import Interrupted, LabError, say  # noqa: E402,F401

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
ANSWER_SECONDS_MAX = 3600       # the longest command that is waited for is a rollout over ten machines
# Ten hosts that fetch and read package lists at the same time on two busy cores need longer than the demonstration's few.
fleet.FACTS_SECONDS_MAX = 1200
PROGRAMS = ("prunellad", "prunella-agent", "prunella-executor", "prunella")


# --- the program's frame --------------------------------------------------------------------------------------------------


def parser(description):
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--bin", default=str(ROOT / "build" / "release" / "bin"), metavar="FOLDER", help="folder with the programs (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="the result as one JSON document on standard output")
    return made


def main(measure, show, options):
    """Runs measure(options), which returns a JSON value, and prints it: with --json as it is, otherwise by show(result).

    Exit code 0: measured. 1: not measured, with the reason on standard error. 128 + N: ended by signal N. What was started is
    gone in each case, since `measure` holds it in `with` blocks."""
    # What the lab and its programs print on their way is progress: standard output stays data.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        system.raise_on_signals()
        before = surroundings()
        started = time.monotonic()
        result = measure(options)
        result["surroundings"] = {**before, "load_average_after": load_average(), "seconds": round(time.monotonic() - started)}
    except LabError as error:
        say(f"not measured: {error}" + (f"\n  try: {error.hint}" if error.hint else ""))
        return 1
    except Interrupted as interrupt:
        say(f"not measured: ended by {interrupt}")
        return 128 + interrupt.number
    with out:
        if options.json:
            json.dump(result, out, indent=1, sort_keys=True)
            out.write("\n")
        else:
            out.write(f"{show(result)}\n{surroundings_text(result['surroundings'])}\n")
    return 0


def load_average():
    return [round(value, 2) for value in os.getloadavg()]


def surroundings():
    """The machine and how busy it was: a figure without them says little."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) * 1024
    return {"processor": model, "cores": os.cpu_count(), "memory_bytes": memory, "kernel": platform.release(),
            "load_average_before": load_average()}


def surroundings_text(place):
    return (f"on {place['cores']} cores of {place['processor']}, {place['memory_bytes'] / 2**30:.0f} GiB, Linux {place['kernel']}; load average "
            f"{place['load_average_before'][0]} before, {place['load_average_after'][0]} after; took {place['seconds']} s")


# --- figures --------------------------------------------------------------------------------------------------------------


def percentile(values, percent):
    """Nearest rank: the smallest value that at least `percent` of the values do not exceed. Never a value that was not seen."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def spread(values):
    """Samples as p50, p95, p99 and max; LabError without any."""
    if not values:
        raise LabError("no sample was taken")
    return {"samples": len(values), "p50": round(percentile(values, 50), 3), "p95": round(percentile(values, 95), 3),
            "p99": round(percentile(values, 99), 3), "max": round(max(values), 3)}


def spread_text(name, figures, unit="ms"):
    return (f"{name:<58} p50 {figures['p50']:.1f}  p95 {figures['p95']:.1f}  p99 {figures['p99']:.1f}  max {figures['max']:.1f} {unit}"
            f"  ({figures['samples']} samples)")


def verdict(value, limit, unit):
    return {"value": value, "limit": limit, "unit": unit, "holds": value < limit}


# --- processes ------------------------------------------------------------------------------------------------------------


def processor_seconds(pid):
    """User and system time of a process and of its children that it has waited for (proc(5), stat fields 14 to 17).

    LabError when there is no such process: time that cannot be read is not zero."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise LabError(f"process {pid} has ended") from None
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / CLOCK_TICKS


def unit_group(state, machine, unit):
    """The host's path of a unit's control group in a machine."""
    return f"{system.cgroup_path(machines.group_of(state['name'], machine['name']))}/payload/system.slice/{unit}"


def unit_pids(state, machine, unit):
    """The processes of a unit of a machine, by the host's numbers."""
    return system.cgroup_pids(unit_group(state, machine, unit))


def instance_group(state, machine, template, instance):
    """Instances of a template are in a slice of their own (systemd.slice(5)); dashes in its name nest slices, so it has none."""
    return (f"{system.cgroup_path(machines.group_of(state['name'], machine['name']))}/payload/system.slice/"
            f"system-{template}.slice/{template}@{instance}.service")


# --- the installation -----------------------------------------------------------------------------------------------------


class Site(fleet.Fleet):
    """The fleet of the demonstration, with what a benchmark asks of it."""

    def __init__(self, options, name, machines_wanted, heartbeat):
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and mounts, which needs root", "sudo")
        if labs.load(name):
            raise LabError(f"the lab '{name}' is there already", f"prunella-lab down --name {name}")
        for program in PROGRAMS:
            if not os.access(Path(options.bin) / program, os.X_OK):
                raise LabError(f"{options.bin}/{program} is missing", "cmake --workflow --preset release, or --bin FOLDER")
        super().__init__(argparse.Namespace(name=name, bin=options.bin, machines=machines_wanted, trixie=0), heartbeat)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        system.ignore_signals()
        log = self.work / "prunellad.log"
        if kind and kind is not Interrupted and log.exists():
            say("the end of prunellad's log:\n" + log.read_text()[-2000:])
        say("clean up")
        self.close()

    def begin(self):
        """Packages, machines, control plane, operator: all but the hosts' enrolment."""
        self._do(self.packages, self.boot, self.control_plane)
        self.init = json.loads((self.work / "init.json").read_text())
        self.port = int(json.loads((self.work / "ready.json").read_text())["port"])

    def enrol_all(self):
        """Enrols every host and waits until each told its posture."""
        self._do(self.enrol, self.wait_for_facts)

    def _do(self, *steps):
        for one in steps:
            try:
                one()
            except SystemExit as ended:
                raise LabError(str(ended)) from None

    @property
    def state(self):
        """The lab's record, which changes when machines are reset."""
        return labs.load(self.options.name)

    @property
    def machines_up(self):
        return self.state["machines"]

    def inside(self, machine, argv, during="", timeout=limits.COMMAND_SECONDS_MAX):
        """Runs a command in a machine and returns what it wrote; LabError when it fails."""
        return machines.command(self.state, machine, argv, during, timeout)

    def cli(self, *words, ok=(0,)):
        """Runs the command line and returns its standard output; LabError when its exit code is not in `ok`."""
        try:
            done = subprocess.run([self.bin / "prunella", *words], env=self.environment, stdin=subprocess.DEVNULL, check=False,
                                  capture_output=True, text=True, timeout=ANSWER_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise LabError(f"prunella {' '.join(words)} was still running after {ANSWER_SECONDS_MAX} s and was killed") from None
        if done.returncode not in ok:
            raise LabError(f"prunella {' '.join(words)} ended with {done.returncode}: {(done.stderr.strip() or done.stdout.strip())[-2000:]}")
        return done.stdout


# --- the API --------------------------------------------------------------------------------------------------------------


class Api:
    """The control plane's API over a connection of one's own, as a dashboard uses it: for what is asked often or followed."""

    def __init__(self, site):
        self.address = (str(site.gateway), site.port)
        self.context = ssl.create_default_context(cadata=site.init["ca_pem"])
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.headers = {"Authorization": f"Bearer {site.init['token']}"}

    def connect(self, timeout=30):
        return http.client.HTTPSConnection(*self.address, timeout=timeout, context=self.context)

    def get(self, path):
        connection = self.connect()
        try:
            connection.request("GET", path, headers=self.headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise LabError(f"GET {path}: {error}") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise LabError(f"GET {path}: {answer.status} {body[:500].decode(errors='replace')}")
        return json.loads(body)

    def items(self, path):
        """All pages of a list."""
        found, cursor = [], None
        while True:
            join = "&" if "?" in path else "?"
            page = self.get(path + (f"{join}cursor={cursor}" if cursor else ""))
            found += page["items"]
            cursor = page.get("next")
            if not cursor:
                return found


class Changes:
    """Follows /v1/events (server-sent events) and remembers when news of a thing arrived here.

    The control plane sends such news after the transaction in its store was committed, so an arrival is never too early."""

    def __init__(self, api):
        self.condition = threading.Condition()
        self.arrivals = {}      # (kind, id) -> time of arrival, nanoseconds of the realtime clock, the newest
        self.failed = None
        self.closing = False
        self.connection = api.connect(timeout=60)
        self.connection.request("GET", "/v1/events", headers=api.headers)
        self.answer = self.connection.getresponse()
        if self.answer.status != 200:
            raise LabError(f"GET /v1/events: {self.answer.status}")
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        try:
            while line := self.answer.readline():
                now = time.time_ns()
                if not line.startswith(b"data: "):
                    continue
                notice = json.loads(line[6:])
                with self.condition:
                    self.arrivals[notice["kind"], notice["id"]] = now
                    self.condition.notify_all()
            reason = "the control plane ended the stream of events"
        except (OSError, ValueError, AttributeError) as error:
            reason = f"the stream of events broke: {error}"
        with self.condition:
            self.failed = None if self.closing else reason
            self.condition.notify_all()

    def forget(self, kind, identity):
        with self.condition:
            self.arrivals.pop((kind, identity), None)

    def wait(self, kind, identity, seconds):
        """When news of this thing arrived since forget(), in nanoseconds; None when none did within `seconds`."""
        with self.condition:
            self.condition.wait_for(lambda: self.failed or (kind, identity) in self.arrivals, seconds)
            if self.failed:
                raise LabError(self.failed)
            return self.arrivals.get((kind, identity))

    def close(self):
        self.closing = True
        with contextlib.suppress(OSError):
            self.connection.sock and self.connection.sock.shutdown(2)
        self.connection.close()
