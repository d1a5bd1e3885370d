#!/usr/bin/env bash
# Unpack each mail server of tests/peers, with all that it depends on, into a root of its own:
#
#     tests/peers/unpack.sh DIRECTORY [NAME...]
#
# The programs that others submit with are unpacked only when they are named.
# As packages they conflict, so none is installed: apt resolves against an empty system, and
# the archives are only laid out. Needs Debian 12, root, and a package list (apt-get update).
# A root that already holds the versions that apt would choose today is left as it is.
set -eu

test $# -ge 1 || { echo "usage: $0 DIRECTORY [NAME...]" >&2; exit 64; }
mkdir -p "$1/archives/partial" "$1/none/partial" "$1/lists/partial"
roots=$(cd "$1" && pwd)
shift
: >"$roots/empty"
newer=()

apt() {
    apt-get --quiet=2 --yes \
        -o "Dir::State::status=$roots/empty" \
        -o "Dir::Cache::archives=$roots/archives" \
        -o "APT::Sandbox::User=root" \
        -o "APT::Install-Recommends=false" \
        -o "Acquire::Retries=3" \
        "${newer[@]}" "$@"
}

# unpack NAME PACKAGE...
unpack() {
    local name=$1 root=$roots/$1 archives archive directory
    shift
    # Asked with no archive at hand: apt lists only what it would fetch.
    archives=$(apt -o "Dir::Cache::archives=$roots/none" --print-uris install "$@" |
        sed -n "s/^'[^']*' \([^ ]*\) .*/\1/p" | sort)
    test -n "$archives"
    if [ "$archives" = "$(cat "$root/.archives" 2>/dev/null)" ]; then
        echo "$name: as before"
        return
    fi
    apt --download-only install "$@" >/dev/null
    rm -rf "$root" "$root.new"
    mkdir -p "$root.new/usr/bin" "$root.new/usr/sbin" "$root.new/usr/lib" "$root.new/usr/lib64"
    for directory in bin sbin lib lib64; do
        ln -s "usr/$directory" "$root.new/$directory"
    done
    for archive in $archives; do
        dpkg-deb --fsys-tarfile "$roots/archives/$archive" |
            tar --extract --keep-directory-symlink --directory "$root.new" \
                --exclude './usr/share/doc/*' --exclude './usr/share/man/*' \
                --exclude './usr/share/locale/*' --exclude './usr/share/perl/*'
    done
    mkdir -p "$root.new/dev" "$root.new/proc" "$root.new/run" "$root.new/tmp"
    echo "$archives" >"$root.new/.archives"
    mv "$root.new" "$root"
    echo "$name: $(echo "$archives" | wc -l) packages, $(du -sh "$root" | cut -f 1)"
}

# With the tools that Postfix's own scripts call.
postfix() { unpack postfix postfix dovecot-core dash coreutils sed grep findutils diffutils; }
exim() { unpack exim exim4-daemon-heavy; }
dovecot() { unpack dovecot dovecot-submissiond; }
opensmtpd() { (trixie; unpack opensmtpd opensmtpd); }
dovecot24() { (trixie; unpack dovecot24 dovecot-submissiond); }

# Other programs that submit mail, for the benchmark and for `ssmtpctl migrate`; GNU time
# tells the memory that each takes.
msmtp() { unpack msmtp msmtp time; }
ssmtp() { unpack ssmtp ssmtp time; }
nullmailer() { unpack nullmailer nullmailer time; }
dma() { unpack dma dma time; }
esmtp() { unpack esmtp esmtp; }
snail() { unpack snail s-nail; }
valgrind() { unpack valgrind valgrind; }

# Debian 12's OpenSMTPD (6.8.0p2) cannot do TLS with Debian 12's OpenSSL 3: every handshake
# ends in "missing private key" (OpenSMTPD issue 1171). Debian 13's comes with Debian 13's
# libraries instead, from the same mirror.
trixie() {
    local mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        sed -n 's/ bookworm$//p' | sort -u | head -n 1)
    test -n "$mirror" || return 0
    echo "deb [signed-by=$keys] $mirror trixie main" >"$roots/trixie.list"
    newer=(-o "Dir::Etc::sourcelist=$roots/trixie.list" -o "Dir::Etc::sourceparts=-"
        -o "Dir::State::lists=$roots/lists"
        -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
    apt update
}

for name in ${*:-postfix exim dovecot opensmtpd dovecot24}; do
    "$name"
done
