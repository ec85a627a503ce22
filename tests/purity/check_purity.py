#!/usr/bin/env python3
"""The core reaches clock, randomness, disk, network and processes through ports only (DESIGN.md rule 11): no archive of a pure room
may want a symbol that goes around them.

    check_purity.py NM CXX ARCHIVE...   fails with archive, object and symbol; first plants a violation and demands that it's found"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FORBIDDEN = re.compile(
    r"^(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep|s?rand(om)?(_r)?|getrandom|getentropy|arc4random\w*|socket|connect|bind|accept4?|"
    r"open(at)?(64)?|creat(64)?|fopen(64)?|unlink(at)?|rename(at2?)?|pthread_create|getenv|secure_getenv|v?fork|clone|exec[vl]\w*|posix_spawnp?|"
    r"system|popen|dlopen|kill|_ZNSt6chrono3_V212(system|steady)_clock3nowEv|_ZNSt13random_device.*)(@.*)?$")


def wanted(nm, archive):
    shown = subprocess.run([nm, "--undefined-only", "--format=posix", "--print-file-name", archive], check=True, capture_output=True, text=True).stdout
    for line in shown.splitlines():
        place, _, rest = line.rpartition(": ")
        symbol = rest.split(" ")[0]
        if FORBIDDEN.match(symbol):
            yield f"{place}: {symbol} goes around the ports"


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 64
    nm, compiler, *archives = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "planted.cc"
        source.write_text("#include <chrono>\n#include <cstdlib>\nlong planted() { return std::chrono::system_clock::now().time_since_epoch().count() + std::rand(); }\n")
        subprocess.run([compiler, "-c", source, "-o", source.with_suffix(".o")], check=True)
        found = list(wanted(nm, source.with_suffix(".o")))
        if len(found) != 2:
            print(f"the planted violation gave {len(found)} findings, not 2: this check can't fail")
            return 1
    found = [text for archive in archives for text in wanted(nm, archive)]
    print("\n".join(found) if found else f"{len(archives)} archives reach the world through ports only")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
