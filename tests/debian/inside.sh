#!/usr/bin/env bash
# The life of the packages in /packages, in a root that may be spoilt: inside.sh CASE
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
shown=

trap 'test $? = 0 || { echo "inside.sh: failed in line $LINENO" >&2; cat /tmp/log /tmp/said >&2; }' EXIT
: >/tmp/log
: >/tmp/said
test -c /dev/null || mknod -m 666 /dev/null c 1 3
test -e /dev/urandom || mknod -m 666 /dev/urandom c 1 9

apt() {
    apt-get --quiet=2 --yes -o APT::Install-Recommends=false "$@" >>/tmp/log 2>&1
}
say() { echo "   $*"; }
is() { test "$1" = "$2" || { echo "expected: $1" >&2; echo "found:    $2" >&2; exit 1; }; }

# The names of all files that are of interest, sorted.
everything() {
    find / -xdev \( -path /proc -o -path /dev -o -path /tmp -o -path /packages \
        -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg \
        -o -path /var/log -o -path /root \) -prune -o -print | sort
}

wait_for() {
    local tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        test $tries -lt 200 || { echo "in vain: $*" >&2; exit 1; }
        sleep 0.1
    done
}

# listening PORT: /proc tells, and so no probe disturbs the mailhub that counts.
listening() { grep -qi ":$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp; }

# arrives AS RECIPIENT COMMAND...: as this user, the command sends a mail to the sink
arrives() {
    local user=$1 recipient=$2 sink
    shift 2
    rm -rf /tmp/mail
    mkdir /tmp/mail
    ssmtpctl sink --port 2525 --count 1 --quiet --dir /tmp/mail >/tmp/sink 2>&1 &
    sink=$!
    wait_for listening 2525
    printf 'Subject: from the package\n\nIt works.\n' | setpriv --reuid "$user" \
        --regid "$user" --clear-groups --no-new-privs env -i "$@" "$recipient"
    wait $sink
    shown=$(cat /tmp/mail/*.eml)
    case $shown in
        *'It works.'*) ;;
        *) echo "not the mail: $shown" >&2; exit 1 ;;
    esac
}

is_installed() {
    is '#!/usr/bin/python3 -IS' "$(head -n 1 "$(readlink -f /usr/sbin/sendmail)")"
    is /usr/sbin/ssmtp "$(readlink -f /usr/lib/sendmail)"
    is /usr/sbin/ssmtp "$(readlink -f /usr/bin/mailq)"
    is /usr/sbin/ssmtp "$(readlink -f /usr/bin/newaliases)"
    is '750 root:ssmtp' "$(stat -c '%a %U:%G' /etc/ssmtp)"
    is '640 root:ssmtp' "$(stat -c '%a %U:%G' /etc/ssmtp/ssmtp.conf)"
    is '700 ssmtp:ssmtp' "$(stat -c '%a %U:%G' /var/spool/ssmtp)"
    test -L /etc/systemd/system/sockets.target.wants/ssmtp.socket
    test -e /usr/share/man/man8/sendmail.8.gz || test ! -e /usr/share/man/man8
    # Compiled, every module, for the source that lies there.
    python3 -IS - <<'END'
import pathlib
sources = sorted(pathlib.Path("/usr/share/ssmtp-ng/ssmtp").rglob("*.py"))
assert len(sources) > 100
for source in sources:
    (cached,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
    facts, head = source.stat(), cached.read_bytes()[4:16]
    assert head[:4] == bytes(4), cached
    assert head[4:8] == int(facts.st_mtime).to_bytes(4, "little"), cached
    assert head[8:] == facts.st_size.to_bytes(4, "little"), cached
END
}

send_all_ways() {
    arrives 0 root@dest.test /usr/sbin/sendmail
    arrives 0 root@dest.test /usr/lib/sendmail -oi
    is '' "$(newaliases 2>&1)"
    # Without an agent users cannot read what the configuration says.
    start_agent
    arrives 4242 user@dest.test /usr/sbin/sendmail -oi
    end_agent
}

start_agent() {
    ssmtpctl agent run >>/tmp/log 2>&1 &
    agent=$!
    wait_for test -S /run/ssmtp/submit.sock
}
end_agent() {
    kill $agent
    wait $agent || true
    rm -rf /run/ssmtp/*.sock
}

queue_is_empty() { test -z "$(ls /var/spool/ssmtp/queue)"; }

# Mail that waits goes out after the upgrade, by an agent that ran all the time.
upgrade_with_mail() {
    start_agent
    local number
    for number in 1 2 3; do
        printf 'Subject: waits\n\nhello\n' | setpriv --reuid 4242 --regid 4242 \
            --clear-groups env -i /usr/sbin/sendmail "$number@dest.test"
    done
    is 3 "$(find /var/spool/ssmtp/queue -type f | wc -l)"
    apt install /packages/next/*.deb
    is 3 "$(find /var/spool/ssmtp/queue -type f | wc -l)"
    rm -rf /tmp/mail
    mkdir /tmp/mail
    ssmtpctl sink --port 2525 --count 3 --quiet --dir /tmp/mail >/tmp/sink 2>&1 &
    local sink=$!
    wait_for listening 2525
    ssmtpctl queue flush
    wait $sink
    is 3 "$(find /tmp/mail -name '*.eml' | wc -l)"
    wait_for queue_is_empty
    is '' "$(ls /var/spool/ssmtp/corrupt /var/spool/ssmtp/failed | grep -v : || true)"
    end_agent
}

# A bare system: install, send, upgrade, remove, purge; nothing stays but mail.
bare() {
    apt install ca-certificates python3 systemd-standalone-sysusers
    everything >/tmp/before
    apt install /packages/*.deb
    is_installed
    say installed
    grep -q '^#mailhub=' /etc/ssmtp/ssmtp.conf
    is 78 "$(sendmail a@dest.test </dev/null 2>/tmp/said; echo $?)"
    rm -rf /var/tmp/ssmtp-0
    echo 'mailhub=127.0.0.1:2525' >>/etc/ssmtp/ssmtp.conf
    send_all_ways
    say sent
    upgrade_with_mail
    is_installed
    is 'mailhub=127.0.0.1:2525' "$(tail -n 1 /etc/ssmtp/ssmtp.conf)"
    send_all_ways
    say upgraded
    echo 'kept' >/var/spool/ssmtp/queue/0mail
    apt remove ssmtp-ng ssmtp-ng-mta
    test ! -e /usr/sbin/sendmail && test ! -e /usr/lib/sendmail
    test ! -e /usr/share/ssmtp-ng
    test -e /etc/ssmtp/ssmtp.conf
    say removed
    apt purge ssmtp-ng ssmtp-ng-mta
    test -e /var/spool/ssmtp/queue/0mail
    grep -q ^ssmtp: /etc/passwd
    test ! -e /etc/ssmtp
    # Nothing but the mail is left; and then nothing at all.
    apt install /packages/*.deb
    rm /var/spool/ssmtp/queue/0mail
    touch /var/spool/ssmtp/receipts /var/spool/ssmtp/receipts.1
    touch /var/spool/ssmtp/site.json.new
    apt purge ssmtp-ng ssmtp-ng-mta
    everything >/tmp/after
    is '' "$(diff /tmp/before /tmp/after | grep -v -e '^[0-9]' -e '/etc/[a-z]*-$' || true)"
    is '' "$(grep ^ssmtp: /etc/passwd /etc/group || true)"
    say purged
}

# In the place of classic ssmtp, and back.
classic() {
    install_classic
    printf 'root=root@dest.test\nmailhub=127.0.0.1:2525\n' >/etc/ssmtp/ssmtp.conf
    chgrp mail /etc/ssmtp/ssmtp.conf
    chmod 640 /etc/ssmtp/ssmtp.conf
    echo 'root:alerts@corp.test' >>/etc/ssmtp/revaliases
    cp -a /etc/ssmtp /tmp/classic
    apt install /packages/*.deb
    is_installed
    is deinstall "$(dpkg-query --show --showformat '${db:Status-Want}' ssmtp)"
    is '' "$(diff -r /tmp/classic /etc/ssmtp)"
    arrives 0 you@dest.test /usr/sbin/sendmail
    grep -q '^From: .*alerts@corp.test' <<<"$shown"
    say 'took over, with the configuration'
    # As administrators do it, by way of another file.
    sed -i 's/alerts@/alarms@/' /etc/ssmtp/ssmtp.conf
    echo 'daemon:daemon@corp.test' >>/etc/ssmtp/revaliases
    cp -a /etc/ssmtp /tmp/ours
    apt purge ssmtp
    is '' "$(diff -r /tmp/ours /etc/ssmtp)"
    send_all_ways
    say 'classic ssmtp purged, and nothing was lost'
    install_classic
    is '' "$(dpkg-query --show --showformat '${db:Status-Abbrev}' ssmtp-ng-mta | grep ^ii || true)"
    apt purge ssmtp-ng ssmtp-ng-mta
    test -s /etc/ssmtp/ssmtp.conf
    grep -q daemon@corp.test /etc/ssmtp/revaliases
    say 'and back'
}

# From the archive, as long as that has it. It must know a name of this machine.
install_classic() {
    if apt-cache show ssmtp >/dev/null 2>&1; then
        debconf-set-selections <<<'ssmtp ssmtp/hostname string box.test'
        apt -o Dpkg::Options::=--force-confold install ssmtp
    else
        say 'no classic ssmtp in the archive; one of the same name and files'
        hand_made_ssmtp
    fi
}

hand_made_ssmtp() {
    local tree=/tmp/ssmtp
    mkdir -p $tree/DEBIAN $tree/etc/ssmtp $tree/usr/sbin $tree/usr/lib
    printf '%s\n' 'Package: ssmtp' 'Version: 2.64-11' 'Architecture: all' \
        'Maintainer: nobody <nobody@example.org>' 'Description: a stand-in' \
        'Conflicts: mail-transport-agent' 'Provides: mail-transport-agent' \
        'Replaces: mail-transport-agent' >$tree/DEBIAN/control
    echo /etc/ssmtp/revaliases >$tree/DEBIAN/conffiles
    printf '#!/bin/sh\nif [ "$1" = purge ]; then\n\trm -r /etc/ssmtp 2>/dev/null || true\nfi\n' \
        >$tree/DEBIAN/postrm
    chmod 755 $tree/DEBIAN/postrm
    echo '# aliases' >$tree/etc/ssmtp/revaliases
    printf '#!/bin/sh\nexit 1\n' >$tree/usr/sbin/ssmtp
    chmod 755 $tree/usr/sbin/ssmtp
    ln -s ssmtp $tree/usr/sbin/sendmail
    ln -s ../sbin/sendmail $tree/usr/lib/sendmail
    chgrp -R mail $tree/etc
    chmod 750 $tree/etc/ssmtp
    dpkg-deb --build $tree /tmp/ssmtp.deb >/dev/null
    apt install /tmp/ssmtp.deb
}

# The command alone, beside another mailer; then in its place.
beside() {
    apt install nullmailer
    apt install /packages/ssmtp-ng_*.deb
    is nullmailer "$(dpkg-query --search /usr/sbin/sendmail | cut -d: -f1)"
    ssmtp --version | grep -q ssmtp
    say 'beside another mailer'
    apt install /packages/ssmtp-ng-mta_*.deb
    is ssmtp-ng-mta "$(dpkg-query --search /usr/sbin/sendmail | cut -d: -f1)"
    test ! -e /usr/sbin/nullmailer-send
    say 'in its place'
}

"$1"
