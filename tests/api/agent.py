"""A made-up host: what its agent would tell the control plane, so that the API has something to show."""

import datetime
import pathlib
import secrets

from client import openssl


def now(offset=0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def digest(character):
    return character * 64


class Agent:
    def __init__(self, folder, server, name):
        self.folder, self.server, self.name = pathlib.Path(folder), server, name
        self.key = str(self.folder / f"{name}.key")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        self.certificate = None
        self.host = None
        self.instance = secrets.token_hex(8)
        self.sequences = {}

    def csr(self):
        return openssl("req", "-new", "-key", self.key, "-subj", "/CN=ignored").decode()

    def enroll_request(self, token):
        return {"token": token, "hostname": self.name, "csr_pem": self.csr(), "agent_version": "0.1.0"}

    def take(self, answer):
        path = self.folder / f"{self.name}.pem"
        path.write_text(answer["certificate_pem"], encoding="ascii")
        self.certificate = (str(path), self.key)
        self.host = answer.get("host", self.host)

    def event(self, source, kind, data):
        sequence = self.sequences[source] = self.sequences.get(source, 0) + 1
        return {
            "specversion": "1.0",
            "id": f"{self.instance}-{source}-{sequence}",
            "source": source,
            "type": kind,
            "time": now(),
            "sequence": sequence,
            "data": data,
        }

    def report(self, events):
        return {"instance": self.instance, "sent": now(), "agent_version": "0.1.0", "events": events, "dropped": 0}

    def sections(self):
        """Every section, of a host on which openssl's security update is missing."""
        package = {"name": "openssl", "arch": "amd64"}
        facts = {
            "system": {
                "hostname": self.name,
                "os_id": "debian",
                "os_version": "12",
                "os_codename": "bookworm",
                "os_pretty": "Debian GNU/Linux 12 (bookworm)",
                "arch": "amd64",
                "boot_id": "7d7d54a5-1c4c-4f0b-8c5e-1d6a2f3b4c5d",
                "memory_bytes": 2_000_000_000,
                "cpus": 2,
            },
            "packages": {
                "packages": [
                    {
                        "package": package,
                        "version": "3.0.15-1~deb12u1",
                        "source": "openssl",
                        "source_version": "3.0.15-1~deb12u1",
                        "state": "installed",
                        "reinst_required": False,
                        "selection": "install",
                    }
                ],
                "updates_pending": False,
            },
            "updates": {
                "updates": [
                    {
                        "package": package,
                        "from_version": "3.0.15-1~deb12u1",
                        "to": {"version": "3.0.17-1~deb12u2", "sha256": digest("a"), "size_bytes": 1_400_000},
                        "from": {"version": "3.0.15-1~deb12u1", "sha256": digest("b"), "size_bytes": 1_400_000},
                        "source": "openssl",
                        "source_version": "3.0.17-1~deb12u2",
                        "archive": "Debian-Security:12/stable-security",
                        "security": True,
                        "cves": ["CVE-2025-9230"],
                        "changelog_read": True,
                        "installed_size_kib": 2300,
                    }
                ],
                "removals": [],
                "repositories": [{"uri": "http://archive.example/debian-security", "suite": "bookworm-security", "state": "ok", "detail": "", "security": True}],
                "lists_at": now(-60),
            },
            "kernel": {"running": "6.1.0-40-amd64", "installed": [], "reboot": "no", "reasons": []},
            "processes": {"stale": [], "unit_packages": {}},
            "units": {
                "units": [{"name": "cron.service", "load": "loaded", "active": "active", "sub": "running", "result": "success", "restarts": 0}],
                "system": "running",
            },
            "disk": {"filesystems": [{"mount": "/", "size_bytes": 20_000_000_000, "free_bytes": 15_000_000_000, "free_inodes": 1_000_000, "read_only": False}]},
            "executor": {"version": "0.1.0", "policy_serial": 2, "policy_expires": now(86400 * 80), "last_sequence": 0, "frozen": False},
        }
        return [self.event(name, "prunella.section", {"value": value, "at": now()}) for name, value in facts.items()]

    def outcome(self, order):
        """The run of an order, verified."""
        import base64
        import hashlib
        import json

        from client import canonical

        document = json.loads(base64.b64decode(order["payload"]))
        return {
            "run": document["run"],
            "host": self.host,
            "order": document["id"],
            "cause": "order",
            "plan": hashlib.sha256(canonical(document["plan"])).hexdigest(),
            "state": "verified",
            "reason": "everything that was expected holds",
            "started": now(-2),
            "ended": now(),
            "steps": [{"run": document["run"], "state": "acting", "at": now(-1), "detail": "unpacking openssl", "percent": 60}],
            "checks": [{"what": "openssl is installed at 3.0.17-1~deb12u2", "holds": True, "measured": "3.0.17-1~deb12u2"}],
            "restarted": [],
            "strays": [],
            "unrestored": [],
            "output": [],
        }
