#!/bin/bash
# Captures what apt really writes about small archives that this script makes: good ones, one of a third party that copies the
# distribution's labels, and one for each way in which an archive can be wrong. Nothing outside a temporary directory changes, no
# network but loopback is used, no root is needed.
#
#   tests/corpus/observe/capture_apt.sh OUTPUT-DIRECTORY
#
# With PRUNELLA_KEEP_ROOT=DIRECTORY the archives and the root stay there, for the tests that run apt themselves: then nothing is
# captured, only good archives are made, and sources name them by file:.
set -euo pipefail
out=$(realpath -m "${1:?output directory}")
mkdir -p "$out"
work=${PRUNELLA_KEEP_ROOT:-$(mktemp -d)}
mkdir -p "$work"
work=$(realpath "$work")
server=
clean() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  gpgconf --homedir "$work/gpg" --kill all 2>/dev/null || true
  [ -n "${PRUNELLA_KEEP_ROOT:-}" ] || rm -rf "$work"
}
trap clean EXIT
export LC_ALL=C.UTF-8 GNUPGHOME=$work/gpg SOURCE_DATE_EPOCH=1700000000
arch=$(dpkg --print-architecture)
mkdir -p -m 700 "$GNUPGHOME"
root=$work/root
mkdir -p "$root"/etc/apt/{apt.conf.d,preferences.d,sources.list.d,trusted.gpg.d,keyrings} "$root"/lists/partial \
  "$root"/cache/archives/partial "$root"/var/lib/dpkg "$root"/log
touch "$root/etc/apt/sources.list"

# key NAME [faked-time expiry]
key() {
  gpg --batch --quiet ${2:+--faked-system-time "$2"} --passphrase '' --quick-generate-key "$1 <$1@example.org>" ed25519 sign "${3:-never}" 2>/dev/null
  gpg --batch --quiet --export "$1@example.org" > "$root/etc/apt/keyrings/$1.gpg"
}
key distro; key security; key other
[ -n "${PRUNELLA_KEEP_ROOT:-}" ] || { key stranger; key oldkey 20200101T000000 2020-03-01; }

# deb ARCHIVE NAME VERSION SOURCE [more control lines]
deb() {
  local d=$work/build
  rm -rf "$d"
  mkdir -p "$d/DEBIAN" "$d/usr/share/doc/$2" "$d/usr/lib/$2" "$work/archive/$1/pool"
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.org>\nSource: %s\nDescription: made for a test\n' \
    "$2" "$3" "${5:-$arch}" "$4" > "$d/DEBIAN/control"
  [ -z "${6:-}" ] || printf '%b' "$6" >> "$d/DEBIAN/control"
  printf 'version %s of %s\n' "$3" "$2" > "$d/usr/lib/$2/content"
  if [ -f "$work/changelog-$2" ]; then gzip -9n < "$work/changelog-$2" > "$d/usr/share/doc/$2/changelog.Debian.gz"; fi
  if [ -d "$work/conffiles-$2" ]; then
    cp -r "$work/conffiles-$2/." "$d/"
    (cd "$work/conffiles-$2" && find . -type f | sed 's/^\.//' | sort) > "$d/DEBIAN/conffiles"
  fi
  dpkg-deb --root-owner-group --build "$d" "$work/archive/$1/pool" > /dev/null
}

# index ARCHIVE SUITE KEY ORIGIN LABEL SUITENAME CODENAME [more Release lines]
index() {
  local a=$work/archive/$1 d=$work/archive/$1/dists/$2 p
  mkdir -p "$d/main/binary-$arch"
  (cd "$a" && dpkg-scanpackages --multiversion pool 2>/dev/null) > "$d/main/binary-$arch/Packages"
  [ -z "${EDIT_PACKAGES:-}" ] || sed -i "$EDIT_PACKAGES" "$d/main/binary-$arch/Packages"
  {
    printf 'Origin: %s\nLabel: %s\nSuite: %s\nCodename: %s\nVersion: 12\nDate: %s\nArchitectures: %s\nComponents: main\n' \
      "$4" "$5" "$6" "$7" "${RELEASE_DATE:-$(date -u -R)}" "$arch"
    [ -z "${8:-}" ] || printf '%b' "$8"
    echo SHA256:
    (cd "$d" && for p in "main/binary-$arch/Packages"; do printf ' %s %s %s\n' "$(sha256sum < "$p" | cut -d' ' -f1)" "$(stat -c %s "$p")" "$p"; done)
  } > "$d/Release"
  [ "$3" = none ] || gpg --batch --quiet --yes ${FAKED:+--faked-system-time "$FAKED"} --local-user "$3@example.org" --clearsign \
    --output "$d/InRelease" "$d/Release"
}

