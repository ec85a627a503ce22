"""The command line. Data goes to standard output, progress and advice to standard error."""
import argparse
import json
import os
import sys

from . import archive, faults, fetch, lab, limits, machine as machines, system, tree
from .dpkg_stop import STAGES
from .system import Interrupted, LabError, say

# As env(1), nohup(1) and containers do: what went wrong was not the command's doing.
EXIT_LAB_FAILED = 125

DESCRIPTION = """Real Debian machines beside each other on this host, to try Prunella on and to break.

A machine is booted by systemd-nspawn on a copy-on-write layer over one base tree of the release without its security
updates, so there is something real to find and to patch. Machines reach each other, this host at the lab's gateway address,
and the Debian archive through a cache; nothing else."""

EXAMPLES = """examples:
  prunella-lab up 4 --trixie 1             four machines, the last one Debian 13
  prunella-lab exec web-1 -- apt-get update
  prunella-lab break web-2 service-dies-after-patch
  prunella-lab reset web-2                 back to the base tree
  prunella-lab down                        end the lab and leave nothing behind"""


def main(arguments):
    options = _parser().parse_args(arguments)
    try:
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and mounts, which needs root", "sudo prunella-lab ...")
        system.raise_on_signals()
        return options.run(options) or 0
    except LabError as error:
        say(f"prunella-lab: {error}")
        if error.hint:
            say(f"  try: {error.hint}")
        return EXIT_LAB_FAILED if options.command == "exec" else 1
    except Interrupted as interrupt:
        say(f"prunella-lab: ended by {interrupt}")
        return 128 + interrupt.number


def _parser():
    parser = argparse.ArgumentParser(prog="prunella-lab", description=DESCRIPTION, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, run, text, epilog=None):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        sub.set_defaults(run=run)
        return sub

    up = command("up", _up, "boot machines and wait until each has started")
    up.add_argument("count", type=int, metavar="N", help="how many machines")
    up.add_argument("--name", default="lab1", help="name of the lab (default: %(default)s)")
    up.add_argument("--suite", default="bookworm", choices=limits.SUITES, help="Debian release (default: %(default)s)")
    up.add_argument("--trixie", type=int, default=0, metavar="K", help="the last K machines are Debian 13")
    up.add_argument("--prefix", default="web", help="machines are PREFIX-1 to PREFIX-N (default: %(default)s)")
    up.add_argument("--package", action="append", default=[], metavar="DEB",
                    help="install this .deb in each machine with apt; may be repeated")
    up.add_argument("--update", action="store_true", help="run apt-get update in each machine (done anyway with --package)")
    up.add_argument("--disk", type=int, default=limits.DISK_MIB, metavar="MIB", help="disk of a machine (default: %(default)s)")
    _json(up)

    listing = command("ls", _ls, "list labs and machines")
    listing.add_argument("--name", help="only this lab")
    _json(listing)

    execute = command("exec", _exec, "run a command in a machine; its exit code is this command's")
    execute.add_argument("machine", help="web-1, or lab1/web-1")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    shell = command("shell", _shell, "open a root shell in a machine")
    shell.add_argument("machine")
    for name, run, text, first, second in (
            ("push", _push, "copy a file, or the content of a directory, into a machine", "SRC", "DST"),
            ("pull", _pull, "copy a file, or the content of a directory, out of a machine", "SRC", "DST")):
        copy = command(name, run, text)
        copy.add_argument("machine")
        copy.add_argument("source", metavar=first)
        copy.add_argument("target", metavar=second)

    reset = command("reset", _reset, "boot machines afresh from their base tree and install the lab's packages again")
    reset.add_argument("machines", nargs="+", metavar="NAME")
    _json(reset)
    down = command("down", _down, "end a lab, running or crashed, and remove everything it had")
    down.add_argument("--name", default="lab1", help="name of the lab (default: %(default)s)")
    down.add_argument("--all", action="store_true", help="all labs and all chroot trees")

    known = "faults:\n" + faults.explain()
    breaking = command("break", _break, "plant a fault in a machine", known)
    breaking.add_argument("machine")
    breaking.add_argument("what", choices=faults.FAULTS, metavar="FAULT")
    breaking.add_argument("--package", help="package concerned (default: the OpenSSL library or nginx, whichever has an update)")
    breaking.add_argument("--service", help="service concerned (default: nginx, or prunella-agent for killed-agent)")
    breaking.add_argument("--after", type=int, metavar="SECONDS",
                          help="service-dies-after-patch: let it start, and die this much later")
    breaking.add_argument("--leave-kib", type=int, metavar="KIB", help="full-disk: leave this much free (default: 0)")
    breaking.add_argument("--stage", choices=STAGES, help="interrupted-dpkg: where (default: half-configured)")
    _json(breaking)
    mending = command("mend", _mend, "take a fault away again", known)
    mending.add_argument("machine")
    mending.add_argument("what", choices=faults.FAULTS, metavar="FAULT")
    _json(mending)

    copies = command("chroot-tree", _chroot_tree, "make or remove an unbooted copy of a base tree, for crash tests")
    copies.add_argument("target", nargs="?", metavar="DIR")
    copies.add_argument("--suite", default="bookworm", choices=limits.SUITES)
    copies.add_argument("--remove", action="store_true", help="remove the copy at DIR")
    copies.add_argument("--list", action="store_true", help="list the copies that exist")
    _json(copies)
    fetching = command("fetch", _fetch, "download the release's and the security archive's version of packages")
    fetching.add_argument("packages", nargs="+", metavar="PKG")
    fetching.add_argument("--suite", default="bookworm", choices=limits.SUITES)
    fetching.add_argument("--refresh", action="store_true", help="read the archive's lists again even if they are fresh")
    build = command("build", _build, "make the base trees now instead of at the first 'up'")
    build.add_argument("--suite", action="append", choices=limits.SUITES, help="may be repeated (default: bookworm)")
    _json(build)
    launch = commands.add_parser("launch")  # Used by the lab itself: becomes the supervisor of one machine.
    launch.add_argument("spec")
    launch.set_defaults(run=lambda options: machines.launch(options.spec))
    return parser


