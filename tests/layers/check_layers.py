#!/usr/bin/env python3
"""Who may include whom (docs/ARCHITECTURE.md, "Rooms"): names file, line and reason of each include that breaks the diagram.

    check_layers.py SOURCES      checks the tree below SOURCES (the project's src/)
    check_layers.py --selftest   plants violations in a tree of its own and demands that each is found"""
import re
import sys
import tempfile
from pathlib import Path

STAGES = ["observe", "match", "decide", "plan", "act", "verify", "record"]
PORTS = ["observe", "match", "act", "record", "loop"]  # rooms whose headers hold ports and pure parsers that adapters may use
ALLOWED = {"base": [], "model": ["base"], "loop": ["base", "model", *STAGES]}
ALLOWED |= {stage: ["base", "model"] for stage in STAGES}
# A room has no clock, no file and no thread: these headers would bring them.
WORLD = re.compile(r"<(thread|mutex|condition_variable|fstream|filesystem|unistd\.h|fcntl\.h|sys/.*|netinet/.*|sqlite3\.h|libpq-fe\.h)>")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))')


def violations(sources):
    for path in sorted(sources.rglob("*")):
        if path.suffix not in (".h", ".cc") or path.name.endswith("_test.cc"):
            continue
        parts = path.relative_to(sources).parts
        room = parts[0]
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            where = f"{path}:{number}"
            if found[2]:
                if room in ALLOWED and WORLD.match(found[2]):
                    yield f"{where}: {room}/ includes {found[2]}: a pure room reaches the world through ports only"
                continue
            target = found[1].split("/")
            if len(target) < 2 or not (sources / target[0]).is_dir():
                continue
            if room == "adapters":
                if target[0] == "apps" or target[0] in ("decide", "plan", "verify"):
                    yield f"{where}: an adapter includes {found[1]}: it touches the world and decides nothing"
                elif target[0] == "adapters" and target[1] != parts[1]:
                    yield f"{where}: the adapter {parts[1]} includes the adapter {target[1]}: only apps know adapters"
            elif room == "apps":
                if target[0] == "apps" and target[1] != parts[1]:
                    yield f"{where}: the program {parts[1]} includes the program {target[1]}"
            elif target[0] != room and target[0] not in ALLOWED.get(room, []):
                yield f"{where}: {room}/ includes {found[1]}: {room}/ may know only {', '.join(ALLOWED.get(room, [])) or 'nothing'}"


def selftest():
    planted = {"match/x.h": '#include "plan/y.h"', "base/x.h": '#include "model/y.h"', "adapters/apt/x.h": '#include "adapters/http/y.h"',
               "model/x.cc": '#include "loop/y.h"', "adapters/http/z.cc": '#include "plan/y.h"', "decide/x.cc": "#include <fstream>"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("plan/y.h", "model/y.h", "loop/y.h", "adapters/http/y.h"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("")
        for name, line in planted.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("\n" + line + "\n")
        found = list(violations(root))
        missed = [name for name in planted if not any(f"{root / name}:2:" in text for text in found)]
    for name in missed:
        print(f"not found: the planted violation in {name}")
    return len(missed)


def main():
    if sys.argv[1:] == ["--selftest"]:
        return 1 if selftest() else 0
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 64
    found = list(violations(Path(sys.argv[1])))
    print("\n".join(found) if found else "every include keeps the diagram")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