# The distribution: a release, its security archive, a third party whose labels look like it, one with pins.
printf 'libfoo (1.0-1) stable; urgency=low\n\n  * First.\n\n -- Nobody <nobody@example.org>  Mon, 01 Jan 2024 00:00:00 +0000\n' > "$work/changelog-libfoo"
mkdir -p "$work/conffiles-libfoo/etc/foo"; echo 'answer = 41' > "$work/conffiles-libfoo/etc/foo/foo.conf"
deb release libfoo 1.0-1 foo
deb release foo-tools 1.0-1 foo all 'Depends: libfoo (>= 1.0-1)\n'
deb release held 1.0-1 held
deb release pinned 1.0-1 pinned
deb release phased 1.0-1 phased
deb release removes 1.0-1 removes
deb release victim 1.0-1 victim all 'Depends: removes (= 1.0-1)\n'
deb release plain 1.0-2 plain
deb release third 1.0-1 third
deb release needed 2.0-1 needed
deb release closure 1.0-1 closure
deb release rearch 1.0-1 rearch
deb release overtaken 1.0-2 overtaken
index release bookworm distro Debian Debian stable bookworm
printf 'libfoo (1.0-1+deb12u1) stable-security; urgency=high\n\n  * CVE-2024-0001: fixed.\n\n -- Nobody <nobody@example.org>  Tue, 02 Jan 2024 00:00:00 +0000\n\n' \
  | cat - "$work/changelog-libfoo" > "$work/changelog" && mv "$work/changelog" "$work/changelog-libfoo"
echo 'answer = 42' > "$work/conffiles-libfoo/etc/foo/foo.conf"
deb security libfoo 1.0-1+deb12u1 foo
deb security foo-tools 1.0-1+deb12u1 foo all 'Depends: libfoo (>= 1.0-1+deb12u1)\n'
deb security held 1.0-1+deb12u1 held
deb security pinned 1.0-1+deb12u1 pinned
deb security phased 1.0-1+deb12u1 phased
deb security removes 1.0-1+deb12u1 removes "$arch" 'Conflicts: victim\n'
deb security closure 1.0-1+deb12u1 closure "$arch" 'Depends: needed (>= 2.0), added\n'
deb security added 1.0-1 added
deb security rearch 1.0-1+deb12u1 rearch all
deb security overtaken 1.0-1+deb12u1 overtaken
EDIT_PACKAGES='/^Package: phased$/a Phased-Update-Percentage: 0' \
  index security bookworm-security security Debian Debian-Security stable-security bookworm-security
deb lookalike third 1.0-1+deb12u9 third
index lookalike bookworm other Vendor Debian-Security stable-security bookworm

base=
if [ -z "${PRUNELLA_KEEP_ROOT:-}" ]; then
# One archive for each way to be wrong.
deb broken nothing 1.0-1 nothing
cp -r "$work/archive/broken" "$work/archive/template"
wrong() { cp -r "$work/archive/template" "$work/archive/$1"; }
wrong nokey; index nokey bookworm stranger Other Other stable bookworm
wrong badsig; index badsig bookworm distro Other Other stable bookworm; sed -i 's/^Label: Other/Label: Changed/' "$work/archive/badsig/dists/bookworm/InRelease"
wrong unsigned; index unsigned bookworm none Other Other stable bookworm
wrong expkey; FAKED=20200115T000000 index expkey bookworm oldkey Other Other stable bookworm
wrong expired; index expired bookworm distro Other Other stable bookworm 'Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n'
wrong future; RELEASE_DATE='Fri, 01 Jan 2100 00:00:00 UTC' index future bookworm distro Other Other stable bookworm
wrong hash; index hash bookworm distro Other Other stable bookworm; echo >> "$work/archive/hash/dists/bookworm/main/binary-$arch/Packages"
wrong nopackages; index nopackages bookworm distro Other Other stable bookworm; rm "$work/archive/nopackages/dists/bookworm/main/binary-$arch/Packages"
wrong turned; index turned bookworm distro Other Other stable bookworm
wrong changed; index changed bookworm distro Other Other stable bookworm