def _json(parser):
    parser.add_argument("--json", action="store_true", help="print data as JSON")


def _print_json(value):
    print(json.dumps(value, indent=2))


def _print_lab(view):
    rows = [("NAME", "SUITE", "IP", "LEADER", "STATE", "MEMORY", "BOOT", "FAULTS")]
    for row in view["machines"]:
        state = row["state"] + (f" ({', '.join(row['failed_units'])})" if row["failed_units"] else "")
        memory = "-" if row["memory_bytes"] is None else f"{row['memory_bytes'] / (1 << 20):.0f} MiB"
        boot = "-" if row["boot_seconds"] is None else f"{row['boot_seconds']} s"
        rows.append((row["name"], row["suite"], row["ip"], str(row["leader"] or "-"), state, memory, boot,
                     ", ".join(row["faults"]) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"lab {view['name']}: gateway {view['gateway']}, archive {view['archive']}")
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def _up(options):
    state = lab.up(options.name, options.count, options.suite, options.trixie, options.prefix, options.package,
                   options.update, options.disk)
    view = lab.look(state)
    if options.json:
        _print_json(view)
    else:
        _print_lab(view)
    first = view["machines"][0]["name"]
    say(f"next: prunella-lab exec {first} -- sh -c 'apt-get update && apt-get -s upgrade', "
        f"prunella-lab break {first} FAULT, prunella-lab down" + ("" if options.name == "lab1" else f" --name {options.name}"))


def _ls(options):
    if options.name and not lab.load(options.name):
        raise LabError(f"there is no lab '{options.name}'", f"there are: {', '.join(lab.names()) or 'none'}")
    views = [lab.look(lab.load(name)) for name in ([options.name] if options.name else lab.names())]
    if options.json:
        _print_json({"labs": views})
    else:
        for view in views:
            _print_lab(view)
    say("next: prunella-lab shell NAME, prunella-lab break NAME FAULT" if views else "no lab. next: prunella-lab up 4")


def _exec(options):
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise LabError("no command given", f"prunella-lab exec {options.machine} -- systemctl status")
    _become(options.machine, argv)


def _shell(options):
    say("lab: leave the shell with 'exit'")
    _become(options.machine, ["bash", "-l"])


def _become(name, argv):
    """The command takes this process's place, so that its exit code, signals and terminal are the caller's."""
    state, machine = lab.find(name)
    line = machines.inside(state, machine, argv, {"TERM": os.environ.get("TERM", "dumb")})
    sys.stdout.flush()
    os.execvp(line[0], line)


def _push(options):
    state, machine = lab.find(options.machine)
    machines.push(state, machine, options.source, options.target)


def _pull(options):
    state, machine = lab.find(options.machine)
    machines.pull(state, machine, options.source, options.target)


def _reset(options):
    wanted = {}
    for text in options.machines:
        state, machine = lab.find(text)
        wanted.setdefault(state["name"], set()).add(machine["name"])
    views = []
    for name, chosen in wanted.items():
        state = lab.load(name)
        lab.reset(state, [machine for machine in state["machines"] if machine["name"] in chosen])
        view = lab.look(state)
        view["machines"] = [row for row in view["machines"] if row["name"] in chosen]
        views.append(view)
    if options.json:
        _print_json({"labs": views})
    else:
        for view in views:
            _print_lab(view)
    say("next: prunella-lab ls")


def _down(options):
    targets = lab.names() if options.all else [options.name]
    if options.all:
        for copy in tree.copies():
            tree.copy_remove(copy["target"])
            say(f"lab: removed {copy['target']}")
    for name in targets:
        say(f"lab: '{name}' is gone" if lab.down(name) else f"lab: there is no lab '{name}'")
    archive.stop_if_unused()
    say("next: prunella-lab up N")


def _break(options):
    state, machine = lab.find(options.machine)
    with lab.changing(state["name"]):
        state, machine = lab.find(options.machine)
        text = faults.plant(state, machine, options.what, options)
        lab.save(state)
    if options.json:
        _print_json({"machine": machine["name"], "fault": options.what, "text": text, **machine["faults"][options.what]})
    else:
        print(text)
    say(f"next: prunella-lab mend {options.machine} {options.what}")


def _mend(options):
    state, machine = lab.find(options.machine)
    with lab.changing(state["name"]):
        state, machine = lab.find(options.machine)
        text = faults.mend(state, machine, options.what)
        lab.save(state)
    if options.json:
        _print_json({"machine": machine["name"], "fault": options.what, "text": text})
    else:
        print(text)
    say("next: prunella-lab ls")


def _chroot_tree(options):
    if options.list:
        if options.json:
            _print_json({"copies": tree.copies()})
        else:
            print("\n".join(f"{copy['target']}  {copy['suite']}" for copy in tree.copies()) or "no copies")
        return 0
    if not options.target:
        raise LabError("no directory given", "prunella-lab chroot-tree /tmp/tree")
    if options.remove:
        removed = tree.copy_remove(options.target)
        say(f"lab: {options.target} is gone" if removed else f"lab: there is no copy at {options.target}")
        return 0
    copy = tree.copy_make(options.target, options.suite)
    if options.json:
        _print_json(copy)
    else:
        print(copy["path"])
    say(f"next: chroot {copy['path']} dpkg -i ..., then prunella-lab chroot-tree --remove {copy['path']}")
    return 0


def _fetch(options):
    _print_json(fetch.fetch(options.suite, options.packages, options.refresh))


def _build(options):
    paths = {suite: tree.ensure(suite) for suite in options.suite or ["bookworm"]}
    if options.json:
        _print_json({"trees": paths})
    else:
        print("\n".join(f"{suite}  {path}" for suite, path in paths.items()))
    say("next: prunella-lab up 4")
