#!/usr/bin/env python3
"""Sends every request of specs/openapi.yaml to a running control plane and holds each reply against it.

    conformance.py --prunellad build/dev/bin/prunellad          starts one of its own, on loopback, in a folder that is removed
    conformance.py --server URL --ca FILE                       one that runs and is empty; the admin token is in PRUNELLA_TOKEN

A made-up host enrols and reports, so that there is something to plan, approve and carry out. Then come the refusals: each route
without a token, with a wrong one and with each scope; unknown ids, routes and methods; bodies and parameters that are wrong in every
way that the document names. Prints what failed and "N passed, N failed"; ends with 0 when nothing failed. Needs python3-yaml and
the openssl program.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from agent import Agent, digest, now  # noqa: E402
from client import Key, Server, canonical, new_idempotency_key  # noqa: E402
from schema import Schemas  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
# The scope that a token has -> the scopes that it covers.
COVERS = {
    "read": {"read"},
    "plan": {"read", "plan"},
    "approve": {"read", "plan", "approve"},
    "operate": {"read", "plan", "operate"},
    "admin": {"read", "plan", "approve", "operate", "admin"},
}
APPROVAL = "application/vnd.prunella.approval+json"
POLICY = "application/vnd.prunella.executor-policy+json"


class Failed(Exception):
    pass


class Suite:
    def __init__(self, server, document, token):
        self.server, self.document, self.token = server, document, token
        self.schemas = Schemas(document)
        self.passed, self.failures = 0, []
        self.seen = set()  # (method, path) answered with success
        self.operations = {}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    self.operations[(method.upper(), path)] = operation

    def check(self, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failures.append(f"{what}: {detail}" if detail else what)
            print(f"FAILED {self.failures[-1]}", flush=True)
        return good

    def security(self, method, path):
        return self.operations[(method, path)].get("security", self.document["security"])

    def scope(self, method, path):
        for way in self.security(method, path):
            if "token" in way:
                return way["token"][0]
        return None

    def validate(self, what, method, path, reply):
        """The reply's status, media type and body are what the document says."""
        responses = self.operations[(method, path)]["responses"]
        response = responses.get(str(reply.status))
        if response is None and reply.status >= 400:
            response = responses.get("default")
        if response is None:
            return self.check(what, False, f"status {reply.status} isn't documented ({reply.body[:200]!r})")
        content = self.schemas.resolve(response).get("content")
        if content is None:
            return self.check(what, not reply.body, f"a body of {len(reply.body)} bytes where none is documented")
        if reply.media_type not in content:
            return self.check(what, False, f"content type {reply.media_type!r}, documented are {sorted(content)}")
        schema = content[reply.media_type].get("schema")
        if schema is None or not reply.media_type.endswith("json"):
            return self.check(what, True)
        if reply.media_type == "application/x-ndjson":
            values = [json.loads(line) for line in reply.body.splitlines()]
        else:
            values = [reply.json()]
        wrong = [text for value in values for text in self.schemas.problems(schema, value)]
        if reply.status >= 400 and values[0].get("status") != reply.status:
            wrong.append(f"the problem says {values[0].get('status')}, the status line {reply.status}")
        return self.check(what, not wrong, "; ".join(wrong[:5]))

    def call(self, method, path, *, want, names=None, query=None, token="admin", what=None, **more):
        """Sends one documented request and holds the reply against the document. Gives the reply."""
        target = path
        for name, value in (names or {}).items():
            target = target.replace("{" + name + "}", urllib.parse.quote(value, safe=""))
        if query:
            target += "?" + urllib.parse.urlencode(query)
        what = what or f"{method} {target}"
        reply = self.server.send(method, target, token=self.token if token == "admin" else token, **more)
        wanted = want if isinstance(want, tuple) else (want,)
        if not self.check(f"{what} answers {want}", reply.status in wanted, f"it answered {reply.status}: {reply.body[:300]!r}"):
            return reply
        if path in self.document["paths"] and (method, path) in self.operations:
            self.validate(f"{what} answers {reply.status} as documented", method, path, reply)
            if reply.status < 300:
                self.seen.add((method, path))
        return reply

    def need(self, reply, status):
        if reply.status != status:
            raise Failed(f"the rest needs this to work: {reply.status} {reply.body[:300]!r}")
        return reply.json() if reply.body else None

    def problem(self, what, reply, *statuses):
        """An error outside what the document lists: a problem all the same."""
        good = self.check(f"{what} answers {' or '.join(map(str, statuses))}", reply.status in statuses, f"it answered {reply.status}: {reply.body[:200]!r}")
        if not good:
            return
        wrong = []
        if reply.media_type != "application/problem+json":
            wrong.append(f"content type {reply.media_type!r}")
        else:
            wrong = self.schemas.problems({"$ref": "#/components/schemas/Problem"}, reply.json())
        self.check(f"{what}: the refusal is a problem", not wrong, "; ".join(wrong))