python3 - "$work/archive" "$work/port" <<'PY' &
import functools, http.server, os, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=sys.argv[1]))
open(sys.argv[2] + ".new", "w").write(str(s.server_address[1])); os.rename(sys.argv[2] + ".new", sys.argv[2])
s.serve_forever()
PY
server=$!
for _ in $(seq 200); do [ -s "$work/port" ] && break; read -rt 0.05 <> <(:) || true; done
base=http://127.0.0.1:$(cat "$work/port")
fi

cat > "$root/apt.conf" <<CONF
Dir::Etc "$root/etc/apt/"; Dir::Etc::parts "$root/etc/apt/apt.conf.d"; Dir::State "$root/"; Dir::State::lists "$root/lists/";
Dir::State::extended_states "$root/extended_states"; Dir::State::status "$root/var/lib/dpkg/status"; Dir::Cache "$root/cache/"; Dir::Log "$root/log/";
Acquire::Languages "none"; APT::Architecture "$arch"; APT::Architectures { "$arch"; }; APT::Sandbox::User ""; Acquire::Retries "0"; APT::Machine-ID "912e43bd1c1d4ba481f9f8ccab25f9ee";
APT::Get::Never-Include-Phased-Updates "true";
#clear APT::Update;
CONF
run_apt() { local tool=$1; shift; env -i LC_ALL=C.UTF-8 PATH="$PATH" HOME="$work" APT_CONFIG="$root/apt.conf" "$tool" -c "$root/apt.conf" "$@"; }
hide() { sed -e "s|$base|http://archive.example.org|g" -e "s|127\.0\.0\.1:$(cat "$work/port")|archive.example.org|g" -e "s|127\.0\.0\.1 |archive.example.org |g" -e "s|$work|/work|g"; }

if [ -z "${PRUNELLA_KEEP_ROOT:-}" ]; then
for case in nokey badsig unsigned expkey expired future hash nopackages; do
  echo "deb [signed-by=$root/etc/apt/keyrings/$([ $case = expkey ] && echo oldkey || echo distro).gpg] $base/$case bookworm main" > "$root/etc/apt/sources.list"
  rm -rf "$root/lists"; mkdir -p "$root/lists/partial"
  run_apt apt-get update 2>&1 | hide > "$out/update-$case.txt" || true
done
echo "deb [signed-by=$root/etc/apt/keyrings/distro.gpg] $base/absent bookworm main" > "$root/etc/apt/sources.list"
run_apt apt-get update 2>&1 | hide > "$out/update-absent.txt" || true
echo "deb [signed-by=$root/etc/apt/keyrings/distro.gpg] http://127.0.0.1:9/refused bookworm main" > "$root/etc/apt/sources.list"
run_apt apt-get update 2>&1 | hide > "$out/update-refused.txt" || true
echo "deb [signed-by=$root/etc/apt/keyrings/distro.gpg] http://name:secret@archive.invalid/debian bookworm main" > "$root/etc/apt/sources.list"
run_apt apt-get update 2>&1 | hide > "$out/update-noname.txt" || true
echo "deb [signed-by=$root/etc/apt/keyrings/distro.gpg] $base/changed bookworm main" > "$root/etc/apt/sources.list"
run_apt apt-get update > /dev/null 2>&1
index changed bookworm distro Foreign Foreign stable bookworm
run_apt apt-get update 2>&1 | hide > "$out/update-changed.txt" || true

# Signed well once, then not: apt says so in other words and keeps what it has.
echo "deb [signed-by=$root/etc/apt/keyrings/distro.gpg] $base/turned bookworm main" > "$root/etc/apt/sources.list"
run_apt apt-get update > /dev/null 2>&1
sed -i 's/^Label: Other/Label: Changed/' "$work/archive/turned/dists/bookworm/InRelease"
run_apt apt-get update 2>&1 | hide > "$out/update-turned.txt" || true
printf 'deb http://name:secret@archive.invalid/debian bookworm main\nnonsense\n' > "$root/etc/apt/sources.list"
run_apt apt-get update 2>&1 | hide > "$out/update-malformed.txt" || true
fi

