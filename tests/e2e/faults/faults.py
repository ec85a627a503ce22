#!/usr/bin/env python3
"""What a fleet of real Debian machines shows and does when things are wrong: each fault of the lab, and each bad state of a host,
is planted on an enrolled machine, looked at through the command line as a user would, and taken away again.

Needs root and Debian's archive (as the lab does); about ten minutes. `--only WORD` runs the cases whose name has WORD."""
import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(ROOT / "lab"))
from prunella_lab.faults import FAULTS  # noqa: E402
from prunella_lab.fleet import LAB, Fleet, items_of, step  # noqa: E402

SECONDS_MAX = 180  # for a state to be shown; a machine's own look at everything takes seconds, apt's lists up to a minute
RUN_SECONDS_MAX = 420


class Failed(Exception):
    pass


class Faults(Fleet):
    # --- asking -------------------------------------------------------------------------------------------------------

    def host(self, name):
        return next(host for host in items_of(self.ask("host", "ls")) if host["name"] == name)

    def findings(self, name, kind=None):
        """Open findings of a host: [{kind, subject, summary, ...}]."""
        words = ["finding", "ls", "--host", self.host(name)["id"]] + (["--kind", kind] if kind else [])
        return [view["finding"] for view in items_of(self.ask(*words))]

    def until(self, sentence, condition, seconds=SECONDS_MAX):
        """Waits for a true value, and gives it; with what was seen last when it doesn't come."""
        end = time.monotonic() + seconds
        seen = None
        while time.monotonic() < end:
            seen = condition()
            if seen:
                print(f"   seen: {sentence}", flush=True)
                return seen
            time.sleep(0.5)
        raise Failed(f"not seen within {seconds} s: {sentence} (last: {seen!r})")

    def finding(self, name, kind, subject=None, text=""):
        def there():
            return next((f for f in self.findings(name, kind) if (subject is None or f["subject"] == subject) and text in json.dumps(f)), None)
        found = self.until(f"{name} has {kind}{' ' + subject if subject else ''}", there)
        print("     " + found["summary"], flush=True)
        return found

    def no_finding(self, name, kind, subject=None):
        self.until(f"{name} has no {kind} any more", lambda: not [f for f in self.findings(name, kind) if subject is None or f["subject"] == subject])

    def at(self, name):
        return f"{self.options.name}/{name}"

    def inside(self, name, script):
        return self.lab("exec", self.at(name), "--", "sh", "-c", script, capture=True)

    def status(self, name):
        """What dpkg says is installed, and every unit that failed."""
        return self.inside(name, "dpkg-query -W -f '${Package}:${Architecture} ${Version} ${db:Status-Status}\\n'")

    def plan(self, name, *more):
        return self.ask("plan", "-l", f"host:{name}", *more)

    def apply(self, name, *more, seconds=RUN_SECONDS_MAX):
        """Plans and applies; (exit code, the host's newest run or None)."""
        plan = self.plan(name, "--waves", "100%", "--soak", "1", *more)
        if "id" not in plan:
            raise Failed(f"no plan for {name}: {plan}")
        code = self.prunella("apply", plan["id"], "--yes", "--timeout", f"{seconds}s", check=False)
        runs = [run for run in items_of(self.ask("run", "ls")) if run["host"] == self.host(name)["id"]]
        return code, (runs[0] if runs else None)

    def expect(self, sentence, true, evidence=""):
        if not true:
            raise Failed(f"{sentence}: {evidence}")
        print(f"   true: {sentence}", flush=True)

    # --- the lab's faults ---------------------------------------------------------------------------------------------

    def case_held_package(self, name):
        self.lab("break", self.at(name), "held-package", "--package", "libssl3")
        held = self.finding(name, "missing-security-update", "openssl", "hold")
        self.expect("its exposure says that a hold blocks it", held["exposure"] == "blocked_by_hold", held)
        plan = json.dumps(self.plan(name))
        self.expect("the plan leaves it alone", '"libssl3"' not in plan.split('"held"')[0] or "hold" in plan, plan[:500])
        self.prunella("why", self.host(name)["id"], "libssl3")
        self.lab("mend", self.at(name), "held-package")
        self.until("the hold is gone from the finding", lambda: [f for f in self.findings(name, "missing-security-update") if f["subject"] == "openssl" and f["exposure"] == "fix_available"])

    def case_full_disk(self, name):
        before = self.status(name)
        self.lab("break", self.at(name), "full-disk")
        self.finding(name, "filesystem-full", "/")
        self.until("the host is shown as broken", lambda: self.host(name)["posture"] == "broken")
        code, run = self.apply(name, seconds=30)
        self.expect("nothing is claimed to be done", code != 0 and (run is None or run["state"] != "verified"), (code, run))
        newest = items_of(self.ask("rollout", "ls"))[0]
        self.expect("the rollout stopped, and says what was missing", "free" in json.dumps(newest) and "stopped" in json.dumps(newest), newest)
        self.expect("no package changed", self.status(name) == before)
        self.prunella("why", self.host(name)["id"])
        self.lab("mend", self.at(name), "full-disk")
        self.no_finding(name, "filesystem-full")

    def case_lost_network(self, name):
        self.lab("break", self.at(name), "lost-network")
        self.until("the host is stale", lambda: self.host(name)["posture"] == "stale")
        self.expect("the sentence says since when", "silent since" in self.host(name)["sentence"], self.host(name)["sentence"])
        # What happens meanwhile is told afterwards.
        self.inside(name, "systemd-run --unit=fails-unseen false || true")
        self.lab("mend", self.at(name), "lost-network")
        self.finding(name, "unit-failed", "fails-unseen.service")
        self.inside(name, "systemctl reset-failed fails-unseen.service")
        self.no_finding(name, "unit-failed", "fails-unseen.service")

    def case_killed_agent(self, name):
        first = self.inside(name, "systemctl show -p MainPID --value prunella-agent").strip()
        self.lab("break", self.at(name), "killed-agent")
        self.until("systemd started the agent again", lambda: self.inside(name, "systemctl show -p MainPID --value prunella-agent").strip() not in ("0", first))
        self.inside(name, "systemd-run --unit=fails-after-kill false || true")
        self.finding(name, "unit-failed", "fails-after-kill.service")
        self.inside(name, "systemctl reset-failed fails-after-kill.service")
        self.no_finding(name, "unit-failed", "fails-after-kill.service")
        self.lab("mend", self.at(name), "killed-agent")

    def case_interrupted_dpkg(self, name):
        self.lab("break", self.at(name), "interrupted-dpkg", "--package", "nginx-common")
        self.finding(name, "interrupted-dpkg", "dpkg")
        code, run = self.apply(name)
        self.expect("repaired, patched and verified", code == 0 and run and run["state"] == "verified", (code, run))
        self.expect("dpkg has nothing to complain of", self.inside(name, "dpkg --audit").strip() == "")
        self.no_finding(name, "interrupted-dpkg")
        self.no_finding(name, "missing-security-update")

    def case_service_dies_after_patch(self, name):
        before = self.status(name)
        self.lab("break", self.at(name), "service-dies-after-patch")
        code, run = self.apply(name, "--stable-for", "5s")
        self.expect("the run is reverted, and says so", code != 0 and run and run["state"] == "reverted", (code, run))
        self.expect("every package is as it was", self.status(name) == before)
        self.lab("mend", self.at(name), "service-dies-after-patch")

    # --- bad states of a host -----------------------------------------------------------------------------------------

    def case_no_dbus(self, name):
        self.inside(name, "systemctl stop dbus.socket dbus.service; systemctl restart prunella-agent")
        self.finding(name, "unknown", "units", "bus")
        self.expect("the host isn't called healthy", self.host(name)["posture"] != "healthy")
        self.inside(name, "systemctl start dbus.socket; systemctl restart systemd-logind; systemctl restart prunella-agent")
        self.no_finding(name, "unknown", "units")

    def case_archive_unreachable(self, name):
        """An archive at a port where nobody listens; the proxy's cache would answer for it."""
        self.inside(name, "cp -a /etc/apt/sources.list /root/sources.kept; echo 'Acquire::http::Proxy::127.0.0.1 \"DIRECT\";' >/etc/apt/apt.conf.d/99direct;"
                    " sed -i -E 's#http://[^/]+/#http://127.0.0.1:9/#' /etc/apt/sources.list")
        self.prunella("host", "refresh", self.host(name)["id"])
        self.finding(name, "repository-unreachable")
        self.inside(name, "cp -a /root/sources.kept /etc/apt/sources.list; rm /etc/apt/apt.conf.d/99direct")
        self.prunella("host", "refresh", self.host(name)["id"])
        self.no_finding(name, "repository-unreachable")

    def case_archive_wrongly_signed(self, name):
        """The archive's keys replaced by keys that didn't sign it: apt refuses, and so do we."""
        self.inside(name, "mkdir -p /root/keys && mv /etc/apt/trusted.gpg.d/* /root/keys/ 2>/dev/null; mv /usr/share/keyrings /root/keyrings; mkdir /usr/share/keyrings")
        self.prunella("host", "refresh", self.host(name)["id"])
        self.finding(name, "repository-untrusted")
        self.until("the host is shown as broken", lambda: self.host(name)["posture"] == "broken")
        self.inside(name, "mv /root/keys/* /etc/apt/trusted.gpg.d/; rmdir /usr/share/keyrings; mv /root/keyrings /usr/share/keyrings")
        self.prunella("host", "refresh", self.host(name)["id"])
        self.no_finding(name, "repository-untrusted")

    def case_no_lists(self, name):
        self.inside(name, "cp -a /etc/apt/sources.list /root/sources.kept; : > /etc/apt/sources.list; systemctl stop prunella-agent; rm -rf /var/lib/prunella-agent/apt; systemctl start prunella-agent")
        self.finding(name, "unknown", "security-archive")
        self.inside(name, "cp -a /root/sources.kept /etc/apt/sources.list")
        self.prunella("host", "refresh", self.host(name)["id"])
        self.no_finding(name, "unknown", "security-archive")

    def case_clock_jump(self, name):
        """The kernel's clock is shared by all machines, so the agent alone is given another one (libfaketime): it must neither act
        nor vanish without a word."""
        self.inside(name, "(apt-get -q update && apt-get -q -y --no-install-recommends install faketime) >/dev/null 2>&1")
        for offset in ("+10y", "-10y"):
            self.inside(name, "mkdir -p /run/systemd/system/prunella-agent.service.d; printf '[Service]\\nEnvironment=LD_PRELOAD=%s FAKETIME=" + offset + " FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1\\nMemoryDenyWriteExecute=no\\n' "
                        "$(ls /usr/lib/*/faketime/libfaketime.so.1) > /run/systemd/system/prunella-agent.service.d/clock.conf; systemctl daemon-reload; systemctl restart prunella-agent")
            self.until(f"with {offset} the host is shown as stale, or its clock as off",
                       lambda: self.host(name)["posture"] == "stale" or self.findings(name, "clock-off"))
            print("     " + self.host(name)["sentence"])
            print("     agent: " + self.inside(name, "journalctl -u prunella-agent -n 3 -o cat --no-pager"))
        self.inside(name, "rm -r /run/systemd/system/prunella-agent.service.d; systemctl daemon-reload; systemctl restart prunella-agent")
        self.until("it comes back by itself", lambda: self.host(name)["posture"] not in ("stale",) and not self.findings(name, "clock-off"))


