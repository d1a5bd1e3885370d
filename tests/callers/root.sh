#!/usr/bin/env bash
# Build the Debian root that the callers of tests/callers live in:
#
#     tests/callers/root.sh DIRECTORY
#
# DIRECTORY/root is made once, and again when the list of packages below has changed. The
# tests never write into it. Where tests/debian has made its bare root, that is copied.
# Needs Debian 12, root, debootstrap, a package list (apt-get update) and its archive.
set -eu

test $# = 1 || { echo "usage: $0 DIRECTORY" >&2; exit 64; }
mkdir -p "$1"
place=$(cd "$1" && pwd)
root=$place/root
bare=${SSMTP_DEBIAN:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ssmtp-debian}/bare
suite=bookworm
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

packages='
anacron apt-listchanges apticron at b4 backupninja bsd-mailx calendar chkrootkit cron
cron-apt dovecot-core dovecot-lmtpd dovecot-sieve emacs-nox fail2ban faketime fetchmail
git git-email libemail-sender-perl libemail-stuffer-perl liblog-dispatch-perl
libmailtools-perl libmime-lite-perl libmime-tools-perl libphp-phpmailer logcheck
logrotate logwatch maildrop mailutils mblaze mdadm mercurial mime-construct
monitoring-plugins-standard mpack mutt neomutt nmh node-nodemailer nodejs php-cli
php-email-validator php-mail php-pear php-swiftmailer php-symfony-mailer
popularity-contest procmail python3 quilt reportbug rkhunter ruby-actionmailer ruby-mail
s-nail sharutils smartmontools subversion subversion-tools sudo swaks
unattended-upgrades vacation'

enter() {
    unshare --mount --pid --fork --kill-child bash -eu -c '
        root=$1
        shift
        mount --make-rprivate /
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/run"
        mkdir "$root/run/lock"
        exec chroot "$root" "$@"' - "$root" "$@"
}

quietly() {
    "$@" >>"$place/log" 2>&1 || { tail -n 40 "$place/log" >&2; exit 1; }
}

begin() {
    local mirror
    if [ -e "$bare.done" ]; then
        cp -a "$bare" "$root"
    else
        mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' \
            'Created-By: Packages' | sed -n "s/ $suite\$//p" | sort -u | head -n 1)
        quietly debootstrap --variant=minbase --include=ca-certificates \
            $suite "$root" "$mirror"
    fi
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    printf '%s\n' force-unsafe-io \
        'path-exclude /usr/share/info/*' \
        >"$root/etc/dpkg/dpkg.cfg.d/callers"
    printf '%s\n' 'APT::Install-Recommends "false";' 'Acquire::Languages "none";' \
        'APT::Sandbox::User "root";' >"$root/etc/apt/apt.conf.d/99callers"
}

# Many of the callers ask for a mail-transport-agent: a package without any file is one.
stand_in() {
    mkdir -p "$place/stand-in/DEBIAN"
    printf '%s\n' 'Package: callers-mta' 'Version: 1' 'Architecture: all' \
        'Maintainer: nobody <nobody@example.org>' 'Description: a stand-in' \
        'Provides: mail-transport-agent, default-mta' \
        >"$place/stand-in/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$place/stand-in" "$root/mta.deb" >/dev/null
    rm -rf "$place/stand-in"
    quietly enter dpkg --install /mta.deb
    rm "$root/mta.deb"
}

people() {
    enter useradd --create-home --uid 1000 --shell /bin/bash --comment 'You Yourself' you
    enter useradd --create-home --uid 1001 --shell /bin/bash --comment 'Ann Bell,,,' ann
}

# shellcheck disable=SC2086 # words are meant
if [ "$packages" != "$(cat "$place/packages" 2>/dev/null)" ]; then
    rm -rf "$root" "$place/packages" "$place/log"
    begin
    stand_in
    quietly enter apt-get --quiet=2 update
    quietly enter apt-get --quiet=2 --yes install $packages
    quietly enter apt-get clean
    people
    printf '%s' "$packages" >"$place/packages"
fi
echo "callers: $(enter dpkg-query --show | wc -l) packages, $(du -sh "$root" | cut -f 1)"