def happy(suite, folder):
    """One pass through everything, in the order in which it happens. Gives what the refusals need."""
    s = suite
    for path in ("/healthz", "/readyz", "/metrics"):
        s.call("GET", path, want=200, token=None)
    reply = s.call("GET", "/openapi.json", want=200, token=None)
    s.check("/openapi.json is specs/openapi.yaml", reply.status == 200 and reply.json() == json.loads(json.dumps(s.document)))
    for path in ("/install", "/install/prunella-agent.deb"):
        s.call("GET", path, want=(200, 404), token=None)
        s.seen.add(("GET", path))  # without a package in the server's folder it is a documented 404

    s.call("GET", "/v1/status", want=200)
    trust = s.need(s.call("GET", "/v1/trust", want=200), 200)
    s.call("POST", "/v1/enrolment-tokens", want=409, body={}, what="an enrolment token before operators are named")

    # Operators and a policy.
    operator, approver = Key(folder, "operator.pem"), Key(folder, "approver.pem")
    organisation = s.server.send("GET", "/v1/status", token=s.token).json()["organisation"]
    s.call("PUT", "/v1/trust", want=200, body={"organisation": organisation, "operators": [operator.hex], "threshold": 1})
    s.call("PUT", "/v1/trust", want=409, body={"organisation": organisation, "operators": [operator.hex], "threshold": 1}, what="operators a second time")
    policy = {
        "version": 1,
        "serial": 2,
        "organisation": organisation,
        "issued": now(-60),
        "expires": now(86400 * 80),
        "directors": [trust["director"]],
        "approvers": [{"name": "ada", "key": approver.hex}],
        "rules": [
            {"action": "package.transaction", "packages": ["*"], "units": ["*"], "approvals": 1},
            {"action": "dpkg.repair", "packages": ["*"], "units": ["*"], "approvals": 1},
            {"action": "service.restart", "packages": [], "units": ["*"], "approvals": 1},
        ],
        "standing": [],
        "budget": {"package_transactions_per_hour": 4, "service_restarts_per_hour": 12},
        "never_packages": [],
        "never_units": [],
    }
    s.check("the policy that the test signs is as documented", not s.schemas.problems({"$ref": "#/components/schemas/ExecutorPolicy"}, policy))
    s.call("PUT", "/v1/policy", want=200, body=operator.envelope(POLICY, policy))
    s.call("PUT", "/v1/policy", want=409, body=operator.envelope(POLICY, {**policy, "serial": 1}), what="a policy with a lower serial")
    s.call("PUT", "/v1/policy", want=403, body=approver.envelope(POLICY, {**policy, "serial": 3}), what="a policy that no operator signed")
    shown = s.call("GET", "/v1/trust", want=200).json()
    s.check("the policy in force is the signed one", json.loads(base64.b64decode(shown["policy"]["payload"])) == policy)

    # A host.
    made = s.need(s.call("POST", "/v1/enrolment-tokens", want=201, body={"lifetime_ms": 600000, "labels": {"ring": "canary"}}), 201)
    agent = Agent(folder, s.server, "web-1")
    answer = s.need(s.call("POST", "/agent/v1/enroll", want=200, token=None, body=agent.enroll_request(made["token"]["secret"])), 200)
    agent.take(answer)
    s.call("POST", "/agent/v1/enroll", want=403, token=None, body=agent.enroll_request(made["token"]["secret"]), what="a used enrolment token")
    s.call("POST", "/agent/v1/enroll", want=403, token=None, body=agent.enroll_request("prunella_none_none_none"), what="a foreign enrolment token")
    second = Agent(folder, s.server, "web-2")
    made = s.need(s.call("POST", "/v1/enrolment-tokens", want=201, body={"name": "web-2"}), 201)
    wrong_name = second.enroll_request(made["token"]["secret"])
    wrong_name["hostname"] = "web-3"
    s.call("POST", "/agent/v1/enroll", want=403, token=None, body=wrong_name, what="an enrolment token for another name")
    made = s.need(s.call("POST", "/v1/enrolment-tokens", want=201, body={"name": "web-2"}), 201)
    second.take(s.need(s.call("POST", "/agent/v1/enroll", want=200, token=None, body=second.enroll_request(made["token"]["secret"])), 200))

    renewed = s.need(s.call("POST", "/agent/v1/renew", want=200, token=None, certificate=agent.certificate, body={"csr_pem": agent.csr()}), 200)
    agent.take(renewed)
    for host in (agent, second):
        answer = s.need(s.call("POST", "/agent/v1/report", want=200, token=None, certificate=host.certificate, body=host.report(host.sections())), 200)
        s.check("every event is acknowledged", all(answer["received"].get(source) == 1 for source in host.sequences), str(answer["received"]))
    s.call("POST", "/agent/v1/report", want=200, token=None, certificate=agent.certificate, body=agent.report([]), what="a heartbeat")
    newer = {**agent.report(agent.sections()), "new": 1}
    for event in newer["events"]:
        event["new"] = event["data"]["new"] = event["data"]["value"]["new"] = {"x": 1}
    s.call("POST", "/agent/v1/report", want=200, token=None, certificate=agent.certificate, body=newer, what="a report of a newer agent")
    agent.sequences["units"] += 5
    gap = agent.report([agent.event("units", "prunella.packages.delta", {})])
    s.call("POST", "/agent/v1/report", want=(200, 400), token=None, certificate=agent.certificate, body=gap, what="a report with a gap and a wrong event")
    s.call("GET", "/agent/v1/orders", want=200, token=None, certificate=agent.certificate, query={"after": 0, "policy": 0})

    # What is.
    s.call("GET", "/v1/status", want=200)
    s.call("GET", "/v1/hosts", want=200)
    s.call("GET", "/v1/hosts", want=200, query={"selector": "ring:canary os:debian"})
    s.call("GET", "/v1/hosts/{host}", want=200, names={"host": agent.host})
    s.call("PUT", "/v1/hosts/{host}/labels", want=200, names={"host": agent.host}, body={"ring": "canary", "role": "web"})
    s.call("POST", "/v1/hosts/{host}/refresh", want=202, names={"host": agent.host})
    directions = s.call("GET", "/agent/v1/orders", want=200, token=None, certificate=agent.certificate, query={"policy": 2, "wait_ms": 1}).json()
    s.check("the host is told to look afresh", "updates" in directions["refresh"], str(directions))
    findings = s.need(s.call("GET", "/v1/findings", want=200), 200)
    s.check("the missing security update is found", any(f["finding"]["kind"] == "missing-security-update" for f in findings["items"]), str(findings)[:300])
    for query in ({"host": agent.host}, {"kind": "missing-security-update"}, {"state": "cleared"}, {"state": "all"}, {"cve": "CVE-2025-9230"}):
        s.call("GET", "/v1/findings", want=200, query=query)
    s.call("GET", "/v1/why/{host}", want=200, names={"host": agent.host})
    for subject in ("CVE-2025-9230", "openssl", "cron.service"):
        s.call("GET", "/v1/why/{host}", want=200, names={"host": agent.host}, query={"subject": subject})

    paging(s)
    nobody = s.call("POST", "/v1/plans", want=404, body={"selector": "host:nobody"}, what="a plan for no host").json()
    s.check("no host is a problem of its own", nobody["type"] == "/problems/no-host-matches" and "host:nobody" in nobody["detail"], str(nobody))
    nothing = s.call("POST", "/v1/plans", want=409, body={"selector": "all", "purpose": "restarts"}, what="a plan for hosts that need nothing").json()
    s.check("nothing to do is another one", nothing["type"] == "/problems/nothing-to-plan" and agent.host in nothing["detail"], str(nothing))

    # A plan, its approval and a rollout over both hosts.
    key = {"Idempotency-Key": new_idempotency_key()}
    request = {"selector": "all", "waves": ["1", "100%"], "soak_reports": 0}
    plan = s.need(s.call("POST", "/v1/plans", want=201, body=request, headers=key), 201)
    again = s.call("POST", "/v1/plans", want=201, body=request, headers=key, what="the same plan with the same key").json()
    s.check("a repeated POST gives the first answer", again["id"] == plan["id"])
    s.call("POST", "/v1/plans", want=409, body={"selector": "host:web-1"}, headers=key, what="another plan with the same key")
    s.check("the plan's digest is that of its bytes", hashlib.sha256(canonical(plan["rollout"])).hexdigest() == plan["digest"])
    for host in plan["hosts"]:
        s.check("a host's digest is that of its plan's bytes", hashlib.sha256(canonical(host["plan"])).hexdigest() == host["digest"])
    s.call("GET", "/v1/plans", want=200)
    s.call("GET", "/v1/plans/{plan}", want=200, names={"plan": plan["id"]})
    approval = {"version": 1, "plan": plan["id"], "plan_digest": plan["digest"], "approver": "ada", "at": now(), "expires": now(3600)}
    s.call("POST", "/v1/plans/{plan}/approvals", want=403, names={"plan": plan["id"]}, body=operator.envelope(APPROVAL, approval), what="an approval by a key that may not")
    for change, status in (({"plan_digest": digest("0")}, 409), ({"expires": now(-1)}, (409, 410)), ({"approver": "eve"}, 403)):
        s.call("POST", "/v1/plans/{plan}/approvals", want=status, names={"plan": plan["id"]}, body=approver.envelope(APPROVAL, {**approval, **change}), what=f"an approval with {change}")
    s.call("POST", "/v1/rollouts", want=409, body={"plan": plan["id"], "digest": digest("0")}, what="a rollout of another digest")
    with following(s) as events:
        s.call("POST", "/v1/plans/{plan}/approvals", want=201, names={"plan": plan["id"]}, body=approver.envelope(APPROVAL, approval))
        notices = events()
    s.check("an approval is told to readers of events", any(n.get("id") == plan["id"] for n in notices), str(notices))
    s.call("POST", "/v1/plans/{plan}/approvals", want=409, names={"plan": plan["id"]}, body=approver.envelope(APPROVAL, approval), what="an approval twice")
    rollout = s.need(s.call("POST", "/v1/rollouts", want=201, body={"plan": plan["id"], "digest": plan["digest"]}), 201)["rollout"]["id"]
    s.call("POST", "/v1/rollouts", want=409, body={"plan": plan["id"], "digest": plan["digest"]}, what="a plan started twice")
    s.call("GET", "/v1/rollouts", want=200)
    s.call("GET", "/v1/rollouts/{rollout}", want=200, names={"rollout": rollout})
    s.call("POST", "/v1/rollouts/{rollout}/pause", want=200, names={"rollout": rollout})
    s.call("POST", "/v1/rollouts/{rollout}/pause", want=409, names={"rollout": rollout}, what="pausing twice")
    s.call("POST", "/v1/rollouts/{rollout}/resume", want=200, names={"rollout": rollout})
    s.call("POST", "/v1/rollouts/{rollout}/resume", want=409, names={"rollout": rollout}, what="resuming what runs")
    first = {agent.host: agent, second.host: second}[plan["hosts"][0]["host"]]
    directions = s.call("GET", "/agent/v1/orders", want=200, token=None, certificate=first.certificate, query={"after": 0, "policy": 2, "wait_ms": 10000}).json()
    shown = s.call("GET", "/v1/rollouts/{rollout}", want=200, names={"rollout": rollout}).json()
    if s.check("the canary gets its order", len(directions["orders"]) == 1, f"{directions} {shown['sentence']} {shown['rollout']['hosts']}"):
        order = json.loads(base64.b64decode(directions["orders"][0]["payload"]))
        s.check("the order's payload is as documented", not s.schemas.problems({"$ref": "#/components/schemas/Order"}, order), str(s.schemas.problems({"$ref": "#/components/schemas/Order"}, order))[:300])
        progress = {"run": order["run"], "state": "acting", "at": now(), "detail": "unpacking openssl", "percent": 60}
        s.call("POST", "/agent/v1/report", want=200, token=None, certificate=first.certificate, body=first.report([first.event("runs", "prunella.run.progress", progress)]))
        shown = s.call("GET", "/v1/rollouts/{rollout}", want=200, names={"rollout": rollout}).json()
        s.check("progress is shown", shown["progress"].get(first.host, {}).get("percent") == 60, str(shown["progress"]))
        s.call("GET", "/v1/runs/{run}", want=200, names={"run": order["run"]})
        s.call("POST", "/agent/v1/report", want=200, token=None, certificate=first.certificate, body=first.report([first.event("runs", "prunella.run.outcome", first.outcome(directions["orders"][0]))]))
        done = s.call("GET", "/v1/runs/{run}", want=200, names={"run": order["run"]}).json()
        s.check("the run is verified", done["state"] == "verified", str(done)[:200])
        s.call("GET", "/v1/why/{host}", want=200, names={"host": first.host})
    s.call("GET", "/v1/runs", want=200)
    s.call("GET", "/v1/runs", want=200, query={"host": first.host, "rollout": rollout})
    s.call("POST", "/v1/rollouts/{rollout}/promote", want=(200, 409), names={"rollout": rollout})
    s.seen.add(("POST", "/v1/rollouts/{rollout}/promote"))  # whether there is something to promote is a matter of time
    s.call("POST", "/v1/rollouts/{rollout}/abort", want=200, names={"rollout": rollout})
    s.call("POST", "/v1/rollouts/{rollout}/abort", want=409, names={"rollout": rollout}, what="aborting twice")

    audit(s)

    # Tokens and the end of a host.
    token = s.need(s.call("POST", "/v1/tokens", want=201, body={"name": "short", "scopes": ["read"], "lifetime_ms": 3600000}), 201)
    listed = s.need(s.call("GET", "/v1/tokens", want=200), 200)
    s.check("a list of tokens holds no secret", all("secret" not in item for item in listed["items"]))
    s.call("GET", "/v1/status", want=200, token=token["secret"], what="a new token")
    s.call("DELETE", "/v1/tokens/{token}", want=204, names={"token": token["id"]})
    s.call("GET", "/v1/status", want=401, token=token["secret"], what="a revoked token")
    s.call("POST", "/v1/hosts/{host}/revoke", want=200, names={"host": second.host})
    s.call("POST", "/agent/v1/report", want=(401, 403), token=None, certificate=second.certificate, body=second.report([]), what="a report of a revoked host")
    return {"agent": agent, "plan": plan, "rollout": rollout, "operator": operator, "approver": approver, "policy": policy}


