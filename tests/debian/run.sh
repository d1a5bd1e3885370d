#!/usr/bin/env bash
# Build the Debian packages, check them, and live with them in roots of their own:
#
#     tests/debian/run.sh DIRECTORY [CASE...]
#
# A root for building and a bare one are made in DIRECTORY, and are used again by the next
# run. Each case of inside.sh has a copy-on-write view of the bare one, which is gone when
# it ends. Needs root, debootstrap, a package list (apt-get update) and its archive.
set -eu

test $# -ge 1 || { echo "usage: $0 DIRECTORY [CASE...]" >&2; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
mkdir -p "$1"
place=$(cd "$1" && pwd)
shift
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
suite=bookworm
tools='build-essential debhelper dh-python fakeroot lintian python3'

# inside ROOT COMMAND...: in a root, with processes and mounts of its own
inside() {
    local root=$1
    shift
    unshare --mount --pid --fork --kill-child bash -eu -c '
        root=$1
        shift
        mount --make-rprivate /
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/dev"
        for device in null zero full random urandom; do
            touch "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        exec chroot "$root" "$@"' - "$root" "$@"
}

# make_root NAME PACKAGE...: a root with these packages, unless it is there
make_root() {
    local name=$1 mirror
    shift
    test ! -e "$place/$name.done" || return 0
    rm -rf "${place:?}/$name"
    if [ "$name" = bare ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' \
            'Created-By: Packages' | sed -n "s/ $suite\$//p" | sort -u | head -n 1)
        debootstrap --variant=minbase $suite "$place/bare" "$mirror" >"$place/bare.log"
    else
        cp -a "$place/bare" "$place/$name"
    fi
    cp /etc/resolv.conf "$place/$name/etc/resolv.conf"
    inside "$place/$name" apt-get --quiet=2 update
    inside "$place/$name" apt-get --quiet=2 --yes install --no-install-recommends "$@" \
        >"$place/$name.log" 2>&1 || { tail -n 40 "$place/$name.log" >&2; exit 1; }
    touch "$place/$name.done"
}

build() {
    local root=$place/build
    rm -rf "$root/src" "$place/packages"
    mkdir -p "$root/src" "$place/packages/next"
    (cd "$checkout" && tar --create --exclude=__pycache__ \
        Makefile LICENSE ./*.md bin debian docs share src) | tar --extract -C "$root/src"
    inside "$root" make --silent --directory /src deb >"$place/build.log" 2>&1 ||
        { tail -n 40 "$place/build.log" >&2; exit 1; }
    inside "$root" sh -c 'exec lintian --allow-root --fail-on error,warning \
        /src/dist/*.changes'
    cp "$root"/src/dist/*.deb "$place/packages"
    # The same again, as a later version.
    local deb tree=$place/next
    for deb in "$place"/packages/*.deb; do
        rm -rf "$tree"
        dpkg-deb --raw-extract "$deb" "$tree"
        sed -i -e 's/^\(Version: .*\)/\1+next/' -e 's/(= \([^)]*\))/(= \1+next)/' \
            "$tree/DEBIAN/control"
        dpkg-deb --root-owner-group --build "$tree" "$place/packages/next" >/dev/null
    done
    rm -rf "$tree"
}

# What a case leaves in its view of the bare root lies in memory only.
live() {
    local case=$1 view=$place/view
    mkdir -p "$view"
    unshare --mount bash -eu -c '
        mount --make-rprivate /
        mount -t tmpfs tmpfs "$1/view"
        mkdir "$1/view/upper" "$1/view/work" "$1/view/root"
        mount -t overlay overlay "$1/view/root" \
            -o "lowerdir=$1/bare,upperdir=$1/view/upper,workdir=$1/view/work"
        mkdir "$1/view/root/packages"
        mount --bind "$1/packages" "$1/view/root/packages"
        cp "$2" "$1/view/root/inside.sh"
        exec unshare --pid --fork --kill-child --mount-proc="$1/view/root/proc" \
            chroot "$1/view/root" bash /inside.sh "$3"' - "$place" "$here/inside.sh" "$case"
}

make_root bare ca-certificates
# shellcheck disable=SC2086 # words are meant
make_root build $tools
build
test $# -gt 0 || set -- bare classic beside
for case in "$@"; do
    echo "-- $case"
    live "$case"
done