# A machine with one package of each kind of trouble.
{
  stanza() { printf 'Package: %s\nStatus: %s\nArchitecture: %s\nVersion: %s\nMaintainer: Nobody <nobody@example.org>\nSource: %s\n%bDescription: made for a test\n\n' "$1" "$2" "$3" "$4" "$5" "${6:-}"; }
  stanza libfoo 'install ok installed' "$arch" 1.0-1 foo 'Conffiles:\n /etc/foo/foo.conf f4a5b5ae6a4b5d3c2b1a0f9e8d7c6b5a\n'
  stanza foo-tools 'install ok installed' all 1.0-1 foo 'Depends: libfoo (>= 1.0-1)\n'
  stanza held 'hold ok installed' "$arch" 1.0-1 held
  stanza pinned 'install ok installed' "$arch" 1.0-1 pinned
  stanza phased 'install ok installed' "$arch" 1.0-1 phased
  stanza removes 'install ok installed' "$arch" 1.0-1 removes
  stanza victim 'install ok installed' all 1.0-1 victim 'Depends: removes (= 1.0-1)\n'
  stanza plain 'install ok installed' "$arch" 1.0-1 plain
  stanza third 'install ok installed' "$arch" 1.0-1 third
  stanza needed 'install ok installed' "$arch" 1.0-1 needed
  stanza closure 'install ok installed' "$arch" 1.0-1 closure
  stanza rearch 'install ok installed' "$arch" 1.0-1 rearch
  stanza overtaken 'install ok installed' "$arch" 1.0-1 overtaken
  stanza dpkg 'install ok installed' "$arch" 1.21.22 dpkg
} > "$root/var/lib/dpkg/status"
printf 'Package: pinned\nPin: version 1.0-1\nPin-Priority: 1001\n' > "$root/etc/apt/preferences.d/pinned"
archives=$base
[ -z "${PRUNELLA_KEEP_ROOT:-}" ] || archives=file:$work/archive
cat > "$root/etc/apt/sources.list" <<LIST
deb [signed-by=$root/etc/apt/keyrings/distro.gpg] $archives/release bookworm main
deb [signed-by=$root/etc/apt/keyrings/security.gpg] $archives/security bookworm-security main
LIST
printf 'Types: deb\nURIs: %s/lookalike\nSuites: bookworm\nComponents: main\nSigned-By: %s/etc/apt/keyrings/other.gpg\n' "$archives" "$root" > "$root/etc/apt/sources.list.d/vendor.sources"
[ -z "${PRUNELLA_KEEP_ROOT:-}" ] || exit 0

rm -rf "$root/lists"; mkdir -p "$root/lists/partial"
run_apt apt-get update 2>&1 | hide > "$out/update-good.txt"
run_apt apt-get update 2>&1 | hide > "$out/update-again.txt"
run_apt apt-get --simulate upgrade --with-new-pkgs 2>&1 | hide > "$out/simulate-upgrade.txt"
run_apt apt-get --simulate dist-upgrade 2>&1 | hide > "$out/simulate-dist-upgrade.txt"
packages='libfoo foo-tools held pinned phased removes victim plain third needed closure rearch overtaken'
run_apt apt-cache policy $packages 2>&1 | hide > "$out/policy.txt"
run_apt apt-cache show --no-all-versions libfoo foo-tools=1.0-1 foo-tools=1.0-1+deb12u1 third 2>&1 | hide > "$out/show.txt"
run_apt apt-get -o Debug::NoLocking=1 --print-uris --yes dist-upgrade 2>&1 | hide > "$out/print-uris.txt"
run_apt apt-get indextargets --no-release-info 2>&1 | hide > "$out/indextargets-all.txt"
run_apt apt-get indextargets 2>&1 | hide > "$out/indextargets.txt"
for file in "$root"/lists/*_InRelease; do sed -n '/^Origin/,/^Components/p' "$file"; done | hide > "$out/releases.txt"
rm -rf "$root/lists"; mkdir -p "$root/lists/partial"
