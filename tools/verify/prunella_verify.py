#!/usr/bin/env python3
"""Verifies a Prunella audit log without any of Prunella's code: Python's standard library only.

    prunella_verify.py [--key HEX]... [--checkpoint FILE]... LOG

LOG is an export (`prunella audit export`, one entry a line) or the SQLite database itself, which is opened read-only.
--key         a public Ed25519 key (64 hexadecimal digits, or a file that holds them) that may sign checkpoints
--checkpoint  a file of checkpoints that were kept elsewhere, one JSON object a line: the log must still hold their entries
Exit code 0: sound. 1: broken, and each problem was printed with its line. 2: it can't be judged (no such file, wrong usage).
The form of the log is described at the head of src/record/audit.h; each line must have it byte for byte. What was cut off
after the last checkpoint can't be seen.
"""

import argparse, base64, datetime, hashlib, json, re, sqlite3, sys

LINE_BYTES_MAX = 128 * 1024
DEPTH_MAX = 32
EXACT_MAX = 2**53
PROBLEMS_MAX = 20  # a reader needs the first; the rest says how far the damage goes
ZEROS = "0" * 64
SUBJECT_KEYS = {"host", "finding", "policy", "plan", "rollout", "run", "order", "token"}
CHECKPOINT_KIND = "audit.checkpoint"
CHECKPOINT_CONTEXT = b"prunella audit checkpoint v1\n"

# Ed25519 verification, RFC 8032 section 5.1
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D, SQRT_OF_MINUS_ONE = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)


def add_points(p, q):
    """Extended coordinates (X, Y, Z, T), section 5.1.4."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add_points(total, point)
        point = add_points(point, point)
        scalar >>= 1
    return total


def decode_point(data):
    """Section 5.1.3; None when `data` is no point."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_OF_MINUS_ONE % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def verify_signature(key, message, signature):
    a, r = decode_point(key), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER or len(signature) != 64:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    p, q = times(s, BASE), add_points(r, times(h, a))
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


class Problem(Exception):
    """Why an entry isn't sound."""


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def without(name, members):
    return {key: value for key, value in members.items() if key != name}


def whole(text):
    """Of every number: a fraction, NaN and what isn't exact everywhere are refused."""
    if not re.fullmatch("-?[0-9]{1,16}", text, re.ASCII) or abs(int(text)) > EXACT_MAX:
        raise Problem(f"{text[:40]} is no whole number up to 2^53")
    return int(text)


def depth(value):
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def parse(line):
    """The JSON object of one line in canonical form."""
    if len(line) > LINE_BYTES_MAX:
        raise Problem(f"the line has {len(line)} bytes, the limit is {LINE_BYTES_MAX}")
    try:
        value = json.loads(line.decode("utf-8"), parse_float=whole, parse_constant=whole, parse_int=whole)
        if not isinstance(value, dict):
            raise Problem("the line is no JSON object")
        if canonical(value) != line or depth(value) > DEPTH_MAX:  # also finds a key that stands there twice
            raise Problem("the line isn't in canonical form")
    except (ValueError, RecursionError) as error:
        raise Problem(f"the line is no JSON: {error}") from None
    return value


def is_hash(text):
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text, re.ASCII) is not None


def is_moment(text):
    try:
        return datetime.datetime.fromisoformat(text[:-1]).isoformat(timespec="milliseconds") + "Z" == text
    except (TypeError, ValueError):
        return False


is_text = lambda value: isinstance(value, str)
is_whole = lambda value: type(value) is int
ENTRY = {"actor": is_text, "at": is_moment, "details": lambda v: isinstance(v, dict), "hash": is_hash, "kind": is_text,
         "previous_hash": is_hash, "sequence": is_whole, "why": is_text,
         "subject": lambda v: isinstance(v, dict) and v.keys() <= SUBJECT_KEYS and all(map(is_text, v.values()))}
CHECKPOINT = {"at": is_moment, "hash": is_hash, "key_id": is_text, "sequence": is_whole, "signature": is_text}


def check_members(value, members, what):
    if value.keys() != members.keys():
        raise Problem(f"{what} has the members {', '.join(sorted(value))}; right would be {', '.join(sorted(members))}")
    for name, is_right in members.items():
        if not is_right(value[name]):
            raise Problem(f"the member {name} of {what} holds {str(value[name])[:80]!r}")


