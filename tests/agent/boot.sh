#!/bin/bash
# Boot a systemd of its own with the units of the agent, and run a script below it. It
# goes on when the script is over, until it is killed.
#
#   boot.sh CHECKOUT OUT SCRIPT      (root; below: unshare --mount --pid --ipc --uts)
#
# Its root is a copy-on-write view of ours; what it writes is gone when it ends, but for
# OUT, where the script has its output (log) and may leave files. OUT is /out there, and
# CHECKOUT/bin/ssmtpctl is /usr/bin/ssmtpctl.
set -eu
checkout=$1 out=$2 script=$3
mount --make-rprivate /
room=$out/room
mkdir -p "$room"
mount -t tmpfs tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay overlay "$room/root" \
    -o "lowerdir=/,upperdir=$room/upper,workdir=$room/work"
root=$room/root

for place in run tmp var/tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/out"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
: >"$out/console"
touch "$root/dev/console"
mount --bind "$out/console" "$root/dev/console"
mount --bind "$out" "$root/out"
mkdir -p "$root/checkout"
mount --bind -o ro "$checkout" "$root/checkout"

units=$root/etc/systemd/system
rm -rf "$units"
mkdir -p "$units" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
cp "$checkout"/share/systemd/system/* "$units"
cp "$checkout/share/sysusers.d/ssmtp.conf" "$root/usr/lib/sysusers.d"
cp "$checkout/share/tmpfiles.d/ssmtp.conf" "$root/usr/lib/tmpfiles.d"
ln -sf /checkout/bin/ssmtpctl "$root/usr/bin/ssmtpctl"
# Of the machine, and none of our business.
for unit in systemd-sysctl systemd-modules-load systemd-remount-fs systemd-random-seed \
    systemd-update-utmp systemd-udevd systemd-udev-trigger modprobe@; do
    ln -s /dev/null "$units/$unit.service"
done
for unit in sys-kernel-debug sys-kernel-tracing dev-hugepages sys-kernel-config; do
    ln -s /dev/null "$units/$unit.mount"
done

cp "$script" "$root/script"
cat >"$units/script.service" <<END
[Unit]
After=basic.target
Requires=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /script
StandardOutput=file:/out/log
StandardError=file:/out/log
END
# Not chroot alone: nobody below one may make a namespace of users.
mkdir "$root/old"
cd "$root"
pivot_root . old
exec chroot . env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c '
    umount -l /old && rmdir /old && mount --make-rshared / &&
    exec /lib/systemd/systemd --system --unit=script.service --log-target=journal'
