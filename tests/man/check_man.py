#!/usr/bin/env python3
"""Holds the manual pages in packaging/man against the programs' own help: every option and command that the help has stands in the
page, and none stands in the page that the help doesn't have. With groff, the pages are also set, and a warning of it is a failure.

  tests/man/check_man.py BIN      BIN has the programs
  tests/man/check_man.py --self   shows that a page that drifted is found
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = {"prunella-agent": ["help"], "prunella-executor": ["--help"], "prunellad": ["help"]}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "SIGNALS", "EXIT STATUS", "SECURITY", "SEE ALSO"]


def plain(page):
    """The words of a page, without roff."""
    text = "\n".join(line for line in page.splitlines() if not line.startswith('.\\"'))
    return re.sub(r"^\.\w+ ?", "", text.replace("\\-", "-"), flags=re.M).replace('"', "")


def drift(program, help_text, page):
    words = plain(page)
    options = set(re.findall(r"(?<![\w-])--[a-z0-9-]+", help_text))
    described = set(re.findall(r"(?<![\w-])--[a-z0-9-]+", words))
    faults = [f"{program}: {option} is in the help and not in the page" for option in sorted(options - described)]
    # The page may also name options of the commands that it refers to, and says --help where the help itself needn't.
    faults += [f"{program}: {option} is in the page and not in the help" for option in sorted(described - options - {"--help", "--print"})]
    verbs = set(re.findall(rf"^\s*{program} ([a-z]+)", help_text, flags=re.M))
    faults += [f"{program}: the command {verb} is not in the page" for verb in sorted(verbs) if not re.search(rf"^{verb}$", words, flags=re.M)]
    faults += [f"{program}: the page has no section {section}" for section in SECTIONS if not re.search(rf'^\.SH "?{section}"?$', page, flags=re.M)]
    return faults


def main():
    if len(sys.argv) != 2:
        print("check_man.py BIN | --self", file=sys.stderr)
        return 64
    if sys.argv[1] == "--self":
        page = (ROOT / "packaging/man/prunella-agent.8").read_text()
        text = "  prunella-agent run  Looks.\n  prunella-agent dance\n  --json --no-such\n"
        faults = drift("prunella-agent", text, page)
        found = [any(word in fault for fault in faults) for word in ("--no-such is in the help", "--token is in the page", "dance")]
        return 0 if all(found) else 1
    faults = []
    for program, words in PROGRAMS.items():
        path = ROOT / "packaging/man" / f"{program}.8"
        text = subprocess.run([pathlib.Path(sys.argv[1]) / program, *words], capture_output=True, text=True, check=True, timeout=20).stdout
        faults += drift(program, text, path.read_text())
        if groff := shutil.which("groff"):
            said = subprocess.run([groff, "-man", "-Tutf8", "-ww", "-z", path], capture_output=True, text=True, timeout=20).stderr
            faults += [f"{program}: groff: {line}" for line in said.splitlines()]
    print("\n".join(faults) or "the manual pages say what the programs say")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
