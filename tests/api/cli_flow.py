#!/usr/bin/env python3
"""Drives the command line against a real control plane with made-up hosts, from an empty one to a rollout with a host that is
reverted, an undo and a verified audit log: cli_flow.py --prunellad PROGRAM --prunella PROGRAM [--stay].

With --stay it goes on serving after the last step and prints how to talk to it, so that a person can look at the screens; Ctrl-C
ends it.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from agent import Agent, now  # noqa: E402
from conformance import Failed, end_when_told, own_server  # noqa: E402


class Host(threading.Thread):
    """An agent and its executor: takes orders, goes through the states, ends as it's told."""

    def __init__(self, agent, ends_as="verified", pause=0.15):
        super().__init__(daemon=True)
        self.agent, self.ends_as, self.pause = agent, ends_as, pause
        self.stopping = threading.Event()
        self.last = 0

    def report(self, events):
        reply = self.agent.server.send("POST", "/agent/v1/report", certificate=self.agent.certificate, body=self.agent.report(events))
        if reply.status != 200:
            raise Failed(f"report: {reply.status} {reply.body[:300]!r}")

    def sections(self):
        """As the agent's, with this executor's own last sequence; patched hosts miss nothing."""
        events = self.agent.sections()
        for event in events:
            if event["source"] == "executor":
                event["data"]["value"].update(policy_serial=1, last_sequence=self.last)
            if self.patched and event["source"] == "updates":
                event["data"]["value"]["updates"] = []
            if self.patched and event["source"] == "packages":
                event["data"]["value"]["packages"][0].update(version="3.0.17-1~deb12u2", source_version="3.0.17-1~deb12u2")
        return events

    patched = False

    def carry_out(self, envelope):
        outcome = self.agent.outcome(envelope)
        for state, detail in (("accepted", "the order is sound"), ("staging", "2 files"), ("acting", "unpacking openssl"), ("restarting", "nginx.service"), ("verifying", "units stay healthy")):
            progress = {"run": outcome["run"], "state": state, "at": now(), "detail": detail}
            if state == "acting":
                progress["percent"] = 60
            self.report([self.agent.event("runs", "prunella.run.progress", progress)])
            time.sleep(self.pause)
        outcome["state"], outcome["ended"] = self.ends_as, now()
        if self.ends_as == "reverted":
            outcome["reason"] = "nginx.service isn't active after the restart: exit-code; the old files are back"
            outcome["checks"][0].update(what="nginx.service is active", holds=False, measured="failed (exit-code)")
        self.patched = self.ends_as == "verified" and not self.patched
        self.report([self.agent.event("runs", "prunella.run.outcome", outcome)] + self.sections())

    def run(self):
        self.report(self.sections())
        beat = time.monotonic()
        while not self.stopping.is_set():
            reply = self.agent.server.send("GET", f"/agent/v1/orders?after={self.last}&policy=1&wait_ms=300", certificate=self.agent.certificate)
            if reply.status != 200:
                continue
            for envelope in reply.json()["orders"]:
                self.last = json.loads(base64.b64decode(envelope["payload"]))["sequence"]
                self.carry_out(envelope)
            if time.monotonic() - beat > 5:
                self.report([])
                beat = time.monotonic()


