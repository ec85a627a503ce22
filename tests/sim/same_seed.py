#!/usr/bin/env python3
"""The same seed gives the same events, in another process and whether they are printed or not: without that no seed replays.

usage: same_seed.py PRUNELLA_SIM SEED..."""

import hashlib
import json
import subprocess
import sys

HOSTS = "12"


def main():
    program, *seeds = sys.argv[1:]
    for seed in seeds:
        runs = [subprocess.run([program, "run", "--first", seed, "--hosts", HOSTS, "--json"], capture_output=True, text=True).stdout for _ in range(2)]
        told = [json.loads(text)["log_sha256"] for text in runs]
        printed = subprocess.run([program, "replay", seed, "--hosts", HOSTS], capture_output=True).stdout
        # The last line is the summary; the figure is the digest over the digests of all seeds, here one.
        events = printed[: printed.rstrip(b"\n").rfind(b"\n") + 1]
        replayed = hashlib.sha256(hashlib.sha256(events).digest()).hexdigest()
        if len({*told, replayed}) != 1 or events.count(b"\n") < 100:
            print(f"seed {seed}: {told[0]}, {told[1]} and, replayed, {replayed}")
            return 1
    print(f"{len(seeds)} seeds, each thrice the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
