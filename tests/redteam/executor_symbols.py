#!/usr/bin/env python3
"""The executor's binary calls no shell and loads no code, and links only libc, its loader and one crypto library (TRUST.md EXE-1).

    executor_symbols.py PROGRAM PLANTED

PLANTED is a program that does call a shell: when the gate doesn't catch it, the gate itself is broken.
"""
import re
import subprocess
import sys

FORBIDDEN = re.compile(r" U (system|popen|execlp?|execle|execvp|execvpe|dlopen|wordexp|getenv_unsafe)(@|$)")
LIBRARIES = {"libcrypto.so.3", "libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def forbidden(program):
    lines = subprocess.run(["nm", "-D", "--undefined-only", program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return sorted({match.group(1) for line in lines if (match := FORBIDDEN.search(line))})


def main():
    program, planted = sys.argv[1:]
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", subprocess.run(["readelf", "-d", program], check=True, stdout=subprocess.PIPE, text=True).stdout))
    content = open(program, "rb").read()
    wrong = []
    if not forbidden(planted):
        wrong.append(f"the gate missed system() in {planted}")
    if found := forbidden(program):
        wrong.append(f"{program} imports {', '.join(found)}")
    if foreign := needed - LIBRARIES:
        wrong.append(f"{program} links {', '.join(sorted(foreign))}")
    for shell in (b"/bin/sh", b"/bin/bash"):
        if shell in content:
            wrong.append(f"{program} holds the text {shell.decode()}")
    print("\n".join(wrong) or f"{program}: links {', '.join(sorted(needed))}; no shell, no loading of code")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