class Flow:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.environment = {**os.environ, "PRUNELLA_CONFIG_DIR": str(folder / "config"), "USER": "ada", "NO_COLOR": "1"}
        self.passed, self.failed = 0, 0

    def __call__(self, *words, want=0, say=True):
        done = subprocess.run([self.program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.environment, timeout=120, check=False)
        good = done.returncode == want
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        if say or not good:
            print(f"$ prunella {' '.join(words)}\n{done.stdout}{done.stderr}" + ("" if good else f"FAILED: it ended with {done.returncode}, wanted {want}\n"), flush=True)
        return done

    def check(self, what, good):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print(f"FAILED: {what}", flush=True)


def flow(run, server, first, folder, stay, pause):
    (folder / "init.json").write_text(json.dumps(first), encoding="utf-8")
    run("status", want=3)
    run("context", "add", "lab", "--server", f"https://{server.host}:{server.port}", "--from", str(folder / "init.json"))
    run("doctor", want=1)
    run("enroll", "--print", want=5)
    run("operator", "init", "--yes")
    run("policy", "show")
    hosts = []
    for number in range(1, 8):
        line = run("enroll", "--print", "--name", f"web-{number}", "--label", "ring=canary" if number == 1 else "ring=broad", say=number == 1).stdout
        agent = Agent(str(folder), server, f"web-{number}")
        token = re.search(r"--token (\S+)", line).group(1)
        reply = server.send("POST", "/agent/v1/enroll", body=agent.enroll_request(token))
        run.check("the token of the installer line enrols a host", reply.status == 200)
        agent.take(reply.json())
        hosts.append(Host(agent, ends_as="reverted" if number == 7 else "verified", pause=pause))
    for host in hosts:
        host.start()
    for _ in range(200):
        if all(json.loads(server.send("GET", f"/v1/hosts/{host.agent.host}", token=first["token"]).body)["host"]["posture"] == "needs-update" for host in hosts):
            break
        time.sleep(0.05)
    run("status")
    run("host", "ls")
    run("host", "show", "web-1")
    run("finding", "ls", "-l", "ring:canary")
    run("patch", "ls")
    run("cve", "show", "cve-2025-9230")
    run("cve", "show", "CVE-1999-0001", want=3)
    run("why", "web-1", "CVE-2025-9230")
    run("plan", "-l", "host:nobody", want=3)
    plan = run("plan", "-l", "all", "--waves", "1,3,100%", "--soak", "0", "--max-failures", "50", want=2)
    plan_id = re.search(r"PLN-\w+", plan.stdout).group(0)
    run("plan", "ls")
    run("approve", plan_id, want=5, say=False)
    run("apply", plan_id, "--yes", want=6)
    rollout = run("rollout", "ls", "-q").stdout.split()[0]
    run("rollout", "show", rollout)
    run("rollout", "watch", rollout, "--jsonl", want=6)
    runs = json.loads(run("run", "ls", "--json", say=False).stdout)["items"]
    run("run", "ls", "--rollout", rollout)
    reverted = next(r["id"] for r in runs if r["state"] == "reverted")
    verified = next(r["id"] for r in runs if r["state"] == "verified")
    run("run", "show", reverted)
    run("why", "web-7")
    run("apply", plan_id, "--yes", want=5)
    run("undo", reverted, "--yes", want=5)
    undo = run("undo", verified, "--yes", "--timeout", "3s", want=8)
    run("rollout", "abort", re.search(r"ROL-\w+", undo.stdout).group(0), "--yes")
    run("token", "create", "ci", "--scope", "read", "--lifetime", "1d")
    run("token", "ls")
    run("host", "label", "-l", "ring:broad", "role=web", "--yes")
    run("host", "refresh", "web-1")
    run("audit", "tail", "-n", "8")
    run("audit", "verify")
    run("audit", "verify")
    export = run("audit", "export", say=False).stdout
    (folder / "audit.jsonl").write_text(export, encoding="utf-8")
    run("audit", "verify", "--file", str(folder / "audit.jsonl"))
    (folder / "audit.jsonl").write_text(export.replace("plan.approved", "plan.declined", 1), encoding="utf-8")
    run("audit", "verify", "--file", str(folder / "audit.jsonl"), want=1)
    gone = hosts.pop(5)
    gone.stopping.set()
    gone.join(timeout=10)
    run("host", "revoke", "web-6", "--yes")
    run("doctor")
    if stay:
        print(f"PRUNELLA_CONFIG_DIR={folder}/config {run.program} status", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
    for host in hosts:
        host.stopping.set()
    for host in hosts:
        host.join(timeout=5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prunellad", required=True)
    parser.add_argument("--prunella", required=True)
    parser.add_argument("--stay", action="store_true")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds of each step of a run")
    arguments = parser.parse_args()
    end_when_told()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="prunella-cli-"))
    run = Flow(arguments.prunella, folder)
    try:
        with own_server(arguments.prunellad, folder) as (server, token):
            flow(run, server, {"token": token, "ca_pem": server.ca_pem}, folder, arguments.stay, arguments.pause)
    except Failed as failure:
        run.check(str(failure), False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