def main():
    cases = [word[5:] for word in dir(Faults) if word.startswith("case_")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=str(ROOT / "build" / "release" / "bin"), help="folder with the programs")
    parser.add_argument("--name", default="faults", help="of the lab")
    parser.add_argument("--trixie", action="store_true", help="on Debian 13 instead of 12")
    parser.add_argument("--only", action="append", help="cases whose name has this word: " + ", ".join(cases))
    parser.add_argument("--keep", action="store_true", help="stay until Ctrl-C, to look around")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("the lab needs root: it boots machines, makes networks and mounts")
    chosen = [case for case in cases if not options.only or any(word in case for word in options.only)]
    if not chosen:
        raise SystemExit(f"--only {options.only}: no case has that word; they are {', '.join(cases)}")
    # Those that patch come last: the others need something that is missing.
    chosen.sort(key=lambda case: (case == "interrupted_dpkg", case == "service_dies_after_patch"))
    options.machines = 1
    options.trixie = 1 if options.trixie else 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fleet = Faults(options)
    results = {}
    try:
        fleet.packages()
        fleet.boot()
        fleet.control_plane()
        fleet.enrol()
        fleet.wait_for_facts()
        for case in chosen:
            step(case)
            begun = time.monotonic()
            try:
                getattr(fleet, "case_" + case)(fleet.names[0])
                results[case] = "passed"
            except Failed as failure:
                results[case] = str(failure)
            except (SystemExit, Exception) as failure:  # pylint: disable=broad-except
                traceback.print_exc()
                results[case] = repr(failure)
            if results[case] != "passed":
                for fault in FAULTS:  # or the cases that follow would meet it; what isn't planted is nothing to mend
                    subprocess.run([LAB, "mend", fleet.at(fleet.names[0]), fault], check=False, capture_output=True)
            print(f"{'ok    ' if results[case] == 'passed' else 'FAILED'} {case} ({time.monotonic() - begun:.0f} s) {'' if results[case] == 'passed' else results[case]}", flush=True)
        if options.keep:
            print(f"export PRUNELLA_CONFIG_DIR={fleet.work}/operator; {fleet.bin}/prunella status", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 130
    finally:
        step("clean up")
        fleet.close()
    failed = [case for case in chosen if results.get(case) != "passed"]
    if options.json:
        print(json.dumps(results))
    print(f"{len(chosen) - len(failed)} of {len(chosen)} cases passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
