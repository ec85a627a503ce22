"""Every place, limit and wait of the lab, with the reason for its value."""
import os

# State that must not outlive a reboot: what runs, and who owns it.
RUN_DIR = "/run/prunella-lab"
# Disk images of machines and upper layers of chroot trees.
DATA_DIR = "/var/lib/prunella-lab"
# Things that are expensive to make again: base trees, archive cache, fetched packages.
CACHE_DIR = "/var/cache/prunella-lab"

# First two octets of all lab networks. 10.213 is rarely used; the variable is for a host that does use it.
NET_PREFIX = os.environ.get("PRUNELLA_LAB_NET", "10.213")
# Labs are numbered 0..199: NET_PREFIX.<number>.0/24, the rest is kept for the lab itself.
LABS_MAX = 200
# Machines are .11 upwards; 100 nspawn machines are far more than one host is asked to carry.
MACHINES_MAX = 100
FIRST_HOST = 11
# The archive cache has an address of its own, so that labs which come and go share one process and one cache.
ARCHIVE_ADDRESS = f"{NET_PREFIX}.255.1"
ARCHIVE_PORT = 3142
ARCHIVE_BRIDGE = "plab-archive"

SUITES = ("bookworm", "trixie")
# Packages to break, best first: what nginx loads, then nginx itself. Which of them has a newer version changes with time
# (a point release takes the security updates in), so a fault takes the first that has one.
TARGETS = {"bookworm": ("libssl3", "nginx"), "trixie": ("libssl3t64", "nginx")}

# Virtual disk of a machine. Sparse: it costs what is written. Three GiB holds a base tree's worth of upgrades.
DISK_MIB = 3072

# A tree is about 300 MiB; packages and what debootstrap unpacks on the way need as much again.
TREE_MEMORY_MIB = 1536

# A machine boots in one to three seconds alone; ten at once on two busy cores take well under this.
BOOT_SECONDS_MAX = 180
# From SIGKILL of a machine's init to the end of its supervisor.
STOP_SECONDS_MAX = 15
# apt-cacher-ng listens within a few hundred milliseconds.
ARCHIVE_START_SECONDS_MAX = 15
# Installing packages or reading the archive's lists in one machine.
APT_SECONDS_MAX = 600
# Downloading and unpacking a base tree.
TREE_SECONDS_MAX = 1800
# A short command inside a machine, such as systemctl.
COMMAND_SECONDS_MAX = 60
# How often a state that has no event to wait for is looked at.
POLL_SECONDS = 0.02
# Fetched package lists younger than this are used as they are.
LISTS_FRESH_SECONDS = 3600
