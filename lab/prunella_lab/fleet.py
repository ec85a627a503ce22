"""A fleet as a user would have it: Debian packages, lab machines, a control plane on the lab's gateway, hosts enrolled by the
installer line. The demonstration, the tests of faults and the benchmarks all begin with it."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LAB = ROOT / "lab" / "prunella-lab"
READY_SECONDS_MAX = 30          # prunellad opens its port within a second
FACTS_SECONDS_MAX = 420         # a host fetches package lists first: two cores and a cold cache take minutes for ten of them


def step(text):
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def items_of(answer):
    return answer["items"] if isinstance(answer, dict) else answer


class Fleet:
    """options: machines, trixie, name (of the lab), bin (folder with the programs). close() removes everything."""

    def __init__(self, options, heartbeat="2s"):
        self.options = options
        self.heartbeat = heartbeat
        self.bin = Path(options.bin).resolve()
        self.work = Path(tempfile.mkdtemp(prefix=f"prunella-{options.name}-"))
        self.environment = dict(os.environ, PRUNELLA_CONFIG_DIR=str(self.work / "operator"))
        self.server = None
        self.lab_up = False

    def prunella(self, *words, check=True, quiet=False):
        if not quiet:
            print("$ prunella " + " ".join(words), flush=True)
        done = subprocess.run([self.bin / "prunella", *words], env=self.environment, check=False)
        if check and done.returncode != 0:
            raise SystemExit(f"prunella {' '.join(words)} ended with {done.returncode}")
        return done.returncode

    def ask(self, *words):
        done = subprocess.run([self.bin / "prunella", *words, "--json"], env=self.environment, check=False, capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise SystemExit(f"prunella {' '.join(words)} --json: {done.stderr.strip() or done.stdout.strip()}") from None

    def lab(self, *words, capture=False):
        done = subprocess.run([LAB, *words], check=False, capture_output=capture, text=True)
        if done.returncode != 0:
            raise SystemExit(f"prunella-lab {' '.join(words)} ended with {done.returncode}: {(done.stderr or '').strip()[-2000:]}")
        return done.stdout

    def machines(self):
        return json.loads(self.lab("ls", "--json", capture=True))

    def packages(self):
        step("Debian packages")
        self.out = self.work / "packages"
        subprocess.run([ROOT / "packaging" / "build", "--bin", self.bin, "--out", self.out], check=True)

    def boot(self):
        step(f"{self.options.machines} Debian machines")
        words = ["up", str(self.options.machines), "--name", self.options.name]
        if self.options.trixie:
            words += ["--trixie", str(self.options.trixie)]
        self.lab_up = True
        self.lab(*words)
        lab = self.machines()
        lab = next(one for one in lab["labs"] if one["name"] == self.options.name) if "labs" in lab else lab
        self.gateway = lab["gateway"]
        self.names = [machine["name"] for machine in lab["machines"]]

    def control_plane(self):
        step("control plane")
        init = subprocess.run([self.bin / "prunellad", "init", "--data", self.work / "control", "--organisation", "lab", "--listen",
                               f"{self.gateway}:0", "--packages", self.out, "--heartbeat", self.heartbeat], check=True, capture_output=True, text=True)
        (self.work / "init.json").write_text(init.stdout)
        port = self.start_server()
        self.prunella("context", "add", "lab", "--server", f"https://{self.gateway}:{port}", "--from", str(self.work / "init.json"))
        self.prunella("operator", "init", "--yes", "--name", "ada")

    def start_server(self, listen=None):
        """Starts prunellad; the port that it listens on. After a stop_server(), give that port back as listen."""
        ready = self.work / "ready.json"
        ready.unlink(missing_ok=True)
        words = ["--listen", f"{self.gateway}:{listen}"] if listen else []
        with open(self.work / "prunellad.log", "a", encoding="utf-8") as log:
            self.server = subprocess.Popen([self.bin / "prunellad", "run", "--data", self.work / "control", "--ready-file", ready, *words], stderr=log)
        until = time.monotonic() + READY_SECONDS_MAX
        while not ready.exists():
            if self.server.poll() is not None or time.monotonic() > until:
                raise SystemExit("prunellad did not start:\n" + (self.work / "prunellad.log").read_text())
            time.sleep(0.05)
        return json.loads(ready.read_text())["port"]

    def stop_server(self):
        if self.server and self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()

    def enrol(self):
        step("enrolment: the installer line, run in each machine as a user would")
        for number, name in enumerate(self.names):
            words = ["enroll", "--print", "--name", name]
            if number == 0:
                words += ["--label", "ring=canary"]
            line = subprocess.run([self.bin / "prunella", *words, "--quiet"], env=self.environment, check=True, capture_output=True, text=True).stdout
            line = line.strip().splitlines()[-1].replace("sudo sh", "sh")
            if number == 0:
                print("$ " + line)
            self.lab("exec", f"{self.options.name}/{name}", "--", "sh", "-c", line, capture=number != 0)

    def wait_for_facts(self):
        step("hosts look at themselves (each fetches the package lists)")
        until = time.monotonic() + FACTS_SECONDS_MAX
        while True:
            hosts = items_of(self.ask("host", "ls"))
            known = [host for host in hosts if host["posture"] not in ("unknown", "stale")]
            if len(known) == len(self.names):
                return
            if time.monotonic() > until:
                self.prunella("host", "ls", check=False)
                raise SystemExit("not every host told its posture in time")
            time.sleep(1)

    def close(self):
        self.stop_server()
        if self.lab_up:
            subprocess.run([LAB, "down", "--name", self.options.name], check=False)
        subprocess.run(["rm", "-rf", str(self.work)], check=False)
