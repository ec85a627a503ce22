#!/usr/bin/env python3
"""Tries prunella_verify.py on damaged copies of a sound export: prunella_verify_test.py EXPORT KEY CHECKPOINT_FILE

Each byte is flipped once, then lines are deleted, inserted, swapped and cut off. Every one must be found. The lines before a
damage are the same as in the sound export, so each try starts from what the verifier knew there.
"""

import copy
import json
import sys

import prunella_verify as verify

export = open(sys.argv[1], "rb").read()
key = bytes.fromhex(sys.argv[2])
checkpoints = [(i, json.loads(line)) for i, line in enumerate(open(sys.argv[3], encoding="utf-8"), 1)]
lines = export.split(b"\n")[:-1]
missed = []


def expect(condition, what):
    if not condition:
        missed.append(what)


# The verifier as it was before each line.
at = verify.Verifier([key], checkpoints)
before = []
for line in lines:
    before.append(copy.deepcopy(at))
    expect(at.add(line), f"a sound line is refused: {at.problems}")
expect(not at.finish(), f"a sound export is refused: {at.problems}")
expect(at.checked == 2, f"{at.checked} checkpoints were checked, 2 are there")


def found(index, rest):
    """Whether the text `rest`, from line `index` on, is found to be wrong at its first or second line, or at its end."""
    verifier = copy.copy(before[index])
    verifier.problems, verifier.outside = [], dict(before[index].outside)
    pieces = rest.split(b"\n")
    for piece in pieces[:-1]:
        if not verifier.add(piece):
            return True
    return pieces[-1] != b"" or bool(verifier.finish())


flipped = 0
for index, line in enumerate(lines):
    following = lines[index + 1] + b"\n" if index + 1 < len(lines) else b""
    for i in range(len(line) + 1):
        damaged = bytearray(line + b"\n")
        damaged[i] ^= 1 << (flipped % 8)
        flipped += 1
        expect(found(index, bytes(damaged) + following), f"line {index + 1}: byte {i} was changed to {damaged[i]:#x}")
expect(flipped == len(export), "every byte is flipped")


def text(some):
    return b"".join(line + b"\n" for line in some)


for i in range(len(lines)):
    expect(found(i, text([lines[i]] + lines[i:])), f"line {i + 1} stands there twice")
    expect(found(i, b"\n" + text(lines[i:])), f"an empty line stands before line {i + 1}")
    if i + 1 < len(lines):  # that the last line is missing can't be seen when no checkpoint signed it
        expect(found(i, text(lines[i + 1:])), f"line {i + 1} was deleted")
        expect(found(i, text([lines[i + 1], lines[i]] + lines[i + 2:])), f"lines {i + 1} and {i + 2} were swapped")
    if i < checkpoints[0][1]["sequence"]:
        expect(found(i, b""), f"the log was cut off before line {i + 1}")
    expect(found(i, lines[i]), f"the log was cut off within line {i + 1}")

# RFC 8032 section 7.1, test 2, and near misses of it.
public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
signature = bytes.fromhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                          "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
expect(verify.verify_signature(public, b"\x72", signature), "the vector of RFC 8032 is refused")
expect(not verify.verify_signature(public, b"\x73", signature), "another message is accepted")
for i in (0, 31, 32, 63):
    wrong = bytearray(signature)
    wrong[i] ^= 1
    expect(not verify.verify_signature(public, b"\x72", bytes(wrong)), f"signature with byte {i} changed is accepted")
above = (int.from_bytes(signature[32:], "little") + verify.ORDER).to_bytes(32, "little")
expect(not verify.verify_signature(public, b"\x72", signature[:32] + above), "S above the order is accepted")

for what in missed[:20]:
    print("missed:", what)
print(f"{flipped} bytes and {len(lines)} lines tried, {len(missed)} missed")
sys.exit(1 if missed else 0)
