"""The lab: real Debian machines beside each other on one host. See lab/README.md."""
