"""HTTP over TLS 1.3 and Ed25519 for the conformance test, from Python's own library and the openssl program."""

import base64
import hashlib
import http.client
import json
import pathlib
import secrets
import ssl
import subprocess
import urllib.parse


def openssl(*words, data=None):
    done = subprocess.run(["openssl", *words], input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(words)}: {done.stderr.decode()}")
    return done.stdout


def canonical(value):
    """The bytes that the project hashes and signs; ours hold no fractions."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Key:
    """An Ed25519 key in a file of the folder."""

    def __init__(self, folder, name):
        self.path = str(pathlib.Path(folder) / name)
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:]
        self.hex = self.public.hex()
        self.id = hashlib.sha256(self.public).hexdigest()[:16]

    def envelope(self, kind, value):
        payload = canonical(value)
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        message = self.path + ".message"
        pathlib.Path(message).write_bytes(signed)
        signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", message)
        return {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": self.id, "sig": base64.b64encode(signature).decode()}],
        }


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def media_type(self):
        return self.headers.get("Content-Type", "").split(";")[0].strip()

    def json(self):
        return json.loads(self.body)


class Server:
    def __init__(self, url, ca_pem):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.ca_pem = ca_pem

    def context(self, certificate=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=self.ca_pem)
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def open(self, certificate=None, timeout=30):
        return http.client.HTTPSConnection(self.host, self.port, context=self.context(certificate), timeout=timeout)

    def send(self, method, target, *, token=None, body=None, headers=None, certificate=None, raw=None):
        """One request on a connection of its own. `raw` bytes instead of a JSON body."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = self.open(certificate)
        try:
            connection.request(method, target, body=data, headers=sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()


    def announce(self, method, target, *, token, size):
        """The header of a request with a body of `size` bytes, and nothing of the body."""
        connection = self.open()
        try:
            connection.putrequest(method, target)
            connection.putheader("Authorization", f"Bearer {token}")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(size))
            connection.endheaders()
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()


def new_idempotency_key():
    return "test-" + secrets.token_hex(8)