def paging(suite):
    """The pages of each list, one item each, are the whole list."""
    for path in ("/v1/hosts", "/v1/findings", "/v1/tokens"):
        whole = suite.call("GET", path, want=200, query={"limit": 500}).json()
        collected, cursor = [], None
        for _ in range(len(whole["items"]) + 2):
            page = suite.call("GET", path, want=200, query={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
            suite.check(f"{path}: a page holds no more than limit", len(page["items"]) <= 1)
            collected += page["items"]
            cursor = page.get("next")
            if not cursor:
                break

        def names(items):
            return [item.get("id") or item["finding"]["id"] for item in items]

        suite.check(f"{path}: the pages are the list", names(collected) == names(whole["items"]), f"{names(collected)} and {names(whole['items'])}")


def audit(suite):
    """The export's chain, computed here, and the checkpoint, which is over the chain's end and adds nothing to it."""
    checkpoints = [suite.need(suite.call("GET", "/v1/audit/checkpoint", want=200), 200)["checkpoint"] for _ in range(2)]
    lines, after = [], 0
    while True:
        page = suite.call("GET", "/v1/audit", want=200, query={"after": after, "limit": 50}, what="a page of the audit log").body.splitlines()
        if not page:
            break
        lines += page
        after += len(page)
    previous, sound = "0" * 64, bool(lines)
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        claimed = entry.pop("hash")
        sound = sound and entry["sequence"] == number and entry["previous_hash"] == previous and hashlib.sha256(canonical(entry)).hexdigest() == claimed
        previous = claimed
    suite.check(f"the {len(lines)} entries of the audit log are one chain", sound)
    hashes = [json.loads(line)["hash"] for line in lines]
    suite.check("a checkpoint is over the entry that it names", all(hashes[c["sequence"] - 1] == c["hash"] for c in checkpoints), str(checkpoints))
    suite.check("asking for checkpoints adds no entry", all(json.loads(line)["details"].get("hash") not in (c["hash"] for c in checkpoints) for line in lines))


@contextlib.contextmanager
def following(suite):
    """Follows /v1/events; calling what it gives waits up to 5 s for the first notices and returns them."""
    connection = suite.server.open(timeout=5)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {suite.token}"})
    response = connection.getresponse()
    good = response.status == 200 and response.headers.get("Content-Type", "").startswith("text/event-stream")
    suite.check("GET /v1/events answers with a stream", good, f"{response.status} {response.headers.get('Content-Type')}")
    if good:
        suite.seen.add(("GET", "/v1/events"))

    def notices():
        out = []
        try:
            while True:
                line = response.readline().decode()
                if line.startswith("data:"):
                    out.append(json.loads(line[5:]))
                if not line or (out and line == "\n"):
                    return out
        except (TimeoutError, OSError):
            return out
        finally:
            for notice in out:
                wrong = suite.schemas.problems({"$ref": "#/components/schemas/ChangeNotice"}, notice)
                suite.check("a notice is as documented", not wrong, "; ".join(wrong))

    try:
        yield notices
    finally:
        connection.close()


def refusals_by_token(suite, world):
    """Each route without a token, with wrong ones, and with a token of each scope alone."""
    s = suite
    tokens = {}
    for scope in COVERS:
        made = s.need(s.call("POST", "/v1/tokens", want=201, body={"name": f"only-{scope}", "scopes": [scope], "lifetime_ms": 3600000}, what=f"a token with {scope}"), 201)
        tokens[scope] = made["secret"]
    broken = tokens["read"][:-1] + ("0" if tokens["read"][-1] != "0" else "1")
    bodies = {
        # Harmless even where they are let through: of things that don't exist, or done before.
        ("PUT", "/v1/hosts/{host}/labels"): {},
        ("POST", "/v1/plans"): {"selector": "host:nobody"},
        ("POST", "/v1/plans/{plan}/approvals"): world["approver"].envelope(APPROVAL, {"version": 1}),
        ("POST", "/v1/rollouts"): {"plan": "PLN-none", "digest": digest("0")},
        ("POST", "/v1/tokens"): {"name": "x", "scopes": ["read"], "lifetime_ms": 60000},
        ("POST", "/v1/enrolment-tokens"): {},
        ("PUT", "/v1/trust"): {"organisation": "x", "operators": [world["operator"].hex], "threshold": 1},
        ("PUT", "/v1/policy"): world["operator"].envelope(POLICY, {**world["policy"], "serial": 1}),
    }
    for (method, path), operation in s.operations.items():
        wanted = s.scope(method, path)
        if wanted is None or path == "/v1/events":
            continue
        target = re.sub(r"\{\w+\}", "nothing-of-this-name", path)
        body = bodies.get((method, path))
        for what, token, headers in (
            ("no token", None, {}),
            ("an empty token", "", {}),
            ("a token that is none", "prunella_nope", {}),
            ("a token with a wrong checksum", broken, {}),
            ("another scheme", None, {"Authorization": "Basic YTpi"}),
        ):
            reply = s.server.send(method, target, token=token, headers=headers, body=body)
            s.problem(f"{method} {path} with {what}", reply, 401)
            if what == "no token":
                s.check(f"{method} {path} without a token names the scheme", reply.headers.get("WWW-Authenticate", "").startswith("Bearer"))
        for scope, token in tokens.items():
            reply = s.server.send(method, target, token=token, body=body)
            if wanted in COVERS[scope]:
                s.check(f"{method} {path} lets {scope} through", reply.status not in (401, 403), f"{reply.status} {reply.body[:200]!r}")
            else:
                s.problem(f"{method} {path} (needs {wanted}) with {scope}", reply, 403)
        if "{" in path and wanted:
            reply = s.server.send(method, target, token=s.token, body=body)
            s.problem(f"{method} {path} of an unknown name", reply, 404) if path != "/v1/plans/{plan}/approvals" else None
            reply = s.server.send(method, re.sub(r"\{\w+\}", "bad%20name", path), token=s.token, body=body)
            s.problem(f"{method} {path} of a name that can't be one", reply, 400, 404)
    for scope in ("read", None):
        reply = s.server.send("GET", "/v1/status", token=tokens[scope] if scope else None, headers={"Authorization": "Bearer"} if not scope else {})
        s.check("the scheme alone is no token", reply.status == (200 if scope else 401), str(reply.status))
    for method, path in s.operations:
        if s.security(method, path) == [{"hostCertificate": []}]:
            s.problem(f"{method} {path} without a certificate", s.server.send(method, path, body={} if method == "POST" else None), 401, 403)
            s.problem(f"{method} {path} with a token instead", s.server.send(method, path, token=s.token, body={} if method == "POST" else None), 401, 403)


def refusals_by_method(suite):
    s = suite
    for path, item in s.document["paths"].items():
        target = re.sub(r"\{\w+\}", "x", path)
        listed = {method.upper() for method in item if method != "parameters"}
        certificate = suite.world["agent"].certificate if path.startswith("/agent/") else None
        for method in METHODS:
            if method in listed:
                continue
            reply = s.server.send(method, target, token=s.token, certificate=certificate, body={} if method in ("POST", "PUT", "PATCH") else None)
            s.problem(f"{method} {path}, which isn't listed,", reply, 405)
            allowed = {word.strip() for word in reply.headers.get("Allow", "").split(",")}
            s.check(f"{method} {path}: Allow names {sorted(listed)}", listed <= allowed and method not in allowed, reply.headers.get("Allow", "no Allow"))
    for target in ("/", "/v1", "/v1/", "/v1/nope", "/v2/status", "/v1/hosts/", "/v1/status/more", "/agent/v2/report", "/openapi.yaml", "/V1/status", "//v1/status"):
        for method in ("GET", "POST"):
            s.problem(f"{method} {target}, which is no route,", s.server.send(method, target, token=s.token), 404, 401 if target.startswith("/agent") else 404)


def broken_bodies(schema, schemas, good):
    """Bodies that are wrong in one way each."""
    schema = schemas.resolve(schema)
    yield "no body at all", b""
    yield "no JSON", b"{"
    yield "a list", b"[]"
    yield "a text", b'"x"'
    yield "a key twice", b'{"a":1,"a":2}'
    yield "bytes that are no UTF-8", b'{"\xff":1}'
    yield "something after it", json.dumps(good).encode() + b" {}"
    for name in schema.get("required", []):
        yield f"without {name}", json.dumps({k: v for k, v in good.items() if k != name}).encode()
    if schema.get("additionalProperties") is False:
        yield "a key that isn't known", json.dumps({**good, "surprise": 1}).encode()
    for name in schema.get("properties", {}):
        yield f"{name} of a wrong type", json.dumps({**good, name: {"x": []}}).encode()


def refusals_by_body(suite, world):
    s = suite
    host = world["agent"]
    good = {
        ("PUT", "/v1/hosts/{host}/labels"): {"a": "b"},
        ("POST", "/v1/plans"): {"selector": "all"},
        ("POST", "/v1/plans/{plan}/approvals"): world["approver"].envelope(APPROVAL, {"version": 1}),
        ("POST", "/v1/rollouts"): {"plan": world["plan"]["id"], "digest": world["plan"]["digest"]},
        ("POST", "/v1/tokens"): {"name": "x", "scopes": ["read"], "lifetime_ms": 60000},
        ("POST", "/v1/enrolment-tokens"): {},
        ("PUT", "/v1/trust"): {"organisation": "x", "operators": [world["operator"].hex], "threshold": 1},
        ("PUT", "/v1/policy"): world["operator"].envelope(POLICY, world["policy"]),
        ("POST", "/agent/v1/enroll"): {"token": "x", "hostname": "h", "csr_pem": host.csr(), "agent_version": "0.1.0"},
        ("POST", "/agent/v1/renew"): {"csr_pem": host.csr()},
        ("POST", "/agent/v1/report"): host.report([]),
    }
    names = {"host": host.host, "plan": world["plan"]["id"]}
    for (method, path), operation in s.operations.items():
        if "requestBody" not in operation:
            continue
        if not s.check(f"{method} {path}: the test knows a body", (method, path) in good):
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        s.check(f"{method} {path}: the test's body is as documented", not s.schemas.problems(schema, good[(method, path)]), str(s.schemas.problems(schema, good[(method, path)])))
        certificate = host.certificate if path.startswith("/agent/") else None
        for what, raw in broken_bodies(schema, s.schemas, good[(method, path)]):
            target = re.sub(r"\{(\w+)\}", lambda m: names[m.group(1)], path)
            reply = s.server.send(method, target, token=s.token, certificate=certificate, raw=raw)
            s.problem(f"{method} {path} with {what}", reply, 400)
    for change in ({"selector": ""}, {"selector": "nonsense"}, {"selector": "all", "waves": []}, {"selector": "all", "waves": ["0"]}, {"selector": "all", "waves": ["5%", "1%"]},
                   {"selector": "all", "purpose": "fun"}, {"selector": "all", "purpose": "undo"}, {"selector": "all", "failures_percent_max": 101}, {"selector": "all", "stable_for_ms": -1}):
        s.call("POST", "/v1/plans", want=400, body=change, what=f"a plan with {change}")
    for change in ({"scopes": []}, {"scopes": ["root"]}, {"lifetime_ms": 0}, {"lifetime_ms": 10**15}, {"name": ""}):
        s.call("POST", "/v1/tokens", want=400, body={"name": "x", "scopes": ["read"], "lifetime_ms": 60000, **change}, what=f"a token with {change}")
    s.call("POST", "/v1/enrolment-tokens", want=400, body={"lifetime_ms": 86400000}, what="an enrolment token for a day")
    s.call("POST", "/v1/plans", want=400, body={"selector": "all"}, headers={"Idempotency-Key": "not a key"}, what="an Idempotency-Key with blanks")
    s.problem("a body of 2 MB", s.server.announce("POST", "/v1/plans", token=s.token, size=2 << 20), 413)


def refusals_by_parameter(suite):
    """Query parameters outside what their schema allows."""
    s = suite
    wrong = {"limit": ["0", "501", "-1", "x", "1.5", "99999999999999999999"], "cursor": ["%00", "a b", ""], "after": ["-1", "x"], "policy": ["-1", "x"], "wait_ms": ["-1", "x"],
             "kind": ["nonsense"], "state": ["nonsense", ""], "cve": ["nonsense", "CVE-x"], "host": ["a b"], "rollout": ["a b"], "selector": ["", "nonsense", ":"], "subject": []}
    for (method, path), operation in s.operations.items():
        if "{" in path or method != "GET" or path.startswith("/agent/"):
            continue
        for parameter in operation.get("parameters", []):
            parameter = s.schemas.resolve(parameter)
            if parameter["in"] != "query":
                continue
            if not s.check(f"{method} {path}: the test knows wrong values of {parameter['name']}", parameter["name"] in wrong):
                continue
            for value in wrong[parameter["name"]]:
                if path == "/v1/audit" and parameter["name"] == "cursor":
                    continue
                target = f"{path}?{parameter['name']}={urllib.parse.quote(value, safe='%')}"
                reply = s.server.send(method, target, token=s.token)
                s.problem(f"{method} {target}", reply, 400)


@contextlib.contextmanager
def own_server(program, folder):
    """A control plane of our own; ended by its process id."""
    data = folder / "data"
    init = subprocess.run([program, "init", "--data", str(data), "--listen", "127.0.0.1:0"], capture_output=True, text=True, check=False)
    if init.returncode:
        raise Failed(f"{program} init: {init.stderr}")
    first = json.loads(init.stdout)
    ready = folder / "ready"
    log = open(folder / "log", "w", encoding="utf-8")
    process = subprocess.Popen([program, "run", "--data", str(data), "--listen", "127.0.0.1:0", "--ready-file", str(ready)], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 30
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise Failed(f"{program} run didn't start: {(folder / 'log').read_text(encoding='utf-8')}")
            time.sleep(0.02)
        port = json.loads(ready.read_text(encoding="utf-8"))["port"]
        yield Server(f"https://127.0.0.1:{port}", first["ca_pem"]), first["token"]
        if process.poll() is not None:
            raise Failed(f"{program} ended with {process.returncode}: {(folder / 'log').read_text(encoding='utf-8')[-2000:]}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def end_when_told():
    """Being told to end is an exception like any other, so that what was started is ended and the folder removed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda which, frame: sys.exit(128 + which))


def run(server, token, folder):
    document = yaml.safe_load((ROOT / "specs" / "openapi.yaml").read_text(encoding="utf-8"))
    suite = Suite(server, document, token)
    try:
        world = happy(suite, str(folder))
        suite.world = world
        refusals_by_token(suite, world)
        refusals_by_method(suite)
        refusals_by_body(suite, world)
        refusals_by_parameter(suite)
        suite.call("GET", "/v1/status", want=200, what="the status after all that")
    except Failed as failure:
        suite.check("the test went through", False, str(failure))
    for operation in sorted(set(suite.operations) - suite.seen):
        suite.check(f"{operation[0]} {operation[1]} answered with success once", False)
    print(f"{suite.passed} passed, {len(suite.failures)} failed")
    return 1 if suite.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prunellad", help="start this program")
    parser.add_argument("--server", help="or use the one at this URL")
    parser.add_argument("--ca", help="with --server: the certificate authority in PEM")
    arguments = parser.parse_args()
    if bool(arguments.prunellad) == bool(arguments.server):
        parser.error("give either --prunellad or --server")
    end_when_told()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="prunella-api-"))
    try:
        if arguments.server:
            token = os.environ.get("PRUNELLA_TOKEN") or parser.error("PRUNELLA_TOKEN isn't set")
            return run(Server(arguments.server, pathlib.Path(arguments.ca).read_text(encoding="ascii")), token, folder)
        with own_server(arguments.prunellad, folder) as (server, token):
            return run(server, token, folder)
    except Failed as failure:
        print(f"FAILED {failure}\n0 passed, 1 failed")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