class Verifier:
    """Takes the lines of a log in order; keeps only the end of the chain."""

    def __init__(self, keys, checkpoints):
        self.keys = {hashlib.sha256(key).hexdigest()[:16]: key for key in keys}
        self.sequence, self.hash, self.line = 0, ZEROS, 0
        self.checked = self.unchecked = 0
        self.problems = []
        self.outside = {}
        for number, checkpoint in checkpoints:
            try:
                check_members(checkpoint, CHECKPOINT, "the checkpoint")
                self.check_signature(checkpoint)
                self.outside.setdefault(checkpoint["sequence"], set()).add(checkpoint["hash"])
            except Problem as problem:
                self.problems.append(f"checkpoint {number}: {problem}")

    def check_signature(self, checkpoint):
        key = self.keys.get(checkpoint["key_id"])
        if key is None:
            raise Problem(f"the checkpoint is signed by {checkpoint['key_id']!r}, a key that wasn't given with --key")
        try:
            signature = base64.b64decode(checkpoint["signature"], validate=True)
        except ValueError:
            signature = b""
        if base64.b64encode(signature).decode() != checkpoint["signature"]:
            raise Problem("the checkpoint's signature is no base64")
        if not verify_signature(key, CHECKPOINT_CONTEXT + canonical(without("signature", checkpoint)), signature):
            raise Problem("the checkpoint's signature is wrong")
        self.checked += 1

    def add(self, line):
        """One line without its line feed. False when it's wrong."""
        self.line += 1
        try:
            self.check_entry(line)
            return True
        except Problem as problem:
            self.problems.append(f"line {self.line} (entry {self.sequence + 1} should be here): {problem}")
            self.follow(line)
            return False

    def check_entry(self, line):
        entry = parse(line)
        check_members(entry, ENTRY, "the entry")
        hashed = hashlib.sha256(canonical(without("hash", entry))).hexdigest()
        if hashed != entry["hash"]:
            raise Problem(f"changed: its hash says {entry['hash'][:12]}, its content gives {hashed[:12]}")
        if entry["sequence"] > self.sequence + 1:
            raise Problem(f"removed or reordered: here stands entry {entry['sequence']}")
        if entry["sequence"] < self.sequence + 1:
            raise Problem(f"inserted or reordered: here stands entry {entry['sequence']}")
        if entry["previous_hash"] != self.hash:
            raise Problem(f"unlinked: it continues {entry['previous_hash'][:12]}, before it stands {self.hash[:12]}")
        for signed in self.outside.pop(entry["sequence"], ()):
            if signed != entry["hash"]:
                raise Problem(f"rewritten: a checkpoint signed the hash {signed[:12]}, here stands {entry['hash'][:12]}")
        if entry["kind"] == CHECKPOINT_KIND:
            self.check_inside(entry)
        self.sequence, self.hash = entry["sequence"], entry["hash"]

    def check_inside(self, entry):
        checkpoint = entry["details"]
        check_members(checkpoint, CHECKPOINT, "the checkpoint")
        if (checkpoint["sequence"], checkpoint["hash"]) != (self.sequence, self.hash):
            raise Problem(f"rewritten: the checkpoint signed entry {checkpoint['sequence']} with {checkpoint['hash'][:12]}")
        if self.keys:
            self.check_signature(checkpoint)
        else:
            self.unchecked += 1

    def follow(self, line):
        """After a problem goes on from what the line claims, so that one wrong entry isn't told as many."""
        try:
            entry = parse(line)
            check_members(entry, ENTRY, "the entry")
            self.sequence, self.hash = entry["sequence"], entry["hash"]
        except Problem:
            self.sequence += 1

    def finish(self):
        if self.outside:
            last = max(self.outside)
            self.problems.append(f"after line {self.line}: truncated: the log ends with entry {self.sequence}, "
                                 f"a checkpoint signed entry {last}")
        return self.problems


MILLISECONDS = "CAST(strftime('%s', substr(json_extract(document, '$.at'), 1, 19)) AS INTEGER) * 1000 + " \
               "CAST(substr(json_extract(document, '$.at'), 21, 3) AS INTEGER)"
COLUMNS = {"sequence": "$.sequence", "actor": "$.actor", "kind": "$.kind", "entry_hash": "$.hash",
           **{("order_id" if key == "order" else key): "$.subject." + key for key in SUBJECT_KEYS}}


def lines_of_database(path, verifier):
    """Each entry's line; a column that says something else than its line is a problem too."""
    same = " AND ".join([f"{column} IS json_extract(document, '{place}')" for column, place in COLUMNS.items()] +
                        [f"at IS ({MILLISECONDS})"])
    database = sqlite3.connect(f"file:{path.replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode=ro", uri=True)
    for document, agrees in database.execute(
            f"SELECT document, CASE WHEN json_valid(document) THEN {same} END FROM audit ORDER BY sequence"):
        yield document.encode("utf-8") if isinstance(document, str) else b""
        if agrees == 0:
            verifier.problems.append(f"line {verifier.line}: changed: a column says something else than the entry")


def lines_of_export(path, verifier):
    with open(path, "rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 2):
            if not line.endswith(b"\n"):
                verifier.problems.append(f"line {verifier.line + 1}: the file was cut off: no line feed ends the line")
                return
            yield line[:-1]


def read_key(text):
    digits = text if is_hash(text) else open(text, encoding="ascii").read().strip()
    if not is_hash(digits):
        raise ValueError(f"{text}: a key has 64 hexadecimal digits")
    return bytes.fromhex(digits)


def main():
    parser = argparse.ArgumentParser(description="Verifies a Prunella audit log with code of its own.")
    parser.add_argument("--key", action="append", default=[], help="public Ed25519 key in hexadecimal, or a file that holds it")
    parser.add_argument("--checkpoint", action="append", default=[], help="file of checkpoints that were kept elsewhere")
    parser.add_argument("log", help="an export, or the SQLite database")
    arguments = parser.parse_args()
    try:
        checkpoints = []
        for path in arguments.checkpoint:
            checkpoints += [(f"{path}:{i}", json.loads(line)) for i, line in enumerate(open(path, encoding="utf-8"), 1)]
        verifier = Verifier([read_key(text) for text in arguments.key], checkpoints)
        is_database = open(arguments.log, "rb").read(16) == b"SQLite format 3\0"
        for line in (lines_of_database if is_database else lines_of_export)(arguments.log, verifier):
            verifier.add(line)
            if len(verifier.problems) >= PROBLEMS_MAX:
                break
        problems = verifier.finish()
    except (OSError, ValueError, AttributeError, sqlite3.Error) as error:
        print(f"prunella_verify: {error}", file=sys.stderr)
        return 2
    print("".join(problem + "\n" for problem in problems[:PROBLEMS_MAX]), end="")
    if problems:
        return 1
    print(f"sound: {verifier.sequence} entries, the last {verifier.hash[:12]}; {verifier.checked} checkpoints checked" +
          (f", {verifier.unchecked} not checked for want of a --key" if verifier.unchecked else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
