#!/usr/bin/env python3
"""Proves that the simulator finds mistakes: plants each of tests/sim/mutants/*.txt in a copy of its source, compiles that file alone,
links a prunella-sim with it, and runs seeds until one breaks an invariant.

usage: mutants.py BUILD_DIR [--seeds 2000] [--hosts 12] [--only NAME]... [--list]

A mutant's text must stand in its file exactly once. Ends with 1 when a mutant survives or does not apply.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FORM = re.compile(r"file: (?P<file>\S+)\nwhy: (?P<why>[^\n]+)\n--- old\n(?P<old>.*)\n--- new\n(?P<new>.*)\Z", re.S)


def read_mutant(path):
    found = FORM.match(path.read_text())
    if not found:
        raise ValueError(f"{path.name}: not of the form file, why, --- old, --- new")
    new = found["new"][:-1] if found["new"].endswith("\n") else found["new"]
    return path.stem, found["file"], found["why"], found["old"], new


def source_with(name, file, old):
    """The text of the file, in which the mutant's stands once."""
    text = (ROOT / file).read_text()
    if text.count(old) != 1:
        raise ValueError(f"{name}: its text stands in {file} {text.count(old)} times, not once")
    return text


def plant(build, name, file, old, new):
    """The mutated object file."""
    text = source_with(name, file, old)
    folder = build / "mutants" / name
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / Path(file).name
    changed = text.replace(old, new)
    if not source.exists() or source.read_text() != changed:
        source.write_text(changed)
    entries = [e for e in json.loads((build / "compile_commands.json").read_text()) if e["file"] == str(ROOT / file)]
    if not entries:
        raise ValueError(f"{name}: the build does not compile {file}")
    words = shlex.split(entries[0]["command"])
    target = folder / (source.stem + ".o")
    # The copy lies elsewhere: where the original stood is where its own includes are looked for.
    words = [str(target) if i and words[i - 1] == "-o" else str(source) if w == str(ROOT / file) else w for i, w in enumerate(words)]
    subprocess.run(words + ["-iquote", str((ROOT / file).parent)], cwd=entries[0]["directory"], check=True, stderr=subprocess.DEVNULL)
    return target


def link(build, name, target):
    commands = subprocess.run(["ninja", "-t", "commands", "bin/prunella-sim"], cwd=build, check=True, capture_output=True, text=True).stdout
    line = next(l for l in reversed(commands.splitlines()) if " -o bin/prunella-sim " in l)
    program = target.parent / "prunella-sim"
    # Before the libraries: what the mutated object defines is not taken from them.
    line = line.replace(" -o bin/prunella-sim ", f" {target} -o {program} ", 1)
    subprocess.run(line, shell=True, cwd=build, check=True, stdout=subprocess.DEVNULL)
    return program


def hunt(program, seeds, hosts, first=1):
    begun = time.monotonic()
    done = subprocess.run([program, "run", "--first", str(first), "--seeds", str(seeds), "--hosts", str(hosts), "--json"], capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    line = json.loads(lines[-1]) if lines else {"violation": f"ended with {done.returncode}", "seed": None}
    return line.get("violation"), line.get("seed"), time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--hosts", type=int, default=12)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    killed, survived = 0, []
    for path in sorted((HERE / "mutants").glob("*.txt")):
        if arguments.only and not any(word in path.stem for word in arguments.only):
            continue
        try:
            name, file, why, old, new = read_mutant(path)
            if arguments.list:
                source_with(name, file, old)
                print(f"{name:32} {file:32} {why}")
                continue
            violation, seed, seconds = hunt(link(build, name, plant(build, name, file, old, new)), arguments.seeds, arguments.hosts)
        except (ValueError, subprocess.CalledProcessError) as error:
            print(f"{path.stem:32} NOT APPLIED   {error}", flush=True)
            survived.append(path.stem)
            continue
        if violation and hunt(build / "bin/prunella-sim", 1, arguments.hosts, seed)[0]:
            survived.append(name)
            print(f"{name:32} UNPROVEN  seed {seed} breaks '{violation}', and something without it too", flush=True)
        elif violation:
            killed += 1
            print(f"{name:32} killed    seed {seed}, '{violation}', {seconds:.0f} s", flush=True)
        else:
            survived.append(name)
            print(f"{name:32} SURVIVED  {arguments.seeds} seeds, {seconds:.0f} s: {why}", flush=True)
    if not arguments.list:
        print(f"{killed} killed, {len(survived)} survived" + (": " + ", ".join(survived) if survived else ""))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
